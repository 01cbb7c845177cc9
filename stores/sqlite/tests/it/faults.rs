//! Faults of files, disks and other programs, and what they say.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::Duration;

use fragcache::store::{Fault, Store, StoreError};
use fragcache::{Clock, ErrorKind, MonotonicClock};
use fragcache_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::{Connection, TransactionBehavior};

use super::processes::{given, process, report, reported};
use super::{HOUR, get, patient, place};

/// The error of opening, with `…` for the folder.
#[track_caller]
fn refusal(options: SqliteOptions, path: &Path) -> String {
    let error = options.open(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let message = error.to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message.replace(path.parent().unwrap().to_str().unwrap(), "…")
}

#[test]
fn settings_out_of_range_are_refused() {
    let (_folder, path) = place();
    let options = SqliteStore::options;
    let refusal = |options| refusal(options, &path);
    assert_eq!(refusal(options().max_bytes(7)), "max_bytes is 7; write at least 1048576");
    assert_eq!(refusal(options().readers(0)), "readers is 0; write 1 to 64");
    let expected = "the deadline is 0ns; write 1 ms to 60 s";
    assert_eq!(refusal(options().deadline(Duration::ZERO)), expected);
    assert!(!path.exists());
}

#[test]
fn a_path_that_does_not_work_is_refused() {
    let (folder, path) = place();
    let at = |name: &str| folder.path().join(name);
    let refusal = |name: &str| refusal(SqliteStore::options(), &at(name));
    std::fs::create_dir(at("folder")).unwrap();
    let expected = "the database …/folder is not a file; write the path of a file";
    assert_eq!(refusal("folder"), expected);
    let expected = "the database …/cache.sqlite has no folder; create it, or write another path";
    assert_eq!(refusal("none/cache.sqlite"), expected);

    std::fs::write(at("page.html"), "<html>".repeat(1000)).unwrap();
    let expected = "…/page.html is not a database; write another path, or remove this file";
    assert_eq!(refusal("page.html"), expected);
    assert_eq!(std::fs::read(at("page.html")).unwrap(), "<html>".repeat(1000).as_bytes());

    let shop = Connection::open(at("shop.sqlite")).unwrap();
    shop.execute_batch("CREATE TABLE record (key TEXT); INSERT INTO record VALUES ('tea')")
        .unwrap();
    drop(shop);
    let before = std::fs::read(at("shop.sqlite")).unwrap();
    let expected = "…/shop.sqlite is the database of another program; write the path of a file of \
                    its own";
    assert_eq!(refusal("shop.sqlite"), expected);
    assert_eq!(std::fs::read(at("shop.sqlite")).unwrap(), before);

    drop(SqliteStore::open(&path).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let expected = "the database …/cache.sqlite is writable by other users (mode 666); write another \
                    path, or set its mode to 600";
    assert_eq!(refusal("cache.sqlite"), expected);
}

#[test]
fn a_database_that_another_program_has_locked_is_a_deadline() {
    let (_folder, path) = place();
    let limit = Duration::from_millis(50);
    let store = SqliteStore::options().deadline(limit).open(&path).unwrap();
    store.set("key", b"value", HOUR).unwrap();
    let mut program = Connection::open(&path).unwrap();
    let lock = program.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    // Several threads wait at the same time, and not one after the other.
    let start = Barrier::new(4);
    let call = || {
        start.wait();
        let clock = MonotonicClock::default();
        let error = store.set("key", b"new", HOUR).unwrap_err();
        assert_eq!(error.fault(), Fault::Deadline);
        (error.to_string(), clock.now())
    };
    let calls = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(call)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect::<Vec<_>>()
    });
    let locked = "was locked by another connection for more than 50ms; end the program that holds";
    assert!(calls.iter().any(|(message, _)| message.contains(locked)), "{calls:?}");
    assert!(calls.iter().all(|(_, took)| *took < Duration::from_secs(5)), "{calls:?}");
    // Reads go on, and another process opens it only when it is free.
    assert_eq!(get(&store, "key").as_deref(), Some(&b"value"[..]));
    let message = refusal(SqliteStore::options().deadline(limit), &path);
    assert!(message.contains(locked), "{message}");
    drop(lock);
    store.set("key", b"new", HOUR).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_database_that_is_removed_or_replaced_is_opened_again() {
    let (folder, path) = place();
    let store = patient().open(&path).unwrap();
    let gone = |error: StoreError| {
        assert_eq!(error.fault(), Fault::Unreachable);
        let expected = "/cache.sqlite was removed or replaced while it was open; the next call opens \
                        it again";
        assert!(error.to_string().ends_with(expected), "{error}");
    };
    store.set("key", b"value", HOUR).unwrap();
    assert!(get(&store, "key").is_some());
    std::fs::remove_file(&path).unwrap();
    gone(store.get_many(&["key"]).unwrap_err());
    assert_eq!(get(&store, "key"), None);
    store.set("key", b"value", HOUR).unwrap();
    std::fs::remove_file(&path).unwrap();
    gone(store.set("key", b"new", HOUR).unwrap_err());
    // Another process has begun a new one.
    let other = patient().open(&path).unwrap();
    store.set("key", b"ours", HOUR).unwrap();
    assert_eq!(get(&other, "key").as_deref(), Some(&b"ours"[..]));
    // The folder is gone, and comes back.
    let moved = folder.path().with_extension("moved");
    std::fs::rename(folder.path(), &moved).unwrap();
    gone(store.delete("other").unwrap_err());
    let error = store.delete("other").unwrap_err();
    assert_eq!(error.fault(), Fault::Unreachable);
    assert!(error.to_string().contains("cannot be opened: entity not found"), "{error}");
    std::fs::rename(&moved, folder.path()).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some(&b"ours"[..]));
}

