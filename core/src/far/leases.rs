//! Leases: at most one process renders a fragment at a time, as long as its lease lives. A lease
//! keeps work from being done twice; what is safe to serve does not depend on it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

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

/// The leases that this process holds, to be renewed.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<HashMap<String, Held>>);

#[derive(Debug, Clone, Copy)]
struct Held {
    token: Token,
    renew_at: Instant,
}

impl Leases {
    pub(super) fn hold(&self, key: String, token: Token, renew_at: Instant) {
        self.0.lock().insert(key, Held { token, renew_at });
    }

    pub(super) fn forget(&self, key: &str) {
        self.0.lock().remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// When the first of them is to be renewed.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.lock().values().map(|held| held.renew_at).min()
    }

    /// Those that are to be renewed now, and then again at `again`.
    pub(super) fn due(&self, now: Instant, again: Instant) -> Vec<(String, Token)> {
        let mut leases = self.0.lock();
        let due = leases.iter_mut().filter(|(_, held)| held.renew_at <= now);
        due.map(|(key, held)| {
            held.renew_at = again;
            (key.clone(), held.token)
        })
        .collect()
    }
}
