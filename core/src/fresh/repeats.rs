//! Invalidations that are to happen once more, for data that is read from replicas which lag: what
//! they told a render in the meantime may be as old as what was invalidated. There is no timer;
//! whoever looks first after a repeat is due carries it out.

use super::Mark;
use crate::clock::Moment;

/// Repeats to come, bounded: too many become one of everything.
#[derive(Debug)]
pub(super) struct Repeats {
    waiting: Vec<(Moment, Vec<Mark>)>,
    everything: Vec<Moment>,
    /// Past all bounds, everything is repeated at every look until here.
    throughout: Option<Moment>,
    marks: usize,
    capacity: usize,
}

/// What is due.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) everything: bool,
    pub(super) marks: Vec<Mark>,
}

impl Repeats {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: Vec::new(), everything: Vec::new(), throughout: None, marks: 0, capacity }
    }

    /// When the next one is due; `None` if there is none.
    pub(super) fn next(&self) -> Option<Moment> {
        if self.throughout.is_some() {
            return Some(Moment::START);
        }
        let waiting = self.waiting.iter().map(|&(due, _)| due);
        waiting.chain(self.everything.iter().copied()).min()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.marks
    }

    pub(super) fn add(&mut self, due: Moment, marks: Vec<Mark>) {
        self.marks += marks.len();
        self.waiting.push((due, marks));
        if self.marks > self.capacity {
            let all = std::mem::take(&mut self.waiting);
            self.marks = 0;
            for (due, _) in all {
                self.add_all(due);
            }
        }
    }

    pub(super) fn add_all(&mut self, due: Moment) {
        if self.everything.len() < self.capacity {
            self.everything.push(due);
        } else {
            let last = self.everything.drain(..).chain(self.throughout).fold(due, Moment::max);
            self.throughout = Some(last);
        }
    }

    pub(super) fn due(&mut self, now: Moment) -> Due {
        let mut due = Due::default();
        let before = self.everything.len();
        self.everything.retain(|&moment| moment > now);
        due.everything = self.everything.len() < before || self.throughout.is_some();
        self.throughout = self.throughout.filter(|&until| until > now);
        self.waiting.retain_mut(|(moment, marks)| {
            if *moment > now {
                return true;
            }
            due.marks.append(marks);
            false
        });
        self.marks -= due.marks.len();
        due
    }
}
