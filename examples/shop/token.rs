//! The token of a visitor's forms. A real shop takes that of its web framework.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use fragcache::current;

static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The template function `form_token`. What it prints is for one visitor alone, so a fragment that
/// it is called in is not stored. Call it outside the cache block, as `product.html` does.
pub(crate) fn form_token(user: i64) -> String {
    current::veto();
    token(user)
}

/// Whether a form comes from a page that was rendered for this visitor.
pub(crate) fn is_of(user: i64, sent: &str) -> bool {
    token(user) == sent
}

fn token(user: i64) -> String {
    format!("{:016x}", SECRET.hash_one(user))
}
