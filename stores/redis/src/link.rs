//! Assigns calls to the connection to one server, and knows the state of that server. The
//! connection itself is in `connection`, and `reconnect` makes it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fragcache::store::{Fault, StoreError};
use parking_lot::{Condvar, Mutex};
use redis::{Pipeline, Value};

use super::address::Place;
use super::call::Failure;
use super::clock::instant;
use super::connection::{Connection, Gone, Received, Sending, Sent};
use super::dial::Dialer;
use super::pace::Limit;
use super::reconnect::Reconnect;

/// How often a request that only reads is repeated on another connection.
const REPEATS: usize = 2;

/// The callers' side. Dropping it ends the connecting thread.
pub(super) struct Link {
    pub(super) place: Place,
    state: Arc<LinkState>,
}

/// A request that was sent.
#[must_use]
pub(super) struct Begun {
    connection: Arc<Connection>,
    sent: Sent,
}

/// Called when a connection was lost or could not be made.
pub(super) type Lost = Arc<dyn Fn() + Send + Sync>;

/// State shared by callers and the connecting thread.
pub(super) struct LinkState {
    status: Mutex<Status>,
    changed: Condvar,
    pub(super) counts: Arc<Counts>,
    pub(super) lost: Lost,
}

/// What happens to a new call.
#[derive(Default)]
pub(super) enum Status {
    /// It waits for the connection that is being made.
    #[default]
    Trying,
    /// It is sent on this connection.
    Up(Arc<Connection>),
    /// It fails, because the last attempt to connect failed.
    Down(StoreError),
    /// The store was dropped; there are no more calls.
    Closed,
}

/// What the connections of a store count together.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) deadlines_missed: AtomicU64,
    pub(super) round_trips: AtomicU64,
}

impl Counts {
    /// Runs a call, unless `queue_length` calls are in progress already.
    pub(super) fn call<T>(
        &self,
        queue_length: usize,
        run: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Callers count up and down themselves and always return, so the count cannot drift.
        let others = self.calls.fetch_add(1, Ordering::Relaxed);
        let outcome = if others >= queue_length as u64 {
            let message = format!("{others} calls to the Redis server are waiting already");
            Err(StoreError::new(Fault::Deadline, message))
        } else {
            run()
        };
        self.calls.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = &outcome
            && matches!(error.fault(), Fault::Deadline | Fault::Slow)
        {
            self.deadlines_missed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

impl LinkState {
    /// Sets the status; returns false if it is closed, which is final.
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

    /// Waits until an attempt to connect has succeeded or failed, or until the deadline.
    fn tried(&self, deadline: Instant) -> Result<(), StoreError> {
        let mut status = self.status.lock();
        loop {
            match &*status {
                Status::Up(_) => return Ok(()),
                Status::Down(error) => return Err(error.clone()),
                Status::Trying | Status::Closed => {}
            }
            if self.changed.wait_until(&mut status, deadline).timed_out() {
                return Err(StoreError::new(Fault::Unreachable, "the connection is not open yet"));
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.status.lock(), Status::Closed)
    }

    /// Waits for this time, or until the store is dropped.
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

    /// Waits for a connection other than `spent`.
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
                let message = format!("the connection to {place} is not open yet");
                let error = StoreError::new(Fault::Unreachable, message);
                // One caller has waited without success; the next ones need not.
                if matches!(*status, Status::Trying) {
                    *status = Status::Down(error.clone());
                }
                return Err(error);
            }
        }
    }
}

impl Link {
    /// Starts the connecting thread.
    pub(super) fn new(dialer: Dialer, counts: Arc<Counts>, lost: Lost) -> io::Result<Self> {
        let state =
            Arc::new(LinkState { status: Mutex::default(), changed: Condvar::new(), counts, lost });
        let place = dialer.place.clone();
        Reconnect { dialer, state: Arc::clone(&state) }.start()?;
        Ok(Self { place, state })
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.status.lock(), Status::Up(_))
    }

    /// Waits until the first attempt to connect has ended, or until the deadline.
    pub(super) fn tried(&self, deadline: Instant) -> Result<(), StoreError> {
        self.state.tried(deadline)
    }

    /// Sends these commands and decodes their answers with `read`, within the limit. Commands that
    /// only read are repeated if the connection failed and they did not cause it.
    pub(super) fn ask<T>(
        &self,
        commands: &Pipeline,
        only_reads: bool,
        limit: Limit,
        read: impl Fn(Vec<Value>) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        let begun = self.begin(commands, limit)?;
        self.finish(begun, commands, only_reads, limit, read)
    }

    /// Sends these commands. [`finish`](Self::finish) returns the answers.
    pub(super) fn begin(&self, commands: &Pipeline, limit: Limit) -> Result<Begun, Failure> {
        self.send(commands, limit, None)
    }

    /// Sends these commands on a connection other than `spent`.
    fn send(
        &self,
        commands: &Pipeline,
        limit: Limit,
        mut spent: Option<Arc<Connection>>,
    ) -> Result<Begun, Failure> {
        loop {
            let connection = self.state.connection(spent.as_ref(), limit.base(), &self.place)?;
            match connection.send(commands, limit, &self.state.counts.round_trips) {
                Sending::Sent(sent) => return Ok(Begun { connection, sent }),
                Sending::Failed(failure) => return Err(failure),
                Sending::NotSent => spent = Some(connection),
            }
        }
    }

    /// Decodes the answers to what was sent.
    pub(super) fn finish<T>(
        &self,
        mut begun: Begun,
        commands: &Pipeline,
        only_reads: bool,
        limit: Limit,
        read: impl Fn(Vec<Value>) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        let mut repeats = if only_reads { REPEATS } else { 0 };
        loop {
            let connection = begun.connection;
            let failure = match connection.receive(begun.sent, limit) {
                Received::Answered(answers) => match read(answers) {
                    Err(error) if error.fault() == Fault::Protocol => {
                        connection.give_up(Gone::HungUp);
                        Failure::passing(error)
                    }
                    read => return Ok(read?),
                },
                Received::Failed(failure) => failure,
            };
            // An answer that is too large would be so again.
            if repeats == 0 || !failure.is_passing || !failure.large.is_empty() {
                return Err(failure);
            }
            repeats -= 1;
            begun = self.send(commands, limit, Some(connection))?;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.close();
    }
}
