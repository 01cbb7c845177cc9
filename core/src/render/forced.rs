//! Forced refreshes: bodies that replace what is stored, even while others render it. Either one
//! that a block or a function is about to render, or several supplied bodies that are written to
//! the far store together.

use super::close::Opened;
#[cfg(feature = "values")]
use super::close::StoreOutcome;
#[cfg(feature = "values")]
use super::close::close_all;
#[cfg(feature = "values")]
use super::miss::Context;
use super::miss::{Caller, MakeBody};
#[cfg(feature = "values")]
use super::stack::Frame;
use super::stack::{self, Purpose};
#[cfg(feature = "values")]
use crate::entry::Body;
#[cfg(feature = "values")]
use crate::events::RefusalReason;
use crate::events::{EventKind, MissReason};
use crate::flight::LeaderGuard;
#[cfg(feature = "values")]
use crate::handle::Handle;
#[cfg(feature = "values")]
use crate::lookup::Request;
#[cfg(feature = "values")]
use crate::timeout::Timeout;

/// Most attempts to write a supplied body while others write the same key.
#[cfg(feature = "values")]
pub(crate) const GIVEN_ATTEMPTS: usize = 5;

/// The event of a forced refresh.
const ANEW: EventKind = EventKind::Miss(MissReason::Refresh);

impl<M: MakeBody> Caller<'_, M> {
    pub(super) fn open_forced<R>(&self) -> Opened<R> {
        let guard = self.force_lead();
        let fill = Self::seize_leases(&[self]).pop();
        let fill = fill.and_then(|fill| {
            fill.inspect_err(|unavailable| self.cache.note_fault(unavailable)).ok()
        });
        // A caller that supplies the body looks nothing up.
        let events = if self.request.options.is_given { &[][..] } else { &[ANEW] };
        self.render(
            guard.pass_on().map_or(Purpose::Print, Purpose::Store),
            fill,
            None,
            events,
            None,
        )
    }

    fn force_lead(&self) -> LeaderGuard<'_> {
        stack::abandon_leftover(self.request.hashed.hash, self.request.source);
        LeaderGuard::new(
            self.cache.flights(),
            self.cache.flights().force_lead(&self.lookup(), self.cache.fresh()),
        )
    }

    /// The frames of bodies that these callers supply.
    #[cfg(feature = "values")]
    fn forced_frames(callers: &[&Self]) -> Vec<Frame> {
        let mut guard: Vec<_> = callers.iter().map(|caller| Some(caller.force_lead())).collect();
        let mut fills: Vec<_> = Self::seize_leases(callers).into_iter().map(Some).collect();
        fills.resize_with(callers.len(), || None);
        let frame = |caller: &Self, guard: &mut Option<LeaderGuard<'_>>, fill| {
            let flight = guard.take().and_then(LeaderGuard::pass_on);
            let purpose = flight.map_or(Purpose::Print, Purpose::Store);
            caller.frame(purpose, fill, None)
        };
        // Frames with a lease come first: an observer of the faults may panic, and a frame releases
        // its lease.
        let mut frames: Vec<Option<Frame>> = Vec::with_capacity(callers.len());
        for ((caller, guard), fill) in callers.iter().zip(&mut guard).zip(&mut fills) {
            let fill = fill.take_if(|fill| fill.is_ok()).and_then(Result::ok);
            frames.push(fill.map(|fill| frame(caller, guard, Some(fill))));
        }
        let rest = callers.iter().zip(&mut guard).zip(fills).zip(frames);
        rest.map(|(((caller, guard), fill), made)| {
            fill.and_then(Result::err)
                .iter()
                .for_each(|unavailable| caller.cache.note_fault(unavailable));
            made.unwrap_or_else(|| frame(caller, guard, None))
        })
        .collect()
    }
}

/// Stores supplied bodies as if each were rendered after the one before it, and returns the outcome
/// of each. With a far store, the number of round trips does not depend on the number of bodies. All
/// requests have the same options, and no key occurs twice.
#[cfg(feature = "values")]
pub(crate) fn store_together<M: MakeBody>(
    cache: &Handle,
    requests: &[Request<'_>],
    context: Context<'_, M>,
    bodies: &[Body],
    tags: &[Box<str>],
) -> Vec<StoreOutcome> {
    let mut outcomes = try_store_together(cache, requests, context, bodies, tags);
    for _ in 1..GIVEN_ATTEMPTS {
        let outcome = outcomes.iter().enumerate();
        let outrun = outcome.filter(|(_, outcome)| is_outrun(cache, **outcome));
        let again: Vec<usize> = outrun.map(|(index, _)| index).collect();
        if again.is_empty() {
            break;
        }
        let some: Vec<Request<'_>> = again.iter().map(|&index| requests[index]).collect();
        let theirs: Vec<Body> = again.iter().map(|&index| bodies[index].clone()).collect();
        let retried = try_store_together(cache, &some, context, &theirs, tags);
        again.into_iter().zip(retried).for_each(|(index, outcome)| outcomes[index] = outcome);
    }
    outcomes
}

/// Whether a supplied body was superseded by a write of another process. That write may have failed
/// for the same reason, so this one is tried again.
#[cfg(feature = "values")]
pub(crate) fn is_outrun(cache: &Handle, outcome: StoreOutcome) -> bool {
    outcome == StoreOutcome::Refused(RefusalReason::Superseded) && cache.far().is_some()
}

#[cfg(feature = "values")]
fn try_store_together<M: MakeBody>(
    cache: &Handle,
    requests: &[Request<'_>],
    context: Context<'_, M>,
    bodies: &[Body],
    tags: &[Box<str>],
) -> Vec<StoreOutcome> {
    cache.fresh().settle(cache.recent());
    if requests.iter().any(|request| request.options.timeout == Timeout::Delete) {
        cache.delete_all(requests.iter().map(|request| request.hashed.key.to_vec()));
    }
    let callers: Vec<_> =
        requests.iter().map(|&request| Caller::new(cache, request, context)).collect();
    let mut outcomes = vec![StoreOutcome::Printed; callers.len()];
    let (mut leading, mut open) = (Vec::new(), Vec::new());
    for ((caller, body), outcome) in callers.iter().zip(bodies).zip(&mut outcomes) {
        match caller.bypass::<()>() {
            Some(Opened::Render(ticket)) => drop(ticket.close(body.clone())),
            Some(Opened::Hit(())) => {}
            None => {
                leading.push(caller);
                open.push((body.clone(), outcome));
            }
        }
    }
    let mut frames = Caller::forced_frames(&leading);
    for frame in &mut frames {
        tags.iter().for_each(|tag| frame.tag(tag));
    }
    let (bodies, places): (Vec<Body>, Vec<&mut StoreOutcome>) = open.into_iter().unzip();
    for (outcome, place) in close_all(cache, frames, bodies).into_iter().zip(places) {
        *place = outcome;
    }
    outcomes
}
