//! Closing a cache block: the body is stored if it may be, given to those who wait, and what it
//! depends on passes to the fragment around it.

use std::sync::Arc;

use super::annotate;
use super::stack::{self, Frame, Inherited, Purpose};
use crate::clock::Moment;
use crate::entry::{Body, Entry, Terms};
use crate::fresh::Dependencies;
use crate::near::Probe;
use crate::observe::{EventKind, MissReason, RefusalReason};
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
    pub outcome: Outcome,
    /// What to print in place of the body, if the page is annotated.
    pub instead: Option<Body>,
}

/// What became of a closed block's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
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
        None => Closed { outcome: Outcome::Printed, instead: None },
    }
}

/// Sees to it that the block of ticket number `id` is not stored when it is closed, nor any block
/// around it.
pub fn veto(id: u64) {
    let veto = |frame: &mut Frame| frame.veto(RefusalReason::Vetoed);
    if stack::with_frame(id, veto).is_none() {
        // It was taken for a leftover; what it prints goes into the one below.
        stack::with_current(veto);
    }
}

/// Gives up the block of ticket number `id`, and whatever is open inside it.
pub fn abandon(id: u64) {
    stack::abandon(id);
}

impl Frame {
    fn close(mut self, body: Body) -> Closed {
        let shown = self.why.is_some().then(|| body.clone());
        let outcome = self.store(body);
        let instead = shown.map(|body| annotate::rendered(&self, outcome, &body));
        Closed { outcome, instead }
    }

    fn store(&mut self, body: Body) -> Outcome {
        let cache = self.cache.clone();
        let now = cache.moment();
        cache.fresh().settle(now);
        let dependencies = std::mem::take(&mut self.inner).finish();
        let (expires, last) = self.ends(now);
        // Also where nothing is stored: the fragment around this one lives no longer.
        self.pass_on(dependencies.as_ref(), expires, last);
        let flight = match std::mem::replace(&mut self.purpose, Purpose::Print) {
            Purpose::Store(flight) | Purpose::Refresh(flight) => flight,
            Purpose::Print => return Outcome::Printed,
        };
        let render_time = now.since(self.started);
        let early = cache.ageing().early_refresh > 0.0 && expires != Moment::NEVER;
        let terms = Terms {
            dependencies,
            version: self.version,
            last,
            render_time: if early { render_time } else { std::time::Duration::ZERO },
            began: self.began,
        };
        let at_start = cache.protections().keep(Protection::ReadAtStart);
        let read = if at_start { self.read } else { cache.fresh().now() };
        let entry = Entry {
            body,
            origin: Arc::clone(&self.origin),
            read,
            expires,
            terms: terms.beside(read, expires),
        };
        let probe = Probe { hash: self.hash, key: &self.key };
        let refuse = |reason| {
            cache.emit(EventKind::Refused(reason), Some(&self.key), &self.origin);
            Outcome::Refused(reason)
        };
        let bytes = entry.body.as_str().len();
        let near = cache.near().filter(|near| near.fits(probe, &entry));
        let refusal = self.veto.or(near.is_none().then_some(RefusalReason::BodyTooLarge));
        if let Some(reason) = refusal {
            let rest = now.saturating_after(cache.ageing().refresh_backoff);
            cache.flights().rest(&flight, rest);
            cache.flights().part(&flight, now);
            if let Some(near) = cache.near() {
                near.note(self.hash, MissReason::Vetoed);
            }
            return refuse(reason);
        }
        // Storing what was invalidated meanwhile would be harmless, as it is never served, but it
        // would take room.
        let fresh = cache.fresh().holds(&self.labels, entry.dependencies(), entry.read);
        let stored = match near {
            Some(near) if fresh => near.put(probe, entry.clone()).ok_or(RefusalReason::Superseded),
            _ => Err(RefusalReason::Invalidated),
        };
        cache.flights().land(&flight, entry);
        let evicted = match stored {
            Ok(evicted) => evicted,
            Err(reason) => return refuse(reason),
        };
        for gone in evicted {
            cache.emit(EventKind::Evicted(gone.cause), Some(&gone.key), &gone.entry.origin);
        }
        cache.emit(EventKind::Stored { bytes, render_time }, Some(&self.key), &self.origin);
        Outcome::Stored
    }

    /// When what is rendered at `now` expires, and when it may no longer be served, though stale. A
    /// life past the end of the clock is for ever.
    pub(super) fn ends(&self, now: Moment) -> (Moment, Moment) {
        let life = self.life.map(|life| self.cache.ageing().jittered(life));
        let own = life.map_or(Moment::NEVER, |life| now.saturating_after(life));
        let expires = own.min(self.inner_expires);
        let last = expires.saturating_after(self.stale).min(self.inner_last);
        (expires, last.max(expires))
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
                veto: self.veto,
                mode: self.origin.mode(),
            });
        });
    }
}
