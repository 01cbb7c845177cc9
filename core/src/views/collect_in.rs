//! Collects what a handler renders on threads that do not poll it, because the response depends on
//! it too.

use std::fmt;
use std::sync::{Arc, Weak};

use super::ViewRequest;
use crate::cache::FragmentCache;
use crate::read_point::ReadPoint;
use crate::render::{Collected, Context, collect_in};
use crate::sync::Mutex;

/// Collects what is rendered on other threads for one response.
#[derive(Clone)]
pub struct Collector {
    point: ReadPoint,
    shared: Arc<Shared>,
}

struct Shared {
    call: ViewRequest,
    collected: Weak<Mutex<Contents>>,
}

/// What was collected. After this is dropped nothing more is, so a collector that outlives its
/// response, for example in an endless body, does not grow.
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
    /// Takes what was collected. Also returns whether that is all that was rendered elsewhere, as
    /// far as this is known.
    pub(super) fn take(&self) -> (Vec<Collected>, bool) {
        let mut contents = self.0.lock();
        let is_all = contents.open == 0 && (contents.has_scopes || !contents.is_expected);
        (std::mem::take(&mut contents.collected), is_all)
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let collected = self.shared.collected.upgrade().map_or(0, |all| all.lock().collected.len());
        let mut shown = f.debug_struct("Collector");
        shown.field("point", &self.point).field("collected", &collected).finish_non_exhaustive()
    }
}

impl Collector {
    pub(super) fn new(call: &ViewRequest, point: ReadPoint, collected: &CollectedSet) -> Self {
        let ViewRequest { cache, owned, make, .. } = call;
        let call =
            ViewRequest { cache: cache.clone(), owned: owned.clone(), make: *make, under: None };
        let collected = Arc::downgrade(&collected.0);
        Self { point, shared: Arc::new(Shared { call, collected }) }
    }

    /// Returns the read point of the request.
    pub fn read_point(&self) -> ReadPoint {
        self.point
    }

    /// Returns the cache.
    pub fn cache(&self) -> &FragmentCache {
        &self.shared.call.cache
    }

    /// Declares that something will be rendered elsewhere. If no scope is opened before the
    /// response is closed, its dependencies are unknown, and it is not stored.
    pub fn expect(&self) {
        self.edit(|contents| contents.is_expected = true);
    }

    /// Begins a scope, which may run on any thread. The response is stored only if the scope ends
    /// before the response is closed.
    pub fn begin(&self) -> PendingCollection {
        self.edit(|contents| {
            contents.has_scopes = true;
            contents.open += 1;
        });
        PendingCollection { collector: self.clone() }
    }

    /// Renders under the read point of the request. What is rendered is inside the response, which
    /// is stored only if `render` ends before the response is closed.
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
#[must_use = "only what runs in it is part of the response"]
pub struct PendingCollection {
    collector: Collector,
}

impl PendingCollection {
    /// Renders in this scope.
    pub fn run<R>(self, render: impl FnOnce() -> R) -> R {
        let Collector { point, shared } = &self.collector;
        let ViewRequest { cache, owned, make, .. } = &shared.call;
        let (request, context) = (owned.request(), Context::new(make));
        let keep = |all| self.collector.edit(|contents| contents.collected.push(all));
        point.scope(|| collect_in(&cache.handle, request, context, render, keep))
    }
}

impl Drop for PendingCollection {
    fn drop(&mut self) {
        self.collector.edit(|contents| contents.open -= 1);
    }
}
