//! How do I use the cache without a template engine: with maud, askama, or plain strings?
//!
//! `cargo run -p fragcache-examples --bin rust-only`
#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use fragcache::{Error, Fragment, FragmentCache, fragment_key};

const TITLES: [&str; 3] = ["Chunhyang", "Code Unknown", "Dancer in the Dark"];

/// Any code that produces markup; `rendered` counts the renders.
struct Shelf {
    cache: FragmentCache,
    rendered: Cell<u32>,
}

impl Shelf {
    fn film(&self, id: usize) -> Result<Arc<str>, Error> {
        self.cache.render(Fragment::new(fragment_key!("film", id)), || {
            self.rendered.set(self.rendered.get() + 1);
            format!("  <li>{}</li>\n", TITLES[id])
        })
    }

    /// A fragment that contains fragments: invalidating one of them invalidates it too. A
    /// body that can fail is rendered with `try_render`; nothing is stored if it fails.
    fn list(&self) -> Result<Arc<str>, Error> {
        let fragment =
            Fragment::new(fragment_key!("films")).expires_after(Duration::from_secs(3600));
        self.cache.try_render(&fragment, || {
            self.rendered.set(self.rendered.get() + 1);
            let films = (0..TITLES.len()).map(|id| self.film(id)).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, Error>(format!("<ul>\n{}</ul>", films.concat()))
        })
    }
}

fn main() -> Result<(), Error> {
    let shelf = Shelf { cache: FragmentCache::in_memory(), rendered: Cell::new(0) };

    let first = shelf.list()?;
    assert_eq!(shelf.rendered.get(), 4, "three films and the list");
    let again = shelf.list()?;
    assert!(Arc::ptr_eq(&first, &again), "a hit hands over the stored text itself");

    shelf.cache.delete(&fragment_key!("film", 1)).eventually();
    assert_eq!(shelf.list()?, first);
    assert_eq!(shelf.rendered.get(), 6, "one film, and the list that holds it");

    println!("{first}\nrendered {} pieces for 3 lists", shelf.rendered.get());
    Ok(())
}
