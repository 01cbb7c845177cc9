//! The file store with concurrent processes, and with faults of folders and disks. `src/tests.rs`
//! has the tests of the format of the files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "also in what the tests share"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fragcache::store::{Fault, Store, StoreError};
use fragcache::testing::conformance::{Report, Suite};
use fragcache::testing::{ManualClock, MemoryStore};
use fragcache::{ErrorKind, MonotonicClock};
use fragcache_file::FileStore;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn get(store: &FileStore, key: &str) -> Option<Vec<u8>> {
    store.get_many(&[key]).unwrap().pop().unwrap()
}

fn absent(report: &Report) -> Vec<(&'static str, &'static str)> {
    report.absent().collect()
}

#[test]
fn the_store_of_files_keeps_the_contract() {
    let (folder, clock) = (folder(), ManualClock::new());
    let path = folder.path().join("fragments");
    let options = FileStore::options().clock(clock.clone());
    let store = options.clone().open(&path).unwrap();
    let report = Suite::new(store)
        .another(move || options.clone().open(&path).unwrap())
        .advance(move |by| clock.advance(by))
        .run();
    report.assert_passed();
    assert_eq!(absent(&report), []);
}

#[test]
fn the_store_of_files_keeps_the_contract_in_real_time() {
    let folder = folder();
    let path = folder.path().to_owned();
    let store = FileStore::open(&path).unwrap();
    let report = Suite::new(store).another(move || FileStore::open(&path).unwrap()).run();
    report.assert_passed();
    assert_eq!(absent(&report), []);
}

#[test]
fn a_store_of_files_that_flushes_keeps_the_contract() {
    let (folder, clock) = (folder(), ManualClock::new());
    let path = folder.path().join("fragments");
    let options = FileStore::options().clock(clock.clone()).durable(true);
    let store = options.clone().open(&path).unwrap();
    let report = Suite::new(store)
        .another(move || options.clone().open(&path).unwrap())
        .advance(move |by| clock.advance(by))
        .rounds(5)
        .run();
    report.assert_passed();
}

#[test]
fn the_store_of_the_tests_keeps_the_contract() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let other = store.clone();
    let report =
        Suite::new(store).another(move || other.clone()).advance(move |by| clock.advance(by)).run();
    report.assert_passed();
    assert_eq!(absent(&report), [("records outlive the handle that wrote them", "persists")]);
    Suite::new(MemoryStore::with_clock(MonotonicClock::default())).run().assert_passed();
}

