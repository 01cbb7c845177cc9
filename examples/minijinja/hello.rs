//! How do I cache a piece of a MiniJinja template, and delete it from Rust?
//!
//! `cargo run -p fragcache-examples --bin minijinja-hello`
#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fragcache::{FragmentCache, fragment_key};
use minijinja::{Environment, context};

const PAGE: &str = r#"{% cache 300, "sidebar", user.id %}
<nav>{{ user.name }} has {{ unread(user.id) }} unread messages</nav>
{% endcache %}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = FragmentCache::in_memory();
    let mut env = Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, cache.clone())?;
    fragcache_minijinja::add_template(&mut env, "page.html", PAGE)?;

    // Stands for something slow, and counts its calls.
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    env.add_function("unread", move |_user: u32| counter.fetch_add(1, Ordering::Relaxed) + 3);

    let page = env.get_template("page.html")?;
    let render = || page.render(context! { user => context! { id => 42, name => "Ada" } });

    let first = render()?;
    assert_eq!(render()?, first, "a hit prints what the miss printed");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "and its body is not evaluated");

    // A message was read. After the delete, the next render evaluates the body again.
    cache.delete(&fragment_key!("sidebar", 42)).eventually();
    println!("{}\nand after a delete{}", first.trim(), render()?.trim_end());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    Ok(())
}
