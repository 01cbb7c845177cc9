//! Files in every state: torn, damaged, owned by another user, from another boot; and the bounds.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fragcache::store::{Fault, Store};
use fragcache::testing::ManualClock;
use fragcache::{Clock, FarLevel, Fragment, FragmentCache, Invalidation, fragment_key};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::folder::{Name, SHARDS};
use super::{FileOptions, FileStore};

const HOUR: Duration = Duration::from_secs(3600);

/// A clock that can be set, forward and back.
#[derive(Debug, Clone)]
struct SetClock(Arc<Mutex<Duration>>);

impl SetClock {
    fn at_noon() -> Self {
        Self(Arc::new(Mutex::new(Duration::from_secs(1_800_000_000))))
    }

    fn set(&self, change: impl Fn(Duration) -> Duration) {
        let mut now = self.0.lock();
        *now = change(*now);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn unix_time(&self) -> Duration {
        *self.0.lock()
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir) -> FileStore {
    FileStore::open(folder.path()).unwrap()
}

fn get(store: &FileStore, key: &str) -> Option<Vec<u8>> {
    store.get_many(&[key]).unwrap().pop().unwrap()
}

/// The path of a key's record.
fn file(folder: &TempDir, key: &str) -> PathBuf {
    let name = Name::of(key);
    let shard = super::folder::shard_name(name.shard());
    folder.path().join(shard).join(name.leaf()).join(name.file())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn names_are_digests_in_private_folders() {
    let folder = folder();
    let path = folder.path().join("deep/fragments");
    let store = FileStore::open(&path).unwrap();
    store.set("secret:user", b"value", HOUR).unwrap();
    let mut seen = Vec::new();
    let mut folders = vec![path.clone()];
    while let Some(at) = folders.pop() {
        assert_eq!(mode(&at), 0o700, "{}", at.display());
        for entry in fs::read_dir(&at).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() { folders.push(entry) } else { seen.push(entry) }
        }
    }
    assert_eq!(seen.len(), 1);
    assert_eq!(mode(&seen[0]), 0o600);
    let name = seen[0].strip_prefix(&path).unwrap().to_string_lossy().into_owned();
    let lengths: Vec<_> = name.split('/').map(str::len).collect();
    assert_eq!(lengths, [2, 1, 29]);
    assert!(!name.contains("secret"));
}

#[test]
fn a_mode_that_was_asked_for_is_not_narrowed() {
    let folder = folder();
    let path = folder.path().join("fragments");
    let store = FileStore::options().mode(0o664).open(&path).unwrap();
    store.set("key", b"value", HOUR).unwrap();
    let shard = path.join(super::folder::shard_name(Name::of("key").shard()));
    assert_eq!((mode(&path), mode(&shard)), (0o775, 0o775));
    let file = shard.join(Name::of("key").leaf()).join(Name::of("key").file());
    assert_eq!(mode(&file), 0o664);
}

#[test]
fn a_file_cut_at_any_length_is_absent() {
    let (folder, value) = (folder(), b"a value that is torn");
    let store = open(&folder);
    store.set("key", value, HOUR).unwrap();
    let whole = fs::read(file(&folder, "key")).unwrap();
    for length in 0..whole.len() {
        fs::write(file(&folder, "key"), &whole[..length]).unwrap();
        assert_eq!(get(&store, "key"), None, "cut to {length} bytes");
    }
    assert_eq!(store.passed_over(), whole.len() as u64);
    fs::write(file(&folder, "key"), [whole.as_slice(), b"\0"].concat()).unwrap();
    assert_eq!(get(&store, "key"), None, "a byte too long");
    fs::write(file(&folder, "key"), &whole).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some(value.as_slice()));
}

#[test]
fn a_file_with_any_bit_flipped_is_absent() {
    let folder = folder();
    let store = open(&folder);
    store.set("key", b"a value", HOUR).unwrap();
    let whole = fs::read(file(&folder, "key")).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(file(&folder, "key"), flipped).unwrap();
        assert_eq!(get(&store, "key"), None, "bit {bit}");
        assert!(!store.compare_and_delete("key", b"a value").unwrap());
    }
    // A damaged file does not count as a value, so `add` writes.
    assert!(store.add("key", b"new", HOUR).unwrap());
    assert_eq!(get(&store, "key").as_deref(), Some(b"new".as_slice()));
}

