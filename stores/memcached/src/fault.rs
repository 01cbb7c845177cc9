//! Errors of servers and sockets as faults of a store. Servers may quote arguments in their
//! messages, so only those that are known are passed on.

use std::io;

use fragcache::store::{Fault, StoreError};

use super::address::Place;
use super::limit::Limit;

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Broken {
    /// No answer in time.
    Late,
    /// The answer was arriving, and was not complete in time.
    Slow,
    /// The other side closed the connection.
    HungUp,
    /// The socket failed.
    Io(io::Error),
    /// The answers do not fit the commands.
    Nonsense,
    /// The server wants a password on this connection.
    Unauthenticated,
}

impl Broken {
    pub(super) fn new(error: io::Error, limit: &Limit) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut if limit.is_moving() => Self::Slow,
            io::ErrorKind::TimedOut => Self::Late,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::HungUp,
            // TLS reports what it refuses with the same kind, and the reason.
            io::ErrorKind::InvalidData if error.get_ref().is_none() => Self::Nonsense,
            _ => Self::Io(error),
        }
    }

    /// The error of a call.
    pub(super) fn error(&self, place: &Place, limit: &Limit) -> StoreError {
        let timeout = limit.timeout();
        let (fault, message) = match self {
            Self::Late => (Fault::Deadline, format!("no answer from {place} within {timeout:?}")),
            Self::Slow => (Fault::Slow, format!("the answer of {place} was not complete in time")),
            Self::HungUp => (Fault::Unreachable, format!("{place} closed the connection")),
            Self::Io(error) => (
                Fault::Unreachable,
                format!("the connection to {place} failed: {}", one_line(error)),
            ),
            Self::Nonsense => {
                (Fault::Protocol, format!("the answer of {place} does not match the request"))
            }
            Self::Unauthenticated => (Fault::Unusable, wants_password(place)),
        };
        StoreError::new(fault, message)
    }
}

pub(super) fn wants_password(place: &Place) -> String {
    format!("{place} requires a password: write user and password, in the url or as settings")
}

/// A server's refusal of one command, from its line `SERVER_ERROR …`.
pub(super) fn refusal(place: &Place, said: &str) -> StoreError {
    let said = said.to_ascii_lowercase();
    let reason = if said.starts_with("object too large") {
        "refuses a record of this size: start it with a larger item size (-I)"
    } else if said.starts_with("out of memory") {
        "is full and evicts nothing: start it with more memory (-m), or without -M"
    } else {
        "refused it with an unknown error"
    };
    StoreError::new(Fault::Refused, format!("{place} {reason}"))
}

/// The error for a failed connection attempt.
pub(super) fn unreachable(place: &Place, error: &io::Error) -> StoreError {
    let message = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            format!("nothing listens at {place}")
        }
        _ => format!("no connection to {place}: {}", one_line(error)),
    };
    StoreError::new(Fault::Unreachable, message)
}

/// The error's text without line breaks, which name resolvers put into theirs.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().replace(|c: char| c.is_control(), " ")
}
