//! The near level: entries in this process, bounded by bytes and by count, without a background
//! thread. A sharded map on `lru` behind the few functions of this file, so the eviction policy can
//! change without affecting callers.
//!
//! A `Validator` decides whether an entry may be served now. A listing copies the entries of a shard, a
//! batch at a time, so that no lock is held for long.

mod shard;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::entry::{Body, Entry, KeyBytes};
use crate::events::MissReason;
use crate::freshness::{Broken, Freshness};
use crate::hash::{HashedKey, KeyHasher};
use crate::label::Label;
use crate::lookup::Variant;
use crate::sync::Mutex;
use shard::Shard;

pub(crate) use shard::Evicted;

/// Shards of a level that is large enough to be split.
const SHARDS: usize = 16;

/// Smallest share of the byte bound per shard.
const MIN_SHARD_BYTES: usize = 256 * 1024;

/// Keeps one thread's writes off the cache lines that other threads read.
#[derive(Debug)]
#[repr(align(128))]
struct CachePadded<T>(T);

/// A lookup that found nothing fresh.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) reason: MissReason,
    /// The tag that was invalidated, if that is the reason.
    pub(crate) tag: Option<Label>,
    pub(crate) left: Left,
}

/// What a lookup found that is not fresh.
#[derive(Debug)]
pub(crate) enum Left {
    Nothing,
    /// May be served while one caller refreshes it.
    Stale(Entry),
    /// May be served if the far level finds its labels unchanged.
    Unverified(Entry),
}

impl From<MissReason> for Missed {
    fn from(reason: MissReason) -> Self {
        Self { reason, tag: None, left: Left::Nothing }
    }
}

/// The bounds of the level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) entries: usize,
    pub(crate) entry_bytes: usize,
}

/// For how long an entry is served without verification by the far level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// For ever: there is no far level.
    Always,
    /// For this time after its last verification.
    For(Duration),
    /// Never: the near level stores nothing, and every lookup goes to the far level.
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

