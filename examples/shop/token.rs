//! The token of a visitor's forms. A real shop uses its web framework's.

use fragcache::current;
use xxhash_rust::xxh3::xxh3_64;

use crate::database::Database;

/// The template function `form_token`. Its output is for one visitor only, so a fragment that calls
/// it is not stored. Call it outside the cache block, as `product.html` does.
pub(crate) fn form_token(database: &Database, user: i64) -> String {
    current::veto();
    token(database, user)
}

/// Whether a form comes from a page rendered for this visitor, by any process.
pub(crate) fn is_of(database: &Database, user: i64, sent: &str) -> bool {
    token(database, user) == sent
}

/// A placeholder for a keyed hash such as HMAC-SHA256.
fn token(database: &Database, user: i64) -> String {
    format!("{:016x}", xxh3_64(format!("{}/{user}", database.form_secret()).as_bytes()))
}
