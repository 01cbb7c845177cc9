//! What the cache stores for one variant of a fragment, in either level.

pub(crate) mod record;
mod source;
mod version_vector;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::freshness::{Dependencies, Sequence};
use crate::hash::Version;

pub(crate) use record::LabelVersion;
pub use source::OutputMode;
pub(crate) use source::{EntrySource, EntrySources};
pub(crate) use version_vector::VersionVector;

/// The bytes of an encoded key. Up to 16 of them need no allocation of their own.
pub(crate) type KeyBytes = smallvec::SmallVec<[u8; 16]>;

/// A rendered fragment and the conditions for serving it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) body: Body,
    pub(crate) source: Arc<EntrySource>,
    /// The earliest point at which the data in the body may have been read.
    pub(crate) read: Sequence,
    pub(crate) expires: Moment,
    pub(crate) meta: Option<Arc<EntryMeta>>,
}

/// Bytes that the allocations of an entry's meta and dependencies take besides their content.
const META_OVERHEAD: usize = 56;

/// The fields that only some entries need.
#[derive(Debug)]
pub(crate) struct EntryMeta {
    /// Tags, and the labels of the fragments inside.
    pub(crate) dependencies: Option<Dependencies>,
    /// The value of `version=`; zero without the option.
    pub(crate) version: Version,
    /// Until when it may be served stale.
    pub(crate) last: Moment,
    /// How long rendering took, if early refreshes need it; else zero.
    pub(crate) render_time: Duration,
    /// When its render began, which may be after its read point. An entry does not replace one
    /// whose render began later.
    pub(crate) began: Sequence,
    /// What the far level knows of it, if there is one.
    pub(crate) version_vector: Option<VersionVector>,
}

impl EntryMeta {
    /// The meta, if an entry with this read point that expires at `expires` needs one.
    pub(crate) fn if_needed(self, read: Sequence, expires: Moment) -> Option<Arc<Self>> {
        let plain = self.dependencies.is_none()
            && self.version == Version::default()
            && self.last <= expires
            && self.began == read
            && self.render_time.is_zero()
            && self.version_vector.is_none();
        (!plain).then(|| Arc::new(self))
    }
}

impl Entry {
    pub(crate) fn dependencies(&self) -> Option<&Dependencies> {
        self.meta.as_ref()?.dependencies.as_ref()
    }

    pub(crate) fn version(&self) -> Version {
        self.meta.as_ref().map_or(Version::default(), |meta| meta.version)
    }

    pub(crate) fn version_vector(&self) -> Option<&VersionVector> {
        self.meta.as_ref()?.version_vector.as_ref()
    }

    /// When it may no longer be served stale.
    pub(crate) fn last(&self) -> Moment {
        self.meta.as_ref().map_or(self.expires, |meta| meta.last.max(self.expires))
    }

    /// When its render began.
    pub(crate) fn began(&self) -> Sequence {
        self.meta.as_ref().map_or(self.read, |meta| meta.began)
    }

    /// Bytes that its meta takes.
    pub(crate) fn meta_bytes(&self) -> usize {
        let Some(meta) = &self.meta else { return 0 };
        META_OVERHEAD
            + size_of::<EntryMeta>()
            + meta.dependencies.as_ref().map_or(0, Dependencies::bytes)
            + meta.version_vector.as_ref().map_or(0, VersionVector::bytes)
    }
}

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

    /// The markup as shared text.
    pub(crate) fn into_shared(self) -> Arc<str> {
        match self {
            Self::Text(text) => text,
            other => other.to_shared(),
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
