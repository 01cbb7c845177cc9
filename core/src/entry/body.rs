//! The rendered bytes, in the form that is cheapest to print again.

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

/// What an engine's value costs beside its text, with its allocation.
const ENGINE_VALUE: usize = 48;

/// The body of a stored fragment. A clone shares the bytes.
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
}

impl Body {
    /// A body held in an engine's value.
    pub fn from_markup(markup: impl Markup) -> Self {
        Self::Engine(Arc::new(markup))
    }

    /// The markup as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Engine(markup) => markup.as_str(),
        }
    }

    /// Bytes of memory that the body takes, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Engine(markup) => ENGINE_VALUE + markup.as_str().len(),
        }
    }

    /// The engine's value, if it is an `M`.
    pub fn downcast_ref<M: Markup>(&self) -> Option<&M> {
        match self {
            Self::Text(_) => None,
            Self::Engine(markup) => (markup.as_ref() as &dyn Any).downcast_ref(),
        }
    }

    /// The markup as shared text; copied if an engine's value holds it.
    pub fn to_shared(&self) -> Arc<str> {
        match self {
            Self::Text(text) => Arc::clone(text),
            Self::Engine(markup) => markup.as_str().into(),
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
        write!(f, "Body({} bytes)", self.as_str().len())
    }
}
