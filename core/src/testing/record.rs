//! A door for the fuzzer of a far store's entries and for what replays its corpus.

use crate::entry::record::mend;

/// Asserts of any bytes, as they are and with the lengths and the checksum put right, that they
/// are no entry or one that keeps to all bounds; whether they are one.
///
/// # Panics
///
/// When they are neither.
#[doc(hidden)]
pub fn check_record(bytes: &[u8]) -> bool {
    mend::check(bytes)
}
