//! Helpers for the tests of networked stores.

use std::time::{Duration, Instant};

use fragcache::store::{Fault, Store, StoreError};
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{RedisServer, eventually};

/// A TTL longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Time that a busy machine may add to a deadline. Without a deadline, calls would hang forever.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// A store with a deadline that only a failing test reaches.
pub(crate) fn patient(url: impl Into<String>) -> RedisOptions {
    RedisOptions::new(url)
        .operation_timeout(Duration::from_secs(10))
        .connect_timeout(Duration::from_secs(10))
}

pub(crate) fn open(server: &RedisServer) -> RedisStore {
    patient(server.url()).open().unwrap()
}

/// A separate connection.
pub(crate) fn plain(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

/// One of the store's gauges.
pub(crate) fn gauge(store: &RedisStore, name: &str) -> u64 {
    let gauges = store.gauges();
    let found = gauges.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no {name} in {gauges:?}")).1
}

/// Waits until the store has its connection.
pub(crate) fn connected(store: &RedisStore) {
    eventually("the store is connected", || gauge(store, "connected") == 1);
}

/// The value of one key.
pub(crate) fn get(store: &RedisStore, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    store.get_many(&[key]).map(|values| values.into_iter().next().unwrap())
}

/// The fault of a call that must fail.
#[track_caller]
pub(crate) fn fault<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> (Fault, String) {
    let error = outcome.unwrap_err();
    let said = error.to_string();
    assert!(!said.contains('\n') && !said.starts_with(char::is_uppercase), "{said}");
    (error.fault(), said)
}

/// Runs a closure and measures its duration.
#[allow(clippy::disallowed_methods, reason = "deadlines are in real time")]
pub(crate) fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = run();
    (done, start.elapsed())
}
