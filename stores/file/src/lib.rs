//! A store of [`fragcache`] in a folder, shared by the processes of one host: [`FileStore`]. On
//! Unix; elsewhere this crate is empty.
//!
//! ```
//! use fragcache::{FarLevel, FragmentCache};
//! use fragcache_file::FileStore;
//!
//! let folder = tempfile::tempdir()?;
//! let store = FileStore::options().max_bytes(256 << 20).open(folder.path())?;
//! let cache = FragmentCache::builder().far(FarLevel::new(store)).build()?;
//! # let _ = cache;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg(unix)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

// This file has the operations of the store; `record` is the file format, `folder` opens and
// replaces files.

mod folder;
mod lock;
mod options;
mod record;
mod sweep;
#[cfg(test)]
mod tests;

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragcache::Error;
use fragcache::store::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError, Value};
use parking_lot::Mutex;
use rustix::io::Errno;

use self::folder::{Name, SHARDS};
use self::lock::{Locked, Patience};
use self::record::{Boot, Decoded, Header, Moment};
use self::sweep::Walk;

pub use self::options::FileOptions;

/// Maximum size of a value, in bytes. Of a file that claims more, no more is read.
const MAX_VALUE_BYTES: usize = 16 << 20;

/// Keys per page of a scan.
const PAGE_KEYS: usize = 100;

/// A [`Store`] of files in a folder, shared by the processes of one host. A clone is another handle
/// to the same store.
///
/// - A file's name is a digest of its key; the file contains the key, which is compared. Files that
///   are torn, damaged, owned by another user or behind a symbolic link count as absent and are
///   [counted](Self::passed_over).
/// - A file is written beside its destination and then moved there, under a lock of its shard. A
///   process that is killed leaves no half-written record, and its locks are released.
/// - Nothing is flushed to disk, so a crash of the host could restore an old file. Each record
///   therefore names the boot of the host in which it was written, and records of another boot
///   count as absent: the store is empty after a restart. Where the system does not identify its
///   boots (only Linux is queried), or with [`FileOptions::durable`], each change is flushed
///   instead and records survive.
/// - TTLs are measured by the wall clock. If it goes back, records live longer by as much, but
///   never longer than twice their TTL; if it goes forward, they end early.
/// - Bounds need no separate sweep: each write checks a small part of the folder. For each further
///   process that writes, they may be exceeded by an eighth.
///
/// The folder must be on a local file system. It does not work on a network file system that
/// several hosts mount: each host would see the others' records as absent.
///
/// ```
/// use std::time::Duration;
/// use fragcache::store::Store;
/// use fragcache_file::FileStore;
///
/// let folder = tempfile::tempdir()?;
/// let store = FileStore::open(folder.path())?;
/// store.set("greeting", b"hello", Duration::from_secs(60))?;
///
/// let other = FileStore::open(folder.path())?;
/// assert_eq!(other.get_many(&["greeting"])?, [Some(b"hello".to_vec())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    options: FileOptions,
    path: PathBuf,
    boot: Boot,
    is_durable: bool,
    shards: Vec<Shard>,
    walk: Mutex<Walk>,
    passed_over: AtomicU64,
}

/// What this process knows about a shard's lock.
#[derive(Default)]
struct Shard {
    /// Ensures that only one thread of this process competes for the lock.
    alone: Mutex<()>,
    /// Whether a wait for it timed out. No call waits again until the lock was free once.
    is_stuck: AtomicU64,
}

