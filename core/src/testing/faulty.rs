//! A store wrapper that a test makes fail, forget and pause.

use std::fmt;
use std::sync::Arc;

use fastrand::Rng;

use crate::store::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError};
use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering};

/// A [`Store`] around another one, with faults that a test switches on. A clone is another handle
/// to the same store and the same switches: give one to the cache and use the other in the test.
///
/// It counts round trips, so a test can assert how many a page takes. It never sleeps: a paused
/// call waits until the test resumes it.
///
/// ```
/// use std::time::Duration;
/// use fragcache::store::{Fault, Store};
/// use fragcache::testing::{FaultyStore, MemoryStore};
///
/// let store = FaultyStore::new(MemoryStore::new());
/// store.set("greeting", b"hello", Duration::from_secs(60))?;
///
/// store.fail(Fault::Unreachable);
/// assert_eq!(store.get_many(&["greeting"]).unwrap_err().fault(), Fault::Unreachable);
///
/// store.heal();
/// assert_eq!(store.get_many(&["greeting"])?, [Some(b"hello".to_vec())]);
/// assert_eq!(store.round_trips(), 3);
/// # Ok::<(), fragcache::store::StoreError>(())
/// ```
pub struct FaultyStore<S>(Arc<Shared<S>>);

struct Shared<S> {
    store: S,
    failing: Mutex<Failing>,
    refusing: Mutex<Option<(Fault, Which)>>,
    forgetting: Mutex<Option<Forgetting>>,
    round_trips: AtomicU64,
    operations: AtomicU64,
    gate: Mutex<Gate>,
    opened: Condvar,
    arrived: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
enum Failing {
    #[default]
    Nothing,
    Before(Fault),
    After(Fault),
    Writes(Fault),
}

struct Forgetting {
    rng: Rng,
    probability: f64,
    which: Which,
}

/// Selects keys.
type Which = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Which calls are paused, and how many are waiting.
#[derive(Debug, Default)]
struct Gate {
    holds: Option<Side>,
    held: usize,
}

/// Whether a call has taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Store> FaultyStore<S> {
    /// Wraps `store`. Without faults, it behaves like `store`.
    pub fn new(store: S) -> Self {
        Self(Arc::new(Shared {
            store,
            failing: Mutex::new(Failing::Nothing),
            refusing: Mutex::new(None),
            forgetting: Mutex::new(None),
            round_trips: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            gate: Mutex::new(Gate::default()),
            opened: Condvar::new(),
            arrived: Condvar::new(),
        }))
    }

    /// The inner store, without faults and counters.
    pub fn inner(&self) -> &S {
        &self.0.store
    }

    /// From now on, fails every call with this fault, without effect.
    pub fn fail(&self, fault: Fault) {
        *self.0.failing.lock() = Failing::Before(fault);
    }

    /// From now on, fails every call with this fault after it has taken effect, like a reply that
    /// is lost.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fragcache::store::{Fault, Store};
    /// use fragcache::testing::{FaultyStore, MemoryStore};
    ///
    /// let store = FaultyStore::new(MemoryStore::new());
    /// store.fail_after_effect(Fault::Deadline);
    /// assert!(store.set("greeting", b"hello", Duration::from_secs(60)).is_err());
    /// assert_eq!(store.inner().keys(), ["greeting"]);
    /// ```
    pub fn fail_after_effect(&self, fault: Fault) {
        *self.0.failing.lock() = Failing::After(fault);
    }

    /// From now on, fails every call that would change something, without effect: a full or
    /// read-only store. A [`run`](Store::run) of reads succeeds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fragcache::store::{Fault, Store};
    /// use fragcache::testing::{FaultyStore, MemoryStore};
    ///
    /// let store = FaultyStore::new(MemoryStore::new());
    /// store.fail_writes(Fault::Refused);
    /// assert!(store.delete("greeting").is_err());
    /// assert_eq!(store.get_many(&["greeting"])?, [None]);
    /// # Ok::<(), fragcache::store::StoreError>(())
    /// ```
    pub fn fail_writes(&self, fault: Fault) {
        *self.0.failing.lock() = Failing::Writes(fault);
    }

