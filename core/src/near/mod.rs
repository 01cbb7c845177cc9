//! The near level: entries in this process, bounded by bytes and by count, without a background
//! thread. A sharded map on `lru` behind this file's few functions; the eviction policy may change
//! without anyone outside noticing.

mod listing;
mod shard;
mod validator;

use std::time::Duration;

use crate::clock::Moment;
use crate::entry::{Body, Entry, OutputMode};
use crate::events::MissReason;
use crate::freshness::{Freshness, Label};
use crate::hash::{KeyHasher, Version};
use crate::sync::Mutex;

pub(crate) use listing::{ListCursor, ListedEntry};
pub(crate) use shard::Evicted;
use shard::Shard;
use validator::{Validator, Validity};

/// Shards of a level large enough to be split.
const SHARDS: usize = 16;

/// Smallest share of the byte bound that a shard may have.
const MIN_SHARD_BYTES: usize = 256 * 1024;

/// Keeps what one thread writes off the cache lines that others read.
#[derive(Debug)]
#[repr(align(128))]
struct CachePadded<T>(T);

/// An encoded key with its hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedKey<'a> {
    pub(crate) hash: u64,
    pub(crate) key: &'a [u8],
}

/// Which of a key's bodies is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant<'a> {
    pub(crate) digest: &'a str,
    pub(crate) mode: OutputMode,
    pub(crate) version: Version,
}

/// A lookup that found nothing fresh.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) reason: MissReason,
    /// The tag that was invalidated, if that is the reason.
    pub(crate) tag: Option<Label>,
    pub(crate) left: Left,
}

/// What a lookup that found nothing fresh has found all the same.
#[derive(Debug)]
pub(crate) enum Left {
    Nothing,
    /// To be served while one caller renders anew.
    Stale(Entry),
    /// To be served if the far level finds its labels unchanged.
    Unverified(Entry),
}

impl From<MissReason> for Missed {
    fn from(reason: MissReason) -> Self {
        Self { reason, tag: None, left: Left::Nothing }
    }
}

/// What the level may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
    pub(crate) entry_bytes: usize,
}

/// For how long an entry is served without asking the far level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// There is none.
    Always,
    /// So long after it was last asked.
    For(Duration),
    /// Everything is asked for, and nothing is held here.
    HoldsNothing,
}

/// The in-process store.
#[derive(Debug)]
pub(crate) struct Near {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    hasher: KeyHasher,
    early_refresh: f64,
    trust: Trust,
    max_entry_bytes: usize,
    max_shard_bytes: usize,
}

