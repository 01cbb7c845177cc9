//! From a call to a connection: which one it is sent on, how many may be under way, and what is
//! known of the server. The connection itself is in `connection`, and is made in `reconnect`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};

use super::address::Place;
use super::call::Failure;
use super::connection::{Asked, Connection, Gone};
use super::dial::Dialer;
use super::pace::Limit;
use super::reconnect::Reconnect;
use crate::clock::instant;
use crate::store::{Fault, StoreError};
use crate::sync::{Condvar, Mutex};

/// How often what only reads is asked again on another connection.
const REPEATS: usize = 2;

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

    /// The limit of a call that begins now.
    pub(super) fn limit(&self) -> Limit {
        Limit::new(self.operation_timeout)
    }

    /// What `read` makes of the answers to these commands, within the limit. Commands that only read
    /// are asked again when the connection fails for another reason than theirs. `place` is asked, for
    /// messages.
    pub(super) fn ask<T>(
        &self,
        commands: &Pipeline,
        only_reads: bool,
        limit: Limit,
        place: &Place,
        read: impl Fn(Vec<Value>) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        let counts = &self.state.counts;
        // Counted by callers, who always come back, so that the count cannot drift.
        let others = counts.calls.fetch_add(1, Ordering::Relaxed);
        let outcome = if others >= self.queue_length {
            let message = format!("{others} calls to {place} wait already");
            Err(StoreError::new(Fault::Deadline, message).into())
        } else {
            self.send(commands, if only_reads { REPEATS } else { 0 }, limit, place, read)
        };
        counts.calls.fetch_sub(1, Ordering::Relaxed);
        if let Err(Failure { error, .. }) = &outcome
            && matches!(error.fault(), Fault::Deadline | Fault::Slow)
        {
            counts.deadlines_missed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    fn send<T>(
        &self,
        commands: &Pipeline,
        mut repeats: usize,
        limit: Limit,
        place: &Place,
        read: impl Fn(Vec<Value>) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        let mut spent = None;
        loop {
            let connection = self.state.connection(spent.as_ref(), limit.base(), place)?;
            let failure = match connection.ask(commands, limit, &self.state.counts.round_trips) {
                Asked::Answered(answers) => match read(answers) {
                    Err(error) if error.fault() == Fault::Protocol => {
                        connection.give_up(Gone::HungUp);
                        Failure::passing(error)
                    }
                    read => return Ok(read?),
                },
                Asked::Failed(failure) => failure,
                Asked::NotSent => {
                    spent = Some(connection);
                    continue;
                }
            };
            // What is too large would be so again.
            if repeats == 0 || !failure.is_passing || !failure.large.is_empty() {
                return Err(failure);
            }
            repeats -= 1;
            spent = Some(connection);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.close();
    }
}
