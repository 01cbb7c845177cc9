//! From a call to a connection: which one it is sent on, how many may be under way, and what is
//! known of the server. The connection itself is in `connection`, and is made in `reconnect`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};

use super::address::Place;
use super::connection::{Asked, Connection, Gone};
use super::dial::Dialer;
use super::reconnect::Reconnect;
use crate::clock::instant;
use crate::store::{Fault, StoreError};
use crate::sync::{Condvar, Mutex};

/// The callers' end. The thread that connects ends when it is dropped.
pub(super) struct Link {
    operation_timeout: Duration,
    queue_length: u64,
    pub(super) state: Arc<LinkState>,
}

/// What callers and the thread that connects both know.
#[derive(Default)]
pub(super) struct LinkState {
    status: Mutex<Status>,
    changed: Condvar,
    pub(super) counts: Counts,
}

/// What becomes of a call that is made now.
#[derive(Default)]
pub(super) enum Status {
    /// It waits for the connection that is being made.
    #[default]
    Trying,
    /// It is sent.
    Up(Arc<Connection>),
    /// It fails, because the last attempt did.
    Down(StoreError),
    /// There is none: nobody can call any more.
    Closed,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) deadlines_missed: AtomicU64,
    pub(super) round_trips: AtomicU64,
}

impl LinkState {
    /// Whether it could be set: once closed, always closed.
    pub(super) fn set(&self, new: Status) -> bool {
        let mut status = self.status.lock();
        if matches!(*status, Status::Closed) {
            return false;
        }
        *status = new;
        drop(status);
        self.changed.notify_all();
        true
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.status.lock(), Status::Up(_))
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.status.lock(), Status::Closed)
    }

    /// Waits so long, or until nobody can call any more.
    pub(super) fn pause(&self, pause: Duration) {
        let end = instant() + pause;
        let mut status = self.status.lock();
        while !matches!(*status, Status::Closed)
            && !self.changed.wait_until(&mut status, end).timed_out()
        {}
    }

    fn close(&self) {
        let before = std::mem::replace(&mut *self.status.lock(), Status::Closed);
        self.changed.notify_all();
        if let Status::Up(connection) = before {
            connection.give_up(Gone::Closed);
        }
    }

    /// A connection other than `spent`, as soon as there is one.
    fn connection(
        &self,
        spent: Option<&Arc<Connection>>,
        deadline: Instant,
        place: &Place,
    ) -> Result<Arc<Connection>, StoreError> {
        let mut status = self.status.lock();
        loop {
            match &*status {
                Status::Up(connection)
                    if spent.is_none_or(|spent| !Arc::ptr_eq(spent, connection)) =>
                {
                    return Ok(Arc::clone(connection));
                }
                Status::Down(error) => return Err(error.clone()),
                Status::Up(_) | Status::Trying | Status::Closed => {}
            }
            if self.changed.wait_until(&mut status, deadline).timed_out() {
                let message = format!("{place} is still being connected");
                let error = StoreError::new(Fault::Unreachable, message);
                // One caller has waited in vain; the next ones need not.
                if matches!(*status, Status::Trying) {
                    *status = Status::Down(error.clone());
                }
                return Err(error);
            }
        }
    }
}

impl Link {
    /// Starts the thread that connects.
    pub(super) fn new(
        dialer: Dialer,
        operation_timeout: Duration,
        queue_length: usize,
    ) -> io::Result<Self> {
        let state = Arc::new(LinkState::default());
        Reconnect { dialer, state: Arc::clone(&state) }.start()?;
        Ok(Self { operation_timeout, queue_length: queue_length as u64, state })
    }

    /// The answers to these commands, within the deadline. `place` is asked, for messages.
    pub(super) fn ask(&self, commands: &Pipeline, place: &Place) -> Result<Vec<Value>, StoreError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let counts = &self.state.counts;
        // Counted by callers, who always come back, so that the count cannot drift.
        let others = counts.calls.fetch_add(1, Ordering::Relaxed);
        let outcome = if others >= self.queue_length {
            let message = format!("{others} calls to {place} wait already");
            Err(StoreError::new(Fault::Deadline, message))
        } else {
            self.send(commands, place)
        };
        counts.calls.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    fn send(&self, commands: &Pipeline, place: &Place) -> Result<Vec<Value>, StoreError> {
        let deadline = instant() + self.operation_timeout;
        let counts = &self.state.counts;
        let mut spent = None;
        loop {
            let connection = self.state.connection(spent.as_ref(), deadline, place)?;
            match connection.ask(commands, deadline, &counts.round_trips) {
                Asked::Answered(outcome) => return outcome,
                Asked::Late => {
                    counts.deadlines_missed.fetch_add(1, Ordering::Relaxed);
                    return Err(StoreError::new(
                        Fault::Deadline,
                        format!("no answer from {place} within {:?}", self.operation_timeout),
                    ));
                }
                Asked::NotSent => spent = Some(connection),
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.close();
    }
}
