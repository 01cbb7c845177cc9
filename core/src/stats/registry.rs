//! The statistics of a bounded number of names in sharded maps, and one sum for all others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::counters::NameCounters;
use super::{NameStats, StatsByName};
use crate::clock::{Clock, Moment};
use crate::events::{EventKind, MissReason};
use crate::hash::{BuildIdentityHasher, KeyHasher};
use crate::key::{self, FragmentKey};
use crate::sync::{AtomicU64, Ordering, RwLock};

const SHARDS: usize = 16;

/// Longest name with statistics of its own, in bytes. Longer names count among the others.
const MAX_NAME_BYTES: usize = 256;

/// The statistics of one cache, by name.
#[derive(Debug)]
pub(crate) struct StatsRegistry {
    shards: [RwLock<Shard>; SHARDS],
    names: AtomicU64,
    max_names: u64,
    others: NameCounters,
    hasher: KeyHasher,
    since: Duration,
    opened: Moment,
}

/// The template and the line of a cache block, if there is one.
type Place<'a> = Option<(&'a str, u32)>;

/// By the hash of the encoded name. If two names share a hash, the second counts among the others.
type Shard = HashMap<u64, (Box<[u8]>, Arc<NameCounters>), BuildIdentityHasher>;

impl StatsRegistry {
    pub(crate) fn new(max_names: usize, hasher: KeyHasher, clock: &dyn Clock) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::new(Shard::default())),
            names: AtomicU64::new(0),
            max_names: max_names as u64,
            others: NameCounters::new(None, None, 0),
            hasher,
            since: clock.unix_time(),
            opened: Moment::now(clock),
        }
    }

    /// Counts an event under a key. An event without a key counts for the cache block at `source`,
    /// if there is one.
    pub(crate) fn note(&self, kind: EventKind, key: &[u8], place: Place<'_>, now: Moment) {
        let name = self.name_of(key);
        if kind == EventKind::Deleted {
            // Deleting a name that was never looked up adds no statistics for it. The name of a
            // redacted key is known.
            let bare = FragmentKey::from_encoded(key::without_namespaces(key));
            let bare = bare.is_redacted().then(|| bare.bare());
            let name = bare.as_ref().map_or(name, FragmentKey::as_bytes);
            let hash = self.hasher.key(name);
            let found = find(&self.shard(hash).read(), hash, name);
            return found.flatten().as_deref().unwrap_or(&self.others).note(kind, now);
        }
        // Setting a value is not a lookup.
        if key::without_namespaces(name).first() == Some(&key::VALUE)
            && kind == EventKind::Miss(MissReason::Refresh)
        {
            return;
        }
        if !name.is_empty() {
            return self.with(name, place, |counters| counters.note(kind, now));
        }
        let Some((template, line)) = place else { return };
        let key = FragmentKey::at(template, line, 1);
        self.with(key.as_bytes(), place, |counters| counters.note(kind, now));
    }

    /// Records how long a body took to render.
    pub(crate) fn render(&self, key: &[u8], place: Place<'_>, took: Duration) {
        self.with(self.name_of(key), place, |counters| counters.render(took));
    }

    /// Records a tag declared for a key.
    pub(crate) fn tag(&self, key: &[u8], place: Place<'_>, tag: &str) {
        // Tags of the sum would mean nothing.
        self.with(self.name_of(key), place, |counters| {
            if !std::ptr::eq(counters, &self.others) {
                counters.tag(tag);
            }
        });
    }

    /// Returns the counters of the key's name; `None` if the name counts among the others.
    pub(crate) fn counters(&self, key: &[u8], place: Place<'_>) -> Option<Arc<NameCounters>> {
        self.own_row(self.name_of(key), place)
    }

    /// The name that a key counts under, across all namespaces. A value with an opaque key is known
    /// only by its digest, which differs between namespaces.
    fn name_of<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        let is_value = || key::without_namespaces(key).first() == Some(&key::VALUE);
        if self.hasher.is_opaque() && is_value() { key } else { key::bare_name(key) }
    }

    fn with(&self, name: &[u8], place: Place<'_>, note: impl FnOnce(&NameCounters)) {
        note(self.own_row(name, place).as_deref().unwrap_or(&self.others));
    }

    fn own_row(&self, name: &[u8], place: Place<'_>) -> Option<Arc<NameCounters>> {
        let hash = self.hasher.key(name);
        let shard = self.shard(hash);
        let found = find(&shard.read(), hash, name);
        match found {
            Some(found) => found,
            None if name.len() > MAX_NAME_BYTES || self.is_full() => None,
            None => {
                let mut shard = shard.write();
                match find(&shard, hash, name) {
                    Some(found) => found,
                    None => self.open(&mut shard, hash, name, place),
                }
            }
        }
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        // The map inside a shard uses the low bits, so the shard is chosen by high ones.
        &self.shards[(hash >> 48) as usize % SHARDS]
    }

    fn is_full(&self) -> bool {
        self.names.load(Ordering::Relaxed) >= self.max_names
    }

    fn open(
        &self,
        shard: &mut Shard,
        hash: u64,
        name: &[u8],
        place: Place<'_>,
    ) -> Option<Arc<NameCounters>> {
        if self.names.fetch_add(1, Ordering::Relaxed) >= self.max_names {
            self.names.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let key = self.hasher.shown(name);
        let (template, line) = place.unzip();
        let counters = Arc::new(NameCounters::new(Some(key), template, line.unwrap_or(0)));
        shard.insert(hash, (name.into(), Arc::clone(&counters)));
        Some(counters)
    }

    pub(crate) fn read(&self, now: Moment) -> StatsByName {
        let mut names = Vec::new();
        for shard in &self.shards {
            let rows: Vec<Arc<NameCounters>> =
                shard.read().values().map(|(_, counters)| Arc::clone(counters)).collect();
            names.extend(rows.iter().map(|counters| counters.read(now)));
        }
        let others: NameStats = self.others.read(now);
        StatsByName { names, others, since: self.since, covers: now.since(self.opened) }
    }
}

/// What is stored under a hash: nothing, another name (`Some(None)`), or the counters of this name.
fn find(shard: &Shard, hash: u64, name: &[u8]) -> Option<Option<Arc<NameCounters>>> {
    shard.get(&hash).map(|(known, counters)| (**known == *name).then(|| Arc::clone(counters)))
}
