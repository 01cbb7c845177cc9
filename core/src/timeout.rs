//! The first argument of a cache block, as the rewriter's crate defines it.

pub use fragcache_syntax::{Scalar, Timeout};

/// Returns true if the text is a duration of zero, such as `0` or `0s`.
pub(crate) fn is_no_time(text: &str) -> bool {
    let text = text.trim();
    let is_zero = !text.is_empty() && text.bytes().all(|byte| byte == b'0');
    is_zero || humantime::parse_duration(text).is_ok_and(|ttl| ttl.is_zero())
}
