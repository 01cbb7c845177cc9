//! Sizes of large values as this process has seen them. They are used to split batches, and to skip
//! values that are too large to read.

use std::sync::atomic::{AtomicU64, Ordering};

use lru::LruCache;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

/// Values from this size on are remembered, in bytes.
pub(super) const LARGE: usize = 4 << 10;

/// Most values to remember.
const MAX_REMEMBERED: usize = 16_384;

/// The size of a value so large that even its length may arrive late: a server copies the whole
/// value before it sends the length.
pub(super) const DOUBTFUL: u64 = u64::MAX;

/// Sizes by the hash of the key. A wrong size costs a round trip.
pub(super) struct Sizes {
    by_key: Mutex<LruCache<u64, u64>>,
    count: AtomicU64,
}

impl Sizes {
    pub(super) fn new() -> Self {
        // Allocates nothing before it is needed.
        Self { by_key: Mutex::new(LruCache::unbounded()), count: AtomicU64::new(0) }
    }

    /// The size of a value; 0 if it is small or was not seen.
    pub(super) fn of(&self, key: &str) -> u64 {
        if self.is_empty() {
            return 0;
        }
        self.by_key.lock().get(&xxh3_64(key.as_bytes())).copied().unwrap_or(0)
    }

    pub(super) fn note(&self, key: &str, bytes: u64) {
        if bytes < LARGE as u64 {
            if !self.is_empty() {
                self.change(|sizes| sizes.pop(&xxh3_64(key.as_bytes())));
            }
            return;
        }
        self.change(|sizes| {
            let before = sizes.put(xxh3_64(key.as_bytes()), bytes);
            if sizes.len() > MAX_REMEMBERED {
                sizes.pop_lru();
            }
            before
        });
    }

    /// Marks a key whose read had no answer in time.
    pub(super) fn doubt(&self, key: &str) {
        if self.of(key) == 0 {
            self.note(key, DOUBTFUL);
        }
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn change(&self, change: impl FnOnce(&mut LruCache<u64, u64>) -> Option<u64>) {
        let mut sizes = self.by_key.lock();
        change(&mut sizes);
        self.count.store(sizes.len() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_remembered_and_forgotten_when_they_become_small() {
        let sizes = Sizes::new();
        sizes.note("a", LARGE as u64);
        sizes.note("b", LARGE as u64 - 1);
        assert_eq!((sizes.of("a"), sizes.of("b")), (4096, 0));
        sizes.note("a", 24);
        assert_eq!(sizes.of("a"), 0);
        for n in 0..2 * MAX_REMEMBERED {
            sizes.note(&format!("key:{n}"), 1 << 20);
        }
        assert_eq!(sizes.by_key.lock().len(), MAX_REMEMBERED);
    }
}
