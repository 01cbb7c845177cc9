//! A store of [`fragcache`] in an SQLite database, shared by the processes of one host:
//! [`SqliteStore`]. On Unix; elsewhere this crate is empty.
//!
//! ```
//! use fragcache::{FarLevel, FragmentCache};
//! use fragcache_sqlite::SqliteStore;
//!
//! let folder = tempfile::tempdir()?;
//! let store = SqliteStore::options().max_bytes(256 << 20).open(folder.path().join("cache.sqlite"))?;
//! let cache = FragmentCache::builder().far(FarLevel::new(store)).build()?;
//! # let _ = cache;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg(unix)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

// `open` decides whether a database's records may be used, `pool` has the connections, `record` the
// statements for records, and `fault` the errors.

mod fault;
mod open;
mod options;
mod pool;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::pool::{Readers, Writer};
use fragcache::store::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError};
use fragcache::{Clock, Error, MonotonicClock};
use parking_lot::{Condvar, Mutex};

pub use self::options::SqliteOptions;

/// Maximum size of a value, in bytes.
const MAX_VALUE_BYTES: usize = 16 << 20;

/// A [`Store`] in an SQLite database, shared by the processes of one host. A clone is another handle
/// to the same store.
///
/// - The database is in WAL mode: reads wait for nobody, writes wait for each other. The operations
///   of a batch run in one transaction.
/// - Commits are not flushed to disk one by one, so a crash of the host could undo the last ones.
///   The records therefore belong to one boot of the host: after a restart, the store is empty.
///   Where the system does not identify its boots (only Linux is queried), or with
///   [`SqliteOptions::durable`], each commit is flushed instead and the records survive. They
///   survive a crash of the process in any case.
/// - The database names its file: its device, its inode, and a token that changes with each
///   opening and is also in a file beside, `NAME-token`. A database that was copied, or
///   restored from a backup, does not fit and starts empty. A backup that contains both files
///   and is written over them in place cannot be recognised: delete the database after that.
/// - A database that is removed or replaced while it is open is opened again; calls in between
///   fail. A damaged one is renamed to `NAME.damaged`, and an empty one is begun.
/// - TTLs are measured by the wall clock. If it goes back, records live longer by as much, but
///   never longer than twice their TTL; if it goes forward, they end early.
/// - Each write also removes some records that have ended, and those that end soonest if the
///   database is over its bound. So no separate sweep is needed.
///
/// The database must be on a local file system, and in a file of its own. A program that forks
/// opens the store after that, not before.
///
/// ```
/// use std::time::Duration;
/// use fragcache::store::Store;
/// use fragcache_sqlite::SqliteStore;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("cache.sqlite");
/// let store = SqliteStore::open(&path)?;
/// store.set("greeting", b"hello", Duration::from_secs(60))?;
///
/// let other = SqliteStore::open(&path)?;
/// assert_eq!(other.get_many(&["greeting"])?, [Some(b"hello".to_vec())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    options: SqliteOptions,
    path: PathBuf,
    /// The one connection that writes; `None` until it is opened again.
    writer: Mutex<Option<Writer>>,
    readers: Mutex<Readers>,
    /// A reader was returned, or may be opened.
    freed: Condvar,
    started_empty: Mutex<Option<String>>,
    evicted: AtomicU64,
    set_aside: AtomicU64,
}

/// The end of a call, for all of its waits.
struct Deadline {
    clock: MonotonicClock,
    limit: Duration,
}

impl Deadline {
    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.clock.now())
    }
}

