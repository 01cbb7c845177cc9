//! Opening a database, and whether its records may be used: a store may forget everything, and must
//! never return to what it was before.
//!
//! Processes open the database one after the other, under the lock of the file that has its token.
//! The database's own file is never opened here: closing it would release SQLite's locks on it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use fragcache::store::{Fault, StoreError};
use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, named_params};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::fault::{self, Failure};
use super::{Deadline, Inner, record};

/// Marks the database as one of this crate: `frag`.
const APPLICATION: i32 = 0x6672_6167;

/// The version of its tables. A database of another version starts empty.
const VERSION: i32 = 1;

/// The write-ahead log is cut to this size when it has been copied into the database.
const WAL_BYTES: u32 = 16 << 20;

/// To which boot and file the records belong: one row. `boot` is absent while each commit was
/// flushed to disk.
const IDENTITY: &str = "
    DROP TABLE IF EXISTS identity;
    DROP TABLE IF EXISTS record;
    CREATE TABLE identity (boot TEXT, file TEXT NOT NULL, token TEXT NOT NULL);";

/// A file: device and inode. The number of an open file is given to no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// The file at a path; `None` if there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|file| Self(file.dev(), file.ino()))
    }

    fn text(self) -> String {
        format!("{}:{}", self.0, self.1)
    }
}

/// A path beside the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The locked file beside the database with its token. Closing it releases the lock.
struct Token {
    file: File,
    /// `None` if it has none yet.
    text: Option<String>,
}

impl Token {
    fn lock(inner: &Inner, deadline: &Deadline) -> Result<Self, StoreError> {
        let path = beside(&inner.path, "-token");
        let failed = |error: std::io::Error| {
            let fault = match error.kind() {
                ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Fault::Refused,
                ErrorKind::StorageFull => Fault::Refused,
                _ => Fault::Unreachable,
            };
            let message = format!(
                "{}, the file beside the database, cannot be opened: {}; write the path of a \
                 database in a folder that this user may write to",
                fault::shown(&path),
                error.kind()
            );
            StoreError::new(fault, message).with_source(error)
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        let (nobody, never) = (Condvar::new(), Mutex::new(()));
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) if !deadline.left().is_zero() => {
                    let _ = nobody.wait_for(&mut never.lock(), Duration::from_millis(1));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    let message = format!(
                        "another process is opening the database {}, for more than {:?}",
                        fault::shown(&inner.path),
                        inner.options.deadline
                    );
                    return Err(StoreError::new(Fault::Deadline, message));
                }
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        let mut text = String::new();
        let read = (&mut file).take(64).read_to_string(&mut text);
        // Damaged text is no token.
        let is_whole = read.is_ok() && text.len() == 32;
        Ok(Self { file, text: is_whole.then_some(text) })
    }

    /// Replaces the token. If this fails half-way, no database fits it.
    fn replace(&mut self, token: &str, is_durable: bool) -> std::io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(token.as_bytes())?;
        if is_durable { self.file.sync_all() } else { Ok(()) }
    }
}

/// Opens the database for writing, and creates it if there is none. Returns also why its records
/// are not used, if there may have been some.
pub(super) fn database(
    inner: &Inner,
    deadline: &Deadline,
) -> Result<(Connection, FileId, Option<String>), StoreError> {
    let failed = |failure| match failure {
        Failure::Store(error) => error,
        Failure::Sql(error) => fault::of(&inner.path, inner.options.deadline, error),
    };
    let mut token = Token::lock(inner, deadline)?;
    match begin(inner, &mut token, deadline) {
        // Without a token beside it, it may be a file of somebody else.
        Err(Failure::Sql(error)) if fault::is_damage(&error) && token.text.is_some() => {
            rename_damaged(inner).map_err(failed)?;
            let why = damaged(inner);
            let (connection, file, _) = begin(inner, &mut token, deadline).map_err(failed)?;
            Ok((connection, file, Some(why)))
        }
        opened => opened.map_err(failed),
    }
}

