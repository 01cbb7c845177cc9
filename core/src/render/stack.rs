//! The fragments being rendered on this thread, outermost first. A frame owns what a render must
//! give back (its flight and its lease), so dropping a frame or truncating the stack leaks nothing.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::wait_strategy::Waited;
use crate::clock::Moment;
use crate::entry::{
    Entry, EntrySource, KeyBytes, LabelVersion, OutputMode, ReadOrder, VersionVector,
};
use crate::error::Error;
use crate::events::{MissReason, RefusalReason};
use crate::far::{Fill, InheritedVersions, ReadSnapshot};
use crate::flight::Flight;
use crate::freshness::{DependencySet, Sequence};
use crate::handle::Handle;
use crate::hash::Version;
use crate::label::{Label, Labels};
use crate::options::Options;
use crate::protection::Protection;
use crate::sync::thread_local;

/// Most frames that may be open on a thread. A single render of an engine has far fewer; the
/// surplus was left behind by failed renders, and the oldest frames are abandoned.
const MAX_FRAMES: usize = 256;

/// Longest time for which an unscoped render counts as under way.
const LONGEST_RENDER: Duration = Duration::from_secs(60);

/// What happens to a frame's body.
#[derive(Debug)]
pub(super) enum Purpose {
    /// It is stored, and passed to the followers.
    Store(Arc<Flight>),
    /// Like `Store`, while other callers are served the expired entry.
    Refresh(Arc<Flight>),
    /// It is printed only.
    Print,
}

/// One open fragment.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) id: u64,
    pub(super) cache: Handle,
    pub(super) purpose: Purpose,
    pub(super) key: KeyBytes,
    pub(super) hash: u64,
    pub(super) source: Arc<EntrySource>,
    pub(super) labels: Labels,
    /// The read point that was given or inherited, if there is one.
    pub(super) point: Option<Sequence>,
    /// What is known of the far level as of the read point.
    pub(super) read_snapshot: Option<ReadSnapshot>,
    /// The versions inherited from the fragments inside.
    pub(super) inherited_versions: InheritedVersions,
    /// The lease under which it may be put into the far store.
    pub(super) fill: Option<Fill>,
    /// When the render began.
    pub(super) began: Sequence,
    /// The read point: nothing in the body was read before it.
    pub(super) read: Sequence,
    pub(super) started: Moment,
    /// For how long the body may be served; `None` for ever.
    pub(super) ttl: Option<Duration>,
    pub(super) version: Version,
    /// How long the page has waited without a result.
    pub(super) waited: Waited,
    /// The fragment's tags, and the dependencies of the fragments inside.
    pub(super) inner: DependencySet,
    /// When the first of the fragments inside expires, and when the first of them may no longer be
    /// served stale. The body may set earlier moments.
    pub(super) inner_expires: Moment,
    pub(super) inner_last: Moment,
    /// Why neither this fragment nor those around it may be stored.
    pub(super) veto: Option<RefusalReason>,
    /// The options of the lookup, and those that the block has declared since.
    pub(super) options: Options,
    /// Whether the render failed although the frame is closed: the stored entry stays in place.
    pub(super) is_failure: bool,
    /// Whether the fragment itself may be stored.
    pub(super) is_kept: bool,
    /// Why the body is rendered, if the page is annotated.
    pub(super) why: Option<Box<str>>,
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let (Some(far), Some(fill)) = (self.cache.far(), self.fill.take()) {
            far.give_up(fill);
        }
        let flight = match &self.purpose {
            Purpose::Store(flight) => flight,
            Purpose::Refresh(flight) => {
                let rest = self.cache.ageing().refresh_backoff;
                self.cache.flights().back_off(flight, self.cache.moment().saturating_after(rest));
                flight
            }
            Purpose::Print => return,
        };
        self.cache.flights().abandon(flight);
        if let Some(near) = self.cache.near() {
            near.note(self.hash, MissReason::Error);
        }
        self.cache.counters().count_error();
    }
}

