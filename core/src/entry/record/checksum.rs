//! The end of a record: a checksum against accidental damage.

use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a checksum.
pub(super) const CHECKSUM_BYTES: usize = 16;

/// Appends the checksum of the bytes in `out`.
pub(super) fn put(out: &mut Vec<u8>) {
    let sum = xxh3_128(out);
    out.extend_from_slice(&sum.to_le_bytes());
}

/// Whether this is the checksum of these bytes.
pub(super) fn fits(bytes: &[u8], checksum: &[u8]) -> bool {
    xxh3_128(bytes).to_le_bytes() == *checksum
}