    /// From now on, fails every call with a key for which `which` returns true. In a
    /// [`run`](Store::run), the operations on other keys still take effect, as on a server that
    /// rejects one of many commands.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fragcache::store::{Fault, Operation, Store};
    /// use fragcache::testing::{FaultyStore, MemoryStore};
    ///
    /// let store = FaultyStore::new(MemoryStore::new());
    /// store.fail_keys(Fault::Refused, |key| key == "b");
    /// let set = |key| Operation::Set { key, value: b"hello", ttl: Duration::from_secs(60) };
    /// assert_eq!(store.run(&[set("a"), set("b")]).unwrap_err().fault(), Fault::Refused);
    /// assert_eq!(store.inner().keys(), ["a"]);
    /// ```
    pub fn fail_keys(&self, fault: Fault, which: impl Fn(&str) -> bool + Send + Sync + 'static) {
        *self.0.refusing.lock() = Some((fault, Box::new(which)));
    }

    /// Ends all failing and forgetting. Paused calls remain paused.
    pub fn heal(&self) {
        *self.0.refusing.lock() = None;
        *self.0.failing.lock() = Failing::Nothing;
        *self.0.forgetting.lock() = None;
    }

    /// From now on, forgets records at random, like a full server: whenever a key for which `which`
    /// returns true is read or changed, its record is removed first, with this probability (0 to
    /// 1). The same seed and the same calls lose the same records.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fragcache::store::Store;
    /// use fragcache::testing::{FaultyStore, MemoryStore};
    ///
    /// let store = FaultyStore::new(MemoryStore::new());
    /// for key in ["label:1", "entry:1"] {
    ///     store.set(key, b"hello", Duration::from_secs(60))?;
    /// }
    /// store.forget(7, 1.0, |key| key.starts_with("label:"));
    /// assert_eq!(store.get_many(&["label:1", "entry:1"])?, [None, Some(b"hello".to_vec())]);
    /// # Ok::<(), fragcache::store::StoreError>(())
    /// ```
    pub fn forget(
        &self,
        seed: u64,
        probability: f64,
        which: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) {
        let rng = Rng::with_seed(seed);
        *self.0.forgetting.lock() = Some(Forgetting { rng, probability, which: Box::new(which) });
    }

    /// Number of calls since the start or the last [`reset_counts`](Self::reset_counts), including
    /// failed ones. A [`run`](Store::run) counts as one call, regardless of its size.
    pub fn round_trips(&self) -> u64 {
        self.0.round_trips.load(Ordering::SeqCst)
    }

    /// Number of operations in these calls.
    ///
    /// ```
    /// use fragcache::store::Store;
    /// use fragcache::testing::{FaultyStore, MemoryStore};
    ///
    /// let store = FaultyStore::new(MemoryStore::new());
    /// store.get_many(&["a", "b", "c"])?;
    /// assert_eq!((store.round_trips(), store.operations()), (1, 3));
    /// store.reset_counts();
    /// assert_eq!((store.round_trips(), store.operations()), (0, 0));
    /// # Ok::<(), fragcache::store::StoreError>(())
    /// ```
    pub fn operations(&self) -> u64 {
        self.0.operations.load(Ordering::SeqCst)
    }

    /// Resets the counters to zero.
    pub fn reset_counts(&self) {
        self.0.round_trips.store(0, Ordering::SeqCst);
        self.0.operations.store(0, Ordering::SeqCst);
    }

    /// From now on, pauses every call before it takes effect, until [`resume`](Self::resume). A
    /// paused call sees the faults and records at the time it resumes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fragcache::store::Store;
    /// use fragcache::testing::{FaultyStore, MemoryStore};
    ///
    /// let store = FaultyStore::new(MemoryStore::new());
    /// store.pause();
    /// let reader = store.clone();
    /// let reading = std::thread::spawn(move || reader.get_many(&["greeting"]));
    /// store.await_held(1);
    /// store.inner().set("greeting", b"hello", Duration::from_secs(60))?;
    /// store.resume();
    /// assert_eq!(reading.join().unwrap()?, [Some(b"hello".to_vec())]);
    /// # Ok::<(), fragcache::store::StoreError>(())
    /// ```
    pub fn pause(&self) {
        self.hold(Some(Side::Before));
    }

