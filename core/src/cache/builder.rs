//! The settings of a cache, checked before it is built.

use std::sync::Arc;
use std::time::Duration;

use super::FragmentCache;
use crate::clock::Clock;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::events::Observer;
use crate::far::FarLevel;
use crate::handle::{Handle, Settings};
use crate::opaque::OpaqueSecret;
use crate::policy::Policy;
#[cfg(test)]
use crate::protection::{Protection, Protections};

/// Builds a [`FragmentCache`].
///
/// ```
/// use fragcache::FragmentCache;
/// use std::time::Duration;
///
/// let cache = FragmentCache::builder()
///     .default_timeout(Some(Duration::from_secs(60)))
///     .max_bytes(16 << 20)
///     .build()?;
/// assert_eq!(cache.stats().entries, 0);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CacheBuilder {
    pub(crate) settings: Settings,
}

impl CacheBuilder {
    /// Sets the TTL of fragments without a timeout; `None` if they never expire. Default: 300 s, as
    /// in Flask-Caching.
    pub fn default_timeout(mut self, ttl: Option<Duration>) -> Self {
        self.settings.default_ttl = ttl;
        self
    }

    /// Bounds the near level in bytes, including keys and overhead. Default: 64 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// Bounds the near level in entries; each variant is one entry. Default: 100,000.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.settings.max_entries = entries;
        self
    }

    /// Sets the largest body that is stored, in bytes. Larger bodies are rendered and counted.
    /// Default: 1 MiB, or a quarter of [`max_bytes`](Self::max_bytes) if that is less.
    pub fn max_entry_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_entry_bytes = Some(bytes);
        self
    }

    /// Bounds the rows of the label table. When it is full, an invalidation drops the oldest row,
    /// and entries older than that row are rendered again on their next lookup. Default: 65,536 (up
    /// to 16 MB when full, and twice that with a replica lag).
    pub fn max_labels(mut self, rows: usize) -> Self {
        self.settings.max_labels = rows;
        self
    }

    /// Sets how long a caller waits for another caller's render of the same fragment. After that it
    /// renders for itself and does not store the result. Default: 1 s.
    ///
    /// The limit covers a whole page: time that one fragment has waited without a result counts for
    /// the fragments inside it, and for those after it in the same engine render. Sibling fragments
    /// rendered from Rust, and blocks of a Tera template rendered without the render functions of
    /// `fragcache-tera`, share no page, so each of them waits up to the limit.
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.settings.wait_limit = limit;
        self
    }

    /// Sets how long an expired fragment may still be served while one caller refreshes it
    /// (stale-while-revalidate). A block or a [`Fragment`](crate::Fragment) can set its own window.
    /// Default: none.
    ///
    /// The window covers expiry only. A fragment that was deleted or invalidated, or that has
    /// another version or source, is not served.
    pub fn stale_window(mut self, window: Duration) -> Self {
        self.settings.ageing.stale_window = window;
        self
    }

    /// Sets the pause between refreshes of a stale fragment after one has failed or produced a body
    /// that may not be stored. Default: 5 s.
    pub fn refresh_backoff(mut self, rest: Duration) -> Self {
        self.settings.ageing.refresh_backoff = rest;
        self
    }

    /// Shortens each TTL at random by up to this fraction, from 0.0 to 0.9, so that fragments
    /// stored together do not expire together. Default: 0.0; 0.1 with a [far level](Self::far),
    /// where every process would render what has expired.
    pub fn jitter(mut self, share: f64) -> Self {
        self.settings.ageing.jitter = Some(share);
        self
    }

    /// Refreshes fragments before they expire. The probability rises with the time their last
    /// render took and as expiry comes near. One caller renders; all others are served the stored
    /// fragment. `beta`, from 0.0 to 1000.0, is the factor β of the `XFetch` algorithm: 1.0 is
    /// usual, more refreshes earlier, 0.0 (the default) switches it off.
    ///
    /// A. Vattani, F. Chierichetti, K. Lowenstein: Optimal Probabilistic Cache Stampede
    /// Prevention, PVLDB 8(8), 2015.
    pub fn early_refresh(mut self, beta: f64) -> Self {
        self.settings.ageing.early_refresh = beta;
        self
    }

    /// Repeats every deletion and invalidation after `lag`, for data that is read from replicas: a
    /// render in between may have read old data. Default: none. A [batch](FragmentCache::batch) can
    /// have its own lag.
    ///
    /// There is no timer: the first access to the cache after a repeat is due runs it.
    pub fn replica_lag(mut self, lag: Duration) -> Self {
        self.settings.ageing.replica_lag = Some(lag);
        self
    }

    /// Adds a store behind the cache, shared with other processes; see [`FarLevel`]. Default: none.
    pub fn far(mut self, level: FarLevel) -> Self {
        self.settings.far = Some(level);
        self
    }

    /// Hides keys from readers of the store and from observers. Takes a secret of at least 16
    /// bytes; use 32 random ones. Needs the feature `mac`.
    ///
    /// A [far store](Self::far) then has digests under that secret in place of names, keys,
    /// templates, tags and namespaces, so that a guess cannot be tested either. Events, statistics
    /// by name, annotated pages and listings show the name of a key and one digest for all its vary
    /// parts ([`FragmentCache::shown_key`]). Bodies are stored as they are.
    ///
    /// All processes that share a store need the same secret. With another secret, or without one,
    /// they do not find each other's entries, and their deletions do not reach each other. This
    /// does not sign entries, as [`FarLevel::mac_key`] does; both can be used together.
    ///
    /// Names of fragments, templates, functions and views, and tags and namespaces, are not treated
    /// as secrets: events and pages show them.
    ///
    /// ```
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
    ///
    /// # #[cfg(feature = "mac")] {
    /// let store = MemoryStore::new();
    /// let level = FarLevel::new(store.clone());
    /// let cache = FragmentCache::builder().far(level).opaque_keys([7; 32]).build()?;
    /// cache.render(&Fragment::new(fragment_key!("sidebar", "ann")), || "<nav>")?;
    /// assert!(!store.keys().iter().any(|name| name.contains("sidebar")));
    /// # }
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn opaque_keys(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.settings.opaque_keys = Some(OpaqueSecret(secret.as_ref().into()));
        self
    }

    /// Sets the clock by which entries expire. Default: the monotonic clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Adds an observer of events. There may be any number; each receives every event, in the order
    /// in which they were added. Default: none.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use fragcache::testing::Recorder;
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let (one, other) = (Recorder::new(), Recorder::new());
    /// let builder = FragmentCache::builder().observer(one.clone()).observer(other.clone());
    /// builder.build()?.render(&Fragment::new(fragment_key!("row", 7)), || "<td>7</td>")?;
    /// assert_eq!((one.renders("row"), other.renders("row")), (1, 1));
    /// # }
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.settings.observers.push(Arc::new(observer));
        self
    }

    /// Collects [statistics by name](FragmentCache::stats_by_name) for at most `max_names` names;
    /// later names are summed up as one. Default: off. Each name takes 2 KiB to 4 KiB of memory,
    /// and every hit updates its counters.
    pub fn stats_by_name(mut self, max_names: usize) -> Self {
        self.settings.stats_by_name = Some(max_names);
        self
    }

    /// Sets how mistakes, warnings and annotations are handled; see [`Policy`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Makes this a cache that stores nothing, as [`FragmentCache::disabled`] does, whatever else is
    /// set.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::builder().max_entries(10).disabled().build()?;
    /// let fragment = Fragment::new(fragment_key!("row", 1));
    /// cache.render(&fragment, || "once")?;
    /// assert_eq!(&*cache.render(&fragment, || "twice")?, "twice");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn disabled(mut self) -> Self {
        self.settings.is_null = true;
        self
    }

    /// Switches one protection off, for tests that must notice it.
    #[cfg(test)]
    pub(crate) fn without(mut self, protection: Protection) -> Self {
        self.settings.protections = Protections::without(protection);
        self
    }

    /// Builds the cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for
    ///
    /// - a bound of zero, or an entry limit above the bound in bytes;
    /// - a default timeout of zero;
    /// - a default timeout, stale window, back-off or replica lag longer than a clock can count
    ///   (292 years);
    /// - a jitter or early refresh out of range;
    /// - a secret of opaque keys that is too short, or set without the feature `mac`.
    pub fn build(self) -> Result<FragmentCache, Error> {
        self.settings.check()?;
        Ok(FragmentCache { handle: Handle::start(self.settings)? })
    }
}
