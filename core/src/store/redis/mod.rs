//! A store in one Redis or Valkey server. Several servers (Sentinel, Cluster) are not here.
//!
//! `options` and `address` say where it is; `dial` and `tls` connect, on the thread of `reconnect`;
//! `link` finds the connection for a call, which callers share by `connection` and `call`; `wire` and
//! `socket` carry bytes; `commands` and `fault` are what is said on the wire.

mod address;
mod answers;
mod call;
mod commands;
mod connection;
mod dial;
mod fault;
mod link;
mod options;
mod reconnect;
mod socket;
mod tls;
mod wire;

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use options::RedisOptions;

use self::address::Place;
use self::link::Link;
use super::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError, Value};
use crate::error::Error;

/// Largest value that is sent, in bytes. Servers take more, but not within a page's deadline.
const MAX_VALUE_BYTES: usize = 8 << 20;

/// A store in one Redis (6 or later) or Valkey server.
///
/// All calls share one connection: calls of several threads are under way together, each is written
/// and read by its own thread, and none takes longer than
/// [`operation_timeout`](RedisOptions::operation_timeout), whatever the network does. Calls can be
/// made from any thread, also within an async runtime, where they block like all rendering does.
///
/// While the server cannot be reached, calls fail at once, and a thread of the store's own connects
/// anew: first without delay, then after pauses of up to 2 s. A server that is a replica is refused,
/// since it is behind its master. Several caches can share a store by
/// [`FarLevel::shared`](crate::FarLevel::shared). The thread ends when the store is dropped.
///
/// The thread does not survive `fork`: open the store in the process that uses it, after forking.
///
/// The user needs the commands `MGET`, `SET`, `DEL`, `PEXPIRE` and `EVAL`, for an administrator's
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
            Some(bytes) if bytes > MAX_VALUE_BYTES => Err(StoreError::new(
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
        Capabilities::new("redis").max_value_bytes(MAX_VALUE_BYTES).touches(true).scans(true)
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
        let answers = self.link.ask(&commands::pipeline(operations), &self.place)?;
        commands::replies(operations, answers, &self.place)
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        let answers = self.link.ask(&commands::scan(prefix, cursor)?, &self.place)?;
        commands::page(answers, &self.place)
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
