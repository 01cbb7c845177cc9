//! From a key to a body or a frame: the lookup, the waits, and what a caller does who finds nothing
//! fresh. Blocks of templates and fragments of Rust code both come this way.

use std::sync::Arc;
use std::time::Duration;

use super::stack::{self, Frame, Inherited, Purpose};
use super::{Ticket, annotate};
use crate::cache::FragmentCache;
use crate::clock::Moment;
use crate::entry::{Body, Entry, KeyBytes, Origin};
use crate::flight::{Joined, Refresh, Wanted};
use crate::fresh::{DependencySet, Label, Labels, Sequence};
use crate::hash::Version;
use crate::key::MAX_KEY_BYTES;
use crate::near::{Missed, Near, Probe, Variant};
use crate::observe::{BypassReason, EventKind, MissReason, RefusalReason};
use crate::point::{self, ReadPoint};
use crate::policy::Mode;
use crate::protection::Protection;
use crate::timeout::Timeout;

/// What a cache block is to do.
#[derive(Debug)]
pub enum Opened<R> {
    /// Print this; the body is not needed.
    Hit(R),
    /// Render the body, then close the ticket with it.
    Render(Ticket),
}

/// A block's wishes after its arguments were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) timeout: Timeout,
    pub(crate) unless: bool,
    pub(crate) refresh: bool,
    /// Whether someone gives up this render's open fragments when it fails.
    pub(crate) scoped: bool,
    pub(crate) version: Version,
    /// The stale window; the cache's own without.
    pub(crate) stale: Option<Duration>,
}

/// How often a caller that received an outdated render of another's tries again.
const ATTEMPTS: usize = 3;

/// One caller on its way.
pub(super) struct Caller<'a> {
    cache: &'a FragmentCache,
    probe: Probe<'a>,
    origin: &'a Arc<Origin>,
    request: &'a Request,
    labels: Labels,
    /// The read point that the caller's data is from, if it told.
    point: Option<Sequence>,
}

impl FragmentCache {
    /// The way of a hit, for a block that asks for nothing special; `None` if this is not such a
    /// case.
    pub(crate) fn quick_hit<R>(
        &self,
        probe: Probe<'_>,
        variant: Variant<'_>,
        request: &Request,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Option<Result<R, Missed>> {
        let plain = !request.unless && !request.refresh && request.timeout != Timeout::Delete;
        if !plain || !self.reads() {
            return None;
        }
        let near = self.near()?;
        // Only a fragment around this one, or an observer, wants more than the body.
        let told = stack::depth() > 0 || self.has_observer();
        let on_entry = |entry: &Entry| (on_hit(entry), told.then(|| entry.clone()));
        let found = near.lookup(probe, variant, self.fresh(), &|| self.recent(), on_entry);
        Some(found.map(|(value, entry)| {
            if let Some(entry) = entry {
                self.pass_on(probe, &entry);
                self.emit(EventKind::Hit, Some(probe.key), &entry.origin);
            }
            value
        }))
    }

    /// Tells the fragment around this one what it depends on by printing `entry`.
    fn pass_on(&self, probe: Probe<'_>, entry: &Entry) {
        self.pass_on_until(probe, entry, entry.expires);
    }

    /// As [`pass_on`](Self::pass_on), where it will be printed just so until `expires`.
    fn pass_on_until(&self, probe: Probe<'_>, entry: &Entry, expires: Moment) {
        let labels = self.hasher().labels(probe.key, entry.origin.template_label);
        stack::with_top(|outer| {
            let inherited = Inherited::from_entry(self, &labels, entry);
            outer.inherit(&Inherited { expires, ..inherited });
        });
    }

    /// Everything else: misses, waits, and bypasses.
    ///
    /// `missed` is the outcome of a lookup that was made already, `point` the caller's read point
    /// beside those whose scopes are open.
    pub(crate) fn open_slow<R>(
        &self,
        probe: Probe<'_>,
        origin: &Arc<Origin>,
        request: &Request,
        missed: Option<Missed>,
        point: Option<ReadPoint>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Opened<R> {
        self.fresh().settle(self.recent());
        let caller = self.caller(probe, origin, request, point);
        let Some(near) = self.near() else { return caller.print(BypassReason::Mode) };
        if request.timeout == Timeout::Delete {
            self.delete_encoded(probe.key);
            return caller.veto(BypassReason::Delete);
        }
        if request.unless {
            return caller.veto(BypassReason::Unless);
        }
        match self.mode() {
            Mode::Bypass => return caller.print(BypassReason::Mode),
            _ if probe.key.len() > MAX_KEY_BYTES => {
                let refused = EventKind::Refused(RefusalReason::KeyTooLong);
                return caller.render(Purpose::Print, None, &[refused], None);
            }
            Mode::Normal if request.refresh => {
                stack::abandon_leftover(probe.hash, origin);
                let flight = self.flights().lead_anew(caller.wanted());
                let miss = [EventKind::Miss(MissReason::Refresh)];
                return caller.render(Purpose::Store(flight), None, &miss, None);
            }
            Mode::Normal | Mode::ReadOnly => {}
        }
        // A failed render that nobody bounds may have left this very fragment open.
        stack::abandon_leftover(probe.hash, origin);
        caller.enter(near, missed, on_hit)
    }

    pub(super) fn caller<'a>(
        &'a self,
        probe: Probe<'a>,
        origin: &'a Arc<Origin>,
        request: &'a Request,
        point: Option<ReadPoint>,
    ) -> Caller<'a> {
        let labels = self.hasher().labels(probe.key, origin.template_label);
        let point = self.oldest_point(point);
        Caller { cache: self, probe, origin, request, labels, point }
    }

