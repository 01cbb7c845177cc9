//! The task queue of the background worker.

use std::time::{Duration, Instant};

use super::fill::Token;
use super::repeats::{Due, Repeats};
use crate::label::Label;
use crate::sync::{Condvar, Mutex};

/// Most waiting tasks of each kind. Further ones are dropped; the leases and records expire.
const MAX_WAITING: usize = 16_384;

/// The task queue of one cache.
#[derive(Debug, Default)]
pub(crate) struct TaskQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    due: DueTasks,
    /// Invalidations to publish once more.
    repeats: Repeats,
    /// Number of repeats that the worker is publishing now.
    publishing: usize,
    is_woken: bool,
    is_over: bool,
}

/// Tasks for the worker.
#[derive(Debug, Default)]
pub(super) struct DueTasks {
    /// Leases to return.
    pub(super) released: Vec<(String, Token)>,
    /// Leases to replace with the marker for a body that could not be stored.
    pub(super) unshared: Vec<(String, Token)>,
    /// Records whose TTL to renew.
    pub(super) touched: Vec<(String, Duration)>,
    /// Invalidations to publish once more.
    pub(super) repeats: Due,
}

impl TaskQueue {
    pub(super) fn release(&self, lease: String, token: Token) {
        self.add(|state| bounded(&mut state.due.released, (lease, token)));
    }

    pub(super) fn mark_unshared(&self, lease: String, token: Token) {
        self.add(|state| bounded(&mut state.due.unshared, (lease, token)));
    }

    pub(super) fn touch(&self, keys: impl Iterator<Item = (String, Duration)>) {
        self.add(|state| keys.for_each(|key| bounded(&mut state.due.touched, key)));
    }

    /// Publishes these labels once more at `at`. Wakes the worker only if the first due time
    /// changes.
    pub(super) fn repeat(&self, at: Instant, labels: &[Label]) {
        let mut state = self.state.lock();
        let before = state.repeats.next();
        state.repeats.add(at, labels);
        if state.repeats.next() != before {
            self.changed.notify_one();
        }
    }

    /// Number of labels that wait to be published once more, or are being published.
    pub(super) fn repeats(&self) -> usize {
        let state = self.state.lock();
        state.repeats.len() + state.publishing
    }

    pub(super) fn wake(&self) {
        self.add(|_| {});
    }

    /// Ends the worker and returns the remaining repeats.
    pub(super) fn end(&self) -> Due {
        self.add(|state| state.is_over = true);
        self.state.lock().repeats.all()
    }

    fn add(&self, add: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        add(&mut state);
        state.is_woken = true;
        self.changed.notify_one();
    }

    /// Waits for tasks, at most until `next`; returns `None` at the end.
    pub(super) fn wait(&self, next: Instant) -> Option<DueTasks> {
        let mut state = self.state.lock();
        state.publishing = 0;
        loop {
            if state.is_over {
                return None;
            }
            let until = state.repeats.next().map_or(next, |first| first.min(next));
            if state.is_woken || until <= crate::clock::instant() {
                break;
            }
            wait_until(&self.changed, &mut state, until);
        }
        state.is_woken = false;
        let mut due = std::mem::take(&mut state.due);
        due.repeats = state.repeats.due(crate::clock::instant());
        state.publishing = due.repeats.len();
        Some(due)
    }
}

fn bounded<T>(list: &mut Vec<T>, added: T) {
    if list.len() < MAX_WAITING {
        list.push(added);
    }
}

#[cfg(not(fragcache_shuttle))]
fn wait_until(changed: &Condvar, state: &mut crate::sync::MutexGuard<'_, State>, until: Instant) {
    changed.wait_until(state, until);
}

/// A model has no worker.
#[cfg(fragcache_shuttle)]
fn wait_until(_: &Condvar, state: &mut crate::sync::MutexGuard<'_, State>, _: Instant) {
    state.is_over = true;
}
