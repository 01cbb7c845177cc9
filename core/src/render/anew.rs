//! Bodies that replace what is stored, whatever that is and whoever renders it: one that a block or a
//! function is about to render, or several that are there already and go to the far store together.

use super::Opened;
use super::caller::{Caller, Led};
#[cfg(feature = "values")]
use super::close::{Outcome, close_all};
#[cfg(feature = "values")]
use super::enter::Asking;
use super::enter::MakeBody;
#[cfg(feature = "values")]
use super::stack::Frame;
use super::stack::{self, Purpose};
#[cfg(feature = "values")]
use crate::cache::FragmentCache;
#[cfg(feature = "values")]
use crate::entry::Body;
#[cfg(feature = "values")]
use crate::observe::RefusalReason;
use crate::observe::{EventKind, MissReason};
#[cfg(feature = "values")]
use crate::timeout::Timeout;

/// How often a body that its caller has brought is written, where others are at the same time.
#[cfg(feature = "values")]
pub(crate) const GIVEN_ATTEMPTS: usize = 5;

/// Why a body is rendered.
const ANEW: EventKind = EventKind::Miss(MissReason::Refresh);

impl<M: MakeBody> Caller<'_, M> {
    pub(super) fn open_anew<R>(&self) -> Opened<R> {
        let led = self.lead_anew();
        let fill = Self::ask_by_force(&[self]).pop();
        let fill = fill.and_then(|fill| fill.inspect_err(|away| self.cache.note_fault(away)).ok());
        // Who brings a body looks nothing up.
        let events = if self.request.is_given { &[][..] } else { &[ANEW] };
        self.render(led.into(Purpose::Store), fill, None, events, None)
    }

    fn lead_anew(&self) -> Led<'_> {
        stack::abandon_leftover(self.probe.hash, self.origin);
        Led::new(self.cache, self.cache.flights().lead_anew(self.wanted()))
    }

    /// The frames of bodies that these callers have already.
    #[cfg(feature = "values")]
    fn frames_anew(callers: &[&Self]) -> Vec<Frame> {
        let mut led: Vec<_> = callers.iter().map(|caller| Some(caller.lead_anew())).collect();
        let mut fills: Vec<_> = Self::ask_by_force(callers).into_iter().map(Some).collect();
        fills.resize_with(callers.len(), || None);
        let frame = |caller: &Self, led: &mut Option<Led<'_>>, fill| {
            let purpose = led.take().map_or(Purpose::Print, |led| led.into(Purpose::Store));
            caller.frame(purpose, fill, None)
        };
        // First those that have something to give back: an observer of the faults may panic.
        let mut frames: Vec<Option<Frame>> = Vec::with_capacity(callers.len());
        for ((caller, led), fill) in callers.iter().zip(&mut led).zip(&mut fills) {
            let fill = fill.take_if(|fill| fill.is_ok()).and_then(Result::ok);
            frames.push(fill.map(|fill| frame(caller, led, Some(fill))));
        }
        let rest = callers.iter().zip(&mut led).zip(fills).zip(frames);
        rest.map(|(((caller, led), fill), made)| {
            fill.and_then(Result::err).iter().for_each(|away| caller.cache.note_fault(away));
            made.unwrap_or_else(|| frame(caller, led, None))
        })
        .collect()
    }
}

#[cfg(feature = "values")]
impl FragmentCache {
    /// Stores bodies that are there already, as if each were rendered after the one before it; what
    /// became of each. With a far store in a number of round trips that does not depend on how many there
    /// are. They are asked for alike, and no key is among them twice.
    pub(crate) fn store_together<M: MakeBody>(
        &self,
        asked: &[Asking<'_, M>],
        bodies: &[Body],
        tags: &[Box<str>],
    ) -> Vec<Outcome> {
        let mut outcomes = self.try_store_together(asked, bodies, tags);
        for _ in 1..GIVEN_ATTEMPTS {
            let outcome = outcomes.iter().enumerate();
            let outrun = outcome.filter(|(_, outcome)| self.is_outrun(**outcome));
            let again: Vec<usize> = outrun.map(|(index, _)| index).collect();
            if again.is_empty() {
                break;
            }
            let some: Vec<Asking<'_, M>> = again.iter().map(|&index| asked[index]).collect();
            let theirs: Vec<Body> = again.iter().map(|&index| bodies[index].clone()).collect();
            let retried = self.try_store_together(&some, &theirs, tags);
            again.into_iter().zip(retried).for_each(|(index, outcome)| outcomes[index] = outcome);
        }
        outcomes
    }

    /// Whether a body that its caller has brought was outrun by another of another process, which may
    /// have come to nothing by that: it is stored after it.
    pub(crate) fn is_outrun(&self, outcome: Outcome) -> bool {
        outcome == Outcome::Refused(RefusalReason::Superseded) && self.far().is_some()
    }

    fn try_store_together<M: MakeBody>(
        &self,
        asked: &[Asking<'_, M>],
        bodies: &[Body],
        tags: &[Box<str>],
    ) -> Vec<Outcome> {
        self.fresh().settle(self.recent());
        if asked.iter().any(|asking| asking.request.timeout == Timeout::Delete) {
            self.delete_all(asked.iter().map(|asking| asking.probe.key.to_vec()));
        }
        let callers: Vec<_> = asked.iter().map(|&asking| self.caller(asking, None)).collect();
        let mut outcomes = vec![Outcome::Printed; callers.len()];
        let (mut leading, mut open) = (Vec::new(), Vec::new());
        for ((caller, body), outcome) in callers.iter().zip(bodies).zip(&mut outcomes) {
            match caller.pass_by::<()>() {
                Some(Opened::Render(ticket)) => drop(ticket.close(body.clone())),
                Some(Opened::Hit(())) => {}
                None => {
                    leading.push(caller);
                    open.push((body.clone(), outcome));
                }
            }
        }
        let mut frames = Caller::frames_anew(&leading);
        for frame in &mut frames {
            tags.iter().for_each(|tag| frame.tag(tag));
        }
        let (bodies, places): (Vec<Body>, Vec<&mut Outcome>) = open.into_iter().unzip();
        for (outcome, place) in close_all(self, frames, bodies).into_iter().zip(places) {
            *place = outcome;
        }
        outcomes
    }
}
