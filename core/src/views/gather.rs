//! What a handler renders on threads that do not poll it: the response depends on it just the same.

use std::fmt;
use std::sync::Arc;

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
    gathered: Mutex<Vec<Gathered>>,
}

impl fmt::Debug for Gatherer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gatherer").field("point", &self.point).finish_non_exhaustive()
    }
}

impl Gatherer {
    pub(super) fn new(call: &ViewCall, point: ReadPoint) -> Self {
        let call = ViewCall {
            cache: call.cache.clone(),
            key: call.key.clone(),
            hash: call.hash,
            origin: Arc::clone(&call.origin),
            request: call.request,
            make: call.make,
            under: None,
        };
        Self { point, shared: Arc::new(Shared { call, gathered: Mutex::new(Vec::new()) }) }
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
        self.shared.gathered.lock().push(gathered);
    }

    pub(super) fn take(&self) -> Vec<Gathered> {
        std::mem::take(&mut *self.shared.gathered.lock())
    }
}
