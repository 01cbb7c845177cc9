//! What a handler renders on threads that do not poll it: the response depends on it just the same.

use std::fmt;
use std::sync::{Arc, Weak};

use super::ViewRequest;
use crate::cache::FragmentCache;
use crate::read_point::ReadPoint;
use crate::render::{Collected, Lookup, collect_in};
use crate::sync::Mutex;

/// Gathers what is rendered on other threads for one response.
#[derive(Clone)]
pub struct Collector {
    point: ReadPoint,
    shared: Arc<Shared>,
}

struct Shared {
    call: ViewRequest,
    collected: Weak<Mutex<Contents>>,
}

/// What was gathered. Once this is gone nothing is, so that a gatherer that outlives its response, in
/// the body of an endless one, say, does not grow.
#[derive(Debug, Default)]
pub(super) struct CollectedSet(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    collected: Vec<Collected>,
    /// Whether scopes are expected, and whether one has begun.
    is_expected: bool,
    has_scopes: bool,
    /// Scopes that have begun and not ended.
    open: usize,
}

impl CollectedSet {
    /// Takes what was gathered; with whether that is all that was rendered elsewhere, as far as can be
    /// known.
    pub(super) fn take(&self) -> (Vec<Collected>, bool) {
        let mut contents = self.0.lock();
        let is_all = contents.open == 0 && (contents.has_scopes || !contents.is_expected);
        (std::mem::take(&mut contents.collected), is_all)
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let collected = self.shared.collected.upgrade().map_or(0, |all| all.lock().collected.len());
        let mut shown = f.debug_struct("Gatherer");
        shown.field("point", &self.point).field("gathered", &collected).finish_non_exhaustive()
    }
}

impl Collector {
    pub(super) fn new(call: &ViewRequest, point: ReadPoint, collected: &CollectedSet) -> Self {
        let call = ViewRequest {
            cache: call.cache.clone(),
            key: call.key.clone(),
            hash: call.hash,
            source: Arc::clone(&call.source),
            request: call.request,
            make: call.make,
            under: None,
        };
        let collected = Arc::downgrade(&collected.0);
        Self { point, shared: Arc::new(Shared { call, collected }) }
    }

    /// The read point of the request.
    pub fn read_point(&self) -> ReadPoint {
        self.point
    }

    /// The cache.
    pub fn cache(&self) -> &FragmentCache {
        &self.shared.call.cache
    }

    /// Says that something will be rendered elsewhere. If no scope is opened before the response is
    /// closed, whoever rendered has forgotten it: nobody knows what the response depends on, and it is
    /// not kept.
    pub fn expect(&self) {
        self.edit(|contents| contents.is_expected = true);
    }

    /// Begins a scope, to be run on whatever thread. The response is kept only if the scope has ended
    /// before the response is closed.
    pub fn begin(&self) -> PendingCollection {
        self.edit(|contents| {
            contents.has_scopes = true;
            contents.open += 1;
        });
        PendingCollection { collector: self.clone() }
    }

    /// Renders under the read point. What is rendered is inside the response, which is kept only if
    /// this comes to its end before it is closed.
    pub fn scope<R>(&self, render: impl FnOnce() -> R) -> R {
        self.begin().run(render)
    }

    fn edit(&self, edit: impl FnOnce(&mut Contents)) {
        if let Some(contents) = self.shared.collected.upgrade() {
            edit(&mut contents.lock());
        }
    }
}

/// A scope that has begun. Dropping it ends it.
#[derive(Debug)]
#[must_use = "what is not run in it is not inside the response"]
pub struct PendingCollection {
    collector: Collector,
}

impl PendingCollection {
    /// Renders in it.
    pub fn run<R>(self, render: impl FnOnce() -> R) -> R {
        let Collector { point, shared } = &self.collector;
        let lookup = Lookup { ..shared.call.lookup() };
        let keep = |all| self.collector.edit(|contents| contents.collected.push(all));
        point.scope(|| collect_in(&shared.call.cache, lookup, render, keep))
    }
}

impl Drop for PendingCollection {
    fn drop(&mut self) {
        self.collector.edit(|contents| contents.open -= 1);
    }
}
