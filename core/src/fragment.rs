//! A fragment that Rust code renders itself, for template languages without an extension.

use std::borrow::Cow;
use std::time::Duration;

use crate::key::{FragmentKey, KeyPart};
use crate::options::EntryOptions;
use crate::timeout::Timeout;

/// What [`FragmentCache::render`](crate::FragmentCache::render) caches: a key and its options.
///
/// ```
/// use fragcache::{Fragment, fragment_key};
/// use std::time::Duration;
///
/// let fragment = Fragment::new(fragment_key!("row", 7)).expires_after(Duration::from_secs(60));
/// assert_eq!(fragment.key(), &fragment_key!("row", 7));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Fragment {
    pub(crate) key: FragmentKey,
    pub(crate) options: EntryOptions,
}

impl Fragment {
    /// Creates a fragment with the cache's default timeout.
    pub fn new(key: FragmentKey) -> Self {
        Self { key, options: EntryOptions::default() }
    }

    /// Sets the timeout.
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.options.lookup.timeout = timeout;
        self
    }

    /// Makes the fragment expire `ttl` after its render. Zero is an error of the render.
    pub fn expires_after(self, ttl: Duration) -> Self {
        self.timeout(Timeout::After(ttl))
    }

    /// Makes the fragment never expire.
    pub fn never_expires(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// If true, renders the body without reading or writing the cache. No fragment around this one
    /// is stored either.
    pub fn unless(mut self, yes: bool) -> Self {
        self.options.lookup.unless = yes;
        self
    }

    /// If true, renders the body and replaces the stored entry. The old entry stays if the body
    /// fails.
    pub fn refresh(mut self, yes: bool) -> Self {
        self.options.lookup.refresh = yes;
        self
    }

    /// Adds tags. [Invalidating](crate::FragmentCache::invalidate_tags) one of them deletes this
    /// fragment and every fragment around it. Tags are checked when the fragment is rendered.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let row = Fragment::new(fragment_key!("row", 7)).tags(["product:7", "prices"]);
    /// cache.render(&row, || "10 €")?;
    /// cache.invalidate_tags(["prices"])?.eventually();
    /// assert!(!cache.contains(row.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn tags<T: AsRef<str>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.options.add_tags(tags);
        self
    }

    /// Sets how long the fragment may still be served after it has expired: while one caller
    /// refreshes it, and in place of an error of its body. Zero switches this off. Default: the
    /// cache's [`stale_window`](crate::CacheBuilder::stale_window).
    pub fn stale(mut self, window: Duration) -> Self {
        self.options.lookup.stale = Some(window);
        self
    }

    /// Sets the version of the record that the fragment shows, such as its time of change. An entry
    /// of another version is a miss and is replaced.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let row = |version| Fragment::new(fragment_key!("row", 7)).version(version);
    /// cache.render(&row(1), || "old")?;
    /// assert_eq!(&*cache.render(&row(2), || "new")?, "new");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn version(mut self, version: impl KeyPart) -> Self {
        self.options.version = Some(FragmentKey::new(version));
        self
    }

    /// Returns the fragment's key.
    pub fn key(&self) -> &FragmentKey {
        &self.key
    }
}

impl From<FragmentKey> for Fragment {
    /// Equal to [`Fragment::new`].
    fn from(key: FragmentKey) -> Self {
        Self::new(key)
    }
}

impl From<FragmentKey> for Cow<'_, Fragment> {
    fn from(key: FragmentKey) -> Self {
        Self::Owned(Fragment::new(key))
    }
}

impl From<Fragment> for Cow<'_, Fragment> {
    fn from(fragment: Fragment) -> Self {
        Self::Owned(fragment)
    }
}

impl<'f> From<&'f Fragment> for Cow<'f, Fragment> {
    fn from(fragment: &'f Fragment) -> Self {
        Self::Borrowed(fragment)
    }
}
