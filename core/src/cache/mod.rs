//! The front door: a handle to one cache. `serve` renders and reads, `invalidate` deletes, `watch`
//! reports statistics and switches modes.

mod invalidate;
mod serve;
mod watch;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::ageing::Ageing;
use crate::builder::CacheBuilder;
use crate::clock::{Clock, Moment};
use crate::entry::{EntrySource, EntrySources};
use crate::error::Error;
use crate::events::{Event, EventKind, Observer};
use crate::far::{Far, Unavailable, Worker, WorkerHost};
use crate::flight::Flights;
use crate::freshness::{Freshness, Label};
use crate::hash::KeyHasher;
use crate::key::{self, FragmentKey};
use crate::near::{HashedKey, Limits, Near, Trust};
use crate::opaque::KeyDigest;
use crate::policy::{CacheMode, Policy};
use crate::protection::Protections;
use crate::read_point::{ReadPoint, ReadPosition};
use crate::stats::{Counters, StatsRegistry};
use crate::store::Fault;
use crate::sync::AtomicU8;

pub use invalidate::Invalidation;

/// A cache of rendered fragments. A clone is another handle to the same cache.
///
/// Give it to an engine extension for the `{% cache %}` tag, and keep a clone to delete fragments:
///
/// ```
/// use fragcache::{Fragment, FragmentCache, fragment_key};
///
/// let cache = FragmentCache::in_memory();
/// let key = fragment_key!("greeting", "en");
/// let fragment = Fragment::new(key.clone());
///
/// let html = cache.render(&fragment, || "<p>Hello</p>")?;
/// assert_eq!(&*html, "<p>Hello</p>");
/// assert!(cache.contains(&key)?);
///
/// cache.delete(&key).eventually();
/// assert!(!cache.contains(&key)?);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone)]
pub struct FragmentCache {
    shared: Arc<Shared>,
    namespace: Option<Arc<Namespace>>,
}

/// Default TTL jitter when a far store is configured: up to 10 %.
const SHARED_JITTER: f64 = 0.1;

/// The part of a cache that a handle covers.
#[derive(Debug)]
struct Namespace {
    /// The prefix of every key in it.
    prefix: Box<[u8]>,
    label: Label,
}

struct Shared {
    far: Option<Far>,
    near: Option<Near>,
    fresh: Freshness,
    flights: Flights,
    sources: EntrySources,
    hasher: KeyHasher,
    clock: Arc<dyn Clock>,
    observers: Box<[Arc<dyn Observer>]>,
    counters: Counters,
    /// Statistics by name, if they are enabled.
    stats_registry: Option<StatsRegistry>,
    mode: AtomicU8,
    /// 1 while pages are annotated.
    annotates: AtomicU8,
    policy: Policy,
    default_ttl: Option<Duration>,
    ageing: Ageing,
    protections: Protections,
}

impl FragmentCache {
    /// Creates a cache in this process with the default settings: 300 s, 64 MiB.
    ///
    /// ```
    /// let cache = fragcache::FragmentCache::in_memory();
    /// assert_eq!(cache.stats().hits, 0);
    /// ```
    pub fn in_memory() -> Self {
        Self::assemble(CacheBuilder::default())
    }

