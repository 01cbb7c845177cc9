//! Freshness in this process: labels, and the sequence of their invalidations.
//!
//! There is one sequence number. An invalidation takes the next one and writes it beside its label
//! in a bounded table. A render notes the sequence at its read point. Its output may be served as
//! long as none of its labels has a later number. Nothing has to be found or removed, so a store
//! that races with an invalidation cannot win: the read point of what it stores is older than the
//! invalidation.
//!
//! This module uses neither the text of keys nor entries nor stores.

mod repeats;

use std::collections::{BTreeMap, HashMap};

use crate::clock::Moment;
use crate::hash::BuildLabelHasher;
use crate::label::{BUCKETS, Label, Labels};
use crate::protection::{Protection, Protections};
use crate::sync::{AtomicU64, Ordering, RwLock};
use repeats::Repeats;

/// A position in the order of invalidations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence(u64);

impl Sequence {
    /// After every invalidation.
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// The raw number, which has no meaning of its own.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number of steps from `earlier` to here, if it fits 32 bits.
    #[inline]
    pub(crate) fn steps_after(self, earlier: Self) -> Option<u32> {
        u32::try_from(self.0.checked_sub(earlier.0)?).ok()
    }
}

/// The sequence and the table of labels.
#[derive(Debug)]
pub(crate) struct Freshness {
    /// The sequence times two, plus one while invalidations are to be repeated later. So a hit sees
    /// with one comparison that nothing has changed and nothing is due.
    sequence: AtomicU64,
    /// The bits of the moment at which the next repeat is due.
    next_due: AtomicU64,
    table: RwLock<Table>,
    protections: Protections,
}

impl Freshness {
    pub(crate) fn new(capacity: usize, protections: Protections) -> Self {
        Self {
            sequence: AtomicU64::new(2),
            next_due: AtomicU64::new(Moment::NEVER.to_bits()),
            table: RwLock::new(Table::new(capacity, protections.keep(Protection::Floor))),
            protections,
        }
    }

    /// The current sequence. As a read point, take it before the data is read.
    pub(crate) fn now(&self) -> Sequence {
        self.look().0
    }

    /// The current sequence, and whether it is final until the next invalidation. If not, call
    /// [`settle`] first.
    ///
    /// [`settle`]: Self::settle
    #[inline]
    pub(crate) fn look(&self) -> (Sequence, bool) {
        let raw = self.sequence.load(Ordering::SeqCst);
        (Sequence(raw >> 1), raw & 1 == 0)
    }

    /// A read point later than all earlier ones, without an invalidation.
    pub(crate) fn advance(&self) -> Sequence {
        let table = self.table.write();
        let next = self.next();
        self.publish(&table, next);
        Sequence(next)
    }

    /// Fences everything that carries one of these labels and was read before now. At `again`, also
    /// fences what was read before then.
    pub(crate) fn invalidate(&self, marks: Vec<Mark>, again: Option<Moment>) {
        if !self.protections.keep(Protection::Fence) {
            return;
        }
        let mut table = self.table.write();
        self.raise(&mut table, &marks);
        // An empty list is not repeated: it would escape the bound on repeats.
        if let Some(due) = again.filter(|_| !marks.is_empty()) {
            table.repeats.add(due, marks);
        }
        let last = self.now().0;
        self.publish(&table, last);
    }

    /// Fences everything that was read before now. At `again`, also fences what was read before
    /// then.
    pub(crate) fn invalidate_all(&self, again: Option<Moment>) {
        if !self.protections.keep(Protection::Fence) {
            return;
        }
        let mut table = self.table.write();
        let next = self.next();
        table.clear(next);
        if let Some(due) = again {
            table.repeats.add_all(due);
        }
        self.publish(&table, next);
    }

    /// Repeats the invalidations that are due at `now`. Cheap while there are none.
    pub(crate) fn settle(&self, now: Moment) {
        if self.look().1 || now.to_bits() < self.next_due.load(Ordering::SeqCst) {
            return;
        }
        let mut table = self.table.write();
        let due = table.repeats.due(now);
        if due.everything {
            let next = self.next();
            table.clear(next);
            self.publish(&table, next);
        }
        self.raise(&mut table, &due.marks);
        let last = self.now().0;
        self.publish(&table, last);
    }

    /// The next number. Call only under the table's lock.
    fn next(&self) -> u64 {
        self.now().0 + 1
    }

    /// Makes `sequence` the current one. Call only under the table's lock.
    fn publish(&self, table: &Table, sequence: u64) {
        let next = table.repeats.next();
        self.next_due.store(next.unwrap_or(Moment::NEVER).to_bits(), Ordering::SeqCst);
        self.sequence.store(sequence << 1 | u64::from(next.is_some()), Ordering::SeqCst);
    }

