//! The conformance suite that every [`Store`] must pass: its contract, one sentence at a time. The
//! cases are in the submodules; [`Report`] has the results.
//!
//! Your own store is correct if [`check`] returns:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Mutex, MutexGuard, PoisonError};
//! use std::time::{Duration, Instant};
//! use fragcache::store::{Capabilities, Operation, Reply, Store, StoreError, Value};
//! use fragcache::testing::conformance;
//!
//! /// Values, and when each ends.
//! type Records = HashMap<String, (Value, Instant)>;
//!
//! #[derive(Debug, Default)]
//! struct MyStore(Mutex<Records>);
//!
//! impl MyStore {
//!     /// The live records, locked.
//!     fn records(&self) -> MutexGuard<'_, Records> {
//!         let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
//!         records.retain(|_, (_, ends)| *ends > Instant::now());
//!         records
//!     }
//! }
//!
//! impl Store for MyStore {
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::new("mine").persists(false).is_shared(false)
//!     }
//!
//!     fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
//!         let mut records = self.records();
//!         let mut reply = |operation: &Operation<'_>| {
//!             let key = operation.key();
//!             let record = |value: &[u8], ttl| (value.to_vec(), Instant::now() + ttl);
//!             let found = records.get(key).map(|(value, _)| value.clone());
//!             Ok(Reply::Done(match *operation {
//!                 Operation::Get { .. } => return Ok(Reply::Value(found)),
//!                 Operation::Set { value, ttl, .. } => {
//!                     records.insert(key.to_owned(), record(value, ttl));
//!                     true
//!                 }
//!                 Operation::Add { value, ttl, .. } => {
//!                     found.is_none() && records.insert(key.to_owned(), record(value, ttl)).is_none()
//!                 }
//!                 Operation::Delete { .. } => records.remove(key).is_some(),
//!                 Operation::CompareAndDelete { expected, .. } => {
//!                     found.as_deref() == Some(expected) && records.remove(key).is_some()
//!                 }
//!                 Operation::CompareAndSet { expected, value, ttl, .. } => {
//!                     let is_expected = found.as_deref() == Some(expected);
//!                     is_expected && records.insert(key.to_owned(), record(value, ttl)).is_some()
//!                 }
//!                 Operation::Touch { .. } => false,
//!                 _ => return Err(StoreError::unsupported("mine")),
//!             }))
//!         };
//!         operations.iter().map(&mut reply).collect()
//!     }
//! }
//!
//! let report = conformance::check(MyStore::default());
//! assert!(report.passed().any(|sentence| sentence == "of several concurrent adds one succeeds"));
//! // Unclaimed sentences are listed with the capability that is absent.
//! assert!(report.absent().any(|(_, capability)| capability == "scans"));
//! println!("{report}");
//! ```
//!
//! [`Suite`] has settings: a manual clock, which avoids waiting, and another handle to the same
//! records, like that of a second process.

mod batches;
mod changes;
mod lives;
mod races;
mod report;
mod scans;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;
mod trial;
mod values;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, MonotonicClock};
use crate::store::{Capabilities, Store};
use crate::sync::{Condvar, Mutex};

pub use report::{Report, TrialOutcome};
use trial::{Case, Needs, Trial};

/// Sentences of the contract that cannot be observed from outside a store that answers.
const UNSEEN: [(&str, &str); 2] = [
    (
        "each call returns within the store's deadline",
        "needs a network that hangs; test it with a stopped server",
    ),
    (
        "a call that has failed takes no effect after a later call was reported as done",
        "needs a network that delays; test it with a server that is paused and resumed",
    ),
];

/// Runs every case on `store`, which must contain no valuable records and have no other user. Waits
/// for TTLs in real time: about three seconds.
///
/// # Panics
///
/// If the store breaks the contract; the message lists each broken sentence.
///
/// ```
/// use fragcache::testing::{MemoryStore, conformance};
///
/// let report = conformance::check(MemoryStore::new());
/// assert_eq!(report.broken().count(), 0);
/// ```
#[track_caller]
pub fn check(store: impl Store) -> Report {
    let report = Suite::new(store).run();
    report.assert_passed();
    report
}

