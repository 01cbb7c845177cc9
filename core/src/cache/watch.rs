//! Statistics, health, modes and warnings.

use fragcache_syntax::Warning;

use super::FragmentCache;
use crate::error::Error;
use crate::key::FragmentKey;
use crate::policy::CacheMode;
use crate::stats::{Health, Stats, StatsByName};

impl FragmentCache {
    /// Returns the counters since the cache was created, and its current size.
    pub fn stats(&self) -> Stats {
        self.handle.stats()
    }

    /// Returns what happened under each name, in all namespaces. `None` for a cache that was built
    /// without [statistics by name](crate::CacheBuilder::stats_by_name).
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::builder().stats_by_name(1000).build()?;
    /// for user in [1, 2, 2] {
    ///     cache.render(&Fragment::new(fragment_key!("sidebar", user)), || "<nav>")?;
    /// }
    /// let stats_by_name = cache.stats_by_name().unwrap();
    /// let sidebar = &stats_by_name.names[0];
    /// assert_eq!(sidebar.key, Some(fragment_key!("sidebar")));
    /// assert_eq!((sidebar.hits, sidebar.misses.total(), sidebar.stored_bytes), (1, 2, 10));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn stats_by_name(&self) -> Option<StatsByName> {
        self.handle.stats_by_name()
    }

    /// The largest body that is stored, in bytes, as set by
    /// [`max_entry_bytes`](crate::CacheBuilder::max_entry_bytes). `None` for a cache that stores
    /// nothing.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    ///
    /// assert_eq!(FragmentCache::in_memory().max_entry_bytes(), Some(1024 * 1024));
    /// assert_eq!(FragmentCache::disabled().max_entry_bytes(), None);
    /// ```
    pub fn max_entry_bytes(&self) -> Option<usize> {
        self.handle.max_entry_bytes()
    }

    /// Whether this cache has [opaque keys](crate::CacheBuilder::opaque_keys).
    ///
    /// ```
    /// assert!(!fragcache::FragmentCache::in_memory().has_opaque_keys());
    /// ```
    pub fn has_opaque_keys(&self) -> bool {
        self.handle.has_opaque_keys()
    }

    /// A key of this handle's namespace in the form that events, pages and listings of this cache
    /// use: as it is, or [redacted](FragmentKey::is_redacted) where keys are
    /// [opaque](crate::CacheBuilder::opaque_keys). Use it to find a known key in a log.
    ///
    /// ```
    /// use fragcache::{FragmentCache, fragment_key};
    ///
    /// let key = fragment_key!("sidebar", 42);
    /// assert_eq!(FragmentCache::in_memory().shown_key(&key), key);
    ///
    /// # #[cfg(feature = "mac")] {
    /// let cache = FragmentCache::builder().opaque_keys("0123456789abcdef").build()?;
    /// assert_eq!(cache.shown_key(&key).to_string(), "sidebar(#35755cc51ad99a32)");
    /// # }
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn shown_key(&self, key: &FragmentKey) -> FragmentKey {
        self.handle.shown_key(key)
    }

    /// The current mode: the one that was [set](Self::set_mode), or the one that the far store sets
    /// for all processes, whichever is more restrictive.
    pub fn mode(&self) -> CacheMode {
        self.handle.mode()
    }

    /// The health of the store behind the cache, as this process sees it. Makes no round trip.
    ///
    /// ```
    /// let cache = fragcache::FragmentCache::in_memory();
    /// assert_eq!(cache.health().store, None);
    /// ```
    pub fn health(&self) -> Health {
        self.handle.health()
    }

    /// Sets gauges of the current `metrics` recorder, all with the label `cache`, whose value is `name`. Call it when metrics are scraped, or
    /// from time to time.
    ///
    /// | gauge | |
    /// |---|---|
    /// | `fragcache_entries`, `fragcache_bytes` | size of the near level |
    /// | `fragcache_store_reachable` | 1, or 0 while the breaker is open; only with a store, like all that follow |
    /// | `fragcache_store_pending_invalidations` | labels still to be published to the store |
    /// | `fragcache_store_waiting_repeats` | labels to be published once more, after a replica lag |
    /// | `fragcache_store_leases` | held by this process |
    /// | `fragcache_store_round_trips`, `_faults`, `_deadlines_missed`, `_unreadable` | since the process began |
    /// | `fragcache_store_NAME` | a counter of the store itself, such as `calls_under_way` |
    ///
    /// ```
    /// fragcache::FragmentCache::in_memory().record_metrics("pages");
    /// ```
    #[cfg(feature = "metrics")]
    pub fn record_metrics(&self, name: &str) {
        self.handle.record_metrics(name);
    }

    /// Writes a record to the store, reads it back and deletes it. For a program that would rather
    /// fail at startup than run with a wrong password and render everything. Blocks for as long as
    /// the store's own timeout. Succeeds on a cache without a store.
    ///
    /// # Errors
    ///
    /// The store's fault, with advice.
    ///
    /// ```
    /// use fragcache::store::Fault;
    /// use fragcache::testing::{FaultyStore, MemoryStore};
    /// use fragcache::{FarLevel, FragmentCache};
    ///
    /// FragmentCache::in_memory().check_store()?;
    /// let store = FaultyStore::new(MemoryStore::new());
    /// let cache = FragmentCache::builder().far(FarLevel::new(store.clone())).build()?;
    /// cache.check_store()?;
    /// store.fail(Fault::Unusable);
    /// assert!(cache.check_store().is_err());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn check_store(&self) -> Result<(), Error> {
        self.handle.check_store()
    }

    /// Sets the mode for all handles, from the next block on. Invalidations take effect in every
    /// mode.
    ///
    /// ```
    /// use fragcache::{FragmentCache, CacheMode};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.set_mode(CacheMode::Bypass);
    /// assert_eq!(cache.clone().mode(), CacheMode::Bypass);
    /// ```
    pub fn set_mode(&self, mode: CacheMode) {
        self.handle.set_mode(mode);
    }

    /// Switches HTML comments around fragments on or off, for all handles. They show what each
    /// fragment is, whether it was a hit, and if not, why. Use it in development, or for a short
    /// time in production.
    ///
    /// Comments show tags, and keys with their vary parts ([a digest](Self::shown_key) where keys
    /// are opaque). They are escaped, and are written only where the engine escapes for HTML.
    /// Inside an attribute or a script they would break the page, so keep cache blocks out of those
    /// while annotations are on.
    ///
    /// Annotated bodies are separate entries: switching never serves an entry of the other kind.
    /// Comments inside a hit are stored with it, and describe the render that stored it.
    ///
    /// ```
    /// use fragcache::{FragmentCache, Policy};
    ///
    /// let cache = FragmentCache::builder().policy(Policy::default().annotations(true)).build()?;
    /// cache.annotate(true)?;
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) in a build without debug assertions, unless
    /// the [policy](crate::Policy::annotations) allows it.
    pub fn annotate(&self, yes: bool) -> Result<(), Error> {
        self.handle.annotate(yes)
    }

    /// Reports the warnings of a [rewrite](crate::syntax::rewrite): to the observers, to the
    /// counters, and as an error if the [policy](crate::Policy::warnings_are_errors) says so. The
    /// engine extensions call this whenever a template is loaded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`](crate::ErrorKind::Syntax), with the place of the first warning.
    pub fn report_warnings(&self, warnings: &[Warning]) -> Result<(), Error> {
        self.handle.report_warnings(warnings)
    }
}
