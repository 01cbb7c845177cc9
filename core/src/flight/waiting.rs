//! Waiting for a leader: a thread blocks, a task is woken.

use std::collections::HashMap;
use std::sync::Arc;
#[cfg(feature = "async")]
use std::task::{Poll, Waker};

use super::{
    Flight, FlightId, Flights, Joined, Progress, State, Waiter, give_back, is_current, remove,
};
use crate::clock::Deadline;
use crate::events::BypassReason;
use crate::freshness::Freshness;
use crate::protection::Protection;
use crate::sync::{Condvar, MutexGuard};

/// A follower of a flight, from being counted to the outcome. Dropping it earlier ends its wait.
#[derive(Debug)]
pub(crate) struct FlightWait<'a> {
    flights: &'a Flights,
    fresh: &'a Freshness,
    flight: Arc<Flight>,
    me: Waiter,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Counted,
    /// Its wait is in the graph.
    Waits,
    Over,
}

impl Drop for FlightWait<'_> {
    fn drop(&mut self) {
        if self.stage != Stage::Over {
            self.leave();
        }
    }
}

impl<'a> FlightWait<'a> {
    /// A follower that is already counted in `waiting`.
    pub(super) fn counted(flights: &'a Flights, flight: Arc<Flight>, fresh: &'a Freshness) -> Self {
        Self { flights, fresh, flight, me: Waiter::here(), stage: Stage::Counted }
    }

    /// Begins the wait, unless it would close a cycle of waits.
    fn begin(&mut self, blocks: bool) -> Result<(), Joined<'a>> {
        let mut waits = self.flights.waits.hold();
        let checked = self.flights.protections.keep(Protection::CycleCheck);
        // A thread that blocks while it polls a task may keep the leading task from progressing.
        let stops_task = blocks && !self.me.is_thread() && self.flight.is_led_by_task();
        if checked && (stops_task || waits.would_close_cycle(&self.me, &self.flight)) {
            drop(waits);
            return Err(self.give_up(BypassReason::Cycle));
        }
        waits.begin(&self.me, &self.flight);
        self.stage = Stage::Waits;
        Ok(())
    }

    /// Blocks the thread until the flight has an outcome, at most until the deadline.
    pub(crate) fn block(mut self, deadline: Deadline) -> Joined<'a> {
        if let Err(joined) = self.begin(true) {
            return joined;
        }
        let mut timed_out = false;
        loop {
            let flight = Arc::clone(&self.flight);
            let state = flight.state.lock();
            match self.look(state) {
                Ok(joined) => return joined,
                Err(waits) if timed_out => {
                    drop(waits);
                    return self.give_up(BypassReason::WaitLimit);
                }
                Err(Some(state)) => timed_out = wait_until(&flight.changed, state, deadline),
                Err(None) => {}
            }
        }
    }

    /// Polls for the outcome of the flight, and registers the waker if there is none yet. `is_over`
    /// means that the deadline has passed.
    #[cfg(feature = "async")]
    pub(crate) fn poll(&mut self, waker: &Waker, is_over: bool) -> Poll<Joined<'a>> {
        if self.stage == Stage::Counted
            && let Err(joined) = self.begin(false)
        {
            return Poll::Ready(joined);
        }
        loop {
            let flight = Arc::clone(&self.flight);
            let state = flight.state.lock();
            match self.look(state) {
                Ok(joined) => return Poll::Ready(joined),
                Err(waits) if is_over => {
                    drop(waits);
                    return Poll::Ready(self.give_up(BypassReason::WaitLimit));
                }
                Err(Some(mut state)) => {
                    state.wait(self.me.id(), waker);
                    return Poll::Pending;
                }
                Err(None) => {}
            }
        }
    }

    /// The outcome of the flight. While it is led, returns its state; `Err(None)` if the state
    /// changed in the meantime and must be read again.
    fn look<'s>(
        &mut self,
        mut state: MutexGuard<'s, State>,
    ) -> Result<Joined<'a>, Option<MutexGuard<'s, State>>> {
        let joined = match &state.progress {
            Progress::Led(_) => return Err(Some(state)),
            Progress::Completed(entry) => Joined::Follow((**entry).clone()),
            Progress::Dissolved => Joined::Again,
            Progress::Leaderless => {
                drop(state);
                return if self.take_lead() {
                    Ok(Joined::Lead(Arc::clone(&self.flight)))
                } else {
                    Err(None)
                };
            }
        };
        state.waiting -= 1;
        drop(state);
        self.flights.waits.hold().end(&self.me, &self.flight);
        self.stage = Stage::Over;
        Ok(joined)
    }

    /// Takes the lead of a leaderless flight, unless another follower was faster. If new callers
    /// would not follow the flight, it is dissolved instead.
    fn take_lead(&mut self) -> bool {
        let flight = &self.flight;
        let mut under_way = self.flights.under_way.lock();
        let is_joined = self.is_joined_now(&under_way);
        let mut waits = self.flights.waits.hold();
        let mut state = flight.state.lock();
        if !matches!(state.progress, Progress::Leaderless) {
            return false;
        }
        if !is_joined {
            remove(&mut under_way, flight);
            state.progress = Progress::Dissolved;
            state.wake();
            flight.changed.notify_all();
            return false;
        }
        state.progress = Progress::Led(self.me.clone());
        state.waiting -= 1;
        waits.end(&self.me, flight);
        self.stage = Stage::Over;
        true
    }

    /// Whether a caller that misses now would follow this flight: it was neither replaced nor
    /// invalidated.
    fn is_joined_now(&self, under_way: &HashMap<FlightId, Arc<Flight>>) -> bool {
        let flight = &self.flight;
        !self.flights.protections.keep(Protection::Rejoin)
            || is_current(under_way, flight) && self.fresh.holds(&flight.labels, None, flight.read)
    }

    fn give_up(&mut self, why: BypassReason) -> Joined<'a> {
        self.leave();
        Joined::Alone(why)
    }

    /// Leaves without a result. The last follower of a leaderless flight removes it.
    fn leave(&mut self) {
        if self.stage == Stage::Waits {
            self.flights.waits.hold().end(&self.me, &self.flight);
        }
        self.stage = Stage::Over;
        let mut under_way = self.flights.under_way.lock();
        let left_behind = {
            let mut state = self.flight.state.lock();
            state.waiting -= 1;
            state.waiting == 0 && matches!(state.progress, Progress::Leaderless)
        };
        if left_behind {
            give_back(&mut under_way, &self.flight);
        }
    }
}

impl Flight {
    fn is_led_by_task(&self) -> bool {
        self.leader().is_some_and(|leader| !leader.is_thread())
    }
}

#[cfg(feature = "async")]
impl State {
    /// Wakes this waiter at the next change.
    fn wait(&mut self, id: u64, waker: &Waker) {
        match self.wakers.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => known.clone_from(waker),
            None => self.wakers.push((id, waker.clone())),
        }
    }
}

/// Waits for a change; returns whether the deadline passed first.
#[cfg(not(fragcache_shuttle))]
fn wait_until(changed: &Condvar, mut state: MutexGuard<'_, State>, deadline: Deadline) -> bool {
    match deadline.instant() {
        Some(instant) => changed.wait_until(&mut state, instant).timed_out(),
        None => {
            changed.wait(&mut state);
            false
        }
    }
}

/// A model has no time: a wait that only its limit would end is a deadlock there.
#[cfg(fragcache_shuttle)]
fn wait_until(changed: &Condvar, state: MutexGuard<'_, State>, _: Deadline) -> bool {
    drop(changed.wait(state));
    false
}
