//! The error of the rewriter: a kind, a message and, for templates, a location.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A template's source has a cache block that is refused.
    Syntax,
    /// A timeout is not a usable duration.
    Timeout,
    /// The delimiters or the folders given to the rewriter are unusable.
    Config,
    /// A file could not be read or written.
    Io,
}

/// A location in an author's template.
///
/// ```
/// use fragcache_syntax::Location;
///
/// let location = Location { template: "page.html".into(), line: 12, column: 4 };
/// assert_eq!(location.to_string(), "page.html:12:4");
/// ```
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
        // Keeps the location on one line for any name.
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

/// A mistake in a template, a timeout or the rewriter's settings.
///
/// `Display` prints one line in lower case: what is wrong, what to write instead, and the location
/// if there is one: `… (in page.html:12:4)`.
///
/// ```
/// use fragcache_syntax::{ErrorKind, Syntax, rewrite};
///
/// let error = rewrite("page.html", "{% endcache %}", &Syntax::minijinja()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Syntax);
/// assert_eq!(error.location().unwrap().line, 1);
/// assert!(error.to_string().ends_with("(in page.html:1:1)"));
/// // What a build script prints whose `main` returns it.
/// assert_eq!(format!("{error:?}"), error.to_string());
/// ```
#[derive(Clone)]
pub struct Error(Box<ErrorParts>);

/// The parts of an [`Error`], for errors that are made from one.
///
/// ```
/// use fragcache_syntax::Timeout;
///
/// let parts = Timeout::parse("0").unwrap_err().into_parts();
/// assert!(parts.message.starts_with("timeout is 0"));
/// assert!(parts.location.is_none() && parts.source.is_none());
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ErrorParts {
    /// The kind.
    pub kind: ErrorKind,
    /// The message without the location.
    pub message: String,
    /// The location in the author's template.
    pub location: Option<Location>,
    /// The cause.
    pub source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(ErrorParts { kind, message, location: None, source: None }))
    }

    pub(crate) fn at(mut self, template: &str, line: u32, column: u32) -> Self {
        self.0.location = Some(Location { template: template.into(), line, column });
        self
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Returns the kind of the error.
    ///
    /// ```
    /// use fragcache_syntax::{ErrorKind, Timeout};
    ///
    /// assert_eq!(Timeout::parse("soon").unwrap_err().kind(), ErrorKind::Timeout);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message without the location.
    ///
    /// ```
    /// use fragcache_syntax::{Syntax, rewrite};
    ///
    /// let error = rewrite("page.html", "{% cache 300 %}", &Syntax::tera()).unwrap_err();
    /// assert!(error.message().starts_with("this cache block is never closed"));
    /// assert!(!error.message().contains("page.html"));
    /// ```
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the location in the author's template, if there is one.
    ///
    /// ```
    /// use fragcache_syntax::{Syntax, rewrite};
    ///
    /// let error = rewrite("page.html", "\n {% cache 300 %}", &Syntax::tera()).unwrap_err();
    /// let location = error.location().unwrap();
    /// assert_eq!((location.line, location.column), (2, 2));
    /// ```
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }

    /// Takes the error apart, to make another error of it.
    ///
    /// An example is at [`ErrorParts`].
    pub fn into_parts(self) -> ErrorParts {
        *self.0
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
