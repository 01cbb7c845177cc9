//! From a key to a body or a frame: what follows when the near level has no fresh entry. Cache
//! blocks, fragments, calls, values and responses all take this path.

use std::sync::Arc;
use std::time::Duration;

use super::close::{Opened, Ticket};
use super::prefetched::Prefetches;
use super::stack::{self, Frame, Purpose};
use super::wait_strategy::{BlockThread, WaitStrategy, Waited, block};
use super::{RenderMemo, annotate, hit};
use crate::clock::{Deadline, Moment, instant};
use crate::entry::{Body, Entry, KeyBytes};
use crate::events::{BypassReason, EventKind, MissReason, RefusalReason};
use crate::far::{
    Far, FarMissed, Fill, InheritedVersions, LeaseRequest, Looked, Prepared, ReadSnapshot,
    Unavailable,
};
use crate::flight::{FlightWait, Joined, LeaderGuard, Refresh};
use crate::freshness::{DependencySet, Sequence};
use crate::handle::Handle;
use crate::key::{self, MAX_KEY_BYTES};
use crate::label::{Label, Labels};
use crate::lookup::{Lookup, Request};
use crate::near::{Left, Missed, Near};
use crate::options::Write;
use crate::policy::CacheMode;
use crate::protection::Protection;
use crate::read_point::{self, ReadPoint, ReadPosition};
use crate::timeout::Timeout;

/// How often a caller retries after it received an outdated result from another leader.
const ATTEMPTS: usize = 3;

/// The first and the longest pause between two checks for another process's result.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));

/// Makes a body of a store's bytes; `None` if they are not a valid body.
pub(crate) trait MakeBody: Fn(Vec<u8>) -> Option<Body> {}

impl<M: Fn(Vec<u8>) -> Option<Body>> MakeBody for M {}

/// What a caller brings along besides its request.
pub(crate) struct Context<'a, M> {
    /// Makes a body of what a store has.
    pub(crate) body: &'a M,
    /// The memo of the enclosing render.
    pub(crate) memo: Option<&'a RenderMemo>,
    /// The read point of the caller's data, in addition to those of open scopes.
    pub(crate) point: Option<ReadPoint>,
}

impl<M> Clone for Context<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Context<'_, M> {}

impl<'a, M> Context<'a, M> {
    /// A caller without a render and a read point of its own.
    pub(crate) fn new(body: &'a M) -> Self {
        Self { body, memo: None, point: None }
    }
}

/// Opens a request for a thread, after a lookup that was no quick hit.
pub(crate) fn open<M: MakeBody, R>(
    cache: &Handle,
    request: Request<'_>,
    context: Context<'_, M>,
    missed: Option<Missed>,
    on_hit: impl Fn(&Entry) -> R,
) -> Opened<R> {
    block(open_with::<BlockThread, M, R>(cache, request, context, missed, on_hit))
}

/// Opens what is not a [quick hit](super::quick_hit): misses, waits and bypasses. `missed` is the
/// outcome of an earlier lookup.
pub(super) async fn open_with<P: WaitStrategy, M: MakeBody, R>(
    cache: &Handle,
    request: Request<'_>,
    context: Context<'_, M>,
    missed: Option<Missed>,
    on_hit: impl Fn(&Entry) -> R,
) -> Opened<R> {
    let Request { hashed, source, options, .. } = request;
    cache.fresh().settle(cache.recent());
    let caller = Caller::new(cache, request, context);
    let Some(near) = cache.near() else { return caller.print(BypassReason::Mode) };
    if options.timeout == Timeout::Delete {
        cache.delete_encoded(hashed.key).eventually();
    }
    if let Some(opened) = caller.bypass() {
        return opened;
    }
    if options.refresh && cache.mode() == CacheMode::Normal {
        return caller.open_forced();
    }
    if options.refresh && options.is_given {
        return caller.print(BypassReason::ReadOnly);
    }
    // A failed, unscoped render may have left this fragment open.
    stack::abandon_leftover(hashed.hash, source);
    caller.enter::<P, R>(near, missed, on_hit).await
}

