//! Nested fragments under load: threads render fragments around each other and around themselves,
//! eight deep, with bodies that fail and panic, while another thread deletes and clears. Waits end
//! before their limit, no stale output is printed or stored, no flight is left, and a call renders
//! its body at most once. Shown to fail with protections off.
//!
//! `FRAGCACHE_NESTED_ROUNDS=20000 cargo test --release -p fragcache --lib nested_load` runs longer.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::random::Random;
use crate::clock::{Clock, MonotonicClock};
use crate::events::{BypassReason, Event, EventKind, Observer};
use crate::protection::Protection;
use crate::{Error, Fragment, FragmentCache, fragment_key};

const KEYS: usize = 3;
const DEPTH: usize = 8;
const THREADS: usize = 8;
const CALLS: usize = 6;
const ROUNDS: usize = 2_000;

/// The cache's events that these tests check.
#[derive(Debug, Default)]
struct Told {
    wait_limits: AtomicUsize,
    cycles: AtomicUsize,
    waits: AtomicUsize,
}

impl Observer for &'static Told {
    fn on_event(&self, event: &Event<'_>) {
        let count = match event.kind {
            EventKind::Bypassed(BypassReason::WaitLimit) => &self.wait_limits,
            EventKind::Bypassed(BypassReason::Cycle) => &self.cycles,
            EventKind::Waited(_) => &self.waits,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A cache, and the data of its fragments.
struct World {
    cache: FragmentCache,
    told: &'static Told,
    limit: Duration,
    /// The version of each key's data.
    truth: [AtomicU64; KEYS],
    /// The oldest version that may be served, according to the invalidations that have returned.
    oldest: [AtomicU64; KEYS],
    /// Bodies that ran, failed and panicked.
    bodies: AtomicUsize,
    failures: AtomicUsize,
    panics: AtomicUsize,
    /// Calls whose result was older than an invalidation that had returned before they started.
    printed_stale: AtomicUsize,
}

/// Why a body ended early, and in which call.
#[derive(Debug, PartialEq)]
enum Failed {
    Body(u64),
    Panic(u64),
    Cache(String),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Cache(error.to_string())
    }
}

fn key(number: usize) -> Fragment {
    Fragment::new(fragment_key!("nested", number))
}

/// The keys printed in a fragment's markup, with the versions of their data.
fn versions(markup: &str) -> impl Iterator<Item = (usize, u64)> {
    markup.split_terminator(' ').map(|word| {
        let (key, version) = word.split_once('=').unwrap();
        (key.parse().unwrap(), version.parse().unwrap())
    })
}

impl World {
    fn new(without: Option<Protection>, limit: Duration) -> Self {
        let told: &'static Told = Box::leak(Box::default());
        let mut builder = FragmentCache::builder().observer(told).wait_limit(limit);
        if let Some(protection) = without {
            builder = builder.without(protection);
        }
        Self {
            cache: builder.build().unwrap(),
            told,
            limit,
            truth: Default::default(),
            oldest: Default::default(),
            bodies: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
            panics: AtomicUsize::new(0),
            printed_stale: AtomicUsize::new(0),
        }
    }

    /// One call of `try_render`, with more calls inside. A failure propagates to a randomly chosen
    /// level, which prints a replacement.
    fn call(
        &self,
        number: usize,
        depth: usize,
        calls: &Cell<u64>,
        random: &mut Random,
    ) -> Result<String, Failed> {
        let me = calls.get();
        calls.set(me + 1);
        let oldest: [u64; KEYS] =
            std::array::from_fn(|key| self.oldest[key].load(Ordering::SeqCst));
        let runs = Cell::new(0);
        let outcome = self.cache.try_render(key(number), || {
            runs.set(runs.get() + 1);
            self.body(number, depth, me, calls, random)
        });
        assert!(runs.get() <= 1, "one call rendered {} times", runs.get());
        match outcome {
            Ok(markup) => {
                if versions(&markup).any(|(key, version)| version < oldest[key]) {
                    self.printed_stale.fetch_add(1, Ordering::Relaxed);
                }
                Ok(markup.to_string())
            }
            Err(failed) => {
                assert_eq!(runs.get(), 1, "a failure is of the caller's own body");
                let (Failed::Body(by) | Failed::Panic(by)) = failed else {
                    panic!("the cache failed: {failed:?}")
                };
                assert!((me..calls.get()).contains(&by), "another call's failure");
                Err(failed)
            }
        }
    }

    fn body(
        &self,
        number: usize,
        depth: usize,
        me: u64,
        calls: &Cell<u64>,
        random: &mut Random,
    ) -> Result<String, Failed> {
        self.bodies.fetch_add(1, Ordering::Relaxed);
        let mut printed = format!("{number}={} ", self.truth[number].load(Ordering::SeqCst));
        if random.one_in(4) {
            std::thread::yield_now();
        }
        if depth < DEPTH && !random.one_in(8) {
            let inner = random.below(KEYS);
            let call = || self.call(inner, depth + 1, calls, random);
            let outcome = match catch_unwind(AssertUnwindSafe(call)) {
                Ok(outcome) => outcome,
                // An assertion of this test propagates to the test.
                Err(payload) => {
                    Err(*payload.downcast::<Failed>().unwrap_or_else(|other| resume_unwind(other)))
                }
            };
            match outcome {
                Ok(markup) => printed.push_str(&markup),
                Err(failed) if random.one_in(2) => return Err(failed),
                // The outer fragment is printed without it.
                Err(_) => {}
            }
        }
        if random.one_in(4) {
            std::thread::yield_now();
        }
        match random.below(12) {
            0 => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(Failed::Body(me))
            }
            1 => {
                self.panics.fetch_add(1, Ordering::Relaxed);
                // Unlike `panic!`, this prints nothing.
                resume_unwind(Box::new(Failed::Panic(me)))
            }
            _ => Ok(printed),
        }
    }

    /// Changes the data of a key and invalidates its fragments in a random way.
    fn change(&self, number: usize, random: &mut Random) {
        let version = self.truth[number].fetch_add(1, Ordering::SeqCst) + 1;
        match random.below(8) {
            0 => self.cache.clear(),
            1 => self.cache.delete_name("nested"),
            _ => self.cache.delete(key(number).key()),
        }
        .eventually();
        self.oldest[number].store(version, Ordering::SeqCst);
    }

    fn round(&self, seed: u64) {
        let start = Barrier::new(THREADS + 1);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let start = &start;
                scope.spawn(move || {
                    let mut random = Random::new(seed ^ (thread as u64) << 48);
                    let calls = Cell::new(0);
                    start.wait();
                    for _ in 0..CALLS {
                        let number = random.below(KEYS);
                        let call = || self.call(number, 1, &calls, &mut random);
                        if let Err(payload) = catch_unwind(AssertUnwindSafe(call))
                            && !payload.is::<Failed>()
                        {
                            resume_unwind(payload);
                        }
                    }
                });
            }
            let mut random = Random::new(!seed);
            start.wait();
            for _ in 0..CALLS {
                self.change(random.below(KEYS), &mut random);
                std::thread::yield_now();
            }
        });
    }

    /// Stored fragments that differ from a render now.
    fn stored_stale(&self) -> usize {
        let is_stale = |&number: &usize| {
            let stored = self.cache.get(key(number).key()).unwrap();
            stored.is_some_and(|markup| {
                versions(&markup)
                    .any(|(key, version)| version != self.truth[key].load(Ordering::SeqCst))
            })
        };
        (0..KEYS).filter(is_stale).count()
    }
}

