//! Turns arbitrary bytes into a record with correct lengths and checksum, so that tests and fuzzers
//! get past those checks. Not used for serving.

use super::codec::{Codec, FIXED_BYTES, MAGIC, flag};
use super::{
    Decoded, MAX_RECORD_DIGEST_BYTES, MAX_RECORD_KEY_BYTES, MAX_RECORD_LABELS,
    MAX_RECORD_OWN_BYTES, MAX_RECORD_TEMPLATE_BYTES, checksum,
};

/// Largest body of the codecs in this module.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Makes a record of these bytes: corrects magic, format, flags, checksum and the lengths before
/// the fields, and leaves the rest as it is.
pub(crate) fn mend(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out.resize(out.len().max(FIXED_BYTES), 0);
    let whole = out.len();
    let mut put = |at: usize, bytes: &[u8]| {
        for (place, byte) in out.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    };
    let flags = bytes.get(5).copied().unwrap_or(0) & flag::ALL;
    let header = bytes.get(6..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; 4]);
    let header = (u32::from_le_bytes(header) as usize).clamp(FIXED_BYTES, whole);
    put(0, &MAGIC);
    put(4, &[Codec::FORMAT, flags]);
    put(6, &(header as u32).to_le_bytes());
    put(10, &((whole - header) as u64).to_le_bytes());
    if flags & flag::COMPRESSED == 0 {
        put(18, &((whole - header) as u64).to_le_bytes());
    }
    if flags & flag::NEVER_EXPIRES != 0 {
        put(34, &[0; 8]);
    }
    checksum::put(&mut out);
    out
}

/// Checks any bytes, as they are and mended: they must be refused, or keep to all bounds and be
/// encodable again. Returns whether either was a record.
///
/// # Panics
///
/// If the bytes are neither.
pub(crate) fn check(bytes: &[u8]) -> bool {
    let plain = Codec::new(None, MAX_BODY_BYTES);
    let compressing = Codec::new(Some(0), MAX_BODY_BYTES);
    let mut is_record = false;
    for bytes in [bytes, &mend(bytes)] {
        let Ok(read) = plain.decode(bytes) else { continue };
        is_record = true;
        assert_bounds(&read);
        for codec in [&plain, &compressing] {
            let again = codec.encode(&read.as_record());
            let again = again.map(|bytes| codec.decode(&bytes));
            assert_eq!(again.as_ref(), Ok(&Ok(read.clone())));
        }
    }
    is_record
}

fn assert_bounds(read: &Decoded) {
    assert!(read.key.len() <= MAX_RECORD_KEY_BYTES);
    assert!(read.digest.is_ascii() && read.digest.len() <= MAX_RECORD_DIGEST_BYTES);
    assert!(read.template.as_ref().is_none_or(|name| name.len() <= MAX_RECORD_TEMPLATE_BYTES));
    assert!(read.own.as_ref().is_none_or(|own| own.len() <= MAX_RECORD_OWN_BYTES));
    assert!(read.labels.len() <= MAX_RECORD_LABELS);
    assert!(read.body.len() <= MAX_BODY_BYTES);
}
