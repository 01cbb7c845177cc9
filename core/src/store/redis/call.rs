//! One request on its way: where its caller waits while another caller reads the answers. Nothing
//! of sockets.

use std::time::Instant;

use redis::Value;

use crate::store::StoreError;
use crate::sync::{Condvar, Mutex};

pub(super) type Outcome = Result<Vec<Value>, StoreError>;

/// A request that was sent, or is being sent.
pub(super) struct Call {
    /// How many answers it gets.
    pub(super) answers: usize,
    pub(super) deadline: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

enum State {
    Waiting,
    Ended(End),
}

/// What ends a caller's waiting.
pub(super) enum End {
    /// The answers, or why there are none.
    Answered(Outcome),
    /// Its answers are the next to come, and nobody reads them: it reads itself.
    Reads,
    /// The deadline is over.
    Late,
}

impl Call {
    pub(super) fn new(answers: usize, deadline: Instant) -> Self {
        Self { answers, deadline, state: Mutex::new(State::Waiting), changed: Condvar::new() }
    }

    /// Ends the waiting, if nothing has yet, or only to read what will not come any more.
    pub(super) fn end(&self, end: End) {
        let mut state = self.state.lock();
        if matches!(*state, State::Waiting | State::Ended(End::Reads)) {
            *state = State::Ended(end);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits until something ends it, the deadline at the latest. Then it may wait again.
    pub(super) fn wait(&self) -> End {
        let mut state = self.state.lock();
        loop {
            if let State::Ended(end) = std::mem::replace(&mut *state, State::Waiting) {
                return end;
            }
            if self.changed.wait_until(&mut state, self.deadline).timed_out()
                && matches!(*state, State::Waiting)
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
    use crate::clock::instant;

    #[test]
    fn the_first_end_counts() {
        let call = Call::new(1, instant() + Duration::from_secs(60));
        call.end(End::Answered(Ok(Vec::new())));
        call.end(End::Late);
        assert!(matches!(call.wait(), End::Answered(Ok(_))));
    }

    #[test]
    fn who_is_to_read_is_told_that_nothing_comes() {
        let call = Call::new(1, instant() + Duration::from_secs(60));
        call.end(End::Reads);
        call.end(End::Late);
        assert!(matches!(call.wait(), End::Late));
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let call = Call::new(1, instant() + Duration::from_millis(5));
        assert!(matches!(call.wait(), End::Late));
        assert!(instant() >= call.deadline);
    }

    #[test]
    fn who_is_to_read_can_wait_again() {
        let call = Call::new(1, instant() + Duration::from_secs(60));
        call.end(End::Reads);
        assert!(matches!(call.wait(), End::Reads));
        call.end(End::Late);
        assert!(matches!(call.wait(), End::Late));
    }
}
