//! Time as the cache sees it: monotonic, and replaceable. The only place that reads a system clock.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// A source of monotonic time.
///
/// Entries expire by this clock and by nothing else, so a clock that a test moves by hand makes
/// expiry exact. It must never run backwards.
///
/// ```
/// use fragcache::{Clock, MonotonicClock};
///
/// let clock = MonotonicClock::default();
/// let first = clock.now();
/// assert!(clock.now() >= first);
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since some fixed moment of this clock's own.
    fn now(&self) -> Duration;
}

/// The operating system's monotonic clock, starting at the moment this value is made.
#[derive(Debug, Clone)]
pub struct MonotonicClock {
    start: Instant,
}

impl Default for MonotonicClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A moment of a [`Clock`] in whole nanoseconds: 584 years fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Later than every moment that a clock shows.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn from_clock(clock: &dyn Clock) -> Self {
        let now = clock.now();
        Self(
            now.as_secs()
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::from(now.subsec_nanos())),
        )
    }

    /// This moment and `life` more; `None` past the end of the clock.
    pub(crate) fn after(self, life: Duration) -> Option<Self> {
        let nanos = u64::try_from(life.as_nanos()).ok()?;
        self.0.checked_add(nanos).filter(|&sum| sum < u64::MAX).map(Self)
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
