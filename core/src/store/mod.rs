//! Stores outside the process: the trait, what can go wrong, and the stores that come with this crate.
//!
//! A store knows nothing of fragments. It keeps bytes under plain keys for a while, and everything
//! that makes a cache trustworthy (versions, leases, checks of what is read) is written once, above
//! it. So a store of your own is small: five methods, and a [test suite](crate::testing) that tells
//! whether they keep the contract.

mod fault;
#[cfg(all(feature = "file", unix, not(fragcache_shuttle)))]
mod file;
pub(crate) mod operation;
#[cfg(all(feature = "redis", not(fragcache_shuttle)))]
mod redis;
#[cfg(feature = "mac")]
mod signed;

use std::fmt::Debug;
use std::time::Duration;

pub use fault::{Fault, StoreError};
#[cfg(all(feature = "file", unix, not(fragcache_shuttle)))]
pub use file::{FileOptions, FileStore};
pub use operation::{Operation, Reply};
#[cfg(all(feature = "redis", not(fragcache_shuttle)))]
pub use redis::{RedisOptions, RedisStore};
#[cfg(feature = "mac")]
pub(crate) use signed::Signed;

/// A value as a store returns it.
pub type Value = Vec<u8>;

/// What is read in the place of a record that is not signed for it. No record is empty.
pub(crate) const UNTRUSTED: Value = Value::new();

/// A store of plain bytes under plain keys, shared by whoever is given the same one.
///
/// # Contract
///
/// - Keys are at most [`MAX_STORE_KEY_BYTES`] bytes of `A-Z a-z 0-9 : _ . { } -`. Values are any
///   bytes, also none.
/// - What a method has reported as done is seen by every later call, from whatever process: the
///   safety of invalidations rests on it. A store may forget anything at any time; it must never
///   return to a value that was overwritten or deleted.
/// - A record is gone once its life is over, give or take a second.
/// - Each call returns within a deadline of the store's own, whatever the network does. The cache
///   cannot interrupt a store, so pages wait as long as it does.
/// - A call may fail after it has taken effect. It must not take effect after it has returned an
///   error and a later call on the same key was made and reported as done, as far as the store can
///   help it.
/// - Any number of threads call at the same time, from any runtime or none.
/// - Errors hold no passwords, and no values.
pub trait Store: Debug + Send + Sync + 'static {
    /// What the store can do, and how much it takes. Asked once, when the cache is built.
    fn capabilities(&self) -> Capabilities;

    /// The values of these keys, in the same order; `None` for each that has none. The answer holds
    /// as many values as there are keys. They are read at one moment, or each after the one before.
    ///
    /// # Errors
    ///
    /// When not all of them could be read.
    fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Value>>, StoreError>;

    /// Sets a key to a value for `ttl`, whatever is there. `ttl` is at least a millisecond.
    ///
    /// # Errors
    ///
    /// When it is not known to be set.
    fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError>;

    /// As [`set`](Self::set), if the key has no value; whether it had none. Of several callers at
    /// the same time, one succeeds.
    ///
    /// # Errors
    ///
    /// When that is not known.
    fn add(&self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, StoreError>;

    /// Deletes a key; whether it had a value.
    ///
    /// # Errors
    ///
    /// When it is not known to be gone.
    fn delete(&self, key: &str) -> Result<bool, StoreError>;

    /// Deletes a key if its value is `expected`; whether it was. Nothing happens between the
    /// comparison and the deletion.
    ///
    /// # Errors
    ///
    /// When that is not known.
    fn compare_and_delete(&self, key: &str, expected: &[u8]) -> Result<bool, StoreError>;

    /// Sets a key to a value for `ttl` if its value is `expected`; whether it was. Nothing happens
    /// between the comparison and the change.
    ///
    /// Without an implementation it is [`compare_and_delete`](Self::compare_and_delete), and
    /// [`add`](Self::add) if that has found the value: in between, the key has none. A store that
    /// forgets records by itself had better do it in one step: it would bring back the beginning of
    /// this value if another was set in between, and forgotten.
    ///
    /// # Errors
    ///
    /// When that is not known.
    fn compare_and_set(
        &self,
        key: &str,
        expected: &[u8],
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        Ok(self.compare_and_delete(key, expected)? && self.add(key, value, ttl)?)
    }

    /// Gives a record that is there a life of `ttl` from now on; whether it was there. A store that
    /// cannot ([`Capabilities::touches`]) does nothing and reports `false`.
    ///
    /// # Errors
    ///
    /// When that is not known.
    fn touch(&self, key: &str, ttl: Duration) -> Result<bool, StoreError> {
        let _ = (key, ttl);
        Ok(false)
    }

    /// Does these operations in order, each after the one before it is done, and gives their replies
    /// in the same order. A store behind a network does them in one round trip.
    ///
    /// # Errors
    ///
    /// When one of them fails; those before it may be done, and those after it.
    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        operation::run_one_by_one(self, operations)
    }

    /// Some of the keys that begin with `prefix`, from where `cursor` (of the page before) left off;
    /// in no order, and a key may come twice. Keys that are there throughout come at least once. For
    /// an administrator's tool, never for a page.
    ///
    /// # Errors
    ///
    /// When they could not be read, and where a store cannot list its keys
    /// ([`Capabilities::scans`]).
    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        let _ = (prefix, cursor);
        Err(StoreError::new(Fault::Unsupported, "this store cannot list its keys"))
    }

    /// What a health report shows of the store: names in `snake_case`, and numbers as they are now.
    /// Never blocks. A store behind a network counts its `round_trips`.
    fn gauges(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Removes what is over, if the store does not do that by itself; how many records went.
    ///
    /// # Errors
    ///
    /// When it could not.
    fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Longest key that is given to a store, in bytes.
pub const MAX_STORE_KEY_BYTES: usize = 200;

/// What a store can do beyond what each must, and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What the store calls itself in health reports and errors: `"redis"`, `"file"`.
    pub name: &'static str,
    /// Largest value that it takes, in bytes.
    pub max_value_bytes: usize,
    /// Whether [`Store::touch`] prolongs a record's life.
    pub touches: bool,
    /// Whether [`Store::scan`] lists keys.
    pub scans: bool,
    /// Whether records outlive the process that wrote them.
    pub persists: bool,
    /// Whether other processes see the same records.
    pub is_shared: bool,
}

impl Capabilities {
    /// Those of a store that does what each must and no more, seen by other processes, with values
    /// of up to 1 MiB.
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

    /// Largest value that it takes, in bytes.
    #[must_use]
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Whether [`Store::touch`] prolongs a record's life.
    #[must_use]
    pub fn touches(mut self, yes: bool) -> Self {
        self.touches = yes;
        self
    }

    /// Whether [`Store::scan`] lists keys.
    #[must_use]
    pub fn scans(mut self, yes: bool) -> Self {
        self.scans = yes;
        self
    }

    /// Whether records outlive the process that wrote them.
    #[must_use]
    pub fn persists(mut self, yes: bool) -> Self {
        self.persists = yes;
        self
    }

    /// Whether other processes see the same records.
    #[must_use]
    pub fn is_shared(mut self, yes: bool) -> Self {
        self.is_shared = yes;
        self
    }
}

/// Some keys of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}
