//! The graph of waits: which party waits for which flight. It prevents waits that would close a
//! cycle.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Flight, Waiter};
use crate::sync::{Mutex, MutexGuard};

/// The waits in progress, by the outermost render that waits, or by its thread. A thread waits for
/// at most one flight; a render whose parts are awaited concurrently may wait for several.
#[derive(Debug, Default)]
pub(super) struct Waits {
    by_root: Mutex<ByRoot>,
}

type ByRoot = HashMap<u64, Vec<(Waiter, Arc<Flight>)>>;

/// The locked graph. Leaders and waits change only under this lock.
pub(super) struct WaitsGuard<'a>(MutexGuard<'a, ByRoot>);

impl Waits {
    pub(super) fn hold(&self) -> WaitsGuard<'_> {
        WaitsGuard(self.by_root.lock())
    }
}

impl WaitsGuard<'_> {
    /// Whether a wait of `party` for `flight` would close a cycle. It does if the flight's leader
    /// is this party or a render around it, or if the leader or one of its parts waits for a flight
    /// that leads back to it. A waiting thread stops every part of the render that it polls.
    pub(super) fn would_close_cycle(&self, party: &Waiter, flight: &Arc<Flight>) -> bool {
        let mut open = vec![Arc::clone(flight)];
        let mut seen: Vec<*const Flight> = Vec::new();
        while let Some(flight) = open.pop() {
            let Some(leader) = flight.leader() else { continue };
            if party.is_within(&leader) {
                return true;
            }
            if seen.contains(&Arc::as_ptr(&flight)) {
                continue;
            }
            seen.push(Arc::as_ptr(&flight));
            let waits = self.0.get(&leader.root()).into_iter().flatten();
            open.extend(
                waits
                    .filter(|(waiter, _)| waiter.is_within(&leader))
                    .map(|(_, flight)| Arc::clone(flight)),
            );
        }
        false
    }

    pub(super) fn begin(&mut self, party: &Waiter, flight: &Arc<Flight>) {
        self.0.entry(party.root()).or_default().push((party.clone(), Arc::clone(flight)));
    }

    pub(super) fn end(&mut self, party: &Waiter, flight: &Arc<Flight>) {
        let root = party.root();
        let Some(waits) = self.0.get_mut(&root) else { return };
        let ends = |(waiter, of): &(Waiter, Arc<Flight>)| {
            waiter.is_within(party) && party.is_within(waiter) && Arc::ptr_eq(of, flight)
        };
        if let Some(at) = waits.iter().position(ends) {
            waits.swap_remove(at);
        }
        if waits.is_empty() {
            self.0.remove(&root);
        }
    }
}
