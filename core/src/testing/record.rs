//! Access to the entry decoder, for its fuzzer and the replay of the fuzzer's corpus.

use crate::entry::record::mend;

/// Decodes bytes as they are, and again with corrected lengths and checksum. Asserts that each
/// result, if it is an entry, respects all bounds. Returns whether one of them is an entry.
///
/// # Panics
///
/// If an entry exceeds a bound, or changes when it is encoded and decoded again.
#[doc(hidden)]
pub fn check_record(bytes: &[u8]) -> bool {
    mend::check(bytes)
}
