//! The right to store a body: leases, and the versions that labels have before a body is rendered.
//! `put` uses it.
//!
//! At most one process renders a fragment at a time while its lease is valid. A lease avoids duplicate
//! work; safety does not depend on it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::look::Read;
use super::tasks::TaskQueue;
use super::versions::LabelRecord;
use super::wire::{FragmentId, VariantId};
use super::{Far, FarMissed, KnownVersions, Looked, ReadSnapshot, Snapshot, Unavailable, values};
use crate::clock::{Moment, instant};
use crate::entry::Entry;
use crate::freshness::Freshness;
use crate::label::Label;
use crate::lookup::Lookup;
use crate::store::{Fault, Operation, Reply, StoreError, Value};
use crate::sync::Mutex;

/// What a caller does after a far miss.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// Render and store.
    Lead(Fill),
    /// Another process has stored it in the meantime.
    Found(Entry),
    /// Another process is rendering it.
    Busy,
    /// Render, store nothing and do not wait: the last body could not be stored.
    Unshared,
}

/// The right to store a body. A caller that does not use it returns it with [`Far::give_up`].
#[derive(Debug)]
pub(crate) struct Fill {
    pub(super) lease: Lease,
    pub(crate) read_snapshot: ReadSnapshot,
    pub(super) verified: Moment,
    /// The key's record in the store when the lease was taken.
    pub(super) versions: Option<LabelRecord>,
    /// The stored record that could not be served, where a body is only added if none is there.
    pub(super) outdated: Option<Value>,
}

impl Fill {
    /// Consumes the right after the body was stored; storing has returned the lease.
    pub(crate) fn spend(mut self) {
        self.lease.disown();
    }
}

/// A request for the lease on a far miss.
#[derive(Clone, Copy)]
pub(crate) struct LeaseRequest<'a> {
    pub(crate) lookup: Lookup<'a>,
    pub(crate) missed: &'a FarMissed,
    /// The snapshot of an older read point, if the render has one.
    pub(crate) inherited: Option<&'a ReadSnapshot>,
    /// Whether the body is stored only if no entry is there.
    pub(crate) adds: bool,
}

/// The leases to take in one round trip, and the labels to read with them.
struct Attempt {
    leases: Vec<Lease>,
    labels: Vec<Label>,
    /// The labels that had no version when they were last read.
    absent: Vec<Label>,
    fences: Option<Arc<Snapshot>>,
    read: Read,
}