    /// The oldest of the read points that data of this render may be from: the given one, those
    /// whose scopes are open, and those of the fragments around, whose bodies may have loaded it.
    fn oldest_point(&self, point: Option<ReadPoint>) -> Option<Sequence> {
        if !self.protections().keep(Protection::ReadPoint) {
            return None;
        }
        let number = self.number();
        let given = point.and_then(|point| point.of(number));
        let points = [given, point::oldest_open(number), stack::oldest_read(self)];
        points.into_iter().flatten().min()
    }

    /// A stored body in place of the error of one that failed: within its stale window, and unless
    /// the caller insisted on a new one.
    pub(crate) fn stand_in(
        &self,
        probe: Probe<'_>,
        variant: Variant<'_>,
        request: &Request,
    ) -> Option<Body> {
        if request.unless || request.refresh || request.timeout == Timeout::Delete {
            return None;
        }
        let near = self.near().filter(|_| self.reads())?;
        let found = near.lookup(probe, variant, self.fresh(), &|| self.recent(), Entry::clone);
        let entry = match found {
            Ok(entry) => entry,
            Err(missed) => missed.stale?,
        };
        self.pass_on(probe, &entry);
        self.emit(EventKind::StoodIn, Some(probe.key), &entry.origin);
        Some(entry.body)
    }

    fn life(&self, timeout: Timeout) -> Option<Duration> {
        match timeout {
            Timeout::Default | Timeout::Delete => self.default_life(),
            Timeout::Never => None,
            Timeout::After(life) => Some(life),
        }
    }
}

