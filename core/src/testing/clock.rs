//! Time that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// A clock that a test moves by hand. A clone shows the same time.
///
/// Its wall time begins at 2026-01-01T00:00:00Z, whatever the date of the test. What is compared with wall
/// time, such as `Date` and `Expires` of a response, a test had better write from
/// [`unix_time`](Clock::unix_time): a real date lies in the future of this clock.
///
/// ```
/// use std::time::Duration;
/// use fragcache::Clock;
/// use fragcache::testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let same = clock.clone();
/// clock.advance(Duration::from_secs(61));
/// assert_eq!(same.now(), Duration::from_secs(61));
/// // 2026-01-01T00:01:01Z
/// assert_eq!(same.unix_time(), Duration::from_secs(1_767_225_600 + 61));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves time forward, for all clones. It stops at 584 years.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let add = |now: u64| Some(now.saturating_add(by));
        // `add` always gives a value, so there is nothing to report.
        let _ = self.nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    /// The time that the clock shows, since 2026-01-01.
    fn unix_time(&self) -> Duration {
        Duration::from_secs(1_767_225_600) + self.now()
    }
}
