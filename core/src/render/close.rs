//! Closing a cache block: the body is stored if it may be, given to those who wait, and what it
//! depends on passes to the fragment around it.

use std::sync::Arc;

use super::stack::{self, Frame, Inherited, Purpose};
use crate::clock::Moment;
use crate::entry::{Body, Entry};
use crate::near::Probe;
use crate::observe::{EventKind, RefusalReason};

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

/// What became of a closed block's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
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
        None => Closed::Printed,
    }
}

/// Sees to it that the block of ticket number `id` is not stored when it is closed, nor any block
/// around it.
pub fn veto(id: u64) {
    stack::with_frame(id, |frame| {
        frame.veto.get_or_insert(RefusalReason::Vetoed);
    });
}

/// Gives up the block of ticket number `id`, and whatever is open inside it.
pub fn abandon(id: u64) {
    stack::abandon(id);
}

impl Frame {
    fn close(mut self, body: Body) -> Closed {
        let cache = self.cache.clone();
        let now = cache.moment();
        let inner = std::mem::take(&mut self.inner).finish().map(Arc::new);
        // A life past the end of the clock is for ever.
        let expires = self.life.and_then(|life| now.after(life)).unwrap_or(Moment::NEVER);
        let expires = expires.min(self.inner_expires);
        // Also where nothing is stored: the fragment around this one lives no longer.
        self.pass_on(inner.as_deref(), expires);
        let Purpose::Store(flight) = std::mem::replace(&mut self.purpose, Purpose::Print) else {
            return Closed::Printed;
        };
        let entry = Entry {
            body,
            origin: Arc::clone(&self.origin),
            read: self.read,
            expires,
            dependencies: inner,
        };
        let probe = Probe { hash: self.hash, key: &self.key };
        let bytes = entry.body.as_str().len();
        let near = cache.near().filter(|near| near.fits(probe, &entry));
        let refusal = self.veto.or(near.is_none().then_some(RefusalReason::BodyTooLarge));
        if let Some(reason) = refusal {
            cache.flights().part(&flight, now);
            cache.emit(EventKind::Refused(reason), Some(&self.key), &self.origin);
            return Closed::Refused(reason);
        }
        // Storing what was invalidated meanwhile would be harmless, as it is never served, but it
        // would take room.
        let fresh = cache.fresh().holds(&self.labels, entry.dependencies.as_deref(), entry.read);
        let stored = match near {
            Some(near) if fresh => near.put(probe, entry.clone()).ok_or(RefusalReason::Superseded),
            _ => Err(RefusalReason::Invalidated),
        };
        cache.flights().land(&flight, entry);
        let evicted = match stored {
            Ok(evicted) => evicted,
            Err(reason) => {
                cache.emit(EventKind::Refused(reason), Some(&self.key), &self.origin);
                return Closed::Refused(reason);
            }
        };
        for gone in evicted {
            cache.emit(EventKind::Evicted(gone.cause), Some(&gone.key), &gone.entry.origin);
        }
        let stored = EventKind::Stored { bytes, render_time: now.since(self.started) };
        cache.emit(stored, Some(&self.key), &self.origin);
        Closed::Stored
    }

    /// Tells the fragment around this one what it depends on now.
    fn pass_on(&self, dependencies: Option<&crate::fresh::Dependencies>, expires: Moment) {
        stack::with_top(|outer| {
            outer.inherit(&Inherited {
                cache: &self.cache,
                labels: &self.labels,
                dependencies,
                expires,
                veto: self.veto,
            });
        });
    }
}
