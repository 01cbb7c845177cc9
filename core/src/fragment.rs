//! A fragment that Rust code renders itself, for template languages without an extension here.

use std::time::Duration;

use crate::key::FragmentKey;
use crate::timeout::Timeout;

/// What [`FragmentCache::render`](crate::FragmentCache::render) is to cache: a key and how long.
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
    pub(crate) timeout: Timeout,
    pub(crate) unless: bool,
    pub(crate) refresh: bool,
}

impl Fragment {
    /// A fragment that lives for the cache's default timeout.
    pub fn new(key: FragmentKey) -> Self {
        Self { key, timeout: Timeout::Default, unless: false, refresh: false }
    }

    /// Sets the timeout.
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.timeout = timeout;
        self
    }

    /// The fragment expires this long after it was rendered. Zero is refused when it is rendered.
    pub fn expires_after(self, life: Duration) -> Self {
        self.timeout(Timeout::After(life))
    }

    /// The fragment never expires.
    pub fn never_expires(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// If true, the body is rendered and the cache neither read nor written.
    pub fn unless(mut self, yes: bool) -> Self {
        self.unless = yes;
        self
    }

    /// If true, the body is rendered and replaces what is stored; the old entry stays if the body
    /// fails.
    pub fn refresh(mut self, yes: bool) -> Self {
        self.refresh = yes;
        self
    }

    /// The fragment's key.
    pub fn key(&self) -> &FragmentKey {
        &self.key
    }
}
