//! What the functions of the tests' engines do in Rust that tell the cache something themselves.

use std::time::Duration;

use fragcache::current;

/// A product, as a function that loads data shows it: it says what it depends on.
pub(super) fn load(id: u32) -> String {
    current::add_tags([format!("product:{id}")]).unwrap();
    format!("product {id}")
}

/// Something that ends after so many seconds.
pub(super) fn ends(after: f64) -> &'static str {
    current::expire_after(Duration::from_secs_f64(after));
    ""
}

/// A form's token, for one visitor alone.
pub(super) fn form_token() -> &'static str {
    current::veto();
    "5a17"
}
