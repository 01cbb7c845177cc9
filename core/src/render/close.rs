//! Closing a cache block: the body is stored if it may be, given to those who wait, and what it
//! depends on passes to the fragment around it.

use std::time::Duration;

use super::annotate;
use super::caller::LeaderGuard;
use super::stack::{self, Frame, Inherited, Purpose};
use crate::cache::FragmentCache;
use crate::clock::Moment;
use crate::entry::{Body, Entry, EntryMeta, VersionVector};
use crate::events::{EventKind, MissReason, RefusalReason};
use crate::far::{Far, Fill, NotStored, ToStore, Unavailable, Write};
use crate::freshness::{Dependencies, Sequence};
use crate::near::{HashedKey, Near};
use crate::protection::Protection;

/// The right and the duty to close one cache block. Dropping it gives the block up: nothing is
/// stored, and one of those who wait renders instead.
///
/// Its place is on the stack of the thread that opened it; closing it elsewhere only drops it.
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

    /// Closes it with nothing that could be stored; those who wait render for themselves.
    #[cfg(feature = "values")]
    pub(crate) fn close_vetoed(self) {
        stack::with_frame(self.id, |frame| frame.veto(RefusalReason::Vetoed));
        self.close(Body::from(""));
    }

    /// Adds tags that are known to be usable.
    pub(crate) fn tag(&self, tags: &[Box<str>]) {
        if !tags.is_empty() {
            stack::with_frame(self.id, |frame| tags.iter().for_each(|tag| frame.tag(tag)));
        }
    }

    /// The ticket as a number, for engines whose values hold no Rust object. The duty to
    /// [`close`] or [`abandon`] it is the caller's now; a [`Scope`](super::Scope) takes it over at
    /// its end.
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

/// A closed block.
#[derive(Debug, Clone)]
pub struct Closed {
    /// What became of its body.
    pub outcome: StoreOutcome,
    /// What to print in place of the body, if the page is annotated.
    pub instead: Option<Body>,
}

/// What became of a closed block's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreOutcome {
    /// It was stored.
    Stored,
    /// It was not meant to be stored: a bypass, or a ticket that is not open on this thread.
    Printed,
    /// It was not stored, for this reason.
    Refused(RefusalReason),
}

/// Closes the block of ticket number `id` with its rendered body.
pub fn close(id: u64, body: Body) -> Closed {
    match stack::take(id) {
        Some(frame) => frame.close(body),
        None => Closed { outcome: StoreOutcome::Printed, instead: None },
    }
}

/// Sees to it that the block of ticket number `id` is not stored when it is closed, nor any block
/// around it.
pub fn veto(id: u64, reason: RefusalReason) {
    let veto = |frame: &mut Frame| frame.veto(reason);
    if stack::with_frame(id, veto).is_none() {
        // It was taken for a leftover; what it prints goes into the one below.
        stack::with_current(veto);
    }
}

/// Gives up the block of ticket number `id`, and whatever is open inside it.
pub fn abandon(id: u64) {
    stack::abandon(id);
}

/// Closes frames that are on no stack, each with its body: those of one cache go to the far store
/// together.
#[cfg(feature = "values")]
pub(super) fn close_all(
    cache: &FragmentCache,
    mut frames: Vec<Frame>,
    bodies: Vec<Body>,
) -> Vec<StoreOutcome> {
    let begin = |(frame, body): (&mut Frame, Body)| frame.begin_store(cache, body);
    let mut all: Vec<Option<Closing<'_>>> = frames.iter_mut().zip(bodies).map(begin).collect();
    let open = frames.iter().zip(&mut all);
    let mut open: Vec<_> =
        open.filter_map(|(frame, closing)| Some((frame, closing.as_mut()?))).collect();
    let stored = cache.far().map(|far| far.close(&mut open)).unwrap_or_default();
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
    /// The right to put it into the far store.
    fill: Option<Fill>,
    body: Body,
    meta: EntryMeta,
    /// Why it is not stored, and the next one would not be either.
    refusal: Option<RefusalReason>,
    is_fresh: bool,
    /// Whether it is to replace what is stored, which is outdated then whatever becomes of this.
    replaces: bool,
    read: Sequence,
    now: Moment,
    expires: Moment,
    render_time: Duration,
}

