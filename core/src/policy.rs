//! Choices of behaviour: mistakes, repeated unnamed blocks, annotations, warnings; and the mode of
//! a cache.

/// How a mistake that is found during a render is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ErrorPolicy {
    /// The render fails with an error that names template and line.
    #[default]
    Error,
    /// The body is rendered uncached. An event and a counter report it.
    Uncached,
}

/// How a cache handles mistakes and warnings, and whether pages may be annotated.
///
/// ```
/// use fragcache::{ErrorPolicy, Policy};
///
/// let policy = Policy::default().bad_arguments(ErrorPolicy::Uncached);
/// assert_eq!(policy, Policy::default().bad_arguments(ErrorPolicy::Uncached));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    pub(crate) bad_arguments: ErrorPolicy,
    pub(crate) repeated_is_error: bool,
    pub(crate) annotations: bool,
    pub(crate) warnings_are_errors: bool,
}

impl Policy {
    /// Sets how an unusable timeout, name, vary part, version, tag or stale window of a cache block
    /// is handled, and unusable arguments of `cache_tags` and `cache_expire` in its body. Default:
    /// an error, because an undefined vary part would give every user the same fragment. Rust code
    /// always gets an error.
    #[must_use]
    pub fn bad_arguments(mut self, on_mistake: ErrorPolicy) -> Self {
        self.bad_arguments = on_mistake;
        self
    }

    /// If true, opening an unnamed block twice in one render is an error instead of an event. Meant
    /// for tests. Default: false.
    #[must_use]
    pub fn repeated_unnamed_is_error(mut self, yes: bool) -> Self {
        self.repeated_is_error = yes;
        self
    }

    /// If true, [`annotate`](crate::FragmentCache::annotate) may put comments around fragments in a
    /// build without debug assertions. Default: false, because they show keys and tags to readers
    /// of the page.
    #[must_use]
    pub fn annotations(mut self, yes: bool) -> Self {
        self.annotations = yes;
        self
    }

    /// If true, a template with a [warning](crate::syntax::Warning), such as a CSRF token in a
    /// cached body, is not loaded. Default: false; a warning is an event then.
    #[must_use]
    pub fn warnings_are_errors(mut self, yes: bool) -> Self {
        self.warnings_are_errors = yes;
        self
    }
}

/// Whether a cache reads and stores. It can be switched at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum CacheMode {
    /// Reads and stores.
    #[default]
    Normal = 0,
    /// Serves stored entries and stores nothing new.
    ReadOnly = 1,
    /// Renders everything; reads and stores nothing.
    Bypass = 2,
}

impl CacheMode {
    #[inline]
    pub(crate) fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::ReadOnly,
            2 => Self::Bypass,
            _ => Self::Normal,
        }
    }

    /// Returns the mode as one word, for configs and tools: `normal`, `read-only` or `bypass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ReadOnly => "read-only",
            Self::Bypass => "bypass",
        }
    }

    /// The mode with this [`as_str`](Self::as_str).
    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        [Self::Normal, Self::ReadOnly, Self::Bypass]
            .into_iter()
            .find(|mode| mode.as_str().as_bytes() == word)
    }
}
