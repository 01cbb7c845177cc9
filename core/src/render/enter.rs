//! From a key to a body or a frame: the lookup, the waits, and the path of a miss. Cache blocks in
//! templates and fragments in Rust code both take it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::caller::Caller;
use super::prefetched::Prefetches;
use super::stack::{self, Inherited, Purpose};
use super::wait_strategy::{BlockThread, WaitStrategy, block};
use super::{RenderMemo, Ticket, ask};
use crate::clock::Moment;
use crate::entry::{Body, Entry, EntrySource};
use crate::events::{BypassReason, EventKind, RefusalReason};
use crate::far::Write;
use crate::handle::Handle;
use crate::hash::HashedKey;
use crate::hash::Version;
use crate::key::MAX_KEY_BYTES;
use crate::near::{Left, Missed, Variant};
use crate::policy::CacheMode;
use crate::protection::Protection;
use crate::read_point::{self, ReadPoint, ReadPosition};
use crate::timeout::Timeout;

/// What a cache block is to do.
#[derive(Debug)]
pub enum Opened<R> {
    /// Print this; the body is not needed.
    Hit(R),
    /// Render the body, then close the ticket with it.
    Render(Ticket),
}

/// The options of a lookup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) timeout: Timeout,
    pub(crate) unless: bool,
    pub(crate) refresh: bool,
    /// Whether the caller supplies the body and gets the outcome. It is stored for all readers, or
    /// not at all.
    pub(crate) is_given: bool,
    /// Whether a scope abandons this render's open fragments when it fails.
    pub(crate) scoped: bool,
    pub(crate) version: Version,
    /// The stale window; the cache's default if `None`.
    pub(crate) stale: Option<Duration>,
}

impl Request {
    /// The options of Rust code that sets none.
    #[cfg(feature = "values")]
    pub(crate) fn plain() -> Self {
        Self {
            timeout: Timeout::Default,
            unless: false,
            refresh: false,
            is_given: false,
            scoped: true,
            version: Version::default(),
            stale: None,
        }
    }
}

impl Request {
    /// How the body is written.
    pub(super) fn write(&self) -> Write {
        match (self.refresh, self.is_given) {
            (true, _) => Write::Replace,
            (false, true) => Write::Add,
            (false, false) => Write::Fill,
        }
    }
}

/// Makes a body of a store's bytes; `None` if they are not a valid body.
pub(crate) trait MakeBody: Fn(Vec<u8>) -> Option<Body> {}

impl<M: Fn(Vec<u8>) -> Option<Body>> MakeBody for M {}

/// What a caller looks up.
pub(crate) struct Lookup<'a, M> {
    pub(crate) hashed: HashedKey<'a>,
    pub(crate) source: &'a Arc<EntrySource>,
    pub(crate) request: &'a Request,
    /// Makes a body of what a store has.
    pub(crate) body: &'a M,
    /// The memo of the enclosing render.
    pub(crate) memo: Option<&'a RenderMemo>,
}

impl<M> Clone for Lookup<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Lookup<'_, M> {}

