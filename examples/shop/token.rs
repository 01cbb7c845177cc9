//! The token of a visitor's forms. A real shop takes that of its web framework.

use fragcache::current;
use xxhash_rust::xxh3::xxh3_64;

use crate::database::Database;

/// The template function `form_token`. What it prints is for one visitor alone, so a fragment that
/// it is called in is not stored. Call it outside the cache block, as `product.html` does.
pub(crate) fn form_token(database: &Database, user: i64) -> String {
    current::veto();
    token(database, user)
}

/// Whether a form comes from a page that was rendered for this visitor, by whichever process.
pub(crate) fn is_of(database: &Database, user: i64, sent: &str) -> bool {
    token(database, user) == sent
}

/// A stand-in for a keyed hash such as HMAC-SHA256.
fn token(database: &Database, user: i64) -> String {
    format!("{:016x}", xxh3_64(format!("{}/{user}", database.form_secret()).as_bytes()))
}
