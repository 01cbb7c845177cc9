//! What the cache does where users differ: mistakes, repeated unnamed blocks, annotations, warnings;
//! and how far it takes part.

/// What becomes of a mistake that is found while rendering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ErrorPolicy {
    /// The render fails with an error that names template and line.
    #[default]
    Error,
    /// The body is rendered uncached; an event and a counter tell of it.
    Uncached,
}

/// How a cache treats mistakes and warnings, and whether pages may be annotated.
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
    /// What becomes of an unusable timeout, name, vary part, version, tag or stale window of a cache
    /// block, and of what its body gives to `cache_tags` and `cache_expire`. By default an error: an
    /// undefined part would hand every user the same fragment. Rust code gets errors in any case.
    #[must_use]
    pub fn bad_arguments(mut self, on_mistake: ErrorPolicy) -> Self {
        self.bad_arguments = on_mistake;
        self
    }

    /// Whether opening one unnamed block twice in a render is an error rather than an event. Meant
    /// for tests; off by default.
    #[must_use]
    pub fn repeated_unnamed_is_error(mut self, yes: bool) -> Self {
        self.repeated_is_error = yes;
        self
    }

    /// Whether [`annotate`](crate::FragmentCache::annotate) may put comments around fragments in a
    /// build without debug assertions. Off by default, as they show keys and tags to whoever reads
    /// the page.
    #[must_use]
    pub fn annotations(mut self, yes: bool) -> Self {
        self.annotations = yes;
        self
    }

    /// Whether a [warning](crate::syntax::Warning) about a template, such as a CSRF token in a
    /// cached body, keeps the template from being loaded. Off by default: it is an event then.
    #[must_use]
    pub fn warnings_are_errors(mut self, yes: bool) -> Self {
        self.warnings_are_errors = yes;
        self
    }
}

/// How far a cache takes part, switchable while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum CacheMode {
    /// Reads and stores.
    #[default]
    Normal = 0,
    /// Serves what is stored, stores nothing new.
    ReadOnly = 1,
    /// Renders everything, reads and stores nothing.
    Bypass = 2,
}

impl CacheMode {
    pub(crate) fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::ReadOnly,
            2 => Self::Bypass,
            _ => Self::Normal,
        }
    }

    /// The mode as one word, for configs and tools: `normal`, `read-only` or `bypass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ReadOnly => "read-only",
            Self::Bypass => "bypass",
        }
    }

    /// The mode that [`as_str`](Self::as_str) calls so.
    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        [Self::Normal, Self::ReadOnly, Self::Bypass]
            .into_iter()
            .find(|mode| mode.as_str().as_bytes() == word)
    }
}
