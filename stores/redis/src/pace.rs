//! The time limit of a call: a timeout without an answer, extended while a large answer arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::clock::instant;

/// Rate at which arriving bytes extend a call, in bytes per second.
const BYTES_PER_SECOND: u64 = 8 << 20;

/// Longest call, in timeouts.
const MAX_TIMEOUTS: u32 = 20;

/// Bytes that a batch may send before its limit is extended.
const FREE_BYTES: usize = 1 << 20;

/// When a call ends if nothing arrives, and at the latest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    base: Instant,
    last: Instant,
    pub(super) timeout: Duration,
}

impl Limit {
    pub(super) fn new(timeout: Duration) -> Self {
        let now = instant();
        Self { base: now + timeout, last: now + timeout * MAX_TIMEOUTS, timeout }
    }

    /// A limit of exactly `deadline`, never extended.
    pub(super) fn fixed(deadline: Instant, timeout: Duration) -> Self {
        Self { base: deadline, last: deadline, timeout }
    }

    /// The deadline if no bytes arrive.
    pub(super) fn base(self) -> Instant {
        self.base
    }

    /// A limit for what follows an answer: the timeout begins again.
    pub(super) fn renewed(mut self) -> Self {
        self.base = self.last.min(instant() + self.timeout).max(self.base);
        self
    }

    /// A limit for answers that have arrived while the caller waited for another node: enough time
    /// to read them.
    pub(super) fn attended(mut self) -> Self {
        self.base = self.base.max(instant() + self.timeout / 10);
        self.last = self.last.max(self.base);
        self
    }

    /// Adds time for bytes that were exchanged.
    pub(super) fn earned(mut self, bytes: usize) -> Self {
        self.base = self.after(bytes as u64);
        self
    }

    /// Adds time for a batch of this length, which is sent before the server answers.
    pub(super) fn for_sending(self, bytes: usize) -> Self {
        self.earned(bytes.saturating_sub(FREE_BYTES))
    }

    fn after(self, bytes: u64) -> Instant {
        let more = Duration::from_nanos(bytes.saturating_mul(1_000_000_000 / BYTES_PER_SECOND));
        self.last.min(self.base + more)
    }
}

/// How much has arrived on a connection, and when.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    bytes: AtomicU64,
    /// Nanoseconds since `start`.
    last: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { start: instant(), bytes: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    pub(super) fn arrived(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, bytes: usize) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(nanos, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The deadline of a call that was sent when `before` bytes had arrived.
    pub(super) fn due(&self, limit: Limit, before: u64) -> Instant {
        limit.after(self.arrived().saturating_sub(before))
    }

    /// Whether bytes were still arriving a moment ago. If so, a call that ends now was slow, but
    /// the server answers.
    pub(super) fn is_moving(&self, limit: Limit, before: u64) -> bool {
        let last = self.start + Duration::from_nanos(self.last.load(Ordering::Relaxed));
        self.arrived() > before && last.elapsed() < limit.timeout / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_earns_time_up_to_a_bound() {
        let timeout = Duration::from_millis(50);
        let (limit, pace) = (Limit::new(timeout), Pace::new());
        assert_eq!(pace.due(limit, 0), limit.base());
        assert!(!pace.is_moving(limit, 0));
        pace.note(1 << 20);
        let more = pace.due(limit, 0) - limit.base();
        assert!((124..=125).contains(&more.as_millis()), "{more:?}");
        assert_eq!(pace.due(limit, 1 << 20), limit.base(), "what arrived before the call");
        pace.note(1 << 30);
        assert_eq!(pace.due(limit, 0) - limit.base(), timeout * (MAX_TIMEOUTS - 1));
        assert_eq!(limit.for_sending(FREE_BYTES).base(), limit.base());
        assert!(limit.for_sending(2 * FREE_BYTES).base() > limit.base());
    }
}
