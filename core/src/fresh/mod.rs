//! Freshness in this process: labels, and the sequence of their invalidations.
//!
//! There is one sequence number. An invalidation takes the next one and writes it beside its
//! label in a bounded table. A render notes the sequence at its read point; what it produced may
//! be served as long as none of its labels has a number after that. Nothing has to be found or
//! removed for that to hold, so a store that races with an invalidation cannot win: what it stores
//! is older than the invalidation by its own account.
//!
//! This file knows neither keys' text nor entries nor stores.

mod dependencies;
mod label;

pub(crate) use dependencies::{Dependencies, DependencySet};
pub(crate) use label::{Label, Labels};

use std::collections::{BTreeMap, HashMap};

use crate::hash::BuildIdentityHasher;
use crate::protection::{Protection, Protections};
use crate::sync::{AtomicU64, Ordering, RwLock};

/// A position in the order of invalidations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence(u64);

impl Sequence {
    /// Steps from `earlier` to here, if they can be counted in 32 bits.
    pub(crate) fn steps_after(self, earlier: Self) -> Option<u32> {
        u32::try_from(self.0.checked_sub(earlier.0)?).ok()
    }
}

/// How many hashed buckets stand in for a dependency set that is too long to be listed.
pub(crate) const BUCKETS: usize = 4096;

/// The sequence and the table of labels.
#[derive(Debug)]
pub(crate) struct Freshness {
    sequence: AtomicU64,
    table: RwLock<Table>,
    protections: Protections,
}

#[derive(Debug)]
struct Table {
    /// Label to the sequence of its last invalidation.
    rows: HashMap<Label, u64, BuildIdentityHasher>,
    /// The same rows by sequence: the oldest is dropped when the table is full.
    by_age: BTreeMap<u64, Label>,
    /// An absent label counts as invalidated here: the newest row that was ever dropped.
    floor: u64,
    /// The last invalidation in each bucket of labels.
    buckets: Box<[u64]>,
    capacity: usize,
}

impl Freshness {
    pub(crate) fn new(capacity: usize, protections: Protections) -> Self {
        Self {
            sequence: AtomicU64::new(1),
            table: RwLock::new(Table {
                rows: HashMap::default(),
                by_age: BTreeMap::new(),
                floor: 0,
                buckets: vec![0; BUCKETS].into_boxed_slice(),
                capacity: capacity.max(1),
            }),
            protections,
        }
    }

    /// The present. As a read point: taken before the data is read.
    pub(crate) fn now(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::SeqCst))
    }

    /// A read point after every one that was taken before, though nothing is invalidated.
    pub(crate) fn advance(&self) -> Sequence {
        let _writers = self.table.write();
        let next = self.sequence.load(Ordering::SeqCst) + 1;
        self.sequence.store(next, Ordering::SeqCst);
        Sequence(next)
    }

    /// Fences everything that carries one of `labels` and was read before now.
    pub(crate) fn invalidate(&self, labels: impl IntoIterator<Item = Label>) {
        if !self.protections.keep(Protection::Fence) {
            return;
        }
        let mut table = self.table.write();
        let next = self.sequence.load(Ordering::SeqCst) + 1;
        // Rows of one call share a number, and the index by age needs one row a number.
        let mut last = next;
        for label in labels {
            table.raise(label, last);
            last += 1;
        }
        self.sequence.store(last.max(next), Ordering::SeqCst);
    }

    /// Fences everything that was read before now.
    pub(crate) fn invalidate_all(&self) {
        if !self.protections.keep(Protection::Fence) {
            return;
        }
        let mut table = self.table.write();
        let next = self.sequence.load(Ordering::SeqCst) + 1;
        table.rows.clear();
        table.by_age.clear();
        table.floor = next;
        table.buckets.fill(next);
        self.sequence.store(next, Ordering::SeqCst);
    }

    /// Whether none of these was invalidated after `read`.
    pub(crate) fn holds(
        &self,
        labels: &Labels,
        dependencies: Option<&Dependencies>,
        read: Sequence,
    ) -> bool {
        self.first_broken(labels, dependencies, read).is_none()
    }

    /// The first of these that was invalidated after `read`.
    pub(crate) fn first_broken(
        &self,
        labels: &Labels,
        dependencies: Option<&Dependencies>,
        read: Sequence,
    ) -> Option<Broken> {
        let table = self.table.read();
        if table.floor > read.0 {
            return Some(Broken::Floor);
        }
        let broken = |label: Label| table.rows.get(&label).is_some_and(|&at| at > read.0);
        if broken(labels.key) {
            return Some(Broken::Key);
        }
        if labels.name.is_some_and(broken) {
            return Some(Broken::Name);
        }
        if labels.template.is_some_and(broken) {
            return Some(Broken::Template);
        }
        let inner = match dependencies {
            None => false,
            Some(Dependencies::Listed(labels)) => labels.iter().copied().any(broken),
            Some(Dependencies::Buckets(set)) => {
                set.indices().any(|bucket| table.buckets[bucket] > read.0)
            }
        };
        inner.then_some(Broken::Inner)
    }
}

