//! A store of [`fragcache`] in one or several Memcached servers: [`MemcachedStore`].
//!
//! ```
//! use fragcache::{FarLevel, FragmentCache};
//! use fragcache_memcached::MemcachedStore;
//!
//! let store = MemcachedStore::connect("memcached://127.0.0.1:11211")?;
//! let cache = FragmentCache::builder().far(FarLevel::new(store)).build()?;
//! # let _ = cache;
//! # Ok::<(), fragcache::Error>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

// `options` and `address` describe the servers, and `ring` says which has a key. `pool` has the
// connections to one of them; `dial` and `tls` make them. `connection` runs operations on one, with
// `protocol` for the commands and `spread` for large values. `wire` and `limit` carry bytes until a
// deadline. `fault` maps what fails.

mod address;
mod clock;
mod connection;
mod dial;
mod fault;
mod limit;
mod options;
mod pool;
mod protocol;
mod ring;
mod spread;
#[cfg(feature = "tls")]
mod tls;
mod wire;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use options::MemcachedOptions;

use self::connection::{Batch, Connection};
use self::fault::Broken;
use self::limit::Limit;
use self::pool::Pool;
use self::ring::Ring;
use fragcache::Error;
use fragcache::store::{
    Capabilities, Fault, MAX_STORE_KEY_BYTES, Operation, Page, Reply, Store, StoreError,
};

/// A store in one or several Memcached servers (1.6.13 or later).
///
/// Each call takes a connection from a pool. No call waits longer than
/// [`operation_timeout`](MemcachedOptions::operation_timeout) without bytes moving; see there.
/// Calls can be made from any thread, also within an async runtime, where they block as all
/// rendering does.
///
/// With several servers, the key decides which of them has a record. A server that is away keeps
/// its keys: calls for them fail until it is back, and no other server takes its place. Operations
/// of a [`run`](Store::run) that are for different servers run one after the other; only reads that
/// follow each other run on all servers at once. Keys with the same text in braces (`{…}`) are on
/// one server, which runs them in order.
///
/// While a server cannot be reached, calls for it fail immediately. They start attempts to
/// reconnect: first without delay, then after pauses of up to 2 s. After a call that changes
/// records has failed, all connections to its server are made anew, so that what the failed call
/// has sent does not take effect after a later call.
///
/// Memcached forgets records when it is full, and all of them when it restarts: an entry or a
/// version that is not there is a miss. It cannot list its keys. Values larger than its item size
/// are stored in several items and read back whole, or not at all.
///
/// Do not put a proxy in between that shares connections or repeats commands.
///
/// ```
/// use fragcache::store::{Fault, Store};
/// use fragcache_memcached::MemcachedStore;
///
/// // Nothing listens there: the store opens, and its calls fail.
/// let store = MemcachedStore::connect("memcached://127.0.0.1:1")?;
/// let error = store.get_many(&["key"]).unwrap_err();
/// assert!(matches!(error.fault(), Fault::Unreachable | Fault::Deadline));
/// # Ok::<(), fragcache::Error>(())
/// ```
pub struct MemcachedStore {
    /// One for each server.
    pools: Vec<Pool>,
    ring: Ring,
    operation_timeout: Duration,
    max_value_bytes: usize,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    deadlines_missed: AtomicU64,
    round_trips: AtomicU64,
}

/// What one server does in a wave: the indices of its operations, and the operations.
type Share<'a> = (usize, Vec<usize>, Vec<Operation<'a>>);

impl MemcachedStore {
    /// Opens a store in the servers at `url`, with the default settings; see
    /// [`MemcachedOptions::new`] for the URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](fragcache::ErrorKind::Config) if the URL is unusable. An unreachable
    /// server is not an error here: calls fail until it can be reached.
    pub fn connect(url: &str) -> Result<Self, Error> {
        MemcachedOptions::new(url).open()
    }

    fn new(
        pools: Vec<Pool>,
        ring: Ring,
        operation_timeout: Duration,
        max_value_bytes: usize,
    ) -> Self {
        Self { pools, ring, operation_timeout, max_value_bytes, counts: Counts::default() }
    }

