//! Pending invalidations: those that the store has not accepted yet. This process acts on them
//! immediately, and takes nothing that carries one of their labels from the store until they are
//! published.

use std::collections::HashMap;

use crate::hash::BuildLabelHasher;
use crate::label::Label;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Most pending labels; beyond that, everything is invalidated.
const MAX_PENDING: usize = 65_536;

/// The labels with pending invalidations.
#[derive(Debug)]
pub(super) struct Pending {
    count: AtomicU64,
    waiting: Mutex<PendingLabel>,
    /// The label of everything.
    root: Label,
}

#[derive(Debug, Default)]
struct PendingLabel {
    /// Each label has a number. A label that is invalidated again while it is published gets a new
    /// number and stays pending.
    labels: HashMap<Label, u64, BuildLabelHasher>,
    last: u64,
}

impl Pending {
    pub(super) fn new(root: Label) -> Self {
        Self { count: AtomicU64::new(0), waiting: Mutex::default(), root }
    }

    pub(super) fn len(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) fn add(&self, labels: &[Label]) {
        let mut waiting = self.waiting.lock();
        for &label in labels {
            waiting.last += 1;
            let number = waiting.last;
            waiting.labels.insert(label, number);
        }
        if waiting.labels.len() > MAX_PENDING {
            waiting.last += 1;
            let number = waiting.last;
            waiting.labels.clear();
            waiting.labels.insert(self.root, number);
        }
        self.count.store(waiting.labels.len() as u64, Ordering::SeqCst);
    }

    /// Whether one of these labels is pending, or everything is.
    pub(super) fn hides(&self, labels: impl IntoIterator<Item = Label>) -> bool {
        if self.len() == 0 {
            return false;
        }
        let waiting = self.waiting.lock();
        waiting.labels.contains_key(&self.root)
            || labels.into_iter().any(|label| waiting.labels.contains_key(&label))
    }

    /// The pending labels, with the numbers that [`settle`](Self::settle) needs.
    pub(super) fn all(&self) -> Vec<(Label, u64)> {
        self.waiting.lock().labels.iter().map(|(&label, &number)| (label, number)).collect()
    }

    /// Removes labels that have been published.
    pub(super) fn settle(&self, published: &[(Label, u64)]) {
        let mut waiting = self.waiting.lock();
        for (label, number) in published {
            if waiting.labels.get(label) == Some(number) {
                waiting.labels.remove(label);
            }
        }
        self.count.store(waiting.labels.len() as u64, Ordering::SeqCst);
    }
}
