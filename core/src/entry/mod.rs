//! What the cache stores for one variant of a fragment, in either level.
//!
//! A body is the bytes of an entry, in the form that is cheapest to reuse. A source is the cache block
//! and the output mode, which identify the variant of a key; entries share their sources.

pub(crate) mod record;
mod version_vector;

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Moment;
use crate::freshness::{Dependencies, Sequence};
use crate::hash::{KeyHasher, Version};
use crate::label::Label;
use crate::stats::NameCounters;
use crate::sync::{Mutex, RwLock};
use fragcache_syntax::BlockId;

pub(crate) use record::LabelVersion;
pub(crate) use version_vector::{ReadOrder, VersionVector};

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

    #[inline]
    pub(crate) fn version(&self) -> Version {
        self.meta.as_ref().map_or(Version::default(), |meta| meta.version)
    }

    pub(crate) fn version_vector(&self) -> Option<&VersionVector> {
        self.meta.as_ref()?.version_vector.as_ref()
    }

    /// When it may no longer be served stale.
    #[inline]
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

/// A typed value that lies in memory as it is, and is shared by its readers. Its bytes are made when
/// a store, or a reader of another type, needs them.
#[derive(Clone)]
pub struct SharedValue(Arc<Shared>);

#[cfg_attr(not(feature = "values"), allow(dead_code, reason = "only values are shared"))]
struct Shared {
    value: Arc<dyn Any + Send + Sync>,
    /// How many bytes a store needs for it.
    stored_len: usize,
    encode: Encode,
}

/// Makes the bytes of a value; `None` if it is of another type or cannot be serialized.
pub(crate) type Encode = fn(&(dyn Any + Send + Sync)) -> Option<Vec<u8>>;

/// Bytes that an engine's value takes besides its text, with its allocation. Other content and
/// shared values take as many.
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
#[non_exhaustive]
pub enum Body {
    /// Plain shared text.
    Text(Arc<str>),
    /// A value of a template engine.
    Engine(Arc<dyn Markup>),
    /// Not markup.
    BinaryContent(Arc<dyn BinaryContent>),
    /// A typed value.
    Shared(SharedValue),
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
    /// assert_eq!((&*body.to_bytes(), body.as_str()), (&b"\xff"[..], ""));
    /// ```
    pub fn opaque(content: impl BinaryContent) -> Self {
        Self::BinaryContent(Arc::new(content))
    }

    /// Creates a body from a typed value, which takes `stored_len` bytes in a store.
    #[cfg(feature = "values")]
    pub(crate) fn shared<T: Any + Send + Sync>(
        value: Arc<T>,
        stored_len: usize,
        encode: Encode,
    ) -> Self {
        Self::Shared(SharedValue(Arc::new(Shared { value, stored_len, encode })))
    }

    /// Returns the typed value, if it is a `T`.
    #[cfg(feature = "values")]
    #[inline]
    pub(crate) fn to_value<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        match self {
            Self::Shared(SharedValue(shared)) if shared.value.is::<T>() => {
                Arc::clone(&shared.value).downcast().ok()
            }
            _ => None,
        }
    }

    /// Returns the typed value, if it is a `T`.
    #[cfg(feature = "values")]
    pub(crate) fn value_ref<T: Any>(&self) -> Option<&T> {
        match self {
            Self::Shared(SharedValue(shared)) => shared.value.downcast_ref(),
            _ => None,
        }
    }

    /// Whether this is the other body, and not one of the same bytes.
    #[cfg(feature = "values")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::BinaryContent(one), Self::BinaryContent(other)) => {
                std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
            }
            (Self::Shared(SharedValue(one)), Self::Shared(SharedValue(other))) => {
                Arc::ptr_eq(one, other)
            }
            _ => false,
        }
    }

    /// Returns the markup as text; empty for other content.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Engine(markup) => markup.as_str(),
            Self::BinaryContent(_) | Self::Shared(_) => "",
        }
    }

    /// The markup as shared text.
    #[inline]
    pub(crate) fn into_shared(self) -> Arc<str> {
        match self {
            Self::Text(text) => text,
            other => other.to_shared(),
        }
    }

    /// Returns the bytes as a store has them. A typed value is serialized for this.
    pub fn to_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            // It could be serialized when it was made. No bytes are no value of any type.
            Self::Shared(SharedValue(shared)) => {
                Cow::Owned((shared.encode)(&*shared.value).unwrap_or_default())
            }
            other => Cow::Borrowed(other.as_bytes().unwrap_or_default()),
        }
    }

    /// The bytes as a store has them; `None` for a typed value.
    #[inline]
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Engine(markup) => Some(markup.as_str().as_bytes()),
            Self::BinaryContent(content) => Some(content.as_bytes()),
            Self::Shared(_) => None,
        }
    }

    /// How many bytes a store has.
    pub(crate) fn stored_len(&self) -> usize {
        match self {
            Self::BinaryContent(content) => content.as_bytes().len(),
            Self::Shared(SharedValue(shared)) => shared.stored_len,
            markup => markup.as_str().len(),
        }
    }

    /// Approximate size of the body in memory, in bytes. A typed value counts by its bytes in a
    /// store, so that it weighs the same in either form.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            other => ENGINE_VALUE + other.stored_len(),
        }
    }

    /// Returns the engine's value, if it is an `M`.
    pub fn downcast_ref<M: Markup>(&self) -> Option<&M> {
        match self {
            Self::Text(_) | Self::BinaryContent(_) | Self::Shared(_) => None,
            Self::Engine(markup) => (markup.as_ref() as &dyn Any).downcast_ref(),
        }
    }

    /// Returns the content that is not markup, if it is an `O`.
    pub fn binary_ref<O: BinaryContent>(&self) -> Option<&O> {
        match self {
            Self::Text(_) | Self::Engine(_) | Self::Shared(_) => None,
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
        write!(f, "Body({} bytes)", self.stored_len())
    }
}