/// Runs a test after `mount` in a mount namespace of its own; `$0` is the folder.
fn with_mount(mount: &str, test: &str, folder: &Path) -> usize {
    let script = format!("{mount} && exec \"$@\"");
    // Root may mount without a user namespace, even where those are disabled.
    let mut probe = Command::new("unshare");
    let is_allowed = probe.args(["--mount", "true"]).stderr(Stdio::null()).status().unwrap();
    let arguments = ["--map-root-user", "--mount", "sh", "-c", &script];
    let path = folder.join("cache.sqlite");
    let inner = process(test, &path);
    let mut command = Command::new("unshare");
    command.args(&arguments[usize::from(is_allowed.success())..]).arg(folder);
    command.arg(inner.get_program()).args(inner.get_args()).stdout(Stdio::piped());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    reported(command.spawn().unwrap())
}

#[test]
fn a_full_disk_is_refused_and_loses_nothing() {
    if let Some(path) = given() {
        return fill(&path);
    }
    let (folder, _) = place();
    let test = "faults::a_full_disk_is_refused_and_loses_nothing";
    let mount = "mount -t tmpfs -o size=2m,mode=700 none \"$0\"";
    let filled = with_mount(mount, test, folder.path());
    assert!((3..32).contains(&filled), "{filled} values of 64 KiB fit into 2 MiB");
}

fn fill(path: &Path) {
    let store = patient().open(path).unwrap();
    let value = |n: usize| vec![u8::try_from(n).unwrap(); 65_536];
    let key = |n: usize| format!("key:{n}");
    let refused = |error: StoreError| {
        assert_eq!(error.fault(), Fault::Refused);
        let expected = "the disk is full; make room on its disk, or lower max_bytes";
        assert!(error.to_string().ends_with(expected), "{error}");
    };
    let mut filled = 0;
    while store.set(&key(filled), &value(filled), HOUR).map_err(refused).is_ok() {
        filled += 1;
    }
    for n in 0..filled {
        assert_eq!(get(&store, &key(n)), Some(value(n)));
    }
    assert_eq!(get(&store, &key(filled)), None);
    refused(store.set(&key(0), &[7; 65_536], HOUR).unwrap_err());
    assert_eq!(get(&store, &key(0)), Some(value(0)));
    report(filled);
}

#[test]
fn a_disk_that_is_read_only_is_refused() {
    if let Some(path) = given() {
        let message = refusal(SqliteStore::options(), &path);
        let expected = "…/cache.sqlite-token, the file beside the database, cannot be opened: \
                        read-only filesystem or storage medium; write the path of a database in a \
                        folder that this user may write to";
        assert_eq!(message, expected);
        return report(1);
    }
    let (folder, path) = place();
    drop(SqliteStore::open(path).unwrap());
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    assert_eq!(with_mount(mount, "faults::a_disk_that_is_read_only_is_refused", folder.path()), 1);
}
