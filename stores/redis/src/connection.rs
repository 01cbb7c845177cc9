//! One connection that all callers share. No thread stands between them and the socket: each caller
//! writes its own request, and one of the waiting callers reads, for itself and for those before
//! it.
//!
//! So a lone caller waits for the server only, and calls of several threads overlap: each is
//! written as it comes, and answers arrive in the order of the calls. A caller that has read its
//! own answers leaves the reading to the next in line that waits here.
//!
//! Sending and receiving are two steps, so that one caller can send to several nodes before it waits
//! for any of them. While it waits for another node, whoever waits here reads its answers too.
//!
//! Each call ends with an echo of a unique number, which is checked before its answers are used.
//! Answers that were duplicated, lost or swapped in transit may have the right shape, but the echo
//! shows the mistake. If an answer is late, too large or does not fit, or if anything else fails,
//! the connection is abandoned with all calls on it, so that no call receives the answers of
//! another.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fragcache::store::{Fault, StoreError};
#[cfg(not(unix))]
use parking_lot::Condvar;
use parking_lot::Mutex;
use redis::{Pipeline, Value};

use super::address::Place;
use super::answers::{Answers, Room, Unread};
use super::call::{Call, End, Failure};
use super::clock::instant;
use super::fault;
use super::pace::{Limit, Pace};
use super::wire::Wire;

/// How long a server is assumed to be a master after its role was queried. A server that has become
/// a replica still answers reads, but lags behind.
const ROLE_LASTS: Duration = Duration::from_millis(100);

/// A connection, until it is abandoned.
pub(super) struct Connection {
    place: Place,
    wire: Wire,
    max_value_bytes: usize,
    /// Locked while writing, so that calls are written in the order of the line. Contains the time
    /// when the role was last queried.
    writing: Mutex<Instant>,
    line: Mutex<Line>,
    /// Locked while reading. Contains the bytes of answers to come.
    answers: Mutex<Answers>,
    pace: Pace,
    has_answered: AtomicBool,
    #[cfg(not(unix))]
    ended: Condvar,
}

/// The calls in progress, in the order of their answers.
#[derive(Default)]
struct Line {
    calls: VecDeque<Arc<Call>>,
    /// Whether one of the callers reads, or was chosen to read.
    has_reader: bool,
    gone: Option<Gone>,
}

/// Why a connection was abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// The store was dropped.
    Closed,
    /// The server closed the connection, or its answers do not fit the requests.
    HungUp,
    /// The server is no longer a master.
    Demoted,
    /// An answer did not arrive in time. The next connection must be established before calls use
    /// it.
    Late,
    /// An answer was too large, or was still arriving at the deadline. The server itself is fine.
    TooLarge,
}

/// The outcome of sending one call.
pub(super) enum Sending {
    /// It was sent, or the connection ended while it was; [`receive`](Connection::receive) returns
    /// the outcome, and must be called.
    Sent(Sent),
    Failed(Failure),
    /// The connection was already abandoned; nothing was sent.
    NotSent,
}

/// A call that was sent on a connection.
#[must_use]
pub(super) struct Sent(Arc<Call>);

/// The outcome of a call that was sent.
pub(super) enum Received {
    Answered(Vec<Value>),
    Failed(Failure),
}

/// Why answers were not read.
enum Broken {
    Unread(Unread, Room),
    /// The server has become a replica.
    Demoted,
    /// The server refused the echo.
    Refused(StoreError),
}

impl Connection {
    pub(super) fn new(place: Place, wire: Wire, max_value_bytes: usize) -> Self {
        Self {
            place,
            wire,
            // A bounded read returns one extra byte if there is more.
            max_value_bytes: max_value_bytes + 1,
            writing: Mutex::new(instant()),
            line: Mutex::default(),
            answers: Mutex::new(Answers::new()),
            pace: Pace::new(),
            has_answered: AtomicBool::new(false),
            #[cfg(not(unix))]
            ended: Condvar::new(),
        }
    }

    /// Reads the answers to a greeting, on a connection that no caller uses yet.
    pub(super) fn greet(&self, greeting: &Pipeline, limit: Limit) -> Result<Vec<Value>, Unread> {
        self.wire.send(&greeting.get_packed_pipeline(), limit.base())?;
        let mut room = Room::new(self.max_value_bytes);
        let mut reader = self.wire.reader(&self.pace, limit, 0);
        let mut come = self.answers.lock();
        (0..greeting.len()).map(|_| come.next(&mut reader, &mut room)).collect()
    }

