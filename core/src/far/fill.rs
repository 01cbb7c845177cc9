//! Storing: first the right to render, then the entry.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::leases::{self, Token};
use super::wire::{FragmentId, VariantId};
use super::{Asked, Away, Evidence, Far, FarMissed, Known, Looked, Witness, values, versions};
use crate::clock::{Moment, instant};
use crate::entry::record::{MAX_RECORD_LABELS, Record};
use crate::entry::{Entry, LabelVersion, Origin, Proof};
use crate::fresh::{Dependencies, Freshness, Label, Labels};
use crate::hash::Version;
use crate::protection::Protection;
use crate::store::{Operation, Reply, StoreError};

/// Most variants of a fragment that are listed.
const MAX_VARIANTS: usize = 8;

/// Every so many stores the versions of an entry's labels are given a new life.
const RENEW_EVERY: u32 = 32;

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
    id: FragmentId,
    variant: VariantId,
    lease: String,
    token: Token,
    pub(crate) witness: Witness,
    verified: Moment,
}

/// A rendered fragment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToStore<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) origin: &'a Origin,
    pub(crate) version: Version,
    pub(crate) labels: &'a Labels,
    pub(crate) dependencies: Option<&'a Dependencies>,
    /// What the fragments inside tell.
    pub(crate) evidence: &'a Evidence,
    /// For ever without.
    pub(crate) life: Option<Duration>,
    pub(crate) stale: Duration,
    pub(crate) render_time: Duration,
    pub(crate) body: &'a [u8],
}

/// Labels with the versions that they had at a read point.
type Versions = Vec<(Label, LabelVersion)>;

/// Why a rendered fragment is not in the store.
#[derive(Debug)]
pub(crate) enum NotStored {
    Away(Away),
    /// It is too large for the store.
    TooLarge,
    /// A label was invalidated since the read point, or may have been.
    Invalidated,
    /// The lease has gone to another process.
    LeaseLost,
}

impl From<Away> for NotStored {
    fn from(away: Away) -> Self {
        Self::Away(away)
    }
}

impl Far {
    /// Takes the lease on what a look has missed, with the versions of its labels as they are before
    /// it is rendered. `inherited` is the witness of an older read point, if the render has one. By
    /// `force` the lease is taken from whoever holds it, and nothing is looked for.
    pub(crate) fn prepare(
        &self,
        asked: Asked<'_>,
        missed: &FarMissed,
        inherited: Option<&Witness>,
        force: bool,
        fresh: &Freshness,
    ) -> Result<Prepared, Away> {
        let fences = match inherited {
            Some(_) => None,
            None => Some(self.snapshot()?),
        };
        let read = self.begin_read(fresh);
        let (id, variant) = (self.fragment(asked.key), self.variant(asked.origin));
        let (lease, entry) = (self.names.lease(&id, variant), self.names.entry(&id, variant));
        let token = leases::draw().map_err(away)?;
        let labels = &missed.labels;
        let keys = self.version_keys(labels);
        let absent_keys = self.version_keys(&missed.absent);
        let first = self.draw()?;
        let ttl = self.lease;
        let mut operations = vec![match force {
            true => Operation::Set { key: &lease, value: &token, ttl },
            false => Operation::Add { key: &lease, value: &token, ttl },
        }];
        let life = self.version_life();
        let add = |key| Operation::Add { key, value: &first, ttl: life };
        operations.extend(absent_keys.iter().map(String::as_str).map(add));
        operations.push(Operation::Get { key: &lease });
        operations.push(Operation::Get { key: &entry });
        operations.extend(keys.iter().map(|key| Operation::Get { key }));
        let replies = match self.run(&operations) {
            Ok(replies) => replies,
            Err(error) => {
                // It may have been taken all the same.
                if error.0.is_some() {
                    self.errands.release(lease, token);
                }
                return Err(error);
            }
        };
        let leads = replies.first() == Some(&Reply::Done(true));
        if leads {
            self.leases.hold(lease.clone(), token, instant() + ttl / 3);
        }
        let mut read_back = values(replies).into_iter();
        let holder = read_back.next().flatten();
        let stored = read_back.next().flatten();
        let mut known = Known::new(labels, read_back.as_slice());
        let fill = |known| {
            let own = || Witness { known: Arc::new(known), fences, moment: read.moment };
            let witness = inherited.cloned().unwrap_or_else(own);
            Fill { id, variant, lease, token, witness, verified: read.moment }
        };
        if !force {
            let record = self.decode(stored.as_deref()).map(Cow::Owned);
            match self.judge(asked, record, &known, read) {
                Ok(Looked::Found(entry)) if entry.expires > read.moment => {
                    if leads {
                        self.give_up(fill(known));
                    }
                    return Ok(Prepared::Found(entry));
                }
                Ok(_) => {}
                Err(error) => {
                    if leads {
                        self.give_up(fill(known));
                    }
                    return Err(error);
                }
            }
        }
        if !leads {
            if !force && !holder.as_deref().is_some_and(leases::is_ours) {
                // Nobody renders: it was given back just now, or is somebody else's record.
                return self.prepare(asked, missed, inherited, true, fresh);
            }
            let unshared = holder.as_deref() == Some(leases::UNSHARED);
            return Ok(if unshared { Prepared::Unshared } else { Prepared::Busy });
        }
        let absent: Vec<Label> = known.absent().collect();
        if !absent.is_empty() {
            match self.create_versions(&absent, &absent) {
                Ok(created) => known.replace(created),
                Err(error) => {
                    self.give_up(fill(known));
                    return Err(error);
                }
            }
        }
        Ok(Prepared::Lead(fill(known)))
    }