    /// Refuses what must not be sent.
    fn check(&self, operations: &[Operation<'_>]) -> Result<(), StoreError> {
        for operation in operations {
            let key = operation.key().as_bytes();
            if key.is_empty()
                || key.len() > MAX_STORE_KEY_BYTES
                || !key.iter().all(u8::is_ascii_graphic)
            {
                let message = "a key with spaces, or of no or more than 200 bytes, is not sent";
                return Err(StoreError::new(Fault::Refused, message));
            }
            let bytes = operation.value().map_or(0, <[u8]>::len);
            if bytes > self.max_value_bytes {
                let message = format!("a value of {bytes} bytes is not sent to Memcached");
                return Err(StoreError::new(Fault::Refused, message));
            }
        }
        Ok(())
    }

    fn run_all(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let mut limit = Limit::new(self.operation_timeout);
        if self.pools.len() == 1 {
            return self.run_on(0, operations, &mut limit);
        }
        let mut replies = vec![Reply::Done(false); operations.len()];
        let servers: Vec<_> =
            operations.iter().map(|operation| self.ring.server(operation.key())).collect();
        let mut from = 0;
        while from < operations.len() {
            let length = wave(&operations[from..], &servers[from..]);
            let mut shares: Vec<Share<'_>> = Vec::new();
            for index in from..from + length {
                let (server, operation) = (servers[index], operations[index]);
                match shares.iter_mut().find(|(known, ..)| *known == server) {
                    Some((_, indices, its)) => {
                        indices.push(index);
                        its.push(operation);
                    }
                    None => shares.push((server, vec![index], vec![operation])),
                }
            }
            // In the order of the servers, as all callers do: none waits for another's connection
            // while that one waits for its own.
            shares.sort_unstable_by_key(|(server, ..)| *server);
            for (index, reply) in self.run_wave(&shares, &mut limit)? {
                replies[index] = reply;
            }
            from += length;
        }
        Ok(replies)
    }

    /// Runs operations on one server.
    fn run_on(
        &self,
        server: usize,
        operations: &[Operation<'_>],
        limit: &mut Limit,
    ) -> Result<Vec<Reply>, StoreError> {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let pool = &self.pools[server];
        let mut connection = pool.take(limit)?;
        let mut batch = Batch::new(operations);
        let mut outcome = Ok(());
        while outcome.is_ok() && !batch.is_done() {
            outcome = self.send(&mut connection, &mut batch, limit);
            if outcome.is_ok() {
                outcome = self.receive(pool, &mut connection, &mut batch, limit);
            }
        }
        match outcome {
            Ok(()) => {
                pool.put(connection);
                batch.into_replies()
            }
            Err(broken) => Err(give_up(pool, connection, operations, &broken, limit)),
        }
    }

    /// Runs the shares of a wave. On several servers, these are reads: each server is sent its own
    /// before any answer is awaited.
    fn run_wave(
        &self,
        shares: &[Share<'_>],
        limit: &mut Limit,
    ) -> Result<Vec<(usize, Reply)>, StoreError> {
        if let [(server, indices, operations)] = shares {
            let replies = self.run_on(*server, operations, limit)?;
            return Ok(indices.iter().copied().zip(replies).collect());
        }
        let mut taken = Vec::with_capacity(shares.len());
        let mut failed = None;
        for (server, indices, operations) in shares {
            let pool = &self.pools[*server];
            match pool.take(limit) {
                Ok(connection) => {
                    taken.push((pool, connection, indices, Batch::new(operations), operations));
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let mut broken: Vec<Option<Broken>> = taken.iter().map(|_| None).collect();
        let mut replies = Vec::new();
        while failed.is_none() && taken.iter().any(|(.., batch, _)| !batch.is_done()) {
            for ((_, connection, _, batch, _), broken) in taken.iter_mut().zip(&mut broken) {
                if !batch.is_done() && broken.is_none() {
                    *broken = self.send(connection, batch, limit).err();
                }
            }
            for ((pool, connection, _, batch, _), broken) in taken.iter_mut().zip(&mut broken) {
                if batch.is_sent() && broken.is_none() {
                    *broken = self.receive(pool, connection, batch, limit).err();
                }
            }
            if broken.iter().any(Option::is_some) {
                break;
            }
        }
        for ((pool, connection, indices, batch, operations), broken) in
            taken.into_iter().zip(broken)
        {
            if let Some(broken) = broken {
                let error = give_up(pool, connection, operations, &broken, limit);
                failed.get_or_insert(error);
                continue;
            }
            pool.put(connection);
            match batch.into_replies() {
                Ok(its) => replies.extend(indices.iter().copied().zip(its)),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(replies), Err)
    }

    fn send(
        &self,
        connection: &mut Connection,
        batch: &mut Batch<'_>,
        limit: &mut Limit,
    ) -> Result<(), Broken> {
        self.counts.round_trips.fetch_add(1, Ordering::Relaxed);
        connection.send(batch, limit)
    }

    fn receive(
        &self,
        pool: &Pool,
        connection: &mut Connection,
        batch: &mut Batch<'_>,
        limit: &mut Limit,
    ) -> Result<(), Broken> {
        let more = connection.receive(batch, pool.place(), limit)?;
        self.counts.round_trips.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }
}

/// How many of the first operations run at once: all that are for one server, or all that read.
fn wave(operations: &[Operation<'_>], servers: &[usize]) -> usize {
    let reads = operations.iter().take_while(|operation| operation.is_read()).count();
    let same = servers.iter().take_while(|&server| Some(server) == servers.first()).count();
    reads.max(same)
}

/// Gives up a connection, and returns the error of the call.
fn give_up(
    pool: &Pool,
    connection: Connection,
    operations: &[Operation<'_>],
    broken: &Broken,
    limit: &Limit,
) -> StoreError {
    let error = broken.error(pool.place(), limit);
    pool.discard(connection, operations.iter().all(Operation::is_read), &error);
    error
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<_> = self.pools.iter().map(|pool| pool.place().to_string()).collect();
        write!(f, "MemcachedStore({})", places.join(", "))
    }
}

impl Store for MemcachedStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("memcached").max_value_bytes(self.max_value_bytes).touches(true)
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        self.check(operations)?;
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        let outcome = self.run_all(operations);
        self.counts.calls.fetch_sub(1, Ordering::Relaxed);
        if outcome.as_ref().is_err_and(|error| error.fault() == Fault::Deadline) {
            self.counts.deadlines_missed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// Memcached has no command for this.
    fn scan(&self, _: &str, _: Option<&str>) -> Result<Page, StoreError> {
        Err(StoreError::new(
            Fault::Unsupported,
            "memcached cannot list its keys: name a key, a name, a template or a tag, or clear",
        ))
    }

    /// `connected` is 1 if no server is known to be away. A round trip on several servers at once
    /// counts for each.
    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let (mut connects, mut open) = (0, 0);
        for (made, now) in self.pools.iter().map(Pool::counts) {
            connects += made;
            open += now;
        }
        vec![
            ("connected", u64::from(self.pools.iter().all(Pool::is_up))),
            ("connections", open),
            ("connects", connects),
            ("calls_under_way", self.counts.calls.load(Ordering::Relaxed)),
            ("deadlines_missed", self.counts.deadlines_missed.load(Ordering::Relaxed)),
            ("round_trips", self.counts.round_trips.load(Ordering::Relaxed)),
        ]
    }
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
