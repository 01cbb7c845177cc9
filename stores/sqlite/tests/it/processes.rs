//! Several processes on one database, and processes that are killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fragcache::store::{Operation, Store};
use fragcache_sqlite::SqliteStore;

use super::{HOUR, get, patient, place};

/// In a process that a test started: the database that it uses.
pub(crate) fn given() -> Option<PathBuf> {
    std::env::var_os(GIVEN).map(PathBuf::from)
}

const GIVEN: &str = "FRAGCACHE_TEST_DATABASE";

/// A child process of this binary that runs this test on a database.
pub(crate) fn process(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(GIVEN, path).stdout(Stdio::piped());
    command
}

/// The number that a process has reported, which must have ended successfully.
pub(crate) fn reported(child: Child) -> usize {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {text}", output.status);
    let number = text.split("reported: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    number.unwrap_or_else(|| panic!("nothing was reported in {text:?}")).parse().unwrap()
}

/// In a child process: reports a number to the test that started it.
#[allow(clippy::print_stdout, reason = "the other process reads it")]
pub(crate) fn report(number: usize) {
    println!("reported: {number}");
}

/// Number of keys that processes race for.
const ROUNDS: usize = 300;

#[test]
fn of_several_processes_one_adds_and_one_compares_and_deletes() {
    if let Some(path) = given() {
        return race(&path);
    }
    let (_folder, path) = place();
    let store = patient().open(&path).unwrap();
    for n in 0..ROUNDS {
        store.set(&format!("compare:{n}"), b"value", HOUR).unwrap();
    }
    let test = "processes::of_several_processes_one_adds_and_one_compares_and_deletes";
    let children: Vec<Child> = (0..3).map(|_| process(test, &path).spawn().unwrap()).collect();
    let done: usize = children.into_iter().map(reported).sum();
    assert_eq!(done, 2 * ROUNDS, "each once, in one process");
    assert_eq!(get(&store, "inside"), None);
}

/// What each process of the race does.
fn race(path: &Path) {
    let store = patient().open(path).unwrap();
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
    report(done);
}

/// A value that shows whether it is complete.
fn marked(n: usize) -> Vec<u8> {
    let mut value = n.to_le_bytes().to_vec();
    value.resize(8 + n * 7919 % 200_000, u8::try_from(n % 251).unwrap());
    value
}

fn number_in(value: &[u8]) -> usize {
    let (head, _) = value.split_first_chunk::<8>().unwrap();
    let n = usize::from_le_bytes(*head);
    assert!(marked(n) == value, "a part of a value");
    n
}

const KEYS: [&str; 4] = ["key:0", "key:1", "key:2", "key:3"];

/// Writes the same value to all keys in one batch until it is killed.
fn write_on(path: &Path) {
    let store = patient().open(path).unwrap();
    for n in 0.. {
        let value = marked(n);
        let set = |key| Operation::Set { key, value: &value, ttl: HOUR };
        store.run(&KEYS.map(set)).unwrap();
    }
}

/// The number in all keys, which are written together.
fn all_keys(store: &SqliteStore) -> Option<usize> {
    let values = store.get_many(&KEYS).unwrap();
    let numbers: Vec<_> = values.iter().map(|value| value.as_deref().map(number_in)).collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");
    numbers[0]
}

#[test]
fn a_writer_that_is_killed_leaves_whole_batches_and_no_locks() {
    if let Some(path) = given() {
        return write_on(&path);
    }
    let (_folder, path) = place();
    let store = patient().open(&path).unwrap();
    for round in 0..20 {
        for key in KEYS {
            store.delete(key).unwrap();
        }
        let test = "processes::a_writer_that_is_killed_leaves_whole_batches_and_no_locks";
        let mut writer = process(test, &path).spawn().unwrap();
        // The process is killed in the middle of writing, a little later each round.
        let mut last = None;
        while last.is_none_or(|last| last < round) {
            let now = all_keys(&store);
            assert!(now >= last, "{last:?}, then {now:?}");
            last = now;
            assert!(writer.try_wait().unwrap().is_none(), "the writer ended");
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        let left = all_keys(&store);
        assert!(left >= last, "{last:?}, then {left:?}");
        store.run(&KEYS.map(|key| Operation::Delete { key })).unwrap();
        assert_eq!(all_keys(&store), None);
    }
    // What the killed processes had opened is no reason to begin anew.
    store.set("key:0", &marked(7), HOUR).unwrap();
    drop(store);
    let store = patient().open(&path).unwrap();
    assert_eq!((store.started_empty(), get(&store, "key:0")), (None, Some(marked(7))));
}