    /// Creates versions for labels that have none, and reads some, in this order.
    pub(super) fn create_versions(&self, absent: &[Label], read: &[Label]) -> Result<Known, Away> {
        let (absent_keys, read_keys) = (self.version_keys(absent), self.version_keys(read));
        let (version, ttl) = (self.draw()?, self.version_life());
        let add = |key| Operation::Add { key, value: &version, ttl };
        let get = |key| Operation::Get { key };
        let absent_keys = absent_keys.iter().map(String::as_str);
        let read_keys: Vec<&str> = read_keys.iter().map(String::as_str).collect();
        let mut operations: Vec<_> = absent_keys.map(add).collect();
        operations.extend(read_keys.iter().copied().map(get));
        let known = Known::new(read, &values(self.run(&operations)?));
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
        Ok(Known::new(read, &values(self.run(&operations)?)))
    }

    /// Stores what was rendered, if every label's version is that of its read point.
    pub(crate) fn store(&self, fill: &Fill, rendered: ToStore<'_>) -> Result<Proof, NotStored> {
        let labels = self.all_labels(rendered.labels, rendered.dependencies);
        let evidence = rendered.evidence;
        let (versions, variants) = self.versions_at_read_point(fill, &labels, evidence)?;
        self.check_unlisted(&labels, evidence)?;
        let bits: Vec<(u64, LabelVersion)> =
            versions.iter().map(|&(label, version)| (label.to_bits(), version)).collect();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let identity = self.identity(rendered.key, rendered.origin);
        let own = self.own_in_record(rendered.key, rendered.labels);
        let record = Record {
            key: &identity.key,
            digest: &identity.digest,
            mode: identity.mode,
            version: rendered.version.to_bits(),
            template: rendered.origin.template.as_deref().filter(|_| !self.is_opaque()),
            own: own.as_deref(),
            labels: &bits,
            created: self.unix_millis(),
            life: rendered.life.map(millis),
            stale: millis(rendered.stale),
            render_time: u64::try_from(rendered.render_time.as_micros()).unwrap_or(u64::MAX),
            body: rendered.body,
        };
        let value = self.codec.encode(&record).map_err(|_| NotStored::TooLarge)?;
        if value.len() > self.link.capabilities.max_value_bytes {
            return Err(NotStored::TooLarge);
        }
        let ttl = self.record_life(rendered.life, rendered.stale);
        let entry = self.names.entry(&fill.id, fill.variant);
        let list = self.names.variants(&fill.id);
        self.leases.forget(&fill.lease);
        self.run(&[
            Operation::Set { key: &entry, value: &value, ttl },
            Operation::Set { key: &list, value: &variants, ttl },
            Operation::CompareAndDelete { key: &fill.lease, expected: &fill.token },
        ])?;
        let others =
            labels.iter().copied().filter(|label| !self.own(rendered.labels).contains(label));
        self.hints.note(fill.id.key, others);
        if fastrand::u32(..RENEW_EVERY) == 0 {
            let keys = self.version_keys(&labels);
            self.errands.touch(keys.into_iter().map(|key| (key, self.version_life())));
        }
        let verified = fill.verified.min(evidence.verified);
        Ok(Proof::new(versions, self.moment(), verified))
    }

    /// Fences that stand for too many labels vouch for their versions since the read point; that what
    /// was served inside had those versions is asked here.
    fn check_unlisted(&self, listed: &[Label], evidence: &Evidence) -> Result<(), NotStored> {
        let unlisted = evidence.besides(|label| listed.binary_search(&label).is_ok());
        if unlisted.is_empty() {
            return Ok(());
        }
        let labels: Vec<Label> = unlisted.iter().map(|&(label, _)| label).collect();
        let known = self.read_versions(&labels)?;
        self.compare(&unlisted, &known, None).map_err(|_| NotStored::Invalidated)
    }

