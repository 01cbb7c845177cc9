//! The bounded table of labels: when each was last invalidated. Dropping the oldest row raises the
//! floor, and a label that is not listed counts as invalidated at the floor.

use std::collections::{BTreeMap, HashMap};

use super::repeats::Repeats;
use super::{Broken, Dependencies};
use crate::hash::BuildLabelHasher;
use crate::label::{BUCKETS, Label, Labels};

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

#[derive(Debug)]
pub(super) struct Table {
    rows: HashMap<Label, Row, BuildLabelHasher>,
    /// The same rows by sequence: the oldest is dropped when the table is full.
    by_age: BTreeMap<u64, Label>,
    /// The newest row that was ever dropped. Absent labels count as invalidated here.
    floor: u64,
    /// The last invalidation in each bucket of labels.
    buckets: Box<[u64]>,
    capacity: usize,
    pub(super) repeats: Repeats,
    /// Whether a dropped row raises the floor. Always true outside tests.
    raises_floor: bool,
}

impl Table {
    pub(super) fn new(capacity: usize, raises_floor: bool) -> Self {
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
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn tag_of(&self, label: Label) -> Option<Box<str>> {
        self.rows.get(&label)?.tag.clone()
    }

    /// Records that a label was invalidated at `sequence`, which no other row has.
    pub(super) fn raise(&mut self, mark: &Mark, sequence: u64) {
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
    pub(super) fn clear(&mut self, sequence: u64) {
        self.rows.clear();
        self.by_age.clear();
        self.floor = sequence;
        self.buckets.fill(sequence);
    }

    pub(super) fn first_broken(
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
