//! A store that runs an action once in the middle of another process's write, and one that loses an
//! answer.

use std::sync::Arc;

use super::many::Shop;
use crate::store::{Capabilities, Fault, Operation, Reply, Store, StoreError};
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

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let any = |kind| operations.iter().any(|one| one.key().contains(kind));
        if operations.iter().all(Operation::is_read) {
            if any(":l:") {
                self.pass(Step::ReadBack);
            }
            let replies = self.0.store.run(operations);
            if any(":e:") {
                self.pass(Step::Looked);
            }
            return replies;
        }
        let is_write = |one: &Operation<'_>| match one {
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