#[test]
fn a_file_that_claims_to_be_endless_is_not_read() {
    let folder = folder();
    let store = open(&folder);
    store.set("key", b"value", HOUR).unwrap();
    let sparse = fs::OpenOptions::new().write(true).open(file(&folder, "key")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert_eq!(get(&store, "key"), None);
    assert_eq!(store.passed_over(), 1);
}

#[test]
fn a_record_of_another_key_is_absent() {
    let folder = folder();
    let store = open(&folder);
    store.set("mine", b"mine", HOUR).unwrap();
    store.set("theirs", b"theirs", HOUR).unwrap();
    fs::copy(file(&folder, "theirs"), file(&folder, "mine")).unwrap();
    assert_eq!(get(&store, "mine"), None);
    assert!(!store.compare_and_delete("mine", b"theirs").unwrap());
    assert!(store.add("mine", b"new", HOUR).unwrap());
}

#[test]
fn a_link_in_place_of_a_file_is_neither_followed_nor_written_through() {
    let (folder, outside) = (folder(), folder());
    let store = open(&folder);
    store.set("key", b"value", HOUR).unwrap();
    let target = outside.path().join("precious");
    fs::rename(file(&folder, "key"), &target).unwrap();
    let before = fs::read(&target).unwrap();
    symlink(&target, file(&folder, "key")).unwrap();
    assert_eq!(get(&store, "key"), None);
    assert_eq!(store.passed_over(), 1);
    assert!(!store.delete("key").unwrap());
    symlink(&target, file(&folder, "key")).unwrap();
    store.set("key", b"new", HOUR).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some(b"new".as_slice()));
    assert_eq!(fs::read(&target).unwrap(), before);
}

#[test]
fn a_link_in_place_of_a_temporary_file_is_refused() {
    let (folder, outside) = (folder(), folder());
    let store = open(&folder);
    store.set("key", b"value", HOUR).unwrap();
    let target = outside.path().join("precious");
    fs::write(&target, "precious").unwrap();
    let shard = super::folder::shard_name(Name::of("key").shard());
    symlink(&target, folder.path().join(shard).join("new")).unwrap();
    store.set("key", b"new", HOUR).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some(b"new".as_slice()));
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[test]
fn a_link_in_place_of_a_folder_is_not_followed() {
    for level in 1..=2 {
        let (folder, outside) = (folder(), folder());
        let store = open(&folder);
        store.set("key", b"value", HOUR).unwrap();
        let path = file(&folder, "key").ancestors().nth(level).unwrap().to_owned();
        let moved = outside.path().join("moved");
        fs::rename(&path, &moved).unwrap();
        symlink(&moved, &path).unwrap();
        assert_eq!(get(&store, "key"), None, "level {level}");
        assert_eq!(store.passed_over(), 1);
        let error = store.set("key", b"new", HOUR).unwrap_err();
        assert_eq!(error.fault(), Fault::Refused, "{error}");
        assert!(error.to_string().contains("in its place"), "{error}");
        assert_eq!(store.delete("key").unwrap_err().fault(), Fault::Refused);
        store.scan("", None).err();
        // The target of the link is unchanged.
        fs::remove_file(&path).unwrap();
        fs::rename(&moved, &path).unwrap();
        assert_eq!(get(&store, "key").as_deref(), Some(b"value".as_slice()));
    }
}

#[test]
fn a_folder_or_a_pipe_in_place_of_a_file_is_absent() {
    let folder = folder();
    let store = open(&folder);
    for key in ["folder", "pipe"] {
        store.set(key, b"value", HOUR).unwrap();
        fs::remove_file(file(&folder, key)).unwrap();
    }
    fs::create_dir(file(&folder, "folder")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(file(&folder, "pipe")).status().unwrap();
    assert!(made.success());
    assert_eq!(store.get_many(&["folder", "pipe"]).unwrap(), [None, None]);
    assert_eq!(store.passed_over(), 2);
    assert_eq!(store.set("folder", b"new", HOUR).unwrap_err().fault(), Fault::Refused);
    store.set("pipe", b"new", HOUR).unwrap();
    assert_eq!(get(&store, "pipe").as_deref(), Some(b"new".as_slice()));
}

#[test]
fn files_of_a_dead_writer_are_replaced_and_swept() {
    let folder = folder();
    let store = open(&folder);
    store.set("key", b"value", HOUR).unwrap();
    let shard = super::folder::shard_name(Name::of("key").shard());
    let left = folder.path().join(shard).join("new");
    fs::write(&left, "half a rec").unwrap();
    store.set("key", b"new", HOUR).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some(b"new".as_slice()));
    fs::write(&left, "half a rec").unwrap();
    assert_eq!(store.sweep().unwrap(), 0);
    assert!(!left.exists());
}

