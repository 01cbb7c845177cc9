//! Closing a cache block: the body is stored if it may be, given to those who wait, and what it
//! depends on passes to the fragment around it.

use std::time::Duration;

use super::annotate;
use super::caller::Led;
use super::stack::{self, Frame, Inherited, Purpose};
use crate::clock::Moment;
use crate::entry::{Body, Entry, Proof, Terms};
use crate::far::{Far, Fill, NotStored, ToStore};
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
        if let Some(books) = cache.books() {
            books.render(&self.key, &self.origin, now.since(self.started));
        }
        cache.fresh().settle(now);
        let dependencies = std::mem::take(&mut self.inner).finish();
        let (expires, last) = self.ends(now);
        // Also where nothing is stored: the fragment around this one lives no longer.
        self.pass_on(dependencies.as_ref(), expires, last);
        let fill = self.fill.take();
        let led = match std::mem::replace(&mut self.purpose, Purpose::Print) {
            Purpose::Store(flight) | Purpose::Refresh(flight) => Led::new(&cache, flight),
            Purpose::Print => return Outcome::Printed,
        };
        let render_time = now.since(self.started);
        let early = cache.ageing().early_refresh > 0.0 && expires != Moment::NEVER;
        let at_start = cache.protections().keep(Protection::ReadAtStart);
        let read = if at_start { self.read } else { cache.fresh().now() };
        let mut terms = Terms {
            dependencies,
            version: self.version,
            last,
            render_time: if early { render_time } else { Duration::ZERO },
            began: self.began,
            proof: None,
        };
        let bytes = body.as_bytes().len();
        let too_large = cache.near().is_none_or(|near| bytes > near.max_entry_bytes());
        let unkept = (!self.is_kept).then_some(RefusalReason::Vetoed);
        let refusal = self.veto.or(unkept).or(too_large.then_some(RefusalReason::BodyTooLarge));
        if let Some(reason) = refusal {
            return self.refuse_for_good(led, fill, reason);
        }
        // Storing what was invalidated meanwhile would be harmless, as it is never served, but it
        // would take room.
        let is_fresh = cache.fresh().holds(&self.labels, terms.dependencies.as_ref(), read);
        if let Some(far) = cache.far().filter(|_| is_fresh) {
            match self.store_far(far, fill, &body, &terms, (now, expires)) {
                Ok(proof) => terms.proof = Some(proof),
                Err(RefusalReason::BodyTooLarge) => {
                    return self.refuse_for_good(led, None, RefusalReason::BodyTooLarge);
                }
                // Those who wait render: what came of this may be outdated.
                Err(reason) => return self.refuse(reason),
            }
        } else if let Some((far, fill)) = cache.far().zip(fill) {
            far.give_up(fill);
        }
        let origin = cache.counted(&self.key, &self.origin);
        let entry = Entry { body, origin, read, expires, terms: terms.beside(read, expires) };
        let probe = Probe { hash: self.hash, key: &self.key };
        let near = cache.near().filter(|near| near.fits(probe, &entry));
        if near.is_none() && cache.far().is_none() {
            return self.refuse_for_good(led, None, RefusalReason::BodyTooLarge);
        }
        let stored = match near {
            _ if !is_fresh => Err(RefusalReason::Invalidated),
            Some(near) => near.put(probe, entry.clone(), now).ok_or(RefusalReason::Superseded),
            None => Ok(Vec::new()),
        };
        led.land(&entry);
        match stored {
            Ok(evicted) => evicted.iter().for_each(|gone| gone.tell(&cache)),
            Err(reason) => return self.refuse(reason),
        }
        cache.emit(EventKind::Stored { bytes, render_time }, Some(&self.key), &self.origin);
        Outcome::Stored
    }

    fn refuse(&self, reason: RefusalReason) -> Outcome {
        self.cache.emit(EventKind::Refused(reason), Some(&self.key), &self.origin);
        Outcome::Refused(reason)
    }

    /// Refuses what the next render would most likely bring too: nobody is to wait for that one.
    fn refuse_for_good(&self, led: Led<'_>, fill: Option<Fill>, reason: RefusalReason) -> Outcome {
        let cache = &self.cache;
        led.part(cache.moment().saturating_after(cache.ageing().refresh_backoff));
        if let Some((far, fill)) = cache.far().zip(fill) {
            far.give_up_unshared(fill);
        }
        if let Some(near) = cache.near() {
            near.note(self.hash, MissReason::Vetoed);
        }
        self.refuse(reason)
    }

    /// Puts a body into the far store. Without a store to be reached it is good for this process, for
    /// as long as the near level is trusted.
    fn store_far(
        &self,
        far: &Far,
        fill: Option<Fill>,
        body: &Body,
        terms: &Terms,
        (now, expires): (Moment, Moment),
    ) -> Result<Proof, RefusalReason> {
        let verified = self.started.min(self.evidence.verified);
        let unproven = || Proof::new(Vec::new(), verified, verified);
        let Some(fill) = fill else { return Ok(unproven()) };
        if self.evidence.is_broken {
            far.give_up(fill);
            return Ok(unproven());
        }
        let rendered = ToStore {
            key: &self.key,
            origin: &self.origin,
            version: self.version,
            labels: &self.labels,
            dependencies: terms.dependencies.as_ref(),
            evidence: &self.evidence,
            life: (expires != Moment::NEVER).then(|| expires.since(now)),
            stale: terms.last.since(expires),
            render_time: now.since(self.started),
            body: body.as_bytes(),
        };
        let error = match far.store(&fill, rendered) {
            Ok(proof) => {
                stack::with_top(|outer| outer.learn(&self.cache, proof.versions()));
                return Ok(proof);
            }
            Err(error) => error,
        };
        match error {
            NotStored::TooLarge => {
                far.give_up_unshared(fill);
                return Err(RefusalReason::BodyTooLarge);
            }
            NotStored::Away(_) | NotStored::Invalidated | NotStored::LeaseLost => far.give_up(fill),
        }
        match error {
            NotStored::Away(away) => {
                self.cache.note_fault(&away);
                Ok(unproven())
            }
            NotStored::Invalidated => Err(RefusalReason::Invalidated),
            NotStored::LeaseLost | NotStored::TooLarge => Err(RefusalReason::Superseded),
        }
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
                served: None,
            });
            outer.evidence.take_over(&self.evidence);
        });
    }
}