impl SqliteStore {
    /// Opens a store in this database file with the default settings; see
    /// [`options`](Self::options).
    ///
    /// # Errors
    ///
    /// Same as [`SqliteOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().open(path)
    }

    /// Options for opening a store: its bound, its deadline and more.
    pub fn options() -> SqliteOptions {
        SqliteOptions::new()
    }

    /// Why the records that were in the database could not be used when it was last opened, as a
    /// sentence for a log; `None` if they are used, or if there were none.
    ///
    /// ```
    /// use fragcache_sqlite::SqliteStore;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let store = SqliteStore::open(folder.path().join("cache.sqlite"))?;
    /// assert_eq!(store.started_empty(), None);
    ///
    /// drop(store);
    /// std::fs::rename(folder.path().join("cache.sqlite"), folder.path().join("moved"))?;
    /// std::fs::copy(folder.path().join("moved"), folder.path().join("cache.sqlite"))?;
    /// let store = SqliteStore::open(folder.path().join("cache.sqlite"))?;
    /// assert!(store.started_empty().is_some_and(|why| why.contains("is a copy")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn started_empty(&self) -> Option<String> {
        self.0.started_empty.lock().clone()
    }
}

impl Inner {
    fn new(options: SqliteOptions, path: PathBuf) -> Self {
        Self {
            options,
            path,
            writer: Mutex::default(),
            readers: Mutex::default(),
            freed: Condvar::new(),
            started_empty: Mutex::default(),
            evicted: AtomicU64::new(0),
            set_aside: AtomicU64::new(0),
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline { clock: MonotonicClock::default(), limit: self.options.deadline }
    }

    /// Milliseconds since the Unix epoch, by the store's clock.
    fn now(&self) -> i64 {
        record::millis(self.options.clock.unix_time())
    }

    fn max_value_bytes(&self) -> usize {
        let sixteenth = usize::try_from(self.options.max_bytes / 16).unwrap_or(usize::MAX);
        sixteenth.min(MAX_VALUE_BYTES)
    }

    fn check_length(&self, operation: &Operation<'_>) -> Result<(), StoreError> {
        let (bytes, most) = (operation.value().map_or(0, <[u8]>::len), self.max_value_bytes());
        if bytes <= most {
            return Ok(());
        }
        let message =
            format!("a value of {bytes} bytes is more than the {most} that this store accepts");
        Err(StoreError::new(Fault::Refused, message))
    }
}

impl Store for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("sqlite")
            .max_value_bytes(self.0.max_value_bytes())
            .touches(true)
            .scans(true)
            .persists(true)
            .is_shared(true)
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        operations.iter().try_for_each(|operation| self.0.check_length(operation))?;
        let now = self.0.now();
        if operations.iter().all(Operation::is_read) {
            return self.0.read(|records| {
                operations.iter().map(|operation| record::run(records, operation, now)).collect()
            });
        }
        let (replies, evicted) = self.0.write(|records| {
            let run = |operation| record::run(records, operation, now);
            let replies = operations.iter().map(run).collect::<Result<Vec<_>, _>>()?;
            let more = u32::try_from(operations.len()).unwrap_or(record::MOST_PER_WRITE);
            record::remove_ended(records, now, record::ENDED_PER_WRITE.saturating_add(more))?;
            Ok((replies, record::evict(records, self.0.options.max_bytes)?))
        })?;
        self.0.evicted.fetch_add(evicted, Ordering::Relaxed);
        Ok(replies)
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        let now = self.0.now();
        self.0.read(|records| record::scan(records, prefix, cursor, now))
    }

    /// The numbers of records that were `evicted` by the bound, and of damaged databases that were
    /// `set_aside`, by this process.
    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        vec![("evicted", read(&self.0.evicted)), ("set_aside", read(&self.0.set_aside))]
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            // In parts, so that other writers need not wait long.
            let now = self.0.now();
            let (ended, evicted) = self.0.write(|records| {
                let ended = record::remove_ended(records, now, record::MOST_PER_WRITE)?;
                Ok((ended, record::evict(records, self.0.options.max_bytes)?))
            })?;
            self.0.evicted.fetch_add(evicted, Ordering::Relaxed);
            removed += ended + evicted;
            if ended + evicted < u64::from(record::MOST_PER_WRITE) {
                return Ok(removed);
            }
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
