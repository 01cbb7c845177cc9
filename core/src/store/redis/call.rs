//! One request on its way: what a caller hands to the I/O thread, and where it waits for the
//! answer. Nothing of sockets.

use std::sync::Arc;
use std::time::Instant;

use redis::{Pipeline, Value};

use crate::store::{Fault, StoreError};
use crate::sync::{Condvar, Mutex};

pub(super) type Outcome = Result<Vec<Value>, StoreError>;

/// A request in the hands of the I/O thread. Its caller gets an answer whatever becomes of it: one
/// that is dropped fails.
pub(super) struct Call {
    pub(super) commands: Pipeline,
    pub(super) deadline: Instant,
    slot: Arc<Slot>,
}

/// Where a caller waits.
pub(super) struct Waiter {
    deadline: Instant,
    slot: Arc<Slot>,
}

struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    Waiting,
    /// The deadline is over. What was not sent yet must not be.
    Abandoned,
    Done(Outcome),
}

impl Call {
    pub(super) fn new(commands: Pipeline, deadline: Instant) -> (Self, Waiter) {
        let slot = Arc::new(Slot { state: Mutex::new(State::Waiting), changed: Condvar::new() });
        let waiter = Waiter { deadline, slot: Arc::clone(&slot) };
        (Self { commands, deadline, slot }, waiter)
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(*self.slot.state.lock(), State::Abandoned)
    }

    /// Answers the caller, if it still waits and was not answered before.
    pub(super) fn finish(&self, outcome: Outcome) {
        self.end(State::Done(outcome));
    }

    /// Tells the caller that the deadline is over, should the I/O thread be the first to see it.
    pub(super) fn expire(&self) {
        self.end(State::Abandoned);
    }

    fn end(&self, end: State) {
        let mut state = self.slot.state.lock();
        if matches!(*state, State::Waiting) {
            *state = end;
            drop(state);
            self.slot.changed.notify_one();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Err(StoreError::new(
            Fault::Unreachable,
            "the connection was given up before the answer came",
        )));
    }
}

impl Waiter {
    /// The answer, or `None` at the deadline: from then on nothing is sent for this call.
    pub(super) fn wait(self) -> Option<Outcome> {
        let mut state = self.slot.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Abandoned) {
                State::Done(outcome) => return Some(outcome),
                State::Abandoned => return None,
                State::Waiting => *state = State::Waiting,
            }
            if self.slot.changed.wait_until(&mut state, self.deadline).timed_out()
                && matches!(*state, State::Waiting)
            {
                *state = State::Abandoned;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Deadline;

    fn in_(limit: Duration) -> Instant {
        Deadline::after(limit).instant().unwrap()
    }

    #[test]
    fn a_call_that_is_dropped_fails_its_caller() {
        let (call, waiter) = Call::new(redis::pipe(), in_(Duration::from_secs(60)));
        drop(call);
        let error = waiter.wait().unwrap().unwrap_err();
        assert_eq!(error.fault(), Fault::Unreachable);
    }

    #[test]
    fn a_call_that_expires_is_no_answer() {
        let (call, waiter) = Call::new(redis::pipe(), in_(Duration::from_secs(60)));
        call.expire();
        drop(call);
        assert!(waiter.wait().is_none());
    }

    #[test]
    fn a_call_is_abandoned_at_its_deadline_and_a_late_answer_goes_nowhere() {
        let (call, waiter) = Call::new(redis::pipe(), in_(Duration::from_millis(5)));
        assert!(!call.is_abandoned());
        assert!(waiter.wait().is_none());
        assert!(call.is_abandoned());
        call.finish(Ok(Vec::new()));
        assert!(call.is_abandoned());
    }
}
