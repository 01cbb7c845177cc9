//! One caller: the lookup, the waits, and what follows a miss.

use std::sync::Arc;

use super::Ticket;
use super::annotate;
use super::ask::Answer;
use super::enter::{MakeBody, Opened, Request};
use super::prefetched::Prefetches;
use super::stack::{self, Frame, Purpose};
use super::wait_strategy::{WaitStrategy, Waited};
use crate::clock::{Deadline, Moment, instant};
use crate::entry::{Entry, EntrySource, KeyBytes};
use crate::events::{BypassReason, EventKind, MissReason, RefusalReason};
use crate::far::{Fill, InheritedVersions, ReadSnapshot};
use crate::flight::{Flight, FlightRequest, FlightWait, Joined, Refresh};
use crate::freshness::{DependencySet, Sequence};
use crate::handle::Handle;
use crate::hash::HashedKey;
use crate::key;
use crate::label::{Label, Labels};
use crate::near::{Left, Missed, Near, Variant};
use crate::policy::CacheMode;
use crate::protection::Protection;

/// A flight that this caller leads and has not passed to a frame yet. If it is dropped, a follower
/// leads.
pub(super) struct LeaderGuard<'a> {
    cache: &'a Handle,
    flight: Option<Arc<Flight>>,
}

impl<'a> LeaderGuard<'a> {
    pub(super) fn new(cache: &'a Handle, flight: Arc<Flight>) -> Self {
        Self { cache, flight: Some(flight) }
    }

    pub(super) fn complete(mut self, entry: &Entry) {
        if let Some(flight) = self.flight.take() {
            self.cache.flights().complete(&flight, entry.clone());
        }
    }

    pub(super) fn into(mut self, purpose: fn(Arc<Flight>) -> Purpose) -> Purpose {
        self.flight.take().map_or(Purpose::Print, purpose)
    }
}

impl LeaderGuard<'_> {
    /// No caller waits for the next render of this key, or refreshes it before `rests`.
    pub(super) fn detach(mut self, rests: Moment) {
        if let Some(flight) = self.flight.take() {
            self.cache.flights().back_off(&flight, rests);
            self.cache.flights().detach(&flight, self.cache.moment());
        }
    }
}

impl Drop for LeaderGuard<'_> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.cache.flights().abandon(&flight);
        }
    }
}

/// How often a caller retries after it received an outdated result from another leader.
const ATTEMPTS: usize = 3;

/// One caller. `M` makes a body of the bytes that a store has.
pub(super) struct Caller<'a, M> {
    pub(super) cache: &'a Handle,
    pub(super) hashed: HashedKey<'a>,
    pub(super) source: &'a Arc<EntrySource>,
    pub(super) request: &'a Request,
    pub(super) body: &'a M,
    pub(super) labels: Labels,
    /// The read point of the caller's data, if one was given.
    pub(super) point: Option<Sequence>,
    /// What was known of the far level at that read point.
    pub(super) read_snapshot: Option<ReadSnapshot>,
    /// What was prefetched for this render.
    pub(super) prefetched: Prefetches,
    /// How long its page has waited without a result.
    pub(super) waited: Waited,
}

