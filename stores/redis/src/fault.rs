//! Maps errors of servers and sockets to faults of a store. Servers quote arguments in their
//! messages, so only the codes are passed on.

use std::io;

use fragcache::store::{Fault, StoreError};
use redis::{ServerError, Value};

use super::address::Place;

/// The error for a server's refusal.
pub(super) fn refusal(place: &Place, error: &ServerError) -> StoreError {
    let fault = match error.code() {
        "READONLY" | "NOAUTH" | "WRONGPASS" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" => {
            Fault::Unusable
        }
        _ => Fault::Refused,
    };
    let reason = match error.code() {
        "OOM" => "is full: raise its maxmemory, or let it evict (maxmemory-policy allkeys-lru)",
        "READONLY" => "is a read-only replica: name its master instead",
        "NOAUTH" => "requires a password: write it in the url or as password",
        "WRONGPASS" => "does not know this user, or the password is wrong",
        "NOPERM" => "does not permit this user to do that: allow its commands and keys by ACL",
        "LOADING" => "is still loading its data",
        "MISCONF" => "accepts no writes, because it cannot save to disk",
        "MASTERDOWN" => "is a replica that has lost its master",
        "MOVED" | "ASK" | "CROSSSLOT" | "TRYAGAIN" => return cluster(place),
        "CLUSTERDOWN" => "is in a cluster that is down, or that does not cover all slots",
        code => {
            let is_code = code.len() <= 24 && code.bytes().all(|b| b.is_ascii_uppercase());
            let code = if is_code { code } else { "an unknown code" };
            return StoreError::new(Fault::Refused, format!("{place} refused it with {code}"));
        }
    };
    StoreError::new(fault, format!("{place} {reason}"))
}

/// Whether a server reports that it has become a replica, which must not be read either.
pub(super) fn is_demotion(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "READONLY")
}

/// The connection ended.
pub(super) fn hung_up(place: &Place) -> StoreError {
    StoreError::new(Fault::Unreachable, format!("{place} closed the connection"))
}

/// The error for a replica, which must not be used.
pub(super) fn replica(place: &Place) -> StoreError {
    StoreError::new(
        Fault::Unusable,
        format!("{place} is a replica, and replicas lag behind: name its master instead"),
    )
}

/// The error for a node of a cluster where a single server is expected.
pub(super) fn cluster(place: &Place) -> StoreError {
    StoreError::new(
        Fault::Unusable,
        format!("{place} is a node of a cluster: write redis-cluster://host:port"),
    )
}

/// The error for a single server where a node of a cluster is expected.
pub(super) fn no_cluster(place: &Place) -> StoreError {
    StoreError::new(
        Fault::Unusable,
        format!("{place} is a single server and no cluster: write redis://host:port"),
    )
}

/// Whether this answer to `HELLO` comes from a replica.
pub(super) fn is_replica(hello: &Value) -> bool {
    matches!(told(hello, "role"), Some("replica" | "slave"))
}

/// The field `name` of an answer of names and values, such as that to `HELLO`.
pub(super) fn told<'a>(hello: &'a Value, name: &str) -> Option<&'a str> {
    let Value::Array(pairs) = hello else { return None };
    pairs.chunks_exact(2).find(|pair| text(&pair[0]) == Some(name)).and_then(|pair| text(&pair[1]))
}

/// The text of a string.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// The error for a server that is not Redis.
pub(super) fn no_redis(place: &Place) -> StoreError {
    StoreError::new(Fault::Protocol, format!("{place} does not speak the Redis protocol"))
}

/// The error for an answer that is too large to read.
pub(super) fn too_large(place: &Place) -> StoreError {
    let message =
        format!("an answer of {place} is larger than any record can be, so it was not read");
    StoreError::new(Fault::Protocol, message)
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

/// The error for an answer whose shape does not fit the command.
pub(super) fn nonsense(place: &Place) -> StoreError {
    StoreError::new(Fault::Protocol, format!("the answer of {place} does not match the request"))
}
