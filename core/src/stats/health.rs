//! The health of the far level, for operators.

use crate::policy::CacheMode;

/// The state of a cache's store, as this process sees it. See
/// [`FragmentCache::health`](crate::FragmentCache::health).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The store's name; `None` for a cache without a store.
    pub store: Option<&'static str>,
    /// Whether the cache calls the store. While it does not (the breaker is open), pages do without
    /// the store, and the cache tries it in the background.
    ///
    /// Only an outage changes this: no answer in time, no connection, or a store that cannot be
    /// used at all. Any other failed call (the store refuses it, sends a malformed answer, or its
    /// code panics) says nothing about the next call, which is made as usual. So this may be true
    /// while every call fails; [`faults`](Self::faults) and [`last_fault`](Self::last_fault) report
    /// those failures.
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
    /// Labels whose invalidation the store has not accepted yet.
    pub pending_invalidations: u64,
    /// Labels whose invalidation is to be published once more after the [lag of a
    /// replica](crate::CacheBuilder::replica_lag). A process that ends earlier does not publish
    /// them then.
    pub waiting_repeats: u64,
    /// Leases that this process holds.
    pub leases: u64,
    /// Calls to the store.
    pub round_trips: u64,
    /// Calls that failed.
    pub faults: u64,
    /// Failed calls that had no answer in time.
    pub deadlines_missed: u64,
    /// Entries that were found in the store and could be served.
    pub found: u64,
    /// Entries in the store that could not be read.
    pub unreadable: u64,
    /// The cache mode set for all processes; see the command `fragcache mode`.
    pub fleet_mode: CacheMode,
    /// The last error of the store, if there was one.
    pub last_fault: Option<String>,
    /// The store's own counters. With a [`mac_key`](crate::FarLevel::mac_key) they include
    /// `untrusted_records`: how many records were read whose signature does not fit their place.
    pub gauges: Vec<(&'static str, u64)>,
}
