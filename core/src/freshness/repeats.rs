//! Invalidations that are repeated later, for data that is read from lagging replicas: until they
//! catch up, a render may read data as old as what was invalidated. There is no timer; the first
//! lookup after a repeat is due carries it out.

use std::collections::BTreeMap;

use super::Mark;
use crate::clock::Moment;

/// Repeats to come. They are bounded: too many collapse into repeats of everything.
#[derive(Debug)]
pub(super) struct Repeats {
    /// By the moment at which they are due.
    waiting: BTreeMap<Moment, Due>,
    /// Beyond all bounds, everything is repeated at every lookup until this moment.
    throughout: Option<Moment>,
    /// How many marks are waiting.
    marks: usize,
    capacity: usize,
}

/// What is repeated at one moment.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) everything: bool,
    pub(super) marks: Vec<Mark>,
}

impl Repeats {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: BTreeMap::new(), throughout: None, marks: 0, capacity }
    }

    /// When the next one is due; `None` if there is none.
    pub(super) fn next(&self) -> Option<Moment> {
        let waiting = self.waiting.first_key_value().map(|(&due, _)| due);
        self.throughout.map(|_| Moment::START).or(waiting)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.marks
    }

    pub(super) fn add(&mut self, due: Moment, marks: Vec<Mark>) {
        self.marks += marks.len();
        self.waiting.entry(due).or_default().marks.extend(marks);
        if self.marks > self.capacity {
            for due in self.waiting.values_mut().filter(|due| !due.marks.is_empty()) {
                *due = Due { everything: true, marks: Vec::new() };
            }
            self.marks = 0;
        }
        self.bound();
    }

    pub(super) fn add_all(&mut self, due: Moment) {
        self.waiting.entry(due).or_default().everything = true;
        self.bound();
    }

    fn bound(&mut self) {
        if self.waiting.len() > self.capacity {
            let last = self.waiting.last_key_value().map(|(&due, _)| due);
            self.throughout = self.throughout.max(last);
            self.waiting.clear();
            self.marks = 0;
        }
    }

    /// Takes what is due at `now`.
    pub(super) fn due(&mut self, now: Moment) -> Due {
        let mut all = Due { everything: self.throughout.is_some(), marks: Vec::new() };
        self.throughout = self.throughout.filter(|&until| until > now);
        while let Some(next) = self.waiting.first_entry().filter(|next| *next.key() <= now) {
            let due = next.remove();
            all.everything |= due.everything;
            self.marks -= due.marks.len();
            all.marks.extend(due.marks);
        }
        all
    }
}