    /// From now on, pauses every call after it has taken effect and before it returns, until
    /// [`resume`](Self::resume).
    pub fn pause_replies(&self) {
        self.hold(Some(Side::After));
    }

    /// Resumes all paused calls and pauses no more.
    pub fn resume(&self) {
        self.hold(None);
    }

    /// Waits until at least this many calls are paused. Has no timeout.
    pub fn await_held(&self, calls: usize) {
        let mut gate = self.0.gate.lock();
        while gate.held < calls {
            gate = wait(&self.0.arrived, gate);
        }
    }

    /// Runs one round trip on these keys.
    fn call<'k, R>(
        &self,
        keys: impl Iterator<Item = &'k str>,
        writes: bool,
        act: impl FnOnce(&S) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.0.round_trips.fetch_add(1, Ordering::SeqCst);
        self.pass(Side::Before);
        let keys: Vec<&str> = keys.collect();
        self.0.operations.fetch_add(keys.len() as u64, Ordering::SeqCst);
        for key in &keys {
            if self.forgets(key) {
                self.0.store.delete(key)?;
            }
        }
        let refused = keys.iter().find_map(|key| self.refuses(key));
        let failing = *self.0.failing.lock();
        match failing {
            Failing::Before(fault) => return Err(failure(fault)),
            Failing::Writes(fault) if writes => return Err(failure(fault)),
            Failing::Nothing | Failing::After(_) | Failing::Writes(_) => {}
        }
        if let Some(fault) = refused {
            return Err(failure(fault));
        }
        let result = act(&self.0.store);
        self.pass(Side::After);
        match failing {
            Failing::After(fault) => result.and(Err(failure(fault))),
            Failing::Nothing | Failing::Before(_) | Failing::Writes(_) => result,
        }
    }

    fn hold(&self, side: Option<Side>) {
        self.0.gate.lock().holds = side;
        self.0.opened.notify_all();
    }

    /// Waits while calls on this side are paused.
    fn pass(&self, side: Side) {
        let mut gate = self.0.gate.lock();
        if gate.holds != Some(side) {
            return;
        }
        gate.held += 1;
        self.0.arrived.notify_all();
        while gate.holds == Some(side) {
            gate = wait(&self.0.opened, gate);
        }
        gate.held -= 1;
    }

    fn refuses(&self, key: &str) -> Option<Fault> {
        let refusing = self.0.refusing.lock();
        refusing.as_ref().filter(|(_, which)| which(key)).map(|&(fault, _)| fault)
    }

    fn forgets(&self, key: &str) -> bool {
        let mut forgetting = self.0.forgetting.lock();
        forgetting.as_mut().is_some_and(|forgetting| {
            (forgetting.which)(key) && forgetting.rng.f64() < forgetting.probability
        })
    }
}

fn failure(fault: Fault) -> StoreError {
    StoreError::new(fault, format!("a test injected this fault: {}", fault.as_str()))
}

#[cfg(not(fragcache_shuttle))]
fn wait<'a, T>(condition: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(&mut guard);
    guard
}

#[cfg(fragcache_shuttle)]
fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard)
}

impl<S: Store> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultyStore").field(&self.0.store).finish()
    }
}

impl<S: Store> Store for FaultyStore<S> {
    fn capabilities(&self) -> Capabilities {
        self.0.store.capabilities()
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let writes = operations.iter().any(|one| !one.is_read());
        let keys = || operations.iter().map(Operation::key);
        if keys().any(|key| self.refuses(key).is_some()) {
            let others = operations.iter().filter(|one| self.refuses(one.key()).is_none());
            self.0.store.run(&others.copied().collect::<Vec<_>>())?;
        }
        self.call(keys(), writes, |store| store.run(operations))
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        self.call([].into_iter(), false, |store| store.scan(prefix, cursor))
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.call([].into_iter(), true, Store::sweep)
    }
}
