//! Options of a [`FileStore`], and the checks before it is opened.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fragcache::{Clock, Error, ErrorKind, MonotonicClock};
use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fstat, openat, unlinkat};
use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_128;

use super::folder::{self, Modes};
use super::record::Boot;
use super::{FileStore, Inner};

/// Options for opening a [`FileStore`].
///
/// ```
/// use fragcache_file::FileStore;
///
/// let folder = tempfile::tempdir()?;
/// let store = FileStore::options()
///     .max_bytes(64 << 20)
///     .max_records(10_000)
///     .open(folder.path().join("fragments"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FileOptions {
    pub(super) max_bytes: u64,
    pub(super) max_records: u64,
    pub(super) modes: Modes,
    pub(super) deadline: Duration,
    pub(super) is_durable: bool,
    pub(super) clock: Arc<dyn Clock>,
    /// The current boot of the host; `None` if the system does not identify it.
    pub(super) boot: Option<Boot>,
}

impl FileOptions {
    pub(super) fn new() -> Self {
        Self {
            max_bytes: 1 << 30,
            max_records: 100_000,
            modes: Modes { file: 0o600, is_asked: false },
            deadline: Duration::from_millis(500),
            is_durable: false,
            clock: Arc::new(MonotonicClock::default()),
            boot: this_boot(),
        }
    }

    /// Sets the maximum total size of all files, in bytes. Default: 1 GiB; at least 1 MiB. The
    /// oldest records are removed first.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the maximum number of records. Default: 100,000; at least 16. The oldest are removed
    /// first.
    pub fn max_records(mut self, records: u64) -> Self {
        self.max_records = records;
        self
    }

    /// Sets the mode of files, such as `0o640`: at least `0o600`, without execute permission. Users
    /// who may read the files may enter the folders. Default: `0o600`. Regardless of the mode, the
    /// store only serves processes of the user it belongs to.
    pub fn mode(mut self, mode: u32) -> Self {
        self.modes = Modes { file: mode, is_asked: true };
        self
    }

    /// Sets how long a call waits for other processes that write to the same shards. Default: 500
    /// ms; at least 1 ms, at most a minute. After a wait times out, calls do not wait for that
    /// shard until its lock was free once: its keys, and only these, are
    /// [busy](fragcache::store::Fault::Busy). The deadline does not bound the time of the disk itself.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets whether each change waits until it is on disk. Records then survive a restart of the
    /// host, and each change takes milliseconds. Default: off. All processes on a folder must use
    /// the same setting: records of the other setting are absent.
    pub fn durable(mut self, yes: bool) -> Self {
        self.is_durable = yes;
        self
    }

    /// Sets the clock whose [`unix_time`](Clock::unix_time) measures TTLs. It must be the same for
    /// all processes on the folder. Default: the system clock; others are for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the store in this folder and creates the folder if it does not exist.
    ///
    /// # Errors
    ///
    /// A setting is out of its range; the folder is a file or a symbolic link, belongs to another
    /// user, can be written by others, cannot be created or cannot be written to.
    pub fn open(self, folder: impl AsRef<Path>) -> Result<FileStore, Error> {
        self.check()?;
        let path = std::path::absolute(folder.as_ref()).map_err(|error| {
            refused(folder.as_ref(), "cannot be used; name a folder").with_source(error)
        })?;
        self.prepare(&path)?;
        Ok(FileStore(Arc::new(Inner::new(self, path))))
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        if self.max_bytes < 1 << 20 {
            return refuse(format!("max_bytes is {}; write at least 1048576", self.max_bytes));
        }
        if self.max_records < 16 {
            return refuse(format!("max_records is {}; write at least 16", self.max_records));
        }
        let mode = self.modes.file;
        if mode & 0o600 != 0o600 || mode & !0o666 != 0 {
            return refuse(format!(
                "the mode {mode:o} does not work for files; write 600, 640, 660 or the like"
            ));
        }
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(60));
        if self.deadline < least || self.deadline > most {
            return refuse(format!("the deadline is {:?}; write 1 ms to 60 s", self.deadline));
        }
        Ok(())
    }

    /// Creates the folder and checks whether it is usable.
    fn prepare(&self, path: &Path) -> Result<(), Error> {
        let cannot = |what: &str| Err(refused(path, what));
        let is_new = path.symlink_metadata().is_err();
        if is_new {
            let made =
                DirBuilder::new().recursive(true).mode(self.modes.of_folder().bits()).create(path);
            if let Err(error) = made {
                let message = format!("cannot be created: {error}; name a writable folder");
                return Err(refused(path, &message));
            }
        }
        let root = match folder::open_root(path) {
            Ok(root) => root,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return cannot("is a file or a symbolic link; name the folder itself");
            }
            Err(Errno::PERM) => {
                return cannot("belongs to another user; name a folder of this one");
            }
            Err(errno) => {
                return cannot(&format!("cannot be opened: {errno}; name a folder to write to"));
            }
        };
        if is_new && self.modes.is_asked {
            fchmod(&root, self.modes.of_folder())
                .or_else(|errno| cannot(&format!("cannot be given its mode: {errno}")))?;
        }
        let mode = fstat(&root).map(|stat| stat.st_mode).unwrap_or_default();
        // Write access here allows injecting markup into pages.
        let is_open = Mode::from_raw_mode(mode).bits() & 0o022 & !self.modes.file != 0;
        if is_open {
            let message = format!(
                "is writable by other users (mode {:o}); name another folder, or set its mode to \
                 700",
                mode & 0o777
            );
            return Err(refused(path, &message));
        }
        let probe = format!("probe-{:016x}", fastrand::u64(..));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&root, probe.as_str(), flags, Mode::from_bits_truncate(0o600))
            .and_then(|_| unlinkat(&root, probe.as_str(), AtFlags::empty()))
            .or_else(|errno| {
                cannot(&format!("cannot be written to: {errno}; name a folder to write to"))
            })
    }
}

fn refused(path: &Path, what: &str) -> Error {
    // One line, regardless of the characters in the path.
    let path = path.display().to_string().escape_debug().to_string();
    Error::new(ErrorKind::Config, format!("the store's folder {path} {what}"))
}

/// The identity of this boot of the host.
fn this_boot() -> Option<Boot> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| xxh3_128(id.as_bytes()).to_le_bytes())
}
