//! A store that runs an action once in the middle of another process's write, and one that loses an
//! answer.

use std::sync::Arc;
use std::time::Duration;

use super::many::Shop;
use crate::store::{Capabilities, Fault, Operation, Reply, Store, StoreError, Value};
use crate::sync::Mutex;

/// A step of a body's way to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// An entry was read, but not used yet.
    Looked,
    /// The lease is taken, and about to be read back.
    ReadBack,
    /// The entry is about to be written.
    Write,
}

/// A handle to a store, for one process.
#[derive(Clone)]
pub(super) struct Meanwhile(Arc<Shared>);

type Act = Box<dyn FnOnce() + Send>;

struct Shared {
    store: Shop,
    act: Mutex<Option<(Step, Act)>>,
    loses: Mutex<bool>,
}

impl Meanwhile {
    pub(super) fn new(store: &Shop) -> Self {
        let shared =
            Shared { store: store.clone(), act: Mutex::new(None), loses: Mutex::new(false) };
        Self(Arc::new(shared))
    }

    /// Runs `act` at the next such step, once.
    pub(super) fn act(&self, at: Step, act: impl FnOnce() + Send + 'static) {
        *self.0.act.lock() = Some((at, Box::new(act)));
    }

    /// Loses the answer to the next write.
    pub(super) fn lose(&self) {
        *self.0.loses.lock() = true;
    }

    fn pass(&self, step: Step) {
        let act = self.0.act.lock().take_if(|(at, _)| *at == step);
        act.into_iter().for_each(|(_, act)| act());
    }
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Store for Meanwhile {
    fn capabilities(&self) -> Capabilities {
        self.0.store.capabilities()
    }

    fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Value>>, StoreError> {
        if keys.iter().any(|key| key.contains(":l:")) {
            self.pass(Step::ReadBack);
        }
        let read = self.0.store.get_many(keys);
        if keys.iter().any(|key| key.contains(":e:")) {
            self.pass(Step::Looked);
        }
        read
    }

    fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        self.0.store.set(key, value, ttl)
    }

    fn add(&self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, StoreError> {
        self.0.store.add(key, value, ttl)
    }

    fn delete(&self, key: &str) -> Result<bool, StoreError> {
        self.0.store.delete(key)
    }

    fn compare_and_delete(&self, key: &str, expected: &[u8]) -> Result<bool, StoreError> {
        self.0.store.compare_and_delete(key, expected)
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let is_write = |operation: &Operation<'_>| match operation {
            Operation::Set { key, .. } | Operation::Add { key, .. } => key.contains(":e:"),
            _ => false,
        };
        if !operations.iter().any(is_write) {
            return self.0.store.run(operations);
        }
        self.pass(Step::Write);
        let replies = self.0.store.run(operations);
        match std::mem::take(&mut *self.0.loses.lock()) {
            true => replies.and(Err(StoreError::new(Fault::Refused, "the answer is lost"))),
            false => replies,
        }
    }
}
