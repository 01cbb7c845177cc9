//! Functions with the same name: each has its own results, and the conflict is reported.

use std::path::Path;
use std::process::Command;

use fragcache::events::{EventKind, RefusalReason};
use fragcache::testing::Recorder;
use fragcache::{FarLevel, FragmentCache, memoize};
use fragcache_file::FileStore;

/// Two functions with the same name, signature and body, from one place in the source.
macro_rules! twins {
    ($cache:ident) => {{
        let one = {
            const PRICE: u32 = 1;
            #[memoize(cache = cache)]
            fn price(cache: &FragmentCache, id: u32) -> u32 {
                PRICE * id
            }
            price
        };
        let other = {
            const PRICE: u32 = 2;
            #[memoize(cache = cache)]
            fn price(cache: &FragmentCache, id: u32) -> u32 {
                PRICE * id
            }
            price
        };
        [one, other]
    }};
}

#[test]
fn functions_of_one_name_in_two_blocks_never_share_results() {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    let [one, other] = twins!(cache);
    for _ in 0..2 {
        assert_eq!((one(&cache, 7), other(&cache, 7)), (7, 14));
    }
    let told = |kind| recorder.events().into_iter().filter(|event| event.kind == kind).count();
    assert_eq!(told(EventKind::Refused(RefusalReason::SharedName)), 2);
    assert_eq!(told(EventKind::Warned), 1);
    assert_eq!(told(EventKind::Hit), 1);
}

/// For a process started by a test: its folder, and the function it calls.
const FOLDER: &str = "FRAGCACHE_TEST_FOLDER";
const CALLS: &str = "FRAGCACHE_TEST_CALLS";

#[test]
fn functions_of_one_name_never_share_results_between_processes() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return call_one(Path::new(&folder), &std::env::var(CALLS).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let process = |calls: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let test = "sites::functions_of_one_name_never_share_results_between_processes";
        command.args(["--exact", test, "--nocapture"]);
        let output = command.env(FOLDER, folder.path()).env(CALLS, calls).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        let told = said.lines().find_map(|line| line.split_once("told: "));
        told.unwrap_or_else(|| panic!("{said}")).1.to_owned()
    };
    assert_eq!(process("one"), "7 true");
    assert_eq!(process("one"), "7 false", "what one process stored is found by the next");
    assert_eq!(process("other"), "14 true");
    assert!(process("one").starts_with("7 "));
    assert!(process("other").starts_with("14 "));
}

/// Calls one of two functions with the same name. Reports its result and whether it ran.
#[allow(clippy::print_stdout, reason = "the other process reads it")]
fn call_one(folder: &Path, calls: &str) {
    let recorder = Recorder::new();
    let store = FileStore::open(folder).unwrap();
    let builder = FragmentCache::builder().far(FarLevel::new(store));
    let cache = builder.observer(recorder.clone()).build().unwrap();
    let [one, other] = twins!(cache);
    let result = if calls == "one" { one(&cache, 7) } else { other(&cache, 7) };
    let has_run = recorder.events().iter().all(|event| event.kind != EventKind::Hit);
    println!("told: {result} {has_run}");
}

#[test]
fn a_name_of_its_own_keeps_each_ones_results() {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    let film = {
        #[memoize(cache = cache)]
        fn rate(cache: &FragmentCache) -> u32 {
            1
        }
        rate
    };
    let book = {
        #[memoize(cache = cache, name = "books::rate")]
        fn rate(cache: &FragmentCache) -> u32 {
            2
        }
        rate
    };
    for _ in 0..2 {
        assert_eq!((film(&cache), book(&cache)), (1, 2));
    }
    assert_eq!(recorder.events().iter().filter(|event| event.kind == EventKind::Hit).count(), 2);
}

struct Of<T>(T);

impl<T: Copy + Into<u64>> Of<T> {
    #[memoize(cache = cache, of = Of, identity: u64 = self.0.into())]
    fn double(&self, cache: &FragmentCache) -> u64 {
        self.0.into() * 2
    }
}

#[test]
fn a_generic_type_is_one_site() {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    assert_eq!((Of(1_u8).double(&cache), Of(2_u32).double(&cache)), (2, 4));
    assert_eq!((Of(1_u8).double(&cache), Of(2_u32).double(&cache)), (2, 4));
    assert_eq!(recorder.events().iter().filter(|event| event.kind == EventKind::Hit).count(), 2);
}