/// Opens another connection, for reading.
pub(super) fn reader(inner: &Inner, deadline: &Deadline) -> Result<Connection, Failure> {
    let connection = connect(&inner.path, deadline)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Renames a database that was found to be damaged while it was open, unless another process was
/// faster. Returns the error of the call.
pub(super) fn set_aside(inner: &Inner, file: FileId, error: rusqlite::Error) -> StoreError {
    let renamed = Token::lock(inner, &inner.deadline()).map_err(Failure::Store).and_then(|_lock| {
        if FileId::of(&inner.path) == Some(file) { rename_damaged(inner) } else { Ok(()) }
    });
    match renamed {
        Ok(()) => StoreError::new(Fault::Unreachable, damaged(inner)).with_source(error),
        Err(Failure::Store(error)) => error,
        Err(Failure::Sql(error)) => fault::of(&inner.path, inner.options.deadline, error),
    }
}

fn damaged(inner: &Inner) -> String {
    let (path, aside) = (fault::shown(&inner.path), beside(&inner.path, ".damaged"));
    format!(
        "the database {path} was damaged; it is now {}, and a new one begins",
        fault::shown(&aside)
    )
}

/// Moves the database and its log to names of their own, under the lock of the token. An earlier
/// damaged one is overwritten.
fn rename_damaged(inner: &Inner) -> Result<(), Failure> {
    let aside = beside(&inner.path, ".damaged");
    let moved = std::fs::rename(&inner.path, &aside)
        .and_then(|()| {
            absent_is_fine(std::fs::rename(beside(&inner.path, "-wal"), beside(&aside, "-wal")))
        })
        .and_then(|()| absent_is_fine(std::fs::remove_file(beside(&inner.path, "-shm"))));
    moved.map_err(|error| {
        let message = format!(
            "the database {} is damaged and cannot be renamed: {}; remove it",
            fault::shown(&inner.path),
            error.kind()
        );
        StoreError::new(Fault::Unusable, message).with_source(error)
    })?;
    inner.set_aside.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

fn absent_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Creates the file, which must not exist. No lock of SQLite is released by closing it.
fn create(path: &Path) -> Result<(), Failure> {
    let log = absent_is_fine(std::fs::remove_file(beside(path, "-wal")));
    let index = absent_is_fine(std::fs::remove_file(beside(path, "-shm")));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    log.and(index).and(made).map(drop).map_err(|error| {
        let message = format!(
            "the database {} cannot be created: {}; write the path of a file in a folder that this \
             user may write to",
            fault::shown(path),
            error.kind()
        );
        Failure::Store(StoreError::new(Fault::Refused, message).with_source(error))
    })
}

fn connect(path: &Path, deadline: &Deadline) -> Result<Connection, Failure> {
    // Each connection is used by one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(deadline.left())?;
    // What another program has written into the schema is not run.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

fn begin(
    inner: &Inner,
    token: &mut Token,
    deadline: &Deadline,
) -> Result<(Connection, FileId, Option<String>), Failure> {
    let path = &inner.path;
    if FileId::of(path).is_none() {
        create(path)?;
    }
    let mut connection = connect(path, deadline)?;
    check_owner(&connection, path)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let message = format!(
            "the database {} cannot be shared by processes: its file system has no shared memory; \
             write a path on a local disk",
            fault::shown(path)
        );
        return Err(StoreError::new(Fault::Unusable, message).into());
    }
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    // On macOS, a plain fsync does not reach the disk.
    connection.pragma_update(None, "fullfsync", inner.options.is_durable())?;
    connection.pragma_update(None, "checkpoint_fullfsync", inner.options.is_durable())?;
    // Also without `durable` the row of `identity` must be on disk before any commit that is not
    // flushed: a restart of the host must not find an older one.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let file = FileId::of(path).ok_or(rusqlite::Error::InvalidPath(path.clone()))?;
    let why = claim(inner, &mut connection, token, file)?;
    if !inner.options.is_durable() {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    Ok((connection, file, why))
}

/// Refuses the database of another program, before anything is changed in it.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), Failure> {
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == APPLICATION || (application == 0 && tables == 0) {
        return Ok(());
    }
    let message = format!(
        "{} is the database of another program; write the path of a file of its own",
        fault::shown(path)
    );
    Err(StoreError::new(Fault::Unusable, message).into())
}

/// Makes the database this process's: removes records that may have gone back, and writes down to
/// whom the others belong. Returns why they were removed.
fn claim(
    inner: &Inner,
    connection: &mut Connection,
    token: &mut Token,
    file: FileId,
) -> Result<Option<String>, Failure> {
    let (options, path) = (&inner.options, fault::shown(&inner.path));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i32 =
        transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut why = None;
    if application != APPLICATION || version != VERSION {
        if application == APPLICATION {
            why = Some(format!(
                "the database {path} was written by another release of fragcache-sqlite, and \
                 starts empty"
            ));
        }
        transaction.execute_batch(IDENTITY)?;
        transaction.execute_batch(record::TABLE)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(Option<String>, String, String)> =
        transaction.query_row("SELECT boot, file, token FROM identity", [], row).optional()?;
    let boot = found.as_ref().and_then(|(boot, ..)| boot.clone());
    if let Some((_, of_file, of_token)) = found {
        if of_file != file.text() || token.text.as_ref() != Some(&of_token) {
            why = Some(format!(
                "the database {path} is a copy or was restored from one, and starts empty: it may \
                 lack invalidations"
            ));
        } else if boot.as_ref().is_some_and(|boot| options.boot.as_ref() != Some(boot)) {
            why = Some(format!(
                "the database {path} is from before a restart of the host, which may have undone \
                 its last commits, and starts empty; with `durable` it survives"
            ));
        }
    }
    if why.is_some() {
        transaction.execute("DELETE FROM record", [])?;
    }
    // While some process of this boot does not flush, the records belong to this boot.
    let of_this_boot = boot.filter(|boot| options.boot.as_ref() == Some(boot));
    let boot = if options.is_durable() { of_this_boot } else { options.boot.clone() };
    let new = format!("{:032x}", fastrand::u128(..));
    transaction.execute("DELETE FROM identity", [])?;
    transaction.execute(
        "INSERT INTO identity VALUES (:boot, :file, :token)",
        named_params! { ":boot": boot, ":file": file.text(), ":token": new },
    )?;
    // Before the commit: what fits the new token alone is this database.
    token.replace(&new, options.is_durable()).map_err(|error| {
        let message = format!(
            "the file beside the database {path} cannot be written: {}; make room on its disk, and \
             make it writable for this user",
            error.kind()
        );
        StoreError::new(Fault::Refused, message).with_source(error)
    })?;
    transaction.commit()?;
    token.text = Some(new);
    Ok(why)
}