/// Which of an entry's labels was invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Key,
    Name,
    Template,
    /// A label of a fragment inside.
    Inner,
    /// Everything was cleared, or the table forgot rows that may have mattered.
    Floor,
}

impl Table {
    fn raise(&mut self, label: Label, sequence: u64) {
        self.buckets[label.bucket()] = sequence;
        if let Some(old) = self.rows.insert(label, sequence) {
            self.by_age.remove(&old);
        }
        self.by_age.insert(sequence, label);
        while self.rows.len() > self.capacity {
            let Some((dropped, label)) = self.by_age.pop_first() else { break };
            self.rows.remove(&label);
            self.floor = self.floor.max(dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(key: u64) -> Labels {
        Labels { key: Label::from_hash(key), name: None, template: None }
    }

    #[test]
    fn an_invalidation_breaks_what_was_read_before_it_and_nothing_else() {
        let fresh = Freshness::new(8, Protections::default());
        let before = fresh.now();
        fresh.invalidate([Label::from_hash(1)]);
        assert_eq!(fresh.first_broken(&labels(1), None, before), Some(Broken::Key));
        assert!(fresh.holds(&labels(2), None, before));
        assert!(fresh.holds(&labels(1), None, fresh.now()));
    }

    #[test]
    fn a_forgotten_row_costs_extra_misses_and_no_stale_hit() {
        let fresh = Freshness::new(2, Protections::default());
        let before = fresh.now();
        for key in 1..=3 {
            fresh.invalidate([Label::from_hash(key)]);
        }
        assert_eq!(fresh.table.read().rows.len(), 2);
        assert!(!fresh.holds(&labels(1), None, before), "its row is gone, the floor stands");
        assert!(!fresh.holds(&labels(9), None, before), "an extra miss");
        assert!(fresh.holds(&labels(9), None, fresh.now()));
    }

    #[test]
    fn a_call_with_many_labels_fences_each_and_the_present_is_after_all() {
        let fresh = Freshness::new(64, Protections::default());
        let before = fresh.now();
        fresh.invalidate((1..=5).map(Label::from_hash));
        for key in 1..=5 {
            assert!(!fresh.holds(&labels(key), None, before));
            assert!(fresh.holds(&labels(key), None, fresh.now()));
        }
    }

    #[test]
    fn collapsed_dependencies_still_break() {
        let fresh = Freshness::new(64, Protections::default());
        let mut set = DependencySet::default();
        for key in 0..10_000_u64 {
            set.insert(Label::from_hash(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        }
        let dependencies = set.finish();
        assert!(matches!(dependencies, Some(Dependencies::Buckets(_))));
        let read = fresh.now();
        assert!(fresh.holds(&labels(1), dependencies.as_ref(), read));
        fresh.invalidate([Label::from_hash(7_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15))]);
        assert_eq!(
            fresh.first_broken(&labels(1), dependencies.as_ref(), read),
            Some(Broken::Inner)
        );
    }
}
