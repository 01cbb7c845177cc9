//! Labels as the protocol sees them: hashes. Two texts with one hash share their invalidations,
//! which costs a miss and never a stale hit, so nothing here compares texts.

use super::BUCKETS;

/// The hash of something that can be invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Label(u64);

/// The labels that every entry has of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels {
    pub(crate) key: Label,
    pub(crate) name: Option<Label>,
    pub(crate) template: Option<Label>,
}

impl Label {
    pub(crate) fn from_hash(hash: u64) -> Self {
        Self(hash)
    }

    pub(crate) fn bucket(self) -> usize {
        (self.0 >> 32) as usize % BUCKETS
    }
}
