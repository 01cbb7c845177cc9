//! The connections: one that writes, which the threads of this process use in turn, and several
//! that read. After each transaction the path must still lead to the file that the connection has
//! open: of a database that was removed or replaced, other processes see nothing.

use fragcache::store::{Fault, StoreError};
use rusqlite::{Connection, TransactionBehavior};

use super::fault::{self, Failure};
use super::open::{self, FileId};
use super::{Deadline, Inner};

/// The connections that read.
#[derive(Debug, Default)]
pub(super) struct Readers {
    /// The file that the store uses; `None` if it must be opened again. A connection to another
    /// file is not used again.
    file: Option<FileId>,
    idle: Vec<Connection>,
    /// How many there are, idle or in use.
    count: usize,
}

/// The connection that writes.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    file: FileId,
}

impl Inner {
    /// Opens the database, if it is not open.
    pub(super) fn open(&self, deadline: &Deadline) -> Result<(), StoreError> {
        let mut writer = self.writer.try_lock_for(deadline.left()).ok_or_else(|| self.busy())?;
        self.opened(&mut writer, deadline).map(drop)
    }

    /// Runs a transaction that writes. It takes the lock for writing at its start: one that has
    /// read before could not wait for it.
    pub(super) fn write<T>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let deadline = self.deadline();
        let mut writer = self.writer.try_lock_for(deadline.left()).ok_or_else(|| self.busy())?;
        let writer = self.opened(&mut writer, &deadline)?;
        let behavior = TransactionBehavior::Immediate;
        let result = transaction(&mut writer.connection, behavior, &deadline, act);
        self.settle(writer.file, result)
    }

    /// Runs a transaction that reads: all of it sees the database as it was at one time.
    pub(super) fn read<T>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let deadline = self.deadline();
        let (mut reader, file) = self.take_reader(&deadline)?;
        let result = transaction(&mut reader, TransactionBehavior::Deferred, &deadline, act);
        let result = self.settle(file, result);
        self.put_back(reader, file);
        result
    }

    fn busy(&self) -> StoreError {
        let (path, limit) = (fault::shown(&self.path), self.options.deadline);
        let message = format!(
            "all connections of this process to the database {path} were in use for {limit:?}"
        );
        StoreError::new(Fault::Deadline, message)
    }

    /// The writer. Opens the database if it is not open.
    fn opened<'w>(
        &self,
        writer: &'w mut Option<Writer>,
        deadline: &Deadline,
    ) -> Result<&'w mut Writer, StoreError> {
        let file = self.readers.lock().file;
        let is_open = writer.as_ref().is_some_and(|writer| Some(writer.file) == file);
        if !is_open {
            *writer = None;
            let (connection, file, why) = open::database(self, deadline)?;
            *self.started_empty.lock() = why;
            *writer = Some(Writer { connection, file });
            let mut readers = self.readers.lock();
            readers.count -= readers.idle.len();
            readers.idle.clear();
            readers.file = Some(file);
        }
        writer.as_mut().ok_or_else(|| self.busy())
    }

    fn take_reader(&self, deadline: &Deadline) -> Result<(Connection, FileId), StoreError> {
        let mut readers = self.readers.lock();
        loop {
            let Some(file) = readers.file else {
                drop(readers);
                self.open(deadline)?;
                readers = self.readers.lock();
                continue;
            };
            if let Some(reader) = readers.idle.pop() {
                return Ok((reader, file));
            }
            if readers.count < self.options.readers {
                readers.count += 1;
                drop(readers);
                let reader = open::reader(self, deadline);
                return reader.map(|reader| (reader, file)).map_err(|error| {
                    self.readers.lock().count -= 1;
                    self.freed.notify_one();
                    // The file may be gone: then the next call opens another one.
                    match self.settle::<()>(file, Err(error)) {
                        Err(error) => error,
                        Ok(()) => self.busy(),
                    }
                });
            }
            if self.freed.wait_for(&mut readers, deadline.left()).timed_out() {
                return Err(self.busy());
            }
        }
    }

    fn put_back(&self, reader: Connection, file: FileId) {
        let mut readers = self.readers.lock();
        if readers.file == Some(file) {
            readers.idle.push(reader);
        } else {
            readers.count -= 1;
        }
        drop(readers);
        self.freed.notify_one();
    }

    /// Turns the result of a transaction into that of the call. If the file is no longer the one at
    /// the store's path, what was written may be seen by no other process.
    fn settle<T>(&self, file: FileId, result: Result<T, Failure>) -> Result<T, StoreError> {
        if FileId::of(&self.path) != Some(file) {
            self.forget(file);
            let message = format!(
                "the database {} was removed or replaced while it was open; the next call opens it \
                 again",
                fault::shown(&self.path)
            );
            return Err(StoreError::new(Fault::Unreachable, message));
        }
        result.map_err(|failure| match failure {
            Failure::Store(error) => error,
            Failure::Sql(error) if fault::is_damage(&error) => {
                self.forget(file);
                open::set_aside(self, file, error)
            }
            Failure::Sql(error) => fault::of(&self.path, self.options.deadline, error),
        })
    }

    /// Stops using the connections to this file.
    fn forget(&self, file: FileId) {
        let mut readers = self.readers.lock();
        if readers.file == Some(file) {
            readers.file = None;
            readers.count -= readers.idle.len();
            readers.idle.clear();
        }
    }
}

fn transaction<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    deadline: &Deadline,
    act: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connection.busy_timeout(deadline.left())?;
    // Dropping it rolls it back.
    let transaction = connection.transaction_with_behavior(behavior)?;
    let done = act(&transaction)?;
    transaction.commit()?;
    Ok(done)
}
