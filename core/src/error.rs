//! The public error type: a kind, a message and, for templates, a location.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

pub use fragcache_syntax::Location;

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A template's source has a cache block that is refused, or that causes a warning under a
    /// policy that turns warnings into errors. Found when the template is loaded.
    Syntax,
    /// A timeout, a stale window or the argument of `cache_expire` is not a usable duration.
    Timeout,
    /// A name or vary part cannot be part of a key, or a version cannot be compared.
    Key,
    /// A tag is empty, too long or not text, or there are too many tags.
    Tag,
    /// The value of another option of a cache block is unusable.
    Option,
    /// The value of `using=` names no cache.
    Using,
    /// A setting of the cache, or of its attachment to an engine, is unusable.
    Config,
    /// An unnamed block ran twice in one render, under a policy that makes this an error.
    Repeated,
    /// A file could not be read or written.
    Io,
    /// The store behind the cache could not be queried.
    Store,
    /// A value cannot be serialized.
    Value,
}

/// A mistake in a template or a setting, or a failure of the cache.
///
/// `Display` prints one line in lower case: what is wrong, what to write instead, and the location
/// if there is one: `… (in page.html:12:4)`.
///
/// ```
/// use fragcache::syntax::{Syntax, rewrite};
/// use fragcache::{Error, ErrorKind};
///
/// let error: Error =
///     rewrite("page.html", "{% endcache %}", &Syntax::minijinja()).unwrap_err().into();
/// assert_eq!(error.kind(), ErrorKind::Syntax);
/// assert_eq!(error.location().unwrap().line, 1);
/// assert!(error.to_string().ends_with("(in page.html:1:1)"));
/// // What a program prints whose `main` returns it.
/// assert_eq!(format!("{error:?}"), error.to_string());
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    location: Option<Location>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error of `kind`. The message is one line in lower case without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), location: None, source: None }))
    }

    /// Adds the location that the error is about.
    #[must_use]
    pub fn at(mut self, template: &str, line: u32, column: u32) -> Self {
        self.0.location = Some(Location { template: template.into(), line, column });
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Puts `what` and a colon before the message, and keeps kind, location and cause.
    ///
    /// ```
    /// use fragcache::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Config, "max_entries is 0").at("cache.toml", 2, 1);
    /// let error = error.within("in the cache \"pages\"");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "in the cache \"pages\": max_entries is 0 (in cache.toml:2:1)"
    /// );
    /// ```
    #[must_use]
    pub fn within(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message without the location.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the location in the author's template, if there is one.
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }
}

/// Keeps kind, message, location and cause.
impl From<fragcache_syntax::Error> for Error {
    fn from(error: fragcache_syntax::Error) -> Self {
        use fragcache_syntax::ErrorKind as Kind;

        let parts = error.into_parts();
        let kind = match parts.kind {
            Kind::Timeout => ErrorKind::Timeout,
            Kind::Config => ErrorKind::Config,
            Kind::Io => ErrorKind::Io,
            // What else the rewriter refuses is in a template.
            _ => ErrorKind::Syntax,
        };
        let (message, location, source) = (parts.message, parts.location, parts.source);
        Self(Box::new(Inner { kind, message, location, source }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.location {
            Some(location) => write!(f, " (in {location})"),
            None => Ok(()),
        }
    }
}

/// Prints [`Display`](fmt::Display) and the chain of causes, as a program does whose `main` returns
/// the error. With `{:#?}`, prints the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.0.fmt(f);
        }
        write!(f, "{self}")?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}
