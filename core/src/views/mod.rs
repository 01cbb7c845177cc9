//! Responses: what a layer of a web framework calls for a request whose answer may be kept. Which
//! requests and which answers those are, the layer decides; keys, freshness, single flight and stores
//! are the cache's.

mod collect_in;
mod open;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Act, InvalidationBatch};
use crate::cache::{FragmentCache, Invalidation};
use crate::entry::{Body, EntrySource, OutputMode};
use crate::events::{BypassReason, EventKind, RefusalReason};
use crate::freshness::Label;
use crate::key::{FragmentKey, KeyPart, VIEW};
use crate::near::{HashedKey, Variant};
use crate::render::{Lookup, Request};
use crate::timeout::Timeout;

pub use collect_in::{Collector, PendingCollection};
pub use open::{OpenView, ViewOpened};

/// The key of a response: the name of a view and a path, or what stands in its place. What else it
/// varies on follows by [`vary_on`](FragmentKey::vary_on).
///
/// ```
/// use fragcache::key::KeyKind;
/// use fragcache::engine;
///
/// let key = engine::view_key("film", "/film/7").vary_on("page=2");
/// assert_eq!((key.kind(), key.to_string().as_str()), (KeyKind::View, "film(/film/7, \"page=2\")"));
/// ```
pub fn view_key(name: &str, path: impl KeyPart) -> FragmentKey {
    FragmentKey::of_kind(VIEW, name).vary_on(path)
}

/// Tells of a request that bypasses a view: nothing is looked up for it, and nothing stored. `header` is
/// the name of the request's header that is why.
///
/// ```
/// use fragcache::events::BypassReason;
/// use fragcache::{FragmentCache, engine};
///
/// let cache = FragmentCache::builder().stats_by_name(100).build()?;
/// engine::bypass_view(&cache, "film", BypassReason::Private, Some("cookie"));
/// assert_eq!(cache.stats().bypasses, 1);
/// let account = &cache.stats_by_name().unwrap().names[0];
/// assert_eq!(account.bypasses, [(BypassReason::Private, 1)]);
/// # Ok::<(), fragcache::Error>(())
/// ```
pub fn bypass_view(cache: &FragmentCache, name: &str, reason: BypassReason, header: Option<&str>) {
    let key = cache.is_watched().then(|| FragmentKey::of_kind(VIEW, name));
    let key = key.as_ref().map(|key| cache.encoded(key));
    let source = cache.sources().rust();
    cache.emit_about(EventKind::Bypassed(reason), key.as_deref(), source, None, header);
}

/// Makes a body of the bytes that a store has; `None` if they are no response.
pub type MakeResponse = fn(Vec<u8>) -> Option<Body>;

/// A response that a layer asks a cache for.
#[derive(Debug)]
pub struct ViewRequest {
    cache: FragmentCache,
    key: Box<[u8]>,
    hash: u64,
    source: Arc<EntrySource>,
    request: Request,
    make: MakeResponse,
    /// The label of the key that deletes it too.
    under: Option<Label>,
}

impl ViewRequest {
    /// The response of this key, in a form (the layer's name and its format) that `make` reads.
    pub fn new(cache: &FragmentCache, key: &FragmentKey, form: &str, make: MakeResponse) -> Self {
        let key: Box<[u8]> = cache.encoded(key).as_ref().into();
        Self {
            cache: cache.clone(),
            hash: cache.hasher().key(&key),
            key,
            source: cache.sources().of_form(form, OutputMode::RESPONSE),
            request: Request::plain(),
            make,
            under: None,
        }
    }

    /// It is deleted with this key too, of which its own is a longer one.
    #[must_use]
    pub fn under(mut self, key: &FragmentKey) -> Self {
        self.under = Some(self.cache.key_label(key));
        self
    }

    /// Sets the timeout; the cache's default without. One of zero goes by the cache, and is counted.
    #[must_use]
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.request.timeout = timeout;
        self
    }

    /// How long after its end it may be served to all but one, and in place of an error; the cache's
    /// default if `None`.
    #[must_use]
    pub fn stale(mut self, window: Option<Duration>) -> Self {
        self.request.stale = window;
        self
    }

    /// If true, the cache is neither read nor written.
    #[must_use]
    pub fn unless(mut self, yes: bool) -> Self {
        self.request.unless = yes;
        self
    }

    /// If true, what comes of this request replaces what is kept.
    #[must_use]
    pub fn refresh(mut self, yes: bool) -> Self {
        self.request.refresh = yes;
        self
    }

    /// What is kept, in place of an error: within its stale window.
    pub fn stale_if_error(&self) -> Option<Body> {
        self.cache.stale_if_error(self.hashed(), self.variant(), &self.request)
    }

    /// The time since the beginning of 1970 by the cache's clock.
    pub fn unix_time(&self) -> Duration {
        self.cache.unix_time()
    }

    /// How long the response is kept by its timeout; `None` for ever.
    pub fn life(&self) -> Option<Duration> {
        self.cache.life(self.request.timeout)
    }

    /// Tells of a call that cannot be kept.
    fn refuse(&self, reason: RefusalReason) {
        self.cache.emit(EventKind::Refused(reason), Some(&self.key), &self.source);
        crate::current::veto();
    }

    fn hashed(&self) -> HashedKey<'_> {
        HashedKey { hash: self.hash, key: &self.key }
    }

    fn variant(&self) -> Variant<'_> {
        let (digest, mode) = (self.source.digest(), self.source.mode());
        Variant { digest, mode, version: self.request.version }
    }

    fn lookup(&self) -> Lookup<'_, MakeResponse> {
        let (hashed, source, request) = (self.hashed(), &self.source, &self.request);
        Lookup { hashed, source, request, body: &self.make, memo: None }
    }
}

impl InvalidationBatch {
    /// As [`FragmentCache::delete_view`], when the batch is applied.
    pub fn delete_view(&mut self, name: &str, path: impl KeyPart) -> &mut Self {
        self.acts.push(Act::Group(view_key(name, path)));
        self
    }

    /// As [`FragmentCache::delete_views`], when the batch is applied.
    pub fn delete_views(&mut self, name: &str) -> &mut Self {
        self.acts.push(Act::Name(FragmentKey::of_kind(VIEW, name)));
        self
    }
}

impl FragmentCache {
    /// Deletes the responses of a view for a path, or for what its key function puts in the place of
    /// the path: those of all hosts, query strings and headers. Costs the same however many there are.
    ///
    /// ```
    /// use fragcache::{Invalidation, FragmentCache};
    ///
    /// let cache = FragmentCache::in_memory();
    /// assert_eq!(cache.delete_view("film", "/film/7"), Invalidation::Invalidated);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: what the far store could not be told is [pending](Invalidation::Pending).
    pub fn delete_view(&self, name: &str, path: impl KeyPart) -> Invalidation {
        let mut batch = self.batch();
        batch.delete_view(name, path);
        batch.apply()
    }

    /// Deletes all responses of a view.
    ///
    /// ```
    /// use fragcache::{Invalidation, FragmentCache};
    ///
    /// let cache = FragmentCache::in_memory();
    /// assert_eq!(cache.delete_views("film"), Invalidation::Invalidated);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: what the far store could not be told is [pending](Invalidation::Pending).
    pub fn delete_views(&self, name: &str) -> Invalidation {
        let mut batch = self.batch();
        batch.delete_views(name);
        batch.apply()
    }
}