impl Handle {
    /// The hit path of a block without special options. `None` if the block has any, or if lookups
    /// are off.
    pub(crate) fn quick_hit<R>(
        &self,
        hashed: HashedKey<'_>,
        variant: Variant<'_>,
        request: &Request,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Option<Result<R, Missed>> {
        let plain = !request.unless && !request.refresh && request.timeout != Timeout::Delete;
        if !plain || !self.reads() {
            return None;
        }
        let near = self.near()?;
        // Only an enclosing fragment or an observer needs more than the body.
        let told = stack::depth() > 0 || self.is_observed();
        // The clock is read once, for expiry and for statistics.
        let seen = Cell::new(None);
        let now = || {
            let now = seen.get().unwrap_or_else(|| self.recent());
            seen.set(Some(now));
            now
        };
        let on_entry = |entry: &Entry| {
            let counts = entry.source.counters.as_deref().filter(|_| !told);
            counts.into_iter().for_each(|row| row.hit(now()));
            (on_hit(entry), told.then(|| entry.clone()), counts.is_some())
        };
        let found = near.lookup(hashed, variant, self.fresh(), &now, on_entry);
        Some(found.map(|(value, entry, is_counted)| {
            match entry {
                Some(entry) => {
                    self.pass_on(hashed, &entry);
                    self.emit(EventKind::Hit, Some(hashed.key), &entry.source);
                }
                None if is_counted => {}
                None => self.note_quick_hit(hashed.key),
            }
            value
        }))
    }

    /// Passes the dependencies of a served `entry` to the enclosing fragment.
    pub(super) fn pass_on(&self, hashed: HashedKey<'_>, entry: &Entry) {
        self.pass_on_until(hashed, entry, entry.expires);
    }

    /// As [`pass_on`](Self::pass_on), for an entry that is served unchanged until `expires`.
    pub(super) fn pass_on_until(&self, hashed: HashedKey<'_>, entry: &Entry, expires: Moment) {
        let labels = self.hasher().labels(hashed.key, entry.source.template_label);
        stack::with_top(|outer| {
            let inherited = Inherited::from_entry(self, &labels, entry);
            outer.inherit(&Inherited { expires, ..inherited });
        });
    }

    /// Everything but quick hits: misses, waits and bypasses.
    ///
    /// `missed` is the outcome of an earlier lookup. `point` is the caller's read point, in
    /// addition to those of open scopes.
    pub(crate) fn open_slow<M: MakeBody, R>(
        &self,
        lookup: Lookup<'_, M>,
        missed: Option<Missed>,
        point: Option<ReadPoint>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Opened<R> {
        block(self.open_waiting::<BlockThread, M, R>(lookup, missed, point, on_hit))
    }

    /// As [`open_slow`](Self::open_slow), with the wait strategy `P`.
    pub(super) async fn open_waiting<P: WaitStrategy, M: MakeBody, R>(
        &self,
        lookup: Lookup<'_, M>,
        missed: Option<Missed>,
        point: Option<ReadPoint>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Opened<R> {
        let Lookup { hashed, source, request, .. } = lookup;
        self.fresh().settle(self.recent());
        let caller = self.caller(lookup, point);
        let Some(near) = self.near() else { return caller.print(BypassReason::Mode) };
        if request.timeout == Timeout::Delete {
            self.delete_encoded(hashed.key).eventually();
        }
        if let Some(opened) = caller.bypass() {
            return opened;
        }
        if request.refresh && self.mode() == CacheMode::Normal {
            return caller.open_forced();
        }
        if request.refresh && request.is_given {
            return caller.print(BypassReason::ReadOnly);
        }
        // A failed, unscoped render may have left this fragment open.
        stack::abandon_leftover(hashed.hash, source);
        caller.enter::<P, R>(near, missed, on_hit).await
    }

    /// What is stored, for a caller that renders nothing, after a lookup found nothing fresh.
    #[cfg(feature = "values")]
    pub(crate) fn peek<M: MakeBody>(&self, lookup: Lookup<'_, M>, missed: Missed) -> Option<Body> {
        let hashed = lookup.hashed;
        self.fresh().settle(self.recent());
        let near = self.near()?;
        let caller = self.caller(lookup, None);
        let found = caller.peek(near, missed);
        let kind = match &found {
            Ok(_) => EventKind::Hit,
            Err(reason) => EventKind::Miss(*reason),
        };
        if let Ok(entry) = &found {
            self.pass_on(hashed, entry);
        }
        self.emit(kind, Some(hashed.key), caller.source);
        found.ok().map(|entry| entry.body)
    }

    pub(super) fn caller<'a, M: MakeBody>(
        &'a self,
        lookup: Lookup<'a, M>,
        point: Option<ReadPoint>,
    ) -> Caller<'a, M> {
        let Lookup { hashed, source, request, body, memo } = lookup;
        let labels = self.hasher().labels(hashed.key, source.template_label);
        let points = self.oldest_point(point);
        let keeps = self.protections().keep(Protection::ReadPoint);
        let around = stack::oldest_read(self).filter(|_| keeps);
        let point = points.map(|points| points.near).into_iter().chain(around).min();
        let read_snapshot = self.far().and_then(|far| {
            let around = stack::read_snapshot(self).filter(|_| keeps);
            ask::read_snapshot(far, points, around)
        });
        let prefetched = Prefetches::of(self, memo);
        let waited = stack::waited().or_else(|| memo.map(|memo| memo.waited.clone()));
        let waited = waited.unwrap_or_default();
        Caller {
            cache: self,
            hashed,
            source,
            request,
            body,
            labels,
            point,
            read_snapshot,
            prefetched,
            waited,
        }
    }

    /// The oldest read point that data of this render may have: the given one, or one of an open
    /// scope. The bodies of enclosing fragments may have loaded the data too.
    fn oldest_point(&self, point: Option<ReadPoint>) -> Option<ReadPosition> {
        if !self.protections().keep(Protection::ReadPoint) {
            return None;
        }
        let number = self.number();
        let given = point.and_then(|point| point.of(number));
        [given, read_point::oldest_open(number)].into_iter().flatten().reduce(ReadPosition::min)
    }

    /// A stored body in place of an error (stale-if-error): within its stale window, and unless the
    /// caller required a new one.
    pub(crate) fn stale_if_error(
        &self,
        hashed: HashedKey<'_>,
        variant: Variant<'_>,
        request: &Request,
    ) -> Option<Body> {
        if request.unless || request.refresh || request.timeout == Timeout::Delete {
            return None;
        }
        let near = self.near().filter(|_| self.reads())?;
        let found = near.lookup(hashed, variant, self.fresh(), &|| self.recent(), Entry::clone);
        let entry = match found {
            Ok(entry) => entry,
            Err(Missed { left: Left::Stale(entry), .. }) => entry,
            Err(Missed { left: Left::Unverified(entry), .. }) => {
                let labels = self.hasher().labels(hashed.key, entry.source.template_label);
                self.far()?.verify(&entry, &labels).ok()?.ok()?;
                match near.revalidate(hashed, entry, self.fresh(), &|| self.recent()) {
                    Ok(entry) | Err(Missed { left: Left::Stale(entry), .. }) => entry,
                    Err(_) => return None,
                }
            }
            Err(_) => return None,
        };
        self.pass_on(hashed, &entry);
        self.emit(EventKind::StaleIfError, Some(hashed.key), &entry.source);
        Some(entry.body)
    }

    pub(crate) fn ttl(&self, timeout: Timeout) -> Option<Duration> {
        match timeout {
            Timeout::Default | Timeout::Delete => self.default_ttl(),
            Timeout::Never => None,
            Timeout::After(ttl) => Some(ttl),
        }
    }
}

impl<M: MakeBody> Caller<'_, M> {
    /// The path of a caller that looks nothing up.
    pub(super) fn bypass<R>(&self) -> Option<Opened<R>> {
        if self.request.timeout == Timeout::Delete {
            return Some(self.veto(BypassReason::Delete));
        }
        if self.request.unless {
            return Some(self.veto(BypassReason::Unless));
        }
        if self.cache.mode() == CacheMode::Bypass {
            return Some(self.print(BypassReason::Mode));
        }
        let refused = [EventKind::Refused(RefusalReason::KeyTooLong)];
        let is_too_long = self.hashed.key.len() > MAX_KEY_BYTES;
        is_too_long.then(|| self.render(Purpose::Print, None, None, &refused, None))
    }
}
