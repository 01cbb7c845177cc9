//! A store of [`fragcache`] in Redis or Valkey: [`RedisStore`]. One server, the master that
//! Sentinel names, or a Cluster.
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

// `options` and `address` describe the servers. `topology` knows which there are: one, or those that
// sentinels or the nodes of a cluster name. `batch` runs a call on a cluster. For each server, `dial`
// and `tls` connect, on the thread of `reconnect`, and `link` finds the connection for a call;
// callers share it through `connection` and `call`. `pace` limits the time of a call. `wire` and
// `socket` carry bytes, and `answers` parses them. `commands`, `sizes` and `fault` encode and decode
// what is sent.

mod address;
mod answers;
mod batch;
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
mod topology;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use options::RedisOptions;

use self::batch::Batch;
use self::commands::{Mode, Part};
use self::link::Link;
use self::pace::Limit;
use self::sizes::Sizes;
use self::topology::{Nodes, View};
use fragcache::Error;
use fragcache::store::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError};

/// A store in Redis (6 or later) or Valkey: one server, the master that sentinels name, or a
/// cluster; see [`RedisOptions::new`].
///
/// All calls share one connection to each node. Calls of several threads overlap, and each thread writes its own
/// call. No call waits longer than [`operation_timeout`](RedisOptions::operation_timeout) without
/// bytes arriving; see there. Calls can be made from any thread, also within an async runtime,
/// where they block as all rendering does.
///
/// While the server cannot be reached, calls fail immediately, and a thread of the store
/// reconnects: first without delay, then after pauses of up to 2 s. The store refuses a replica,
/// since it lags behind its master. It also refuses a server that becomes a replica: it queries the
/// role every 100 ms, together with calls.
///
/// With sentinels or a cluster, a thread of the store asks for the nodes: when a connection is lost, a
/// node redirects a call or is no longer a primary, and every 10 s (sentinels) or 30 s (cluster). It
/// connects to new nodes before it replaces the old ones. On a cluster, reads go to all nodes at
/// once, and operations of a batch with writes keep their order: adjacent ones for the same node go
/// together, others after each other.
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
/// users have; on a cluster also for `ASKING`, `CLUSTER SLOTS` and `CLUSTER INFO`.
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
    nodes: Nodes,
    /// What the store is called in messages.
    name: String,
    operation_timeout: Duration,
    queue_length: usize,
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
                    format!("a value of {bytes} bytes is not sent to {}", self.name),
                ));
            }
        }
        Ok(())
    }

    /// Runs one call, unless too many are in progress.
    fn call<T>(
        &self,
        run: impl FnOnce(Arc<View>, Limit) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.nodes.counts().call(self.queue_length, || {
            let limit = Limit::new(self.operation_timeout);
            run(self.nodes.view(limit.base())?, limit)
        })
    }

    /// Runs operations on the only node.
    fn run_on(
        &self,
        link: &Link,
        operations: &[Operation<'_>],
        mut limit: Limit,
    ) -> Result<Vec<Reply>, StoreError> {
        let mut replies = Vec::with_capacity(operations.len());
        while let Some(rest) = operations.get(replies.len()..).filter(|rest| !rest.is_empty()) {
            let max_value = self.max_value_bytes as u64;
            let part = Part::first(rest, Mode::Server, &self.sizes, max_value);
            let read = |answers| part.replies(answers, &self.sizes, &link.place);
            match link.ask(&part.pipeline(), part.only_reads, limit, read) {
                Ok(more) => {
                    limit = limit.earned(bytes(part.operations(), &more));
                    replies.extend(more);
                }
                Err(failure) => {
                    if let Some(error) = part.learn(&failure, &self.sizes) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(replies)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStore({})", self.name)
    }
}

impl Store for RedisStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("redis").max_value_bytes(self.max_value_bytes).touches(true).scans(true)
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        self.check(operations)?;
        self.call(|view, limit| match view.links.as_slice() {
            [link] if view.slots.is_none() => self.run_on(link, operations, limit),
            _ => {
                let max_value = self.max_value_bytes as u64;
                Batch::new(&self.nodes, &self.sizes, max_value, operations).run(view, limit)
            }
        })
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        self.call(|view, limit| {
            let cursor = Cursor::parse(cursor, &view)?;
            let Some(link) = view.links.get(cursor.node) else { return Ok(Page::default()) };
            let read = |answers| commands::page(answers, &link.place);
            let page = link.ask(&commands::scan(prefix, cursor.at), true, limit, read);
            let (keys, at) = page.map_err(|failure| failure.error)?;
            Ok(Page::new(keys, cursor.next(at, &view)))
        })
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let (links, counts) = (self.nodes.links(), self.nodes.counts());
        let up = links.iter().filter(|link| link.is_up()).count();
        let connections = counts.connections.load(Ordering::Relaxed);
        vec![
            ("nodes", links.len() as u64),
            ("connected", up as u64),
            ("reconnects", connections.saturating_sub(links.len() as u64)),
            ("calls_under_way", counts.calls.load(Ordering::Relaxed)),
            ("deadlines_missed", counts.deadlines_missed.load(Ordering::Relaxed)),
            ("round_trips", counts.round_trips.load(Ordering::Relaxed)),
        ]
    }
}

/// Where a listing of keys goes on: `at`, or `generation-node-at` in a cluster.
struct Cursor {
    node: usize,
    at: u64,
}

impl Cursor {
    fn parse(cursor: Option<&str>, view: &View) -> Result<Self, StoreError> {
        let Some(cursor) = cursor else { return Ok(Self { node: 0, at: 0 }) };
        let refused = |message| StoreError::new(Fault::Refused, message);
        let unknown = || {
            refused(
                "this is not a cursor of this store; begin without one, then pass each page's \
                 `next`",
            )
        };
        let numbers: Result<Vec<u64>, _> = cursor.split('-').map(str::parse).collect();
        let (generation, node, at) = match (numbers.as_deref(), &view.slots) {
            (Ok(&[at]), None) => return Ok(Self { node: 0, at }),
            (Ok(&[generation, node, at]), Some(_)) => (generation, node, at),
            _ => return Err(unknown()),
        };
        if generation != view.generation {
            return Err(refused(
                "the nodes of the cluster have changed since the last page; begin again, without \
                 a cursor",
            ));
        }
        Ok(Self { node: usize::try_from(node).map_err(|_| unknown())?, at })
    }

    /// The cursor of the next page, if there is one.
    fn next(&self, at: u64, view: &View) -> Option<String> {
        let node = if at == 0 { self.node + 1 } else { self.node };
        (node < view.links.len()).then(|| match view.slots {
            None => at.to_string(),
            Some(_) => format!("{}-{node}-{at}", view.generation),
        })
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