impl FileStore {
    /// Opens a store in this folder with the default bounds; see [`options`](Self::options).
    ///
    /// # Errors
    ///
    /// Same as [`FileOptions::open`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().open(folder)
    }

    /// Options for opening a store: bounds, mode and more.
    pub fn options() -> FileOptions {
        FileOptions::new()
    }

    /// Number of times an unusable file was found in the place of a record and skipped, since this
    /// store was opened: a damaged file, a symbolic link, a file of another user.
    ///
    /// ```
    /// use fragcache_file::FileStore;
    ///
    /// let folder = tempfile::tempdir()?;
    /// assert_eq!(FileStore::open(folder.path())?.passed_over(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn passed_over(&self) -> u64 {
        self.0.passed_over.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn new(options: FileOptions, path: PathBuf) -> Self {
        let boot = options.boot.filter(|_| !options.is_durable);
        Self {
            path,
            boot: boot.unwrap_or_default(),
            is_durable: boot.is_none(),
            options,
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            walk: Mutex::default(),
            passed_over: AtomicU64::new(0),
        }
    }

    fn now(&self) -> Moment {
        record::millis(self.options.clock.unix_time())
    }

    fn pass_over(&self) {
        self.passed_over.fetch_add(1, Ordering::Relaxed);
    }

    fn root(&self) -> Result<OwnedFd, StoreError> {
        // Opened by path each time: this finds a folder that was removed and recreated.
        folder::open_root(&self.path).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => StoreError::new(
                Fault::Unreachable,
                format!("the store's folder {} is no longer there", self.shown()),
            ),
            errno => self.failed("reached", errno),
        })
    }

    fn shown(&self) -> String {
        self.path.display().to_string().escape_debug().to_string()
    }

    fn failed(&self, what: &str, errno: Errno) -> StoreError {
        let (fault, why) = match errno {
            Errno::NOSPC | Errno::DQUOT => (Fault::Refused, "the disk is full".to_owned()),
            Errno::ROFS => (Fault::Refused, "the disk is read-only".to_owned()),
            Errno::ACCESS | Errno::FBIG => (Fault::Refused, errno.to_string()),
            Errno::PERM => {
                (Fault::Refused, "it belongs to another user or may not be changed".to_owned())
            }
            errno if folder::is_in_the_way(errno) => {
                (Fault::Refused, "something else is in its place".to_owned())
            }
            Errno::NOENT => (Fault::Unreachable, "it was removed meanwhile".to_owned()),
            errno => (Fault::Unreachable, errno.to_string()),
        };
        StoreError::new(fault, format!("a record in {} cannot be {what}: {why}", self.shown()))
    }

    /// Reads the value of a key from its shard's folder.
    fn read_in(&self, shard: &OwnedFd, key: &str, name: &Name) -> Result<Option<Value>, Errno> {
        let opened = folder::open_folder(shard, name.leaf())
            .and_then(|leaf| folder::open_file(leaf, name.file()));
        let (file, bytes) = match opened {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) if folder::is_in_the_way(errno) || errno == Errno::ACCESS => {
                self.pass_over();
                return Ok(None);
            }
            Err(errno) => return Err(errno),
        };
        let most = (record::MOST_HEAD_BYTES + MAX_VALUE_BYTES) as u64;
        let decoded = if bytes > most {
            Decoded::Broken
        } else {
            record::decode(folder::read(&file, most)?, key, &self.boot, self.now())
        };
        Ok(match decoded {
            Decoded::Live(value) => Some(value),
            Decoded::Over => None,
            Decoded::Broken => {
                self.pass_over();
                None
            }
        })
    }

    fn read(&self, root: &OwnedFd, key: &str) -> Result<Option<Value>, StoreError> {
        let name = Name::of(key);
        let read = match folder::open_folder(root, &folder::shard_name(name.shard())) {
            Ok(shard) => self.read_in(&shard, key, &name),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) if folder::is_in_the_way(errno) => {
                self.pass_over();
                Ok(None)
            }
            Err(errno) => Err(errno),
        };
        read.map_err(|errno| self.failed("read", errno))
    }

    /// Runs one operation.
    fn act(&self, operation: &Operation<'_>, patience: &Patience) -> Result<Reply, StoreError> {
        Ok(Reply::Done(match *operation {
            Operation::Get { key } => return self.read(&self.root()?, key).map(Reply::Value),
            Operation::Set { key, value, ttl } => {
                self.put(key, value, ttl, patience, false)?;
                true
            }
            Operation::Add { key, value, ttl } => self.put(key, value, ttl, patience, true)?,
            Operation::Delete { key } => {
                let lock = self.lock_if_there(Name::of(key).shard(), patience)?;
                let Some(locked) = lock else { return Ok(Reply::Done(false)) };
                let had = self.read_locked(&locked, key)?.is_some();
                // Records that have ended go too: they would be live again if the clock were set
                // back.
                self.remove(&locked, key)?;
                had
            }
            Operation::CompareAndDelete { key, expected } => {
                let lock = self.lock_if_there(Name::of(key).shard(), patience)?;
                let Some(locked) = lock else { return Ok(Reply::Done(false)) };
                let value = self.read_locked(&locked, key)?;
                let is_expected = value.is_some_and(|value| value == expected);
                if is_expected {
                    self.remove(&locked, key)?;
                }
                is_expected
            }
            Operation::CompareAndSet { key, expected, value, ttl } => {
                self.check_length(value)?;
                let lock = self.lock_if_there(Name::of(key).shard(), patience)?;
                let Some(locked) = lock else { return Ok(Reply::Done(false)) };
                if self.read_locked(&locked, key)?.is_none_or(|value| value != expected) {
                    return Ok(Reply::Done(false));
                }
                self.write(&locked, key, value, ttl)?;
                drop(locked);
                self.walk_on(value.len());
                true
            }
            Operation::Touch { key, ttl } => {
                let lock = self.lock_if_there(Name::of(key).shard(), patience)?;
                let Some(locked) = lock else { return Ok(Reply::Done(false)) };
                let value = self.read_locked(&locked, key)?;
                if let Some(value) = &value {
                    self.write(&locked, key, value, ttl)?;
                }
                value.is_some()
            }
            _ => {
                return Err(StoreError::new(
                    Fault::Unsupported,
                    "this operation is newer than the store of files; update fragcache-file",
                ));
            }
        }))
    }

    /// Writes a value and returns whether it was written. With `is_first`, an existing value is not
    /// overwritten.
    fn put(
        &self,
        key: &str,
        value: &[u8],
        ttl: Duration,
        patience: &Patience,
        is_first: bool,
    ) -> Result<bool, StoreError> {
        self.check_length(value)?;
        let locked = self.lock(Name::of(key).shard(), patience)?;
        if is_first && self.read_locked(&locked, key)?.is_some() {
            return Ok(false);
        }
        self.write(&locked, key, value, ttl)?;
        drop(locked);
        self.walk_on(value.len());
        Ok(true)
    }

    fn read_locked(&self, locked: &Locked<'_>, key: &str) -> Result<Option<Value>, StoreError> {
        self.read_in(&locked.shard, key, &Name::of(key)).map_err(|errno| self.failed("read", errno))
    }

    fn write(
        &self,
        locked: &Locked<'_>,
        key: &str,
        value: &[u8],
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let bytes = record::encode(&self.boot, self.now(), ttl, key, value)
            .ok_or_else(|| self.too_long(value))?;
        let (modes, is_durable) = (self.options.modes, self.is_durable);
        folder::replace(&locked.shard, &Name::of(key), &bytes, modes, is_durable)
            .map_err(|errno| self.failed("written", errno))
    }

    /// Removes the file at the place of a key's record, live or not.
    fn remove(&self, locked: &Locked<'_>, key: &str) -> Result<(), StoreError> {
        let name = Name::of(key);
        match folder::open_folder(&locked.shard, name.leaf()) {
            Ok(leaf) => folder::remove(&leaf, name.file(), self.is_durable),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
        .map_err(|errno| self.failed("deleted", errno))
    }

    fn max_value_bytes(&self) -> usize {
        let sixteenth = usize::try_from(self.options.max_bytes / 16).unwrap_or(usize::MAX);
        sixteenth.min(MAX_VALUE_BYTES)
    }

    fn too_long(&self, value: &[u8]) -> StoreError {
        let (bytes, most) = (value.len(), self.max_value_bytes());
        StoreError::new(
            Fault::Refused,
            format!("a value of {bytes} bytes is more than the {most} that this store accepts"),
        )
    }

    fn check_length(&self, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > self.max_value_bytes() { Err(self.too_long(value)) } else { Ok(()) }
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl Store for FileStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("file")
            .max_value_bytes(self.0.max_value_bytes())
            .touches(true)
            .scans(true)
            .persists(true)
            .is_shared(true)
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        // One search for the folder is enough to read a whole page.
        if operations.iter().all(Operation::is_read) {
            let root = self.0.root()?;
            let read = |one: &Operation<'_>| self.0.read(&root, one.key()).map(Reply::Value);
            return operations.iter().map(read).collect();
        }
        let patience = self.0.patience();
        operations.iter().map(|operation| self.0.act(operation, &patience)).collect()
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        let first = cursor.map_or(Some(0), |cursor| usize::from_str_radix(cursor, 16).ok());
        let Some(first) = first else {
            let message = "this is not a cursor of a file store; begin without one, then pass each \
                           page's `next`";
            return Err(StoreError::new(Fault::Protocol, message));
        };
        let (mut keys, now) = (Vec::new(), self.0.now());
        for shard in first..SHARDS {
            if keys.len() >= PAGE_KEYS {
                return Ok(Page::new(keys, Some(folder::shard_name(shard))));
            }
            // The lock is needed: a listing may miss files that are replaced meanwhile.
            let lock = self.0.lock_if_there(shard, &self.0.patience())?;
            let Some(locked) = lock else { continue };
            self.0
                .each_file(&locked.shard, |_, name, head| {
                    let Some((head, _)) = head else { return Ok(()) };
                    let header = Header::read(&head);
                    let live = header.filter(|header| header.is_live(&self.0.boot, now));
                    let key = live.and_then(|header| header.key(&head));
                    let own = key.filter(|key| Name::of(key).file() == name);
                    keys.extend(own.filter(|key| key.starts_with(prefix)).map(str::to_owned));
                    Ok(())
                })
                .map_err(|errno| self.0.failed("listed", errno))?;
        }
        Ok(Page::new(keys, None))
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.0.sweep_all()
    }
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