#[test]
fn a_restart_of_the_host_empties_a_store_that_does_not_flush() {
    let folder = folder();
    let started = |boot: Option<u8>| {
        let options = FileOptions { boot: boot.map(|byte| [byte; 16]), ..FileStore::options() };
        options.open(folder.path()).unwrap()
    };
    started(Some(1)).set("key", b"value", HOUR).unwrap();
    assert_eq!(get(&started(Some(1)), "key").as_deref(), Some(b"value".as_slice()));
    assert_eq!(get(&started(Some(2)), "key"), None);
    assert_eq!(started(Some(2)).scan("", None).unwrap().keys, Vec::<String>::new());
    assert!(started(Some(2)).add("key", b"new", HOUR).unwrap());
    assert_eq!(get(&started(Some(1)), "key"), None);
    // Without a boot id, each change is flushed instead.
    let unknown = started(None);
    assert!(unknown.0.is_durable);
    unknown.set("key", b"flushed", HOUR).unwrap();
    assert_eq!(get(&started(None), "key").as_deref(), Some(b"flushed".as_slice()));
    assert_eq!(started(Some(3)).sweep().unwrap(), 1);
    let durable = || FileStore::options().durable(true).open(folder.path()).unwrap();
    durable().set("key", b"value", HOUR).unwrap();
    assert!(durable().touch("key", HOUR).unwrap());
    assert_eq!(get(&durable(), "key").as_deref(), Some(b"value".as_slice()));
    assert!(durable().delete("key").unwrap());
}

#[test]
fn a_clock_that_is_set_makes_nothing_immortal() {
    let (folder, clock) = (folder(), SetClock::at_noon());
    let store = FileStore::options().clock(clock.clone()).open(folder.path()).unwrap();
    let set = || {
        store.set("short", b"value", Duration::from_secs(60)).unwrap();
        store.set("long", b"value", 2 * HOUR).unwrap();
    };
    let there = || ["short", "long"].map(|key| get(&store, key).is_some());
    set();
    clock.set(|now| now + HOUR);
    assert_eq!(there(), [false, true], "an hour forward");
    set();
    clock.set(|now| now - HOUR);
    // Written further in the future than its TTL.
    assert_eq!(there(), [false, true], "an hour back");
    assert!(store.add("short", b"new", Duration::from_secs(60)).unwrap());
    clock.set(|now| now + 3 * HOUR);
    assert_eq!(there(), [false, false], "twice a life later");

    // A record deleted while absent does not return when the clock is corrected.
    set();
    clock.set(|now| now - HOUR);
    assert!(!store.delete("short").unwrap());
    clock.set(|now| now + HOUR);
    assert_eq!(there(), [false, true]);
}

#[test]
fn sweep_removes_expired_records_then_the_oldest() {
    let (folder, clock) = (folder(), ManualClock::new());
    let options = || FileStore::options().clock(clock.clone());
    let store = options().open(folder.path()).unwrap();
    store.set("over", b"value", Duration::from_secs(1)).unwrap();
    for n in 0..40 {
        clock.advance(Duration::from_secs(1));
        store.set(&format!("{n}"), &[0; 1000], HOUR).unwrap();
    }
    fs::write(file(&folder, "7"), "torn").unwrap();
    assert_eq!(store.sweep().unwrap(), 2);
    assert!(!file(&folder, "over").exists() && !file(&folder, "7").exists());

    let few = options().max_records(16).open(folder.path()).unwrap();
    assert_eq!(few.sweep().unwrap(), 39 - 16);
    for n in 0..40 {
        assert_eq!(get(&store, &format!("{n}")).is_some(), n >= 24, "record {n}");
    }
}

#[test]
fn of_records_of_one_moment_no_more_go_than_must() {
    let folder = folder();
    let options = FileStore::options().clock(ManualClock::new()).max_records(16);
    let store = options.open(folder.path()).unwrap();
    let many = FileStore::options().clock(ManualClock::new()).open(folder.path()).unwrap();
    for n in 0..30 {
        many.set(&format!("{n}"), b"value", HOUR).unwrap();
    }
    assert_eq!(store.sweep().unwrap(), 14);
    assert_eq!(store.scan("", None).unwrap().keys.len(), 16);
}

#[test]
fn bounds_hold_without_anybody_sweeping() {
    let (folder, clock) = (folder(), ManualClock::new());
    let options = FileStore::options().clock(clock.clone()).max_records(100);
    let store = options.max_bytes(1 << 20).open(folder.path()).unwrap();
    let all = FileStore::options().clock(clock.clone()).open(folder.path()).unwrap();
    let count = || all.scan("small", None).unwrap().keys.len();
    for n in 0..400 {
        clock.advance(Duration::from_millis(10));
        store.set(&format!("small:{n}"), b"value", HOUR).unwrap();
        if n % 20 == 0 {
            assert!(count() <= 100, "{} after {n} writes", count());
        }
    }
    assert!(count() > 70, "only {} are left", count());
    assert!(get(&store, "small:399").is_some() && get(&store, "small:380").is_some());
    for n in 0..60 {
        clock.advance(Duration::from_millis(10));
        store.set(&format!("large:{n}"), &vec![0; 60_000], HOUR).unwrap();
    }
    let large = all.scan("large", None).unwrap().keys.len();
    assert!((10..=17).contains(&large), "{large} records of 60 kB within 1 MiB");
}

