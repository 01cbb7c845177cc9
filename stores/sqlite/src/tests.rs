//! When records may be used, and when they are removed. `tests/it` has the contract and other
//! processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fragcache::store::{Fault, Operation, Reply, Store};
use fragcache::testing::ManualClock;
use tempfile::TempDir;

use super::record;
use super::{SqliteOptions, SqliteStore};

const HOUR: Duration = Duration::from_secs(3600);

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.sqlite");
    (folder, path)
}

fn get(store: &SqliteStore, key: &str) -> Option<Vec<u8>> {
    store.get_many(&[key]).unwrap().pop().unwrap()
}

/// Options of a process in this boot of the host.
fn in_boot(boot: &str) -> SqliteOptions {
    let mut options = SqliteStore::options();
    options.boot = Some(boot.to_owned());
    options
}

/// Opens the store and sets a record.
fn filled(options: SqliteOptions, path: &Path) -> SqliteStore {
    let store = options.open(path).unwrap();
    store.set("key", b"value", HOUR).unwrap();
    store
}

#[track_caller]
fn assert_starts_empty(options: SqliteOptions, path: &Path, why: &str) -> SqliteStore {
    let store = options.open(path).unwrap();
    let started = store.started_empty().unwrap();
    assert!(started.contains(why), "{started}");
    assert_eq!(get(&store, "key"), None);
    store
}

#[track_caller]
fn assert_kept(options: SqliteOptions, path: &Path) {
    let store = options.open(path).unwrap();
    assert_eq!(store.started_empty(), None);
    assert_eq!(get(&store, "key").as_deref(), Some(&b"value"[..]));
}

#[test]
fn records_outlive_a_restart_of_the_host_only_if_all_flushed() {
    for (before, after) in [(false, false), (false, true), (true, true), (true, false)] {
        let (_folder, path) = place();
        drop(filled(in_boot("one").durable(before), &path));
        assert_kept(in_boot("one").durable(before), &path);
        if before {
            assert_kept(in_boot("two").durable(after), &path);
        } else {
            let why = "before a restart of the host";
            drop(assert_starts_empty(in_boot("two").durable(after), &path, why));
        }
    }
}

#[test]
fn one_process_that_does_not_flush_binds_the_records_to_its_boot() {
    let (_folder, path) = place();
    let flushing = filled(in_boot("one").durable(true), &path);
    let other = in_boot("one").open(&path).unwrap();
    drop((flushing, other));
    // It may still run while another one opens the database.
    assert_kept(in_boot("one").durable(true), &path);
    drop(assert_starts_empty(in_boot("two").durable(true), &path, "before a restart"));
    // From here on all flush.
    drop(filled(in_boot("two").durable(true), &path));
    assert_kept(in_boot("three").durable(true), &path);
}

#[test]
fn without_the_identity_of_the_boot_each_commit_is_flushed() {
    let (_folder, path) = place();
    let mut options = SqliteStore::options();
    options.boot = None;
    let store = filled(options.clone(), &path);
    let synchronous = |store: &SqliteStore| -> i64 {
        store
            .0
            .write(|it| Ok(it.pragma_query_value(None, "synchronous", |row| row.get(0))?))
            .unwrap()
    };
    assert_eq!(synchronous(&store), 2);
    drop(store);
    assert_kept(options.clone(), &path);
    let store = in_boot("one").open(&path).unwrap();
    assert_eq!(synchronous(&store), 1);
    drop(store);
    drop(assert_starts_empty(options, &path, "before a restart"));
}

#[test]
fn a_copied_or_restored_database_starts_empty() {
    let (folder, path) = place();
    drop(filled(in_boot("one").durable(true), &path));
    let backup = folder.path().join("backup");
    std::fs::copy(&path, &backup).unwrap();
    // Elsewhere.
    drop(assert_starts_empty(in_boot("one").durable(true), &backup, "is a copy"));
    // In place: the same file, and the token of an earlier opening.
    drop(in_boot("one").durable(true).open(&path).unwrap());
    std::fs::copy(&backup, &path).unwrap();
    drop(assert_starts_empty(in_boot("one").durable(true), &path, "is a copy"));
    // Another file at the same path, with the same token.
    drop(filled(in_boot("one").durable(true), &path));
    std::fs::copy(&path, &backup).unwrap();
    std::fs::rename(&backup, &path).unwrap();
    drop(assert_starts_empty(in_boot("one").durable(true), &path, "is a copy"));
}

#[test]
fn a_database_of_another_version_starts_empty() {
    let (_folder, path) = place();
    let store = filled(in_boot("one"), &path);
    store.0.write(|it| Ok(it.pragma_update(None, "user_version", 0)?)).unwrap();
    drop(store);
    let store = assert_starts_empty(in_boot("one"), &path, "another release");
    store.set("key", b"value", HOUR).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some(&b"value"[..]));
}

#[test]
fn a_damaged_database_is_set_aside_when_it_is_opened() {
    let (folder, path) = place();
    drop(filled(in_boot("one"), &path));
    std::fs::write(&path, [0xff; 8192]).unwrap();
    let store = assert_starts_empty(in_boot("one"), &path, "was damaged; it is now ");
    assert_eq!(std::fs::read(folder.path().join("cache.sqlite.damaged")).unwrap(), [0xff; 8192]);
    assert_eq!(store.gauges(), [("evicted", 0), ("set_aside", 1)]);
    store.set("key", b"value", HOUR).unwrap();
    drop(store);
    assert_kept(in_boot("one"), &path);
}