/// Counters of all shards.
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
        // A shard must have room for the largest entry, or that entry could never be stored.
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

    /// The largest body that is stored, in bytes.
    pub(crate) fn max_entry_bytes(&self) -> usize {
        self.max_entry_bytes
    }

    /// Whether an entry can be stored here.
    pub(crate) fn fits(&self, hashed: HashedKey<'_>, entry: &Entry) -> bool {
        self.trust != Trust::HoldsNothing
            && entry.body.stored_len() <= self.max_entry_bytes
            && shard::cost(entry) + hashed.key.len() <= self.max_shard_bytes
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The map inside a shard uses the low bits of the hash, so the shard is chosen by high
        // ones.
        &self.shards[(hash >> 48) as usize % self.shards.len()].0
    }

    /// Changes a shard under its lock. What is removed is dropped after that: dropping a typed value
    /// runs its own code, which may use the cache.
    fn edit<R>(&self, hashed: HashedKey<'_>, change: impl FnOnce(&mut Shard) -> R) -> R {
        let mut shard = self.shard(hashed.hash).lock();
        let result = change(&mut shard);
        let removed = shard.take_removed();
        drop(shard);
        drop(removed);
        result
    }

    #[inline]
    fn validator<'a>(&'a self, fresh: &'a Freshness, now: &'a dyn Fn() -> Moment) -> Validator<'a> {
        Validator {
            hasher: &self.hasher,
            fresh,
            now,
            early_refresh: self.early_refresh,
            near_ttl: match self.trust {
                Trust::Always => None,
                Trust::For(ttl) => Some(ttl),
                Trust::HoldsNothing => Some(Duration::ZERO),
            },
        }
    }

    /// Passes the servable entry of this key and variant to `on_hit`, under the shard's lock.
    pub(crate) fn lookup<R>(
        &self,
        hashed: HashedKey<'_>,
        variant: Variant<'_>,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
        on_hit: impl FnOnce(&Entry) -> R,
    ) -> Result<R, Missed> {
        let validator = self.validator(fresh, now);
        let mut shard = self.shard(hashed.hash).lock();
        let found = shard.lookup(hashed, variant, &validator, on_hit);
        let removed = found.is_err().then(|| shard.take_removed());
        drop(shard);
        drop(removed);
        found
    }

    /// Validates an entry whose labels the far level has just found unchanged.
    pub(crate) fn revalidate(
        &self,
        hashed: HashedKey<'_>,
        entry: Entry,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
    ) -> Result<Entry, Missed> {
        let validator = Validator { near_ttl: None, ..self.validator(fresh, now) };
        match validator.validate(hashed, &entry, &mut 0) {
            Validity::Fresh => Ok(entry),
            Validity::Stale(reason) => Err(Missed { left: Left::Stale(entry), ..reason.into() }),
            Validity::Gone(missed) => Err(missed),
            Validity::Unverified => Err(MissReason::Unverified.into()),
        }
    }

    /// The entries of a key that the far level must verify; `None` if one may be served without
    /// that.
    pub(crate) fn unverified(
        &self,
        hashed: HashedKey<'_>,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
    ) -> Option<Vec<Entry>> {
        self.shard(hashed.hash).lock().unverified(hashed, &self.validator(fresh, now))
    }

    /// Removes an entry that the far level found invalid, if it is still there.
    pub(crate) fn discard(&self, hashed: HashedKey<'_>, entry: &Entry, reason: MissReason) {
        self.edit(hashed, |shard| shard.discard(hashed, entry, reason));
    }

    /// The newest servable body of this key, in any variant. Annotated variants count only if
    /// `annotated` is true. Does not count a hit.
    pub(crate) fn newest(
        &self,
        hashed: HashedKey<'_>,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
        annotated: bool,
    ) -> Option<Body> {
        self.shard(hashed.hash).lock().newest(hashed, &self.validator(fresh, now), annotated)
    }

    /// Records why nothing is stored under a key, as the reason of its next miss. Old records are
    /// dropped.
    pub(crate) fn note(&self, hash: u64, reason: MissReason) {
        self.shard(hash).lock().note(hash, reason);
    }

    /// Stores an entry in place of its variant, and returns the entries that were evicted. `None`
    /// if the render of the existing variant began later. The entry must [fit](Self::fits).
    pub(crate) fn put(
        &self,
        hashed: HashedKey<'_>,
        entry: Entry,
        now: Moment,
    ) -> Option<Vec<Evicted>> {
        self.edit(hashed, |shard| shard.put(hashed, entry, false, now))
    }

    /// As [`put`](Self::put), but replaces all variants of the key.
    pub(crate) fn set(
        &self,
        hashed: HashedKey<'_>,
        entry: Entry,
        now: Moment,
    ) -> Option<Vec<Evicted>> {
        self.edit(hashed, |shard| shard.put(hashed, entry, true, now))
    }

    /// As [`put`](Self::put), if there is no servable entry in its place; `None` if there is one.
    pub(crate) fn add(
        &self,
        hashed: HashedKey<'_>,
        entry: Entry,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
    ) -> Option<Vec<Evicted>> {
        let validator = self.validator(fresh, now);
        let source = Arc::clone(&entry.source);
        let (digest, mode) = (source.digest(), source.mode());
        let variant = Variant { digest, mode, version: entry.version() };
        self.edit(hashed, |shard| match shard.lookup(hashed, variant, &validator, |_| ()) {
            Ok(()) => None,
            Err(_) => shard.put(hashed, entry, false, now()),
        })
    }

    /// Removes every variant of a key. Returns whether one of them was servable.
    pub(crate) fn remove(
        &self,
        hashed: HashedKey<'_>,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
        annotated: bool,
    ) -> bool {
        let validator = self.validator(fresh, now);
        self.edit(hashed, |shard| shard.remove(hashed, &validator, annotated))
    }

    /// Replaces the body `from` of a variant by another form of it, which takes as many bytes;
    /// nothing if the variant has another body by now.
    #[cfg(feature = "values")]
    pub(crate) fn replace_form(
        &self,
        hashed: HashedKey<'_>,
        variant: Variant<'_>,
        from: &Body,
        to: Body,
    ) {
        let unused = self.shard(hashed.hash).lock().replace_form(hashed, variant, from, to);
        drop(unused);
    }

    /// Counts a hit on an entry that a lookup returned for a refresh and that was served after all.
    pub(crate) fn count_hit(&self, hash: u64) {
        self.shard(hash).lock().count_hit();
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let removed = shard.0.lock().clear();
            drop(removed);
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

/// Validates entries.
struct Validator<'a> {
    hasher: &'a KeyHasher,
    fresh: &'a Freshness,
    now: &'a dyn Fn() -> Moment,
    /// How eagerly entries are refreshed before they expire; 0 turns this off.
    early_refresh: f64,
    /// With a far level: for how long an entry is served without verification.
    near_ttl: Option<Duration>,
}

/// The validity of an entry.
enum Validity {
    Fresh,
    /// May be served while one caller refreshes it.
    Stale(MissReason),
    /// May be served if the far level finds its labels unchanged.
    Unverified,
    Gone(Missed),
}

