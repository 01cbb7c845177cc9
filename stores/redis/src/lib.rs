//! A store of [`fragcache`] in one Redis or Valkey server: [`RedisStore`]. Sentinel and Cluster are
//! not supported.
//!
//! ```
//! use fragcache::{FarLevel, FragmentCache};
//! use fragcache_redis::RedisStore;
//!
//! let store = RedisStore::connect("redis://127.0.0.1:6379")?;
//! let cache = FragmentCache::builder().far(FarLevel::new(store)).build()?;
//! # let _ = cache;
//! # Ok::<(), fragcache::Error>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

// `options` and `address` describe the server. `dial` and `tls` connect, on the thread of
// `reconnect`. `link` finds the connection for a call; callers share it through `connection` and
// `call`. `pace` limits the time of a call. `wire` and `socket` carry bytes, and `answers` parses
// them. `commands`, `sizes` and `fault` encode and decode what is sent.

mod address;
mod answers;
mod call;
mod clock;
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

pub use options::RedisOptions;

use self::address::Place;
use self::commands::Part;
use self::link::Link;
use self::sizes::Sizes;
use fragcache::Error;
use fragcache::store::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError};

/// A store in one Redis (6 or later) or Valkey server.
///
/// All calls share one connection. Calls of several threads overlap, and each thread writes its own
/// call. No call waits longer than [`operation_timeout`](RedisOptions::operation_timeout) without
/// bytes arriving; see there. Calls can be made from any thread, also within an async runtime,
/// where they block as all rendering does.
///
/// While the server cannot be reached, calls fail immediately, and a thread of the store
/// reconnects: first without delay, then after pauses of up to 2 s. The store refuses a replica,
/// since it lags behind its master. It also refuses a server that becomes a replica: it queries the
/// role every 100 ms, together with calls.
///
/// A value larger than [`max_value_bytes`](RedisOptions::max_value_bytes) is never read: it counts
/// as absent and can be overwritten. If answers do not fit the requests, the store abandons the
/// connection. Several caches can share a store through
/// [`FarLevel::shared`](fragcache::FarLevel::shared). The thread ends when the store is dropped.
///
/// The thread does not survive `fork`: open the store after forking, in the process that uses it.
///
/// The user needs permission for `MGET`, `GETRANGE`, `STRLEN`, `SET`, `DEL`, `PEXPIRE`, `EVAL` and
/// `ECHO`, for `SCAN` if an administration tool is used, and for `HELLO` and `SELECT`, which all
/// users have.
///
/// ```
/// use fragcache::store::{Fault, Store};
/// use fragcache_redis::RedisStore;
///
/// // Nothing listens there: the store opens, and its calls fail.
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
    /// Opens a store in the server at `url`, with the default settings; see [`RedisOptions::new`]
    /// for the URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](fragcache::ErrorKind::Config) if the URL is unusable. An unreachable
    /// server is not an error here: calls fail until it can be reached.
    pub fn connect(url: &str) -> Result<Self, Error> {
        RedisOptions::new(url).open()
    }

    fn check(&self, operations: &[Operation<'_>]) -> Result<(), StoreError> {
        for operation in operations {
            let bytes = operation.value().map_or(0, <[u8]>::len);
            if bytes > self.max_value_bytes {
                return Err(StoreError::new(
                    Fault::Refused,
                    format!("a value of {bytes} bytes is not sent to {}", self.place),
                ));
            }
        }
        Ok(())
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
                    // The sizes are now known, so the next attempt splits the batch or skips what
                    // is too large.
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
    let sent = operations.iter().filter_map(Operation::value).map(<[u8]>::len);
    let came = replies.iter().map(|reply| match reply {
        Reply::Value(Some(value)) => value.len(),
        _ => 0,
    });
    sent.chain(came).sum()
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
