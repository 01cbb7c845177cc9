//! Which thread waits for which flight, so that a wait that would close a cycle is not begun.

use std::collections::HashMap;
use std::sync::Arc;

use super::Flight;
use crate::sync::{Mutex, MutexGuard, ThreadId};

/// The waits under way. Every render is on one thread and waits for one flight at most, so a
/// cycle is found by walking a chain: flight, its leader, what that one waits for, and so on.
#[derive(Debug, Default)]
pub(super) struct Waits {
    by_thread: Mutex<HashMap<ThreadId, Arc<Flight>>>,
}

/// The graph held still: leaders and waits change only under it.
pub(super) struct Held<'a>(MutexGuard<'a, HashMap<ThreadId, Arc<Flight>>>);

impl Waits {
    pub(super) fn hold(&self) -> Held<'_> {
        Held(self.by_thread.lock())
    }
}

impl Held<'_> {
    /// Whether `thread` waiting for `flight` would make a cycle.
    pub(super) fn would_close_cycle(&self, thread: ThreadId, flight: &Arc<Flight>) -> bool {
        let mut next = Some(Arc::clone(flight));
        while let Some(flight) = next {
            match flight.leader() {
                Some(leader) if leader == thread => return true,
                Some(leader) => next = self.0.get(&leader).map(Arc::clone),
                None => return false,
            }
        }
        false
    }

    pub(super) fn begin(&mut self, thread: ThreadId, flight: &Arc<Flight>) {
        self.0.insert(thread, Arc::clone(flight));
    }

    pub(super) fn end(&mut self, thread: ThreadId) {
        self.0.remove(&thread);
    }
}
