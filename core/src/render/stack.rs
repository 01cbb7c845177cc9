//! The fragments being rendered on this thread, outermost first. A frame owns what a render must
//! give back (its flight), so that dropping or truncating the stack leaves nothing behind.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use crate::cache::FragmentCache;
use crate::clock::Moment;
use crate::entry::{Entry, KeyBytes, Origin};
use crate::flight::Flight;
use crate::fresh::{DependencySet, Labels, Sequence};
use crate::observe::RefusalReason;

/// Most frames that may be open on a thread. Engines bear far fewer in one render; more are what
/// failed renders left behind, and the oldest are given up.
const MAX_FRAMES: usize = 256;

/// What becomes of a frame's body.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Store it, and give it to those who wait.
    Store { flight: Arc<Flight>, life: Option<Duration> },
    /// Print it only.
    Print,
}

/// One open fragment.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) id: u64,
    pub(super) cache: FragmentCache,
    pub(super) purpose: Purpose,
    pub(super) key: KeyBytes,
    pub(super) hash: u64,
    pub(super) origin: Arc<Origin>,
    pub(super) labels: Labels,
    /// The read point: nothing in the body was read before it.
    pub(super) read: Sequence,
    pub(super) started: Moment,
    /// What the fragments inside depend on, and when the first of them expires.
    pub(super) inner: DependencySet,
    pub(super) inner_expires: Moment,
    /// Why neither this fragment nor those around it may be stored.
    pub(super) veto: Option<RefusalReason>,
    /// Whether someone gives up this frame when its render fails.
    pub(super) scoped: bool,
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Purpose::Store { flight, .. } = &self.purpose {
            self.cache.flights().abandon(flight);
            self.cache.counters().count_error();
        }
    }
}

impl Frame {
    /// Takes over what an inner fragment depends on.
    pub(super) fn inherit(&mut self, inner: &Inherited<'_>) {
        if !self.cache.is_same(inner.cache) {
            self.veto.get_or_insert(RefusalReason::SpansCaches);
            return;
        }
        self.inner.insert_own(inner.labels);
        if let Some(dependencies) = inner.dependencies {
            self.inner.merge(dependencies);
        }
        self.inner_expires = self.inner_expires.min(inner.expires);
        if let Some(veto) = inner.veto {
            self.veto.get_or_insert(veto);
        }
    }
}

/// What an outer fragment learns from an inner one.
pub(super) struct Inherited<'a> {
    pub(super) cache: &'a FragmentCache,
    pub(super) labels: &'a Labels,
    pub(super) dependencies: Option<&'a crate::fresh::Dependencies>,
    pub(super) expires: Moment,
    pub(super) veto: Option<RefusalReason>,
}

impl<'a> Inherited<'a> {
    pub(super) fn from_entry(
        cache: &'a FragmentCache,
        labels: &'a Labels,
        entry: &'a Entry,
    ) -> Self {
        Self {
            cache,
            labels,
            dependencies: entry.dependencies.as_deref(),
            expires: entry.expires,
            veto: None,
        }
    }
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
    /// Length of `FRAMES`, readable without borrowing it: the only thing a hit asks.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
}

/// Open fragments on this thread.
pub(super) fn depth() -> usize {
    DEPTH.get()
}

/// A number for a new frame, never zero and not used before on this thread.
pub(super) fn next_id() -> u64 {
    let id = NEXT_ID.get();
    NEXT_ID.set(id + 1);
    id
}

pub(super) fn push(frame: Frame) {
    let surplus = FRAMES.with_borrow_mut(|frames| {
        frames.push(frame);
        let surplus = (frames.len() > MAX_FRAMES).then(|| frames.remove(0));
        DEPTH.set(frames.len());
        surplus
    });
    // Dropped outside the borrow: giving up a flight tells observers.
    drop(surplus);
}

/// Takes the frame `id` off the stack, and whatever a failed render left above it.
pub(super) fn take(id: u64) -> Option<Frame> {
    let mut left = FRAMES.with_borrow_mut(|frames| {
        let at = frames.iter().rposition(|frame| frame.id == id)?;
        let left = frames.split_off(at);
        DEPTH.set(frames.len());
        Some(left)
    })?;
    let frame = left.remove(0);
    drop(left);
    Some(frame)
}

/// Gives up every frame above the first `depth`.
pub(super) fn truncate(depth: usize) {
    let left = FRAMES.with_borrow_mut(|frames| {
        let left = frames.split_off(depth.min(frames.len()));
        DEPTH.set(frames.len());
        left
    });
    drop(left);
}

/// Shows the innermost open frame to `with`.
pub(super) fn with_top(with: impl FnOnce(&mut Frame)) {
    FRAMES.with_borrow_mut(|frames| {
        if let Some(frame) = frames.last_mut() {
            with(frame);
        }
    });
}

/// Shows the frame `id` to `with`, if it is open.
pub(super) fn with_frame(id: u64, with: impl FnOnce(&mut Frame)) {
    FRAMES.with_borrow_mut(|frames| {
        if let Some(frame) = frames.iter_mut().rfind(|frame| frame.id == id) {
            with(frame);
        }
    });
}

/// Gives up the frame that would render this variant of this key, if it stands in a render that
/// nobody bounds: on its own thread it can only be what a failed render left behind.
pub(super) fn abandon_leftover(hash: u64, origin: &Arc<Origin>) {
    if depth() == 0 {
        return;
    }
    let leftover = FRAMES.with_borrow(|frames| {
        let same = |frame: &&Frame| {
            !frame.scoped && frame.hash == hash && Arc::ptr_eq(&frame.origin, origin)
        };
        frames.iter().find(same).map(|frame| frame.id)
    });
    drop(leftover.and_then(take));
}
