//! Settings of a cache, checked before there is one.

use std::sync::Arc;
use std::time::Duration;

use crate::ageing::Ageing;
use crate::cache::FragmentCache;
use crate::clock::{Clock, MonotonicClock};
use crate::error::{Error, ErrorKind};
use crate::events::Observer;
use crate::far::FarLevel;
use crate::opaque::OpaqueSecret;
use crate::policy::Policy;
#[cfg(test)]
use crate::protection::Protection;
use crate::protection::Protections;

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
#[derive(Debug, Clone)]
#[must_use]
pub struct CacheBuilder {
    pub(crate) default_life: Option<Duration>,
    pub(crate) max_bytes: usize,
    pub(crate) max_entries: usize,
    pub(crate) max_entry_bytes: Option<usize>,
    pub(crate) max_labels: usize,
    pub(crate) wait_limit: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    /// How many names have an account of their own; no statistics by name is kept without.
    pub(crate) stats_by_name: Option<usize>,
    pub(crate) policy: Policy,
    pub(crate) ageing: Ageing,
    pub(crate) far: Option<FarLevel>,
    pub(crate) opaque_keys: Option<OpaqueSecret>,
    /// Whether nothing is stored at all.
    pub(crate) is_null: bool,
    pub(crate) protections: Protections,
}

impl Default for CacheBuilder {
    fn default() -> Self {
        Self {
            default_life: Some(Duration::from_secs(300)),
            max_bytes: 64 << 20,
            max_entries: 100_000,
            max_entry_bytes: None,
            max_labels: 65_536,
            wait_limit: Duration::from_secs(1),
            clock: Arc::new(MonotonicClock::default()),
            observers: Vec::new(),
            stats_by_name: None,
            policy: Policy::default(),
            ageing: Ageing::default(),
            far: None,
            opaque_keys: None,
            is_null: false,
            protections: Protections::default(),
        }
    }
}

impl CacheBuilder {
    /// How long a fragment without a timeout lives; `None` for ever. 300 s by default, as in
    /// Flask-Caching.
    pub fn default_timeout(mut self, life: Option<Duration>) -> Self {
        self.default_life = life;
        self
    }

    /// Bound of the near level in bytes, keys and overhead counted. 64 MiB by default.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bound of the near level in entries (variants counted one by one). 100,000 by default.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// Largest body that is stored, in bytes; larger ones are rendered and counted. By default
    /// 1 MiB, or a quarter of [`max_bytes`](Self::max_bytes) if that is less.
    pub fn max_entry_bytes(mut self, bytes: usize) -> Self {
        self.max_entry_bytes = Some(bytes);
        self
    }

    /// Rows of the label table. An invalidation beyond them forgets the oldest row, and entries
    /// older than that row are rendered again when next asked for. 65,536 by default (up to 16 MB
    /// when full, and twice that with a replica lag).
    pub fn max_labels(mut self, rows: usize) -> Self {
        self.max_labels = rows;
        self
    }

