//! One cache and its parts, for the rooms that look up, render and store; its statistics and modes.
//! `invalidate` deletes, `batch` collects deletions.

mod batch;
mod invalidate;
mod settings;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fragcache_syntax::Warning;

use crate::ageing::Ageing;
use crate::clock::{Clock, Moment};
use crate::entry::{Body, EntrySource, EntrySources, of_text};
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventKind, Observer};
use crate::far::{Far, Unavailable, Worker, WorkerHost};
use crate::flight::Flights;
use crate::freshness::Freshness;
use crate::hash::{HashedKey, KeyHasher};
use crate::key::{self, FragmentKey, KeyKind};
use crate::label::Label;
use crate::near::{Evicted, Limits, Near, Trust};
use crate::opaque::KeyDigest;
use crate::policy::{CacheMode, Policy};
use crate::protection::Protections;
use crate::read_point::{ReadPoint, ReadPosition};
#[cfg(feature = "metrics")]
use crate::stats;
use crate::stats::{Counters, Health, Stats, StatsByName, StatsRegistry};
use crate::store::Fault;
use crate::sync::{AtomicU8, Ordering};
use crate::timeout::Timeout;

pub(crate) use batch::Act;
#[cfg(feature = "values")]
pub use batch::CallSelector;
pub use batch::InvalidationBatch;
pub use invalidate::Invalidation;
pub(crate) use settings::Settings;

/// A handle to one cache and one of its namespaces, for the rooms below
/// [`FragmentCache`](crate::FragmentCache). A clone is another handle to the same cache.
#[derive(Clone)]
pub(crate) struct Handle {
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

impl Handle {
    /// Starts the cache's background worker, if it has a store.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if no thread can be started.
    pub(crate) fn start(settings: Settings) -> Result<Self, Error> {
        let cache = Self::new(settings);
        if let Some(far) = &cache.shared.far {
            Worker::start(Arc::downgrade(&cache.shared), Arc::clone(&far.tasks))?;
        }
        Ok(cache)
    }

    /// Builds a cache without a worker.
    pub(crate) fn new(settings: Settings) -> Self {
        let store = !settings.is_null;
        let hasher = match &settings.far {
            Some(_) => KeyHasher::of_fleet(),
            None => KeyHasher::random(),
        };
        let hasher = hasher.opaque(settings.opaque_keys.as_ref());
        let key_digest = settings.opaque_keys.as_ref().and_then(KeyDigest::new);
        let largest = settings.max_entry_bytes.unwrap_or((1 << 20).min(settings.max_bytes / 4 + 1));
        let limits = Limits {
            bytes: settings.max_bytes,
            entries: settings.max_entries,
            entry_bytes: largest,
        };
        let trust = match &settings.far {
            None => Trust::Always,
            Some(level) => level.near_ttl.map_or(Trust::HoldsNothing, Trust::For),
        };
        let mut ageing = settings.ageing;
        if settings.far.is_some() {
            ageing.jitter.get_or_insert(SHARED_JITTER);
        }
        let near = store.then(|| Near::new(limits, hasher, settings.ageing.early_refresh, trust));
        let far = settings.far.filter(|_| store);
        let far = far.map(|level| {
            let clock = Arc::clone(&settings.clock);
            Far::new(level, hasher, key_digest, clock, largest, settings.protections)
        });
        let stats_registry =
            settings.stats_by_name.map(|names| StatsRegistry::new(names, hasher, &*settings.clock));
        Self {
            shared: Arc::new(Shared {
                far,
                near,
                fresh: Freshness::new(settings.max_labels, settings.protections),
                flights: Flights::new(settings.wait_limit, settings.protections),
                sources: EntrySources::default(),
                hasher,
                clock: settings.clock,
                observers: settings.observers.into(),
                counters: Counters::default(),
                stats_registry,
                mode: AtomicU8::new(CacheMode::Normal as u8),
                annotates: AtomicU8::new(0),
                policy: settings.policy,
                default_ttl: settings.default_ttl,
                ageing,
                protections: settings.protections,
            }),
            namespace: None,
        }
    }

    /// Returns the read point of data that is read from now on, for all namespaces of this cache;
    /// see [`ReadPoint`]. With a far store this takes at most one round trip per 100 ms, plus one
    /// after an invalidation by this process.
    pub(crate) fn read_point(&self) -> ReadPoint {
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
    #[must_use]
    pub(crate) fn namespace(&self, name: &str) -> Self {
        let mut prefix = self.prefix().to_vec();
        key::push_namespace(&mut prefix, name);
        let label = self.shared.hasher.namespace(&prefix);
        let namespace = Namespace { prefix: prefix.into(), label };
        Self { shared: Arc::clone(&self.shared), namespace: Some(Arc::new(namespace)) }
    }

    /// Whether this is a handle to the same cache as `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    #[inline]
    pub(crate) fn hashed<'k>(&self, key: &'k [u8]) -> HashedKey<'k> {
        HashedKey { hash: self.shared.hasher.key(key), key }
    }

