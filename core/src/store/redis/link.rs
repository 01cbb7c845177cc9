//! Between the callers' threads and the I/O thread: how a call is handed over, how many may be
//! under way, and what is known of the connection. The I/O thread itself is in `serve`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::sync::mpsc;

use super::call::Call;
use super::dial::Dialer;
use super::serve::Server;
use crate::clock::Deadline;
use crate::store::{Fault, StoreError};
use crate::sync::RwLock;

/// The callers' end. The I/O thread ends when it is dropped.
pub(super) struct Link {
    queue: mpsc::UnboundedSender<Call>,
    operation_timeout: Duration,
    queue_length: u64,
    pub(super) state: Arc<LinkState>,
}

/// What both ends know.
#[derive(Default)]
pub(super) struct LinkState {
    status: RwLock<Status>,
    pub(super) counts: Counts,
}

/// What becomes of a call that is made now.
#[derive(Default)]
pub(super) enum Status {
    /// It waits for the connection that is being made.
    #[default]
    Trying,
    /// It is sent.
    Up,
    /// It fails, because the last attempt did.
    Down(StoreError),
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) deadlines_missed: AtomicU64,
    pub(super) round_trips: AtomicU64,
}

impl LinkState {
    pub(super) fn set(&self, status: Status) {
        *self.status.write() = status;
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.status.read(), Status::Up)
    }

    /// Why a call that is made now fails at once, if it does.
    pub(super) fn down(&self) -> Option<StoreError> {
        match &*self.status.read() {
            Status::Trying | Status::Up => None,
            Status::Down(error) => Some(error.clone()),
        }
    }
}

impl Link {
    /// Starts the I/O thread, which begins to connect.
    pub(super) fn new(dialer: Dialer, operation_timeout: Duration) -> io::Result<Self> {
        let (queue, calls) = mpsc::unbounded_channel();
        let state = Arc::new(LinkState::default());
        let queue_length = dialer.queue_length as u64;
        Server { dialer, state: Arc::clone(&state) }.start(calls)?;
        Ok(Self { queue, operation_timeout, queue_length, state })
    }

    /// The answers to these commands, within the deadline. `what` is asked, for messages.
    pub(super) fn ask(
        &self,
        commands: Pipeline,
        what: &impl std::fmt::Display,
    ) -> Result<Vec<Value>, StoreError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(error) = self.state.down() {
            return Err(error);
        }
        let Some(deadline) = Deadline::after(self.operation_timeout).instant() else {
            return Err(StoreError::new(Fault::Deadline, "the operation timeout is too long"));
        };
        let counts = &self.state.counts;
        // Counted by callers, who always come back, so that the count cannot drift.
        let others = counts.calls.fetch_add(1, Ordering::Relaxed);
        let outcome = if others >= self.queue_length {
            Some(Err(StoreError::new(
                Fault::Deadline,
                format!("{others} calls to {what} wait already"),
            )))
        } else {
            let (call, waiter) = Call::new(commands, deadline);
            // What cannot be sent is dropped, and fails its caller.
            let _ = self.queue.send(call);
            waiter.wait()
        };
        counts.calls.fetch_sub(1, Ordering::Relaxed);
        outcome.unwrap_or_else(|| {
            counts.deadlines_missed.fetch_add(1, Ordering::Relaxed);
            Err(StoreError::new(
                Fault::Deadline,
                format!("no answer from {what} within {:?}", self.operation_timeout),
            ))
        })
    }
}