    /// Creates a cache that stores nothing: every body is rendered, every deletion finds nothing.
    /// Arguments are still checked.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::disabled();
    /// let fragment = Fragment::new(fragment_key!("row", 1));
    /// cache.render(&fragment, || "once")?;
    /// assert_eq!(&*cache.render(&fragment, || "twice")?, "twice");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn disabled() -> Self {
        Self::assemble(CacheBuilder { is_null: true, ..CacheBuilder::default() })
    }

    /// Returns a builder, to create a cache with other settings.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    pub(crate) fn from_builder(builder: CacheBuilder) -> Result<Self, Error> {
        let cache = Self::assemble(builder);
        if let Some(far) = &cache.shared.far {
            Worker::start(Arc::downgrade(&cache.shared), Arc::clone(&far.tasks))?;
        }
        Ok(cache)
    }

    fn assemble(builder: CacheBuilder) -> Self {
        let store = !builder.is_null;
        let hasher = match &builder.far {
            Some(_) => KeyHasher::of_fleet(),
            None => KeyHasher::random(),
        };
        let hasher = hasher.opaque(builder.opaque_keys.as_ref());
        let key_digest = builder.opaque_keys.as_ref().and_then(KeyDigest::new);
        let largest = builder.max_entry_bytes.unwrap_or((1 << 20).min(builder.max_bytes / 4 + 1));
        let limits =
            Limits { bytes: builder.max_bytes, entries: builder.max_entries, entry_bytes: largest };
        let trust = match &builder.far {
            None => Trust::Always,
            Some(level) => level.near_ttl.map_or(Trust::HoldsNothing, Trust::For),
        };
        let mut ageing = builder.ageing;
        if builder.far.is_some() {
            ageing.jitter.get_or_insert(SHARED_JITTER);
        }
        let near = store.then(|| Near::new(limits, hasher, builder.ageing.early_refresh, trust));
        let far = builder.far.filter(|_| store);
        let far = far.map(|level| {
            let clock = Arc::clone(&builder.clock);
            Far::new(level, hasher, key_digest, clock, largest, builder.protections)
        });
        let stats_registry =
            builder.stats_by_name.map(|names| StatsRegistry::new(names, hasher, &*builder.clock));
        Self {
            shared: Arc::new(Shared {
                far,
                near,
                fresh: Freshness::new(builder.max_labels, builder.protections),
                flights: Flights::new(builder.wait_limit, builder.protections),
                sources: EntrySources::default(),
                hasher,
                clock: builder.clock,
                observers: builder.observers.into(),
                counters: Counters::default(),
                stats_registry,
                mode: AtomicU8::new(CacheMode::Normal as u8),
                annotates: AtomicU8::new(0),
                policy: builder.policy,
                default_ttl: builder.default_ttl,
                ageing,
                protections: builder.protections,
            }),
            namespace: None,
        }
    }

    /// Returns the read point of data that is read from now on, for all namespaces of this cache;
    /// see [`ReadPoint`]. With a far store this takes at most one round trip per 100 ms, plus one
    /// after an invalidation by this process.
    pub fn read_point(&self) -> ReadPoint {
        self.shared.fresh.settle(self.moment());
        let near = self.shared.fresh.now();
        let fences = self.shared.far.as_ref().and_then(|far| far.snapshot().ok());
        let far = fences.map_or(0, |fences| fences.number);
        ReadPoint::new(self.shared.hasher.cache_number(), ReadPosition { near, far })
    }

    /// Returns a handle to a namespace of this cache. A namespace has its own keys, names,
    /// templates and tags, and its own [`clear`](Self::clear), whose cost does not depend on its
    /// size. Bounds, counters, mode and observers are shared. Namespaces nest, and are cleared with
    /// the one that contains them.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let (ours, theirs) = (cache.namespace("tenant:7"), cache.namespace("tenant:8"));
    /// let menu = Fragment::new(fragment_key!("menu"));
    /// ours.render(&menu, || "ours")?;
    /// assert_eq!(&*theirs.render(&menu, || "theirs")?, "theirs");
    ///
    /// ours.clear().eventually();
    /// assert!(!ours.contains(menu.key())?);
    /// assert!(theirs.contains(menu.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    #[must_use]
    pub fn namespace(&self, name: &str) -> Self {
        let mut prefix = self.prefix().to_vec();
        key::push_namespace(&mut prefix, name);
        let label = self.shared.hasher.namespace(&prefix);
        let namespace = Namespace { prefix: prefix.into(), label };
        Self { shared: Arc::clone(&self.shared), namespace: Some(Arc::new(namespace)) }
    }

    /// Whether this is a handle to the same cache as `other`.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn hashed<'k>(&self, key: &'k [u8]) -> HashedKey<'k> {
        HashedKey { hash: self.shared.hasher.key(key), key }
    }

    /// The prefix of every key of this handle.
    pub(crate) fn prefix(&self) -> &[u8] {
        self.namespace.as_ref().map_or(&[], |namespace| &namespace.prefix)
    }

    /// A handle to the whole cache.
    pub(crate) fn root(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), namespace: None }
    }

    /// A key's bytes in this handle's namespace.
    pub(crate) fn encoded<'k>(&self, key: &'k FragmentKey) -> Cow<'k, [u8]> {
        match self.prefix() {
            [] => Cow::Borrowed(key.as_bytes()),
            prefix => Cow::Owned([prefix, key.as_bytes()].concat()),
        }
    }

    /// The label of a key. A redacted key has the label of the key it stands for, namespace
    /// included.
    pub(crate) fn key_label(&self, key: &FragmentKey) -> Label {
        key.label().unwrap_or_else(|| self.shared.hasher.key_label(&self.encoded(key)))
    }

    /// The label of the name that a key begins with.
    pub(crate) fn name_label(&self, key: &FragmentKey) -> Option<Label> {
        key::name_bytes(&self.encoded(key)).map(|name| self.shared.hasher.name(name))
    }

    /// The label of the group that a key is in.
    #[cfg(feature = "values")]
    pub(crate) fn group_label(&self, key: &FragmentKey) -> Option<Label> {
        key::group_bytes(&self.encoded(key)).map(|group| self.shared.hasher.group(group))
    }

    pub(crate) fn template_label(&self, template: &str) -> Label {
        self.shared.hasher.template(template).within(self.namespace_label())
    }

    pub(crate) fn tag_label(&self, tag: &str) -> Label {
        self.shared.hasher.tag(tag).within(self.namespace_label())
    }

    pub(crate) fn namespace_label(&self) -> Option<Label> {
        self.namespace.as_ref().map(|namespace| namespace.label)
    }

    /// The number of this cache in read points.
    pub(crate) fn number(&self) -> u64 {
        self.shared.hasher.cache_number()
    }

    pub(crate) fn emit(&self, kind: EventKind, key: Option<&[u8]>, source: &EntrySource) {
        self.emit_about(kind, key, source, None, None);
    }

    /// Emits a fault of the store; nothing if the store is only paused after one.
    pub(crate) fn note_fault(&self, unavailable: &Unavailable) {
        if let Some(error) = &unavailable.0 {
            self.emit(EventKind::Fault(error.fault()), None, self.shared.sources.rust());
        }
    }

    /// As [`emit`](Self::emit), with the tag or the header that the event is about.
    pub(crate) fn emit_about(
        &self,
        kind: EventKind,
        key: Option<&[u8]>,
        source: &EntrySource,
        tag: Option<&str>,
        header: Option<&str>,
    ) {
        self.shared.counters.count(kind);
        if let Some(stats_registry) = &self.shared.stats_registry {
            stats_registry.note(kind, key.unwrap_or_default(), Some(source), self.recent());
        }
        if !self.shared.observers.is_empty() {
            let key = key.unwrap_or(self.prefix());
            let Shared { observers, hasher, .. } = &*self.shared;
            Event::notify(observers, hasher, kind, key, source, tag, header);
        }
    }

    /// Whether anything uses the keys of events.
    #[cfg(feature = "async")]
    pub(crate) fn is_watched(&self) -> bool {
        self.shared.stats_registry.is_some() || self.is_observed()
    }

    /// Emits a warning about a line of a template, or about a memoized function.
    pub(crate) fn warn(&self, place: Option<(&str, u32)>, warning: &str) {
        self.shared.counters.count(EventKind::Warned);
        Event::warn(&self.shared.observers, place, warning);
    }

    /// The source for an entry of this key. If statistics by name are enabled and have room, it
    /// refers to the counters for the entry's hits.
    pub(crate) fn counted(&self, key: &[u8], source: &Arc<EntrySource>) -> Arc<EntrySource> {
        let counted = self
            .shared
            .stats_registry
            .as_ref()
            .and_then(|stats_registry| stats_registry.counted(key, source));
        counted.unwrap_or_else(|| Arc::clone(source))
    }

    /// Counts a hit in the statistics by name, for an entry that has no counters of its own.
    pub(crate) fn note_quick_hit(&self, key: &[u8]) {
        if let Some(stats_registry) = &self.shared.stats_registry {
            stats_registry.note(EventKind::Hit, key, None, self.recent());
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::now(self.shared.clock.as_ref())
    }

    /// The current moment, or one a few milliseconds ago. For checks on every hit.
    pub(crate) fn recent(&self) -> Moment {
        Moment::recent(self.shared.clock.as_ref())
    }

    #[cfg(feature = "async")]
    pub(crate) fn unix_time(&self) -> Duration {
        self.shared.clock.unix_time()
    }

    pub(crate) fn near(&self) -> Option<&Near> {
        self.shared.near.as_ref()
    }

    pub(crate) fn far(&self) -> Option<&Far> {
        self.shared.far.as_ref()
    }

    pub(crate) fn fresh(&self) -> &Freshness {
        &self.shared.fresh
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.shared.flights
    }

    pub(crate) fn sources(&self) -> &EntrySources {
        &self.shared.sources
    }

    pub(crate) fn hasher(&self) -> &KeyHasher {
        &self.shared.hasher
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn stats_registry(&self) -> Option<&StatsRegistry> {
        self.shared.stats_registry.as_ref()
    }

    pub(crate) fn policy(&self) -> Policy {
        self.shared.policy
    }

    pub(crate) fn ageing(&self) -> &Ageing {
        &self.shared.ageing
    }

    pub(crate) fn default_ttl(&self) -> Option<Duration> {
        self.shared.default_ttl
    }

    pub(crate) fn is_observed(&self) -> bool {
        !self.shared.observers.is_empty()
    }

    pub(crate) fn protections(&self) -> Protections {
        self.shared.protections
    }

    /// Whether the mode allows lookups.
    pub(crate) fn reads(&self) -> bool {
        self.mode() != CacheMode::Bypass
    }
}

impl WorkerHost for Shared {
    fn far(&self) -> Option<&Far> {
        self.far.as_ref()
    }

    fn fresh(&self) -> &Freshness {
        &self.fresh
    }

    fn note(self: &Arc<Self>, fault: Fault) {
        let cache = FragmentCache { shared: Arc::clone(self), namespace: None };
        cache.emit(EventKind::Fault(fault), None, self.sources.rust());
    }
}

// Frames and flights that user code leaves half done when it panics abandon themselves.
impl std::panic::UnwindSafe for FragmentCache {}
impl std::panic::RefUnwindSafe for FragmentCache {}

impl fmt::Debug for FragmentCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FragmentCache")
            .field("mode", &self.mode())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
