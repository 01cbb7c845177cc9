//! A clock that stands still until it is moved, so that expiry can be shown without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragcache::Clock;

/// 2026-01-01, in seconds since 1970.
const START: u64 = 1_767_225_600;

/// A clock moved by hand. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    /// By which processes tell each other how old a fragment in a shared store is.
    fn unix_time(&self) -> Duration {
        Duration::from_secs(START) + self.now()
    }
}
