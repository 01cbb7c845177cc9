//! I1 across two levels: the order of reads and writes of a far store, beside the near level of one
//! process. The far store is a map of records with versions; the model proves the order.
//!
//! - A fill is marked before the far store is read: its read point comes first.
//! - An invalidation raises the near sequence, writes to the far store, and raises the sequence
//!   again after the far store has answered. A fill that was marked in between may have read the
//!   far store before the write arrived, but looks newer than the first raise.

use std::collections::HashMap;
use std::sync::Arc;

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

use super::{finds, holds, join};
use crate::freshness::{Freshness, Sequence};
use crate::label::{Label, Labels};
use crate::protection::{Protection, Protections};
use crate::sync::Mutex;

/// The only fragment of these models.
const KEY: u64 = 7;

/// A record of the far store.
#[derive(Debug, Default, Clone, Copy)]
struct Record {
    /// Raised by every invalidation.
    version: u64,
    /// The markup, with the version that was read before its data.
    stored: Option<(u64, u64)>,
}

/// A store that several processes share.
#[derive(Debug, Default)]
struct Far(Mutex<HashMap<u64, Record>>);

impl Far {
    /// The markup if it may be served, and the version for a render that starts now.
    fn get(&self, key: u64) -> (Option<u64>, u64) {
        let record = self.0.lock().get(&key).copied().unwrap_or_default();
        let servable = record.stored.filter(|&(_, version)| version == record.version);
        (servable.map(|(markup, _)| markup), record.version)
    }

    fn put(&self, key: u64, markup: u64, version: u64) {
        self.0.lock().entry(key).or_default().stored = Some((markup, version));
    }

    fn invalidate(&self, key: u64) {
        self.0.lock().entry(key).or_default().version += 1;
    }
}

/// One process: a near level of one entry, its freshness, the far store, and the data.
struct Process {
    fresh: Freshness,
    near: Mutex<Option<(u64, Sequence)>>,
    far: Arc<Far>,
    truth: Arc<AtomicU64>,
    protections: Protections,
}

fn labels() -> Labels {
    Labels {
        key: Label::from_hash(KEY),
        name: None,
        template: None,
        namespaces: smallvec::SmallVec::new(),
    }
}

impl Process {
    fn new(without: Option<Protection>) -> Self {
        let protections = without.map_or_else(Protections::default, Protections::without);
        let far = Arc::new(Far::default());
        far.put(KEY, 0, 0);
        Self {
            fresh: Freshness::new(16, protections),
            near: Mutex::new(None),
            far,
            truth: Arc::new(AtomicU64::new(0)),
            protections,
        }
    }

    /// Serves the fragment from the near level, from the far store, or from a new render.
    fn get(&self) -> u64 {
        if let Some((markup, read)) = *self.near.lock()
            && self.fresh.holds(&labels(), None, read)
        {
            return markup;
        }
        let marked = self.fresh.now();
        let (found, version) = self.far.get(KEY);
        let markup = found.unwrap_or_else(|| {
            let markup = self.truth.load(Ordering::SeqCst);
            self.far.put(KEY, markup, version);
            markup
        });
        let kept = self.protections.keep(Protection::MarkFill);
        let read = if kept { marked } else { self.fresh.now() };
        let mut near = self.near.lock();
        if near.is_none_or(|(_, before)| before <= read) {
            *near = Some((markup, read));
        }
        markup
    }

    fn raise(&self) {
        self.fresh.invalidate(vec![Label::from_hash(KEY).into()], None);
    }

    fn invalidate(&self) {
        self.raise();
        self.far.invalidate(KEY);
        if self.protections.keep(Protection::RaiseAgain) {
            self.raise();
        }
    }
}

/// Reads race with a change and its invalidation.
fn far_fill_against_invalidation(without: Option<Protection>) {
    let process = Arc::new(Process::new(without));
    let reader = |times: usize| {
        let process = Arc::clone(&process);
        thread::spawn(move || {
            for _ in 0..times {
                process.get();
            }
        })
    };
    let change = {
        let process = Arc::clone(&process);
        thread::spawn(move || {
            process.truth.store(1, Ordering::SeqCst);
            process.invalidate();
            assert_eq!(process.get(), 1, "stale after its own invalidation");
        })
    };
    join([reader(2), reader(1), change]);
    assert_eq!(process.get(), 1, "stale in the near level");
    assert_eq!(process.far.get(KEY).0, Some(1), "stale in the far level");
}

#[test]
fn model_i1_no_stale_near_entry_comes_of_a_far_read() {
    holds(far_fill_against_invalidation);
}

#[test]
fn model_finds_the_stale_near_entry_when_the_sequence_is_not_raised_again() {
    finds(far_fill_against_invalidation, Protection::RaiseAgain, "stale");
}

#[test]
fn model_finds_the_stale_near_entry_when_a_fill_is_marked_after_its_far_read() {
    finds(far_fill_against_invalidation, Protection::MarkFill, "stale");
}
