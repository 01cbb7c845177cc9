//! The circuit breaker. After an outage the cache skips the store, so that no page waits for it,
//! until the worker finds that the store answers again.

use std::time::Duration;

use crate::store::StoreError;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The first and the longest pause before the store is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Decides whether calls reach the store.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// 1 while the breaker is open and the store is skipped.
    open: AtomicU64,
    /// Failed tries since it opened.
    tries: AtomicU64,
    last: Mutex<Option<StoreError>>,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst) != 0
    }

    /// Opens the breaker after an outage. Returns whether it was closed before.
    pub(super) fn trip(&self, error: &StoreError) -> bool {
        self.note(error);
        self.open.swap(1, Ordering::SeqCst) == 0
    }

    /// Remembers an error for the health report.
    pub(super) fn note(&self, error: &StoreError) {
        *self.last.lock() = Some(error.clone());
    }

    /// Counts a failed try and returns how long to skip the store now.
    pub(super) fn pause(&self) -> Duration {
        let tries = self.tries.fetch_add(1, Ordering::SeqCst).min(16);
        PAUSES.0.saturating_mul(1 << tries).min(PAUSES.1)
    }

    /// Closes the breaker after an answer. Returns whether it was open before.
    pub(super) fn close(&self) -> bool {
        self.tries.store(0, Ordering::SeqCst);
        self.open.swap(0, Ordering::SeqCst) != 0
    }

    pub(super) fn last(&self) -> Option<StoreError> {
        self.last.lock().clone()
    }
}