impl<M: MakeBody> Caller<'_, M> {
    /// The frame of a body that this caller renders.
    pub(super) fn frame(
        &self,
        purpose: Purpose,
        fill: Option<Fill>,
        veto: Option<RefusalReason>,
    ) -> Frame {
        let (cache, request) = (self.cache, self.request);
        let began = cache.fresh().now();
        let mut inner = DependencySet::default();
        if let Some(group) = key::group_bytes(self.hashed.key) {
            inner.insert(cache.hasher().group(group));
        }
        Frame {
            id: stack::next_id(),
            cache: cache.clone(),
            purpose,
            key: KeyBytes::from_slice(self.hashed.key),
            hash: self.hashed.hash,
            source: Arc::clone(self.source),
            labels: self.labels.clone(),
            point: self.point,
            read_snapshot: match &fill {
                Some(fill) => Some(fill.read_snapshot.clone()),
                None => self.own_snapshot(),
            },
            fill,
            inherited_versions: InheritedVersions::default(),
            began,
            read: began.min(self.point.unwrap_or(Sequence::LAST)),
            started: cache.moment(),
            ttl: cache.ttl(request.timeout),
            stale: request.stale.unwrap_or(cache.ageing().stale_window),
            version: request.version,
            waited: self.waited.clone(),
            inner,
            inner_expires: Moment::NEVER,
            inner_last: Moment::NEVER,
            veto,
            write: request.write(),
            is_given: request.is_given,
            is_failure: false,
            is_kept: true,
            scoped: request.scoped,
            why: None,
        }
    }

    pub(super) fn flight_request(&self) -> FlightRequest<'_> {
        FlightRequest {
            hashed: self.hashed,
            source: self.source,
            version: self.request.version,
            labels: &self.labels,
            fresh: self.cache.fresh(),
        }
    }

    fn look(&self, near: &Near) -> Result<Entry, Missed> {
        let variant = Variant {
            digest: self.source.digest(),
            mode: self.source.mode(),
            version: self.request.version,
        };
        let recent = || self.cache.recent();
        let found = near.lookup(self.hashed, variant, self.cache.fresh(), &recent, Entry::clone);
        self.trust(near, found)
    }

    pub(super) fn emit(&self, kind: EventKind, tag: Option<Label>) {
        let is_asked = kind == EventKind::Miss(MissReason::TagInvalidated);
        let tag = tag.filter(|_| is_asked && self.cache.is_observed());
        let tag = tag.and_then(|label| self.cache.fresh().tag_of(label));
        self.cache.emit_about(kind, Some(self.hashed.key), self.source, tag.as_deref(), None);
    }

    /// Whether the fragment was invalidated after the caller's read point, before it started to
    /// render.
    fn is_late(&self) -> bool {
        self.point.is_some_and(|read| !self.cache.fresh().holds(&self.labels, None, read))
    }

    /// Waits for another caller's render. If the leader may have used data that was invalidated
    /// before this caller arrived, the caller tries again: the next leader starts after that.
    async fn wait<'f, P: WaitStrategy>(
        &self,
        waiting: FlightWait<'f>,
        deadline: Deadline,
        came: Moment,
    ) -> Joined<'f> {
        let since = instant();
        match P::wait(waiting, deadline).await {
            Joined::Follow(entry)
                if !self.cache.protections().keep(Protection::FollowerCheck)
                    || self.may_follow(&entry, came) =>
            {
                Joined::Follow(entry)
            }
            joined => {
                self.waited.spend(since);
                if matches!(joined, Joined::Follow(_)) { Joined::Again } else { joined }
            }
        }
    }

    /// Serves or opens the fragment. `missed` is the outcome of a lookup in `near`, if one was
    /// made.
    pub(super) async fn enter<P: WaitStrategy, R>(
        &self,
        near: &Near,
        mut missed: Option<Missed>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Opened<R> {
        let flights = self.cache.flights();
        let reads_only = self.cache.mode() == CacheMode::ReadOnly;
        let serve = |entry: &Entry, kind| {
            self.cache.pass_on(self.hashed, entry);
            self.emit(kind, None);
            Opened::Hit(on_hit(entry))
        };
        let (mut first, mut deadline, mut came) = (None, None, None);
        for _ in 0..ATTEMPTS {
            let now_missed = match missed
                .take()
                .map_or_else(|| self.look(near), |missed| self.trust(near, Err(missed)))
            {
                Ok(entry) => return serve(&entry, EventKind::Hit),
                Err(missed) => missed,
            };
            let began = self.cache.moment();
            let came = *came.get_or_insert(began);
            if let Left::Stale(entry) = now_missed.left {
                let reason = now_missed.reason;
                return self.enter_stale::<P, R>(near, &entry, reason, began, on_hit).await;
            }
            let (reason, tag) = first.get_or_insert((now_missed.reason, now_missed.tag));
            let tag = *tag;
            let print = |reason: MissReason, why| {
                let events = [EventKind::Miss(reason), EventKind::Bypassed(why)];
                self.render(Purpose::Print, None, None, &events, tag)
            };
            if reads_only {
                return match self.read_far(near) {
                    Some(entry) => serve(&entry, EventKind::Hit),
                    None => print(*reason, BypassReason::ReadOnly),
                };
            }
            if self.is_late() {
                return print(*reason, BypassReason::ReadPoint);
            }
            // A prefetched entry is at hand, so there is no need to wait.
            match self.read_ahead(near) {
                Some(Ok(entry)) => return serve(&entry, EventKind::Hit),
                Some(Err(Missed { left: Left::Stale(entry), reason, .. })) => {
                    return self.enter_stale::<P, R>(near, &entry, reason, began, on_hit).await;
                }
                Some(Err(_)) | None => {}
            }
            let limit = flights.wait_limit();
            let deadline =
                *deadline.get_or_insert_with(|| Deadline::after(self.waited.left(limit)));
            let joined = match flights.join(self.flight_request(), began) {
                Joined::Wait(waiting) => self.wait::<P>(waiting, deadline, came).await,
                joined => joined,
            };
            let (flight, passes) = match joined {
                Joined::Lead(flight) => (flight, false),
                Joined::Pass(flight) => (flight, true),
                Joined::Alone(why) => return print(*reason, why),
                Joined::Follow(entry) => {
                    self.emit(EventKind::Miss(*reason), tag);
                    let waited = self.cache.moment().since(began);
                    return serve(&entry, EventKind::Waited(waited));
                }
                Joined::Again | Joined::Wait(_) => continue,
            };
            let guard = LeaderGuard::new(self.cache, flight);
            // Another leader may have completed since the lookup.
            if !passes
                && self.cache.protections().keep(Protection::SecondLook)
                && let Ok(entry) = self.look(near)
            {
                guard.complete(&entry);
                return serve(&entry, EventKind::Hit);
            }
            let fill = match self.query_far::<P>(near, reason, deadline).await {
                Answer::Lead(fill) => Some(fill),
                Answer::Nothing => None,
                Answer::Alone(why) => return print(*reason, why),
                Answer::Found(entry) => match self.admit(near, entry) {
                    Ok(entry) => {
                        guard.complete(&entry);
                        return serve(&entry, EventKind::Hit);
                    }
                    Err(Missed { left: Left::Stale(entry), reason, .. }) => {
                        guard.complete(&entry);
                        return self.enter_stale::<P, R>(near, &entry, reason, began, on_hit).await;
                    }
                    Err(_) => continue,
                },
            };
            let events = [EventKind::Miss(*reason), EventKind::Bypassed(BypassReason::Unshared)];
            let events = if passes { &events[..] } else { &events[..1] };
            return self.render(guard.into(Purpose::Store), fill, None, events, tag);
        }
        let bypassed = EventKind::Bypassed(BypassReason::WaitLimit);
        match first {
            Some((reason, tag)) => {
                let events = [EventKind::Miss(reason), bypassed];
                self.render(Purpose::Print, None, None, &events, tag)
            }
            None => self.render(Purpose::Print, None, None, &[bypassed], None),
        }
    }

    /// Serves a stale entry while one caller refreshes it, or leads that refresh.
    async fn enter_stale<P: WaitStrategy, R>(
        &self,
        near: &Near,
        entry: &Entry,
        reason: MissReason,
        now: Moment,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Opened<R> {
        let flights = self.cache.flights();
        let refresh = match self.cache.mode() == CacheMode::ReadOnly || self.is_late() {
            true => Refresh::Led,
            false => flights.lead_refresh(self.flight_request(), now),
        };
        let expires = match refresh {
            Refresh::Lead(flight) => {
                let guard = LeaderGuard::new(self.cache, flight);
                let newer = match self.look(near) {
                    // Another caller refreshed it in the meantime.
                    Ok(newer)
                        if newer.expires != entry.expires || newer.began() != entry.began() =>
                    {
                        Some(newer)
                    }
                    _ => match self.query_to_refresh::<P>().await {
                        Answer::Lead(fill) => {
                            let purpose = guard.into(Purpose::Refresh);
                            let miss = [EventKind::Miss(reason)];
                            return self.render(purpose, Some(fill), None, &miss, None);
                        }
                        Answer::Nothing => {
                            let purpose = guard.into(Purpose::Refresh);
                            return self.render(
                                purpose,
                                None,
                                None,
                                &[EventKind::Miss(reason)],
                                None,
                            );
                        }
                        Answer::Found(newer) => self.admit(near, newer).ok(),
                        Answer::Alone(_) => None,
                    },
                };
                if let Some(newer) = newer {
                    guard.complete(&newer);
                    self.cache.pass_on(self.hashed, &newer);
                    self.emit(EventKind::Hit, None);
                    return Opened::Hit(on_hit(&newer));
                }
                // Another process refreshes it.
                entry.expires
            }
            Refresh::Led => entry.expires,
            // Enclosing fragments need not expire before a refresh may be tried again.
            Refresh::BackingOff(until) => until.min(entry.last()).max(entry.expires),
        };
        let kind = stale(entry, now);
        if kind == EventKind::Hit {
            near.count_hit(self.hashed.hash);
        }
        self.cache.pass_on_until(self.hashed, entry, expires);
        self.emit(kind, None);
        Opened::Hit(on_hit(entry))
    }

    /// Renders without the cache; enclosing fragments may be stored.
    pub(super) fn print<R>(&self, why: BypassReason) -> Opened<R> {
        self.render(Purpose::Print, None, None, &[EventKind::Bypassed(why)], None)
    }

    /// Renders without the cache, and vetoes the enclosing fragments.
    pub(super) fn veto<R>(&self, why: BypassReason) -> Opened<R> {
        let veto = Some(RefusalReason::Vetoed);
        self.render(Purpose::Print, None, veto, &[EventKind::Bypassed(why)], None)
    }

    pub(super) fn render<R>(
        &self,
        purpose: Purpose,
        fill: Option<Fill>,
        veto: Option<RefusalReason>,
        events: &[EventKind],
        tag: Option<Label>,
    ) -> Opened<R> {
        // The frame comes first: if an observer panics, dropping the frame abandons the flight.
        let mut frame = self.frame(purpose, fill, veto);
        frame.why = annotate::why(self.cache, self.source.mode(), events, tag);
        for &kind in events {
            self.emit(kind, tag);
        }
        Opened::Render(Ticket::new(stack::push(frame)))
    }
}

/// The event for an entry that is served while it is refreshed.
fn stale(entry: &Entry, now: Moment) -> EventKind {
    if entry.expires > now { EventKind::Hit } else { EventKind::Stale(now.since(entry.expires)) }
}
