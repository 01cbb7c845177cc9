//! What a handler renders on threads that do not poll it: the response depends on it just the same.

use std::fmt;
use std::sync::{Arc, Weak};

use super::ViewCall;
use crate::cache::FragmentCache;
use crate::point::ReadPoint;
use crate::render::{Asking, Gathered, gather};
use crate::sync::Mutex;

/// Gathers what is rendered on other threads for one response.
#[derive(Clone)]
pub struct Gatherer {
    point: ReadPoint,
    shared: Arc<Shared>,
}

struct Shared {
    call: ViewCall,
    gathered: Weak<Mutex<Vec<Gathered>>>,
}

/// What was gathered. Once this is gone nothing is, so that a gatherer that outlives its response, in
/// the body of an endless one, say, does not grow.
#[derive(Debug, Default)]
pub(super) struct Basket(Arc<Mutex<Vec<Gathered>>>);

impl Basket {
    pub(super) fn take(&self) -> Vec<Gathered> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl fmt::Debug for Gatherer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gathered = self.shared.gathered.upgrade().map_or(0, |all| all.lock().len());
        let mut shown = f.debug_struct("Gatherer");
        shown.field("point", &self.point).field("gathered", &gathered).finish_non_exhaustive()
    }
}

impl Gatherer {
    pub(super) fn new(call: &ViewCall, point: ReadPoint, basket: &Basket) -> Self {
        let call = ViewCall {
            cache: call.cache.clone(),
            key: call.key.clone(),
            hash: call.hash,
            origin: Arc::clone(&call.origin),
            request: call.request,
            make: call.make,
            under: None,
        };
        let gathered = Arc::downgrade(&basket.0);
        Self { point, shared: Arc::new(Shared { call, gathered }) }
    }

    /// The read point of the request.
    pub fn read_point(&self) -> ReadPoint {
        self.point
    }

    /// The cache.
    pub fn cache(&self) -> &FragmentCache {
        &self.shared.call.cache
    }

    /// Renders under the read point. What is rendered is inside the response, if this comes to its
    /// end before the response is closed.
    pub fn scope<R>(&self, render: impl FnOnce() -> R) -> R {
        let call = &self.shared.call;
        let asking = Asking { ..call.asking() };
        self.point.scope(|| gather(&call.cache, asking, render, |all| self.keep(all)))
    }

    fn keep(&self, gathered: Gathered) {
        if let Some(all) = self.shared.gathered.upgrade() {
            all.lock().push(gathered);
        }
    }
}