#[test]
fn a_database_that_is_damaged_while_open_is_set_aside() {
    let (_folder, path) = place();
    // One process finds it; the other one follows.
    let (store, other) = (filled(in_boot("one"), &path), in_boot("one").open(&path).unwrap());
    assert!(get(&other, "key").is_some());
    let schema = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 7777;";
    store.0.write(|it| Ok(it.execute_batch(schema)?)).unwrap();
    let error = store.get_many(&["key"]).unwrap_err();
    assert_eq!(error.fault(), Fault::Unreachable);
    assert!(error.to_string().contains("was damaged; it is now "), "{error}");
    let error = other.set("key", b"old", HOUR).unwrap_err();
    assert_eq!(error.fault(), Fault::Unreachable);
    assert_eq!(get(&store, "key"), None);
    store.set("key", b"new", HOUR).unwrap();
    assert_eq!(get(&other, "key").as_deref(), Some(&b"new"[..]));
    assert_eq!((store.gauges()[1].1, other.gauges()[1].1), (1, 0));
}

#[test]
fn the_bound_evicts_those_that_end_soonest() {
    let (_folder, path) = place();
    let clock = ManualClock::new();
    let store = SqliteStore::options().clock(clock.clone()).max_bytes(1 << 20).open(&path).unwrap();
    let size = || store.0.read(record::used_bytes).unwrap();
    for n in 0..200_u64 {
        // Every tenth lives long.
        let ttl = if n % 10 == 0 { HOUR * 24 } else { HOUR };
        store.set(&format!("key:{n:03}"), &[7; 20_000], ttl).unwrap();
        clock.advance(Duration::from_secs(1));
        assert!(size() <= 1 << 20, "{}", size());
    }
    let keys = store.scan("", None).unwrap().keys;
    let long = keys.iter().filter(|key| key.ends_with('0')).count();
    assert_eq!((long, keys.len() > 35), (20, true), "{keys:?}");
    assert!(keys.contains(&"key:199".to_owned()) && !keys.contains(&"key:101".to_owned()));
    assert!(store.gauges()[0].1 >= 140);
    // A bound that was lowered is reached by the sweep.
    drop(store);
    let more = SqliteStore::options().clock(clock.clone()).max_bytes(64 << 20).open(&path).unwrap();
    for n in 0..6000 {
        more.set(&format!("small:{n}"), &[7; 300], HOUR).unwrap();
    }
    drop(more);
    let less = SqliteStore::options().clock(clock).max_bytes(1 << 20).open(&path).unwrap();
    assert!(less.sweep().unwrap() > 4096);
    assert!(less.0.read(record::used_bytes).unwrap() <= 1 << 20);
}

#[test]
fn writes_and_the_sweep_remove_what_has_ended() {
    let (_folder, path) = place();
    let clock = ManualClock::new();
    let store = SqliteStore::options().clock(clock.clone()).open(&path).unwrap();
    let count = || {
        let sql = "SELECT count(*) FROM record";
        store.0.read(|it| Ok(it.query_row(sql, [], |row| row.get::<_, u32>(0))?)).unwrap()
    };
    let key = |n: u32| format!("key:{n}");
    let fill = |from: u32| {
        for n in from..from + 40 {
            store.set(&key(n), b"value", Duration::from_secs(60)).unwrap();
        }
    };
    fill(0);
    clock.advance(HOUR);
    fill(100);
    assert_eq!(count(), 40);
    clock.advance(HOUR);
    assert_eq!(store.sweep().unwrap(), 40);
    assert_eq!(count(), 0);
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_immortal() {
    let (_folder, path) = place();
    let later = ManualClock::new();
    later.advance(HOUR * 24);
    drop(filled(SqliteStore::options().clock(later), &path));
    let store = SqliteStore::options().clock(ManualClock::new()).open(&path).unwrap();
    assert_eq!(get(&store, "key"), None);
    assert!(store.scan("", None).unwrap().keys.is_empty());
    assert!(!store.touch("key", HOUR).unwrap());
    assert!(store.add("key", b"new", HOUR).unwrap());
    assert_eq!(get(&store, "key").as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_batch_that_fails_does_nothing() {
    let (_folder, path) = place();
    let store = SqliteStore::options().max_bytes(1 << 20).open(&path).unwrap();
    let large = vec![0; (1 << 16) + 1];
    let set = |key, value| Operation::Set { key, value, ttl: HOUR };
    let error = store.run(&[set("one", b"value"), set("two", &large)]).unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
    let expected = "a value of 65537 bytes is more than the 65536 that this store accepts";
    assert_eq!(error.to_string(), expected);
    assert_eq!(get(&store, "one"), None);
    let replies = store.run(&[set("one", b"value"), set("two", &large[1..])]).unwrap();
    assert_eq!(replies, [Reply::Done(true), Reply::Done(true)]);
}

#[test]
fn longest_ttls_do_not_overflow() {
    let (_folder, path) = place();
    let store = SqliteStore::open(&path).unwrap();
    store.set("key", b"value", Duration::MAX).unwrap();
    assert!(store.touch("key", Duration::MAX).unwrap());
    assert_eq!(get(&store, "key").as_deref(), Some(&b"value"[..]));
}