    fn raise(&self, table: &mut Table, marks: &[Mark]) {
        let mut last = self.now().0;
        // The index by age needs one row per number, so each label gets its own number.
        for mark in marks {
            last += 1;
            table.raise(mark, last);
        }
        self.publish(table, last);
    }

    /// Whether none of these labels was invalidated after `read`.
    pub(crate) fn holds(
        &self,
        labels: &Labels,
        dependencies: Option<&Dependencies>,
        read: Sequence,
    ) -> bool {
        self.first_broken(labels, dependencies, read).is_none()
    }

    /// The first of these labels that was invalidated after `read`.
    pub(crate) fn first_broken(
        &self,
        labels: &Labels,
        dependencies: Option<&Dependencies>,
        read: Sequence,
    ) -> Option<Broken> {
        self.table.read().first_broken(labels, dependencies, read.0)
    }

    /// The text of an invalidated tag, as its author wrote it; `None` for other labels.
    pub(crate) fn tag_of(&self, label: Label) -> Option<Box<str>> {
        self.table.read().tag_of(label)
    }

    /// Rows of the table, for tests of its bound.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> usize {
        self.table.read().len()
    }
}

/// Which of an entry's labels was invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Key,
    Name,
    Template,
    Namespace,
    /// A tag, of this fragment or of one inside.
    Tag(Label),
    /// The key, name, template or namespace of a fragment inside.
    Inner,
    /// Everything was cleared, or the table dropped rows that may have mattered.
    Floor,
}

/// Most bytes of a tag's text that are stored, to name it as the reason of a miss.
const MAX_TEXT: usize = 64;

/// A label to be invalidated.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    label: Label,
    tag: Option<Box<str>>,
}

impl Mark {
    /// The label of a tag, with its text.
    pub(crate) fn tag(label: Label, text: &str) -> Self {
        let end = (0..=text.len().min(MAX_TEXT)).rev().find(|&at| text.is_char_boundary(at));
        Self { label, tag: Some(text[..end.unwrap_or(0)].into()) }
    }
}

impl Mark {
    pub(crate) fn label(&self) -> Label {
        self.label
    }
}

impl From<Label> for Mark {
    fn from(label: Label) -> Self {
        Self { label, tag: None }
    }
}

/// A label's last invalidation.
#[derive(Debug)]
struct Row {
    at: u64,
    tag: Option<Box<str>>,
}

/// The bounded table of labels: when each was last invalidated. Dropping the oldest row raises the
/// floor, and a label that is not listed counts as invalidated at the floor.
#[derive(Debug)]
struct Table {
    rows: HashMap<Label, Row, BuildLabelHasher>,
    /// The same rows by sequence: the oldest is dropped when the table is full.
    by_age: BTreeMap<u64, Label>,
    /// The newest row that was ever dropped. Absent labels count as invalidated here.
    floor: u64,
    /// The last invalidation in each bucket of labels.
    buckets: Box<[u64]>,
    capacity: usize,
    repeats: Repeats,
    /// Whether a dropped row raises the floor. Always true outside tests.
    raises_floor: bool,
}