impl Frame {
    /// Inherits the dependencies of an inner fragment.
    pub(super) fn inherit(&mut self, inner: &Inherited<'_>) {
        if !self.cache.is_same(inner.cache) {
            self.veto.get_or_insert(RefusalReason::SpansCaches);
            return;
        }
        if self.cache.protections().keep(Protection::Inherit) {
            self.inner.insert_own(inner.labels);
        }
        if let Some(dependencies) = inner.dependencies {
            self.inner.merge(dependencies);
        }
        if let Some(version_vector) = inner.served.filter(|_| self.cache.far().is_some()) {
            let read = self
                .read_snapshot
                .as_ref()
                .map_or(ReadOrder::START, |read_snapshot| read_snapshot.order);
            self.inherited_versions.serve(version_vector, read);
        }
        // Annotations may be switched on during a render that began without them.
        if inner.mode.is_annotated() && !self.source.mode().is_annotated() {
            self.veto.get_or_insert(RefusalReason::Vetoed);
        }
        self.inner_expires = self.inner_expires.min(inner.expires);
        self.inner_last = self.inner_last.min(inner.last);
        self.read = self.read.min(inner.read);
        if let (Some(inner), Some(read_snapshot)) = (inner.read_snapshot, &mut self.read_snapshot)
            && self.cache.protections().keep(Protection::OlderInside)
            && read_snapshot.go_back(inner)
        {
            self.inherited_versions.go_back();
            if let Some(fill) = &mut self.fill {
                fill.read_snapshot = read_snapshot.clone();
            }
        }
        if let Some(veto) = inner.veto {
            self.veto.get_or_insert(veto);
        }
    }

    /// Inherits the dependencies of an abandoned inner fragment: what this one prints in its place
    /// may depend on them.
    pub(super) fn inherit_failed(&mut self, inner: &mut Self) {
        let dependencies = std::mem::take(&mut inner.inner).finish();
        self.inherit(&Inherited {
            cache: &inner.cache,
            labels: &inner.labels,
            dependencies: dependencies.as_ref(),
            expires: inner.inner_expires,
            last: inner.inner_last,
            read: inner.read,
            read_snapshot: inner.read_snapshot.as_ref(),
            veto: inner.veto,
            mode: inner.source.mode(),
            served: None,
        });
        self.inherited_versions.inherit_all(&inner.inherited_versions);
    }

    /// Records the versions with which an inner fragment was stored.
    pub(super) fn learn(&mut self, cache: &Handle, versions: &[(Label, LabelVersion)]) {
        if self.cache.is_same(cache) {
            self.inherited_versions.learn(versions);
        }
    }

    /// Adds a tag that was checked before.
    pub(super) fn tag(&mut self, tag: &str) {
        if let Some(stats_registry) = self.cache.stats_registry() {
            stats_registry.tag(&self.key, self.source.place(), tag);
        }
        self.inner.insert(self.cache.tag_label(tag));
    }

    /// Adds a tag from inside the body. It counts from the read point on, which precedes it.
    pub(super) fn tag_late(&mut self, tag: &str) {
        if !self.cache.protections().keep(Protection::LateLabels) {
            self.read = self.cache.fresh().now();
        }
        self.tag(tag);
    }

    /// Vetoes this fragment and those around it.
    pub(super) fn veto(&mut self, reason: RefusalReason) {
        self.veto.get_or_insert(reason);
    }

    /// Adds the place of this frame's cache block to an error.
    pub(super) fn locate(&self, error: Error) -> Error {
        match &self.source.template {
            Some(template) => error.at(template, self.source.line, self.source.column),
            None => error,
        }
    }
}

/// What an outer fragment inherits from an inner one.
pub(super) struct Inherited<'a> {
    pub(super) cache: &'a Handle,
    pub(super) labels: &'a Labels,
    pub(super) dependencies: Option<&'a crate::freshness::Dependencies>,
    pub(super) expires: Moment,
    /// When it may no longer be served stale.
    pub(super) last: Moment,
    /// The read point of a rendered fragment. `LAST` for a served one, which was compared just now.
    pub(super) read: Sequence,
    /// What was known of the far level at that read point.
    pub(super) read_snapshot: Option<&'a ReadSnapshot>,
    pub(super) veto: Option<RefusalReason>,
    pub(super) mode: OutputMode,
    /// For a served fragment, its version vector if it has one; `None` for a rendered one.
    pub(super) served: Option<Option<&'a VersionVector>>,
}

