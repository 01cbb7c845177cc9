//! Storing a rendered body for all readers: determines the versions of its labels at its read
//! point, and writes them with the body. Several bodies take the same few round trips as one.

use std::sync::Arc;
use std::time::Duration;

use super::fill::{self, set};
use super::variants::{VariantSummary, digest, listed_first};
use super::versions::RECORD_BYTES;
use super::{Far, Fill, InheritedVersions, KnownVersions, ReadSnapshot, Unavailable};
use crate::entry::record::{MAX_RECORD_LABELS, Record};
use crate::entry::{EntrySource, LabelVersion, VersionVector};
use crate::freshness::Dependencies;
use crate::hash::Version;
use crate::label::{Label, Labels};
use crate::options::Write;
use crate::protection::Protection;
use crate::store::{Operation, Reply, Value};

/// One in this many stores, at random, renews the TTL of the versions of the entry's labels.
const RENEW_EVERY: u32 = 32;

/// A rendered fragment and the right to store it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToStore<'a> {
    pub(crate) fill: &'a Fill,
    pub(crate) key: &'a [u8],
    pub(crate) source: &'a EntrySource,
    pub(crate) version: Version,
    pub(crate) labels: &'a Labels,
    pub(crate) dependencies: Option<&'a Dependencies>,
    /// The versions inherited from the fragments inside.
    pub(crate) inherited_versions: &'a InheritedVersions,
    pub(crate) write: Write,
    /// TTL; `None` for never.
    pub(crate) ttl: Option<Duration>,
    pub(crate) stale: Duration,
    pub(crate) render_time: Duration,
    pub(crate) body: &'a [u8],
}

/// Why a rendered fragment was not stored.
#[derive(Debug)]
pub(crate) enum NotStored {
    Unavailable(Unavailable),
    /// It is too large for the store.
    TooLarge,
    /// A label was or may have been invalidated since the read point.
    Invalidated,
    /// Another process has taken the lease, or has written an entry in the meantime.
    LeaseLost,
}

impl From<Unavailable> for NotStored {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

/// A body to be stored.
struct Put<'a> {
    rendered: ToStore<'a>,
    /// All labels that it depends on, sorted.
    labels: Vec<Label>,
    /// The known versions of labels at the read point.
    versions: Vec<(Label, LabelVersion)>,
    /// The labels whose versions were not read at the read point.
    late: Vec<Label>,
    /// The key's record in the store, before and after this write.
    key_versions: [[u8; RECORD_BYTES]; 2],
    /// The new list of variants, and the record.
    variants: Vec<u8>,
    record: Vec<u8>,
    ttl: Duration,
}

/// What is read before a body is stored.
struct ReadBack {
    holder: Option<Value>,
    variants: Option<Value>,
    known: Arc<KnownVersions>,
}

