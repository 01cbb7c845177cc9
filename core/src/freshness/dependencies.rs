//! What a fragment depends on besides its own labels: its tags, and the labels of all fragments
//! inside it. Short sets are listed. Long ones collapse into buckets, which costs extra misses but
//! never serves a stale entry.

use crate::label::{BUCKETS, Label, Labels};

/// Longest set that is listed label by label.
const MAX_LISTED: usize = 4096;

/// An entry's tags, and the labels of the fragments inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dependencies {
    Listed(Box<[Label]>),
    Buckets(BucketSet),
}

impl Dependencies {
    /// Bytes that the set takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Listed(labels) => size_of_val(&**labels),
            Self::Buckets(set) => size_of_val(&*set.0),
        }
    }
}

/// One bit for each bucket of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketSet(Box<[u64]>);

impl Default for BucketSet {
    fn default() -> Self {
        Self(vec![0; BUCKETS / 64].into_boxed_slice())
    }
}

impl BucketSet {
    fn insert(&mut self, bucket: usize) {
        self.0[bucket / 64] |= 1 << (bucket % 64);
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        let set = self.0.iter().enumerate().filter(|(_, bits)| **bits != 0);
        set.flat_map(|(word, &bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
        })
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }
}

/// A dependency set while its fragment is being rendered.
#[derive(Debug, Default)]
pub(crate) struct DependencySet {
    listed: Vec<Label>,
    buckets: Option<BucketSet>,
}

impl DependencySet {
    pub(crate) fn insert(&mut self, label: Label) {
        if let Some(buckets) = &mut self.buckets {
            buckets.insert(label.bucket());
            return;
        }
        // Nested fragments of one loop share their name and template: skip recent repeats.
        if self.listed.iter().rev().take(6).any(|&known| known == label) {
            return;
        }
        self.listed.push(label);
        if self.listed.len() > 2 * MAX_LISTED {
            self.collapse_if_long();
        }
    }

    pub(crate) fn insert_own(&mut self, labels: &Labels) {
        self.insert(labels.key);
        let others = [labels.name, labels.template].into_iter().flatten();
        for label in others.chain(labels.namespaces.iter().copied()) {
            self.insert(label);
        }
    }

    pub(crate) fn merge(&mut self, inner: &Dependencies) {
        match inner {
            Dependencies::Listed(labels) => {
                for &label in labels {
                    self.insert(label);
                }
            }
            Dependencies::Buckets(theirs) => self.collapse().merge(theirs),
        }
    }

    /// The finished set; `None` if it is empty.
    pub(crate) fn finish(mut self) -> Option<Dependencies> {
        self.collapse_if_long();
        match self.buckets {
            Some(buckets) => Some(Dependencies::Buckets(buckets)),
            None if self.listed.is_empty() => None,
            None => Some(Dependencies::Listed(self.listed.into_boxed_slice())),
        }
    }

    fn collapse_if_long(&mut self) {
        self.listed.sort_unstable();
        self.listed.dedup();
        if self.listed.len() > MAX_LISTED {
            self.collapse();
        }
    }

    fn collapse(&mut self) -> &mut BucketSet {
        let listed = std::mem::take(&mut self.listed);
        let buckets = self.buckets.get_or_insert_default();
        for label in listed {
            buckets.insert(label.bucket());
        }
        buckets
    }
}
