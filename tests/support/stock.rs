//! Rust functions of the tests' engines that call the cache themselves.

use std::time::Duration;

use fragcache::current;

/// A product, from a function that loads data and adds its tag.
pub(super) fn load(id: u32) -> String {
    current::add_tags([format!("product:{id}")]).unwrap();
    format!("product {id}")
}

/// Shortens the TTL to `after` seconds.
pub(super) fn ends(after: f64) -> &'static str {
    current::expire_after(Duration::from_secs_f64(after));
    ""
}

/// A form's token, which is for one visitor only.
pub(super) fn form_token() -> &'static str {
    current::veto();
    "5a17"
}
