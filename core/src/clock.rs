//! Time as the cache sees it: monotonic, and replaceable. The only place that reads a system clock.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

/// A source of monotonic time.
///
/// Entries expire by this clock and by nothing else, so a clock that a test moves by hand makes
/// expiry exact. It must never run backwards, and must not panic.
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

    /// As [`now`](Self::now), within 10 ms of it, where that is cheaper. What is served is checked
    /// against this: a fragment may be served that much longer or shorter.
    fn recent(&self) -> Duration {
        self.now()
    }

    /// Time since the beginning of 1970, by which entries in a store outside the process tell their
    /// age to other processes. It may jump.
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// The operating system's monotonic clock, starting at the moment this value is made.
///
/// [`recent`](Clock::recent) reads the system's coarse clock, where it has one (Linux: up to
/// 10 ms off, at a quarter of the price).
#[derive(Debug, Clone)]
pub struct MonotonicClock {
    start: Instant,
    coarse_start: coarsetime::Instant,
}

impl Default for MonotonicClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn default() -> Self {
        Self {
            start: Instant::now(),
            coarse_start: coarsetime::Instant::now_without_cache_update(),
        }
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn recent(&self) -> Duration {
        let now = coarsetime::Instant::now_without_cache_update();
        now.duration_since(self.coarse_start).into()
    }
}

/// The present, for what waits in real time whatever clock entries expire by.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// A model has no time.
#[cfg(fragcache_shuttle)]
pub(crate) fn pause(_: Duration) {
    shuttle::thread::yield_now();
}

/// Waits so long in real time.
#[cfg(not(fragcache_shuttle))]
pub(crate) fn pause(time: Duration) {
    let end = instant() + time;
    while let Some(left) = end.checked_duration_since(instant()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// When the patience of a waiting thread ends. Threads wait in real time, whatever clock entries
/// expire by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(instant().checked_add(limit))
    }

    /// Whether it has passed.
    pub(crate) fn is_over(self) -> bool {
        !cfg!(fragcache_shuttle) && self.0.is_some_and(|end| end <= instant())
    }

    /// The deadline as threads wait for it; `None` if it is further away than time can be counted.
    #[cfg(not(fragcache_shuttle))]
    pub(crate) fn instant(self) -> Option<Instant> {
        self.0
    }
}

/// A moment of a [`Clock`] in whole nanoseconds: 584 years fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// When a clock starts.
    pub(crate) const START: Self = Self(0);

    /// Later than every moment that a clock shows.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self::at(clock.now())
    }

    pub(crate) fn recent(clock: &dyn Clock) -> Self {
        Self::at(clock.recent())
    }

    fn at(now: Duration) -> Self {
        Self(
            now.as_secs()
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::from(now.subsec_nanos())),
        )
    }

    /// As a number, in the order of time.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// So long before this moment, or the clock's start.
    pub(crate) fn before(self, time: Duration) -> Self {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }

    /// This moment and `life` more; `None` past the end of the clock.
    pub(crate) fn after(self, life: Duration) -> Option<Self> {
        let nanos = u64::try_from(life.as_nanos()).ok()?;
        self.0.checked_add(nanos).filter(|&sum| sum < u64::MAX).map(Self)
    }

    /// As [`after`](Self::after), but never past the end of the clock.
    pub(crate) fn saturating_after(self, life: Duration) -> Self {
        self.after(life).unwrap_or(Self::NEVER)
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