/// The findings of some rounds.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// Calls whose result was older than an invalidation that had returned before they started.
    printed_stale: usize,
    /// Stored fragments that were stale after all activity had ended.
    stored_stale: usize,
    /// Rounds that were long enough for a wait to reach its limit, and in which one did. (A caller
    /// whose lookups are outdated three times in a row also counts as one that gave up waiting,
    /// although it did not wait.)
    waited_out: usize,
    /// Flights left after all activity had ended.
    flights: u64,
}

/// Runs rounds until there is a finding that is looked for, at most `rounds`.
fn run(world: &World, rounds: usize, is_wanted: impl Fn(&Found) -> bool) -> Found {
    let clock = MonotonicClock::default();
    let mut found = Found::default();
    for round in 0..rounds {
        let (began, given_up) = (clock.now(), world.told.wait_limits.load(Ordering::Relaxed));
        world.round(round as u64);
        let gave_up = world.told.wait_limits.load(Ordering::Relaxed) > given_up;
        found.waited_out += usize::from(gave_up && clock.now() - began >= world.limit);
        found.printed_stale = world.printed_stale.load(Ordering::Relaxed);
        found.stored_stale += world.stored_stale();
        found.flights += world.cache.stats().flights;
        if is_wanted(&found) {
            break;
        }
        if round % 2 == 0 {
            world.cache.clear().eventually();
        }
    }
    found
}

#[test]
fn i7_nested_load_ends_within_its_limits_and_leaves_nothing_stale() {
    let rounds = std::env::var("FRAGCACHE_NESTED_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let world = World::new(None, Duration::from_secs(1));
    let found = run(&world, rounds, |found| *found != Found::default());
    assert_eq!(found, Found::default());
    let seen = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let stats = world.cache.stats();
    assert!(stats.hits > 0 && stats.stores > 0 && stats.refusals > 0, "put to work: {stats:?}");
    assert!(seen(&world.told.cycles) > 0 && seen(&world.told.waits) > 0, "{:?}", world.told);
    assert!(seen(&world.failures) > 0 && seen(&world.panics) > 0);
}

/// Whether this is found with one protection off and a short limit. On a busy machine a wait may
/// also reach that limit by itself, so the search goes on until what is wanted is found.
fn is_found_without(protection: Protection, is_wanted: fn(&Found) -> bool) -> bool {
    let world = World::new(Some(protection), Duration::from_millis(20));
    is_wanted(&run(&world, 20_000, is_wanted))
}

fn waits_out(found: &Found) -> bool {
    found.waited_out > 0
}

fn is_stale(found: &Found) -> bool {
    found.printed_stale + found.stored_stale > 0
}

#[test]
fn i7_nested_load_finds_the_waits_that_only_their_limit_ends_when_cycles_are_begun() {
    assert!(is_found_without(Protection::CycleCheck, waits_out));
}

#[test]
fn i7_nested_load_finds_waits_without_a_new_leader() {
    assert!(is_found_without(Protection::HandOver, waits_out));
}

#[test]
fn i1_nested_load_finds_stale_bodies_without_the_fence() {
    assert!(is_found_without(Protection::Fence, is_stale));
}

#[test]
fn i1_nested_load_finds_stale_bodies_of_unchecked_followers() {
    assert!(is_found_without(Protection::FollowerCheck, is_stale));
}