impl Far {
    /// Takes the lease on a far miss, with the versions that its labels have before it is rendered.
    pub(crate) fn prepare(
        &self,
        lease_request: LeaseRequest<'_>,
        fresh: &Freshness,
    ) -> Result<Prepared, Unavailable> {
        let requests = [lease_request];
        let mut attempt = self.attempt(&requests, fresh)?;
        let read = attempt.read;
        let entry = self.entry_key(lease_request.lookup);
        let (leads, values) = self.take(&mut attempt, Some(&entry))?;
        let mut values = values.into_iter();
        let holder = values.next().flatten();
        let stored = values.next().flatten();
        let known = KnownVersions::new(&attempt.labels, values.as_slice());
        let record = self.decode(stored.as_deref()).map(Cow::Owned);
        let outdated = stored.filter(|_| lease_request.adds);
        let found = match self.judge(lease_request.lookup, record, &known, read) {
            Ok(Looked::Found(entry)) if entry.expires > read.moment => {
                Some(Ok(Prepared::Found(entry)))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        if let Some(found) = found {
            if leads {
                attempt.leases.into_iter().for_each(|lease| self.release(lease));
            }
            return found;
        }
        if leads {
            return lead(self.complete(attempt, &requests, known)?, outdated);
        }
        match holder.as_deref() {
            Some(UNSHARED) => Ok(Prepared::Unshared),
            Some(holder) if is_ours(holder) => Ok(Prepared::Busy),
            // No process renders: the lease was returned just now, or the record is foreign.
            _ => lead(self.try_seize(&requests, fresh)?, outdated),
        }
    }

    /// Takes these leases even from other holders, with the versions of their labels. Does not look
    /// for entries. Each variant occurs at most once.
    pub(crate) fn seize(
        &self,
        requests: &[LeaseRequest<'_>],
        fresh: &Freshness,
    ) -> Vec<Result<Fill, Unavailable>> {
        self.together(requests, |requests| self.try_seize(requests, fresh))
    }

    fn try_seize(
        &self,
        requests: &[LeaseRequest<'_>],
        fresh: &Freshness,
    ) -> Result<Vec<Fill>, Unavailable> {
        let mut attempt = self.attempt(requests, fresh)?;
        let (_, values) = self.take(&mut attempt, None)?;
        let known = KnownVersions::new(&attempt.labels, &values);
        self.complete(attempt, requests, known)
    }

    fn attempt(
        &self,
        requests: &[LeaseRequest<'_>],
        fresh: &Freshness,
    ) -> Result<Attempt, Unavailable> {
        let fences = match requests.iter().all(|lease_request| lease_request.inherited.is_some()) {
            true => None,
            false => Some(self.snapshot()?),
        };
        let read = self.begin_read(fresh);
        let lease = |lease_request: &LeaseRequest<'_>| {
            let (id, variant) = (
                self.fragment(lease_request.lookup.request.hashed.key),
                self.variant(lease_request.lookup.request.source),
            );
            let key = self.names.lease(&id, variant);
            Lease::new(id, variant, key, &self.leases).map_err(unavailable)
        };
        let leases = requests.iter().map(lease).collect::<Result<_, _>>()?;
        let labels =
            requests.iter().flat_map(|lease_request| lease_request.missed.labels.iter().copied());
        let absent =
            requests.iter().flat_map(|lease_request| lease_request.missed.absent.iter().copied());
        Ok(Attempt { leases, labels: set(labels), absent: set(absent), fences, read })
    }

    /// Takes leases and reads the versions of the labels, in one round trip. With `unless`, the
    /// name of an entry, takes the one lease only if it is free, and returns the holder and that
    /// entry before the versions. Without it, takes the leases even from other holders. Returns
    /// whether they were taken, and what was read.
    fn take(
        &self,
        attempt: &mut Attempt,
        unless: Option<&str>,
    ) -> Result<(bool, Vec<Option<Value>>), Unavailable> {
        let keys = self.version_keys(&attempt.labels);
        let absent_keys = self.version_keys(&attempt.absent);
        let first = LabelRecord::draw().map_err(unavailable)?.to_bytes();
        let ttl = self.lease;
        let mut operations = Vec::new();
        for lease in &attempt.leases {
            let (key, value) = (&lease.key, &lease.token);
            operations.push(match unless {
                Some(_) => Operation::Add { key, value, ttl },
                None => Operation::Set { key, value, ttl },
            });
        }
        let version_ttl = self.version_ttl();
        let add = |key| Operation::Add { key, value: &first, ttl: version_ttl };
        operations.extend(absent_keys.iter().map(String::as_str).map(add));
        if let Some(entry) = unless {
            operations
                .extend(attempt.leases.iter().map(|lease| Operation::Get { key: &lease.key }));
            operations.push(Operation::Get { key: entry });
        }
        operations.extend(keys.iter().map(|key| Operation::Get { key }));
        let replies = self.run(&operations);
        let leads = match &replies {
            Ok(replies) => unless.is_none() || replies.first() == Some(&Reply::Done(true)),
            // A call that failed may have taken them, if it reached the store.
            Err(unavailable) => unavailable.0.is_some(),
        };
        match (leads, &replies) {
            (true, Ok(_)) => {
                for lease in &attempt.leases {
                    self.leases.hold(lease.key.clone(), lease.token, instant() + ttl / 3);
                }
            }
            (true, Err(_)) => {}
            (false, _) => attempt.leases.iter_mut().for_each(Lease::disown),
        }
        Ok((leads, values(replies?)))
    }

    /// Turns taken leases into fills and gives every label a version.
    fn complete(
        &self,
        attempt: Attempt,
        requests: &[LeaseRequest<'_>],
        mut known: KnownVersions,
    ) -> Result<Vec<Fill>, Unavailable> {
        let Attempt { leases, fences, read, .. } = attempt;
        let absent: Vec<Label> = known.absent().collect();
        if !absent.is_empty() {
            match self.create_versions(&absent, &absent) {
                Ok(created) => known.replace(created),
                Err(error) => {
                    leases.into_iter().for_each(|lease| self.release(lease));
                    return Err(error);
                }
            }
        }
        let known = Arc::new(known);
        let own = || ReadSnapshot {
            known: Arc::clone(&known),
            fences: fences.clone(),
            moment: read.moment,
            order: read.order,
        };
        let fill = |(lease, lease_request): (Lease, &LeaseRequest<'_>)| Fill {
            lease,
            read_snapshot: lease_request.inherited.cloned().unwrap_or_else(own),
            verified: read.moment,
            versions: known.versions(lease_request.lookup.labels.key).flatten(),
            outdated: None,
        };
        Ok(leases.into_iter().zip(requests).map(fill).collect())
    }

    /// Creates versions for labels that have none, then reads others.
    pub(super) fn create_versions(
        &self,
        absent: &[Label],
        read: &[Label],
    ) -> Result<KnownVersions, Unavailable> {
        let (absent_keys, read_keys) = (self.version_keys(absent), self.version_keys(read));
        let version = LabelRecord::draw().map_err(unavailable)?.to_bytes();
        let ttl = self.version_ttl();
        let add = |key| Operation::Add { key, value: &version, ttl };
        let get = |key| Operation::Get { key };
        let absent_keys = absent_keys.iter().map(String::as_str);
        let read_keys: Vec<&str> = read_keys.iter().map(String::as_str).collect();
        let mut operations: Vec<_> = absent_keys.map(add).collect();
        operations.extend(read_keys.iter().copied().map(get));
        let known = KnownVersions::new(read, &values(self.run(&operations)?));
        // A foreign record that is not a version is overwritten.
        let foreign: Vec<Label> =
            absent.iter().copied().filter(|&label| known.get(label) == Some(None)).collect();
        if foreign.is_empty() {
            return Ok(known);
        }
        let keys = self.version_keys(&foreign);
        let set = |key| Operation::Set { key, value: &version, ttl };
        let mut operations: Vec<_> = keys.iter().map(String::as_str).map(set).collect();
        operations.extend(read_keys.iter().copied().map(get));
        Ok(KnownVersions::new(read, &values(self.run(&operations)?)))
    }

    /// Returns an unused lease.
    pub(crate) fn give_up(&self, fill: Fill) {
        self.release(fill.lease);
    }

    /// Immediately returns the leases of bodies that callers supplied and that were not stored, so
    /// that the next body can be stored, even from the same caller. The worker returns what cannot
    /// be returned now.
    pub(crate) fn give_back(&self, fills: &mut Vec<Fill>) {
        let mut operations = Vec::with_capacity(fills.len());
        for Fill { lease: Lease { key, token, .. }, .. } in fills.iter() {
            operations.push(Operation::CompareAndDelete { key, expected: token });
        }
        if !operations.is_empty() && self.run(&operations).is_ok() {
            std::mem::take(fills).into_iter().for_each(Fill::spend);
        }
    }

    fn release(&self, mut lease: Lease) {
        if cfg!(fragcache_shuttle) {
            // A model has no worker.
            let (key, expected) = (&lease.key, &lease.token[..]);
            let _ = self.run(&[Operation::CompareAndDelete { key, expected }]);
            lease.disown();
        }
    }

    /// Like [`give_up`](Self::give_up), and marks the lease so that other processes do not wait for
    /// the next body.
    pub(crate) fn give_up_unshared(&self, mut fill: Fill) {
        fill.lease.disown();
        self.tasks.mark_unshared(std::mem::take(&mut fill.lease.key), fill.lease.token);
    }

    pub(super) fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, Unavailable> {
        self.link.run(operations).inspect_err(|unavailable| self.alert(unavailable))
    }
}

fn lead(mut fills: Vec<Fill>, outdated: Option<Value>) -> Result<Prepared, Unavailable> {
    let fill = fills.pop().map(|fill| Fill { outdated, ..fill });
    fill.map(Prepared::Lead).ok_or(Unavailable(None))
}

pub(super) fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(Some(error))
}

/// Sorts and deduplicates labels.
pub(super) fn set(labels: impl Iterator<Item = Label>) -> Vec<Label> {
    let mut labels: Vec<Label> = labels.collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

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
