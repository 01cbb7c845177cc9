//! Cached responses, for the layer of a web framework. The layer decides which requests and
//! responses can be cached; keys, freshness, single flight and stores are those of the cache.

mod collect_in;
mod open;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;

use std::time::Duration;

use crate::cache::FragmentCache;
use crate::entry::{Body, OutputMode};
use crate::events::{BypassReason, EventKind, RefusalReason};
use crate::hash::Version;
use crate::key::{FragmentKey, VIEW};
use crate::label::Label;
use crate::lookup::OwnedRequest;
use crate::options::Options;
use crate::render::{current, stale_if_error};
use crate::timeout::Timeout;

pub use collect_in::{Collector, PendingCollection};
pub use open::{OpenView, ViewOpened};

/// Reports a request that bypasses a view: nothing is looked up or stored for it. `header` names
/// the request header that is the reason.
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
    let key = cache.handle.is_watched().then(|| FragmentKey::of_kind(VIEW, name));
    let key = key.as_ref().map(|key| cache.handle.encoded(key));
    let source = cache.handle.sources().rust();
    cache.handle.emit_about(EventKind::Bypassed(reason), key.as_deref(), source, None, header);
}

/// Makes a body of a store's bytes; `None` if they are not a response.
pub type MakeResponse = fn(Vec<u8>) -> Option<Body>;

/// The lookup of a response by a layer.
#[derive(Debug)]
pub struct ViewRequest {
    cache: FragmentCache,
    owned: OwnedRequest,
    make: MakeResponse,
    /// The label of a second key that also deletes the response.
    under: Option<Label>,
}

impl ViewRequest {
    /// Looks up the response with this key, in a form (the layer's name and its format) that `make`
    /// reads.
    pub fn new(cache: &FragmentCache, key: &FragmentKey, form: &str, make: MakeResponse) -> Self {
        let key: Box<[u8]> = cache.handle.encoded(key).as_ref().into();
        let owned = OwnedRequest {
            hash: cache.handle.hasher().key(&key),
            key,
            source: cache.handle.sources().of_form(form, OutputMode::RESPONSE),
            version: Version::default(),
            options: Options::default(),
        };
        Self { cache: cache.clone(), owned, make, under: None }
    }

    /// Also deletes the response when `key` is deleted. Its own key must extend `key`.
    #[must_use]
    pub fn under(mut self, key: &FragmentKey) -> Self {
        self.under = Some(self.cache.handle.key_label(key));
        self
    }

    /// Sets the timeout; the default is the cache's. A timeout of zero bypasses the cache, and is
    /// counted.
    #[must_use]
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.owned.options.timeout = timeout;
        self
    }

    /// Sets for how long after its expiry the response may be served stale: to all callers but the
    /// one that refreshes it, and in place of an error. `None` is the cache's default.
    #[must_use]
    pub fn stale(mut self, window: Option<Duration>) -> Self {
        self.owned.options.stale = window;
        self
    }

    /// If true, the cache is neither read nor written.
    #[must_use]
    pub fn unless(mut self, yes: bool) -> Self {
        self.owned.options.unless = yes;
        self
    }

    /// If true, the new response replaces the stored one.
    #[must_use]
    pub fn refresh(mut self, yes: bool) -> Self {
        self.owned.options.refresh = yes;
        self
    }

    /// Returns the stored response in place of an error, within its stale window.
    pub fn stale_if_error(&self) -> Option<Body> {
        stale_if_error(&self.cache.handle, &self.owned.request())
    }

    /// Returns the time since the Unix epoch by the cache's clock.
    pub fn unix_time(&self) -> Duration {
        self.cache.handle.unix_time()
    }

    /// Returns the TTL that the timeout gives the response; `None` for no end.
    pub fn ttl(&self) -> Option<Duration> {
        self.cache.handle.ttl(self.owned.options.timeout)
    }

    /// Reports a response that cannot be stored.
    fn refuse(&self, reason: RefusalReason) {
        self.cache.handle.emit(
            EventKind::Refused(reason),
            Some(&self.owned.key),
            &self.owned.source,
        );
        current::veto();
    }
}
