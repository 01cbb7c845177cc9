//! Options of an [`SqliteStore`], and the checks before it is opened.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fragcache::{Clock, Error, ErrorKind, MonotonicClock};

use super::{Inner, SqliteStore, fault};

/// Options for opening an [`SqliteStore`].
///
/// ```
/// use std::time::Duration;
/// use fragcache_sqlite::SqliteStore;
///
/// let folder = tempfile::tempdir()?;
/// let store = SqliteStore::options()
///     .max_bytes(64 << 20)
///     .deadline(Duration::from_millis(200))
///     .open(folder.path().join("cache.sqlite"))?;
/// # let _ = store;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteOptions {
    pub(super) max_bytes: u64,
    pub(super) deadline: Duration,
    pub(super) readers: usize,
    durable: bool,
    pub(super) clock: Arc<dyn Clock>,
    /// The current boot of the host; `None` if the system does not identify it.
    pub(super) boot: Option<String>,
}

impl SqliteOptions {
    pub(super) fn new() -> Self {
        Self {
            max_bytes: 1 << 30,
            deadline: Duration::from_millis(500),
            readers: 8,
            durable: false,
            clock: Arc::new(MonotonicClock::default()),
            boot: this_boot(),
        }
    }

    /// Sets the maximum size of what the database contains, in bytes. Default: 1 GiB; at least 1
    /// MiB. The records that end soonest are removed first. The file keeps the size that it once
    /// had, and the log beside it has up to 16 MiB more, or what is written while another program
    /// reads in one transaction.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how long a call waits for other processes that write, and for a connection. Default:
    /// 500 ms; at least 1 ms, at most a minute. It does not bound the time of the disk itself.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how many connections read at the same time; there is one more, which writes. Default:
    /// 8; at least 1, at most 64. Each has a cache of up to 2 MiB.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Sets whether each commit waits until it is on disk (`synchronous=FULL`; otherwise `NORMAL`).
    /// Records then survive a restart of the host, and each write takes milliseconds. Default: off.
    /// They survive only if all processes that opened the database since the restart before have
    /// this setting.
    pub fn durable(mut self, yes: bool) -> Self {
        self.durable = yes;
        self
    }

    /// Sets the clock whose [`unix_time`](Clock::unix_time) measures TTLs. It must be the same for
    /// all processes on the database. Default: the system clock; others are for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the store in this database file, and creates the file if it does not exist. Its folder
    /// must exist; there are files beside it whose names begin with its name.
    ///
    /// # Errors
    ///
    /// A setting is out of its range; the path is a folder, the database of another program, or a
    /// file that is no database; other users may write to it; it is on a network file system; it
    /// cannot be created or written to, or is locked for longer than the deadline.
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, Error> {
        self.check()?;
        let path = std::path::absolute(path.as_ref()).map_err(|error| {
            refused(path.as_ref(), "cannot be used; write the path of a file").with_source(error)
        })?;
        check_path(&path)?;
        let inner = Inner::new(self, path);
        inner
            .open(&inner.deadline())
            .map_err(|error| Error::new(ErrorKind::Config, error.to_string()).with_source(error))?;
        Ok(SqliteStore(Arc::new(inner)))
    }

    /// Whether each commit is flushed to disk.
    pub(super) fn is_durable(&self) -> bool {
        self.durable || self.boot.is_none()
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        if self.max_bytes < 1 << 20 {
            return refuse(format!("max_bytes is {}; write at least 1048576", self.max_bytes));
        }
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(60));
        if self.deadline < least || self.deadline > most {
            return refuse(format!("the deadline is {:?}; write 1 ms to 60 s", self.deadline));
        }
        if !(1..=64).contains(&self.readers) {
            return refuse(format!("readers is {}; write 1 to 64", self.readers));
        }
        Ok(())
    }
}

fn check_path(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    if !folder.is_dir() {
        return Err(refused(path, "has no folder; create it, or write another path"));
    }
    if let Some(name) = network(folder) {
        let message = format!(
            "is on a network file system ({name}), where processes share no memory; write a path on \
             a local disk, or use a server such as Redis"
        );
        return Err(refused(path, &message));
    }
    let Ok(file) = path.metadata() else { return Ok(()) };
    if !file.is_file() {
        return Err(refused(path, "is not a file; write the path of a file"));
    }
    // Write access here allows injecting markup into pages.
    let mode = file.permissions().mode() & 0o777;
    if mode & 0o002 != 0 {
        let message = format!(
            "is writable by other users (mode {mode:o}); write another path, or set its mode to 600"
        );
        return Err(refused(path, &message));
    }
    Ok(())
}

fn refused(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("the database {} {what}", fault::shown(path)))
}

/// The name of the network file system that a folder is on. Those behind FUSE and 9P are not
/// recognised: many of these are local.
#[cfg(target_os = "linux")]
fn network(folder: &Path) -> Option<&'static str> {
    // The numbers of `statfs(2)`.
    const NETWORKS: [(u32, &str); 9] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x0bd0_0bd0, "Lustre"),
        (0x4750_4653, "GPFS"),
        (0x0116_1970, "GFS2"),
    ];
    // The type has another width on each platform; the numbers have 32 bits.
    let kind = rustix::fs::statfs(folder).ok()?.f_type as u32;
    NETWORKS.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

#[cfg(not(target_os = "linux"))]
fn network(_folder: &Path) -> Option<&'static str> {
    None
}

/// The identity of this boot of the host.
fn this_boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}
