//! Labels as the protocol uses them: hashes. Two texts with the same hash share their
//! invalidations. That costs a miss and never serves a stale entry, so no text is compared here.

use smallvec::SmallVec;

/// The number of hashed buckets for a dependency set that is too long to be listed.
pub(crate) const BUCKETS: usize = 16_384;

/// Where the eight bits of a label begin that number its fence.
const FENCE_BITS: u32 = 16;

/// Set in the label of what is written under a key.
const WRITTEN: u64 = 1 << 63;

/// The hash of something that can be invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Label(u64);

/// The labels that every entry has of its own.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub(crate) key: Label,
    pub(crate) name: Option<Label>,
    pub(crate) template: Option<Label>,
    /// Outermost first.
    pub(crate) namespaces: SmallVec<[Label; 2]>,
}

impl Label {
    pub(crate) fn from_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// The label of a text with this hash.
    pub(crate) fn of_text(hash: u64) -> Self {
        Self(hash & !WRITTEN)
    }

    /// The label of the same text in a namespace.
    pub(crate) fn within(self, namespace: Option<Self>) -> Self {
        Self::of_text(self.0 ^ namespace.map_or(0, |namespace| namespace.0.rotate_left(17)))
    }

    /// The label of what is written under a key with this label. Only the entry itself carries it,
    /// not the entries around it.
    pub(crate) fn written(self) -> Self {
        Self(self.0 | WRITTEN)
    }

    /// Whether this is the label of what is written under a key.
    pub(crate) fn is_written(self) -> bool {
        self.0 & WRITTEN != 0
    }

    /// The label of the key that this is written under, or the label itself.
    pub(crate) fn base(self) -> Self {
        Self::of_text(self.0)
    }

    /// The number that identifies it in a store.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The number of the far store's fence that covers this label. A fence covers itself.
    pub(crate) fn fence(self) -> u8 {
        (self.0 >> FENCE_BITS) as u8
    }

    /// The label that this hash gives to the fence with this number.
    pub(crate) fn of_fence(self, number: u8) -> Self {
        Self(self.0 & !(0xff << FENCE_BITS) | u64::from(number) << FENCE_BITS)
    }

    pub(crate) fn bucket(self) -> usize {
        (self.0 >> 32) as usize % BUCKETS
    }
}
