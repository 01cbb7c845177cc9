//! Closing a cache block: the body is stored if that is allowed, and passed to the followers; its
//! dependencies pass to the enclosing fragment.

use std::time::Duration;

use super::annotate;
use super::stack::{self, Frame, Inherited, Purpose};
use crate::clock::Moment;
use crate::entry::{Body, Entry, EntryMeta, ReadOrder, VersionVector};
use crate::events::{EventKind, MissReason, RefusalReason};
use crate::far::{Far, Fill, NotStored, ToStore, Unavailable};
use crate::flight::LeaderGuard;
use crate::freshness::{Dependencies, Sequence};
use crate::handle::Handle;
use crate::hash::HashedKey;
use crate::near::Near;
use crate::options::Write;
use crate::protection::Protection;

/// The right and the duty to close one cache block. Dropping it abandons the block: nothing is
/// stored, and one of the followers renders instead.
///
/// A ticket belongs to the thread that opened it. Closing it on another thread only drops it.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
}

impl Ticket {
    pub(super) fn new(id: u64) -> Self {
        Self { id }
    }

    /// Closes the block with its rendered body.
    pub fn close(self, body: Body) -> Closed {
        close(self.into_id(), body)
    }

    /// Closes the block without a result that could be stored. Followers render for themselves.
    pub(super) fn close_vetoed(self) {
        stack::with_frame(self.id, |frame| frame.veto(RefusalReason::Vetoed));
        self.close(Body::from(""));
    }

    /// Adds tags that were checked before.
    pub(crate) fn tag(&self, tags: &[Box<str>]) {
        if !tags.is_empty() {
            stack::with_frame(self.id, |frame| tags.iter().for_each(|tag| frame.tag(tag)));
        }
    }

    /// Returns the ticket as a number, for engines whose values hold no Rust object. The caller
    /// must then [`close`] or [`abandon`] it; a [`Scope`](super::Scope) abandons it at its end.
    pub fn into_id(self) -> u64 {
        let id = self.id;
        std::mem::forget(self);
        id
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        abandon(self.id);
    }
}

/// What a cache block is to do.
#[derive(Debug)]
// Exhaustive, so that no extension overlooks a case.
pub enum Opened<R> {
    /// Print this; the body is not needed.
    Hit(R),
    /// Render the body, then close the ticket with it.
    Render(Ticket),
}

/// Closes the block with ticket number `id` with its rendered body.
pub fn close(id: u64, body: Body) -> Closed {
    match stack::take(id) {
        Some(frame) => frame.close(body),
        None => Closed { outcome: StoreOutcome::Printed, instead: None },
    }
}

/// Vetoes the block with ticket number `id`: neither it nor any block around it is stored.
pub fn veto(id: u64, reason: RefusalReason) {
    let veto = |frame: &mut Frame| frame.veto(reason);
    if stack::with_frame(id, veto).is_none() {
        // It was abandoned as a leftover; its output goes into the one below.
        stack::with_current(veto);
    }
}

/// Abandons the block with ticket number `id`, and every block open inside it.
pub fn abandon(id: u64) {
    stack::abandon(id);
}

/// Closes frames that are on no stack, each with its body. Frames of one cache are written to the
/// far store together.
#[cfg(feature = "values")]
pub(super) fn close_all(
    cache: &Handle,
    mut frames: Vec<Frame>,
    bodies: Vec<Body>,
) -> Vec<StoreOutcome> {
    let begin = |(frame, body): (&mut Frame, Body)| frame.begin_store(cache, body);
    let mut all: Vec<Option<Closing<'_>>> = frames.iter_mut().zip(bodies).map(begin).collect();
    let open = frames.iter().zip(&mut all);
    let mut open: Vec<_> =
        open.filter_map(|(frame, closing)| Some((frame, closing.as_mut()?))).collect();
    let stored = cache.far().map(|far| put_all(far, &mut open)).unwrap_or_default();
    let mut stored = stored.into_iter();
    let end = |(frame, closing): (&Frame, Option<Closing<'_>>)| match closing {
        None => StoreOutcome::Printed,
        Some(closing) => frame.end_store(closing, stored.next().flatten()),
    };
    frames.iter().zip(all).map(end).collect()
}

