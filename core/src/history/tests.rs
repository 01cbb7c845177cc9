//! The histories hold, and they fail without any one of the protections:
//!
//! | without it | histories until found |
//! |---|---|
//! | an invalidation removes what is stored, and no more | 1 |
//! | a fragment is as old as its end, not its read point | 1 |
//! | a label that the table has forgotten was never invalidated | 1 |
//! | the read point that a handler takes is ignored | 5 |
//! | a fragment does not depend on those inside | 4 |
//! | a label that is learnt late counts from then on | 11 |
//!
//! With a store, the threads of the background workers affect the numbers, which are approximate:
//!
//! | without it | histories until found |
//! |---|---|
//! | an entry has the versions of when it is stored, not of its read point | 5 |
//! | a label that is learnt late is vouched for by nothing | 5 |
//! | what is rendered inside under an older read point is as new as what is around it | 180 |
//! | the read point that a handler takes is ignored | 1 |
//! | a fragment does not depend on those inside | 5 |
//!
//! ```text
//! cargo test -p fragcache --all-features --lib history -- --nocapture
//! ```
//!
//! The numbers depend on the seeds. They change whenever the generation of histories changes.

use super::Stored::{self, InMemory, InStore};
use super::{Work, Wrong, run, tell};
use crate::protection::Protection;

/// Number of histories in a plain test run, which takes about half a minute on two cores.
/// `FRAGCACHE_HISTORIES` overrides it.
const HISTORIES: u64 = 100_000;

/// One in this many histories runs with a store, which is slower.
const IN_STORE: u64 = 50;

/// Threads that share the histories.
const THREADS: u64 = 2;

/// Runs the histories of these seeds. Panics with the log of the first that fails.
fn all_hold(stored: Stored, seeds: impl Iterator<Item = u64>) -> Work {
    let mut sum = Work::default();
    for seed in seeds {
        match run(stored, seed, None) {
            Ok(work) => sum.add(work),
            Err(wrong) => panic!("{wrong:?}, then {}", tell(stored, seed, None)),
        }
    }
    sum
}

/// Runs this many histories and returns what they did.
fn hold(stored: Stored, histories: u64) -> Work {
    std::thread::scope(|scope| {
        let seeds = |first| (first..histories).step_by(THREADS as usize);
        let thread = |first| scope.spawn(move || all_hold(stored, seeds(first)));
        let threads: Vec<_> = (0..THREADS).map(thread).collect();
        let mut sum = Work::default();
        for thread in threads {
            sum.add(thread.join().unwrap());
        }
        sum
    })
}

/// The number of histories to run.
fn histories() -> u64 {
    let histories = std::env::var("FRAGCACHE_HISTORIES").ok();
    histories.map_or(HISTORIES, |count| count.parse().unwrap())
}

#[test]
fn i1_no_history_is_served_what_was_read_before_an_invalidation() {
    let histories = histories();
    let work = hold(InMemory, histories);
    println!("{histories} histories: {work:?}");
    // The histories must do real work: this many of each per history, on average.
    assert!(work.hits > 2 * histories, "{work:?}");
    assert!(work.stores > 2 * histories && work.refusals > histories, "{work:?}");
    assert!(work.evictions > histories / 10, "{work:?}");
}

#[test]
fn i1_no_history_of_two_processes_is_served_what_either_has_invalidated() {
    let histories = histories() / IN_STORE;
    let work = hold(InStore, histories);
    println!("{histories} histories: {work:?}");
    assert!(work.hits > 2 * histories, "{work:?}");
    assert!(work.stores > 2 * histories && work.refusals > histories, "{work:?}");
}

/// Number of histories within which a missing protection must be found: a hundredth of the usual
/// number.
const SOON: u64 = HISTORIES / 100;

/// Protections that seem unnecessary at first sight.
const VARIANTS: [(&str, Protection); 6] = [
    ("an invalidation removes what is stored, and no more", Protection::Fence),
    ("a fragment is as old as its end, not its read point", Protection::ReadAtStart),
    ("a label that the table has forgotten was never invalidated", Protection::Floor),
    ("the read point that a handler takes is ignored", Protection::ReadPoint),
    ("a fragment does not depend on those inside", Protection::Inherit),
    ("a label that is learnt late counts from then on", Protection::LateLabels),
];

/// The same, with a store.
const VARIANTS_IN_STORE: [(&str, Protection); 5] = [
    (
        "an entry has the versions of when it is stored, not of its read point",
        Protection::VersionsAtReadPoint,
    ),
    ("a label that is learnt late is vouched for by nothing", Protection::LateFences),
    (
        "what is rendered inside under an older read point is as new as what is around it",
        Protection::OlderInside,
    ),
    ("the read point that a handler takes is ignored", Protection::ReadPoint),
    ("a fragment does not depend on those inside", Protection::Inherit),
];

/// Number of histories until one fails without a protection.
fn until_found(stored: Stored, without: Protection) -> Option<u64> {
    let wrong = |&seed: &u64| matches!(run(stored, seed, Some(without)), Err(Wrong::Served(_)));
    (0..SOON).find(wrong).map(|seed| seed + 1)
}

#[test]
fn i1_the_histories_find_each_protection_that_is_off() {
    for (stored, variants) in [(InMemory, &VARIANTS[..]), (InStore, &VARIANTS_IN_STORE)] {
        println!("| without it | histories until found |\n|---|---|");
        for (variant, without) in variants {
            let histories = until_found(stored, *without).expect(variant);
            println!("| {variant} | {histories} |");
        }
    }
}
