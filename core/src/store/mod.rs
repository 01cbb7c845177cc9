//! Stores outside the process: the trait and its errors. Each store is a crate of its own, such as
//! `fragcache-redis` and `fragcache-file`.
//!
//! A store knows nothing about fragments. It stores bytes under plain keys for a limited time.
//! Everything that makes a cache trustworthy (versions, leases, checks of what is read) is written
//! once, in a layer above. So a custom store is small: one method that runs operations, and a [test
//! suite](crate::testing) that checks that it keeps the contract.

mod fault;
pub(crate) mod operation;
#[cfg(feature = "mac")]
mod signed;

use std::fmt::Debug;
use std::time::Duration;

pub use fault::{Fault, StoreError};
pub use operation::{Operation, Reply};
#[cfg(feature = "mac")]
pub(crate) use signed::Signed;

/// A value as a store returns it.
pub type Value = Vec<u8>;

/// Returned for a record whose signature does not fit its name. No valid record is empty.
pub(crate) const UNTRUSTED: Value = Value::new();

/// A store of plain bytes under plain keys, shared by all processes that are given the same one.
///
/// # Contract
///
/// - Keys are at most [`MAX_STORE_KEY_BYTES`] bytes of `A-Z a-z 0-9 : _ . { } -`. Values are any
///   bytes, or none.
/// - Once a call has reported that something is done, every later call from any process sees it:
///   the safety of invalidations rests on this. A store may lose any record at any time. It must
///   never return to a value that was overwritten or deleted.
/// - A record expires at the end of its TTL, within a second.
/// - Each call returns within a deadline of the store's own, even if the network fails. The cache
///   cannot interrupt a store, so pages wait as long as the store does.
/// - A call may fail after it has taken effect. After it has returned an error, it must not take
///   effect once a later call on the same key was reported as done, as far as the store can prevent
///   it.
/// - Any number of threads may call at the same time, from any runtime or none.
/// - Errors contain no passwords and no values.
///
/// Besides [`capabilities`](Self::capabilities), a store implements [`run`](Self::run). The methods
/// for single operations call it: a store, or a wrapper around one, leaves them as they are.
pub trait Store: Debug + Send + Sync + 'static {
    /// What the store can do, and its limits. Called once, when the cache is built.
    fn capabilities(&self) -> Capabilities;

    /// Runs these operations in order, each after the previous one is done, and returns their
    /// replies in the same order, exactly one for each. A networked store runs them in one round
    /// trip where it can. They need not be atomic together, and may be; each by itself is atomic.
    /// Reads with no other operation between them may run in any order if their keys have different
    /// texts in braces, so that a store on several servers reads from all of them at once. Keys with
    /// the same text in braces, or with none, belong on one server: what is known of a label rests
    /// on its record being read before its fence, and their names have one text in braces.
    ///
    /// See [`Operation`] for what each does. An operation that the store does not know, because it
    /// is newer, is answered with [`StoreError::unsupported`].
    ///
    /// # Errors
    ///
    /// If one of them fails, or if its outcome is not known. Those before it may be done, and those
    /// after it too.
    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError>;

    /// Runs a [`Get`](Operation::Get) of each of these keys and returns their values in the same
    /// order.
    ///
    /// # Errors
    ///
    /// If not all of them could be read.
    fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Value>>, StoreError> {
        let gets: Vec<_> = keys.iter().map(|key| Operation::Get { key }).collect();
        let replies = self.run(&gets)?;
        if replies.len() != keys.len() {
            return Err(operation::mismatch());
        }
        replies.into_iter().map(Reply::into_value).collect()
    }

    /// Runs a [`Set`](Operation::Set).
    ///
    /// # Errors
    ///
    /// If the value may not have been set.
    fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        operation::run_one(self, Operation::Set { key, value, ttl }).map(drop)
    }

    /// Runs an [`Add`](Operation::Add); returns whether the key had no value.
    ///
    /// # Errors
    ///
    /// If the outcome is not known.
    fn add(&self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, StoreError> {
        operation::run_one(self, Operation::Add { key, value, ttl })
    }

    /// Runs a [`Delete`](Operation::Delete); returns whether the key had a value.
    ///
    /// # Errors
    ///
    /// If the value may not have been deleted.
    fn delete(&self, key: &str) -> Result<bool, StoreError> {
        operation::run_one(self, Operation::Delete { key })
    }

    /// Runs a [`CompareAndDelete`](Operation::CompareAndDelete); returns whether the key had this
    /// value.
    ///
    /// # Errors
    ///
    /// If the outcome is not known.
    fn compare_and_delete(&self, key: &str, expected: &[u8]) -> Result<bool, StoreError> {
        operation::run_one(self, Operation::CompareAndDelete { key, expected })
    }

    /// Runs a [`CompareAndSet`](Operation::CompareAndSet); returns whether the key had the expected
    /// value.
    ///
    /// # Errors
    ///
    /// If the outcome is not known.
    fn compare_and_set(
        &self,
        key: &str,
        expected: &[u8],
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        operation::run_one(self, Operation::CompareAndSet { key, expected, value, ttl })
    }

    /// Runs a [`Touch`](Operation::Touch); returns whether the record was present.
    ///
    /// # Errors
    ///
    /// If the outcome is not known.
    fn touch(&self, key: &str, ttl: Duration) -> Result<bool, StoreError> {
        operation::run_one(self, Operation::Touch { key, ttl })
    }

    /// Lists some of the keys that begin with `prefix`, from the `cursor` of the previous page on,
    /// in no particular order. A key may occur twice. Keys that are present throughout occur at
    /// least once. For administration, never called for a page.
    ///
    /// # Errors
    ///
    /// If they could not be read, or if the store cannot list its keys ([`Capabilities::scans`]).
    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        let _ = (prefix, cursor);
        Err(StoreError::new(Fault::Unsupported, "this store cannot list its keys"))
    }

    /// Numbers for the health report, with names in `snake_case`. Never blocks. A networked store
    /// counts its `round_trips`.
    fn gauges(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Removes expired records, if the store does not do that by itself; returns how many it
    /// removed.
    ///
    /// # Errors
    ///
    /// If it could not remove them.
    fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Longest key that the cache passes to a store, in bytes.
pub const MAX_STORE_KEY_BYTES: usize = 200;

/// What a store can do beyond the required methods, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The store's name in health reports and errors: `"redis"`, `"file"`.
    pub name: &'static str,
    /// Largest value that it accepts, in bytes.
    pub max_value_bytes: usize,
    /// Whether [`Operation::Touch`] extends a record's TTL.
    pub touches: bool,
    /// Whether [`Store::scan`] lists keys.
    pub scans: bool,
    /// Whether records outlive the process that wrote them.
    pub persists: bool,
    /// Whether other processes see the same records.
    pub is_shared: bool,
}

