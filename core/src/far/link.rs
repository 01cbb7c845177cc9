//! The link to the store: it counts and checks every call, and skips calls while the breaker is
//! open.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::store::{Capabilities, Fault, Operation, Reply, Store, StoreError, Value};
use crate::sync::{AtomicU64, Mutex, Ordering};
#[cfg(not(fragcache_shuttle))]
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The store is unavailable. Holds the error, or `None` if the call was skipped.
#[derive(Debug, Clone)]
pub(crate) struct Unavailable(pub(crate) Option<StoreError>);

impl Unavailable {
    /// Whether a smaller request would end the same way or take as long.
    pub(super) fn is_outage(&self) -> bool {
        let ends = |fault: Fault| fault.is_outage() || fault == Fault::Slow;
        self.0.as_ref().is_none_or(|error| ends(error.fault()))
    }

    /// Whether only some keys cannot be changed now.
    pub(super) fn is_busy(&self) -> bool {
        self.0.as_ref().is_some_and(|error| error.fault() == Fault::Busy)
    }
}

/// A store behind a breaker.
pub(super) struct Link {
    store: Arc<dyn Store>,
    pub(super) capabilities: Capabilities,
    pub(super) breaker: Breaker,
    pub(super) counts: Counts,
}

/// Counts of calls to the store.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) round_trips: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) deadlines: AtomicU64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("store", &self.capabilities.name).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let capabilities = store.capabilities();
        Self { store, capabilities, breaker: Breaker::default(), counts: Counts::default() }
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(super) fn is_unavailable(&self) -> bool {
        self.breaker.is_open()
    }

    /// Reads the values of these keys in one round trip.
    pub(super) fn get(&self, keys: &[String]) -> Result<Vec<Option<Value>>, Unavailable> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.call(|store| {
            let values = store.get_many(&keys)?;
            if values.len() == keys.len() { Ok(values) } else { Err(misshapen()) }
        })
    }

    /// Runs these operations in one round trip.
    pub(super) fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, Unavailable> {
        if self.is_unavailable() {
            return Err(Unavailable(None));
        }
        self.run_bypassing_breaker(operations).map_err(|error| Unavailable(Some(error)))
    }

    /// Like [`run`](Self::run), bypassing the breaker.
    pub(super) fn run_bypassing_breaker(
        &self,
        operations: &[Operation<'_>],
    ) -> Result<Vec<Reply>, StoreError> {
        self.count(|store| {
            let replies = store.run(operations)?;
            let is_read = |operation: &Operation<'_>| matches!(operation, Operation::Get { .. });
            let fits = |(operation, reply): (&Operation<'_>, &Reply)| {
                is_read(operation) == matches!(reply, Reply::Value(_))
            };
            let whole = replies.len() == operations.len();
            if whole && operations.iter().zip(&replies).all(fits) {
                Ok(replies)
            } else {
                Err(misshapen())
            }
        })
    }

    /// Closes the breaker after an answer.
    pub(super) fn end_outage(&self) {
        if self.breaker.close() {
            self.log_recovery();
        }
    }

    /// Logs once per outage, from the first call that notices it.
    #[cfg(feature = "tracing")]
    fn log_outage(&self, error: &StoreError) {
        let (store, reason) = (self.capabilities.name, error.fault().as_str());
        tracing::warn!(target: "fragcache", store, reason, %error, "the store is unavailable");
    }

    #[cfg(feature = "tracing")]
    fn log_recovery(&self) {
        let store = self.capabilities.name;
        tracing::info!(target: "fragcache", store, "the store is available again");
    }

    #[cfg(not(feature = "tracing"))]
    fn log_outage(&self, _: &StoreError) {}

    #[cfg(not(feature = "tracing"))]
    fn log_recovery(&self) {}

    fn call<R>(
        &self,
        call: impl FnOnce(&dyn Store) -> Result<R, StoreError>,
    ) -> Result<R, Unavailable> {
        if self.is_unavailable() {
            return Err(Unavailable(None));
        }
        self.count(call).map_err(|error| Unavailable(Some(error)))
    }

    fn count<R>(
        &self,
        call: impl FnOnce(&dyn Store) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.counts.round_trips.fetch_add(1, Ordering::Relaxed);
        let outcome = unless_it_panics(|| call(&*self.store));
        if let Err(error) = &outcome {
            self.counts.faults.fetch_add(1, Ordering::Relaxed);
            if matches!(error.fault(), Fault::Deadline | Fault::Slow) {
                self.counts.deadlines.fetch_add(1, Ordering::Relaxed);
            }
            if error.fault().is_outage() {
                if self.breaker.trip(error) {
                    self.log_outage(error);
                }
            } else {
                self.breaker.note(error);
            }
        }
        outcome
    }
}

/// Turns a panic of the store into a fault of that call only. Neither the page nor the worker ends,
/// and a lease is returned as after any fault. The panic payload may contain values and is dropped;
/// the panic hook has reported it.
#[cfg(not(fragcache_shuttle))]
fn unless_it_panics<R>(call: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(StoreError::new(Fault::Panicked, "the store panicked")))
}

/// In a model a panic is the finding.
#[cfg(fragcache_shuttle)]
fn unless_it_panics<R>(call: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
    call()
}

fn misshapen() -> StoreError {
    StoreError::new(Fault::Protocol, "the store's replies do not match the operations")
}

#[cfg(all(test, feature = "testing", not(fragcache_shuttle)))]
mod tests {
    use super::*;
    use crate::testing::{FaultyStore, MemoryStore};

    #[test]
    fn faults_of_one_call_leave_the_breaker_closed() {
        let store = FaultyStore::new(MemoryStore::new());
        let link = Link::new(Arc::new(store.clone()));
        let get = || link.get(&["a".to_owned()]);
        for fault in [Fault::Slow, Fault::Busy, Fault::Refused, Fault::Protocol] {
            store.fail(fault);
            assert!(get().is_err() && !link.is_unavailable(), "{fault:?}");
            store.heal();
        }
        for fault in [Fault::Deadline, Fault::Unreachable, Fault::Unusable] {
            store.fail(fault);
            assert!(get().is_err() && link.is_unavailable(), "{fault:?}");
            store.heal();
            link.end_outage();
            assert!(get().is_ok(), "{fault:?}");
        }
    }

    #[cfg(all(feature = "tracing", feature = "metrics"))]
    #[test]
    fn an_outage_and_its_end_are_logged_once() {
        let lines = crate::tests::logged(|| {
            let store = FaultyStore::new(MemoryStore::new());
            let link = Link::new(Arc::new(store.clone()));
            store.fail(Fault::Unusable);
            for _ in 0..3 {
                assert!(link.run_bypassing_breaker(&[Operation::Get { key: "a" }]).is_err());
            }
            store.heal();
            link.end_outage();
            link.end_outage();
        });
        let [outage, recovery] = lines.as_slice() else { panic!("{lines:#?}") };
        assert!(outage.starts_with("WARN message=the store is unavailable"), "{outage}");
        assert!(outage.contains(r#"reason="unusable""#) && outage.contains("error="), "{outage}");
        assert!(recovery.starts_with("INFO message=the store is available again"), "{recovery}");
    }
}

/// The first and the longest pause before the store is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The circuit breaker. After an outage the cache skips the store, so that no page waits for it,
/// until the worker finds that the store answers again.
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
