//! The dependency cache remembers what entries were like when they were last seen. Reading the
//! labels that an entry depends on together with the entry saves a round trip, and so does knowing
//! which blocks render a name. What is remembered may be wrong; that costs the round trip.

use std::sync::Arc;

use lru::LruCache;
use smallvec::SmallVec;

use super::prefetch::VARIANTS;
use crate::entry::EntrySource;
use crate::label::Label;
use crate::sync::Mutex;

/// Most labels in all lists together.
const MAX_LABELS: usize = 1 << 18;

/// Longest list to remember.
const MAX_LISTED: usize = 1024;

/// Most names whose blocks are remembered.
const MAX_NAMES: usize = 1024;

/// The blocks that render the fragments of a name, most recently used first.
type EntrySources = SmallVec<[Arc<EntrySource>; VARIANTS]>;

/// Remembers the labels and blocks of entries.
#[derive(Debug)]
pub(super) struct DependencyCache {
    lists: Mutex<Lists>,
    /// Keyed by the label of the name.
    sources: Mutex<LruCache<Label, EntrySources>>,
}

/// The labels of entries, keyed by the hash of the fragment's key.
#[derive(Debug)]
struct Lists {
    by_key: LruCache<u128, Arc<[Label]>>,
    labels: usize,
}

impl DependencyCache {
    pub(super) fn new() -> Self {
        Self {
            lists: Mutex::new(Lists { by_key: LruCache::unbounded(), labels: 0 }),
            sources: Mutex::new(LruCache::unbounded()),
        }
    }

    pub(super) fn of(&self, key: u128) -> Option<Arc<[Label]>> {
        self.lists.lock().by_key.get(&key).cloned()
    }

    pub(super) fn note(&self, key: u128, labels: impl Iterator<Item = Label> + Clone) {
        let labels = labels.take(MAX_LISTED);
        let mut lists = self.lists.lock();
        if let Some(old) = lists.by_key.peek(&key) {
            if old.iter().copied().eq(labels.clone()) {
                return;
            }
            lists.labels -= old.len();
        }
        let listed: Arc<[Label]> = labels.collect();
        lists.labels += listed.len();
        lists.by_key.put(key, listed);
        // A key without labels takes up space too.
        while lists.labels + lists.by_key.len() > MAX_LABELS {
            let Some((_, dropped)) = lists.by_key.pop_lru() else { break };
            lists.labels -= dropped.len();
        }
    }

    /// The blocks that lately looked up fragments of this name.
    pub(super) fn sources(&self, name: Option<Label>) -> EntrySources {
        let sources = name.and_then(|name| self.sources.lock().get(&name).cloned());
        sources.unwrap_or_default()
    }

    pub(super) fn note_source(&self, name: Option<Label>, source: &Arc<EntrySource>) {
        let Some(name) = name else { return };
        let mut all = self.sources.lock();
        let sources = all.get_or_insert_mut(name, EntrySources::new);
        sources.retain(|known| !known.same_variant(source.digest(), source.mode()));
        sources.truncate(VARIANTS - 1);
        sources.insert(0, Arc::clone(source));
        if all.len() > MAX_NAMES {
            all.pop_lru();
        }
    }
}