/// One caller. `M` makes a body of the bytes that a store has.
pub(super) struct Caller<'a, M> {
    pub(super) cache: &'a Handle,
    pub(super) request: Request<'a>,
    body: &'a M,
    pub(super) labels: Labels,
    /// The read point of the caller's data, if one was given.
    point: Option<Sequence>,
    /// What was known of the far level at that read point.
    read_snapshot: Option<ReadSnapshot>,
    /// What was prefetched for this render.
    prefetched: Prefetches,
    /// How long its page has waited without a result.
    waited: Waited,
}

impl<'a, M: MakeBody> Caller<'a, M> {
    pub(super) fn new(cache: &'a Handle, request: Request<'a>, context: Context<'a, M>) -> Self {
        let Context { body, memo, point } = context;
        let labels = cache.hasher().labels(request.hashed.key, request.source.template_label);
        let points = oldest_point(cache, point);
        let keeps = cache.protections().keep(Protection::ReadPoint);
        let around = stack::oldest_read(cache).filter(|_| keeps);
        let point = points.map(|points| points.near).into_iter().chain(around).min();
        let read_snapshot = cache.far().and_then(|far| {
            let around = stack::read_snapshot(cache).filter(|_| keeps);
            far.read_snapshot(points, around)
        });
        let prefetched = Prefetches::of(cache, memo);
        let waited = stack::waited().or_else(|| memo.map(|memo| memo.waited.clone()));
        let waited = waited.unwrap_or_default();
        Self { cache, request, body, labels, point, read_snapshot, prefetched, waited }
    }

    /// The request on its way past the near level.
    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup { request: self.request, labels: &self.labels, body: self.body }
    }

    /// Looks up the near level, with an unverified entry verified by the far level.
    fn look(&self, near: &Near) -> Result<Entry, Missed> {
        let (cache, request) = (self.cache, &self.request);
        let recent = || cache.recent();
        let found =
            near.lookup(request.hashed, request.variant(), cache.fresh(), &recent, Entry::clone);
        self.trust(near, found)
    }

    fn emit(&self, kind: EventKind, tag: Option<Label>) {
        let (cache, request) = (self.cache, &self.request);
        let is_asked = kind == EventKind::Miss(MissReason::TagInvalidated);
        let tag = tag.filter(|_| is_asked && cache.is_observed());
        let tag = tag.and_then(|label| cache.fresh().tag_of(label));
        cache.emit_about(kind, Some(request.hashed.key), request.source, tag.as_deref(), None);
    }

    /// Whether the fragment was invalidated after the caller's read point, before it started to
    /// render.
    fn is_late(&self) -> bool {
        self.point.is_some_and(|read| !self.cache.fresh().holds(&self.labels, None, read))
    }
}

/// The oldest read point that data of this render may have: the given one, or one of an open scope.
/// The bodies of enclosing fragments may have loaded the data too.
fn oldest_point(cache: &Handle, point: Option<ReadPoint>) -> Option<ReadPosition> {
    if !cache.protections().keep(Protection::ReadPoint) {
        return None;
    }
    let number = cache.number();
    let given = point.and_then(|point| point.of(number));
    [given, read_point::oldest_open(number)].into_iter().flatten().reduce(ReadPosition::min)
}

