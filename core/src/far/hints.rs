//! What entries depended on when they were last seen: reading those labels together with the entry
//! saves a round trip. A hint may be wrong, and then costs that round trip.

use std::sync::Arc;

use lru::LruCache;

use crate::fresh::Label;
use crate::sync::Mutex;

/// Most labels of all hints together.
const MAX_LABELS: usize = 1 << 18;

/// Longest list that is remembered.
const MAX_LISTED: usize = 1024;

/// The labels of entries, by the hash of the fragment's key.
#[derive(Debug)]
pub(super) struct Hints(Mutex<Lists>);

#[derive(Debug)]
struct Lists {
    by_key: LruCache<u128, Arc<[Label]>>,
    labels: usize,
}

impl Hints {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Lists { by_key: LruCache::unbounded(), labels: 0 }))
    }

    pub(super) fn of(&self, key: u128) -> Option<Arc<[Label]>> {
        self.0.lock().by_key.get(&key).cloned()
    }

    pub(super) fn note(&self, key: u128, labels: impl Iterator<Item = Label>) {
        let listed: Arc<[Label]> = labels.take(MAX_LISTED).collect();
        let mut lists = self.0.lock();
        if let Some(old) = lists.by_key.peek(&key) {
            if **old == *listed {
                return;
            }
            lists.labels -= old.len();
        }
        lists.labels += listed.len();
        lists.by_key.put(key, listed);
        // A key without labels takes room too.
        while lists.labels + lists.by_key.len() > MAX_LABELS {
            let Some((_, dropped)) = lists.by_key.pop_lru() else { break };
            lists.labels -= dropped.len();
        }
    }
}
