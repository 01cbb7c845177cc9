//! The public handle to a cache. Each file has the methods of one kind; they call the rooms below.

mod builder;
#[cfg(feature = "values")]
mod calls;
mod engine;
mod entries;
mod invalidate;
mod serve;
mod watch;

use std::fmt;

use crate::handle::{Handle, Settings};
use crate::read_point::ReadPoint;
#[cfg(feature = "values")]
use crate::values::Values;

pub use builder::CacheBuilder;
pub use entries::{EntryCursor, EntryInfo, EntryPage};

/// A cache of rendered fragments. A clone is another handle to the same cache.
///
/// Give it to an engine extension for the `{% cache %}` tag, and keep a clone to delete fragments:
///
/// ```
/// use fragcache::{Fragment, FragmentCache, fragment_key};
///
/// let cache = FragmentCache::in_memory();
/// let key = fragment_key!("greeting", "en");
/// let fragment = Fragment::new(key.clone());
///
/// let html = cache.render(&fragment, || "<p>Hello</p>")?;
/// assert_eq!(&*html, "<p>Hello</p>");
/// assert!(cache.contains(&key)?);
///
/// cache.delete(&key).eventually();
/// assert!(!cache.contains(&key)?);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone)]
pub struct FragmentCache {
    pub(crate) handle: Handle,
}

impl FragmentCache {
    /// Creates a cache in this process with the default settings: 300 s, 64 MiB.
    ///
    /// ```
    /// let cache = fragcache::FragmentCache::in_memory();
    /// assert_eq!(cache.stats().hits, 0);
    /// ```
    pub fn in_memory() -> Self {
        Self { handle: Handle::new(Settings::default()) }
    }

    /// Creates a cache that stores nothing: every body is rendered, every deletion finds nothing.
    /// Arguments are still checked.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::disabled();
    /// let fragment = Fragment::new(fragment_key!("row", 1));
    /// cache.render(&fragment, || "once")?;
    /// assert_eq!(&*cache.render(&fragment, || "twice")?, "twice");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn disabled() -> Self {
        Self { handle: Handle::new(Settings { is_null: true, ..Settings::default() }) }
    }

    /// Returns a builder, to create a cache with other settings.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    /// Returns the read point of data that is read from now on, for all namespaces of this cache;
    /// see [`ReadPoint`]. With a far store this takes at most one round trip per 100 ms, plus one
    /// after an invalidation by this process.
    pub fn read_point(&self) -> ReadPoint {
        self.handle.read_point()
    }

    /// Returns a handle to a namespace of this cache. A namespace has its own keys, names,
    /// templates and tags, and its own [`clear`](Self::clear), whose cost does not depend on its
    /// size. Bounds, counters, mode and observers are shared. Namespaces nest, and are cleared with
    /// the one that contains them.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let (ours, theirs) = (cache.namespace("tenant:7"), cache.namespace("tenant:8"));
    /// let menu = Fragment::new(fragment_key!("menu"));
    /// ours.render(&menu, || "ours")?;
    /// assert_eq!(&*theirs.render(&menu, || "theirs")?, "theirs");
    ///
    /// ours.clear().eventually();
    /// assert!(!ours.contains(menu.key())?);
    /// assert!(theirs.contains(menu.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    #[must_use]
    pub fn namespace(&self, name: &str) -> Self {
        Self { handle: self.handle.namespace(name) }
    }

    /// Whether this is a handle to the same cache as `other`.
    pub fn is_same(&self, other: &Self) -> bool {
        self.handle.is_same(&other.handle)
    }

    #[cfg(feature = "values")]
    /// Returns the plain values of this cache, or of this handle's namespace.
    pub fn values(&self) -> Values {
        Values::of(self.handle.clone())
    }
}

impl fmt::Debug for FragmentCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FragmentCache")
            .field("mode", &self.mode())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