impl Validator<'_> {
    /// Validates an entry. `checked` is how far after its read point its labels were last compared:
    /// if the sequence has not moved since, one comparison is enough.
    #[inline]
    fn validate(&self, hashed: HashedKey<'_>, entry: &Entry, checked: &mut u32) -> Validity {
        let ageing = if entry.expires == Moment::NEVER { None } else { self.ageing(entry) };
        if ageing == Some(MissReason::Expired) && entry.last() <= (self.now)() {
            return Validity::Gone(MissReason::Expired.into());
        }
        if let Some(missed) = self.broken(hashed, entry, checked) {
            return Validity::Gone(missed);
        }
        if let Some(validity) = self.near_ttl.and_then(|ttl| self.unverified(entry, ttl)) {
            return validity;
        }
        ageing.map_or(Validity::Fresh, Validity::Stale)
    }

    fn unverified(&self, entry: &Entry, ttl: Duration) -> Option<Validity> {
        match entry.version_vector() {
            Some(version_vector) if version_vector.is_recent(ttl, (self.now)()) => None,
            Some(version_vector) if !version_vector.versions().is_empty() => {
                Some(Validity::Unverified)
            }
            _ => Some(Validity::Gone(MissReason::Unverified.into())),
        }
    }

    #[inline]
    fn ageing(&self, entry: &Entry) -> Option<MissReason> {
        let now = (self.now)();
        if entry.expires <= now {
            return Some(MissReason::Expired);
        }
        let early = self.early_refresh > 0.0 && self.is_early(entry, now);
        early.then_some(MissReason::Early)
    }

    /// Whether this lookup refreshes early. One lookup in many does, so that a popular fragment
    /// that is slow to render never expires while callers need it. The probability grows as the end
    /// comes nearer, and with the render time (Vattani, Chierichetti, Lowenstein: Optimal
    /// Probabilistic Cache Stampede Prevention, VLDB 2015).
    fn is_early(&self, entry: &Entry, now: Moment) -> bool {
        let Some(meta) = &entry.meta else { return false };
        let left = entry.expires.since(now).as_secs_f64();
        let eager = meta.render_time.as_secs_f64() * self.early_refresh;
        // The logarithm of a number in (0, 1] with 53 bits is at least -37.
        left < eager * 37.0 && left <= eager * -(1.0 - fastrand::f64()).ln()
    }

    #[inline]
    fn broken(&self, hashed: HashedKey<'_>, entry: &Entry, checked: &mut u32) -> Option<Missed> {
        let (mut present, mut settled) = self.fresh.look();
        if settled && present.steps_after(entry.read) == Some(*checked) {
            return None;
        }
        if !settled {
            self.fresh.settle((self.now)());
            (present, settled) = self.fresh.look();
        }
        let labels = self.hasher.labels(hashed.key, entry.source.template_label);
        if let Some(broken) = self.fresh.first_broken(&labels, entry.dependencies(), entry.read) {
            return Some(missed(broken));
        }
        // If the steps do not fit 32 bits, labels are compared on every lookup.
        if let Some(steps) = present.steps_after(entry.read).filter(|_| settled) {
            *checked = steps;
        }
        None
    }
}

fn missed(broken: Broken) -> Missed {
    let reason = match broken {
        Broken::Key => MissReason::Deleted,
        Broken::Name => MissReason::NameDeleted,
        Broken::Template => MissReason::TemplateDeleted,
        Broken::Namespace => MissReason::NamespaceCleared,
        Broken::Tag(label) => {
            return Missed { tag: Some(label), ..MissReason::TagInvalidated.into() };
        }
        Broken::Inner => MissReason::InnerDeleted,
        Broken::Floor => MissReason::Cleared,
    };
    reason.into()
}

/// Keys copied under one lock.
const AT_ONCE: usize = 1024;

/// Where a listing continues: a shard, and how many of its keys were listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ListCursor {
    shard: usize,
    keys: usize,
}

/// One listed entry.
#[derive(Debug)]
pub(crate) struct ListedEntry {
    pub(crate) key: KeyBytes,
    pub(crate) entry: Entry,
    /// The second of the clock in which it was stored, modulo 2²⁴.
    pub(crate) stored: [u8; 3],
    /// Bytes that it takes, without its key.
    pub(crate) bytes: usize,
    /// How many variants its key has.
    pub(crate) variants: usize,
}

impl Near {
    /// Lists some of the entries. Also returns where the next ones are, if there are more.
    pub(crate) fn list(&self, place: ListCursor) -> (Vec<ListedEntry>, Option<ListCursor>) {
        let mut listed = Vec::new();
        let Some(shard) = self.shards.get(place.shard) else { return (listed, None) };
        let more = shard.0.lock().list(place.keys, AT_ONCE, &mut listed);
        let next = match more {
            true => ListCursor { keys: place.keys + AT_ONCE, ..place },
            false => ListCursor { shard: place.shard + 1, keys: 0 },
        };
        (listed, Some(next).filter(|next| next.shard < self.shards.len()))
    }

    /// Why an entry would not be served, ignoring the far store; `None` if it would be.
    pub(crate) fn why_not(
        &self,
        listed: &ListedEntry,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
    ) -> Option<MissReason> {
        let validator = self.validator(fresh, now);
        let validator = Validator { early_refresh: 0.0, near_ttl: None, ..validator };
        let hashed = HashedKey { hash: 0, key: &listed.key };
        match validator.validate(hashed, &listed.entry, &mut 0) {
            Validity::Fresh | Validity::Unverified => None,
            Validity::Stale(reason) => Some(reason),
            Validity::Gone(missed) => Some(missed.reason),
        }
    }
}
