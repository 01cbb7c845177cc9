//! Counters of the whole cache, which are always on.

use std::fmt::{self, Debug};

use crate::events::{EventKind, MissReason};
use crate::sync::{AtomicU64, Ordering};

/// Counters since the cache was created, and its current size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Fresh bodies served.
    pub hits: u64,
    /// Lookups that found nothing servable, by reason.
    pub misses: Misses,
    /// Bodies stored.
    pub stores: u64,
    /// Expired bodies served while another caller refreshes them, or in place of an error.
    pub stale: u64,
    /// Callers that received another caller's render.
    pub waits: u64,
    /// Bodies rendered, and requests answered, outside the cache.
    pub bypasses: u64,
    /// Bodies not stored and arguments not accepted.
    pub refusals: u64,
    /// Renders that ended in an error or a panic.
    pub errors: u64,
    /// Entries evicted to make room.
    pub evictions: u64,
    /// Keys, names and templates deleted, and calls of clear.
    pub deletions: u64,
    /// Tags invalidated.
    pub invalidations: u64,
    /// Unnamed blocks opened again in the same render.
    pub repeats: u64,
    /// Warnings about loaded templates.
    pub warnings: u64,
    /// Failed operations of the store behind the cache.
    pub faults: u64,
    /// Entries in the near level now. A fenced entry counts until its next lookup or its eviction.
    pub entries: u64,
    /// Bytes in the near level now: bodies, keys and overhead.
    pub bytes: u64,
    /// Renders in progress now that other callers would wait for.
    pub flights: u64,
}

/// Misses by reason.
///
/// ```
/// use fragcache::events::MissReason;
/// use fragcache::{Fragment, FragmentCache, fragment_key};
///
/// let cache = FragmentCache::in_memory();
/// cache.render(&Fragment::new(fragment_key!("counters")), || "")?;
/// let misses = cache.stats().misses;
/// assert_eq!((misses.of(MissReason::Cold), misses.total()), (1, 1));
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Misses(pub(super) [u64; MissReason::ALL.len()]);

impl Misses {
    /// Returns the misses for one reason.
    pub fn of(&self, reason: MissReason) -> u64 {
        self.0[reason.index()]
    }

    /// Iterates over all reasons and their misses.
    pub fn iter(&self) -> impl Iterator<Item = (MissReason, u64)> {
        MissReason::ALL.into_iter().zip(self.0)
    }

    /// Returns all misses.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }
}

impl Debug for Misses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.iter().filter(|&(_, count)| count > 0);
        f.debug_map().entries(counted.map(|(reason, count)| (reason.as_str(), count))).finish()
    }
}

/// The counters of [`Stats`] that are not in a shard of the near level.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    misses: [AtomicU64; MissReason::ALL.len()],
    stale: AtomicU64,
    stores: AtomicU64,
    waits: AtomicU64,
    bypasses: AtomicU64,
    refusals: AtomicU64,
    errors: AtomicU64,
    evictions: AtomicU64,
    deletions: AtomicU64,
    invalidations: AtomicU64,
    repeats: AtomicU64,
    warnings: AtomicU64,
    faults: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, kind: EventKind) {
        let counter = match kind {
            EventKind::Hit => return,
            EventKind::Stale(_) | EventKind::StaleIfError => &self.stale,
            EventKind::Miss(reason) => &self.misses[reason.index()],
            EventKind::Stored { .. } => &self.stores,
            EventKind::Waited(_) => &self.waits,
            EventKind::Bypassed(_) => &self.bypasses,
            EventKind::Deleted => &self.deletions,
            EventKind::Invalidated => &self.invalidations,
            EventKind::Evicted(_) => &self.evictions,
            EventKind::Refused(_) => &self.refusals,
            EventKind::Repeated => &self.repeats,
            EventKind::Warned => &self.warnings,
            EventKind::Fault(_) => &self.faults,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            misses: Misses(self.misses.each_ref().map(get)),
            stale: get(&self.stale),
            stores: get(&self.stores),
            waits: get(&self.waits),
            bypasses: get(&self.bypasses),
            refusals: get(&self.refusals),
            errors: get(&self.errors),
            evictions: get(&self.evictions),
            deletions: get(&self.deletions),
            invalidations: get(&self.invalidations),
            repeats: get(&self.repeats),
            warnings: get(&self.warnings),
            faults: get(&self.faults),
            ..Stats::default()
        }
    }
}
