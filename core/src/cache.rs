//! The front door: a handle to one cache, and what Rust code does with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::builder::Builder;
use crate::clock::{Clock, Moment};
use crate::entry::{Body, Origin, Origins};
use crate::error::Error;
use crate::flight::Flights;
use crate::fragment::Fragment;
use crate::fresh::{Freshness, Label};
use crate::hash::KeyHasher;
use crate::key::{FragmentKey, KeyPart, name_bytes};
use crate::near::{Near, Probe};
use crate::observe::{Counters, Event, EventKind, Observer, Stats};
use crate::policy::{Mode, Policy};
use crate::protection::Protections;
use crate::render::{Opened, Request};
use crate::sync::{AtomicU8, Ordering};
use crate::timeout::Timeout;

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
/// cache.delete(&key)?;
/// assert!(!cache.contains(&key)?);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone)]
pub struct FragmentCache(Arc<Shared>);

struct Shared {
    near: Option<Near>,
    fresh: Freshness,
    flights: Flights,
    origins: Origins,
    hasher: KeyHasher,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    counters: Counters,
    mode: AtomicU8,
    policy: Policy,
    default_life: Option<Duration>,
    protections: Protections,
}

/// What a deletion did.
///
/// Whichever it is, no read that starts after the call returned gets output of a render that
/// began before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deletion {
    /// An entry that could have been served is gone.
    Removed,
    /// Nothing servable was stored; a render under way is fenced all the same.
    Absent,
    /// Everything under a name or template, or everything, is fenced; the entries leave when they
    /// are next asked for, or by size.
    Invalidated,
}

impl FragmentCache {
    /// A cache in this process with the default settings: 300 s, 64 MiB.
    ///
    /// ```
    /// let cache = fragcache::FragmentCache::in_memory();
    /// assert_eq!(cache.stats().hits, 0);
    /// ```
    pub fn in_memory() -> Self {
        Self::from_builder(Builder::default())
    }