impl Caller<'_> {
    /// The frame of a body that this caller renders.
    pub(super) fn frame(&self, purpose: Purpose, veto: Option<RefusalReason>) -> Frame {
        let (cache, request) = (self.cache, self.request);
        let began = cache.fresh().now();
        Frame {
            id: stack::next_id(),
            cache: cache.clone(),
            purpose,
            key: KeyBytes::from_slice(self.probe.key),
            hash: self.probe.hash,
            origin: Arc::clone(self.origin),
            labels: self.labels.clone(),
            point: self.point,
            began,
            read: began.min(self.point.unwrap_or(Sequence::LAST)),
            started: cache.moment(),
            life: cache.life(request.timeout),
            stale: request.stale.unwrap_or(cache.ageing().stale_window),
            version: request.version,
            inner: DependencySet::default(),
            inner_expires: Moment::NEVER,
            inner_last: Moment::NEVER,
            veto,
            scoped: request.scoped,
            why: None,
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            probe: self.probe,
            origin: self.origin,
            version: self.request.version,
            labels: &self.labels,
            fresh: self.cache.fresh(),
        }
    }

    fn look(&self, near: &Near) -> Result<Entry, Missed> {
        let variant = Variant {
            digest: self.origin.digest(),
            mode: self.origin.mode(),
            version: self.request.version,
        };
        let recent = || self.cache.recent();
        near.lookup(self.probe, variant, self.cache.fresh(), &recent, Entry::clone)
    }

    fn emit(&self, kind: EventKind, tag: Option<Label>) {
        let is_asked = kind == EventKind::Miss(MissReason::TagInvalidated);
        let tag = tag.filter(|_| is_asked && self.cache.has_observer());
        let tag = tag.and_then(|label| self.cache.fresh().tag_of(label));
        self.cache.emit_about(kind, Some(self.probe.key), self.origin, tag.as_deref());
    }

    /// Whether what this caller would render was invalidated before it began.
    fn is_late(&self) -> bool {
        self.point.is_some_and(|read| !self.cache.fresh().holds(&self.labels, None, read))
    }

    /// A lookup in `near` has found nothing fresh, or was not made yet.
    fn enter<R>(
        &self,
        near: &Near,
        mut missed: Option<Missed>,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Opened<R> {
        let flights = self.cache.flights();
        let reads_only = self.cache.mode() == Mode::ReadOnly;
        let serve = |entry: &Entry, kind| {
            self.cache.pass_on(self.probe, entry);
            self.emit(kind, None);
            Opened::Hit(on_hit(entry))
        };
        let (mut first, mut deadline) = (None, None);
        for _ in 0..ATTEMPTS {
            let now_missed = match missed.take().map_or_else(|| self.look(near), Err) {
                Ok(entry) => return serve(&entry, EventKind::Hit),
                Err(missed) => missed,
            };
            let began = self.cache.moment();
            if let Some(entry) = now_missed.stale {
                return self.enter_stale(near, &entry, now_missed.reason, began, on_hit);
            }
            let &mut (reason, tag) = first.get_or_insert((now_missed.reason, now_missed.tag));
            let miss = EventKind::Miss(reason);
            let print =
                |why| self.render(Purpose::Print, None, &[miss, EventKind::Bypassed(why)], tag);
            if reads_only {
                return print(BypassReason::ReadOnly);
            }
            if self.is_late() {
                return print(BypassReason::ReadPoint);
            }
            let deadline = *deadline.get_or_insert_with(|| flights.deadline());
            match flights.join(self.wanted(), began, deadline) {
                Joined::Lead(flight) => {
                    // Another leader may have landed since the lookup.
                    if self.cache.protections().keep(Protection::SecondLook)
                        && let Ok(entry) = self.look(near)
                    {
                        flights.land(&flight, entry.clone());
                        return serve(&entry, EventKind::Hit);
                    }
                    return self.render(Purpose::Store(flight), None, &[miss], tag);
                }
                Joined::Pass(flight) => {
                    let events = [miss, EventKind::Bypassed(BypassReason::Unshared)];
                    return self.render(Purpose::Store(flight), None, &events, tag);
                }
                Joined::Alone(why) => return print(why),
                Joined::Follow(entry) => {
                    // The leader may have used fragments that were invalidated before this
                    // caller came.
                    if !self.cache.protections().keep(Protection::FollowerCheck)
                        || self.cache.fresh().holds(&self.labels, entry.dependencies(), entry.read)
                    {
                        self.emit(miss, tag);
                        let waited = self.cache.moment().since(began);
                        return serve(&entry, EventKind::Waited(waited));
                    }
                }
                Joined::Again => {}
            }
        }
        let bypassed = EventKind::Bypassed(BypassReason::WaitLimit);
        match first {
            Some((reason, tag)) => {
                self.render(Purpose::Print, None, &[EventKind::Miss(reason), bypassed], tag)
            }
            None => self.render(Purpose::Print, None, &[bypassed], None),
        }
    }

    /// A lookup has found what may be served while one caller renders anew.
    fn enter_stale<R>(
        &self,
        near: &Near,
        entry: &Entry,
        reason: MissReason,
        now: Moment,
        on_hit: impl Fn(&Entry) -> R,
    ) -> Opened<R> {
        let flights = self.cache.flights();
        let refresh = match self.cache.mode() == Mode::ReadOnly || self.is_late() {
            true => Refresh::Led,
            false => flights.lead_refresh(self.wanted(), now),
        };
        let expires = match refresh {
            Refresh::Lead(flight) => {
                return match self.look(near) {
                    // Another caller refreshed it meanwhile.
                    Ok(newer)
                        if newer.expires != entry.expires || newer.began() != entry.began() =>
                    {
                        flights.land(&flight, newer.clone());
                        self.cache.pass_on(self.probe, &newer);
                        self.emit(EventKind::Hit, None);
                        Opened::Hit(on_hit(&newer))
                    }
                    _ => {
                        let miss = [EventKind::Miss(reason)];
                        self.render(Purpose::Refresh(flight), None, &miss, None)
                    }
                };
            }
            Refresh::Led => entry.expires,
            // What is around it need not ask again before someone may try.
            Refresh::Rests(until) => until.min(entry.last()).max(entry.expires),
        };
        let kind = stale(entry, now);
        if kind == EventKind::Hit {
            near.count_hit(self.probe.hash);
        }
        self.cache.pass_on_until(self.probe, entry, expires);
        self.emit(kind, None);
        Opened::Hit(on_hit(entry))
    }

    /// Renders outside the cache; what is around may be stored.
    fn print<R>(&self, why: BypassReason) -> Opened<R> {
        self.render(Purpose::Print, None, &[EventKind::Bypassed(why)], None)
    }

    /// Renders outside the cache, and nothing around is stored.
    fn veto<R>(&self, why: BypassReason) -> Opened<R> {
        let veto = Some(RefusalReason::Vetoed);
        self.render(Purpose::Print, veto, &[EventKind::Bypassed(why)], None)
    }

    fn render<R>(
        &self,
        purpose: Purpose,
        veto: Option<RefusalReason>,
        events: &[EventKind],
        tag: Option<Label>,
    ) -> Opened<R> {
        // Made before anyone is told: if an observer panics, its drop gives up the flight.
        let mut frame = self.frame(purpose, veto);
        frame.why = annotate::why(self.cache, self.origin.mode(), events, tag);
        for &kind in events {
            self.emit(kind, tag);
        }
        Opened::Render(Ticket::new(stack::push(frame)))
    }
}

/// What to tell of an entry that is served while it is rendered anew.
fn stale(entry: &Entry, now: Moment) -> EventKind {
    if entry.expires > now { EventKind::Hit } else { EventKind::Stale(now.since(entry.expires)) }
}