impl fmt::Debug for SharedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the value, which may be private.
        f.debug_struct("SharedValue")
            .field("stored_len", &self.0.stored_len)
            .finish_non_exhaustive()
    }
}

/// Makes a body of markup with `make`.
pub(crate) fn of_text(bytes: Vec<u8>, make: impl Fn(String) -> Body) -> Option<Body> {
    String::from_utf8(bytes).ok().map(make)
}

/// The escaping under which a body was rendered. Each mode is a separate variant of a key, so
/// markup from a `.txt` page never reaches an `.html` page unescaped.
///
/// ```
/// use fragcache::engine::OutputMode;
///
/// assert_ne!(OutputMode::HTML, OutputMode::RAW);
/// assert_eq!(OutputMode::custom("latex"), OutputMode::custom("latex"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputMode(u64);

impl OutputMode {
    /// No escaping.
    pub const RAW: Self = Self(0);
    /// HTML escaping, or that of an engine's only escape function.
    pub const HTML: Self = Self(1);
    /// JSON serialization of printed values.
    pub const JSON: Self = Self(2);

    /// Not markup: a typed value.
    pub(crate) const VALUE: Self = Self(3);

    /// Not markup: a response to a request.
    #[cfg(feature = "async")]
    pub(crate) const RESPONSE: Self = Self(4);

    /// Creates a custom mode with this name.
    pub fn custom(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()) & !ANNOTATED | CUSTOM)
    }

    /// The mode as a number that is the same in every process.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The same number, without the name of a custom mode.
    pub(crate) fn to_nameless_bits(self) -> u64 {
        if self.0 & CUSTOM == 0 { self.0 } else { self.0 & (CUSTOM | ANNOTATED) }
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The same mode, with comments around fragments.
    pub(crate) fn annotated(self) -> Self {
        Self(self.0 | ANNOTATED)
    }

    /// Whether bodies of this mode may contain such comments.
    pub(crate) fn is_annotated(self) -> bool {
        self.0 & ANNOTATED != 0
    }
}

/// Set in the modes of annotated bodies, and in no other.
const ANNOTATED: u64 = 1 << 62;

/// Set in custom modes.
const CUSTOM: u64 = 1 << 63;

/// The digest of fragments without a source. Not empty: an empty string has a dangling pointer, and
/// on some processors comparing zero bytes there costs more than the rest of a hit.
const RUST: &str = "rust";

/// The cache block that rendered an entry, and the mode it was rendered in.
#[derive(Debug)]
pub(crate) struct EntrySource {
    /// The block's source digest; [`RUST`] for fragments rendered from Rust.
    digest: Box<str>,
    mode: OutputMode,
    pub(crate) template: Option<Box<str>>,
    pub(crate) template_label: Option<Label>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// The statistics by name that count the hits of this source's entries, so that a hit needs no
    /// search. Only sources of entries have it.
    pub(crate) counters: Option<Arc<NameCounters>>,
}

impl EntrySource {
    /// The source of fragments that Rust code renders.
    fn rust(mode: OutputMode) -> Self {
        Self {
            digest: RUST.into(),
            mode,
            template: None,
            template_label: None,
            line: 0,
            column: 0,
            counters: None,
        }
    }

