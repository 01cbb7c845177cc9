//! Watching a cache, and switching it while it runs.

use super::FragmentCache;
use crate::admin::Admin;
use crate::error::{Error, ErrorKind};
use crate::far::{Far, Health};
use crate::key::FragmentKey;
use crate::near::Near;
use crate::policy::CacheMode;
use crate::stats::{Stats, StatsByName, StatsRegistry};
use crate::sync::Ordering;
use crate::syntax::Warning;

impl FragmentCache {
    /// Counters since the cache was made, and its present size.
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared.counters.snapshot();
        if let Some(near) = &self.shared.near {
            let totals = near.totals();
            stats.hits = totals.hits;
            stats.entries = totals.entries;
            stats.bytes = totals.bytes;
        }
        stats.flights = self.shared.flights.len() as u64;
        stats
    }

    /// What happened under each name, in all namespaces; `None` for a cache that was built without a
    /// [stats_by_name](crate::CacheBuilder::stats_by_name).
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
        self.shared
            .stats_registry
            .as_ref()
            .map(|stats_registry: &StatsRegistry| stats_registry.read(self.moment()))
    }

    /// Largest body that is stored, in bytes, as [`max_entry_bytes`](crate::CacheBuilder::max_entry_bytes)
    /// set it; `None` for a cache that stores nothing.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    ///
    /// assert_eq!(FragmentCache::in_memory().max_entry_bytes(), Some(1024 * 1024));
    /// assert_eq!(FragmentCache::disabled().max_entry_bytes(), None);
    /// ```
    pub fn max_entry_bytes(&self) -> Option<usize> {
        self.near().map(Near::max_entry_bytes)
    }

    /// Whether this cache has [opaque keys](crate::CacheBuilder::opaque_keys).
    ///
    /// ```
    /// assert!(!fragcache::FragmentCache::in_memory().has_opaque_keys());
    /// ```
    pub fn has_opaque_keys(&self) -> bool {
        self.shared.hasher.is_opaque()
    }

    /// A key of this handle's namespace as events, pages and listings of this cache show it: as it is,
    /// or [redacted](FragmentKey::is_redacted) where keys are
    /// [opaque](crate::CacheBuilder::opaque_keys). So what a log says can be told by whoever knows the key.
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
        self.shared.hasher.shown(&self.encoded(key))
    }

    /// How far the cache takes part now: as it was [switched](Self::set_mode), or as the far store
    /// tells all processes, whichever is less.
    pub fn mode(&self) -> CacheMode {
        let own = CacheMode::from_u8(self.shared.mode.load(Ordering::Relaxed));
        self.shared.far.as_ref().map_or(own, |far| far.mode().max(own))
    }

    /// How the store behind the cache is, as this process sees it. Asks nobody.
    ///
    /// ```
    /// let cache = fragcache::FragmentCache::in_memory();
    /// assert_eq!(cache.health().store, None);
    /// ```
    pub fn health(&self) -> Health {
        self.shared.far.as_ref().map_or_else(Health::default, Far::health)
    }

    /// Asks the store to take a record, return it and delete it: for a program that would rather not
    /// start with a wrong password than render everything. Waits as long as the store lets calls
    /// wait. A cache without a store is well.
    ///
    /// # Errors
    ///
    /// The store's fault, with what to do about it.
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
        match self.shared.far {
            Some(_) => Admin::new(self)?.probe(),
            None => Ok(()),
        }
    }

    /// Switches how far the cache takes part, for all handles, from the next block on.
    /// Invalidations count in every mode.
    ///
    /// ```
    /// use fragcache::{FragmentCache, CacheMode};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.set_mode(CacheMode::Bypass);
    /// assert_eq!(cache.clone().mode(), CacheMode::Bypass);
    /// ```
    pub fn set_mode(&self, mode: CacheMode) {
        self.shared.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Switches HTML comments around fragments on or off, for all handles: what each one is, whether
    /// it was a hit, and if not, why. For looking at a page in development, or for a moment in
    /// production.
    ///
    /// Comments show keys, with what they vary on ([a digest](Self::shown_key) where keys are opaque), and
    /// tags. They are escaped, and are written
    /// where the engine escapes for HTML only; inside an attribute or a script they would be in the
    /// way, so keep cache blocks out of those while you look. Annotated bodies are entries of their
    /// own: none is served after this is switched off, and none of the others before. Comments inside
    /// a hit are stored with it, and tell of the render that stored it.
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
        if yes && !cfg!(debug_assertions) && !self.shared.policy.annotations {
            return Err(Error::new(
                ErrorKind::Config,
                "annotations show keys and tags to whoever reads the page; allow them by \
                 Policy::default().annotations(true), or use a build with debug assertions",
            ));
        }
        self.shared.annotates.store(u8::from(yes), Ordering::Relaxed);
        Ok(())
    }

    /// Whether pages are annotated now.
    pub(crate) fn annotates(&self) -> bool {
        self.shared.annotates.load(Ordering::Relaxed) != 0
    }

    /// Tells what a [rewrite](crate::syntax::rewrite) warned of: to the observer, to the counters,
    /// and by an error where the [policy](crate::Policy::warnings_are_errors) says so. The engine
    /// extensions do this whenever a template is loaded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`](crate::ErrorKind::Syntax), with the place of the first warning.
    pub fn report_warnings(&self, warnings: &[Warning]) -> Result<(), Error> {
        for warning in warnings {
            self.warn(Some((warning.template(), warning.line())), warning.message());
        }
        match warnings.first() {
            Some(first) if self.shared.policy.warnings_are_errors => Err(Error::new(
                ErrorKind::Syntax,
                first.message(),
            )
            .at(first.template(), first.line(), first.column())),
            _ => Ok(()),
        }
    }
}
