//! A store that records which keys a cache reads, so that a bench can read the same keys otherwise.

use std::sync::{Arc, Mutex, PoisonError};

use fragcache::store::{Capabilities, Operation, Reply, Store, StoreError};

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

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let gets = operations.iter().filter(|one| one.is_read());
        self.hear(gets.map(|one| one.key().to_owned()).collect());
        self.store.run(operations)
    }
}
