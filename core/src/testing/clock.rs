//! A clock that moves only when a test advances it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// A clock that a test advances by hand. Clones show the same time.
///
/// Its wall time starts at 2026-01-01T00:00:00Z, regardless of the current date. A test that
/// compares with wall time, such as the `Date` and `Expires` of a response, should compute it from
/// [`unix_time`](Clock::unix_time): a real date is in the future of this clock.
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
    /// Creates a clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Advances all clones. The maximum is 584 years.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        let add = |now: u64| Some(now.saturating_add(by));
        // `add` always returns `Some`, so the update cannot fail.
        let _ = self.nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }

    /// The clock's time plus 2026-01-01, since the Unix epoch.
    fn unix_time(&self) -> Duration {
        Duration::from_secs(1_767_225_600) + self.now()
    }
}
