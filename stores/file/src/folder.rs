//! Folders and files. Each path component is opened separately, so that no symbolic link is
//! followed. The contents of files are not known here.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, fsync, mkdirat, open,
    openat, renameat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use xxhash_rust::xxh3::xxh3_128;

/// Number of shards. Each has a separate lock.
pub(super) const SHARDS: usize = 256;

/// The name of an unfinished record. It belongs to the holder of the shard's lock.
const UNFINISHED: &str = "new";

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Nonblocking, so that a named pipe in the place of a file does not block the open.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The path of a key's record: a digest, cut in three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    digest: String,
}

impl Name {
    pub(super) fn of(key: &str) -> Self {
        Self { digest: format!("{:032x}", xxh3_128(key.as_bytes())) }
    }

    pub(super) fn shard(&self) -> usize {
        usize::from_str_radix(&self.digest[..2], 16).unwrap_or_default()
    }

    pub(super) fn leaf(&self) -> &str {
        &self.digest[2..3]
    }

    pub(super) fn file(&self) -> &str {
        &self.digest[3..]
    }
}

/// The name of a shard's folder.
pub(super) fn shard_name(shard: usize) -> String {
    format!("{shard:02x}")
}

/// Whether this is the name of a leaf folder (1 digit) or of a record (29 digits).
pub(super) fn is_hex(name: &[u8], digits: usize) -> bool {
    name.len() == digits && name.iter().all(|byte| b"0123456789abcdef".contains(byte))
}

/// The modes of new files and folders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    pub(super) file: u32,
    /// Whether the mode was set explicitly. The umask must not narrow it then.
    pub(super) is_asked: bool,
}

impl Modes {
    fn of_file(self) -> Mode {
        Mode::from_bits_truncate(self.file)
    }

    /// Read permission on files becomes execute permission on folders.
    pub(super) fn of_folder(self) -> Mode {
        Mode::from_bits_truncate(self.file | (self.file & 0o444) >> 2)
    }
}

/// Whether the error means that something else is in the place of a folder or file.
pub(super) fn is_in_the_way(errno: Errno) -> bool {
    matches!(errno, Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::PERM | Errno::NXIO)
}

/// Opens the store's folder by its path.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    owned(open(path, FOLDER, Mode::empty())?)
}

pub(super) fn open_folder(at: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    owned(openat(at, name, FOLDER, Mode::empty())?)
}

/// Opens a folder and creates it if it does not exist.
pub(super) fn make_folder(
    at: impl AsFd,
    name: &str,
    modes: Modes,
    is_durable: bool,
) -> Result<OwnedFd, Errno> {
    match open_folder(&at, name) {
        Err(Errno::NOENT) => {}
        opened => return opened,
    }
    match mkdirat(&at, name, modes.of_folder()) {
        // Another process was first.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let folder = open_folder(&at, name)?;
    if modes.is_asked {
        fchmod(&folder, modes.of_folder())?;
    }
    if is_durable {
        fsync(&at)?;
    }
    Ok(folder)
}

/// Rejects files and folders of another user, which cannot be trusted.
fn owned(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fstat(&fd)?.st_uid == geteuid().as_raw() { Ok(fd) } else { Err(Errno::PERM) }
}

/// Opens a file and returns it with its length.
pub(super) fn open_file(leaf: impl AsFd, name: &str) -> Result<(File, u64), Errno> {
    let fd = owned(openat(leaf, name, FILE, Mode::empty())?)?;
    let stat = fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::ISDIR);
    }
    Ok((File::from(fd), u64::try_from(stat.st_size).unwrap_or(u64::MAX)))
}

/// Reads the beginning of a file, at most `most` bytes.
pub(super) fn read(file: &File, most: u64) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(|error| errno_of(&error))?;
    Ok(bytes)
}

/// Tries to take the lock of a shard. It is released with the last copy of the descriptor.
pub(super) fn try_lock(shard: impl AsFd) -> Result<bool, Errno> {
    match flock(shard, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Moves a complete file to its place, under the lock of its shard.
pub(super) fn replace(
    shard: &OwnedFd,
    name: &Name,
    bytes: &[u8],
    modes: Modes,
    is_durable: bool,
) -> Result<(), Errno> {
    let leaf = make_folder(shard, name.leaf(), modes, is_durable)?;
    let done = write_unfinished(shard, bytes, modes, is_durable)
        .and_then(|()| renameat(shard, UNFINISHED, &leaf, name.file()));
    if done.is_err() {
        // Its space may be what is lacking.
        let _ = remove_unfinished(shard);
    }
    done?;
    if is_durable { fsync(&leaf) } else { Ok(()) }
}

fn write_unfinished(
    shard: &OwnedFd,
    bytes: &[u8],
    modes: Modes,
    is_durable: bool,
) -> Result<(), Errno> {
    // `O_EXCL` never follows a link to another file.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let create = || openat(shard, UNFINISHED, flags, modes.of_file());
    let fd = match create() {
        // Left behind by a writer that died.
        Err(Errno::EXIST) => remove_unfinished(shard).and_then(|()| create())?,
        created => created?,
    };
    if modes.is_asked {
        fchmod(&fd, modes.of_file())?;
    }
    let mut file = File::from(fd);
    file.write_all(bytes).map_err(|error| errno_of(&error))?;
    if is_durable { fsync(&file) } else { Ok(()) }
}

/// Removes the leftover of a writer that died, under the lock of the shard.
pub(super) fn remove_unfinished(shard: &OwnedFd) -> Result<(), Errno> {
    match unlinkat(shard, UNFINISHED, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

/// Removes a file, under the lock of its shard.
pub(super) fn remove(leaf: &OwnedFd, name: &str, is_durable: bool) -> Result<(), Errno> {
    match unlinkat(leaf, name, AtFlags::empty()) {
        Ok(()) if is_durable => fsync(leaf),
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    // A write of zero bytes has no error code; it means that the disk is full.
    Errno::from_io_error(error).unwrap_or(Errno::NOSPC)
}
