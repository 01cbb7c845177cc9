//! The connections to one server. A call takes one for itself, and gives it back if all answers
//! fitted. Threads that connect live only as long as that takes; no call waits for one longer than
//! its own deadline.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fragcache::store::{Fault, StoreError};
use parking_lot::{Condvar, Mutex};

use super::address::Place;
use super::clock::instant;
use super::connection::Connection;
use super::dial::Dialer;
use super::fault::one_line;
use super::limit::Limit;

/// The connections to one server.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    dialer: Dialer,
    /// Most connections.
    most: usize,
    state: Mutex<State>,
    /// A connection was given back, or an attempt to connect ended.
    changed: Condvar,
    connects: AtomicU64,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Connections, idle or in use.
    open: usize,
    /// Attempts under way.
    dialing: usize,
    /// Counts failures. A connection of an earlier generation is not used again: an idle one would
    /// reach the server at once, before what a failed call has sent, and then the failed call could
    /// take effect after a later one.
    generation: u64,
    down: Option<Down>,
    /// The next pause after a failed attempt.
    pause: Duration,
}

/// Why there is no connection, and when the next attempt may begin.
struct Down {
    error: StoreError,
    until: Instant,
}

/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Pool {
    /// A pool, and the first attempt to connect.
    pub(super) fn new(dialer: Dialer, most: usize) -> Self {
        let pool = Self(Arc::new(Shared {
            dialer,
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
            connects: AtomicU64::new(0),
        }));
        pool.dial(&mut pool.0.state.lock());
        pool
    }

    pub(super) fn place(&self) -> &Place {
        &self.0.dialer.place
    }

    /// Whether the server was reached last time.
    pub(super) fn is_up(&self) -> bool {
        let state = self.0.state.lock();
        state.down.is_none() && state.open > 0
    }

    /// How often a connection was made, and how many there are.
    pub(super) fn counts(&self) -> (u64, u64) {
        let open = self.0.state.lock().open as u64;
        (self.0.connects.load(Ordering::Relaxed), open)
    }

    /// Takes a connection; waits for one until the deadline.
    pub(super) fn take(&self, limit: &Limit) -> Result<Connection, StoreError> {
        let mut state = self.0.state.lock();
        let mut has_dialed = false;
        loop {
            while let Some(mut connection) = state.idle.pop() {
                if connection.generation == state.generation && !connection.wire.is_disturbed() {
                    return Ok(connection);
                }
                state.open -= 1;
            }
            if let Some(down) = &state.down {
                let error = down.error.clone();
                if state.dialing == 0 && down.until <= instant() {
                    self.dial(&mut state);
                }
                return Err(error);
            }
            // The first connection is made once, and not by each of many callers.
            let is_first = state.open == 0 && state.dialing == 0;
            let is_more = state.open > 0 && !has_dialed && state.open + state.dialing < self.0.most;
            if is_first || is_more {
                has_dialed = true;
                self.dial(&mut state);
                continue;
            }
            if self.0.changed.wait_until(&mut state, limit.deadline()).timed_out() {
                return Err(self.none_in_time(&state, limit));
            }
        }
    }

    fn none_in_time(&self, state: &State, limit: &Limit) -> StoreError {
        let (place, timeout) = (self.place(), limit.timeout());
        if state.open == 0 {
            let message = format!("no connection to {place} within {timeout:?}");
            return StoreError::new(Fault::Deadline, message);
        }
        let message = format!(
            "all {} connections to {place} were in use for {timeout:?}: allow more with \
             connections",
            state.open
        );
        // The calls that use them report an outage, if it is one.
        StoreError::new(Fault::Slow, message)
    }

    /// Gives a connection back.
    pub(super) fn put(&self, connection: Connection) {
        let mut state = self.0.state.lock();
        if connection.generation == state.generation {
            state.idle.push(connection);
        } else {
            state.open -= 1;
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// Gives up a connection on which a call has failed with `error`. Whatever the call has sent
    /// may still arrive; so unless it only read, all other connections are given up too.
    pub(super) fn discard(&self, connection: Connection, only_reads: bool, error: &StoreError) {
        // Before the state changes: the server sees the end before a new connection.
        drop(connection);
        let mut state = self.0.state.lock();
        state.open -= 1;
        let is_late = error.fault() == Fault::Deadline;
        if !only_reads || is_late {
            state.generation += 1;
            state.open -= state.idle.len();
            state.idle.clear();
        }
        if is_late && state.down.is_none() {
            // Calls fail at once until the server answers.
            state.down = Some(Down { error: error.clone(), until: instant() });
            if state.dialing == 0 {
                self.dial(&mut state);
            }
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// Starts a thread that connects.
    fn dial(&self, state: &mut State) {
        state.dialing += 1;
        let (shared, generation) = (Arc::clone(&self.0), state.generation);
        let thread = std::thread::Builder::new().name("fragcache-memcached".to_owned());
        if let Err(error) = thread.spawn(move || shared.dial(generation)) {
            self.0.dialed(state, generation, Err(no_thread(&error)));
        }
    }
}

fn no_thread(error: &io::Error) -> StoreError {
    let message = format!("the thread that connects cannot be started: {}", one_line(error));
    StoreError::new(Fault::Unreachable, message)
}

impl Shared {
    fn dial(&self, generation: u64) {
        let dialed = self.dialer.dial();
        let mut state = self.state.lock();
        self.dialed(&mut state, generation, dialed);
        drop(state);
        self.changed.notify_all();
    }

    fn dialed(&self, state: &mut State, generation: u64, dialed: Result<Connection, StoreError>) {
        state.dialing -= 1;
        match dialed {
            Ok(mut connection) => {
                self.connects.fetch_add(1, Ordering::Relaxed);
                state.pause = FIRST_PAUSE;
                // A call has failed meanwhile: this connection may be older than what it sent. The
                // server does answer.
                state.down = None;
                if generation == state.generation {
                    connection.generation = generation;
                    state.open += 1;
                    state.idle.push(connection);
                }
            }
            Err(error) => {
                let pause = state.pause.max(FIRST_PAUSE);
                state.pause = (pause * 2).min(LONGEST_PAUSE);
                // All processes lose a server at the same time; jitter spreads their attempts.
                let until = instant() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                state.down = Some(Down { error, until });
                state.generation += 1;
                state.open -= state.idle.len();
                state.idle.clear();
            }
        }
    }
}
