//! Models of the protocol: the real cache with a model checker's locks and threads, run under
//! thousands of schedules. Run them with
//!
//! ```text
//! RUSTFLAGS="--cfg fragcache_shuttle" cargo test -p fragcache --lib --features values model
//! ```
//!
//! Each model runs with all protections, where it must hold, and with one protection switched off,
//! where it must find the bug. A model has no time: a wait that only a timeout would end is
//! reported as a deadlock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod far;
mod flights;
mod freshness;
mod points;
#[cfg(feature = "values")]
mod register;
mod two_levels;
mod windows;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, MaxSteps, Runner};

use crate::protection::Protection;
use crate::{CacheBuilder, Error, ErrorKind, Fragment, FragmentCache, fragment_key};

/// Schedules of each kind that a model must survive.
const SCHEDULES: usize = 3_000;

/// One run of a model, with all protections or all but one.
type Model = fn(Option<Protection>);

/// Runs a model under random schedules, and under schedules with few preemptions at chosen places,
/// which find rare orders sooner.
fn run(model: Model, without: Option<Protection>) {
    run_in(SCHEDULES, model, without);
}

fn run_in(schedules: usize, model: Model, without: Option<Protection>) {
    let mut config = Config::new();
    // Enough for a caller, its body and the way back, without optimization.
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(100_000);
    Runner::new(RandomScheduler::new(schedules), config.clone()).run(move || model(without));
    Runner::new(PctScheduler::new(3, schedules), config).run(move || model(without));
}

/// The model holds for the unmodified cache.
#[track_caller]
fn holds(model: Model) {
    run(model, None);
}

/// Without the protection `without`, the model finds the bug and its message contains `what`.
#[track_caller]
fn finds(model: Model, without: Protection, what: &str) {
    let caught = catch_unwind(AssertUnwindSafe(|| run(model, Some(without))));
    let payload = caught.expect_err("the model found nothing");
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or_default();
    assert!(text.contains(what), "found something else: {text}");
}

/// A cache, and the data that its bodies read.
#[derive(Clone)]
struct World {
    cache: FragmentCache,
    truth: Arc<AtomicU64>,
}

impl World {
    fn new(without: Option<Protection>) -> Self {
        Self::with(without, |builder| builder)
    }

    fn with(without: Option<Protection>, with: impl FnOnce(CacheBuilder) -> CacheBuilder) -> Self {
        let mut builder = with(FragmentCache::builder());
        if let Some(protection) = without {
            builder = builder.without(protection);
        }
        Self { cache: builder.build().unwrap(), truth: Arc::new(AtomicU64::new(0)) }
    }

    /// Runs `task` on a thread of the model.
    fn spawn<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let world = self.clone();
        thread::spawn(move || task(&world))
    }

    /// The output of a body: the current data.
    fn read(&self) -> String {
        let value = self.truth.load(Ordering::SeqCst).to_string();
        thread::yield_now();
        value
    }

    fn change(&self) {
        self.truth.store(1, Ordering::SeqCst);
    }

    fn row(&self) -> String {
        self.cache.render(&fragment("row"), || self.read()).unwrap().to_string()
    }

    /// A fragment that contains the row.
    fn page(&self) -> String {
        self.cache.render(&fragment("page"), || self.row()).unwrap().to_string()
    }

    fn delete(&self) {
        self.cache.delete(&fragment_key!("row")).eventually();
    }

    fn get(&self, name: &str) -> Option<String> {
        self.cache.get(&fragment_key!(name)).unwrap().map(|text| text.to_string())
    }

    /// Checks that every stored entry is current, and that no state is left behind.
    #[track_caller]
    fn check_quiet(&self) {
        let truth = self.truth.load(Ordering::SeqCst).to_string();
        for name in ["row", "page"] {
            if let Some(stored) = self.get(name) {
                assert_eq!(stored, truth, "stale {name}");
            }
        }
        assert_eq!(self.cache.stats().flights, 0, "a flight is left");
    }
}

fn fragment(name: &str) -> Fragment {
    Fragment::new(fragment_key!(name))
}

fn failure() -> Error {
    Error::new(ErrorKind::Config, "no database")
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}