/// A frame's body between the stack and the levels.
struct Closing<'a> {
    guard: LeaderGuard<'a>,
    /// The lease under which it may be put into the far store.
    fill: Option<Fill>,
    body: Body,
    /// The bytes of a typed body, if they go to the store.
    encoded: Vec<u8>,
    meta: EntryMeta,
    /// Why neither this body nor, most likely, the next one is stored.
    refusal: Option<RefusalReason>,
    is_fresh: bool,
    /// Whether it replaces what is stored, which is outdated then even if this body is not stored.
    replaces: bool,
    read: Sequence,
    now: Moment,
    expires: Moment,
    render_time: Duration,
}

/// Puts the bodies that may be stored into the far store, and releases unused leases. A body
/// without a lease is valid in this process only. Runs no user code.
fn put_all(
    far: &Far,
    all: &mut [(&Frame, &mut Closing<'_>)],
) -> Vec<Option<Result<VersionVector, NotStored>>> {
    let mut returned = Vec::new();
    for (frame, closing) in all.iter_mut() {
        let is_refused = closing.refusal.is_some();
        let unused = is_refused || !closing.is_fresh || frame.inherited_versions.is_broken;
        match closing.fill.take_if(|_| unused) {
            Some(fill) if frame.options.is_given => returned.push(fill),
            Some(fill) if is_refused => far.give_up_unshared(fill),
            Some(fill) => far.give_up(fill),
            None => {}
        }
    }
    let rendered: Vec<ToStore<'_>> =
        all.iter().filter_map(|(frame, closing)| frame.to_store(closing)).collect();
    let mut stored = far.store(&rendered).into_iter();
    let outcome = |(frame, closing): &mut (&Frame, &mut Closing<'_>)| {
        if closing.refusal.is_some() || !closing.is_fresh {
            return None;
        }
        let Some(fill) = closing.fill.take() else {
            return Some(match frame.options.is_given {
                true => Err(NotStored::Unavailable(Unavailable(None))),
                false => Ok(frame.unproven()),
            });
        };
        let stored = stored.next()?;
        match &stored {
            Ok(version_vector) => {
                fill.spend();
                stack::with_top(|outer| outer.learn(&frame.cache, version_vector.versions()));
            }
            Err(NotStored::TooLarge | NotStored::Invalidated) if frame.options.is_given => {
                returned.push(fill);
            }
            Err(NotStored::TooLarge) => far.give_up_unshared(fill),
            Err(_) => far.give_up(fill),
        }
        Some(stored)
    };
    let outcomes = all.iter_mut().map(outcome).collect();
    far.give_back(&mut returned);
    outcomes
}

impl Frame {
    fn close(mut self, body: Body) -> Closed {
        let shown = self.why.is_some().then(|| body.clone());
        let outcome = self.store(body);
        let instead = shown.map(|body| {
            let outcome = match outcome {
                StoreOutcome::Stored => "; stored".to_owned(),
                StoreOutcome::Printed => String::new(),
                StoreOutcome::Refused(reason) => format!("; not stored: {}", reason.as_str()),
            };
            annotate::rendered(&self, &outcome, &body)
        });
        Closed { outcome, instead }
    }

    fn store(&mut self, body: Body) -> StoreOutcome {
        let cache = self.cache.clone();
        let Some(mut closing) = self.begin_store(&cache, body) else {
            return StoreOutcome::Printed;
        };
        let stored = cache.far().and_then(|far| put_all(far, &mut [(self, &mut closing)]).pop());
        self.end_store(closing, stored.flatten())
    }

    /// Passes the fragment's dependencies and veto to the enclosing fragment. Returns `None` if the
    /// fragment is not meant to be stored. Runs no user code: the lease to release is in no frame.
    fn begin_store<'a>(&mut self, cache: &'a Handle, body: Body) -> Option<Closing<'a>> {
        let now = cache.moment();
        if let Some(stats_registry) = cache.stats_registry() {
            stats_registry.render(&self.key, self.source.place(), now.since(self.started));
        }
        cache.fresh().settle(now);
        let dependencies = std::mem::take(&mut self.inner).finish();
        let (expires, last) = self.ends(now);
        // Also if nothing is stored: the enclosing fragment must not outlive this one.
        self.pass_on(dependencies.as_ref(), expires, last);
        let fill = self.fill.take();
        let (flight, replaces) = match std::mem::replace(&mut self.purpose, Purpose::Print) {
            Purpose::Store(flight) => (flight, self.options.write() == Write::Replace),
            Purpose::Refresh(flight) => (flight, true),
            Purpose::Print => return None,
        };
        let (guard, replaces) =
            (LeaderGuard::new(cache.flights(), flight), replaces && !self.is_failure);
        let render_time = now.since(self.started);
        let early = cache.ageing().early_refresh > 0.0 && expires != Moment::NEVER;
        let at_start = cache.protections().keep(Protection::ReadAtStart);
        let read = if at_start { self.read } else { cache.fresh().now() };
        let meta = EntryMeta {
            dependencies,
            version: self.version,
            last,
            render_time: if early { render_time } else { Duration::ZERO },
            began: self.began,
            version_vector: None,
        };
        let bytes = body.stored_len();
        let too_large = cache.near().is_none_or(|near| bytes > near.max_entry_bytes());
        let unkept = (!self.is_kept).then_some(RefusalReason::Vetoed);
        let refusal = self.veto.or(unkept).or(too_large.then_some(RefusalReason::BodyTooLarge));
        // Storing an entry that was invalidated in the meantime would be harmless, as it is never
        // served, but it would take room.
        let is_fresh = cache.fresh().holds(&self.labels, meta.dependencies.as_ref(), read);
        // Before anything is locked or written: serializing runs the code of the value's type.
        let is_encoded = fill.is_some() && body.as_bytes().is_none();
        let encoded = if is_encoded { body.to_bytes().into_owned() } else { Vec::new() };
        Some(Closing {
            guard,
            fill,
            body,
            encoded,
            meta,
            refusal,
            is_fresh,
            replaces,
            read,
            now,
            expires,
            render_time,
        })
    }

    /// Puts a body into the near level, unless the far level refused it.
    fn end_store(
        &self,
        mut closing: Closing<'_>,
        stored: Option<Result<VersionVector, NotStored>>,
    ) -> StoreOutcome {
        let (cache, replaces) = (&self.cache, closing.replaces);
        if let Some(reason) = closing.refusal {
            return self.refuse_and_invalidate(closing.guard, replaces, reason);
        }
        closing.meta.version_vector = match stored {
            None => None,
            Some(Ok(version_vector)) => Some(version_vector),
            Some(Err(NotStored::TooLarge)) => {
                return self.refuse_and_invalidate(
                    closing.guard,
                    replaces,
                    RefusalReason::BodyTooLarge,
                );
            }
            // While the store is unavailable, the body is valid in this process, for the near TTL.
            Some(Err(NotStored::Unavailable(unavailable))) => {
                cache.note_fault(&unavailable);
                if self.options.is_given {
                    return self.refuse(RefusalReason::Store);
                }
                Some(self.unproven())
            }
            // Followers render: this result may be outdated.
            Some(Err(NotStored::Invalidated)) => return self.refuse(RefusalReason::Invalidated),
            Some(Err(NotStored::LeaseLost)) => return self.refuse(RefusalReason::Superseded),
        };
        let Closing { guard, body, meta, is_fresh, read, now, expires, render_time, .. } = closing;
        let (bytes, last) = (body.stored_len(), meta.last);
        let source = cache.counted(&self.key, &self.source);
        let entry = Entry { body, source, read, expires, meta: meta.if_needed(read, expires) };
        let hashed = HashedKey { hash: self.hash, key: &self.key };
        let near = cache.near().filter(|near| near.fits(hashed, &entry));
        if near.is_none() && cache.far().is_none() {
            return self.refuse_and_invalidate(guard, replaces, RefusalReason::BodyTooLarge);
        }
        let stored = match near {
            _ if !is_fresh => Err(RefusalReason::Invalidated),
            Some(near) if self.options.write() == Write::Add && cache.far().is_none() => {
                let added = near.add(hashed, entry.clone(), cache.fresh(), &|| now);
                added.ok_or(RefusalReason::Superseded)
            }
            Some(near) => {
                let replaces_all = self.options.is_given && self.options.write() == Write::Replace;
                let put = if replaces_all { Near::set } else { Near::put };
                match put(near, hashed, entry.clone(), now) {
                    // The far store accepted it, so it is the latest there.
                    None if self.options.is_given && cache.far().is_some() => Ok(Vec::new()),
                    evicted => evicted.ok_or(RefusalReason::Superseded),
                }
            }
            None => Ok(Vec::new()),
        };
        guard.complete(&entry);
        match stored {
            Ok(evicted) => evicted.iter().for_each(|gone| cache.report_eviction(gone)),
            Err(reason) => return self.refuse(reason),
        }
        if last <= now {
            // It was stored only to replace the previous entry.
            return self.refuse(RefusalReason::Expired);
        }
        cache.emit(EventKind::Stored { bytes, render_time }, Some(&self.key), &self.source);
        StoreOutcome::Stored
    }

    fn refuse(&self, reason: RefusalReason) -> StoreOutcome {
        self.cache.emit(EventKind::Refused(reason), Some(&self.key), &self.source);
        StoreOutcome::Refused(reason)
    }

    /// Refuses a body for a reason that most likely applies to the next render too, so no caller
    /// should wait for that one. A body supplied by its caller says nothing about the next one.
    /// Either way it is a new answer, and the entry it was to replace is no longer served: a stale
    /// window covers the time of a render, and renders that fail.
    fn refuse_and_invalidate(
        &self,
        guard: LeaderGuard<'_>,
        replaces: bool,
        reason: RefusalReason,
    ) -> StoreOutcome {
        let cache = &self.cache;
        if replaces && cache.protections().keep(Protection::NewAnswer) {
            cache.outdate(&self.key);
        }
        if self.options.is_given {
            drop(guard);
        } else {
            let now = cache.moment();
            guard.detach(now.saturating_after(cache.ageing().refresh_backoff), now);
        }
        if let Some(near) = cache.near() {
            near.note(self.hash, MissReason::Vetoed);
        }
        self.refuse(reason)
    }

    fn to_store<'a>(&'a self, closing: &'a Closing<'_>) -> Option<ToStore<'a>> {
        let Closing { meta, now, expires, render_time, body, .. } = closing;
        Some(ToStore {
            fill: closing.fill.as_ref()?,
            key: &self.key,
            source: &self.source,
            version: self.version,
            labels: &self.labels,
            dependencies: meta.dependencies.as_ref(),
            inherited_versions: &self.inherited_versions,
            write: self.options.write(),
            ttl: (*expires != Moment::NEVER).then(|| expires.since(*now)),
            stale: meta.last.since(*expires),
            render_time: *render_time,
            body: body.as_bytes().unwrap_or(&closing.encoded),
        })
    }

    /// The version vector of a body that is not in the far store: it is as old as its read point
    /// and the entries served inside it.
    fn unproven(&self) -> VersionVector {
        let read =
            self.read_snapshot.as_ref().map_or(Moment::START, |read_snapshot| read_snapshot.moment);
        let verified = read.min(self.inherited_versions.verified);
        VersionVector::new(Vec::new(), ReadOrder::START, verified)
    }

    /// When a body rendered at `now` expires, and when it may no longer be served stale. A lifetime
    /// past the end of the clock never ends.
    pub(super) fn ends(&self, now: Moment) -> (Moment, Moment) {
        let ttl = self.ttl.map(|ttl| self.cache.ageing().jittered(ttl));
        let own = ttl.map_or(Moment::NEVER, |ttl| now.saturating_after(ttl));
        let expires = own.min(self.inner_expires);
        let stale = self.options.stale.unwrap_or(self.cache.ageing().stale_window);
        let last = expires.saturating_after(stale).min(self.inner_last).max(expires);
        // Hits are checked against a clock that may lag: what has ended must have ended by that
        // clock.
        let over = |end: Moment| if end <= now { end.min(self.cache.recent()) } else { end };
        (over(expires), over(last))
    }

    /// Passes the fragment's dependencies to the enclosing fragment.
    fn pass_on(&self, dependencies: Option<&Dependencies>, expires: Moment, last: Moment) {
        stack::with_top(|outer| {
            outer.inherit(&Inherited {
                cache: &self.cache,
                labels: &self.labels,
                dependencies,
                expires,
                last,
                read: self.read,
                read_snapshot: self.read_snapshot.as_ref(),
                veto: self.veto,
                mode: self.source.mode(),
                served: None,
            });
            outer.inherited_versions.inherit_all(&self.inherited_versions);
        });
    }
}

/// A closed block.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Closed {
    /// The outcome for its body.
    pub outcome: StoreOutcome,
    /// What to print in place of the body, if the page is annotated.
    pub instead: Option<Body>,
}

/// The outcome for the body of a closed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreOutcome {
    /// It was stored.
    Stored,
    /// It was not meant to be stored: the block was bypassed, or its ticket is not open on this
    /// thread.
    Printed,
    /// It was not stored, for this reason.
    Refused(RefusalReason),
}