/// The suite, with settings.
///
/// ```
/// use fragcache::testing::conformance::Suite;
/// use fragcache::testing::{ManualClock, MemoryStore};
///
/// let clock = ManualClock::new();
/// let store = MemoryStore::with_clock(clock.clone());
/// let report = Suite::new(store.clone())
///     .another(move || store.clone())
///     .advance(move |by| clock.advance(by))
///     .run();
/// report.assert_passed();
/// assert_eq!(
///     report.absent().collect::<Vec<_>>(),
///     [("records outlive the handle that wrote them", "persists")],
/// );
/// ```
#[must_use]
pub struct Suite {
    store: Arc<dyn Store>,
    another: Option<Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>>,
    advance: Box<dyn Fn(Duration) + Send + Sync>,
    rounds: u32,
}

impl Suite {
    /// Creates a suite for this store, which must contain no valuable records and have no other
    /// user.
    pub fn new(store: impl Store) -> Self {
        Self { store: Arc::new(store), another: None, advance: Box::new(really_wait), rounds: 50 }
    }

    /// Sets how to open another handle to the same records, as another process would. Without it,
    /// the cases that need one are reported as absent.
    pub fn another<S: Store>(mut self, open: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.another = Some(Box::new(move || Arc::new(open())));
        self
    }

    /// Sets how time passes for this store. Called with a few hundredths of a second at a time.
    /// Without it, the suite waits in real time.
    pub fn advance(mut self, advance: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.advance = Box::new(advance);
        self
    }

    /// Sets how often each race is run. Default: 50; at least 1. More rounds find rarer faults.
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// Runs every case and reports the results.
    pub fn run(self) -> Report {
        let capabilities = self.store.capabilities();
        let mut report = Report::new(capabilities.name);
        let trial = Trial {
            other: self.another.as_ref().map(|open| open()),
            another: self.another,
            store: self.store,
            capabilities,
            advance: self.advance,
            rounds: self.rounds,
            prefix: format!("conformance:{:08x}:", fastrand::u32(..)),
        };
        for case in all_cases() {
            let outcome = match missing(case.needs, &trial.capabilities, trial.other.is_some()) {
                Some(capability) => TrialOutcome::Absent(capability),
                None => match (case.check)(&trial) {
                    Ok(()) => TrialOutcome::Passed,
                    Err(complaint) => TrialOutcome::Broken(complaint.0),
                },
            };
            report.push(case.sentence, outcome);
        }
        for (sentence, why) in UNSEEN {
            report.push(sentence, TrialOutcome::Unseen(why));
        }
        report
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("store", &self.store).finish_non_exhaustive()
    }
}

fn all_cases() -> impl Iterator<Item = &'static Case> {
    let areas: [&'static [Case]; 6] = [
        &values::CASES,
        &changes::CASES,
        &lives::CASES,
        &batches::CASES,
        &scans::CASES,
        &races::CASES,
    ];
    areas.into_iter().flatten()
}

/// What this store or suite lacks for a case.
fn missing(needs: Needs, has: &Capabilities, has_other: bool) -> Option<&'static str> {
    match needs {
        Needs::Nothing => None,
        Needs::Touches => (!has.touches).then_some("touches"),
        Needs::Scans => (!has.scans).then_some("scans"),
        Needs::Another if !has.is_shared => Some("is_shared"),
        Needs::AnotherThatPersists if !has.persists => Some("persists"),
        Needs::Another | Needs::AnotherThatPersists => {
            (!has_other).then_some("a second handle, which the suite did not get")
        }
    }
}

/// Waits in real time.
fn really_wait(by: Duration) {
    let (clock, nobody, never) = (MonotonicClock::default(), Condvar::new(), Mutex::new(()));
    let mut guard = never.lock();
    while clock.now() < by {
        guard = trial::wait_for(&nobody, guard, by.saturating_sub(clock.now()));
    }
    drop(guard);
}