    /// The prefix of every key of this handle.
    #[inline]
    pub(crate) fn prefix(&self) -> &[u8] {
        self.namespace.as_ref().map_or(&[], |namespace| &namespace.prefix)
    }

    /// A handle to the whole cache.
    pub(crate) fn root(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), namespace: None }
    }

    /// A key's bytes in this handle's namespace.
    #[inline]
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

    /// Reports an eviction to the observers and the counters.
    pub(crate) fn report_eviction(&self, evicted: &Evicted) {
        self.emit(EventKind::Evicted(evicted.cause), Some(&evicted.key), &evicted.entry.source);
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
            stats_registry.note(kind, key.unwrap_or_default(), source.place(), self.recent());
        }
        if !self.shared.observers.is_empty() {
            let key = key.unwrap_or(self.prefix());
            let Shared { observers, hasher, .. } = &*self.shared;
            Event::notify(observers, hasher, kind, key, source.place(), tag, header);
        }
    }

    pub(crate) fn newest(&self, key: &FragmentKey) -> Result<Option<Body>, Error> {
        let is_markup = key.kind() == KeyKind::Fragment;
        let body = |bytes: Vec<u8>| match is_markup {
            true => of_text(bytes, Body::from),
            false => Some(Body::opaque(bytes.into_boxed_slice())),
        };
        let key = self.encoded(key);
        let hashed = self.hashed(&key);
        let Some(near) = self.near() else { return Ok(None) };
        let annotated = self.annotates();
        let found = near.newest(hashed, self.fresh(), &|| self.recent(), annotated);
        match (found, self.far()) {
            (None, Some(far)) => {
                let newest = far.newest(&key, annotated);
                newest
                    .map(|bytes| bytes.and_then(body))
                    .map_err(|unavailable| self.unavailable(unavailable))
            }
            (found, _) => Ok(found),
        }
    }

    /// The error of a call that needs the store.
    pub(crate) fn unavailable(&self, unavailable: Unavailable) -> Error {
        self.note_fault(&unavailable);
        let error = Error::new(
            ErrorKind::Store,
            match &unavailable.0 {
                Some(error) => format!("the store did not answer: {error}"),
                None => "the store is unavailable after an outage; it is retried soon".to_owned(),
            },
        );
        match unavailable.0 {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    }

    /// The error of a value whose write the store has not confirmed.
    #[cfg(feature = "values")]
    pub(crate) fn unconfirmed(&self) -> Error {
        let message = "the store has not confirmed the value; whether it is stored is not known";
        match self.far().and_then(Far::last_fault) {
            Some(cause) => {
                Error::new(ErrorKind::Store, format!("{message}: {cause}")).with_source(cause)
            }
            None => Error::new(ErrorKind::Store, message),
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
        let registry = self.shared.stats_registry.as_ref();
        match registry.and_then(|registry| registry.counters(key, source.place())) {
            Some(counters) => self.shared.sources.counted(source, &counters),
            None => Arc::clone(source),
        }
    }

    /// Counts a hit in the statistics by name, for an entry that has no counters of its own.
    #[inline]
    pub(crate) fn note_quick_hit(&self, key: &[u8]) {
        if let Some(stats_registry) = &self.shared.stats_registry {
            stats_registry.note(EventKind::Hit, key, None, self.recent());
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::now(self.shared.clock.as_ref())
    }

    /// The current moment, or one a few milliseconds ago. For checks on every hit.
    #[inline]
    pub(crate) fn recent(&self) -> Moment {
        Moment::recent(self.shared.clock.as_ref())
    }

    #[cfg(feature = "async")]
    pub(crate) fn unix_time(&self) -> Duration {
        self.shared.clock.unix_time()
    }

    #[inline]
    pub(crate) fn near(&self) -> Option<&Near> {
        self.shared.near.as_ref()
    }

    #[inline]
    pub(crate) fn far(&self) -> Option<&Far> {
        self.shared.far.as_ref()
    }

    #[inline]
    pub(crate) fn fresh(&self) -> &Freshness {
        &self.shared.fresh
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.shared.flights
    }

    #[inline]
    pub(crate) fn sources(&self) -> &EntrySources {
        &self.shared.sources
    }

    #[inline]
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

    /// The TTL of an entry with this timeout; `None` for no end.
    pub(crate) fn ttl(&self, timeout: Timeout) -> Option<Duration> {
        match timeout {
            Timeout::Default | Timeout::Delete => self.shared.default_ttl,
            Timeout::Never => None,
            Timeout::After(ttl) => Some(ttl),
        }
    }

    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        !self.shared.observers.is_empty()
    }

    pub(crate) fn protections(&self) -> Protections {
        self.shared.protections
    }

    /// Whether the mode allows lookups.
    #[inline]
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
        let cache = Handle { shared: Arc::clone(self), namespace: None };
        cache.emit(EventKind::Fault(fault), None, self.sources.rust());
    }
}

