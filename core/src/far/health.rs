//! The health report of the far level.

use super::Far;
use crate::stats::Health;
use crate::sync::{AtomicU64, Ordering};

impl Far {
    pub(crate) fn health(&self) -> Health {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.link.counts;
        Health {
            store: Some(self.link.capabilities.name),
            is_reachable: !self.link.is_unavailable(),
            pending_invalidations: self.pending.len(),
            waiting_repeats: self.tasks.repeats() as u64,
            leases: self.leases.len() as u64,
            round_trips: get(&counts.round_trips),
            faults: get(&counts.faults),
            deadlines_missed: get(&counts.deadlines),
            found: get(&self.found),
            unreadable: get(&self.unreadable),
            fleet_mode: self.mode(),
            last_fault: self.link.breaker.last().map(|error| error.to_string()),
            gauges: self.link.store().gauges(),
        }
    }
}