    /// Gives back a lease that was not used.
    pub(crate) fn give_up(&self, fill: Fill) {
        self.leases.forget(&fill.lease);
        if cfg!(fragcache_shuttle) {
            // A model has no keeper.
            let (key, expected) = (&fill.lease, &fill.token[..]);
            let _ = self.run(&[Operation::CompareAndDelete { key, expected }]);
            return;
        }
        self.errands.release(fill.lease, fill.token);
    }

    /// As [`give_up`](Self::give_up), where others had better not wait for the next to try.
    pub(crate) fn give_up_unshared(&self, fill: Fill) {
        self.leases.forget(&fill.lease);
        self.errands.mark_unshared(fill.lease);
    }

    /// For how long the store is to keep an entry.
    pub(super) fn record_life(&self, life: Option<Duration>, stale: Duration) -> Duration {
        let nominal = life.map_or(Duration::MAX, |life| life.saturating_add(stale));
        nominal.clamp(Duration::from_millis(1), self.longest_life)
    }

    /// Everything that an entry depends on. More than a record lists becomes all fences, which is
    /// everything.
    fn all_labels(&self, labels: &Labels, dependencies: Option<&Dependencies>) -> Vec<Label> {
        let mut all = self.own(labels).to_vec();
        match dependencies {
            Some(Dependencies::Listed(listed)) if all.len() + listed.len() <= MAX_RECORD_LABELS => {
                all.extend_from_slice(listed);
            }
            Some(_) => all.extend_from_slice(self.fences.all()),
            None => {}
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The versions that labels had at the read point, and the new list of variants.
    fn versions_at_read_point(
        &self,
        fill: &Fill,
        labels: &[Label],
        evidence: &Evidence,
    ) -> Result<(Versions, Vec<u8>), NotStored> {
        let unseen = Witness::default();
        let at_read_point = self.protections.keep(Protection::VersionsAtReadPoint);
        let witness = if at_read_point { &fill.witness } else { &unseen };
        let keeps_fences = at_read_point && self.protections.keep(Protection::LateFences);
        let mut versions = Versions::with_capacity(labels.len());
        let mut late = Vec::new();
        for &label in labels {
            let fence = witness.fences.as_ref().and_then(|fences| fences.versions.get(label));
            let known = witness.known.get(label).or(fence).flatten();
            match known.or_else(|| evidence.exact(label)) {
                Some(version) if evidence.agrees(label, version) => versions.push((label, version)),
                Some(_) => return Err(NotStored::Invalidated),
                None => late.push(label),
            }
        }
        let mut fences: Vec<Label> = late.iter().map(|&label| self.fences.of(label)).collect();
        fences.sort_unstable();
        fences.dedup();
        // Labels first: a fence that is unchanged after them vouches for them.
        let asked = [late.as_slice(), fences.as_slice()].concat();
        let mut keys = vec![fill.lease.clone(), self.names.variants(&fill.id)];
        keys.extend(self.version_keys(&asked));
        let mut values = self.get(&keys)?.into_iter();
        if values.next().flatten().as_deref() != Some(&fill.token[..]) {
            return Err(NotStored::LeaseLost);
        }
        let variants = listed_first(fill.variant, values.next().flatten().as_deref());
        let mut known = Known::new(&asked, values.as_slice());
        let absent: Vec<Label> =
            late.iter().copied().filter(|&label| known.get(label).flatten().is_none()).collect();
        if !absent.is_empty() {
            known = self.create_versions(&absent, &asked)?;
        }
        for &label in &late {
            let fence = self.fences.of(label);
            let then = witness.fences.as_ref().and_then(|then| then.versions.get(fence).flatten());
            match (known.get(label).flatten(), known.get(fence).flatten()) {
                (Some(version), Some(now))
                    if (Some(now) == then || !keeps_fences) && evidence.agrees(label, version) =>
                {
                    versions.push((label, version));
                }
                _ => return Err(NotStored::Invalidated),
            }
        }
        Ok((versions, variants))
    }

    fn draw(&self) -> Result<[u8; 24], Away> {
        versions::draw(self.clock.unix_time()).map_err(away)
    }

    pub(super) fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, Away> {
        self.link.run(operations).inspect_err(|away| self.alert(away))
    }
}

fn away(error: StoreError) -> Away {
    Away(Some(error))
}

/// A list of variants with this one first.
fn listed_first(variant: VariantId, list: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = variant.0.to_be_bytes().to_vec();
    for other in listed(list.unwrap_or_default()) {
        if other != variant && bytes.len() < MAX_VARIANTS * 8 {
            bytes.extend_from_slice(&other.0.to_be_bytes());
        }
    }
    bytes
}

/// The variants of a list, newest first.
pub(super) fn listed(list: &[u8]) -> impl Iterator<Item = VariantId> {
    list.chunks_exact(8)
        .take(MAX_VARIANTS)
        .map(|id| VariantId(id.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))))
}
