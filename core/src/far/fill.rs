//! The right to store: leases, and the versions that labels have before a body is rendered. What is
//! done with it is in `put`.

use std::borrow::Cow;
use std::sync::Arc;

use super::leases::{self, Lease};
use super::look::Read;
use super::versions::LabelRecord;
use super::{
    Far, FarLookup, FarMissed, KnownVersions, Looked, ReadSnapshot, Snapshot, Unavailable, values,
};
use crate::clock::{Moment, instant};
use crate::entry::Entry;
use crate::freshness::{Freshness, Label};
use crate::store::{Operation, Reply, StoreError, Value};

/// What a caller is to do that found nothing in the store.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// Render and store.
    Lead(Fill),
    /// Another process has stored it meanwhile.
    Found(Entry),
    /// Another process renders it.
    Busy,
    /// What was rendered last could not be stored, so nobody waits: render, and store nothing.
    Unshared,
}

/// The right to store what is rendered. Who does not use it gives it back by [`Far::give_up`].
#[derive(Debug)]
pub(crate) struct Fill {
    pub(super) lease: Lease,
    pub(crate) read_snapshot: ReadSnapshot,
    pub(super) verified: Moment,
    /// What the store held for the key when the lease was taken.
    pub(super) versions: Option<LabelRecord>,
    /// The record that was there and could not be served, where only an absent one may be written.
    pub(super) outdated: Option<Value>,
}

impl Fill {
    /// It was stored, and the lease returned with that.
    pub(crate) fn spend(mut self) {
        self.lease.disown();
    }
}

/// What a look has missed, and who asks for its lease.
#[derive(Clone, Copy)]
pub(crate) struct LeaseRequest<'a> {
    pub(crate) lookup: FarLookup<'a>,
    pub(crate) missed: &'a FarMissed,
    /// The witness of an older read point, if the render has one.
    pub(crate) inherited: Option<&'a ReadSnapshot>,
    /// Whether it is stored only if nothing is there.
    pub(crate) adds: bool,
}

/// Leases that are asked for in one round trip, and the labels that are read with them.
struct Attempt {
    leases: Vec<Lease>,
    labels: Vec<Label>,
    /// Those that had no version when they were last read.
    absent: Vec<Label>,
    fences: Option<Arc<Snapshot>>,
    read: Read,
}

impl Far {
    /// Takes the lease on what a look has missed, with the versions of its labels as they are before
    /// it is rendered.
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
            Some(leases::UNSHARED) => Ok(Prepared::Unshared),
            Some(holder) if leases::is_ours(holder) => Ok(Prepared::Busy),
            // Nobody renders: it was given back just now, or is somebody else's record.
            _ => lead(self.try_seize(&requests, fresh)?, outdated),
        }
    }

    /// Takes the leases on these from whoever holds them, with the versions of their labels; nothing
    /// is looked for. No variant is among them twice.
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
                self.fragment(lease_request.lookup.key),
                self.variant(lease_request.lookup.source),
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

    /// Asks for leases and reads the versions of the labels, in one round trip. Of one lease that is
    /// `unless` somebody else holds it, who does and the entry are read before them; without, they
    /// are taken from whoever holds them. Gives whether they were taken, and what was read.
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
        let life = self.version_life();
        let add = |key| Operation::Add { key, value: &first, ttl: life };
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
            // They may have been taken all the same, if anyone was asked.
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

    /// The rights of whoever has the leases: every label gets a version.
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

    /// Creates versions for labels that have none, and reads some, in this order.
    pub(super) fn create_versions(
        &self,
        absent: &[Label],
        read: &[Label],
    ) -> Result<KnownVersions, Unavailable> {
        let (absent_keys, read_keys) = (self.version_keys(absent), self.version_keys(read));
        let version = LabelRecord::draw().map_err(unavailable)?.to_bytes();
        let ttl = self.version_life();
        let add = |key| Operation::Add { key, value: &version, ttl };
        let get = |key| Operation::Get { key };
        let absent_keys = absent_keys.iter().map(String::as_str);
        let read_keys: Vec<&str> = read_keys.iter().map(String::as_str).collect();
        let mut operations: Vec<_> = absent_keys.map(add).collect();
        operations.extend(read_keys.iter().copied().map(get));
        let known = KnownVersions::new(read, &values(self.run(&operations)?));
        // What is there and is no version is somebody else's: it is written over.
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

    /// Gives back a lease that was not used.
    pub(crate) fn give_up(&self, fill: Fill) {
        self.release(fill.lease);
    }

    /// Gives back at once the leases of bodies that their callers have brought and that are not stored:
    /// the next one may be stored, and may be the same caller's. What cannot be given back now is left to
    /// the worker.
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

    /// As [`give_up`](Self::give_up), where others had better not wait for the next to try.
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

/// Each label once, in order.
pub(super) fn set(labels: impl Iterator<Item = Label>) -> Vec<Label> {
    let mut labels: Vec<Label> = labels.collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}
