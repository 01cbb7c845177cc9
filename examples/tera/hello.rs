//! How do I cache a piece of a Tera template, and delete it from Rust?
//!
//! `cargo run -p fragcache-examples --bin tera-hello`
#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fragcache::{FragmentCache, fragment_key};
use serde::Serialize;
use tera::{Context, Kwargs, State, Tera};

const PAGE: &str = r#"{% cache 300, "sidebar", user.id %}
<nav>{{ user.name }} has {{ unread(of=user.id) }} unread messages</nav>
{% endcache %}"#;

#[derive(Serialize)]
struct User {
    id: u32,
    name: &'static str,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = FragmentCache::in_memory();
    let mut tera = Tera::new();
    fragcache_tera::add_to_tera(&mut tera, cache.clone())?;

    // Stands for something slow, and counts its calls.
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    tera.register_function("unread", move |_: Kwargs, _: &State| {
        counter.fetch_add(1, Ordering::Relaxed) + 3
    });
    fragcache_tera::add_raw_template(&mut tera, "page.html", PAGE)?;

    let mut page = Context::new();
    page.insert("user", &User { id: 42, name: "Ada" });
    let first = fragcache_tera::render(&tera, "page.html", &page)?;
    let second = fragcache_tera::render(&tera, "page.html", &page)?;
    assert_eq!(second, first, "a hit prints what the miss printed");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "and its body is not evaluated");

    // A message was read. After the delete, the next render evaluates the body again.
    cache.delete(&fragment_key!("sidebar", 42)).eventually();
    let third = fragcache_tera::render(&tera, "page.html", &page)?;
    println!("{}\nand after a delete{}", first.trim(), third.trim_end());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    Ok(())
}
