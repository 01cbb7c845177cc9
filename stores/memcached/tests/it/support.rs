//! Helpers for the tests.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fragcache::store::{Fault, Store, StoreError};
use fragcache_memcached::{MemcachedOptions, MemcachedStore};
use fragcache_servers::MemcachedServer;

/// A TTL longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Time that a busy machine may add to a deadline. Without a deadline, calls would hang forever.
pub(crate) const SLACK: Duration = Duration::from_secs(1);

/// A store with a deadline that only a failing test reaches.
pub(crate) fn patient(url: impl Into<String>) -> MemcachedOptions {
    MemcachedOptions::new(url)
        .operation_timeout(Duration::from_secs(10))
        .connect_timeout(Duration::from_secs(10))
}

pub(crate) fn open(server: &MemcachedServer) -> MemcachedStore {
    patient(server.url()).open().unwrap()
}

/// Sends a command on a connection of its own and returns the first line of the answer.
pub(crate) fn say(server: &MemcachedServer, command: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// One of the store's gauges.
pub(crate) fn gauge(store: &MemcachedStore, name: &str) -> u64 {
    let gauges = store.gauges();
    let found = gauges.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no {name} in {gauges:?}")).1
}

/// The value of one key.
pub(crate) fn get(store: &MemcachedStore, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
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