    /// How long a caller waits for another's render of the same fragment before it renders for
    /// itself without storing. 1 s by default.
    ///
    /// A page waits in vain for no longer than that, all its fragments together: what one has waited
    /// for nothing, those inside it no longer wait, nor those after it in the same render of an engine.
    /// (Fragments of Rust code that stand beside each other, and blocks of a Tera render that nobody
    /// bounds, know of no page: each waits by itself.)
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = limit;
        self
    }

    /// How long after its end a fragment may be served to all but the one caller who renders it
    /// anew (stale-while-revalidate), where its block or [`Fragment`](crate::Fragment) says nothing.
    /// None by default.
    ///
    /// It covers expiry alone: what was deleted or invalidated, or has another version or source,
    /// is not served.
    pub fn stale_window(mut self, window: Duration) -> Self {
        self.ageing.stale_window = window;
        self
    }

    /// For how long nobody tries again after a refresh of a stale fragment has failed, or has brought
    /// what may not be stored. 5 s by default.
    pub fn refresh_backoff(mut self, rest: Duration) -> Self {
        self.ageing.refresh_backoff = rest;
        self
    }

    /// Shortens each life at random by up to this share of it, from 0.0 to 0.9, so that fragments
    /// stored together do not expire together. 0.0 by default; 0.1 with a [far level](Self::far), where
    /// every process would render what has expired.
    pub fn jitter(mut self, share: f64) -> Self {
        self.ageing.jitter = Some(share);
        self
    }

    /// Refreshes fragments before they expire, with a probability that rises with the time their
    /// render took and as their end comes near: one caller renders, all others are served as
    /// before. The number, from 0.0 to 1000.0, is the factor β of the algorithm called `XFetch`: 1.0
    /// is usual, more is earlier, 0.0, the default, is not at all.
    ///
    /// A. Vattani, F. Chierichetti, K. Lowenstein: Optimal Probabilistic Cache Stampede
    /// Prevention, PVLDB 8(8), 2015.
    pub fn early_refresh(mut self, beta: f64) -> Self {
        self.ageing.early_refresh = beta;
        self
    }

    /// Repeats every deletion and invalidation so long after it, for data that is read from
    /// replicas which lag behind: a render in between may have read the old data. None by default.
    /// A [batch](FragmentCache::batch) can have its own.
    ///
    /// There is no timer: the first look at the cache after a repeat is due carries it out.
    pub fn replica_lag(mut self, lag: Duration) -> Self {
        self.ageing.replica_lag = Some(lag);
        self
    }

    /// A store behind the cache, shared with other processes; see [`FarLevel`]. None by default.
    pub fn far(mut self, level: FarLevel) -> Self {
        self.far = Some(level);
        self
    }

    /// Keeps keys from whoever reads the store or watches the cache. With a secret of at least 16
    /// bytes, best 32 random ones, a [far store](Self::far) holds digests under that secret in place of
    /// names, keys, templates, tags and namespaces, so that a guess at one cannot be tested either; and
    /// events, the statistics by name, annotated pages and listings show of a key its name, and one digest for all
    /// that it varies on ([`FragmentCache::shown_key`]). Bodies stay as they are. Needs the feature
    /// `mac`.
    ///
    /// All processes that share a store need the same secret: with another one, or without, they find
    /// nothing of each other's, and deletions do not reach the others. It does not sign entries, as
    /// [`FarLevel::mac_key`] does; both may be used.
    ///
    /// Names of fragments, templates, functions and views are taken for the programmer's words, and
    /// tags and namespaces for no secrets: events and pages show them.
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
        self.opaque_keys = Some(OpaqueSecret(secret.as_ref().into()));
        self
    }

    /// The clock by which entries expire. The monotonic clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Adds an observer of events. There may be any number: each gets every event, in the order in which
    /// they were added. None by default.
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
        self.observers.push(Arc::new(observer));
        self
    }

    /// Keeps [statistics by name](FragmentCache::stats_by_name): figures for each fragment's name, for at most so many
    /// names; what happens under later ones is added up. None is kept by default. A name takes 2 KiB
    /// to 4 KiB, and every hit counts in it.
    pub fn stats_by_name(mut self, max_names: usize) -> Self {
        self.stats_by_name = Some(max_names);
        self
    }

    /// What becomes of mistakes, warnings and annotations; see [`Policy`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// A cache that stores nothing.
    #[cfg(feature = "config")]
    pub(crate) fn null(mut self) -> Self {
        self.is_null = true;
        self
    }

    /// A cache with one protection switched off, for tests that notice it.
    #[cfg(test)]
    pub(crate) fn without(mut self, protection: Protection) -> Self {
        self.protections = Protections::without(protection);
        self
    }

    /// The cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a bound of zero, an entry limit above the bound in bytes, a default
    /// timeout that is zero, a default timeout, stale window, back-off or replica lag longer than a
    /// clock can count (292 years), a jitter or early refresh out of range, and a secret of opaque keys
    /// that is too short or without the feature `mac`.
    pub fn build(self) -> Result<FragmentCache, Error> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Config, message));
        if self.max_bytes == 0 || self.max_entries == 0 {
            return refuse(
                "a near level of size 0 holds nothing; write FragmentCache::disabled() for a \
                 cache that stores nothing",
            );
        }
        if self.max_labels == 0 {
            return refuse("max_labels is 0; write at least 1, or leave the default of 65,536");
        }
        match self.max_entry_bytes {
            Some(0) => return refuse("max_entry_bytes is 0; write at least 1"),
            Some(bytes) if bytes > self.max_bytes => {
                return refuse("max_entry_bytes is above max_bytes; raise max_bytes or lower it");
            }
            _ => {}
        }
        if self.default_life.is_some_and(|life| life.is_zero()) {
            return refuse(
                "the default timeout is 0; write None for fragments that never expire, or \
                 FragmentCache::disabled() to store nothing",
            );
        }
        if self.default_life.is_some_and(|life| life.as_nanos() > u128::from(u64::MAX / 2)) {
            return refuse("the default timeout is longer than a clock can count; write None");
        }
        self.ageing.check()?;
        self.far.as_ref().map_or(Ok(()), FarLevel::check)?;
        self.opaque_keys.as_ref().map_or(Ok(()), OpaqueSecret::check)?;
        FragmentCache::from_builder(self)
    }
}
