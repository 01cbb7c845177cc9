//! Leases: at most one process renders a fragment at a time while its lease is valid. A lease
//! avoids duplicate work; safety does not depend on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tasks::TaskQueue;
use super::wire::{FragmentId, VariantId};
use crate::store::{Fault, StoreError};
use crate::sync::Mutex;

/// Stored instead of a lease if the last body could not be stored, so that no caller waits.
pub(super) const UNSHARED: &[u8] = b"unshared";

/// TTL of that marker.
pub(super) const UNSHARED_FOR: Duration = Duration::from_secs(5);

/// Identifies the holder of a lease.
pub(super) type Token = [u8; 16];

pub(super) fn draw() -> Result<Token, StoreError> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| {
        StoreError::new(Fault::Refused, format!("the system provides no random bytes: {error}"))
    })?;
    Ok(token)
}

/// Whether this value is a lease or the marker.
pub(super) fn is_ours(holder: &[u8]) -> bool {
    holder.len() == size_of::<Token>() || holder == UNSHARED
}

/// The lease of one variant of a fragment. Dropping it stops its renewal, and the worker returns
/// it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) id: FragmentId,
    pub(super) variant: VariantId,
    pub(super) key: String,
    pub(super) token: Token,
    /// Where to return it; `None` if it is not held.
    to: Option<Arc<Leases>>,
}

impl Lease {
    /// Creates a lease that is about to be requested, and so may be held from now on.
    pub(super) fn new(
        id: FragmentId,
        variant: VariantId,
        key: String,
        to: &Arc<Leases>,
    ) -> Result<Self, StoreError> {
        Ok(Self { id, variant, key, token: draw()?, to: Some(Arc::clone(to)) })
    }

    /// Marks the lease as not taken or already returned.
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

/// The leases that this process holds and renews.
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

    /// When the first renewal is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.leased.lock().values().map(|leased| leased.renew_at).min()
    }

    /// The leases to renew now; their next renewal is at `again`.
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
