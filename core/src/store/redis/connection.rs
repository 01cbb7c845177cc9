//! One connection that all callers share. There is no thread between them and the socket: whoever
//! calls writes, and of those who wait, one reads, for itself and for those who were before it.
//!
//! So a lone caller waits for nothing but the server, and calls of several threads are under way
//! together: each is written as it comes, and answers come in the order of the calls. Who has read
//! its own answers leaves the reading to the next in line. When an answer is late, or anything else
//! goes wrong, the connection is given up with all calls on it, so that no late answer is taken for
//! another's.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use redis::{Pipeline, RedisResult, Value};

use super::address::Place;
use super::answers::Answers;
use super::call::{Call, End, Outcome};
use super::fault;
use super::wire::Wire;
use crate::clock::instant;
use crate::store::{Fault, StoreError};
#[cfg(not(unix))]
use crate::sync::Condvar;
use crate::sync::Mutex;

/// A connection, until it is given up.
pub(super) struct Connection {
    place: Place,
    wire: Wire,
    /// Held by who writes, so that calls are written in the order of the line.
    writing: Mutex<()>,
    line: Mutex<Line>,
    /// Held by who reads; it keeps what was read of answers to come.
    answers: Mutex<Answers>,
    has_answered: AtomicBool,
    #[cfg(not(unix))]
    ended: Condvar,
}

/// The calls that are under way, in the order in which they are answered.
#[derive(Default)]
struct Line {
    calls: VecDeque<Arc<Call>>,
    /// Whether one of the callers reads, or has been told to.
    has_reader: bool,
    gone: Option<Gone>,
}

/// Why a connection was given up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// Nobody can call any more.
    Closed,
    /// The other side hung up, talked nonsense, or is no master any more.
    HungUp,
    /// An answer did not come in time. The next connection must prove itself first.
    Late,
}

/// What came of one call.
pub(super) enum Asked {
    Answered(Outcome),
    /// The deadline is over.
    Late,
    /// The connection was given up before; nothing was sent.
    NotSent,
}

impl From<End> for Asked {
    fn from(end: End) -> Self {
        match end {
            End::Answered(outcome) => Self::Answered(outcome),
            End::Late | End::Reads => Self::Late,
        }
    }
}

impl Connection {
    pub(super) fn new(place: Place, wire: Wire) -> Self {
        Self {
            place,
            wire,
            writing: Mutex::new(()),
            line: Mutex::default(),
            answers: Mutex::new(Answers::new()),
            has_answered: AtomicBool::new(false),
            #[cfg(not(unix))]
            ended: Condvar::new(),
        }
    }

    /// The answers to these commands, within the deadline. Counts what is sent.
    pub(super) fn ask(&self, commands: &Pipeline, deadline: Instant, sent: &AtomicU64) -> Asked {
        let packed = commands.get_packed_pipeline();
        let call = Arc::new(Call::new(commands.len(), deadline));
        let Some(writing) = self.writing.try_lock_until(deadline) else { return Asked::Late };
        let reads = {
            let mut line = self.line.lock();
            if line.gone.is_some() {
                return Asked::NotSent;
            }
            line.calls.push_back(Arc::clone(&call));
            !std::mem::replace(&mut line.has_reader, true)
        };
        let written = self.wire.send(&packed, deadline);
        drop(writing);
        sent.fetch_add(1, Ordering::Relaxed);
        match written {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => self.give_up(Gone::Late),
            Err(_) => self.give_up(Gone::HungUp),
            Ok(()) if reads => return self.read_for(&call),
            Ok(()) => {}
        }
        match call.wait() {
            End::Reads => self.read_for(&call),
            End::Late => {
                self.give_up(Gone::Late);
                Asked::Late
            }
            ended @ End::Answered(_) => ended.into(),
        }
    }

    /// Reads answers until those to `call` have come.
    fn read_for(&self, call: &Arc<Call>) -> Asked {
        let mut come = self.answers.lock();
        loop {
            let next = self.line.lock().calls.front().cloned();
            // Without one, the connection was given up, and the call has its end.
            let Some(next) = next else { return call.wait().into() };
            let answers = match self.read(&mut come, &next) {
                Ok(answers) => answers,
                Err(error) if error.is_timeout() => {
                    self.give_up(Gone::Late);
                    return call.wait().into();
                }
                Err(error) => {
                    self.give_up_for(Gone::HungUp, &fault::broken(&self.place, &error));
                    return call.wait().into();
                }
            };
            if !self.has_answered.load(Ordering::Relaxed) {
                self.has_answered.store(true, Ordering::Relaxed);
            }
            let is_mine = Arc::ptr_eq(&next, call);
            let is_demoted = answers.iter().any(fault::is_demotion);
            let mut line = self.line.lock();
            line.calls.pop_front();
            if is_mine {
                drop(come);
                match line.calls.front() {
                    Some(heir) => heir.end(End::Reads),
                    None => line.has_reader = false,
                }
                drop(line);
                if is_demoted {
                    self.give_up(Gone::HungUp);
                }
                return Asked::Answered(Ok(answers));
            }
            drop(line);
            next.end(End::Answered(Ok(answers)));
            if is_demoted {
                self.give_up(Gone::HungUp);
            }
        }
    }

    fn read(&self, come: &mut Answers, call: &Call) -> RedisResult<Vec<Value>> {
        let mut reader = self.wire.reader(call.deadline);
        (0..call.answers).map(|_| come.next(&mut reader)).collect()
    }

    /// Ends the connection and all calls on it; only the first reason counts.
    pub(super) fn give_up(&self, gone: Gone) {
        let reason = match gone {
            Gone::HungUp => format!("{} hung up", self.place),
            _ => "the connection was given up before the answer came".to_owned(),
        };
        self.give_up_for(gone, &StoreError::new(Fault::Unreachable, reason));
    }

    fn give_up_for(&self, gone: Gone, reason: &StoreError) {
        let calls = {
            let mut line = self.line.lock();
            if line.gone.is_some() {
                return;
            }
            line.gone = Some(gone);
            std::mem::take(&mut line.calls)
        };
        let now = instant();
        for call in calls {
            let is_late = gone == Gone::Late && call.deadline <= now;
            call.end(if is_late { End::Late } else { End::Answered(Err(reason.clone())) });
        }
        self.wire.shut_down();
        #[cfg(not(unix))]
        self.ended.notify_all();
    }

    /// Waits until the connection is given up, which it is as soon as the other side hangs up, also
    /// while nobody calls. Then the socket is closed.
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

    /// The greeting was no call.
    pub(super) fn greeted(&self) {
        self.has_answered.store(false, Ordering::Relaxed);
    }
}
