//! A request in progress. Its caller waits here while another caller reads the answers. Independent
//! of sockets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use fragcache::store::StoreError;
use parking_lot::{Condvar, Mutex};
use redis::Value;

use super::answers::Large;
use super::clock::instant;
use super::pace::Limit;

/// A request that was sent or is being sent.
pub(super) struct Call {
    /// Number of expected answers.
    pub(super) answers: usize,
    /// Whether the request also queries the server's role, before these answers.
    pub(super) asks_role: bool,
    /// The expected answer after them.
    pub(super) echo: String,
    limit: Mutex<Limit>,
    /// Bytes that had arrived on the connection when it was sent.
    pub(super) before: u64,
    /// Whether its caller waits for this call, and not for one that it has sent to another node.
    is_attended: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    Waiting,
    Ended(End),
}

/// What ends a caller's wait.
pub(super) enum End {
    Answered(Vec<Value>),
    Failed(Failure),
    /// Its answers are next and no caller is reading, so it reads itself.
    Reads,
    /// The deadline has passed.
    Late,
}

/// Why a request that was sent has no answers.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// Whether the connection or another call caused the fault. A request that only reads may then
    /// be repeated on another connection.
    pub(super) is_passing: bool,
    /// Large strings in its answers, if one of them was too large.
    pub(super) large: Vec<Large>,
}

impl Failure {
    pub(super) fn passing(error: StoreError) -> Self {
        Self { error, is_passing: true, large: Vec::new() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, is_passing: false, large: Vec::new() }
    }
}

impl Call {
    pub(super) fn new(answers: usize, limit: Limit, before: u64) -> Self {
        Self {
            answers,
            asks_role: false,
            echo: format!("{:016x}", fastrand::u64(..)),
            limit: Mutex::new(limit),
            before,
            is_attended: AtomicBool::new(false),
            state: Mutex::new(State::Waiting),
            changed: Condvar::new(),
        }
    }

    pub(super) fn limit(&self) -> Limit {
        *self.limit.lock()
    }

    /// Begins to wait, within this limit if it ends later. Returns whether the call has not ended yet. The connection's
    /// line is locked meanwhile, so that whoever leaves the reading to another sees it.
    pub(super) fn attend(&self, limit: Limit) -> bool {
        let mut own = self.limit.lock();
        if limit.base() > own.base() {
            *own = limit;
        }
        drop(own);
        self.is_attended.store(true, Ordering::Relaxed);
        matches!(*self.state.lock(), State::Waiting)
    }

    pub(super) fn is_attended(&self) -> bool {
        self.is_attended.load(Ordering::Relaxed)
    }

    pub(super) fn is_echo(&self, answer: &Value) -> bool {
        matches!(answer, Value::BulkString(text) if text == self.echo.as_bytes())
    }

    /// Ends the wait. Has no effect if the call has ended already, except that it replaces a
    /// pending `Reads`.
    pub(super) fn end(&self, end: End) {
        let mut state = self.state.lock();
        if matches!(*state, State::Waiting | State::Ended(End::Reads)) {
            *state = State::Ended(end);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits for an end or for the deadline, which may move. May be called again afterwards.
    pub(super) fn wait(&self, due: impl Fn() -> Instant) -> End {
        let mut state = self.state.lock();
        loop {
            if let State::Ended(end) = std::mem::replace(&mut *state, State::Waiting) {
                return end;
            }
            if self.changed.wait_until(&mut state, due()).timed_out()
                && matches!(*state, State::Waiting)
                && due() <= instant()
            {
                return End::Late;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call() -> Call {
        Call::new(1, Limit::new(Duration::from_secs(60)), 0)
    }

    fn wait(call: &Call) -> End {
        call.wait(|| call.limit().base())
    }

    #[test]
    fn the_first_end_counts() {
        let call = call();
        call.end(End::Answered(Vec::new()));
        call.end(End::Late);
        assert!(matches!(wait(&call), End::Answered(_)));
    }

    #[test]
    fn who_is_to_read_is_told_that_nothing_comes() {
        let call = call();
        call.end(End::Reads);
        call.end(End::Late);
        assert!(matches!(wait(&call), End::Late));
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let call = Call::new(1, Limit::new(Duration::from_millis(5)), 0);
        assert!(matches!(wait(&call), End::Late));
        assert!(instant() >= call.limit().base());
    }

    #[test]
    fn waiting_goes_on_while_the_deadline_moves() {
        let call = Call::new(1, Limit::new(Duration::from_millis(5)), 0);
        let later = call.limit().base() + Duration::from_millis(10);
        let moved = std::cell::Cell::new(call.limit().base());
        assert!(matches!(call.wait(|| moved.replace(later)), End::Late));
        assert!(instant() >= later);
    }

    #[test]
    fn who_is_to_read_can_wait_again() {
        let call = call();
        call.end(End::Reads);
        assert!(matches!(wait(&call), End::Reads));
        call.end(End::Late);
        assert!(matches!(wait(&call), End::Late));
    }

    #[test]
    fn who_attends_late_has_the_time_that_is_given_then() {
        let call = Call::new(1, Limit::new(Duration::ZERO), 0);
        assert!(!call.is_attended());
        let later = Limit::new(Duration::from_secs(60));
        assert!(call.attend(later));
        assert!(call.is_attended());
        assert_eq!(call.limit().base(), later.base());
        call.end(End::Answered(Vec::new()));
        assert!(!call.attend(later));
    }

    #[test]
    fn each_call_has_an_echo_of_its_own() {
        assert_ne!(call().echo, call().echo);
    }
}
