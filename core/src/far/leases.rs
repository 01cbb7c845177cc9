//! Leases: at most one process renders a fragment at a time, as long as its lease lives. A lease
//! keeps work from being done twice; what is safe to serve does not depend on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tasks::TaskQueue;
use super::wire::{FragmentId, VariantId};
use crate::store::{Fault, StoreError};
use crate::sync::Mutex;

/// In the place of a lease: what was rendered last could not be stored, so nobody waits for it.
pub(super) const UNSHARED: &[u8] = b"unshared";

/// For how long that stands.
pub(super) const UNSHARED_FOR: Duration = Duration::from_secs(5);

/// What tells one holder from another.
pub(super) type Token = [u8; 16];

pub(super) fn draw() -> Result<Token, StoreError> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| {
        StoreError::new(Fault::Refused, format!("the system gives no random bytes: {error}"))
    })?;
    Ok(token)
}

/// Whether this is what stands in the place of a lease.
pub(super) fn is_ours(holder: &[u8]) -> bool {
    holder.len() == size_of::<Token>() || holder == UNSHARED
}

/// The lease of one variant of a fragment. It ends with what it is held for, however that ends:
/// dropped, it is no longer renewed, and the worker gives it back.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: FragmentId,
    pub(super) variant: VariantId,
    pub(super) key: String,
    pub(super) token: Token,
    /// Where it is to be given back; nowhere if it is not held.
    to: Option<Arc<Leases>>,
}

impl Lease {
    /// One that may be held from now on, as it is about to be asked for.
    pub(super) fn new(
        id: FragmentId,
        variant: VariantId,
        key: String,
        to: &Arc<Leases>,
    ) -> Result<Self, StoreError> {
        Ok(Self { id, variant, key, token: draw()?, to: Some(Arc::clone(to)) })
    }

    /// It was not taken, or has been returned.
    pub(super) fn disown(&mut self) {
        if let Some(leases) = self.to.take() {
            leases.forget(&self.key);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(leases) = self.to.take() {
            leases.forget(&self.key);
            leases.tasks.release(std::mem::take(&mut self.key), self.token);
        }
    }
}

/// The leases that this process holds, to be renewed.
#[derive(Debug)]
pub(super) struct Leases {
    leased: Mutex<HashMap<String, HeldLease>>,
    tasks: Arc<TaskQueue>,
}

#[derive(Debug, Clone, Copy)]
struct HeldLease {
    token: Token,
    renew_at: Instant,
}

impl Leases {
    pub(super) fn new(tasks: Arc<TaskQueue>) -> Self {
        Self { leased: Mutex::default(), tasks }
    }

    pub(super) fn hold(&self, key: String, token: Token, renew_at: Instant) {
        self.leased.lock().insert(key, HeldLease { token, renew_at });
    }

    pub(super) fn forget(&self, key: &str) {
        self.leased.lock().remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.leased.lock().len()
    }

    /// When the first of them is to be renewed.
    pub(super) fn next(&self) -> Option<Instant> {
        self.leased.lock().values().map(|leased| leased.renew_at).min()
    }

    /// Those that are to be renewed now, and then again at `again`.
    pub(super) fn due(&self, now: Instant, again: Instant) -> Vec<(String, Token)> {
        let mut leases = self.leased.lock();
        let due = leases.iter_mut().filter(|(_, leased)| leased.renew_at <= now);
        due.map(|(key, leased)| {
            leased.renew_at = again;
            (key.clone(), leased.token)
        })
        .collect()
    }
}