impl Capabilities {
    /// The capabilities of a store that neither touches nor scans, which other processes share,
    /// with values of up to 1 MiB.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            max_value_bytes: 1 << 20,
            touches: false,
            scans: false,
            persists: true,
            is_shared: true,
        }
    }

    /// Sets the largest value that it accepts, in bytes.
    #[must_use]
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Sets whether [`Operation::Touch`] extends a record's TTL.
    #[must_use]
    pub fn touches(mut self, yes: bool) -> Self {
        self.touches = yes;
        self
    }

    /// Sets whether [`Store::scan`] lists keys.
    #[must_use]
    pub fn scans(mut self, yes: bool) -> Self {
        self.scans = yes;
        self
    }

    /// Sets whether records outlive the process that wrote them.
    #[must_use]
    pub fn persists(mut self, yes: bool) -> Self {
        self.persists = yes;
        self
    }

    /// Sets whether other processes see the same records.
    #[must_use]
    pub fn is_shared(mut self, yes: bool) -> Self {
        self.is_shared = yes;
        self
    }
}

/// One page of a store's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// The cursor of the next page; `None` after the last one.
    pub next: Option<String>,
}

impl Page {
    /// Creates a page of these keys. `next` is the cursor of the next page; `None` after the last
    /// one.
    pub fn new(keys: Vec<String>, next: Option<String>) -> Self {
        Self { keys, next }
    }
}