    /// Whether these are the same cache block in the same mode.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.same_variant(&other.digest, other.mode)
            && self.template == other.template
            && (self.line, self.column) == (other.line, other.column)
    }

    /// This source, for entries whose hits count in `row`.
    fn counted_in(&self, counters: Arc<NameCounters>) -> Self {
        Self {
            digest: self.digest.clone(),
            template: self.template.clone(),
            counters: Some(counters),
            ..*self
        }
    }

    #[inline]
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    #[inline]
    pub(crate) fn mode(&self) -> OutputMode {
        self.mode
    }

    /// The template and the line of the cache block, if there is one.
    pub(crate) fn place(&self) -> Option<(&str, u32)> {
        self.template.as_deref().map(|template| (template, self.line))
    }

    #[inline]
    pub(crate) fn same_variant(&self, digest: &str, mode: OutputMode) -> bool {
        self.mode == mode && *self.digest == *digest
    }
}

/// Most sources (block and mode) that are shared. Beyond that, each entry has its own.
const MAX_SHARED: usize = 65_536;

/// Most sources that the entries of a name share. Beyond it, each entry has its own.
const MAX_COUNTED: usize = 64;

/// An encoded block id and a mode.
type SourceId = (Box<str>, OutputMode);

/// The sources in use, by block and mode.
#[derive(Debug)]
pub(crate) struct EntrySources {
    shared: RwLock<HashMap<SourceId, Arc<EntrySource>>>,
    rust: Arc<EntrySource>,
    rust_annotated: Arc<EntrySource>,
    /// The sources whose hits count under a name, by the address of the name's counters.
    counted: Mutex<HashMap<usize, Vec<Weak<EntrySource>>>>,
}

impl Default for EntrySources {
    fn default() -> Self {
        Self {
            shared: RwLock::new(HashMap::new()),
            rust: Arc::new(EntrySource::rust(OutputMode::RAW)),
            rust_annotated: Arc::new(EntrySource::rust(OutputMode::RAW.annotated())),
            counted: Mutex::new(HashMap::new()),
        }
    }
}

impl EntrySources {
    pub(crate) fn rust(&self) -> &Arc<EntrySource> {
        &self.rust
    }

    /// As [`rust`](Self::rust), for bodies whose inner cache blocks may be annotated.
    pub(crate) fn rust_annotated(&self) -> &Arc<EntrySource> {
        &self.rust_annotated
    }

    /// The source of content other than markup, by a digest of its form.
    #[cfg(feature = "values")]
    pub(crate) fn of_form(&self, digest: &str, mode: OutputMode) -> Arc<EntrySource> {
        let id = (Box::from(digest), mode);
        if let Some(source) = self.shared.read().get(&id) {
            return Arc::clone(source);
        }
        let source = Arc::new(EntrySource { digest: digest.into(), ..EntrySource::rust(mode) });
        let mut shared = self.shared.write();
        if shared.len() < MAX_SHARED {
            return Arc::clone(shared.entry(id).or_insert(source));
        }
        source
    }

    /// The source of a block in a mode. `encoded` and `site` are its block id, encoded and parsed.
    pub(crate) fn get(
        &self,
        encoded: &str,
        site: &BlockId<'_>,
        mode: OutputMode,
        hasher: &KeyHasher,
    ) -> Arc<EntrySource> {
        let id = (Box::from(encoded), mode);
        if let Some(source) = self.shared.read().get(&id) {
            return Arc::clone(source);
        }
        let source = Arc::new(EntrySource {
            digest: site.digest().into(),
            mode,
            template: Some(site.template().into()),
            template_label: Some(hasher.template(site.template())),
            line: site.line(),
            column: site.column(),
            counters: None,
        });
        let mut shared = self.shared.write();
        if shared.len() < MAX_SHARED {
            return Arc::clone(shared.entry(id).or_insert(source));
        }
        source
    }

    /// Returns the shared copy of this source for entries whose hits count in `counters`.
    pub(crate) fn counted(
        &self,
        source: &EntrySource,
        counters: &Arc<NameCounters>,
    ) -> Arc<EntrySource> {
        let mut counted = self.counted.lock();
        // The registry never drops counters, so their address names them.
        let sources = counted.entry(Arc::as_ptr(counters).addr()).or_default();
        let found = sources.iter().filter_map(Weak::upgrade).find(|known| known.is_same(source));
        if let Some(found) = found {
            return found;
        }
        sources.retain(|known| known.strong_count() > 0);
        let counted = Arc::new(source.counted_in(Arc::clone(counters)));
        if sources.len() < MAX_COUNTED {
            sources.push(Arc::downgrade(&counted));
        }
        counted
    }
}
