//! A manual clock, so that expiry can be shown without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragcache::Clock;

/// 2026-01-01, in seconds since 1970.
const START: u64 = 1_767_225_600;

/// A clock that is advanced by hand. Clones share the time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Advances the clock by `seconds`.
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    /// Processes use it to determine the age of a fragment in a shared store.
    fn unix_time(&self) -> Duration {
        Duration::from_secs(START) + self.now()
    }
}
