//! What an operator asks of the far level.

use super::Far;
use crate::policy::CacheMode;
use crate::sync::{AtomicU64, Ordering};

/// The state of a cache's store, as this process sees it. See
/// [`FragmentCache::health`](crate::FragmentCache::health).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// What the store calls itself; `None` for a cache without one.
    pub store: Option<&'static str>,
    /// Whether the store is asked. While it is not (the breaker is open), pages do without it, and it
    /// is tried in the background.
    ///
    /// Only an outage changes it: no answer in time, no connection, a store that is of no use at all. A
    /// call that fails otherwise (the store refuses it, answers nonsense, or its code panics) says nothing
    /// of the next one, which is made as before: so this may be true while every call fails.
    /// [`faults`](Self::faults) and [`last_fault`](Self::last_fault) tell of these.
    ///
    /// ```
    /// use fragcache::store::Fault;
    /// use fragcache::testing::{FaultyStore, MemoryStore};
    /// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
    ///
    /// let store = FaultyStore::new(MemoryStore::new());
    /// let cache = FragmentCache::builder().far(FarLevel::new(store.clone())).build()?;
    /// store.fail(Fault::Panicked);
    /// cache.render(&Fragment::new(fragment_key!("row", 7)), || "<td>7</td>")?;
    /// let health = cache.health();
    /// assert!(health.is_reachable && health.faults > 0);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub is_reachable: bool,
    /// Labels whose invalidation the store has not taken yet.
    pub pending_invalidations: u64,
    /// Labels that the store is told of once more after the
    /// [lag of a replica](crate::CacheBuilder::replica_lag); a process that ends before does not tell it.
    pub waiting_repeats: u64,
    /// Leases that this process holds.
    pub leases: u64,
    /// Calls of the store.
    pub round_trips: u64,
    /// Calls that failed.
    pub faults: u64,
    /// Of these, calls without an answer in time.
    pub deadlines_missed: u64,
    /// Entries that were found in the store and could be served.
    pub found: u64,
    /// Entries in the store that could not be read.
    pub unreadable: u64,
    /// How far all processes are told to take part; see the tool `fragcache mode`.
    pub fleet_mode: CacheMode,
    /// The last error of the store, if there was one.
    pub last_fault: Option<String>,
    /// What the store itself counts; and under a [`mac_key`](crate::FarLevel::mac_key), as
    /// `untrusted_records`, how often something was read that is not signed for its place.
    pub gauges: Vec<(&'static str, u64)>,
}

impl Far {
    pub(crate) fn health(&self) -> Health {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.link.counts;
        Health {
            store: Some(self.link.capabilities.name),
            is_reachable: !self.link.is_unavailable(),
            pending_invalidations: self.pending.len(),
            waiting_repeats: self.tasks.repeats() as u64,
            leases: self.leases.len() as u64,
            round_trips: get(&counts.round_trips),
            faults: get(&counts.faults),
            deadlines_missed: get(&counts.deadlines),
            found: get(&self.found),
            unreadable: get(&self.unreadable),
            fleet_mode: self.mode(),
            last_fault: self.link.breaker.last().map(|error| error.to_string()),
            gauges: self.link.store().gauges(),
        }
    }
}