    /// A cache that stores nothing: every body is rendered, every deletion finds nothing.
    /// Arguments are checked as ever.
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
        Self::assemble(Builder::default(), false)
    }

    /// Settings for a cache.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_builder(builder: Builder) -> Self {
        Self::assemble(builder, true)
    }

    fn assemble(builder: Builder, store: bool) -> Self {
        let hasher = KeyHasher::random();
        let largest = builder.max_entry_bytes.unwrap_or((1 << 20).min(builder.max_bytes / 4 + 1));
        let near =
            store.then(|| Near::new(builder.max_bytes, builder.max_entries, largest, hasher));
        Self(Arc::new(Shared {
            near,
            fresh: Freshness::new(builder.max_labels, builder.protections),
            flights: Flights::new(builder.wait_limit, builder.protections),
            origins: Origins::default(),
            hasher,
            clock: builder.clock,
            observer: builder.observer,
            counters: Counters::default(),
            mode: AtomicU8::new(Mode::Normal as u8),
            policy: builder.policy,
            default_life: builder.default_life,
            protections: builder.protections,
        }))
    }

    /// Deletes a fragment: every variant of the key, and every render of it under way.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete(&self, key: &FragmentKey) -> Result<Deletion, Error> {
        Ok(self.delete_encoded(key.as_bytes()))
    }

    /// Deletes several fragments, and reports for each in the order given.
    ///
    /// ```
    /// use fragcache::{Deletion, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let done = cache.delete_many([&fragment_key!("row", 1), &fragment_key!("row", 2)])?;
    /// assert_eq!(done, [Deletion::Absent, Deletion::Absent]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k FragmentKey>,
    ) -> Result<Vec<Deletion>, Error> {
        keys.into_iter().map(|key| self.delete(key)).collect()
    }

    /// Deletes every fragment called `name`, whatever it varies on. Costs the same however many
    /// there are.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.render(&Fragment::new(fragment_key!("row", 1)), || "one")?;
    /// cache.delete_name("row")?;
    /// assert!(!cache.contains(&fragment_key!("row", 1))?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete_name(&self, name: impl KeyPart) -> Result<Deletion, Error> {
        let key = FragmentKey::new(name);
        let labels = name_bytes(key.as_bytes()).map(|name| self.0.hasher.name(name));
        self.0.fresh.invalidate(labels);
        self.emit(EventKind::Deleted, Some(key.as_bytes()), self.0.origins.rust());
        Ok(Deletion::Invalidated)
    }

    /// Deletes every fragment whose cache block stands in the template called `template`.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete_template(&self, template: &str) -> Result<Deletion, Error> {
        self.0.fresh.invalidate([self.0.hasher.template(template)]);
        self.emit(EventKind::Deleted, None, self.0.origins.rust());
        Ok(Deletion::Invalidated)
    }

    /// Deletes everything.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn clear(&self) -> Result<Deletion, Error> {
        self.0.fresh.invalidate_all();
        if let Some(near) = &self.0.near {
            near.clear();
        }
        self.emit(EventKind::Deleted, None, self.0.origins.rust());
        Ok(Deletion::Invalidated)
    }

    /// Whether an entry of this key could be served, in some variant.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn contains(&self, key: &FragmentKey) -> Result<bool, Error> {
        Ok(self.newest(key).is_some())
    }

    /// The newest stored markup of this key, of whatever variant, if it could be served.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let key = fragment_key!("row", 1);
    /// assert_eq!(cache.get(&key)?, None);
    /// cache.render(&Fragment::new(key.clone()), || "<td>1</td>")?;
    /// assert_eq!(cache.get(&key)?.as_deref(), Some("<td>1</td>"));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn get(&self, key: &FragmentKey) -> Result<Option<Arc<str>>, Error> {
        Ok(self.newest(key).map(|body| body.to_shared()))
    }

    fn newest(&self, key: &FragmentKey) -> Option<Body> {
        let probe = self.probe(key.as_bytes());
        self.0.near.as_ref()?.newest(probe, &self.0.fresh, &|| self.recent())
    }

    /// Serves a fragment that Rust code renders: the stored markup, or `body`'s, which is stored.
    ///
    /// Single flight, freshness and nesting are those of the tag: cache blocks rendered by `body`
    /// are inside this fragment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) for a timeout of zero or past the end of the clock.
    pub fn render<T: Into<Arc<str>>>(
        &self,
        fragment: &Fragment,
        body: impl FnOnce() -> T,
    ) -> Result<Arc<str>, Error> {
        self.try_render(fragment, || Ok::<_, Error>(body()))
    }

    /// As [`render`](Self::render), for a body that can fail. Its error passes through untouched,
    /// and nothing is stored.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let fragment = Fragment::new(fragment_key!("row", 1));
    /// let failed: Result<_, Box<dyn std::error::Error>> =
    ///     cache.try_render(&fragment, || Err::<String, _>("no database".into()));
    /// assert_eq!(failed.unwrap_err().to_string(), "no database");
    /// assert!(!cache.contains(fragment.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The body's, and those of [`render`](Self::render).
    pub fn try_render<T: Into<Arc<str>>, E: From<Error>>(
        &self,
        fragment: &Fragment,
        body: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<str>, E> {
        let timeout = fragment.timeout;
        if let Timeout::After(life) = timeout {
            Timeout::positive(life)?;
        }
        let request =
            Request { timeout, unless: fragment.unless, refresh: fragment.refresh, scoped: true };
        let probe = self.probe(fragment.key.as_bytes());
        let origin = self.0.origins.rust();
        let variant = (origin.digest(), origin.mode());
        let missed = match self.quick_hit(probe, variant, request, Body::to_shared) {
            Some(Ok(markup)) => return Ok(markup),
            missed => missed.and_then(Result::err),
        };
        match self.open_slow(probe, origin, request, missed, Body::to_shared) {
            Opened::Hit(markup) => Ok(markup),
            Opened::Render(ticket) => {
                let markup: Arc<str> = body()?.into();
                ticket.close(Body::Text(Arc::clone(&markup)));
                Ok(markup)
            }
        }
    }

    /// Counters since the cache was made, and its present size.
    pub fn stats(&self) -> Stats {
        let mut stats = self.0.counters.snapshot();
        if let Some(near) = &self.0.near {
            let totals = near.totals();
            stats.hits = totals.hits;
            stats.entries = totals.entries;
            stats.bytes = totals.bytes;
        }
        stats.flights = self.0.flights.len() as u64;
        stats
    }

    /// How far the cache takes part now.
    pub fn mode(&self) -> Mode {
        Mode::from_u8(self.0.mode.load(Ordering::Relaxed))
    }

    /// Switches how far the cache takes part, for all handles, from the next block on.
    /// Invalidations count in every mode.
    ///
    /// ```
    /// use fragcache::{FragmentCache, Mode};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.set_mode(Mode::Bypass);
    /// assert_eq!(cache.clone().mode(), Mode::Bypass);
    /// ```
    pub fn set_mode(&self, mode: Mode) {
        self.0.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Whether this is a handle to the same cache as `other`.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn probe<'k>(&self, key: &'k [u8]) -> Probe<'k> {
        Probe { hash: self.0.hasher.key(key), key }
    }

    pub(crate) fn delete_encoded(&self, key: &[u8]) -> Deletion {
        let probe = self.probe(key);
        let near = self.0.near.as_ref();
        let present = near.is_some_and(|near| near.remove(probe, &self.0.fresh, &|| self.recent()));
        self.0.fresh.invalidate([Label::from_hash(probe.hash)]);
        self.emit(EventKind::Deleted, Some(key), self.0.origins.rust());
        if present { Deletion::Removed } else { Deletion::Absent }
    }

    pub(crate) fn emit(&self, kind: EventKind, key: Option<&[u8]>, origin: &Origin) {
        self.0.counters.count(kind);
        if let Some(observer) = &self.0.observer {
            let key = key.filter(|key| !key.is_empty()).map(FragmentKey::from_encoded);
            observer.on_event(&Event {
                kind,
                key: key.as_ref(),
                template: origin.template.as_deref(),
                line: origin.line,
            });
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::now(self.0.clock.as_ref())
    }

    /// The present, perhaps a few milliseconds ago: for what is checked on every hit.
    pub(crate) fn recent(&self) -> Moment {
        Moment::recent(self.0.clock.as_ref())
    }

    pub(crate) fn near(&self) -> Option<&Near> {
        self.0.near.as_ref()
    }

    pub(crate) fn fresh(&self) -> &Freshness {
        &self.0.fresh
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.0.flights
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.0.origins
    }

    pub(crate) fn hasher(&self) -> KeyHasher {
        self.0.hasher
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn policy(&self) -> Policy {
        self.0.policy
    }

    pub(crate) fn default_life(&self) -> Option<Duration> {
        self.0.default_life
    }

    pub(crate) fn has_observer(&self) -> bool {
        self.0.observer.is_some()
    }

    pub(crate) fn protections(&self) -> Protections {
        self.0.protections
    }

    /// Whether lookups are made at all.
    pub(crate) fn reads(&self) -> bool {
        self.mode() != Mode::Bypass
    }
}

impl fmt::Debug for FragmentCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FragmentCache")
            .field("mode", &self.mode())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