impl Table {
    fn new(capacity: usize, raises_floor: bool) -> Self {
        let capacity = capacity.max(1);
        Self {
            rows: HashMap::default(),
            by_age: BTreeMap::new(),
            floor: 0,
            buckets: vec![0; BUCKETS].into_boxed_slice(),
            capacity,
            repeats: Repeats::new(capacity),
            raises_floor,
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn tag_of(&self, label: Label) -> Option<Box<str>> {
        self.rows.get(&label)?.tag.clone()
    }

    /// Records that a label was invalidated at `sequence`, which no other row has.
    fn raise(&mut self, mark: &Mark, sequence: u64) {
        self.buckets[mark.label.bucket()] = sequence;
        let row = Row { at: sequence, tag: mark.tag.clone() };
        if let Some(old) = self.rows.insert(mark.label, row) {
            self.by_age.remove(&old.at);
        }
        self.by_age.insert(sequence, mark.label);
        while self.rows.len() > self.capacity {
            let Some((dropped, label)) = self.by_age.pop_first() else { break };
            self.rows.remove(&label);
            if self.raises_floor {
                self.floor = self.floor.max(dropped);
            }
        }
    }

    /// Records that everything was invalidated.
    fn clear(&mut self, sequence: u64) {
        self.rows.clear();
        self.by_age.clear();
        self.floor = sequence;
        self.buckets.fill(sequence);
    }

    fn first_broken(
        &self,
        labels: &Labels,
        dependencies: Option<&Dependencies>,
        read: u64,
    ) -> Option<Broken> {
        if self.floor > read {
            return Some(Broken::Floor);
        }
        if self.rows.is_empty() {
            return None;
        }
        let row = |label: &Label| self.rows.get(label).filter(|row| row.at > read);
        let broken = |label: &Label| row(label).is_some();
        if broken(&labels.key) {
            return Some(Broken::Key);
        }
        if labels.name.as_ref().is_some_and(broken) {
            return Some(Broken::Name);
        }
        if labels.template.as_ref().is_some_and(broken) {
            return Some(Broken::Template);
        }
        if labels.namespaces.iter().any(broken) {
            return Some(Broken::Namespace);
        }
        match dependencies? {
            Dependencies::Listed(labels) => labels.iter().find_map(|label| {
                row(label).map(|row| match row.tag {
                    Some(_) => Broken::Tag(*label),
                    None => Broken::Inner,
                })
            }),
            Dependencies::Buckets(set) => {
                set.indices().any(|bucket| self.buckets[bucket] > read).then_some(Broken::Inner)
            }
        }
    }
}

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

/// What a fragment depends on besides its own labels, while it is being rendered: its tags, and the
/// labels of all fragments inside it. Short sets are listed. Long ones collapse into buckets, which
/// costs extra misses but never serves a stale entry.
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

#[cfg(test)]
mod tests {
    use smallvec::SmallVec;

    use super::*;

    fn labels(key: u64) -> Labels {
        Labels {
            key: Label::from_hash(key),
            name: None,
            template: None,
            namespaces: SmallVec::new(),
        }
    }

    fn marks(keys: impl IntoIterator<Item = u64>) -> Vec<Mark> {
        keys.into_iter().map(|key| Label::from_hash(key).into()).collect()
    }

    #[test]
    fn an_invalidation_breaks_what_was_read_before_it_and_nothing_else() {
        let fresh = Freshness::new(8, Protections::default());
        let before = fresh.now();
        fresh.invalidate(marks([1]), None);
        assert_eq!(fresh.first_broken(&labels(1), None, before), Some(Broken::Key));
        assert!(fresh.holds(&labels(2), None, before));
        assert!(fresh.holds(&labels(1), None, fresh.now()));
    }

    #[test]
    fn a_forgotten_row_costs_extra_misses_and_no_stale_hit() {
        let fresh = Freshness::new(2, Protections::default());
        let before = fresh.now();
        for key in 1..=3 {
            fresh.invalidate(marks([key]), None);
        }
        assert_eq!(fresh.rows(), 2);
        assert!(!fresh.holds(&labels(1), None, before), "its row is gone, the floor stands");
        assert!(!fresh.holds(&labels(9), None, before), "an extra miss");
        assert!(fresh.holds(&labels(9), None, fresh.now()));
    }

    #[test]
    fn a_call_with_many_labels_fences_each_and_the_present_is_after_all() {
        let fresh = Freshness::new(64, Protections::default());
        let before = fresh.now();
        fresh.invalidate(marks(1..=5), None);
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
        fresh.invalidate(marks([7_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15)]), None);
        assert_eq!(
            fresh.first_broken(&labels(1), dependencies.as_ref(), read),
            Some(Broken::Inner)
        );
    }

    #[test]
    fn a_repeat_fences_once_more_what_was_read_until_it_is_due() {
        let fresh = Freshness::new(64, Protections::default());
        let at = |second| Moment::after(Moment::START, std::time::Duration::from_secs(second));
        let settle = |second| fresh.settle(at(second).unwrap());
        fresh.invalidate(marks([1]), at(10));
        let between = fresh.now();
        assert!(!fresh.look().1, "hits look closer until it is due");
        settle(9);
        assert!(fresh.holds(&labels(1), None, between));
        settle(10);
        assert_eq!(fresh.first_broken(&labels(1), None, between), Some(Broken::Key));
        assert!(fresh.holds(&labels(2), None, between));
        assert!(fresh.look().1);
        fresh.invalidate_all(at(20));
        let between = fresh.now();
        settle(20);
        assert!(!fresh.holds(&labels(2), None, between));
    }

    #[test]
    fn too_many_repeats_become_one_of_everything() {
        let fresh = Freshness::new(4, Protections::default());
        let due = Moment::START.after(std::time::Duration::from_secs(1));
        fresh.invalidate(marks(0..100), due);
        let between = fresh.now();
        assert!(fresh.table.read().repeats.len() <= 4);
        fresh.settle(due.unwrap());
        assert!(!fresh.holds(&labels(7), None, between));
        assert!(!fresh.holds(&labels(1000), None, between), "extra misses");
    }
}