#[test]
fn an_unusable_folder_is_an_error_of_opening() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let refused = |name: &str| {
        let error = FileStore::open(path(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let told = error.to_string();
        assert!(told.lines().count() == 1, "{told}");
        told.replace(folder.path().to_str().unwrap(), "")
    };
    std::fs::write(path("file"), "").unwrap();
    let what = "is a file or a symbolic link; name the folder itself";
    assert_eq!(refused("file"), format!("the store's folder /file {what}"));
    std::fs::create_dir(path("folder")).unwrap();
    std::os::unix::fs::symlink(path("folder"), path("link")).unwrap();
    assert_eq!(refused("link"), format!("the store's folder /link {what}"));
    let told = refused("file/below");
    assert!(told.starts_with("the store's folder /file/below cannot be created: "), "{told}");
    let opened = Command::new("chmod").arg("777").arg(path("folder")).status().unwrap();
    assert!(opened.success());
    let told = refused("folder");
    assert!(told.contains("is writable by other users (mode 777)"), "{told}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let folder = folder();
    let told = |options: fragcache_file::FileOptions| {
        let error = options.open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let options = FileStore::options;
    assert_eq!(told(options().max_bytes(1000)), "max_bytes is 1000; write at least 1048576");
    assert_eq!(told(options().max_records(1)), "max_records is 1; write at least 16");
    for mode in [0o400, 0o777, 0o200, 0o4600] {
        let told = told(options().mode(mode));
        let start = format!("the mode {mode:o} does not work for files; write 600");
        assert!(told.starts_with(&start), "{told}");
    }
    let told = told(options().deadline(Duration::ZERO));
    assert_eq!(told, "the deadline is 0ns; write 1 ms to 60 s");
}

#[test]
fn a_folder_that_is_removed_is_an_error_until_it_is_there_again() {
    let folder = folder();
    let path = folder.path().join("fragments");
    let store = FileStore::open(&path).unwrap();
    store.set("key", b"value", HOUR).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    let gone = |error: StoreError| {
        assert_eq!(error.fault(), Fault::Unreachable);
        assert!(error.to_string().ends_with("/fragments is no longer there"), "{error}");
    };
    gone(store.get_many(&["key"]).unwrap_err());
    gone(store.set("key", b"value", HOUR).unwrap_err());
    gone(store.add("key", b"value", HOUR).unwrap_err());
    gone(store.delete("key").unwrap_err());
    gone(store.compare_and_delete("key", b"value").unwrap_err());
    gone(store.touch("key", HOUR).unwrap_err());
    gone(store.scan("", None).unwrap_err());
    gone(store.sweep().unwrap_err());
    std::fs::write(&path, "a file").unwrap();
    gone(store.get_many(&["key"]).unwrap_err());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_eq!(get(&store, "key"), None);
    store.set("key", b"new", HOUR).unwrap();
    assert_eq!(get(&store, "key").as_deref(), Some(b"new".as_slice()));
}

/// In a process that a test started: the folder that it uses.
fn given() -> Option<PathBuf> {
    std::env::var_os(GIVEN).map(PathBuf::from)
}

const GIVEN: &str = "FRAGCACHE_TEST_FOLDER";

/// A child process of this binary that runs this test in a folder. Its command line begins with
/// `first` and `arguments`.
fn process(first: &str, arguments: &[&str], test: &str, folder: &Path) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut command = if first.is_empty() {
        Command::new(this)
    } else {
        let mut command = Command::new(first);
        command.args(arguments).arg(folder).arg(this);
        command
    };
    command.args(["--exact", test, "--nocapture"]).env(GIVEN, folder).stdout(Stdio::piped());
    command
}

fn start(test: &str, folder: &Path) -> Child {
    process("", &[], test, folder).spawn().unwrap()
}

/// Like [`start`], after `mount` in a mount namespace of its own; `$0` is the folder.
fn start_with_mount(mount: &str, test: &str, folder: &Path) -> Child {
    let script = format!("{mount} && exec \"$@\"");
    // Root may mount without a user namespace, even where those are disabled.
    let mut mounts = Command::new("unshare");
    let is_allowed = mounts.args(["--mount", "true"]).stderr(Stdio::null()).status().unwrap();
    let arguments = ["--map-root-user", "--mount", "sh", "-c", &script];
    let needed = &arguments[usize::from(is_allowed.success())..];
    process("unshare", needed, test, folder).spawn().unwrap()
}

/// The output of a process that ended successfully.
fn said(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

/// In a child process: reports a number to the test that started it.
#[allow(clippy::print_stdout, reason = "the other process reads it")]
fn tell(number: usize) {
    println!("told: {number}");
}

fn number(said: &str) -> usize {
    let told = said.split("told: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    told.unwrap_or_else(|| panic!("nothing was told in {said:?}")).parse().unwrap()
}

#[test]
fn of_several_processes_one_adds_and_one_compares_and_deletes() {
    if let Some(folder) = given() {
        return race(&folder);
    }
    let folder = folder();
    let store = FileStore::open(folder.path()).unwrap();
    for n in 0..ROUNDS {
        store.set(&format!("compare:{n}"), b"value", HOUR).unwrap();
    }
    let children: Vec<Child> = (0..3)
        .map(|_| start("of_several_processes_one_adds_and_one_compares_and_deletes", folder.path()))
        .collect();
    let done: usize = children.into_iter().map(|child| number(&said(child))).sum();
    assert_eq!(done, 2 * ROUNDS, "each once, in one process");
    assert_eq!(get(&store, "inside").as_deref(), None);
}

/// Number of keys that processes race for.
const ROUNDS: usize = 300;

/// What each process of the race does.
fn race(folder: &Path) {
    let store = FileStore::open(folder).unwrap();
    let mut done = 0;
    for n in 0..ROUNDS {
        done += usize::from(store.add(&format!("add:{n}"), b"value", HOUR).unwrap());
        done += usize::from(store.compare_and_delete(&format!("compare:{n}"), b"value").unwrap());
    }
    let token = format!("held by {}", std::process::id());
    let mut held = 0;
    while held < 50 {
        if !store.add("lock", token.as_bytes(), HOUR).unwrap() {
            continue;
        }
        held += 1;
        assert!(store.add("inside", token.as_bytes(), HOUR).unwrap(), "two hold the lock");
        assert!(store.compare_and_delete("inside", token.as_bytes()).unwrap());
        assert!(store.compare_and_delete("lock", token.as_bytes()).unwrap());
    }
    tell(done);
}

/// A value that shows whether it is complete.
fn marked(n: usize) -> Vec<u8> {
    let mut value = n.to_le_bytes().to_vec();
    value.resize(8 + n * 7919 % 200_000, u8::try_from(n % 251).unwrap());
    value
}

fn is_marked(value: &[u8]) -> bool {
    let (head, _) = value.split_first_chunk::<8>().unwrap();
    marked(usize::from_le_bytes(*head)) == value
}

/// Writes until it is killed.
fn write_on(folder: &Path) {
    let store = FileStore::open(folder).unwrap();
    for n in 0.. {
        store.set(&format!("key:{}", n % 4), &marked(n), HOUR).unwrap();
    }
}

#[test]
fn a_writer_that_is_killed_leaves_whole_records_and_no_locks() {
    if let Some(folder) = given() {
        return write_on(&folder);
    }
    let folder = folder();
    let store = FileStore::open(folder.path()).unwrap();
    let keys: Vec<String> = (0..4).map(|n| format!("key:{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for round in 0..20 {
        for key in &keys {
            store.delete(key).unwrap();
        }
        let mut writer =
            start("a_writer_that_is_killed_leaves_whole_records_and_no_locks", folder.path());
        // The process is killed in the middle of writing, a little later each round.
        let mut seen = 0;
        while seen <= round {
            for value in store.get_many(&keys).unwrap().into_iter().flatten() {
                assert!(is_marked(&value));
                seen += 1;
            }
            assert!(writer.try_wait().unwrap().is_none(), "the writer ended");
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        for value in store.get_many(&keys).unwrap().into_iter().flatten() {
            assert!(is_marked(&value));
        }
        for key in &keys {
            store.set(key, &marked(round), HOUR).unwrap();
        }
    }
    assert_eq!(store.passed_over(), 0);
}

#[test]
fn a_full_disk_is_refused_and_leaves_no_part() {
    if let Some(folder) = given() {
        return fill(&folder);
    }
    let (folder, mount) = (folder(), "mount -t tmpfs -o size=1m,mode=700 none \"$0\"");
    let test = "a_full_disk_is_refused_and_leaves_no_part";
    let filled = number(&said(start_with_mount(mount, test, folder.path())));
    assert!((8..16).contains(&filled), "{filled} values of 64 KiB fit into 1 MiB");
}

/// Fills a disk of 1 MiB.
fn fill(folder: &Path) {
    let store = FileStore::open(folder).unwrap();
    let value = |n: usize| vec![u8::try_from(n).unwrap(); 65_536];
    let key = |n: usize| format!("key:{n}");
    let refused = |error: StoreError| {
        assert_eq!(error.fault(), Fault::Refused);
        assert!(error.to_string().ends_with("cannot be written: the disk is full"), "{error}");
    };
    let mut filled = 0;
    while store.set(&key(filled), &value(filled), HOUR).map_err(refused).is_ok() {
        filled += 1;
    }
    // Existing values are complete, and failed writes left nothing.
    for n in 0..filled {
        assert_eq!(get(&store, &key(n)), Some(value(n)));
    }
    assert_eq!(get(&store, &key(filled)), None);
    assert_eq!(store.scan("", None).unwrap().keys.len(), filled);
    refused(store.add(&key(filled), &value(filled), HOUR).unwrap_err());
    // A value whose overwrite failed is still there. Deleting it makes room.
    refused(store.set(&key(0), &[7; 65_536], HOUR).unwrap_err());
    assert_eq!(get(&store, &key(0)), Some(value(0)));
    assert!(store.delete(&key(0)).unwrap());
    store.set(&key(filled), &value(filled), HOUR).unwrap();
    tell(filled);
}

#[test]
fn a_folder_that_may_not_be_written_is_refused() {
    if let Some(folder) = given() {
        return write_in_vain(&folder);
    }
    let (folder, mount) = (folder(), "mount --bind \"$0\" \"$0\"");
    let test = "a_folder_that_may_not_be_written_is_refused";
    assert_eq!(number(&said(start_with_mount(mount, test, folder.path()))), 1);
}

/// Uses a folder that becomes read-only while it is open. A file mode would not
/// suffice: root ignores it.
fn write_in_vain(folder: &Path) {
    let store = FileStore::open(folder).unwrap();
    store.set("key", b"value", HOUR).unwrap();
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-o", "remount,bind,ro"]).arg(folder).status().unwrap();
    assert!(mounted.success());
    let refused = |error: StoreError| {
        assert_eq!(error.fault(), Fault::Refused);
        assert!(error.to_string().ends_with(": the disk is read-only"), "{error}");
    };
    refused(store.set("key", b"new", HOUR).unwrap_err());
    refused(store.add("new", b"new", HOUR).unwrap_err());
    refused(store.delete("key").unwrap_err());
    refused(store.compare_and_delete("key", b"value").unwrap_err());
    refused(store.touch("key", HOUR).unwrap_err());
    assert_eq!(get(&store, "key").as_deref(), Some(b"value".as_slice()));

    let error = FileStore::open(folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("cannot be written to: "), "{error}");
    tell(1);
}