    /// Sends these commands within the limit. Counts what is sent.
    pub(super) fn send(&self, commands: &Pipeline, limit: Limit, sent: &AtomicU64) -> Sending {
        let mut packed = match commands.is_empty() {
            true => Vec::new(),
            false => commands.get_packed_pipeline(),
        };
        let limit = limit.for_sending(packed.len());
        let mut call = Call::new(commands.len(), limit, self.pace.arrived());
        let Some(mut asked_role) = self.writing.try_lock_until(limit.base()) else {
            return Sending::Failed(self.late(limit).into());
        };
        let now = instant();
        if now.duration_since(*asked_role) >= ROLE_LASTS {
            *asked_role = now;
            call.asks_role = true;
            packed.splice(..0, *b"*1\r\n$5\r\nHELLO\r\n");
        }
        packed.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$16\r\n");
        packed.extend_from_slice(call.echo.as_bytes());
        packed.extend_from_slice(b"\r\n");
        let call = Arc::new(call);
        {
            let mut line = self.line.lock();
            if line.gone.is_some() {
                return Sending::NotSent;
            }
            if line.calls.is_empty() && self.has_leftover() {
                drop(line);
                self.give_up(Gone::HungUp);
                return Sending::NotSent;
            }
            line.calls.push_back(Arc::clone(&call));
        }
        let written = self.wire.send(&packed, limit.base());
        drop(asked_role);
        sent.fetch_add(1, Ordering::Relaxed);
        match written {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => self.give_up(Gone::Late),
            Err(_) => self.give_up(Gone::HungUp),
            Ok(()) => {}
        }
        Sending::Sent(Sent(call))
    }

    /// Returns the answers to a call that was sent. `limit` applies from now on if it ends later.
    pub(super) fn receive(&self, sent: Sent, limit: Limit) -> Received {
        let Sent(call) = sent;
        let reads = {
            let mut line = self.line.lock();
            call.attend(limit) && !std::mem::replace(&mut line.has_reader, true)
        };
        if reads {
            return self.read_for(&call);
        }
        match self.wait(&call) {
            End::Reads => self.read_for(&call),
            ended => self.ended(&call, ended),
        }
    }

    /// Whether bytes have arrived that no call expects.
    fn has_leftover(&self) -> bool {
        self.wire.has_input() || self.answers.try_lock().is_some_and(|come| come.has_more())
    }

    fn wait(&self, call: &Call) -> End {
        call.wait(|| self.pace.due(call.limit(), call.before))
    }

    /// The outcome of a call that has ended without reading its own end.
    fn ended(&self, call: &Call, end: End) -> Received {
        match end {
            End::Answered(answers) => Received::Answered(answers),
            End::Failed(failure) => Received::Failed(failure),
            End::Late | End::Reads => {
                let (gone, error) = self.overdue(call);
                self.give_up(gone);
                Received::Failed(error.into())
            }
        }
    }

    /// What follows when a call's deadline has passed.
    fn overdue(&self, call: &Call) -> (Gone, StoreError) {
        let limit = call.limit();
        if !self.pace.is_moving(limit, call.before) {
            return (Gone::Late, self.late(limit));
        }
        let message = format!("the answers of {} arrive too slowly", self.place);
        (Gone::TooLarge, StoreError::new(Fault::Slow, message))
    }

    fn late(&self, limit: Limit) -> StoreError {
        let message = format!("no answer from {} within {:?}", self.place, limit.timeout);
        StoreError::new(Fault::Deadline, message)
    }

    /// Reads answers up to and including those to `call`.
    fn read_for(&self, call: &Arc<Call>) -> Received {
        let mut come = self.answers.lock();
        loop {
            let next = self.line.lock().calls.front().cloned();
            // The line is empty if the connection was abandoned; then the call has ended.
            let Some(next) = next else { return self.ended(call, self.wait(call)) };
            let answers = match self.read(&mut come, &next) {
                Ok(answers) => answers,
                Err(broken) => {
                    self.give_up_for(&next, broken);
                    return self.ended(call, self.wait(call));
                }
            };
            self.note_answer();
            let is_mine = Arc::ptr_eq(&next, call);
            let is_demoted = answers.iter().any(fault::is_demotion);
            let mut line = self.line.lock();
            line.calls.pop_front();
            if is_mine {
                let has_leftover = line.calls.is_empty() && come.has_more();
                drop(come);
                match line.calls.iter().find(|call| call.is_attended()) {
                    Some(heir) => heir.end(End::Reads),
                    None => line.has_reader = false,
                }
                drop(line);
                if is_demoted {
                    self.give_up(Gone::Demoted);
                } else if has_leftover {
                    self.give_up(Gone::HungUp);
                }
                return Received::Answered(answers);
            }
            drop(line);
            next.end(End::Answered(answers));
            if is_demoted {
                self.give_up(Gone::Demoted);
            }
        }
    }

