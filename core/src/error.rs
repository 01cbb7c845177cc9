//! The one public error type. What went wrong is a kind; where, a location; why, the message.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What sort of mistake or fault an [`Error`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A cache block in a template's source is refused, or warned of under a policy that makes it an
    /// error (found when the template loads).
    Syntax,
    /// A timeout, a stale window, or what `cache_expire` is given is not a usable duration.
    Timeout,
    /// A name or vary part cannot be part of a key, or a version cannot be compared.
    Key,
    /// A tag is empty, too long, or not a text; or there are too many.
    Tag,
    /// What a block's `using=` says names no cache.
    Using,
    /// A setting of the cache, or of how it was attached to an engine, is unusable.
    Config,
    /// An unnamed block was opened twice in one render, under a policy that makes it an error.
    Repeated,
    /// A file could not be read or written.
    Io,
    /// The store behind the cache could not be asked.
    Store,
    /// A value cannot be serialized.
    Value,
}

/// A place in an author's template: one-based line and column (in characters).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The template's name.
    pub template: Arc<str>,
    /// One-based line.
    pub line: u32,
    /// One-based column, counted in characters; 0 when only the line is known.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever the name holds.
        for c in self.template.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        write!(f, ":{}", self.line)?;
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// A mistake in a template or a setting, or a fault of the cache.
///
/// `Display` is one line in lower case that says what is wrong and what to write instead, and
/// ends with the place where there is one: `… (in page.html:12:4)`.
///
/// ```
/// use fragcache::syntax::{Syntax, rewrite};
///
/// let error = rewrite("page.html", "{% endcache %}", &Syntax::minijinja()).unwrap_err();
/// assert_eq!(error.kind(), fragcache::ErrorKind::Syntax);
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
    /// An error of `kind`, with a message in lower case, one line, no full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), location: None, source: None }))
    }

    /// The same error with the place it is about.
    #[must_use]
    pub fn at(mut self, template: &str, line: u32, column: u32) -> Self {
        self.0.location = Some(Location { template: template.into(), line, column });
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same error with the words about what it is, before its own.
    #[cfg_attr(not(feature = "config"), allow(dead_code, reason = "only a config has parts"))]
    #[must_use]
    pub(crate) fn within(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// What sort of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The place in the author's template, where there is one.
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
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

/// What [`Display`](fmt::Display) prints, and the errors that it comes from: what `main` prints that
/// returns one. With `{:#?}`, the fields.
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
