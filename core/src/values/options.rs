//! The options of a value that is set.

use std::time::Duration;

use crate::error::Error;
use crate::key::{FragmentKey, KeyPart};
use crate::options::EntryOptions;
use crate::timeout::Timeout;

/// Options of [`Values`](crate::values::Values) for storing a value: timeout, tags and version.
///
/// ```
/// use fragcache::values::SetOptions;
/// use std::time::Duration;
///
/// let options = SetOptions::new().expires_after(Duration::from_secs(60)).tags(["stock"]);
/// assert_ne!(options, SetOptions::new());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct SetOptions(pub(super) EntryOptions);

impl SetOptions {
    /// Creates options with the cache's default timeout and no tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the timeout. [`Timeout::Delete`] stores nothing and deletes the stored value.
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.0.lookup.timeout = timeout;
        self
    }

    /// Makes the value expire `ttl` from now. Zero is an error when the value is set.
    pub fn expires_after(self, ttl: Duration) -> Self {
        self.timeout(Timeout::After(ttl))
    }

    /// Makes the value never expire.
    pub fn never_expires(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// Adds tags. [Invalidating](crate::FragmentCache::invalidate_tags) one of them deletes the
    /// value. Tags are checked when the value is set.
    pub fn tags<T: AsRef<str>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.0.add_tags(tags);
        self
    }

    /// Sets the version of the record that the value was made from. Read such a value with
    /// [`Values::get_version`](crate::values::Values::get_version).
    ///
    /// ```
    /// use fragcache::values::SetOptions;
    /// use fragcache::FragmentCache;
    ///
    /// let values = FragmentCache::in_memory().values();
    /// values.set_with("stock", &3, &SetOptions::new().version(17))?;
    /// assert_eq!(values.get_version::<i32>("stock", 17), Some(3));
    /// assert_eq!(values.get_version::<i32>("stock", 18), None);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn version(mut self, version: impl KeyPart) -> Self {
        self.0.version = Some(FragmentKey::new(version));
        self
    }

    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) for a timeout of zero,
    /// [`ErrorKind::Tag`](crate::ErrorKind::Tag) for an unusable tag.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.0.check_timeout()?;
        self.0.check_tags()
    }
}