impl Far {
    /// Stores rendered bodies, each only if all its labels still have the versions of its read
    /// point. Each variant occurs at most once.
    pub(crate) fn store(&self, rendered: &[ToStore<'_>]) -> Vec<Result<VersionVector, NotStored>> {
        let mut puts: Vec<_> = rendered.iter().map(|one| self.put(*one)).collect();
        next(&mut puts, |puts| {
            let read = self.together(puts, |puts| self.read_back(puts));
            let checked = puts.iter_mut().zip(read);
            checked.map(|(put, read)| self.check(put, &read?)).collect()
        });
        next(&mut puts, |puts| {
            for put in puts.iter() {
                self.leases.forget(&put.rendered.fill.lease.key);
            }
            let written = self.together(puts, |puts| self.write(puts));
            let is_written = |written| match written {
                Ok(true) => Ok(()),
                Ok(false) => Err(NotStored::LeaseLost),
                Err(unavailable) => Err(NotStored::Unavailable(unavailable)),
            };
            written.into_iter().map(is_written).collect()
        });
        let mut renewed = Vec::new();
        for put in puts.iter().flatten().filter(|_| fastrand::u32(..RENEW_EVERY) == 0) {
            renewed.extend_from_slice(&put.labels);
        }
        if !renewed.is_empty() {
            let keys = self.version_keys(&set(renewed.into_iter()));
            self.tasks.touch(keys.into_iter().map(|key| (key, self.version_ttl())));
        }
        puts.into_iter().map(|put| put.map(|put| self.stored(put))).collect()
    }

    /// Collects what is known about a body's labels without a call to the store.
    fn put<'a>(&self, rendered: ToStore<'a>) -> Result<Put<'a>, NotStored> {
        let labels = self.all_labels(rendered.labels, rendered.dependencies);
        let unseen = ReadSnapshot::default();
        let at_read_point = self.protections.keep(Protection::VersionsAtReadPoint);
        let read_snapshot = if at_read_point { &rendered.fill.read_snapshot } else { &unseen };
        let mut versions = Vec::with_capacity(labels.len());
        let mut late = Vec::new();
        for &label in &labels {
            let fence = read_snapshot.fences.as_ref().and_then(|fences| fences.versions.get(label));
            let known = read_snapshot.known.get(label).or(fence).flatten();
            match known.or_else(|| rendered.inherited_versions.exact(label)) {
                Some(version) if rendered.inherited_versions.agrees(label, version) => {
                    versions.push((label, version));
                }
                Some(_) => return Err(NotStored::Invalidated),
                None => late.push(label),
            }
        }
        let before = rendered.fill.versions.ok_or(NotStored::Invalidated)?;
        let after = match rendered.write {
            Write::Replace if self.protections.keep(Protection::Rewrite) => {
                before.rewritten().map_err(fill::unavailable)?
            }
            _ => before,
        };
        let written = rendered.labels.key.written();
        match at_read_point || rendered.write == Write::Replace {
            true => versions.push((written, after.written())),
            false => late.push(written),
        }
        let ttl = self.record_ttl(rendered.ttl, rendered.stale);
        let (variants, record) = (Vec::new(), Vec::new());
        let key_versions = [before.to_bytes(), after.to_bytes()];
        Ok(Put { rendered, labels, versions, late, key_versions, variants, record, ttl })
    }

    /// Reads the holders of the leases, and the late labels with their fences. Creates versions for
    /// labels that have none.
    fn read_back(&self, puts: &[&mut Put<'_>]) -> Result<Vec<ReadBack>, Unavailable> {
        let late = set(puts.iter().flat_map(|put| put.late.iter().copied()));
        let fences = set(late.iter().map(|&label| self.fences.of(label)));
        // Labels first: a fence that is still unchanged afterwards vouches for them.
        let lookup = [late.as_slice(), fences.as_slice()].concat();
        let leases = puts.iter().map(|put| &put.rendered.fill.lease);
        let mut keys: Vec<String> =
            leases.flat_map(|lease| [lease.key.clone(), self.names.variants(&lease.id)]).collect();
        keys.extend(self.version_keys(&lookup));
        let mut values = self.get(&keys)?;
        let mut known = KnownVersions::new(&lookup, &values.split_off(2 * puts.len()));
        let mut values = values.into_iter();
        let own: Vec<_> =
            puts.iter().map(|_| (values.next().flatten(), values.next().flatten())).collect();
        let holding = puts.iter().zip(&own).filter(|(put, (holder, _))| put.holds(holder));
        let absent = holding.flat_map(|(put, _)| put.late.iter().copied());
        let absent = set(absent.filter(|&label| known.get(label).flatten().is_none()));
        if !absent.is_empty() {
            known = self.create_versions(&absent, &lookup)?;
        }
        let known = Arc::new(known);
        let read = |(holder, variants)| ReadBack { holder, variants, known: Arc::clone(&known) };
        Ok(own.into_iter().map(read).collect())
    }

    /// Checks whether a body may be stored, and prepares its record.
    fn check(&self, put: &mut Put<'_>, read: &ReadBack) -> Result<(), NotStored> {
        let rendered = put.rendered;
        if !put.holds(&read.holder) {
            return Err(NotStored::LeaseLost);
        }
        let then = rendered.fill.read_snapshot.fences.as_ref();
        let keeps_fences = self.protections.keep(Protection::VersionsAtReadPoint)
            && self.protections.keep(Protection::LateFences);
        for &label in &put.late {
            let fence = self.fences.of(label);
            let at_snapshot = then.and_then(|then| then.versions.get(fence).flatten());
            match (read.known.get(label).flatten(), read.known.get(fence).flatten()) {
                (Some(version), Some(now))
                    if (Some(now) == at_snapshot || !keeps_fences)
                        && rendered.inherited_versions.agrees(label, version) =>
                {
                    put.versions.push((label, version));
                }
                (_, now) => {
                    if let Some(then) = then.filter(|_| now != at_snapshot) {
                        self.fences.outdate_to(then.number);
                    }
                    return Err(NotStored::Invalidated);
                }
            }
        }
        self.check_unlisted(&put.labels, rendered.inherited_versions)?;
        // The fragment's own labels come first, since they give the better reason for a miss.
        let own = self.listed(rendered.labels);
        put.versions.sort_unstable_by_key(|&(label, _)| (!own.contains(&label), label));
        put.record = self.record(rendered, &put.versions)?;
        self.sizes.note(put.record.len());
        put.variants = listed_first(self.as_listed(put), read.variants.as_deref());
        Ok(())
    }

    /// The summary of a body for the list of variants.
    fn as_listed(&self, put: &Put<'_>) -> VariantSummary {
        let rendered = put.rendered;
        let ttl = rendered.ttl.and_then(|ttl| u64::try_from(ttl.as_millis()).ok());
        let version = |label: &Label| {
            let of = put.versions.iter().find(|(known, _)| known == label);
            of.map(|&(_, version)| version)
        };
        let own = self.own_of_key(rendered.key);
        VariantSummary {
            id: rendered.fill.lease.variant,
            ends: ttl.map_or(u64::MAX, |ttl| self.unix_millis().saturating_add(ttl)),
            own: digest(&self.hasher, own.iter().map(version)).unwrap_or_default(),
            bytes: u32::try_from(put.record.len()).unwrap_or(u32::MAX),
            is_annotated: rendered.source.mode().is_annotated(),
        }
    }

    fn record(
        &self,
        rendered: ToStore<'_>,
        versions: &[(Label, LabelVersion)],
    ) -> Result<Vec<u8>, NotStored> {
        let bits: Vec<(u64, LabelVersion)> =
            versions.iter().map(|&(label, version)| (label.to_bits(), version)).collect();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let identity = self.identity(rendered.key, rendered.source);
        let own = self.own_in_record(rendered.key, rendered.labels);
        let record = Record {
            key: &identity.key,
            digest: &identity.digest,
            mode: identity.mode,
            version: rendered.version.to_bits(),
            template: rendered.source.template.as_deref().filter(|_| !self.is_opaque()),
            own: own.as_deref(),
            labels: &bits,
            created: self.unix_millis(),
            ttl: rendered.ttl.map(millis),
            stale: millis(rendered.stale),
            render_time: u64::try_from(rendered.render_time.as_micros()).unwrap_or(u64::MAX),
            body: rendered.body,
        };
        let value = self.codec.encode(&record).map_err(|_| NotStored::TooLarge)?;
        if value.len() > self.link.capabilities.max_value_bytes {
            return Err(NotStored::TooLarge);
        }
        Ok(value)
    }

    /// Writes each body and returns whether it is now the one in the store. A replacing write also
    /// changes the written version of the key in the same round trip, but only if the key's record
    /// is still as it was when the lease was taken. Otherwise it would undo an invalidation or
    /// another write.
    fn write(&self, puts: &[&mut Put<'_>]) -> Result<Vec<bool>, Unavailable> {
        let names: Vec<[String; 3]> = puts.iter().map(|put| self.names_of(put)).collect();
        let mut operations = Vec::with_capacity(5 * puts.len());
        // The replies that show that a body was written.
        let mut wanted = Vec::with_capacity(puts.len());
        for (put, [entry, list, version]) in puts.iter().zip(&names) {
            let (fill, ttl, value) = (put.rendered.fill, put.ttl, &put.record[..]);
            let [before, after] = &put.key_versions;
            let first = operations.len();
            let last = match put.rendered.write {
                Write::Add if self.protections.keep(Protection::AddOnce) => {
                    let outdated = fill.outdated.as_deref();
                    let remove = |expected| Operation::CompareAndDelete { key: entry, expected };
                    operations.extend(outdated.map(remove));
                    operations.push(Operation::Add { key: entry, value, ttl });
                    operations.push(Operation::Get { key: version });
                    Some((operations.len() - 2, Reply::Value(Some(before.to_vec()))))
                }
                Write::Replace if before != after => {
                    let version_ttl = self.version_ttl();
                    operations.push(Operation::Set { key: entry, value, ttl });
                    let (key, expected, value) = (version.as_str(), &before[..], &after[..]);
                    operations.push(match self.protections.keep(Protection::RewriteAsRead) {
                        true => Operation::CompareAndSet { key, expected, value, ttl: version_ttl },
                        false => Operation::Set { key, value, ttl: version_ttl },
                    });
                    Some((first, Reply::Done(true)))
                }
                _ => {
                    operations.push(Operation::Set { key: entry, value, ttl });
                    None
                }
            };
            wanted.push(last.map(|(written, last)| (written, operations.len() - 1, last)));
            let (lease, expected) = (&fill.lease.key, &fill.lease.token[..]);
            operations.extend([
                Operation::Set { key: list, value: &put.variants, ttl },
                Operation::CompareAndDelete { key: lease, expected },
            ]);
        }
        let replies = self.run(&operations)?;
        let is_written = |wanted: Option<(usize, usize, Reply)>| {
            wanted.is_none_or(|(written, at, last)| {
                replies.get(written) == Some(&Reply::Done(true)) && replies.get(at) == Some(&last)
            })
        };
        Ok(wanted.into_iter().map(is_written).collect())
    }

    /// The names of an entry, of the list of variants, and of the key's record.
    fn names_of(&self, put: &Put<'_>) -> [String; 3] {
        let lease = &put.rendered.fill.lease;
        [
            self.names.entry(&lease.id, lease.variant),
            self.names.variants(&lease.id),
            self.names.version(put.rendered.labels.key),
        ]
    }

    /// Records a stored body in the dependency cache and makes its version vector.
    fn stored(&self, put: Put<'_>) -> VersionVector {
        let (rendered, labels) = (put.rendered, put.labels);
        let own = self.own(rendered.labels);
        let others = labels.iter().copied().filter(|label| !own.contains(label));
        self.dependency_cache.note(rendered.fill.lease.id.key, others);
        let verified = rendered.fill.verified.min(rendered.inherited_versions.verified);
        VersionVector::new(put.versions, self.next_read(), verified)
    }

    /// If a body has too many labels to list, it lists the fences, which vouch for the labels since
    /// the read point. This checks that the fragments served inside had those versions.
    fn check_unlisted(
        &self,
        listed: &[Label],
        inherited_versions: &InheritedVersions,
    ) -> Result<(), NotStored> {
        let unlisted = inherited_versions.unlisted(|label| listed.binary_search(&label).is_ok());
        if unlisted.is_empty() {
            return Ok(());
        }
        let labels: Vec<Label> = unlisted.iter().map(|&(label, _)| label).collect();
        let known = self.read_versions(&labels)?;
        self.compare(&unlisted, &known, None).map_err(|_| NotStored::Invalidated)
    }

    /// TTL of an entry's record in the store.
    pub(super) fn record_ttl(&self, ttl: Option<Duration>, stale: Duration) -> Duration {
        let nominal = ttl.map_or(Duration::MAX, |ttl| ttl.saturating_add(stale));
        nominal.clamp(Duration::from_millis(1), self.max_ttl)
    }

    /// All labels that an entry depends on. If there are too many for a record, lists all fences,
    /// which stand for everything.
    fn all_labels(&self, labels: &Labels, dependencies: Option<&Dependencies>) -> Vec<Label> {
        let mut all = self.own(labels).to_vec();
        match dependencies {
            Some(Dependencies::Listed(listed)) if all.len() + listed.len() < MAX_RECORD_LABELS => {
                all.extend_from_slice(listed);
            }
            Some(_) => all.extend_from_slice(self.fences.all()),
            None => {}
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Put<'_> {
    /// Whether this lease is still held.
    fn holds(&self, holder: &Option<Value>) -> bool {
        holder.as_deref() == Some(&self.rendered.fill.lease.token[..])
    }
}

/// Runs a step for the puts that have not failed yet.
fn next<'a>(
    puts: &mut [Result<Put<'a>, NotStored>],
    step: impl FnOnce(&mut [&mut Put<'a>]) -> Vec<Result<(), NotStored>>,
) {
    let mut open: Vec<&mut Put<'a>> = puts.iter_mut().filter_map(|put| put.as_mut().ok()).collect();
    if open.is_empty() {
        return;
    }
    let mut outcomes = step(&mut open).into_iter();
    for put in puts.iter_mut().filter(|put| put.is_ok()) {
        if let Some(Err(why)) = outcomes.next() {
            *put = Err(why);
        }
    }
}