impl<'a> Inherited<'a> {
    pub(super) fn from_entry(cache: &'a Handle, labels: &'a Labels, entry: &'a Entry) -> Self {
        Self {
            cache,
            labels,
            dependencies: entry.dependencies(),
            expires: entry.expires,
            last: entry.last(),
            read: Sequence::LAST,
            read_snapshot: None,
            veto: None,
            mode: entry.source.mode(),
            served: Some(entry.version_vector()),
        }
    }
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
    /// Length of `FRAMES`, readable without a borrow. A hit reads nothing else.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Shared by all threads: a ticket that strays to another thread must not match a frame there.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The number of open fragments on this thread.
#[inline]
pub(super) fn depth() -> usize {
    DEPTH.with(Cell::get)
}

/// A number for a new frame: not zero, never used before, and above those of the frames below it.
pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// Pushes a frame on this thread's stack and returns its number.
pub(super) fn push(frame: Frame) -> u64 {
    let id = frame.id;
    let surplus = edit(|frames| {
        frames.push(frame);
        (frames.len() > MAX_FRAMES).then(|| frames.remove(0))
    });
    // Dropped outside the borrow: abandoning a flight notifies observers.
    drop(surplus);
    id
}

/// Pops the frame `id`. Frames that a failed render left above it are abandoned.
pub(super) fn take(id: u64) -> Option<Frame> {
    let (mut frame, above) = edit(|frames| {
        let at = frames.iter().rposition(|frame| frame.id == id)?;
        let above = frames.split_off(at + 1);
        frames.pop().map(|frame| (frame, above))
    })??;
    for mut inner in above {
        frame.inherit_failed(&mut inner);
    }
    Some(frame)
}

/// Pops the frame `id` and all frames above it, for an asynchronous render.
#[cfg(feature = "async")]
pub(super) fn detach(id: u64) -> Vec<Frame> {
    let above = |frames: &mut Vec<Frame>| {
        let at = frames.iter().rposition(|frame| frame.id == id)?;
        Some(frames.split_off(at))
    };
    edit(above).flatten().unwrap_or_default()
}

/// Pushes detached frames back, on any thread.
#[cfg(feature = "async")]
pub(super) fn attach(detached: &mut Vec<Frame>) {
    edit(|frames| frames.append(detached));
}

/// Abandons the frame `id` and every frame above it.
pub(super) fn abandon(id: u64) {
    if let Some(mut frame) = take(id) {
        with_top(|outer| outer.inherit_failed(&mut frame));
    }
}

/// Abandons every frame from number `first` on.
pub(super) fn truncate(first: u64) {
    let lowest = edit(|frames| {
        let at = frames.partition_point(|frame| frame.id < first);
        frames.get(at).map(|frame| frame.id)
    });
    if let Some(id) = lowest.flatten() {
        abandon(id);
    }
}

/// Passes the innermost open frame to `with`. If that frame is unscoped it may be a leftover, so
/// the frame below is passed too, down to the first scoped one.
pub(super) fn with_current(mut with: impl FnMut(&mut Frame)) {
    edit(|frames| {
        for frame in frames.iter_mut().rev() {
            with(frame);
            if frame.options.scoped {
                break;
            }
        }
    });
}

/// Passes the innermost open frame to `with`.
pub(super) fn with_top<R>(with: impl FnOnce(&mut Frame) -> R) -> Option<R> {
    edit(|frames| frames.last_mut().map(with)).flatten()
}

/// The oldest read point of the fragments of a cache that are open on this thread. An unscoped one
/// may be the leftover of a failed render, with a read point that never advances: after
/// [`LONGEST_RENDER`] only a read point that it was given counts.
pub(super) fn oldest_read(cache: &Handle) -> Option<Sequence> {
    if depth() == 0 {
        return None;
    }
    let now = cache.moment();
    let read = |frame: &Frame| {
        let is_live = frame.options.scoped || now.since(frame.started) < LONGEST_RENDER;
        if is_live { Some(frame.read) } else { frame.point }
    };
    let of_cache = |frame: &&Frame| frame.cache.is_same(cache);
    edit(|frames| frames.iter().filter(of_cache).filter_map(read).min()).flatten()
}

/// What is known of the far level as of the read point of the innermost fragment of a cache that is
/// open on this thread; `None` if no fragment is open.
pub(super) fn read_snapshot(cache: &Handle) -> Option<ReadSnapshot> {
    if depth() == 0 {
        return None;
    }
    let now = cache.moment();
    let counts = |frame: &&Frame| {
        let is_live = frame.options.scoped || now.since(frame.started) < LONGEST_RENDER;
        frame.cache.is_same(cache) && (is_live || frame.point.is_some())
    };
    let known = |frame: &Frame| frame.read_snapshot.clone().unwrap_or_default();
    edit(|frames| frames.iter().rev().find(counts).map(known)).flatten()
}

/// How long the page of the innermost fragment open on this thread has waited without a result.
pub(super) fn waited() -> Option<Waited> {
    if depth() == 0 {
        return None;
    }
    let is_live = |frame: &&Frame| {
        frame.options.scoped || frame.cache.moment().since(frame.started) < LONGEST_RENDER
    };
    edit(|frames| frames.last().filter(is_live).map(|frame| frame.waited.clone())).flatten()
}

/// Whether this thread holds the lease of a fragment. It then does not wait for other leases.
pub(super) fn holds_lease() -> bool {
    depth() > 0 && edit(|frames| frames.iter().any(|frame| frame.fill.is_some())).unwrap_or(false)
}

/// Passes the frame `id` to `with`, if it is open.
pub(super) fn with_frame<R>(id: u64, with: impl FnOnce(&mut Frame) -> R) -> Option<R> {
    edit(|frames| frames.iter_mut().rfind(|frame| frame.id == id).map(with)).flatten()
}

/// Abandons the frame of this variant of this key, if it is unscoped: on its own thread it can only
/// be the leftover of a failed render, together with the frames of that render above it. One of
/// those may belong to a render that goes on, and have inherited dependencies; the frame below
/// inherits them.
pub(super) fn abandon_leftover(hash: u64, source: &Arc<EntrySource>) {
    if depth() == 0 {
        return;
    }
    let found = edit(|frames| {
        let same = |frame: &Frame| {
            !frame.options.scoped && frame.hash == hash && Arc::ptr_eq(&frame.source, source)
        };
        let at = frames.iter().position(same)?;
        let count = frames[at..].iter().take_while(|frame| !frame.options.scoped).count();
        let below = at.checked_sub(1).map(|below| frames[below].id);
        Some((below, frames.drain(at..at + count).collect::<Vec<_>>()))
    });
    let Some((Some(below), leftover)) = found.flatten() else { return };
    for mut frame in leftover {
        // The lifetime of a frame whose render goes on counts too.
        (frame.inner_expires, frame.inner_last) = frame.ends(frame.cache.moment());
        with_frame(below, |outer| outer.inherit_failed(&mut frame));
    }
}

/// The open fragments of a caller that is not running on the thread.
#[cfg(all(test, not(fragcache_shuttle)))]
#[derive(Debug, Default)]
pub(crate) struct Frames(Vec<Frame>);

/// Exchanges this thread's open fragments for others, so that callers can take turns on it.
#[cfg(all(test, not(fragcache_shuttle)))]
pub(crate) fn swap(others: &mut Frames) {
    edit(|frames| std::mem::swap(frames, &mut others.0));
}

/// The only access to the frames. Frames are dropped outside of it, because that may run user code,
/// such as an observer's drop. `None` while the thread ends.
fn edit<R>(edit: impl FnOnce(&mut Vec<Frame>) -> R) -> Option<R> {
    FRAMES
        .try_with(|frames| {
            let mut frames = frames.borrow_mut();
            let result = edit(&mut frames);
            let _ = DEPTH.try_with(|depth| depth.set(frames.len()));
            result
        })
        .ok()
}
