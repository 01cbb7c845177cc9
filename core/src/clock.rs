//! Time for the cache: monotonic and replaceable. No other module reads a system clock.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

/// A source of monotonic time.
///
/// Entries expire by this clock only, so a test that sets the clock by hand controls expiry
/// exactly. It must never run backwards and must not panic.
///
/// ```
/// use fragcache::{Clock, MonotonicClock};
///
/// let clock = MonotonicClock::default();
/// let first = clock.now();
/// assert!(clock.now() >= first);
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since a fixed moment of this clock's choice.
    fn now(&self) -> Duration;

    /// Like [`now`](Self::now), but may be off by 10 ms where that is cheaper. Lookups use this
    /// reading, so a fragment may be served up to that much longer or shorter.
    fn recent(&self) -> Duration {
        self.now()
    }

    /// Time since the beginning of 1970. Entries in a shared store use it to give their age to
    /// other processes. It may jump.
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// The operating system's monotonic clock, starting when this value is created.
///
/// [`recent`](Clock::recent) reads the system's coarse clock where there is one (Linux: up to 10 ms
/// off, at a quarter of the cost).
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

/// The current wall-clock instant. Waits use it in place of the cache's clock.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Yields: a model has no time.
#[cfg(fragcache_shuttle)]
pub(crate) fn pause(_: Duration) {
    shuttle::thread::yield_now();
}

/// Sleeps for `time` of wall-clock time.
#[cfg(not(fragcache_shuttle))]
pub(crate) fn pause(time: Duration) {
    let end = instant() + time;
    while let Some(left) = end.checked_duration_since(instant()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// When a waiting thread gives up. Threads wait in wall-clock time, independent of the cache's
/// clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(instant().checked_add(limit))
    }

    /// Returns true if the deadline has passed.
    pub(crate) fn is_over(self) -> bool {
        !cfg!(fragcache_shuttle) && self.0.is_some_and(|end| end <= instant())
    }

    /// The deadline as an instant; `None` if it is too far away to represent.
    #[cfg(not(fragcache_shuttle))]
    pub(crate) fn instant(self) -> Option<Instant> {
        self.0
    }
}

/// A moment of a [`Clock`] in whole nanoseconds; the range is 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// The start of a clock.
    pub(crate) const START: Self = Self(0);

    /// Later than every moment of a clock.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self::at(clock.now())
    }

    #[inline]
    pub(crate) fn recent(clock: &dyn Clock) -> Self {
        Self::at(clock.recent())
    }

    #[inline]
    fn at(now: Duration) -> Self {
        Self(
            now.as_secs()
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::from(now.subsec_nanos())),
        )
    }

    /// The moment as a number; numbers order as moments do.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The moment `time` earlier, or the clock's start if that is later.
    pub(crate) fn before(self, time: Duration) -> Self {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }

    /// The moment `ttl` later; `None` past the end of the clock.
    pub(crate) fn after(self, ttl: Duration) -> Option<Self> {
        let nanos = u64::try_from(ttl.as_nanos()).ok()?;
        self.0.checked_add(nanos).filter(|&sum| sum < u64::MAX).map(Self)
    }

    /// Like [`after`](Self::after), but saturates at the end of the clock.
    pub(crate) fn saturating_after(self, ttl: Duration) -> Self {
        self.after(ttl).unwrap_or(Self::NEVER)
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
