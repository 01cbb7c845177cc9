//! A store in this process, as a replacement for a shared one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, MonotonicClock};
use crate::store::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError, Value};
use crate::sync::{Mutex, MutexGuard};

/// Maximum number of keys in a page of a scan.
const PAGE_KEYS: usize = 100;

/// A [`Store`] that keeps its records in this process. A clone is another handle to the same
/// records: two caches with a clone each simulate two processes on one server.
///
/// It implements the whole contract, including scans and touches, and never evicts anything.
///
/// ```
/// use std::time::Duration;
/// use fragcache::store::Store;
/// use fragcache::testing::{ManualClock, MemoryStore};
///
/// let clock = ManualClock::new();
/// let store = MemoryStore::with_clock(clock.clone());
/// let other = store.clone();
/// store.set("greeting", b"hello", Duration::from_secs(60))?;
/// assert_eq!(other.get_many(&["greeting"])?, [Some(b"hello".to_vec())]);
///
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(other.get_many(&["greeting"])?, [None]);
/// # Ok::<(), fragcache::store::StoreError>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    records: Arc<Mutex<BTreeMap<String, Record>>>,
    clock: Arc<dyn Clock>,
    max_value_bytes: usize,
}

struct Record {
    value: Value,
    /// When the record ends, by the store's clock.
    ends: Duration,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Creates an empty store whose records end by the system clock.
    pub fn new() -> Self {
        Self::with_clock(MonotonicClock::default())
    }

    /// Creates an empty store whose records end by this clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            records: Arc::new(Mutex::new(BTreeMap::new())),
            clock: Arc::new(clock),
            max_value_bytes: 1 << 20,
        }
    }

    /// Sets the maximum size of a value, in bytes. Larger ones are refused. Default: 1 MiB.
    #[must_use]
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Removes every record, like a flushed server.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fragcache::store::Store;
    /// use fragcache::testing::MemoryStore;
    ///
    /// let store = MemoryStore::new();
    /// store.set("greeting", b"hello", Duration::from_secs(60))?;
    /// assert_eq!(store.keys(), ["greeting"]);
    /// store.clear();
    /// assert!(store.keys().is_empty());
    /// # Ok::<(), fragcache::store::StoreError>(())
    /// ```
    pub fn clear(&self) {
        self.records.lock().clear();
    }

    /// The keys of all live records, in byte order.
    pub fn keys(&self) -> Vec<String> {
        let live = self.live();
        let there = live.records.iter().filter(|(_, record)| record.ends > live.now);
        there.map(|(key, _)| key.clone()).collect()
    }

    /// The remaining TTL of a record; `None` if there is none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fragcache::store::Store;
    /// use fragcache::testing::{ManualClock, MemoryStore};
    ///
    /// let clock = ManualClock::new();
    /// let store = MemoryStore::with_clock(clock.clone());
    /// store.set("greeting", b"hello", Duration::from_secs(60))?;
    /// clock.advance(Duration::from_secs(20));
    /// assert_eq!(store.ttl("greeting"), Some(Duration::from_secs(40)));
    /// # Ok::<(), fragcache::store::StoreError>(())
    /// ```
    pub fn ttl(&self, key: &str) -> Option<Duration> {
        let live = self.live();
        live.record(key).map(|record| record.ends.saturating_sub(live.now))
    }

    fn live(&self) -> Live<'_> {
        let records = self.records.lock();
        Live { records, now: self.clock.now(), max_value_bytes: self.max_value_bytes }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

/// All records, locked, at one moment.
struct Live<'a> {
    records: MutexGuard<'a, BTreeMap<String, Record>>,
    now: Duration,
    max_value_bytes: usize,
}

impl Live<'_> {
    /// The record of this key, if it is live.
    fn record(&self, key: &str) -> Option<&Record> {
        self.records.get(key).filter(|record| record.ends > self.now)
    }

    fn get(&self, key: &str) -> Option<Value> {
        self.record(key).map(|record| record.value.clone())
    }

    fn set(&mut self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        if value.len() > self.max_value_bytes {
            return Err(StoreError::new(
                Fault::Refused,
                format!(
                    "a value of {} bytes is more than the {} that this store accepts",
                    value.len(),
                    self.max_value_bytes
                ),
            ));
        }
        let record = Record { value: value.to_vec(), ends: self.now.saturating_add(ttl) };
        self.records.insert(key.to_owned(), record);
        Ok(())
    }

    fn add(&mut self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, StoreError> {
        if self.record(key).is_some() {
            return Ok(false);
        }
        self.set(key, value, ttl).map(|()| true)
    }

    fn delete(&mut self, key: &str) -> bool {
        self.records.remove(key).is_some_and(|record| record.ends > self.now)
    }

    fn compare_and_delete(&mut self, key: &str, expected: &[u8]) -> bool {
        let is_expected = self.record(key).is_some_and(|record| record.value == expected);
        is_expected && self.delete(key)
    }

    fn compare_and_set(
        &mut self,
        key: &str,
        expected: &[u8],
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let is_expected = self.record(key).is_some_and(|record| record.value == expected);
        if is_expected {
            self.set(key, value, ttl)?;
        }
        Ok(is_expected)
    }

    fn touch(&mut self, key: &str, ttl: Duration) -> bool {
        let now = self.now;
        let there = self.records.get_mut(key).filter(|record| record.ends > now);
        there.map(|record| record.ends = now.saturating_add(ttl)).is_some()
    }
}

impl Store for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("memory")
            .max_value_bytes(self.max_value_bytes)
            .touches(true)
            .scans(true)
            .persists(false)
            .is_shared(true)
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let mut live = self.live();
        let done = |operation: &Operation<'_>| {
            Ok(Reply::Done(match *operation {
                Operation::Get { key } => return Ok(Reply::Value(live.get(key))),
                Operation::Set { key, value, ttl } => live.set(key, value, ttl).map(|()| true)?,
                Operation::Add { key, value, ttl } => live.add(key, value, ttl)?,
                Operation::Delete { key } => live.delete(key),
                Operation::CompareAndDelete { key, expected } => {
                    live.compare_and_delete(key, expected)
                }
                Operation::CompareAndSet { key, expected, value, ttl } => {
                    live.compare_and_set(key, expected, value, ttl)?
                }
                Operation::Touch { key, ttl } => live.touch(key, ttl),
            }))
        };
        operations.iter().map(done).collect()
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        let live = self.live();
        let after = match cursor {
            Some(last) => Bound::Excluded(last),
            None => Bound::Included(prefix),
        };
        let mut keys: Vec<String> = live
            .records
            .range::<str, _>((after, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, record)| record.ends > live.now)
            .take(PAGE_KEYS + 1)
            .map(|(key, _)| key.clone())
            .collect();
        let is_last = keys.len() <= PAGE_KEYS;
        keys.truncate(PAGE_KEYS);
        let next = if is_last { None } else { keys.last().cloned() };
        Ok(Page { keys, next })
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        let mut live = self.live();
        let (before, now) = (live.records.len(), live.now);
        live.records.retain(|_, record| record.ends > now);
        Ok((before - live.records.len()) as u64)
    }
}
