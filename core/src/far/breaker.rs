//! The circuit breaker: after an outage the store is left alone, so that no page waits for it, until
//! the worker has found it well again.

use std::time::Duration;

use crate::store::StoreError;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// The first pause before the store is tried again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Whether the store is asked.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// 1 while the store is left alone.
    open: AtomicU64,
    /// How often it was tried in vain since.
    tries: AtomicU64,
    last: Mutex<Option<StoreError>>,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst) != 0
    }

    /// An outage; whether it is the first.
    pub(super) fn trip(&self, error: &StoreError) -> bool {
        self.note(error);
        self.open.swap(1, Ordering::SeqCst) == 0
    }

    /// Remembers an error for the health report.
    pub(super) fn note(&self, error: &StoreError) {
        *self.last.lock() = Some(error.clone());
    }

    /// The store was tried in vain; for how long it is left alone now.
    pub(super) fn pause(&self) -> Duration {
        let tries = self.tries.fetch_add(1, Ordering::SeqCst).min(16);
        PAUSES.0.saturating_mul(1 << tries).min(PAUSES.1)
    }

    /// The store has answered; whether it was left alone before.
    pub(super) fn close(&self) -> bool {
        self.tries.store(0, Ordering::SeqCst);
        self.open.swap(0, Ordering::SeqCst) != 0
    }

    pub(super) fn last(&self) -> Option<StoreError> {
        self.last.lock().clone()
    }
}
