//! The contract of the store, several processes, and faults of files, disks and other programs.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "also in what the tests share"
)]

mod faults;
mod processes;

use std::path::PathBuf;
use std::time::Duration;

use fragcache::store::Store;
use fragcache::testing::ManualClock;
use fragcache::testing::conformance::Suite;
use fragcache_sqlite::SqliteStore;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.sqlite");
    (folder, path)
}

fn get(store: &SqliteStore, key: &str) -> Option<Vec<u8>> {
    store.get_many(&[key]).unwrap().pop().unwrap()
}

/// Longer than any pause of a busy machine.
fn patient() -> fragcache_sqlite::SqliteOptions {
    SqliteStore::options().deadline(Duration::from_secs(30))
}

#[test]
fn the_store_keeps_the_contract() {
    for durable in [false, true] {
        let ((_folder, path), clock) = (place(), ManualClock::new());
        let options = patient().clock(clock.clone()).durable(durable);
        let store = options.clone().open(&path).unwrap();
        let report = Suite::new(store)
            .another(move || options.clone().open(&path).unwrap())
            .advance(move |by| clock.advance(by))
            .rounds(if durable { 5 } else { 50 })
            .run();
        report.assert_passed();
        assert_eq!(report.absent().count(), 0, "{report}");
    }
}

#[test]
fn the_store_keeps_the_contract_in_real_time() {
    let (_folder, path) = place();
    let store = patient().open(&path).unwrap();
    // One connection for all reads.
    let report = Suite::new(store).another(move || patient().readers(1).open(&path).unwrap()).run();
    report.assert_passed();
    assert_eq!(report.absent().count(), 0, "{report}");
}
