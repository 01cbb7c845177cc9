//! The options of an entry, as a block, a fragment, a call, a value or a response sets them. A new
//! option is a field here, a setter where users set it, and the code that obeys it. CONTRIBUTING.md
//! lists what an option of the block touches besides.

use std::time::Duration;

use crate::error::Error;
use crate::hash::{KeyHasher, Version};
use crate::key::FragmentKey;
use crate::tag;
use crate::timeout::Timeout;

/// The options that decide how a key is looked up and how long its entry is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) timeout: Timeout,
    /// Whether the cache is neither read nor written.
    pub(crate) unless: bool,
    /// Whether the body is rendered and replaces what is stored.
    pub(crate) refresh: bool,
    /// The stale window; the cache's default if `None`.
    pub(crate) stale: Option<Duration>,
    /// Whether the caller supplies the body and gets the outcome. It is stored for all readers, or
    /// not at all.
    pub(crate) is_given: bool,
    /// Whether a scope abandons this render's open fragments when it fails.
    pub(crate) scoped: bool,
}

/// How a body is written to the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// No servable entry was there.
    Fill,
    /// Replaces the present entry and ends it, in the near levels of other processes too.
    Replace,
    /// Only if no entry is there yet.
    Add,
}

impl Default for Options {
    fn default() -> Self {
        Self::PLAIN
    }
}

impl Options {
    /// The options of a lookup that states none.
    pub(crate) const PLAIN: Self = Self {
        timeout: Timeout::Default,
        unless: false,
        refresh: false,
        stale: None,
        is_given: false,
        scoped: true,
    };

    /// Whether these options read an entry as it is.
    #[inline]
    pub(crate) fn are_plain(&self) -> bool {
        !self.unless && !self.refresh && self.timeout != Timeout::Delete
    }

    /// How the body is written.
    pub(crate) fn write(&self) -> Write {
        match (self.refresh, self.is_given) {
            (true, _) => Write::Replace,
            (false, true) => Write::Add,
            (false, false) => Write::Fill,
        }
    }
}

/// The options of an entry that Rust code declares before it is rendered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EntryOptions {
    pub(crate) lookup: Options,
    pub(crate) tags: Vec<Box<str>>,
    /// The version of the record that the entry shows.
    pub(crate) version: Option<FragmentKey>,
}

impl EntryOptions {
    pub(crate) fn add_tags<T: AsRef<str>>(&mut self, tags: impl IntoIterator<Item = T>) {
        self.tags.extend(tags.into_iter().map(|tag| tag.as_ref().into()));
    }

    /// The hash of the version.
    pub(crate) fn version(&self, hasher: &KeyHasher) -> Version {
        let version = self.version.as_ref();
        version.map_or(Version::default(), |version| hasher.version(version.as_bytes()))
    }

    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) for a timeout of zero or past the end of
    /// the clock.
    #[inline]
    pub(crate) fn check_timeout(&self) -> Result<(), Error> {
        Ok(self.lookup.timeout.validate()?)
    }

    /// # Errors
    ///
    /// [`ErrorKind::Tag`](crate::ErrorKind::Tag) for an unusable tag, or too many.
    #[inline]
    pub(crate) fn check_tags(&self) -> Result<(), Error> {
        tag::check_count(self.tags.len())?;
        self.tags.iter().try_for_each(|text| tag::check(text))
    }
}
