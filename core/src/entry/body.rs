//! The bytes of an entry, in the form that is cheapest to reuse.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Rendered markup in an engine's own value, so that a hit prints it without a copy.
///
/// An engine extension implements this for a wrapper around its string value, and gets it back by
/// downcasting.
pub trait Markup: Any + Send + Sync {
    /// Returns the markup as text.
    fn as_str(&self) -> &str;
}

/// Stored content other than markup: a typed value or a response. Never passed to a template.
pub trait BinaryContent: Any + Send + Sync {
    /// Returns the bytes as a store has them.
    fn as_bytes(&self) -> &[u8];
}

impl BinaryContent for Box<[u8]> {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

/// Bytes that an engine's value takes besides its text, with its allocation.
const ENGINE_VALUE: usize = 48;

/// The body of an entry. A clone shares the bytes.
///
/// ```
/// use fragcache::engine::Body;
///
/// let body = Body::from("<b>hi</b>");
/// assert_eq!(body.as_str(), "<b>hi</b>");
/// ```
#[derive(Clone)]
pub enum Body {
    /// Plain shared text.
    Text(Arc<str>),
    /// A value of a template engine.
    Engine(Arc<dyn Markup>),
    /// Not markup.
    BinaryContent(Arc<dyn BinaryContent>),
}

impl Body {
    /// Creates a body from an engine's value.
    pub fn from_markup(markup: impl Markup) -> Self {
        Self::Engine(Arc::new(markup))
    }

    /// Creates a body that is not markup.
    ///
    /// ```
    /// use fragcache::engine::Body;
    ///
    /// let body = Body::opaque(Box::<[u8]>::from(&b"\xff"[..]));
    /// assert_eq!((body.as_bytes(), body.as_str()), (&b"\xff"[..], ""));
    /// ```
    pub fn opaque(content: impl BinaryContent) -> Self {
        Self::BinaryContent(Arc::new(content))
    }

    /// Returns the markup as text; empty for other content.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Engine(markup) => markup.as_str(),
            Self::BinaryContent(_) => "",
        }
    }

    /// Returns the bytes as a store has them.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::BinaryContent(content) => content.as_bytes(),
            markup => markup.as_str().as_bytes(),
        }
    }

    /// Approximate size of the body in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Engine(markup) => ENGINE_VALUE + markup.as_str().len(),
            Self::BinaryContent(content) => ENGINE_VALUE + content.as_bytes().len(),
        }
    }

    /// Returns the engine's value, if it is an `M`.
    pub fn downcast_ref<M: Markup>(&self) -> Option<&M> {
        match self {
            Self::Text(_) | Self::BinaryContent(_) => None,
            Self::Engine(markup) => (markup.as_ref() as &dyn Any).downcast_ref(),
        }
    }

    /// Returns the content that is not markup, if it is an `O`.
    pub fn binary_ref<O: BinaryContent>(&self) -> Option<&O> {
        match self {
            Self::Text(_) | Self::Engine(_) => None,
            Self::BinaryContent(content) => (content.as_ref() as &dyn Any).downcast_ref(),
        }
    }

    /// Returns the markup as shared text. Copies it if it is in an engine's value.
    pub fn to_shared(&self) -> Arc<str> {
        match self {
            Self::Text(text) => Arc::clone(text),
            markup => markup.as_str().into(),
        }
    }
}

impl<T: Into<Arc<str>>> From<T> for Body {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.as_bytes().len())
    }
}

/// Makes a body of markup with `make`.
pub(crate) fn of_text(bytes: Vec<u8>, make: impl Fn(String) -> Body) -> Option<Body> {
    String::from_utf8(bytes).ok().map(make)
}
