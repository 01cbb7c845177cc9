//! Errors of SQLite, and the faults that they are.

use std::path::Path;
use std::time::Duration;

use fragcache::store::{Fault, StoreError};
use rusqlite::{Error, ErrorCode};

/// Why a transaction failed.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(Error),
    Store(StoreError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) fn unsupported() -> Failure {
    Failure::Store(StoreError::unsupported("sqlite"))
}

/// Whether the database file is damaged, or is none.
pub(super) fn is_damage(error: &Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// A path in one line, regardless of its characters.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

/// The error of a call. SQLite's own messages are not used: they may quote a statement.
pub(super) fn of(path: &Path, deadline: Duration, error: Error) -> StoreError {
    let path = shown(path);
    let (fault, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let message = format!(
                "the database {path} was locked by another connection for more than {deadline:?}; \
                 end the program that holds it, or raise the deadline"
            );
            (Fault::Deadline, message)
        }
        Some(ErrorCode::DiskFull) => {
            let message = "is full; make room on its disk, or lower max_bytes";
            (Fault::Refused, format!("the database {path} cannot be written: the disk {message}"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            let message = format!(
                "the database {path} cannot be written: it is read-only; make the file, its folder \
                 and the files beside it writable for this user"
            );
            (Fault::Refused, message)
        }
        Some(ErrorCode::CannotOpen) => {
            let message = format!(
                "the database {path} cannot be opened; write the path of a file in a folder that \
                 this user may write to"
            );
            (Fault::Unreachable, message)
        }
        Some(ErrorCode::NotADatabase) => {
            let message =
                format!("{path} is not a database; write another path, or remove this file");
            (Fault::Unusable, message)
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            (Fault::Unusable, format!("the database {path} is damaged; remove it"))
        }
        code => {
            let why = match code {
                Some(ErrorCode::SystemIoFailure) => "the disk does not read or write it",
                Some(ErrorCode::OutOfMemory) => "there is no memory left",
                _ => "SQLite answers with an unexpected error",
            };
            (Fault::Unreachable, format!("the database {path} cannot be used: {why}"))
        }
    };
    StoreError::new(fault, message).with_source(error)
}
