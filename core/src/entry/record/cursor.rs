//! Reads bytes from the front, and writes them in the same form. Does not interpret them.

/// The bytes left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// A length of four bytes.
    pub(super) fn short_length(&mut self) -> Option<usize> {
        usize::try_from(self.array().map(u32::from_le_bytes)?).ok()
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A field's type and its bytes.
    pub(super) fn field(&mut self) -> Option<(u8, &'a [u8])> {
        let kind = self.u8()?;
        let length = self.short_length()?;
        Some((kind, self.bytes(length)?))
    }
}

/// Bytes that a field takes besides its content.
pub(super) const FIELD_OVERHEAD: usize = 5;

/// Writes a length in four bytes. The caller has checked its bound.
pub(super) fn put_short_length(out: &mut Vec<u8>, length: usize) {
    debug_assert!(u32::try_from(length).is_ok());
    out.extend_from_slice(&(length as u32).to_le_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Writes what precedes the content of a field.
pub(super) fn put_field_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    put_short_length(out, length);
}

pub(super) fn put_field(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    put_field_head(out, kind, content.len());
    out.extend_from_slice(content);
}