impl Far {
    /// Puts into the far store what may be stored, and gives back what is not used of the rights to
    /// it. Without one a body is good for this process. No code of a user runs here.
    fn close(
        &self,
        all: &mut [(&Frame, &mut Closing<'_>)],
    ) -> Vec<Option<Result<VersionVector, NotStored>>> {
        let mut returned = Vec::new();
        for (frame, closing) in all.iter_mut() {
            let is_refused = closing.refusal.is_some();
            let unused = is_refused || !closing.is_fresh || frame.inherited_versions.is_broken;
            match closing.fill.take_if(|_| unused) {
                Some(fill) if frame.is_given => returned.push(fill),
                Some(fill) if is_refused => self.give_up_unshared(fill),
                Some(fill) => self.give_up(fill),
                None => {}
            }
        }
        let rendered: Vec<ToStore<'_>> =
            all.iter().filter_map(|(frame, closing)| frame.to_store(closing)).collect();
        let mut stored = self.store(&rendered).into_iter();
        let outcome = |(frame, closing): &mut (&Frame, &mut Closing<'_>)| {
            if closing.refusal.is_some() || !closing.is_fresh {
                return None;
            }
            let Some(fill) = closing.fill.take() else {
                return Some(match frame.is_given {
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
                Err(NotStored::TooLarge | NotStored::Invalidated) if frame.is_given => {
                    returned.push(fill);
                }
                Err(NotStored::TooLarge) => self.give_up_unshared(fill),
                Err(_) => self.give_up(fill),
            }
            Some(stored)
        };
        let outcomes = all.iter_mut().map(outcome).collect();
        self.give_back(&mut returned);
        outcomes
    }
}

impl Frame {
    fn close(mut self, body: Body) -> Closed {
        let shown = self.why.is_some().then(|| body.clone());
        let outcome = self.store(body);
        let instead = shown.map(|body| annotate::rendered(&self, outcome, &body));
        Closed { outcome, instead }
    }

    fn store(&mut self, body: Body) -> StoreOutcome {
        let cache = self.cache.clone();
        let Some(mut closing) = self.begin_store(&cache, body) else {
            return StoreOutcome::Printed;
        };
        let stored = cache.far().and_then(|far| far.close(&mut [(self, &mut closing)]).pop());
        self.end_store(closing, stored.flatten())
    }

    /// Tells the fragment around this one what it is, and whether it may be stored; `None` if it was
    /// not meant to be. No code of a user runs here: what is to be given back is in no frame.
    fn begin_store<'a>(&mut self, cache: &'a FragmentCache, body: Body) -> Option<Closing<'a>> {
        let now = cache.moment();
        if let Some(stats_registry) = cache.stats_registry() {
            stats_registry.render(&self.key, &self.source, now.since(self.started));
        }
        cache.fresh().settle(now);
        let dependencies = std::mem::take(&mut self.inner).finish();
        let (expires, last) = self.ends(now);
        // Also where nothing is stored: the fragment around this one lives no longer.
        self.pass_on(dependencies.as_ref(), expires, last);
        let fill = self.fill.take();
        let (flight, replaces) = match std::mem::replace(&mut self.purpose, Purpose::Print) {
            Purpose::Store(flight) => (flight, self.write == Write::Replace),
            Purpose::Refresh(flight) => (flight, true),
            Purpose::Print => return None,
        };
        let (guard, replaces) = (LeaderGuard::new(cache, flight), replaces && !self.is_failure);
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
        let bytes = body.as_bytes().len();
        let too_large = cache.near().is_none_or(|near| bytes > near.max_entry_bytes());
        let unkept = (!self.is_kept).then_some(RefusalReason::Vetoed);
        let refusal = self.veto.or(unkept).or(too_large.then_some(RefusalReason::BodyTooLarge));
        // Storing what was invalidated meanwhile would be harmless, as it is never served, but it
        // would take room.
        let is_fresh = cache.fresh().holds(&self.labels, meta.dependencies.as_ref(), read);
        Some(Closing {
            guard,
            fill,
            body,
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

    /// Puts a body into the near level, unless the far one has shown that it may not be stored.
    fn end_store(
        &self,
        mut closing: Closing<'_>,
        stored: Option<Result<VersionVector, NotStored>>,
    ) -> StoreOutcome {
        let (cache, replaces) = (&self.cache, closing.replaces);
        if let Some(reason) = closing.refusal {
            return self.refuse_for_good(closing.guard, replaces, reason);
        }
        closing.meta.version_vector = match stored {
            None => None,
            Some(Ok(version_vector)) => Some(version_vector),
            Some(Err(NotStored::TooLarge)) => {
                return self.refuse_for_good(closing.guard, replaces, RefusalReason::BodyTooLarge);
            }
            // Without a store to be reached it is good for this process, for as long as the near level
            // is trusted.
            Some(Err(NotStored::Unavailable(unavailable))) => {
                cache.note_fault(&unavailable);
                if self.is_given {
                    return self.refuse(RefusalReason::Store);
                }
                Some(self.unproven())
            }
            // Those who wait render: what came of this may be outdated.
            Some(Err(NotStored::Invalidated)) => return self.refuse(RefusalReason::Invalidated),
            Some(Err(NotStored::LeaseLost)) => return self.refuse(RefusalReason::Superseded),
        };
        let Closing { guard, body, meta, is_fresh, read, now, expires, render_time, .. } = closing;
        let (bytes, last) = (body.as_bytes().len(), meta.last);
        let source = cache.counted(&self.key, &self.source);
        let entry = Entry { body, source, read, expires, meta: meta.if_needed(read, expires) };
        let hashed = HashedKey { hash: self.hash, key: &self.key };
        let near = cache.near().filter(|near| near.fits(hashed, &entry));
        if near.is_none() && cache.far().is_none() {
            return self.refuse_for_good(guard, replaces, RefusalReason::BodyTooLarge);
        }
        let stored = match near {
            _ if !is_fresh => Err(RefusalReason::Invalidated),
            Some(near) if self.write == Write::Add && cache.far().is_none() => {
                let added = near.add(hashed, entry.clone(), cache.fresh(), &|| now);
                added.ok_or(RefusalReason::Superseded)
            }
            Some(near) => {
                let replaces_all = self.is_given && self.write == Write::Replace;
                let put = if replaces_all { Near::set } else { Near::put };
                match put(near, hashed, entry.clone(), now) {
                    // The far store has it: that it was the last to come there.
                    None if self.is_given && cache.far().is_some() => Ok(Vec::new()),
                    evicted => evicted.ok_or(RefusalReason::Superseded),
                }
            }
            None => Ok(Vec::new()),
        };
        guard.complete(&entry);
        match stored {
            Ok(evicted) => evicted.iter().for_each(|gone| gone.report(cache)),
            Err(reason) => return self.refuse(reason),
        }
        if last <= now {
            // It was put only in the place of what was stored before.
            return self.refuse(RefusalReason::Expired);
        }
        cache.emit(EventKind::Stored { bytes, render_time }, Some(&self.key), &self.source);
        StoreOutcome::Stored
    }

    fn refuse(&self, reason: RefusalReason) -> StoreOutcome {
        self.cache.emit(EventKind::Refused(reason), Some(&self.key), &self.source);
        StoreOutcome::Refused(reason)
    }

    /// Refuses what the next render would most likely bring too: nobody is to wait for that one. But a
    /// body that its caller has brought says nothing of the next. It is a new answer all the same, and
    /// what it was to replace is served no more: stale windows are for the time of a render, and for
    /// renders that fail.
    fn refuse_for_good(
        &self,
        guard: LeaderGuard<'_>,
        replaces: bool,
        reason: RefusalReason,
    ) -> StoreOutcome {
        let cache = &self.cache;
        if replaces && cache.protections().keep(Protection::NewAnswer) {
            cache.outdate(&self.key);
        }
        if self.is_given {
            drop(guard);
        } else {
            guard.detach(cache.moment().saturating_after(cache.ageing().refresh_backoff));
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
            write: self.write,
            life: (*expires != Moment::NEVER).then(|| expires.since(*now)),
            stale: meta.last.since(*expires),
            render_time: *render_time,
            body: body.as_bytes(),
        })
    }

    /// What is known of a body that is not in the far store: it is as old as its read point, and as
    /// what was served inside.
    fn unproven(&self) -> VersionVector {
        let read =
            self.read_snapshot.as_ref().map_or(Moment::START, |read_snapshot| read_snapshot.moment);
        let verified = read.min(self.inherited_versions.verified);
        VersionVector::new(Vec::new(), verified, verified)
    }

    /// When what is rendered at `now` expires, and when it may no longer be served, though stale. A
    /// life past the end of the clock is for ever.
    pub(super) fn ends(&self, now: Moment) -> (Moment, Moment) {
        let life = self.life.map(|life| self.cache.ageing().jittered(life));
        let own = life.map_or(Moment::NEVER, |life| now.saturating_after(life));
        let expires = own.min(self.inner_expires);
        let last = expires.saturating_after(self.stale).min(self.inner_last).max(expires);
        // Hits are checked against a clock that may be behind: what is over must be over by that one.
        let over = |end: Moment| if end <= now { end.min(self.cache.recent()) } else { end };
        (over(expires), over(last))
    }

    /// Tells the fragment around this one what it depends on now.
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
            outer.inherited_versions.take_over(&self.inherited_versions);
        });
    }
}
