//! Values larger than the server's item size, as several items: a head under the key of the value,
//! and the parts under keys of their own.
//!
//! The keys of the parts contain random bits that no other write has, so parts are never
//! overwritten: whoever reads the head reads the parts of that write, or misses.

use std::ops::Range;

use fragcache::store::{Fault, StoreError};

/// The first item of a value in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    id: u128,
    bytes: u64,
    part: u32,
}

/// Most parts of a value.
const MAX_PARTS: u64 = 4096;

const MAGIC: &[u8; 4] = b"fcp1";

/// Length of a head.
const BYTES: usize = 4 + 16 + 8 + 4;

impl Head {
    /// The head of a new value of `bytes` bytes in parts of up to `part` bytes.
    ///
    /// # Errors
    ///
    /// If the system has no random bits. Those of a process's own generator would be the same after
    /// a fork.
    pub(super) fn new(bytes: usize, part: usize) -> Result<Self, StoreError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            let message = "the system has no random bits for the parts of a large value";
            StoreError::new(Fault::Refused, message).with_source(error)
        })?;
        let part = u32::try_from(part).unwrap_or(u32::MAX);
        Ok(Self { id: u128::from_le_bytes(id), bytes: bytes as u64, part })
    }

    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut head = [0; BYTES];
        let fields: [&[u8]; 4] =
            [MAGIC, &self.id.to_le_bytes(), &self.bytes.to_le_bytes(), &self.part.to_le_bytes()];
        let mut at = 0;
        for field in fields {
            head[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        head
    }

    /// Reads a head of a value of up to `most` bytes.
    pub(super) fn decode(head: &[u8], most: usize) -> Option<Self> {
        let (magic, rest) = head.split_first_chunk::<4>()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (bytes, rest) = rest.split_first_chunk::<8>()?;
        let part: &[u8; 4] = rest.try_into().ok()?;
        let head = Self {
            id: u128::from_le_bytes(*id),
            bytes: u64::from_le_bytes(*bytes),
            part: u32::from_le_bytes(*part),
        };
        let is_usable = magic == MAGIC
            && head.part > 0
            && (1..=most as u64).contains(&head.bytes)
            && head.bytes.div_ceil(u64::from(head.part)) <= MAX_PARTS;
        is_usable.then_some(head)
    }

    /// The keys of the parts and the bytes that each holds.
    pub(super) fn parts(&self) -> impl Iterator<Item = (String, Range<usize>)> + use<> {
        let Self { id, bytes, part } = *self;
        let (bytes, part) = (usize::try_from(bytes).unwrap_or(usize::MAX), part as usize);
        (0..bytes.div_ceil(part)).map(move |n| {
            let range = n * part..bytes.min((n + 1) * part);
            (format!("fragcache.part:{id:032x}:{n}"), range)
        })
    }

    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: usize, part: usize) -> Head {
        Head::new(bytes, part).unwrap()
    }

    #[test]
    fn parts_cover_the_value() {
        let head = of(2500, 1000);
        assert_eq!(Head::decode(&head.encode(), 2500), Some(head));
        let parts: Vec<_> = head.parts().collect();
        let ranges: Vec<_> = parts.iter().map(|(_, range)| range.clone()).collect();
        assert_eq!(ranges, [0..1000, 1000..2000, 2000..2500]);
        assert!(parts.iter().all(|(key, _)| key.len() < 64));
        assert_ne!(parts[0].0, parts[1].0);
        assert_ne!(of(2500, 1000).parts().next(), parts.first().cloned());
    }

    #[test]
    fn foreign_heads_are_not_read() {
        let head = of(2500, 1000);
        let good = head.encode();
        assert_eq!(Head::decode(&good, 2499), None, "larger than any value");
        assert_eq!(Head::decode(&good[..31], 2500), None);
        assert_eq!(Head::decode(b"", 2500), None);
        let mut other = good;
        other[0] = b'x';
        assert_eq!(Head::decode(&other, 2500), None);
        assert_eq!(Head::decode(&of(0, 1000).encode(), 2500), None);
        assert_eq!(Head::decode(&of(2500, 0).encode(), 2500), None);
        assert_eq!(Head::decode(&of(4097, 1).encode(), 9999), None, "too many parts");
    }
}
