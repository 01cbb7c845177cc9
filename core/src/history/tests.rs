//! The histories hold, and find what is wrong without each of the protections:
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
//! ```text
//! cargo test -p fragcache --all-features --lib history -- --nocapture
//! ```
//!
//! The numbers follow from the seeds, so they change with what a history draws.

use super::{Work, Wrong, run, tell};
use crate::protection::Protection;

/// Histories of a plain test run, about half a minute of two cores; `FRAGCACHE_HISTORIES` says
/// otherwise.
const HISTORIES: u64 = 100_000;

/// Threads that share them.
const THREADS: u64 = 2;

/// Runs the histories of these seeds, and tells the first that went wrong.
fn all_hold(seeds: impl Iterator<Item = u64>) -> Work {
    let mut sum = Work::default();
    for seed in seeds {
        match run(seed, None) {
            Ok(work) => sum.add(work),
            Err(_) => panic!("{}", tell(seed, None)),
        }
    }
    sum
}

#[test]
fn i1_no_history_is_served_what_was_read_before_an_invalidation() {
    let histories = std::env::var("FRAGCACHE_HISTORIES").ok();
    let histories = histories.map_or(HISTORIES, |count| count.parse().unwrap());
    let work = std::thread::scope(|scope| {
        let thread =
            |first| scope.spawn(move || all_hold((first..histories).step_by(THREADS as usize)));
        let threads: Vec<_> = (0..THREADS).map(thread).collect();
        let mut sum = Work::default();
        for thread in threads {
            sum.add(thread.join().unwrap());
        }
        sum
    });
    println!("{histories} histories: {work:?}");
    // Put to work: so many of each in a history, on average.
    assert!(work.hits > 2 * histories, "{work:?}");
    assert!(work.stores > 2 * histories && work.refusals > histories, "{work:?}");
    assert!(work.evictions > histories / 10, "{work:?}");
}

/// Histories that find a missing protection: a hundredth of those that have to hold.
const SOON: u64 = HISTORIES / 100;

/// What the protocol could be without, at first sight.
const VARIANTS: [(&str, Protection); 6] = [
    ("an invalidation removes what is stored, and no more", Protection::Fence),
    ("a fragment is as old as its end, not its read point", Protection::ReadAtStart),
    ("a label that the table has forgotten was never invalidated", Protection::Floor),
    ("the read point that a handler takes is ignored", Protection::ReadPoint),
    ("a fragment does not depend on those inside", Protection::Inherit),
    ("a label that is learnt late counts from then on", Protection::LateLabels),
];

/// How many histories it takes until one goes wrong without a protection.
fn until_found(without: Protection) -> Option<u64> {
    let wrong = |&seed: &u64| matches!(run(seed, Some(without)), Err(Wrong::Served(_)));
    (0..HISTORIES).find(wrong).map(|seed| seed + 1)
}

#[test]
fn i1_the_histories_find_each_protection_that_is_off() {
    println!("| without it | histories until found |\n|---|---|");
    for (variant, without) in VARIANTS {
        let histories = until_found(without).expect(variant);
        println!("| {variant} | {histories} |");
        assert!(histories <= SOON, "{variant}");
    }
}
