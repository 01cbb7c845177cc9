//! What servers and sockets say went wrong, as faults of a store. Servers quote arguments in their
//! messages, so only their codes are passed on.

use std::io;

use redis::{RedisError, ServerError, Value};

use super::address::Place;
use crate::store::{Fault, StoreError};

/// A server's refusal.
pub(super) fn refusal(place: &Place, error: &ServerError) -> StoreError {
    let reason = match error.code() {
        "OOM" => "is full: raise its maxmemory, or let it evict (maxmemory-policy allkeys-lru)",
        "READONLY" => "is a read-only replica: name its master instead",
        "NOAUTH" => "wants a password: give one in the url or with password",
        "WRONGPASS" => "does not know this user, or the password is another",
        "NOPERM" => "does not let this user do that: allow its commands and keys by ACL",
        "LOADING" => "is still loading its data",
        "MISCONF" => "takes no writes, because it cannot save to disk",
        "MASTERDOWN" => "is a replica that has lost its master",
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => {
            "is a node of a cluster, and this store is for one server"
        }
        code => {
            let is_code = code.len() <= 24 && code.bytes().all(|b| b.is_ascii_uppercase());
            let code = if is_code { code } else { "an unknown code" };
            return StoreError::new(Fault::Refused, format!("{place} refused it with {code}"));
        }
    };
    StoreError::new(Fault::Refused, format!("{place} {reason}"))
}

/// Whether a server says that it has become a replica, which must not be read either.
pub(super) fn is_demotion(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "READONLY")
}

/// A fault of the connection, after which it is of no use.
pub(super) fn broken(place: &Place, error: &RedisError) -> StoreError {
    if error.is_io_error() || error.is_connection_dropped() {
        return StoreError::new(Fault::Unreachable, format!("{place} hung up"));
    }
    StoreError::new(Fault::Protocol, format!("{place} answered with what is no Redis protocol"))
}

/// Why there is no connection.
pub(super) fn unreachable(place: &Place, error: &io::Error) -> StoreError {
    let message = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            format!("nothing listens at {place}")
        }
        _ => format!("no connection to {place}: {}", one_line(error)),
    };
    StoreError::new(Fault::Unreachable, message)
}

/// The error's text without line breaks, which resolvers of names put into theirs.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().replace(|c: char| c.is_control(), " ")
}

/// An answer of another shape than the command's.
pub(super) fn nonsense(place: &Place) -> StoreError {
    StoreError::new(Fault::Protocol, format!("{place} answered what was not asked"))
}
