//! A store that records which keys a cache reads, so that a bench can read the same keys otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fragcache::store::{Capabilities, Operation, Reply, Store, StoreError, Value};

/// Wraps a store and records its reads.
#[derive(Debug, Clone)]
pub struct Listening {
    store: Arc<dyn Store>,
    heard: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Listening {
    /// Passes every call on to `store`.
    pub fn to(store: impl Store) -> Self {
        Self { store: Arc::new(store), heard: Arc::default() }
    }

    /// Takes the keys of each read since the last call.
    pub fn heard(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hear(&self, keys: Vec<String>) {
        if !keys.is_empty() {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(keys);
        }
    }
}

impl Store for Listening {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Value>>, StoreError> {
        self.hear(keys.iter().map(|&key| key.to_owned()).collect());
        self.store.get_many(keys)
    }

    fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        self.store.set(key, value, ttl)
    }

    fn add(&self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, StoreError> {
        self.store.add(key, value, ttl)
    }

    fn delete(&self, key: &str) -> Result<bool, StoreError> {
        self.store.delete(key)
    }

    fn compare_and_delete(&self, key: &str, expected: &[u8]) -> Result<bool, StoreError> {
        self.store.compare_and_delete(key, expected)
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let gets = operations.iter().filter(|one| matches!(one, Operation::Get { .. }));
        self.hear(gets.map(|one| one.key().to_owned()).collect());
        self.store.run(operations)
    }
}
