//! The list of a fragment's variants, newest first, in a few bytes each. It shows whether there is
//! an entry to delete, and how large it is, without reading a body.

use super::wire::VariantId;
use crate::entry::LabelVersion;
use crate::hash::KeyHasher;

/// Most variants in the list of a fragment.
const MAX_VARIANTS: usize = 8;

/// Size of one variant in the list.
const BYTES: usize = 29;

/// One variant in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VariantSummary {
    pub(super) id: VariantId,
    /// When its TTL ends, in milliseconds since 1970, by the clock of the host that stored it;
    /// `u64::MAX` for never.
    pub(super) ends: u64,
    /// Digest of the versions of the labels that follow from its key.
    pub(super) own: u64,
    /// Size of its record.
    pub(super) bytes: u32,
    pub(super) is_annotated: bool,
}

impl VariantSummary {
    fn push(&self, list: &mut Vec<u8>) {
        list.extend_from_slice(&self.id.0.to_be_bytes());
        list.extend_from_slice(&self.ends.to_be_bytes());
        list.extend_from_slice(&self.own.to_be_bytes());
        list.extend_from_slice(&self.bytes.to_be_bytes());
        list.push(u8::from(self.is_annotated));
    }

    fn read(item: &[u8; BYTES]) -> Self {
        let number = |from: usize| {
            item[from..from + 8].iter().fold(0, |all, &byte| all << 8 | u64::from(byte))
        };
        Self {
            id: VariantId(number(0)),
            ends: number(8),
            own: number(16),
            bytes: u32::from_be_bytes([item[24], item[25], item[26], item[27]]),
            is_annotated: item[28] != 0,
        }
    }
}

/// Decodes a list of variants, newest first; empty if it is malformed.
pub(super) fn listed(list: Option<&[u8]>) -> impl Iterator<Item = VariantSummary> {
    list.unwrap_or_default().as_chunks().0.iter().take(MAX_VARIANTS).map(VariantSummary::read)
}

/// Encodes the list with this variant in front.
pub(super) fn listed_first(first: VariantSummary, list: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    first.push(&mut bytes);
    let others = listed(list).filter(|other| other.id != first.id);
    others.take(MAX_VARIANTS - 1).for_each(|other| other.push(&mut bytes));
    bytes
}

/// Digest of the versions of labels in this order; `None` if one has no version.
pub(super) fn digest(
    hasher: &KeyHasher,
    versions: impl Iterator<Item = Option<LabelVersion>>,
) -> Option<u64> {
    let mut bytes = Vec::new();
    for version in versions {
        bytes.extend_from_slice(&version?.0);
    }
    Some(hasher.variant(&bytes))
}

#[cfg(all(test, not(fragcache_shuttle)))]
mod tests {
    use super::*;

    fn variant(number: u64) -> VariantSummary {
        let bytes = number as u32 * 1000;
        let is_annotated = number.is_multiple_of(2);
        VariantSummary {
            id: VariantId(number),
            ends: u64::MAX - number,
            own: number << 40,
            bytes,
            is_annotated,
        }
    }

    #[test]
    fn a_list_is_read_as_it_was_written_newest_first_and_bounded() {
        let mut list: Option<Vec<u8>> = None;
        for number in [1, 2, 1, 3, 4, 5, 6, 7, 8, 9] {
            list = Some(listed_first(variant(number), list.as_deref()));
        }
        let read: Vec<VariantSummary> = listed(list.as_deref()).collect();
        assert_eq!(read, [9, 8, 7, 6, 5, 4, 3, 1].map(variant));
        assert_eq!(listed(Some(b"somebody else's record")).count(), 0);
    }
}