/// What a look at the counters shows.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) hits: u64,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Near {
    pub(crate) fn new(limits: Limits, hasher: KeyHasher, early_refresh: f64, trust: Trust) -> Self {
        let Limits { bytes: max_bytes, entries: max_entries, entry_bytes: max_entry_bytes } =
            limits;
        // A shard must be able to hold the largest entry, or that entry could never be stored.
        let room = max_entry_bytes.saturating_add(shard::OVERHEAD).max(MIN_SHARD_BYTES);
        let mut count = SHARDS;
        while count > 1 && (max_bytes / count < room || max_entries / count < 64) {
            count /= 2;
        }
        let shards = (0..count)
            .map(|_| CachePadded(Mutex::new(Shard::new(max_bytes / count, max_entries / count))))
            .collect();
        Self {
            shards,
            hasher,
            early_refresh,
            trust,
            max_entry_bytes,
            max_shard_bytes: max_bytes / count,
        }
    }

    /// Largest body that is stored, in bytes.
    pub(crate) fn max_entry_bytes(&self) -> usize {
        self.max_entry_bytes
    }

    /// Whether an entry can be stored here.
    pub(crate) fn fits(&self, hashed: HashedKey<'_>, entry: &Entry) -> bool {
        self.trust != Trust::HoldsNothing
            && entry.body.as_bytes().len() <= self.max_entry_bytes
            && shard::cost(entry) + hashed.key.len() <= self.max_shard_bytes
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The map inside a shard uses the low bits, so the shard takes high ones.
        &self.shards[(hash >> 48) as usize % self.shards.len()].0
    }

    fn validator<'a>(&'a self, fresh: &'a Freshness, now: &'a dyn Fn() -> Moment) -> Validator<'a> {
        Validator {
            hasher: &self.hasher,
            fresh,
            now,
            early_refresh: self.early_refresh,
            near_life: match self.trust {
                Trust::Always => None,
                Trust::For(life) => Some(life),
                Trust::HoldsNothing => Some(Duration::ZERO),
            },
        }
    }

    /// Gives the servable entry of this key and variant to `on_hit`, under the shard's lock.
    pub(crate) fn lookup<R>(
        &self,
        hashed: HashedKey<'_>,
        variant: Variant<'_>,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
        on_hit: impl FnOnce(&Entry) -> R,
    ) -> Result<R, Missed> {
        let validator = self.validator(fresh, now);
        self.shard(hashed.hash).lock().lookup(hashed, variant, &validator, on_hit)
    }

    /// What an entry is good for whose labels the far level has just found unchanged.
    pub(crate) fn revalidate(
        &self,
        hashed: HashedKey<'_>,
        entry: Entry,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
    ) -> Result<Entry, Missed> {
        let validator = Validator { near_life: None, ..self.validator(fresh, now) };
        match validator.validate(hashed, &entry, &mut 0) {
            Validity::Fresh => Ok(entry),
            Validity::Stale(reason) => Err(Missed { left: Left::Stale(entry), ..reason.into() }),
            Validity::Gone(missed) => Err(missed),
            Validity::Unverified => Err(MissReason::Unverified.into()),
        }
    }

    /// The entries of a key of which the far level has to be asked; `None` if one may be served
    /// without.
    pub(crate) fn unverified(
        &self,
        hashed: HashedKey<'_>,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
    ) -> Option<Vec<Entry>> {
        self.shard(hashed.hash).lock().unverified(hashed, &self.validator(fresh, now))
    }

    /// Removes an entry that the far level no longer vouches for, if it is still there.
    pub(crate) fn discard(&self, hashed: HashedKey<'_>, entry: &Entry, reason: MissReason) {
        self.shard(hashed.hash).lock().discard(hashed, entry, reason);
    }

    /// The newest servable body of this key, of whatever variant; annotated ones count only while
    /// pages are `annotated`. Counts as no hit.
    pub(crate) fn newest(
        &self,
        hashed: HashedKey<'_>,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
        annotated: bool,
    ) -> Option<Body> {
        self.shard(hashed.hash).lock().newest(hashed, &self.validator(fresh, now), annotated)
    }

    /// Remembers for a while why nothing is stored under a key, for the reason of its next miss.
    pub(crate) fn note(&self, hash: u64, reason: MissReason) {
        self.shard(hash).lock().note(hash, reason);
    }

    /// Stores an entry in the place of its variant, and returns what had to go for it; `None` if
    /// the render of the variant in its place began later. The entry [`fits`](Self::fits).
    pub(crate) fn put(
        &self,
        hashed: HashedKey<'_>,
        entry: Entry,
        now: Moment,
    ) -> Option<Vec<Evicted>> {
        self.shard(hashed.hash).lock().put(hashed, entry, false, now)
    }

    /// As [`put`](Self::put), in the place of all variants.
    pub(crate) fn set(
        &self,
        hashed: HashedKey<'_>,
        entry: Entry,
        now: Moment,
    ) -> Option<Vec<Evicted>> {
        self.shard(hashed.hash).lock().put(hashed, entry, true, now)
    }

    /// As [`put`](Self::put), if nothing that may be served is in the place; `None` if something is.
    pub(crate) fn add(
        &self,
        hashed: HashedKey<'_>,
        entry: Entry,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
    ) -> Option<Vec<Evicted>> {
        let validator = self.validator(fresh, now);
        let (digest, mode) = (entry.source.digest(), entry.source.mode());
        let variant = Variant { digest, mode, version: entry.version() };
        let mut shard = self.shard(hashed.hash).lock();
        match shard.lookup(hashed, variant, &validator, |_| ()) {
            Ok(()) => None,
            Err(_) => shard.put(hashed, entry, false, now()),
        }
    }

    /// Removes every variant of a key; whether there was one that could have been served.
    pub(crate) fn remove(
        &self,
        hashed: HashedKey<'_>,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
        annotated: bool,
    ) -> bool {
        self.shard(hashed.hash).lock().remove(hashed, &self.validator(fresh, now), annotated)
    }

    /// Counts a hit that a lookup gave away to be refreshed, and that was served all the same.
    pub(crate) fn count_hit(&self, hash: u64) {
        self.shard(hash).lock().count_hit();
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            shard.0.lock().clear();
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            let shard = shard.0.lock().totals();
            totals.hits += shard.hits;
            totals.entries += shard.entries;
            totals.bytes += shard.bytes;
        }
        totals
    }
}