    /// Reads the answers to a call and checks the echo after them.
    fn read(&self, come: &mut Answers, call: &Call) -> Result<Vec<Value>, Broken> {
        let mut reader = self.wire.reader(&self.pace, call.limit(), call.before);
        let mut room = Room::new(self.max_value_bytes);
        let mut next = |room: &mut Room, answer| {
            room.answer = answer;
            come.next(&mut reader, room)
        };
        let mut answers = Vec::with_capacity(call.answers);
        let mut read = || -> Result<(Option<Value>, Value), Unread> {
            let role = call.asks_role.then(|| next(&mut room, 0)).transpose()?;
            for answer in 0..call.answers {
                let value = next(&mut room, answer)?;
                // An earlier answer is missing, and no more will come.
                if call.is_echo(&value) {
                    return Err(Unread::Nonsense);
                }
                answers.push(value);
            }
            Ok((role, next(&mut room, call.answers)?))
        };
        let (role, echo) = match read() {
            Ok(read) => read,
            Err(unread) => return Err(Broken::Unread(unread, room)),
        };
        match echo {
            echo if call.is_echo(&echo) => {}
            Value::ServerError(error) => {
                return Err(Broken::Refused(fault::refusal(&self.place, &error)));
            }
            _ => return Err(Broken::Unread(Unread::Nonsense, room)),
        }
        match role.as_ref().map(fault::is_replica) {
            Some(true) => Err(Broken::Demoted),
            _ => Ok(answers),
        }
    }

    /// Abandons the connection because of the answers to a call.
    fn give_up_for(&self, call: &Arc<Call>, broken: Broken) {
        let place = &self.place;
        let (gone, mine) = match broken {
            Broken::Unread(Unread::Late, _) => {
                let (gone, error) = self.overdue(call);
                (gone, error.into())
            }
            Broken::Unread(Unread::HungUp, _) => {
                (Gone::HungUp, Failure::passing(fault::hung_up(place)))
            }
            Broken::Unread(Unread::Nonsense, _) => {
                (Gone::HungUp, Failure::passing(fault::nonsense(place)))
            }
            Broken::Unread(Unread::TooLarge, room) => {
                let mut failure = Failure::passing(fault::too_large(place));
                failure.large = room.large;
                (Gone::TooLarge, failure)
            }
            Broken::Demoted => (Gone::Demoted, fault::replica(place).into()),
            Broken::Refused(error) => (Gone::HungUp, Failure::passing(error)),
        };
        self.give_up_with(gone, Some((call, mine)));
    }

    /// Ends the connection and all calls on it. Only the first reason counts.
    pub(super) fn give_up(&self, gone: Gone) {
        self.give_up_with(gone, None);
    }

    fn give_up_with(&self, gone: Gone, mut culprit: Option<(&Arc<Call>, Failure)>) {
        let calls = {
            let mut line = self.line.lock();
            if line.gone.is_some() {
                return;
            }
            line.gone = Some(gone);
            std::mem::take(&mut line.calls)
        };
        if gone == Gone::TooLarge {
            self.note_answer();
        }
        let now = instant();
        let others = self.failure_of_others(gone);
        for call in calls {
            let is_culprit = |(culprit, _): &mut (&Arc<Call>, _)| Arc::ptr_eq(culprit, &call);
            let end = match culprit.take_if(is_culprit) {
                Some((_, failure)) => failure,
                None if gone == Gone::Late && self.pace.due(call.limit(), call.before) <= now => {
                    self.late(call.limit()).into()
                }
                None => others.clone(),
            };
            call.end(End::Failed(end));
        }
        self.wire.shut_down();
        #[cfg(not(unix))]
        self.ended.notify_all();
    }

    /// The failure for calls that did not cause the fault.
    fn failure_of_others(&self, gone: Gone) -> Failure {
        let place = &self.place;
        match gone {
            Gone::HungUp => Failure::passing(fault::hung_up(place)),
            Gone::Demoted => fault::replica(place).into(),
            Gone::TooLarge => Failure::passing(StoreError::new(
                Fault::Slow,
                format!("the connection to {place} was closed because of another answer"),
            )),
            Gone::Closed | Gone::Late => StoreError::new(
                Fault::Unreachable,
                "the connection was closed before the answer arrived",
            )
            .into(),
        }
    }

    /// Waits until the connection is abandoned, then closes the socket. On Unix the connection is
    /// abandoned as soon as the server closes it, even while no call is in progress.
    pub(super) fn watch(&self) -> Gone {
        #[cfg(unix)]
        {
            self.wire.hung_up();
            self.give_up(Gone::HungUp);
        }
        let line = self.line.lock();
        #[cfg(not(unix))]
        let mut line = line;
        #[cfg(not(unix))]
        while line.gone.is_none() {
            self.ended.wait(&mut line);
        }
        let gone = line.gone;
        drop(line);
        self.wire.close();
        gone.unwrap_or(Gone::HungUp)
    }

    /// Whether any call was answered since the greeting.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    fn note_answer(&self) {
        if !self.has_answered.load(Ordering::Relaxed) {
            self.has_answered.store(true, Ordering::Relaxed);
        }
    }

    /// Ignores the greeting, which was not a call.
    pub(super) fn greeted(&self) {
        self.has_answered.store(false, Ordering::Relaxed);
    }
}
