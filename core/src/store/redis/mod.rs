//! A store in one Redis or Valkey server. Several servers (Sentinel, Cluster) are not here.
//!
//! `options` and `address` say where it is; `dial` and `tls` connect, on the thread of `reconnect`;
//! `link` finds the connection for a call, which callers share by `connection` and `call`; `pace` says
//! how long that may take; `wire` and `socket` carry bytes, and `answers` cuts them; `commands`, `sizes`
//! and `fault` are what is said on the wire.

mod address;
mod answers;
mod call;
mod commands;
mod connection;
mod dial;
mod fault;
mod link;
mod options;
mod pace;
mod reconnect;
mod sizes;
mod socket;
mod tls;
mod wire;

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use options::RedisOptions;

use self::address::Place;
use self::commands::Part;
use self::link::Link;
use self::sizes::Sizes;
use super::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError, Value};
use crate::error::Error;

/// A store in one Redis (6 or later) or Valkey server.
///
/// All calls share one connection: calls of several threads are under way together, and each is
/// written and read by its own thread. None takes longer than
/// [`operation_timeout`](RedisOptions::operation_timeout) without bytes arriving; see there. Calls can
/// be made from any thread, also within an async runtime, where they block like all rendering does.
///
/// While the server cannot be reached, calls fail at once, and a thread of the store's own connects
/// anew: first without delay, then after pauses of up to 2 s. A server that is a replica is refused,
/// since it is behind its master, and so is one that becomes a replica: its role is asked every
/// 100 ms, together with calls.
///
/// A value larger than [`max_value_bytes`](RedisOptions::max_value_bytes) is not read, whoever wrote
/// it: it is absent, and can be overwritten. A connection whose answers do not fit what was asked is
/// given up. Several caches can share a store by
/// [`FarLevel::shared`](crate::FarLevel::shared). The thread ends when the store is dropped.
///
/// The thread does not survive `fork`: open the store in the process that uses it, after forking.
///
/// The user needs the commands `MGET`, `GETRANGE`, `STRLEN`, `SET`, `DEL`, `PEXPIRE`, `EVAL` and `ECHO`, for an administrator's
/// tool `SCAN`, and `HELLO` and `SELECT` as all users have them.
///
/// ```
/// use fragcache::store::{Fault, RedisStore, Store};
///
/// // Nothing listens there, which is no reason not to serve pages.
/// let store = RedisStore::connect("redis://127.0.0.1:1/0")?;
/// let error = store.get_many(&["key"]).unwrap_err();
/// assert_eq!(error.fault(), Fault::Unreachable);
/// # Ok::<(), fragcache::Error>(())
/// ```
pub struct RedisStore {
    link: Link,
    place: Place,
    database: i64,
    max_value_bytes: usize,
    sizes: Sizes,
}

impl RedisStore {
    /// The server at `url`, with the default settings; see [`RedisOptions::new`] for the URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the URL is unusable. That the server
    /// cannot be reached is no error here: calls fail until it can.
    pub fn connect(url: &str) -> Result<Self, Error> {
        RedisOptions::new(url).open()
    }

    fn one(&self, operation: Operation<'_>) -> Result<bool, StoreError> {
        match self.run(&[operation])?.as_slice() {
            [Reply::Done(done)] => Ok(*done),
            _ => Err(fault::nonsense(&self.place)),
        }
    }

    fn check(&self, operations: &[Operation<'_>]) -> Result<(), StoreError> {
        let longest = operations.iter().map(|operation| match operation {
            Operation::Set { value, .. }
            | Operation::Add { value, .. }
            | Operation::CompareAndSet { value, .. } => value.len(),
            _ => 0,
        });
        match longest.max() {
            Some(bytes) if bytes > self.max_value_bytes => Err(StoreError::new(
                Fault::Refused,
                format!("a value of {bytes} bytes is not sent to {}", self.place),
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStore({}/{})", self.place, self.database)
    }
}

impl Store for RedisStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("redis").max_value_bytes(self.max_value_bytes).touches(true).scans(true)
    }

    fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Value>>, StoreError> {
        let gets: Vec<_> = keys.iter().map(|key| Operation::Get { key }).collect();
        let values = self.run(&gets)?.into_iter().map(|reply| match reply {
            Reply::Value(value) => Ok(value),
            Reply::Done(_) => Err(fault::nonsense(&self.place)),
        });
        values.collect()
    }

    fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        self.one(Operation::Set { key, value, ttl }).map(drop)
    }

    fn add(&self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, StoreError> {
        self.one(Operation::Add { key, value, ttl })
    }

    fn delete(&self, key: &str) -> Result<bool, StoreError> {
        self.one(Operation::Delete { key })
    }

    fn compare_and_delete(&self, key: &str, expected: &[u8]) -> Result<bool, StoreError> {
        self.one(Operation::CompareAndDelete { key, expected })
    }

    fn compare_and_set(
        &self,
        key: &str,
        expected: &[u8],
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.one(Operation::CompareAndSet { key, expected, value, ttl })
    }

    fn touch(&self, key: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.one(Operation::Touch { key, ttl })
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        self.check(operations)?;
        let mut replies = Vec::with_capacity(operations.len());
        let mut limit = self.link.limit();
        while let Some(rest) = operations.get(replies.len()..).filter(|rest| !rest.is_empty()) {
            let part = Part::first(rest, &self.sizes, self.max_value_bytes as u64);
            let read = |answers| part.replies(answers, &self.sizes, &self.place);
            let (commands, only_reads) = (part.pipeline(), part.only_reads);
            match self.link.ask(&commands, only_reads, limit, &self.place, read) {
                Ok(more) => {
                    limit = limit.earned(bytes(part.operations(), &more));
                    replies.extend(more);
                }
                Err(failure) => {
                    if failure.error.fault() == Fault::Deadline {
                        for operation in part.operations() {
                            if let Operation::Get { key } = operation {
                                self.sizes.doubt(key);
                            }
                        }
                    }
                    for large in &failure.large {
                        if let Some(key) = part.key(large.answer, large.element) {
                            self.sizes.note(key, large.bytes);
                        }
                    }
                    // Now that the sizes are known, it is split, or what is too large is left out.
                    if failure.large.is_empty() || !only_reads {
                        return Err(failure.error);
                    }
                }
            }
        }
        Ok(replies)
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        let commands = commands::scan(prefix, cursor)?;
        let read = |answers| commands::page(answers, &self.place);
        let page = self.link.ask(&commands, true, self.link.limit(), &self.place, read);
        page.map_err(|failure| failure.error)
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let (state, counts) = (&self.link.state, &self.link.state.counts);
        vec![
            ("connected", u64::from(state.is_up())),
            ("reconnects", counts.connections.load(Ordering::Relaxed).saturating_sub(1)),
            ("calls_under_way", counts.calls.load(Ordering::Relaxed)),
            ("deadlines_missed", counts.deadlines_missed.load(Ordering::Relaxed)),
            ("round_trips", counts.round_trips.load(Ordering::Relaxed)),
        ]
    }
}

/// How many bytes of values were exchanged.
fn bytes(operations: &[Operation<'_>], replies: &[Reply]) -> usize {
    let sent = operations.iter().map(|operation| match operation {
        Operation::Set { value, .. } | Operation::Add { value, .. } => value.len(),
        _ => 0,
    });
    let came = replies.iter().map(|reply| match reply {
        Reply::Value(Some(value)) => value.len(),
        _ => 0,
    });
    sent.chain(came).sum()
}