impl<M: MakeBody> Caller<'_, M> {
    /// The path of a caller that looks nothing up.
    pub(super) fn bypass<R>(&self) -> Option<Opened<R>> {
        let options = &self.request.options;
        if options.timeout == Timeout::Delete {
            return Some(self.veto(BypassReason::Delete));
        }
        if options.unless {
            return Some(self.veto(BypassReason::Unless));
        }
        if self.cache.mode() == CacheMode::Bypass {
            return Some(self.print(BypassReason::Mode));
        }
        let refused = [EventKind::Refused(RefusalReason::KeyTooLong)];
        let is_too_long = self.request.hashed.key.len() > MAX_KEY_BYTES;
        is_too_long.then(|| self.render(Purpose::Print, None, None, &refused, None))
    }

    /// Serves or opens the fragment. `missed` is the outcome of a lookup in `near`, if one was
    /// made.
    async fn enter<P: WaitStrategy, R>(
        &self,
        near: &Near,
        mut missed: Option<Missed>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Opened<R> {
        let flights = self.cache.flights();
        let reads_only = self.cache.mode() == CacheMode::ReadOnly;
        let serve = |entry: &Entry, kind| {
            hit::pass_on(self.cache, self.request.hashed, entry);
            self.emit(kind, None);
            Opened::Hit(on_hit(entry))
        };
        let (mut first, mut deadline, mut came) = (None, None, None);
        for _ in 0..ATTEMPTS {
            let looked = match missed.take() {
                Some(missed) => self.trust(near, Err(missed)),
                None => self.look(near),
            };
            let now_missed = match looked {
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
            let joined = flights.join(&self.lookup(), self.cache.fresh(), began);
            let joined = match joined {
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
            let guard = LeaderGuard::new(flights, flight);
            // Another leader may have completed since the lookup.
            if !passes
                && self.cache.protections().keep(Protection::SecondLook)
                && let Ok(entry) = self.look(near)
            {
                guard.complete(&entry);
                return serve(&entry, EventKind::Hit);
            }
            let fill = match self.query_far::<P>(near, reason, deadline).await {
                answer @ (Answer::Lead(_) | Answer::Nothing) => answer.fill(),
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
            return self.render(
                guard.pass_on().map_or(Purpose::Print, Purpose::Store),
                fill,
                None,
                events,
                tag,
            );
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
            false => flights.lead_refresh(&self.lookup(), self.cache.fresh(), now),
        };
        let expires = match refresh {
            Refresh::Lead(flight) => {
                let guard = LeaderGuard::new(flights, flight);
                let newer = match self.look(near) {
                    // Another caller refreshed it in the meantime.
                    Ok(newer)
                        if newer.expires != entry.expires || newer.began() != entry.began() =>
                    {
                        Some(newer)
                    }
                    _ => match self.query_to_refresh::<P>().await {
                        Answer::Found(newer) => self.admit(near, newer).ok(),
                        Answer::Alone(_) => None,
                        answer @ (Answer::Lead(_) | Answer::Nothing) => {
                            let purpose = guard.pass_on().map_or(Purpose::Print, Purpose::Refresh);
                            let miss = [EventKind::Miss(reason)];
                            return self.render(purpose, answer.fill(), None, &miss, None);
                        }
                    },
                };
                if let Some(newer) = newer {
                    guard.complete(&newer);
                    hit::pass_on(self.cache, self.request.hashed, &newer);
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
            near.count_hit(self.request.hashed.hash);
        }
        hit::pass_on_until(self.cache, self.request.hashed, entry, expires);
        self.emit(kind, None);
        Opened::Hit(on_hit(entry))
    }
}

/// The event for an entry that is served while it is refreshed.
fn stale(entry: &Entry, now: Moment) -> EventKind {
    if entry.expires > now { EventKind::Hit } else { EventKind::Stale(now.since(entry.expires)) }
}

/// The far level's answer to a miss.
enum Answer {
    /// There is no store, or it is unavailable.
    Nothing,
    /// It has an entry, possibly a stale one.
    Found(Entry),
    /// Render, and store the result.
    Lead(Fill),
    /// Render alone: another process renders it, and this caller does not wait.
    Alone(BypassReason),
}

impl Answer {
    /// The lease of a body to render, if there is a store.
    fn fill(self) -> Option<Fill> {
        match self {
            Self::Lead(fill) => Some(fill),
            Self::Nothing | Self::Found(_) | Self::Alone(_) => None,
        }
    }
}

impl<M: MakeBody> Caller<'_, M> {
    /// The outcome of a lookup in the near level, with an unverified entry verified by the far
    /// level.
    fn trust(&self, near: &Near, found: Result<Entry, Missed>) -> Result<Entry, Missed> {
        match found {
            Err(Missed { left: Left::Unverified(entry), .. }) => self.verify(near, entry),
            found => found,
        }
    }

    fn verify(&self, near: &Near, entry: Entry) -> Result<Entry, Missed> {
        let Some(far) = self.cache.far() else { return Err(MissReason::Unverified.into()) };
        if self.prefetched.iter().any(|ahead| ahead.has_verified(&entry)) {
            near.count_hit(self.request.hashed.hash);
            return self.revalidate(near, entry);
        }
        match far.verify(&entry, &self.labels) {
            Ok(Ok(())) => {
                near.count_hit(self.request.hashed.hash);
                self.revalidate(near, entry)
            }
            Ok(Err(reason)) => {
                near.discard(self.request.hashed, &entry, reason);
                Err(reason.into())
            }
            Err(unavailable) => {
                self.cache.note_fault(&unavailable);
                Err(MissReason::Unverified.into())
            }
        }
    }

    /// Validates an entry whose labels are unchanged in the far level.
    fn revalidate(&self, near: &Near, entry: Entry) -> Result<Entry, Missed> {
        near.revalidate(self.request.hashed, entry, self.cache.fresh(), &|| self.cache.recent())
    }

    /// Stores an entry of the far level in the near level, and validates it.
    fn admit(&self, near: &Near, entry: Entry) -> Result<Entry, Missed> {
        let source = self.cache.counted(self.request.hashed.key, self.request.source);
        let entry = Entry { source, ..entry };
        if near.fits(self.request.hashed, &entry) {
            let evicted = near.put(self.request.hashed, entry.clone(), self.cache.recent());
            let evicted = evicted.into_iter().flatten();
            evicted.for_each(|gone| self.cache.report_eviction(&gone));
        }
        near.count_hit(self.request.hashed.hash);
        self.revalidate(near, entry)
    }

    /// Whether an entry that another caller rendered may be served to this one, which arrived at
    /// `came`. It may if none of its labels can have been invalidated by then, in any process: an
    /// entry verified or begun after `came` qualifies; for others the store is queried. Without an
    /// answer the entry is refused.
    fn may_follow(&self, entry: &Entry, came: Moment) -> bool {
        let labels = &self.labels;
        if !self.cache.fresh().holds(labels, entry.dependencies(), entry.read) {
            return false;
        }
        let Some(far) = self.cache.far() else { return true };
        let Some(version_vector) = entry.version_vector() else { return false };
        // Not at the same moment: a clock may tick slowly.
        if version_vector.verified() > came || far.trusts(version_vector, self.cache.moment()) {
            return true;
        }
        let is_lenient = !self.cache.protections().keep(Protection::FollowerProof);
        if version_vector.versions().is_empty() {
            return is_lenient;
        }
        match far.verify(entry, labels) {
            Ok(verified) => verified.is_ok(),
            Err(unavailable) => {
                self.cache.note_fault(&unavailable);
                is_lenient
            }
        }
    }

    /// Looks up the far level and leads on a miss; waits while another process leads.
    async fn query_far<P: WaitStrategy>(
        &self,
        near: &Near,
        reason: &mut MissReason,
        deadline: Deadline,
    ) -> Answer {
        let Some(far) = self.cache.far() else { return Answer::Nothing };
        let looked = match self.look_prefetched(far, near) {
            Some(looked) => Ok(looked),
            None => far.look(self.lookup(), self.cache.fresh()),
        };
        match looked {
            Ok(Looked::Found(entry)) => Answer::Found(entry),
            Ok(Looked::Missed(missed)) => {
                // The near level has no reason of its own for these.
                if matches!(reason, MissReason::Cold | MissReason::Unverified) {
                    *reason = missed.reason;
                }
                self.lead::<P>(far, &missed, Some(deadline)).await
            }
            Err(unavailable) => self.without_store(&unavailable),
        }
    }

    /// The prefetched entry for this fragment, validated, if it is still valid.
    fn read_ahead(&self, near: &Near) -> Option<Result<Entry, Missed>> {
        match self.look_prefetched(self.cache.far()?, near)? {
            Looked::Found(entry) => Some(self.admit(near, entry)),
            Looked::Missed(_) => None,
        }
    }

    /// The prefetched outcome for this fragment, if it is still valid.
    fn look_prefetched(&self, far: &Far, near: &Near) -> Option<Looked> {
        let all = self.prefetched.iter();
        let looked = all.filter_map(|ahead| far.look_prefetched(ahead, self.lookup())).next()?;
        match looked {
            // This render may have invalidated the entry since.
            Looked::Found(entry) => match self.revalidate(near, entry.clone()) {
                Ok(_) | Err(Missed { left: Left::Stale(_), .. }) => Some(Looked::Found(entry)),
                Err(_) => None,
            },
            missed @ Looked::Missed(_) => Some(missed),
        }
    }

    /// Looks up a servable entry in the far level, without storing anything.
    fn read_far(&self, near: &Near) -> Option<Entry> {
        let far = self.cache.far()?;
        let looked = match self.look_prefetched(far, near) {
            Some(looked) => Ok(looked),
            None => far.look(self.lookup(), self.cache.fresh()),
        };
        match looked {
            Ok(Looked::Found(entry)) => match self.revalidate(near, entry) {
                Ok(entry) | Err(Missed { left: Left::Stale(entry), .. }) => Some(entry),
                Err(_) => None,
            },
            Ok(Looked::Missed(_)) => None,
            Err(unavailable) => {
                self.cache.note_fault(&unavailable);
                None
            }
        }
    }

    /// Looks up a fresh entry, for a caller that renders nothing.
    #[cfg(feature = "values")]
    fn peek(&self, near: &Near, missed: Missed) -> Result<Entry, MissReason> {
        let missed = match self.trust(near, Err(missed)) {
            Ok(entry) => return Ok(entry),
            Err(missed) => missed,
        };
        let Some(far) = self.cache.far() else { return Err(missed.reason) };
        let looked = match self.look_prefetched(far, near) {
            Some(looked) => Ok(looked),
            None => far.look(self.lookup(), self.cache.fresh()),
        };
        match looked {
            Ok(Looked::Found(entry)) => self.admit(near, entry).map_err(|missed| missed.reason),
            Ok(Looked::Missed(found)) => match missed.reason {
                MissReason::Cold | MissReason::Unverified => Err(found.reason),
                reason => Err(reason),
            },
            Err(unavailable) => {
                self.cache.note_fault(&unavailable);
                Err(MissReason::Unverified)
            }
        }
    }

    /// Leads the refresh of a stale entry, unless another process does.
    async fn query_to_refresh<P: WaitStrategy>(&self) -> Answer {
        let Some(far) = self.cache.far() else { return Answer::Nothing };
        let missed = far.unasked(self.lookup(), MissReason::Expired);
        self.lead::<P>(far, &missed, None).await
    }

    /// Takes the leases of these callers of one cache, even if others hold them.
    pub(super) fn seize_leases(callers: &[&Self]) -> Vec<Result<Fill, Unavailable>> {
        let Some((cache, far)) =
            callers.first().and_then(|one| Some((one.cache, one.cache.far()?)))
        else {
            return Vec::new();
        };
        let missed = |caller: &&Self| far.unasked(caller.lookup(), MissReason::Refresh);
        let missed: Vec<FarMissed> = callers.iter().map(missed).collect();
        let requests: Vec<LeaseRequest<'_>> = callers
            .iter()
            .zip(&missed)
            .map(|(caller, missed)| caller.lease_request(missed))
            .collect();
        far.seize(&requests, cache.fresh())
    }

    fn lease_request<'a>(&'a self, missed: &'a FarMissed) -> LeaseRequest<'a> {
        let adds = self.request.options.write() == Write::Add;
        LeaseRequest { lookup: self.lookup(), missed, inherited: self.read_snapshot.as_ref(), adds }
    }

    async fn lead<P: WaitStrategy>(
        &self,
        far: &Far,
        missed: &FarMissed,
        deadline: Option<Deadline>,
    ) -> Answer {
        let mut pause = PAUSES.0;
        let mut waits = None;
        let answer = loop {
            match far.prepare(self.lease_request(missed), self.cache.fresh()) {
                Ok(Prepared::Lead(fill)) => break Answer::Lead(fill),
                Ok(Prepared::Found(entry)) => return Answer::Found(entry),
                Ok(Prepared::Unshared) => break Answer::Alone(BypassReason::Unshared),
                Ok(Prepared::Busy) => {}
                Err(unavailable) => break self.without_store(&unavailable),
            }
            // Two processes that each hold a lease could wait for each other.
            if stack::holds_lease() {
                break Answer::Alone(BypassReason::Cycle);
            }
            if deadline.is_none_or(Deadline::is_over) {
                break Answer::Alone(BypassReason::WaitLimit);
            }
            waits.get_or_insert_with(instant);
            P::pause(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        };
        waits.into_iter().for_each(|since| self.waited.spend(since));
        answer
    }

    fn without_store(&self, unavailable: &Unavailable) -> Answer {
        self.cache.note_fault(unavailable);
        Answer::Nothing
    }

    /// The read snapshot of a body that is rendered without a lookup in the store, for the
    /// fragments inside it.
    fn own_snapshot(&self) -> Option<ReadSnapshot> {
        let far = self.cache.far()?;
        if self.read_snapshot.is_some() {
            return self.read_snapshot.clone();
        }
        let (moment, order) = (self.cache.moment(), far.next_read());
        let fences =
            far.snapshot().inspect_err(|unavailable| self.cache.note_fault(unavailable)).ok();
        Some(ReadSnapshot { known: Arc::default(), fences, moment, order })
    }
}

impl<M: MakeBody> Caller<'_, M> {
    /// Renders without the cache; enclosing fragments may be stored.
    fn print<R>(&self, why: BypassReason) -> Opened<R> {
        self.render(Purpose::Print, None, None, &[EventKind::Bypassed(why)], None)
    }

    /// Renders without the cache, and vetoes the enclosing fragments.
    fn veto<R>(&self, why: BypassReason) -> Opened<R> {
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
        frame.why = annotate::why(self.cache, self.request.source.mode(), events, tag);
        for &kind in events {
            self.emit(kind, tag);
        }
        Opened::Render(Ticket::new(stack::push(frame)))
    }

    /// The frame of a body that this caller renders.
    pub(super) fn frame(
        &self,
        purpose: Purpose,
        fill: Option<Fill>,
        veto: Option<RefusalReason>,
    ) -> Frame {
        let Self { cache, request: Request { hashed, source, version, options }, .. } = self;
        let began = cache.fresh().now();
        let mut inner = DependencySet::default();
        if let Some(group) = key::group_bytes(hashed.key) {
            inner.insert(cache.hasher().group(group));
        }
        Frame {
            id: stack::next_id(),
            cache: (*cache).clone(),
            purpose,
            key: KeyBytes::from_slice(hashed.key),
            hash: hashed.hash,
            source: Arc::clone(source),
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
            ttl: cache.ttl(options.timeout),
            version: *version,
            waited: self.waited.clone(),
            inner,
            inner_expires: Moment::NEVER,
            inner_last: Moment::NEVER,
            veto,
            options: *options,
            is_failure: false,
            is_kept: true,
            why: None,
        }
    }
}

/// What is stored, for a caller that renders nothing, after a lookup found nothing fresh.
#[cfg(feature = "values")]
pub(crate) fn peek<M: MakeBody>(
    cache: &Handle,
    request: Request<'_>,
    context: Context<'_, M>,
    missed: Missed,
) -> Option<Body> {
    let hashed = request.hashed;
    cache.fresh().settle(cache.recent());
    let near = cache.near()?;
    let caller = Caller::new(cache, request, context);
    let found = caller.peek(near, missed);
    let kind = match &found {
        Ok(_) => EventKind::Hit,
        Err(reason) => EventKind::Miss(*reason),
    };
    if let Ok(entry) = &found {
        hit::pass_on(cache, hashed, entry);
    }
    caller.emit(kind, None);
    found.ok().map(|entry| entry.body)
}
