//! Settings of a [`FileStore`], and what is checked before there is one.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fstat, openat, unlinkat};
use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_128;

use super::folder::{self, Modes};
use super::record::Boot;
use super::{FileStore, Inner};
use crate::clock::{Clock, MonotonicClock};
use crate::error::{Error, ErrorKind};

/// How a [`FileStore`] is opened.
///
/// ```
/// use fragcache::store::FileStore;
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
    /// What the system says of its start; `None` where it says nothing.
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

    /// How many bytes all files may have together. 1 GiB by default; at least 1 MiB. The oldest go
    /// first.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many records there may be. 100,000 by default; at least 16. The oldest go first.
    pub fn max_records(mut self, records: u64) -> Self {
        self.max_records = records;
        self
    }

    /// The mode of files, as `0o640`: at least `0o600`, and nobody may execute. Folders can be
    /// entered by whoever may read. `0o600` by default. Only the user that the store belongs to is
    /// served from it, whatever the mode.
    pub fn mode(mut self, mode: u32) -> Self {
        self.modes = Modes { file: mode, is_asked: true };
        self
    }

    /// How long a call waits for other processes that write to the same shards. 500 ms by default;
    /// at least 1 ms, at most a minute. A shard that was waited for in vain is not waited for again
    /// until it was free: its keys are [busy](crate::store::Fault::Busy), and no others. What the disk
    /// itself takes is not bounded by it.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether each change waits until the disk has it. Records then outlive a restart of the
    /// host, and each change takes milliseconds. Off by default. All processes on a folder must
    /// agree: what one wrote is absent to another that does not.
    pub fn durable(mut self, yes: bool) -> Self {
        self.is_durable = yes;
        self
    }

    /// The clock whose [`unix_time`](Clock::unix_time) lives are measured by, which must be the same
    /// for all processes on the folder. The system's by default; another is for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the store in this folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// A setting is out of its range; the folder is a file or a symbolic link, belongs to another
    /// user, can be written by others, cannot be made or cannot be written to.
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
                "the mode {mode:o} does not do for files; write 600, 640, 660 or the like"
            ));
        }
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(60));
        if self.deadline < least || self.deadline > most {
            return refuse(format!("the deadline is {:?}; write 1 ms to 60 s", self.deadline));
        }
        Ok(())
    }

    /// Makes the folder, and tries whether it will do.
    fn prepare(&self, path: &Path) -> Result<(), Error> {
        let cannot = |what: &str| Err(refused(path, what));
        let is_new = path.symlink_metadata().is_err();
        if is_new {
            let made =
                DirBuilder::new().recursive(true).mode(self.modes.of_folder().bits()).create(path);
            if let Err(error) = made {
                let message = format!("cannot be made: {error}; name a folder that can be written");
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
        // Whoever can write here can put markup on a page.
        let is_open = Mode::from_raw_mode(mode).bits() & 0o022 & !self.modes.file != 0;
        if is_open {
            let message = format!(
                "can be written by others (mode {:o}); name one of its own, or make it 700",
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
    // One line, whatever the path holds.
    let path = path.display().to_string().escape_debug().to_string();
    Error::new(ErrorKind::Config, format!("the store's folder {path} {what}"))
}

/// What tells this start of the host from others.
fn this_boot() -> Option<Boot> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| xxh3_128(id.as_bytes()).to_le_bytes())
}