// Frames and flights that user code leaves half done when it panics abandon themselves.
impl std::panic::UnwindSafe for Handle {}
impl std::panic::RefUnwindSafe for Handle {}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("mode", &self.mode())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Returns the counters since the cache was created, and its current size.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.shared.counters.snapshot();
        if let Some(near) = &self.shared.near {
            let totals = near.totals();
            stats.hits = totals.hits;
            stats.entries = totals.entries;
            stats.bytes = totals.bytes;
        }
        stats.flights = self.shared.flights.len() as u64;
        stats
    }

    /// Returns what happened under each name, in all namespaces. `None` for a cache that was built
    /// without [statistics by name](crate::CacheBuilder::stats_by_name).
    pub(crate) fn stats_by_name(&self) -> Option<StatsByName> {
        self.shared
            .stats_registry
            .as_ref()
            .map(|stats_registry: &StatsRegistry| stats_registry.read(self.moment()))
    }

    /// The largest body that is stored, in bytes, as set by
    /// [`max_entry_bytes`](crate::CacheBuilder::max_entry_bytes). `None` for a cache that stores
    /// nothing.
    pub(crate) fn max_entry_bytes(&self) -> Option<usize> {
        self.near().map(Near::max_entry_bytes)
    }

    /// Whether this cache has [opaque keys](crate::CacheBuilder::opaque_keys).
    pub(crate) fn has_opaque_keys(&self) -> bool {
        self.shared.hasher.is_opaque()
    }

    /// A key of this handle's namespace in the form that events, pages and listings of this cache
    /// use: as it is, or [redacted](FragmentKey::is_redacted) where keys are
    /// [opaque](crate::CacheBuilder::opaque_keys). Use it to find a known key in a log.
    pub(crate) fn shown_key(&self, key: &FragmentKey) -> FragmentKey {
        self.shared.hasher.shown(&self.encoded(key))
    }

    /// The current mode: the one that was [set](Self::set_mode), or the one that the far store sets
    /// for all processes, whichever is more restrictive.
    #[inline]
    pub(crate) fn mode(&self) -> CacheMode {
        let own = CacheMode::from_u8(self.shared.mode.load(Ordering::Relaxed));
        self.shared.far.as_ref().map_or(own, |far| far.mode().max(own))
    }

    /// The health of the store behind the cache, as this process sees it. Makes no round trip.
    pub(crate) fn health(&self) -> Health {
        self.shared.far.as_ref().map_or_else(Health::default, Far::health)
    }

    /// Sets gauges of the current `metrics` recorder, all with the label `cache`, whose value is `name`. Call it when metrics are scraped, or
    /// from time to time.
    #[cfg(feature = "metrics")]
    pub(crate) fn record_metrics(&self, name: &str) {
        stats::metrics::record(name, &self.stats(), self.health());
    }

    /// Writes a record to the store, reads it back and deletes it. For a program that would rather
    /// fail at startup than run with a wrong password and render everything. Blocks for as long as
    /// the store's own timeout. Succeeds on a cache without a store.
    pub(crate) fn check_store(&self) -> Result<(), Error> {
        let far = self.shared.far.as_ref();
        far.map_or(Ok(()), Far::probe).map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Sets the mode for all handles, from the next block on. Invalidations take effect in every
    /// mode.
    pub(crate) fn set_mode(&self, mode: CacheMode) {
        self.shared.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Switches HTML comments around fragments on or off, for all handles. They show what each
    /// fragment is, whether it was a hit, and if not, why. Use it in development, or for a short
    /// time in production.
    pub(crate) fn annotate(&self, yes: bool) -> Result<(), Error> {
        if yes && !cfg!(debug_assertions) && !self.shared.policy.annotations {
            return Err(Error::new(
                ErrorKind::Config,
                "annotations show keys and tags to every reader of the page; allow them with \
                 Policy::default().annotations(true), or use a build with debug assertions",
            ));
        }
        self.shared.annotates.store(u8::from(yes), Ordering::Relaxed);
        Ok(())
    }

    /// Whether pages are annotated now.
    #[inline]
    pub(crate) fn annotates(&self) -> bool {
        self.shared.annotates.load(Ordering::Relaxed) != 0
    }

    /// Reports the warnings of a [rewrite](crate::syntax::rewrite): to the observers, to the
    /// counters, and as an error if the [policy](crate::Policy::warnings_are_errors) says so. The
    /// engine extensions call this whenever a template is loaded.
    pub(crate) fn report_warnings(&self, warnings: &[Warning]) -> Result<(), Error> {
        for warning in warnings {
            self.warn(Some((warning.template(), warning.line())), warning.message());
        }
        match warnings.first() {
            Some(first) if self.shared.policy.warnings_are_errors => Err(Error::new(
                ErrorKind::Syntax,
                first.message(),
            )
            .at(first.template(), first.line(), first.column())),
            _ => Ok(()),
        }
    }
}
