//! Assigns calls to a connection, limits how many are in progress, and knows the state of the
//! server. The connection itself is in `connection`, and `reconnect` makes it.

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
use super::connection::{Asked, Connection, Gone};
use super::dial::Dialer;
use super::pace::Limit;
use super::reconnect::Reconnect;

/// How often a request that only reads is repeated on another connection.
const REPEATS: usize = 2;

/// The callers' side. Dropping it ends the connecting thread.
pub(super) struct Link {
    operation_timeout: Duration,
    queue_length: u64,
    pub(super) state: Arc<LinkState>,
}

/// State shared by callers and the connecting thread.
#[derive(Default)]
pub(super) struct LinkState {
    status: Mutex<Status>,
    changed: Condvar,
    pub(super) counts: Counts,
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

#[derive(Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) deadlines_missed: AtomicU64,
    pub(super) round_trips: AtomicU64,
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

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.status.lock(), Status::Up(_))
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

    /// Sends these commands and decodes their answers with `read`, within the limit. Commands that
    /// only read are repeated if the connection failed and they did not cause it. `place` is named
    /// in messages.
    pub(super) fn ask<T>(
        &self,
        commands: &Pipeline,
        only_reads: bool,
        limit: Limit,
        place: &Place,
        read: impl Fn(Vec<Value>) -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        let counts = &self.state.counts;
        // Callers count up and down themselves and always return, so the count cannot drift.
        let others = counts.calls.fetch_add(1, Ordering::Relaxed);
        let outcome = if others >= self.queue_length {
            let message = format!("{others} calls to {place} are waiting already");
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
            // An answer that is too large would be so again.
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
