//! The time limit of a call: a timeout without progress, extended while bytes move.

use std::io;
use std::time::{Duration, Instant};

use super::clock::instant;

/// Rate at which bytes that move extend a call, in bytes per second.
const BYTES_PER_SECOND: u64 = 8 << 20;

/// Longest call, in timeouts.
const MAX_TIMEOUTS: u32 = 20;

/// When a call ends if nothing moves, and at the latest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    base: Instant,
    last: Instant,
    timeout: Duration,
    /// When bytes moved last.
    moved: Option<Instant>,
}

impl Limit {
    pub(super) fn new(timeout: Duration) -> Self {
        let now = instant();
        Self { base: now + timeout, last: now + timeout * MAX_TIMEOUTS, timeout, moved: None }
    }

    /// A limit that is never extended.
    pub(super) fn fixed(timeout: Duration) -> Self {
        let end = instant() + timeout;
        Self { base: end, last: end, timeout, moved: None }
    }

    /// The deadline if no more bytes move.
    pub(super) fn deadline(&self) -> Instant {
        self.base
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Adds time for bytes that were received or sent.
    pub(super) fn note(&mut self, bytes: usize) {
        let more = (bytes as u64).saturating_mul(1_000_000_000 / BYTES_PER_SECOND);
        self.base = self.last.min(self.base + Duration::from_nanos(more));
        self.moved = Some(instant());
    }

    /// Whether bytes were received a moment ago. If so, a call that ends now was slow, but the
    /// server answers.
    pub(super) fn is_moving(&self) -> bool {
        self.moved.is_some_and(|moved| moved.elapsed() < self.timeout / 2)
    }
}

/// The time left until a deadline.
pub(super) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(instant());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_move_earn_time_up_to_a_bound() {
        let timeout = Duration::from_millis(50);
        let mut limit = Limit::new(timeout);
        let base = limit.deadline();
        assert!(!limit.is_moving());
        limit.note(1 << 20);
        let more = limit.deadline() - base;
        assert!((124..=125).contains(&more.as_millis()), "{more:?}");
        limit.note(1 << 30);
        assert_eq!(limit.deadline() - base, timeout * (MAX_TIMEOUTS - 1));

        let mut fixed = Limit::fixed(timeout);
        let base = fixed.deadline();
        fixed.note(1 << 20);
        assert_eq!(fixed.deadline(), base);
        assert_eq!(left(base - 2 * timeout).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
