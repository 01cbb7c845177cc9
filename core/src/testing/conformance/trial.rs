//! What all cases share: the store under test, its calls, and complaints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::store::{Capabilities, Store, StoreError, Value};
use crate::sync::{Condvar, MutexGuard};

/// A TTL that outlasts the suite.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// One sentence of the contract, with its check.
pub(super) struct Case {
    pub(super) sentence: &'static str,
    pub(super) needs: Needs,
    pub(super) check: fn(&Trial) -> Checked,
}

impl Case {
    pub(super) const fn new(sentence: &'static str, check: fn(&Trial) -> Checked) -> Self {
        Self { sentence, needs: Needs::Nothing, check }
    }

    pub(super) const fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }
}

/// What a case needs beyond the mandatory part of the contract.
#[derive(Debug, Clone, Copy)]
pub(super) enum Needs {
    Nothing,
    Touches,
    Scans,
    Another,
    AnotherThatPersists,
}

/// How a store broke a sentence.
#[derive(Debug)]
pub(super) struct Complaint(pub(super) String);

impl From<StoreError> for Complaint {
    fn from(error: StoreError) -> Self {
        Self(format!("a call failed ({}): {error}", error.fault().as_str()))
    }
}

pub(super) type Checked = Result<(), Complaint>;

/// Complains unless `kept` is true.
pub(super) fn ensure(kept: bool, how: impl FnOnce() -> String) -> Checked {
    if kept { Ok(()) } else { Err(Complaint(how())) }
}

/// A value as shown in a complaint.
pub(super) fn shown(value: Option<&[u8]>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(value) if value.len() <= 40 => format!("\"{}\"", value.escape_ascii()),
        Some(value) => format!("a value of {} bytes", value.len()),
    }
}

/// The store under test.
pub(super) struct Trial {
    pub(super) store: Arc<dyn Store>,
    /// Another handle to the same records.
    pub(super) other: Option<Arc<dyn Store>>,
    pub(super) another: Option<Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>>,
    pub(super) capabilities: Capabilities,
    pub(super) advance: Box<dyn Fn(Duration) + Send + Sync>,
    pub(super) rounds: u32,
    pub(super) prefix: String,
}

impl Trial {
    /// A key that is unique to this trial.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The handles, alternating between threads.
    pub(super) fn handle(&self, turn: usize) -> &dyn Store {
        match &self.other {
            Some(other) if turn % 2 == 1 => other.as_ref(),
            Some(_) | None => self.store.as_ref(),
        }
    }

    pub(super) fn set(&self, key: &str, value: &[u8]) -> Checked {
        Ok(self.store.set(key, value, LONG)?)
    }

    /// Complains unless `key` has the value `wanted`.
    pub(super) fn expect(&self, key: &str, wanted: Option<&[u8]>) -> Checked {
        expect_in(self.store.as_ref(), key, wanted)
    }

    /// Lets time pass until none of these keys has a value. Complains if one still has after `ttl`
    /// plus the second that a store may be late.
    pub(super) fn await_end(&self, keys: &[&str], ttl: Duration) -> Checked {
        let step = Duration::from_millis(25);
        // Allows half a second more for a busy machine.
        let limit = ttl + Duration::from_millis(1500);
        let mut waited = Duration::ZERO;
        loop {
            let values = self.store.get_many(keys)?;
            let Some(at) = values.iter().position(Option::is_some) else { return Ok(()) };
            ensure(waited < limit, || {
                let key = keys.get(at).copied().unwrap_or_default();
                format!("{key:?} was set for {ttl:?} and is still there after {waited:?}")
            })?;
            (self.advance)(step);
            waited += step;
        }
    }
}

pub(super) fn get_from(store: &dyn Store, key: &str) -> Result<Option<Value>, Complaint> {
    let mut values = store.get_many(&[key])?;
    ensure(values.len() == 1, || format!("{} values were returned for one key", values.len()))?;
    Ok(values.pop().flatten())
}

pub(super) fn expect_in(store: &dyn Store, key: &str, wanted: Option<&[u8]>) -> Checked {
    let found = get_from(store, key)?;
    ensure(found.as_deref() == wanted, || {
        format!("{key:?} holds {} instead of {}", shown(found.as_deref()), shown(wanted))
    })
}

/// Sets a flag on drop, even if a call of the store panics.
pub(super) struct RaisedAtEnd<'a>(pub(super) &'a AtomicBool);

impl Drop for RaisedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits for a condition that is never signalled, until the limit.
#[cfg(not(fragcache_shuttle))]
pub(super) fn wait_for<'a, T>(
    condition: &Condvar,
    mut guard: MutexGuard<'a, T>,
    limit: Duration,
) -> MutexGuard<'a, T> {
    let _ = condition.wait_for(&mut guard, limit);
    guard
}

/// The model has no time, so this does not wait.
#[cfg(fragcache_shuttle)]
pub(super) fn wait_for<'a, T>(
    _: &Condvar,
    guard: MutexGuard<'a, T>,
    _: Duration,
) -> MutexGuard<'a, T> {
    guard
}