#[test]
fn a_lock_that_is_not_given_up_ends_at_the_deadline() {
    let folder = folder();
    let store =
        FileStore::options().deadline(Duration::from_millis(20)).open(folder.path()).unwrap();
    store.set("key", b"value", HOUR).unwrap();
    let other = open(&folder);
    let held = other.0.lock(Name::of("key").shard(), &other.0.patience()).unwrap();
    let error = store.set("key", b"new", HOUR).unwrap_err();
    assert_eq!(error.fault(), Fault::Busy, "{error}");
    // Readers need no lock.
    assert_eq!(get(&store, "key").as_deref(), Some(b"value".as_slice()));
    drop(held);
    store.set("key", b"new", HOUR).unwrap();
}

/// Holds the locks of these shards, like a process that was stopped while it wrote.
fn hold(store: &FileStore, shards: std::ops::Range<usize>) -> Vec<super::Locked<'_>> {
    shards.map(|shard| store.0.lock(shard, &store.0.patience()).unwrap()).collect()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "waiting is in real time")]
fn a_call_waits_once_for_locks_that_are_not_given_up() {
    let folder = folder();
    let limit = Duration::from_millis(300);
    let store = FileStore::options().deadline(limit).open(folder.path()).unwrap();
    let other = open(&folder);
    let held = hold(&other, 0..16);
    let keys: Vec<String> = (0..).map(|n| format!("key:{n}")).take(4000).collect();
    let stuck: Vec<&String> = keys.iter().filter(|key| Name::of(key).shard() < 16).collect();
    let free = keys.iter().find(|key| Name::of(key).shard() >= 16).unwrap();
    // A call ends at the deadline, however many locks it needs, and no later call waits again.
    let start = std::time::Instant::now();
    for key in &stuck {
        assert_eq!(store.set(key, b"x", HOUR).unwrap_err().fault(), Fault::Busy);
    }
    assert!(stuck.len() > 150 && start.elapsed() < 20 * limit, "{:?}", start.elapsed());
    store.set(free, b"x", HOUR).unwrap();
    store.sweep().unwrap();
    drop(held);
    for key in &stuck {
        store.set(key, b"x", HOUR).unwrap();
    }
}

#[test]
fn a_shard_that_is_held_is_no_outage() {
    let folder = folder();
    let options = FileStore::options().deadline(Duration::from_millis(5));
    let store = options.open(folder.path()).unwrap();
    let cache = FragmentCache::builder().far(FarLevel::new(store)).build().unwrap();
    let other = open(&folder);
    let held = hold(&other, 100..108);
    let rendered = Cell::new(0);
    let pages = || {
        rendered.set(0);
        for n in 0..100 {
            let row = Fragment::new(fragment_key!("row", n));
            let body = || {
                rendered.set(rendered.get() + 1);
                "<td>"
            };
            cache.render(&row, body).unwrap();
            assert!(cache.health().is_reachable, "{:?}", cache.health());
        }
        rendered.get()
    };
    assert_eq!(pages(), 100);
    // Entries that need none of these locks are stored.
    let again = pages();
    assert!(again < 50, "{again} of 100 are rendered again");
    drop(held);
    pages();
    assert_eq!(pages(), 0);
}

#[test]
fn a_wait_for_a_lock_blocks_no_other_invalidation() {
    let folder = folder();
    let options = FileStore::options().deadline(Duration::from_millis(5));
    let store = options.open(folder.path()).unwrap();
    let cache = FragmentCache::builder().far(FarLevel::new(store)).build().unwrap();
    let other = open(&folder);
    // First all locks are held, so that all calls wait; then most of them.
    let held = hold(&other, 0..SHARDS);
    let tags: Vec<String> = (0..200).map(|n| format!("tag:{n}")).collect();
    for tag in &tags {
        assert_eq!(cache.invalidate_tags([tag]).unwrap(), Invalidation::Pending);
    }
    assert_eq!(cache.health().pending_invalidations, 200);
    let mut held: Vec<_> = held.into_iter().map(Some).collect();
    held.drain(8..);
    let pending = || cache.health().pending_invalidations;
    eventually(|| pending() < 40);
    assert!(pending() > 0);
    drop(held);
    eventually(|| pending() == 0);
}

#[allow(clippy::disallowed_methods, reason = "the cache's worker lives in real time")]
fn eventually(met: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !met() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
