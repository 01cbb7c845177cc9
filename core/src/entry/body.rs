//! The bytes of an entry, in the form that is cheapest to use again.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Rendered markup in a value of the engine's own, so that a hit prints it without a copy.
///
/// An engine extension implements this for a wrapper around its string value and gets it back by
/// downcasting.
pub trait Markup: Any + Send + Sync {
    /// The markup as text.
    fn as_str(&self) -> &str;
}

/// What is stored and is no markup: a typed value, a response. No template is ever given one.
pub trait BinaryContent: Any + Send + Sync {
    /// The bytes as a store keeps them.
    fn as_bytes(&self) -> &[u8];
}

impl BinaryContent for Box<[u8]> {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

/// What an engine's value costs beside its text, with its allocation.
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
    /// No markup.
    BinaryContent(Arc<dyn BinaryContent>),
}

impl Body {
    /// A body held in an engine's value.
    pub fn from_markup(markup: impl Markup) -> Self {
        Self::Engine(Arc::new(markup))
    }

    /// A body that is no markup.
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

    /// The markup as text; nothing for what is no markup.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Engine(markup) => markup.as_str(),
            Self::BinaryContent(_) => "",
        }
    }

    /// The bytes as a store keeps them.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::BinaryContent(content) => content.as_bytes(),
            markup => markup.as_str().as_bytes(),
        }
    }

    /// Bytes of memory that the body takes, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Engine(markup) => ENGINE_VALUE + markup.as_str().len(),
            Self::BinaryContent(content) => ENGINE_VALUE + content.as_bytes().len(),
        }
    }

    /// The engine's value, if it is an `M`.
    pub fn downcast_ref<M: Markup>(&self) -> Option<&M> {
        match self {
            Self::Text(_) | Self::BinaryContent(_) => None,
            Self::Engine(markup) => (markup.as_ref() as &dyn Any).downcast_ref(),
        }
    }

    /// What is no markup, if it is an `O`.
    pub fn binary_ref<O: BinaryContent>(&self) -> Option<&O> {
        match self {
            Self::Text(_) | Self::Engine(_) => None,
            Self::BinaryContent(content) => (content.as_ref() as &dyn Any).downcast_ref(),
        }
    }

    /// The markup as shared text; copied if an engine's value holds it.
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
