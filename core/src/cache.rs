//! The front door: a handle to one cache, and what Rust code does with it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::ageing::Ageing;
use crate::batch::{Act, InvalidationBatch};
use crate::builder::Builder;
use crate::clock::{Clock, Moment};
use crate::entry::{Body, Origin, Origins};
use crate::error::Error;
use crate::flight::Flights;
use crate::fragment::Fragment;
use crate::fresh::{Freshness, Label};
use crate::hash::{KeyHasher, Version};
use crate::key::{self, FragmentKey, KeyPart};
use crate::near::{Near, Probe, Variant};
use crate::observe::{Counters, Event, EventKind, Observer, Stats};
use crate::point::ReadPoint;
use crate::policy::{Mode, Policy};
use crate::protection::Protections;
use crate::render::{Opened, Request};
use crate::sync::{AtomicU8, Ordering};
use crate::tag;
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
pub struct FragmentCache {
    shared: Arc<Shared>,
    namespace: Option<Arc<Namespace>>,
}

/// The part of a cache that a handle is for.
#[derive(Debug)]
struct Namespace {
    /// What stands before the keys in it.
    prefix: Box<[u8]>,
    label: Label,
}

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
    ageing: Ageing,
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
        let near = store.then(|| {
            Near::new(
                builder.max_bytes,
                builder.max_entries,
                largest,
                hasher,
                builder.ageing.early_refresh,
            )
        });
        Self {
            shared: Arc::new(Shared {
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
                ageing: builder.ageing,
                protections: builder.protections,
            }),
            namespace: None,
        }
    }

    /// Deletes a fragment: every variant of the key, and every render of it under way.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete(&self, key: &FragmentKey) -> Result<Deletion, Error> {
        Ok(self.delete_encoded(&self.encoded(key)))
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
        let mut batch = self.batch();
        batch.delete_name(name);
        batch.apply()
    }

    /// Deletes every fragment whose cache block stands in the template called `template`.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete_template(&self, template: &str) -> Result<Deletion, Error> {
        let mut batch = self.batch();
        batch.delete_template(template);
        batch.apply()
    }

    /// Deletes every fragment that carries one of these tags, and every fragment around one. Costs
    /// the same however many there are.
    ///
    /// Tags are declared on the cache block (`tags=["post:7"]`), on a [`Fragment`], or inside the
    /// body by [`current::add_tags`](crate::current::add_tags).
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let post = Fragment::new(fragment_key!("post", 7)).tags(["post:7", "author:2"]);
    /// cache.render(&post, || "<h1>Hello</h1>")?;
    /// cache.invalidate_tags(["author:2"])?;
    /// assert!(!cache.contains(post.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tag`](crate::ErrorKind::Tag) for a tag that is empty or longer than
    /// [`MAX_TAG_BYTES`](crate::MAX_TAG_BYTES); nothing is invalidated then.
    pub fn invalidate_tags<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<Deletion, Error> {
        let mut batch = self.batch();
        batch.invalidate_tags(tags)?;
        batch.apply()
    }

    /// Deletes everything: of a [namespace](Self::namespace) all that is in it, else all there is,
    /// namespaces included.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn clear(&self) -> Result<Deletion, Error> {
        let mut batch = self.batch();
        batch.clear();
        batch.apply()
    }

    /// A batch of deletions and invalidations, to be applied together after the commit of a
    /// transaction; see [`InvalidationBatch`].
    pub fn batch(&self) -> InvalidationBatch {
        InvalidationBatch::new(self.clone(), self.shared.ageing.replica_lag)
    }

    /// The read point of data that is read from now on; see [`ReadPoint`].
    pub fn begin(&self) -> ReadPoint {
        self.shared.fresh.settle(self.moment());
        ReadPoint::new(self.shared.hasher.cache_number(), self.shared.fresh.now())
    }

    /// A part of this cache with keys, names, templates and tags of its own, and a
    /// [`clear`](Self::clear) of its own that costs the same however much is in it. Bounds,
    /// counters, mode and observer are shared. A namespace of a namespace is within it, and is
    /// cleared with it.
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
    /// ours.clear()?;
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
        let key = self.encoded(key);
        let probe = self.probe(&key);
        self.shared.near.as_ref()?.newest(probe, &self.shared.fresh, &|| self.recent())
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
        let request = self.request(fragment)?;
        let key = self.encoded(&fragment.key);
        let probe = self.probe(&key);
        let origin = self.shared.origins.rust();
        let variant =
            Variant { digest: origin.digest(), mode: origin.mode(), version: request.version };
        let missed = match self.quick_hit(probe, variant, &request, Body::to_shared) {
            Some(Ok(markup)) => return Ok(markup),
            missed => missed.and_then(Result::err),
        };
        let ticket = match self.open_slow(probe, origin, &request, missed, None, Body::to_shared) {
            Opened::Hit(markup) => return Ok(markup),
            Opened::Render(ticket) => ticket,
        };
        ticket.tag(&fragment.tags);
        match body() {
            Ok(markup) => {
                let markup: Arc<str> = markup.into();
                ticket.close(Body::Text(Arc::clone(&markup)));
                Ok(markup)
            }
            Err(error) => {
                drop(ticket);
                let stand_in = self.stand_in(probe, variant, &request);
                stand_in.map(|body| body.to_shared()).ok_or(error)
            }
        }
    }

    /// What a fragment asks for, checked.
    fn request(&self, fragment: &Fragment) -> Result<Request, Error> {
        let timeout = fragment.timeout;
        if let Timeout::After(life) = timeout {
            Timeout::positive(life)?;
        }
        tag::check_count(fragment.tags.len())?;
        for text in &fragment.tags {
            tag::check(text)?;
        }
        let version = fragment.version.as_ref();
        Ok(Request {
            timeout,
            unless: fragment.unless,
            refresh: fragment.refresh,
            scoped: true,
            version: version
                .map_or(Version::default(), |text| self.shared.hasher.version(text.as_bytes())),
            stale: fragment.stale,
        })
    }

    /// Counters since the cache was made, and its present size.
    pub fn stats(&self) -> Stats {
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

    /// How far the cache takes part now.
    pub fn mode(&self) -> Mode {
        Mode::from_u8(self.shared.mode.load(Ordering::Relaxed))
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
        self.shared.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Whether this is a handle to the same cache as `other`.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    fn probe<'k>(&self, key: &'k [u8]) -> Probe<'k> {
        Probe { hash: self.shared.hasher.key(key), key }
    }

    /// What stands before every key of this handle.
    pub(crate) fn prefix(&self) -> &[u8] {
        self.namespace.as_ref().map_or(&[], |namespace| &namespace.prefix)
    }

    /// A key's bytes in this handle's namespace.
    fn encoded<'k>(&self, key: &'k FragmentKey) -> Cow<'k, [u8]> {
        match self.prefix() {
            [] => Cow::Borrowed(key.as_bytes()),
            prefix => Cow::Owned([prefix, key.as_bytes()].concat()),
        }
    }

    pub(crate) fn key_label(&self, key: &FragmentKey) -> Label {
        Label::from_hash(self.shared.hasher.key(&self.encoded(key)))
    }

    /// The label of the name that a key begins with.
    pub(crate) fn name_label(&self, key: &FragmentKey) -> Option<Label> {
        key::name_bytes(&self.encoded(key)).map(|name| self.shared.hasher.name(name))
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

    /// The read point's number of this cache.
    pub(crate) fn number(&self) -> u64 {
        self.shared.hasher.cache_number()
    }

    pub(crate) fn delete_encoded(&self, key: &[u8]) -> Deletion {
        let probe = self.probe(key);
        let present = self.remove(probe);
        let again = self.again(self.shared.ageing.replica_lag);
        self.shared.fresh.invalidate(vec![Label::from_hash(probe.hash).into()], again);
        self.emit(EventKind::Deleted, Some(key), self.shared.origins.rust());
        if present { Deletion::Removed } else { Deletion::Absent }
    }

    /// Frees the room that a key's entries take; whether one of them could have been served.
    fn remove(&self, probe: Probe<'_>) -> bool {
        let near = self.shared.near.as_ref();
        near.is_some_and(|near| near.remove(probe, &self.shared.fresh, &|| self.recent()))
    }

    /// When an invalidation of now is to be repeated.
    fn again(&self, lag: Option<Duration>) -> Option<Moment> {
        lag.map(|lag| self.moment().saturating_after(lag))
    }

    pub(crate) fn apply(&self, batch: &InvalidationBatch) -> Deletion {
        let again = self.again(batch.replica_lag);
        let everything = batch.acts.iter().any(|act| matches!(act, Act::Clear));
        if everything && self.namespace.is_none() {
            self.shared.fresh.invalidate_all(again);
            if let Some(near) = &self.shared.near {
                near.clear();
            }
        } else {
            let marks = batch.acts.iter().filter_map(|act| act.mark(self)).collect();
            self.shared.fresh.invalidate(marks, again);
        }
        for act in &batch.acts {
            let rust = self.shared.origins.rust();
            match act {
                Act::Key(key) => {
                    let key = self.encoded(key);
                    self.remove(self.probe(&key));
                    self.emit(EventKind::Deleted, Some(&key), rust);
                }
                Act::Name(key) => self.emit(EventKind::Deleted, Some(&self.encoded(key)), rust),
                Act::Template(_) | Act::Clear => self.emit(EventKind::Deleted, None, rust),
                Act::Tag(tag) => self.emit_about(EventKind::Invalidated, None, rust, Some(tag)),
            }
        }
        Deletion::Invalidated
    }

    pub(crate) fn emit(&self, kind: EventKind, key: Option<&[u8]>, origin: &Origin) {
        self.emit_about(kind, key, origin, None);
    }

    /// As [`emit`](Self::emit), with the tag that it is about.
    pub(crate) fn emit_about(
        &self,
        kind: EventKind,
        key: Option<&[u8]>,
        origin: &Origin,
        tag: Option<&str>,
    ) {
        self.shared.counters.count(kind);
        if let Some(observer) = &self.shared.observer {
            Event::tell(&**observer, kind, key.unwrap_or(self.prefix()), origin, tag);
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::now(self.shared.clock.as_ref())
    }

    /// The present, perhaps a few milliseconds ago: for what is checked on every hit.
    pub(crate) fn recent(&self) -> Moment {
        Moment::recent(self.shared.clock.as_ref())
    }

    pub(crate) fn near(&self) -> Option<&Near> {
        self.shared.near.as_ref()
    }

    pub(crate) fn fresh(&self) -> &Freshness {
        &self.shared.fresh
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.shared.flights
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.shared.origins
    }

    pub(crate) fn hasher(&self) -> KeyHasher {
        self.shared.hasher
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn policy(&self) -> Policy {
        self.shared.policy
    }

    pub(crate) fn ageing(&self) -> &Ageing {
        &self.shared.ageing
    }

    pub(crate) fn default_life(&self) -> Option<Duration> {
        self.shared.default_life
    }

    pub(crate) fn has_observer(&self) -> bool {
        self.shared.observer.is_some()
    }

    pub(crate) fn protections(&self) -> Protections {
        self.shared.protections
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
