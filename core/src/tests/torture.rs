//! Torture: threads render, delete and clear against a ground truth. After all activity has ended,
//! every entry is compared with it. The test is shown to find stale entries in a naive cache, which
//! works like most caches, and in this one with its fence off.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fragment;
use crate::protection::Protection;
use crate::{FragmentCache, fragment_key};

const KEYS: usize = 4;
const ROUNDS: usize = 5_000;

/// The operations of a cache in this test.
trait Cache: Sync {
    fn render(&self, key: usize, body: &dyn Fn() -> u64) -> u64;
    /// A page around all keys.
    fn page(&self, body: &dyn Fn() -> u64) -> u64;
    fn delete(&self, key: usize);
    fn clear(&self);
    fn peek(&self, key: usize) -> Option<u64>;
    fn peek_page(&self) -> Option<u64>;
}

/// Get, render, set; delete removes. As in Flask-Caching, dogpile and Laravel.
#[derive(Default)]
struct Naive(Mutex<HashMap<usize, u64>>);

impl Cache for Naive {
    fn render(&self, key: usize, body: &dyn Fn() -> u64) -> u64 {
        if let Some(stored) = self.peek(key) {
            return stored;
        }
        let value = body();
        self.0.lock().unwrap().insert(key, value);
        value
    }

    fn page(&self, body: &dyn Fn() -> u64) -> u64 {
        self.render(KEYS, body)
    }

    fn delete(&self, key: usize) {
        let mut map = self.0.lock().unwrap();
        map.remove(&key);
        map.remove(&KEYS);
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn peek(&self, key: usize) -> Option<u64> {
        self.0.lock().unwrap().get(&key).copied()
    }

    fn peek_page(&self) -> Option<u64> {
        self.peek(KEYS)
    }
}

impl Cache for FragmentCache {
    fn render(&self, key: usize, body: &dyn Fn() -> u64) -> u64 {
        let row = crate::Fragment::new(fragment_key!("row", key));
        self.render(&row, || body().to_string()).unwrap().parse().unwrap()
    }

    fn page(&self, body: &dyn Fn() -> u64) -> u64 {
        self.render(fragment("page"), || body().to_string()).unwrap().parse().unwrap()
    }

    fn delete(&self, key: usize) {
        self.delete(&fragment_key!("row", key)).eventually();
    }

    fn clear(&self) {
        self.clear().eventually();
    }

    fn peek(&self, key: usize) -> Option<u64> {
        self.get(&fragment_key!("row", key)).unwrap().map(|text| text.parse().unwrap())
    }

    fn peek_page(&self) -> Option<u64> {
        self.get(&fragment_key!("page")).unwrap().map(|text| text.parse().unwrap())
    }
}

/// A body that reads the truth and then takes long enough for others to come between.
fn read(truth: &AtomicU64) -> u64 {
    let value = truth.load(Ordering::SeqCst);
    for _ in 0..4 {
        std::thread::yield_now();
    }
    value
}

/// How many rounds ended with something wrong.
#[derive(Debug, Default, PartialEq)]
struct Stale {
    /// A row: a fill that raced with its deletion.
    rows: usize,
    /// The page around the rows. With the fence off it has no dependencies inside it, so it is
    /// wrong without any race.
    pages: usize,
}

fn stale_rounds(cache: &impl Cache) -> Stale {
    let truth: [AtomicU64; KEYS] = Default::default();
    let sum = || truth.iter().map(|value| value.load(Ordering::SeqCst)).sum::<u64>();
    let mut stale = Stale::default();
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            for reader in 0..2 {
                let truth = &truth;
                scope.spawn(move || {
                    for step in 0..3 {
                        let row = |key: usize| cache.render(key, &|| read(&truth[key]));
                        if (reader + step) % 2 == 0 {
                            cache.page(&|| (0..KEYS).map(row).sum());
                        } else {
                            row((round + step) % KEYS);
                        }
                    }
                });
            }
            scope.spawn(|| {
                for step in 0..2 {
                    let key = (round + step) % KEYS;
                    truth[key].fetch_add(1, Ordering::SeqCst);
                    if round % 16 == 0 {
                        cache.clear();
                    } else {
                        cache.delete(key);
                    }
                    std::thread::yield_now();
                }
            });
        });
        // No invalidation is running: what is served now must be true.
        let wrong = |key: usize| {
            cache.peek(key).is_some_and(|value| value != truth[key].load(Ordering::SeqCst))
        };
        let row = (0..KEYS).any(wrong);
        let page = cache.peek_page().is_some_and(|value| value != sum());
        stale.rows += usize::from(row);
        stale.pages += usize::from(page);
        // Half of the rounds start cold, half with stored entries; none with wrong ones.
        if row || page || round % 2 == 0 {
            cache.clear();
        }
    }
    stale
}

#[test]
fn i1_torture_finds_no_stale_entry() {
    let cache = FragmentCache::in_memory();
    assert_eq!(stale_rounds(&cache), Stale::default());
    let stats = cache.stats();
    assert!(stats.hits > 0 && stats.stores > 0 && stats.waits > 0, "it was put to work: {stats:?}");
    assert!(stats.refusals > 0, "renders were fenced while under way: {stats:?}");
    assert_eq!(stats.flights, 0);
}

#[test]
fn i1_torture_finds_stale_entries_in_a_naive_cache() {
    assert!(stale_rounds(&Naive::default()).rows > 0);
}

#[test]
fn i1_torture_finds_stale_entries_when_the_fence_is_off() {
    let cache = FragmentCache::builder().without(Protection::Fence).build().unwrap();
    assert!(stale_rounds(&cache).rows > 0);
}
