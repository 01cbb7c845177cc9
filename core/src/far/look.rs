//! Reading: an entry with the versions of its labels, and entries of the near level of which only the
//! versions are asked for.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::{Far, FarLookup, KnownVersions, Unavailable};
use crate::clock::Moment;
use crate::entry::record::{Decoded, Unreadable};
use crate::entry::{Entry, EntryMeta, LabelVersion, VersionVector};
use crate::events::MissReason;
use crate::freshness::{Dependencies, DependencySet, Freshness, Label, Labels, Sequence};
use crate::protection::Protection;
use crate::store::{Fault, StoreError, UNTRUSTED};
use crate::sync::{AtomicU64, Ordering};

/// What a store has of a fragment.
#[derive(Debug)]
pub(crate) enum Looked {
    /// An entry whose labels are unchanged. It may have expired.
    Found(Entry),
    Missed(FarMissed),
}

/// Nothing that may be served.
#[derive(Debug)]
pub(crate) struct FarMissed {
    pub(crate) reason: MissReason,
    /// The labels that the fragment has, or had when it was stored last.
    pub(super) labels: Vec<Label>,
    /// Those of them that have no version.
    pub(super) absent: Vec<Label>,
}

/// When something was read, by the clocks that matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// The near level's sequence: taken before the store is asked, so that an invalidation of this
    /// process that the store had not yet taken fences what is made of the answer.
    pub(super) mark: Sequence,
    pub(super) moment: Moment,
    /// By the clock that all processes have, in milliseconds since 1970.
    pub(super) unix_millis: u64,
}

impl Far {
    /// Reads a variant of a fragment. One round trip if all its labels are known beforehand, else
    /// two.
    pub(crate) fn look(
        &self,
        lookup: FarLookup<'_>,
        fresh: &Freshness,
    ) -> Result<Looked, Unavailable> {
        let mut read = self.begin_read(fresh);
        let labels = self.expected(lookup);
        let mut keys = vec![self.entry_key(lookup)];
        keys.extend(self.version_keys(&labels));
        let mut values = self.get(&keys)?.into_iter();
        if !self.protections.keep(Protection::MarkFill) {
            read = self.begin_read(fresh);
        }
        let value = values.next().flatten();
        let known = KnownVersions::new(&labels, values.as_slice());
        let record = self.decode(value.as_deref()).map(Cow::Owned);
        self.judge(lookup, record, &known, read)
    }

    /// What comes of a record and the versions that were read after it or with it.
    pub(super) fn judge(
        &self,
        lookup: FarLookup<'_>,
        record: Result<Cow<'_, Decoded>, MissReason>,
        known: &KnownVersions,
        read: Read,
    ) -> Result<Looked, Unavailable> {
        let missed = |others: Vec<Label>, known: &KnownVersions, reason| {
            let mut labels = self.expected(lookup);
            labels.extend(others);
            labels.sort_unstable();
            labels.dedup();
            let is_absent = |label: &Label| known.get(*label) == Some(None);
            let absent = labels.iter().copied().filter(is_absent).collect();
            Ok(Looked::Missed(FarMissed { reason, labels, absent }))
        };
        let decoded = match record.and_then(|record| self.record_of(lookup, record)) {
            Ok(decoded) => decoded,
            Err(reason) => return missed(Vec::new(), known, reason),
        };
        let versions: Vec<(Label, LabelVersion)> = decoded
            .labels
            .iter()
            .map(|&(label, version)| (Label::from_hash(label), version))
            .collect();
        let others: Vec<Label> = versions
            .iter()
            .map(|&(label, _)| label)
            .filter(|&label| known.get(label).is_none())
            .collect();
        let mut wider = KnownVersions::default();
        let known = match others.is_empty() {
            true => known,
            false => {
                wider.clone_from(known);
                wider.replace(self.read_versions(&others)?);
                &wider
            }
        };
        let own = self.listed(lookup.labels);
        self.dependency_cache.note(
            self.hasher.wide(lookup.key),
            versions.iter().map(|&(label, _)| label).filter(|label| !own.contains(label)),
        );
        if let Err(reason) = self.compare(&versions, known, Some(lookup.labels)) {
            return missed(others, known, reason);
        }
        // An entry without the labels that it must have is not one of ours. The template's may be
        // another's with the same block.
        let must = own.iter().filter(|&&label| Some(label) != lookup.labels.template);
        if must.copied().any(|own| versions.iter().all(|&(label, _)| label != own)) {
            return missed(others, known, MissReason::Unreadable);
        }
        let renewed = self.outlives_its_record(&decoded, read).then(|| self.entry_key(lookup));
        match self.entry(lookup, decoded, versions, &own, read) {
            Ok(entry) => {
                if let Some(key) = renewed {
                    self.renew(key, &entry);
                }
                self.found.fetch_add(1, Ordering::Relaxed);
                Ok(Looked::Found(entry))
            }
            Err(reason) => missed(others, known, reason),
        }
    }

    /// A miss of what was not looked for.
    pub(crate) fn unasked(&self, lookup: FarLookup<'_>, reason: MissReason) -> FarMissed {
        FarMissed { reason, labels: self.expected(lookup), absent: Vec::new() }
    }

    /// Asks whether the labels of an entry of the near level are unchanged: one round trip.
    pub(crate) fn verify(
        &self,
        entry: &Entry,
        labels: &Labels,
    ) -> Result<Result<(), MissReason>, Unavailable> {
        // One without versions was rendered while the store was away.
        let Some(version_vector) =
            entry.version_vector().filter(|version_vector| !version_vector.versions().is_empty())
        else {
            return Ok(Err(MissReason::Unverified));
        };
        let moment = self.moment();
        let lookup: Vec<Label> =
            version_vector.versions().iter().map(|&(label, _)| label).collect();
        let known = self.read_versions(&lookup)?;
        Ok(self
            .compare(version_vector.versions(), &known, Some(labels))
            .inspect(|()| version_vector.verify(moment)))
    }

    /// Whether a record that is asked for had better be given a new life: its entry may be served for
    /// longer than the store keeps it, and a good part of that is over.
    fn outlives_its_record(&self, entry: &Decoded, read: Read) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let host = millis(self.longest_life);
        let age = read.unix_millis.saturating_sub(entry.created);
        let life = entry.life.map_or(u64::MAX, |life| life.saturating_add(entry.stale));
        life > host && age > host / 4
    }

    fn renew(&self, key: String, entry: &Entry) {
        let labels = entry.version_vector().into_iter().flat_map(VersionVector::versions);
        let labels = labels.map(|&(label, _)| label).filter(|label| !label.is_written());
        let versions = labels.map(|label| (self.names.version(label), self.version_life()));
        self.tasks.touch(versions.chain([(key, self.longest_life)]));
    }

    pub(super) fn begin_read(&self, fresh: &Freshness) -> Read {
        Read { mark: fresh.now(), moment: self.moment(), unix_millis: self.unix_millis() }
    }

    pub(super) fn entry_key(&self, lookup: FarLookup<'_>) -> String {
        self.names.entry(&self.fragment(lookup.key), self.variant(lookup.source))
    }

    /// The labels that a fragment has, and those that it had when it was last seen.
    pub(super) fn expected(&self, lookup: FarLookup<'_>) -> Vec<Label> {
        let mut labels = self.own(lookup.labels).to_vec();
        if let Some(hint) = self.dependency_cache.of(self.hasher.wide(lookup.key)) {
            labels.extend_from_slice(&hint);
        }
        labels
    }

    /// What a store has under an entry's name as a record, or why it is none.
    pub(super) fn decode(&self, value: Option<&[u8]>) -> Result<Decoded, MissReason> {
        self.read_record(value.ok_or(MissReason::Cold)?).map_err(|why| self.note_unreadable(why))
    }

    /// A record that a store has returned, or why it is none.
    pub(super) fn read_record(&self, value: &[u8]) -> Result<Decoded, Unreadable> {
        if self.is_untrusted(value) { Err(Unreadable::Mac) } else { self.codec.decode(value) }
    }

    /// Whether this was read in the place of a record that is not signed for its place.
    pub(super) fn is_untrusted(&self, value: &[u8]) -> bool {
        self.signature_bytes > 0 && *value == UNTRUSTED
    }

    fn note_unreadable(&self, why: Unreadable) -> MissReason {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        let message = format!("an entry in the store cannot be read: {}", why.as_str());
        self.link.breaker.note(&StoreError::new(Fault::Protocol, message));
        MissReason::Unreadable
    }

    /// Whether all versions are still those of the store, and none of the labels waits to be told.
    pub(super) fn compare(
        &self,
        versions: &[(Label, LabelVersion)],
        known: &KnownVersions,
        own: Option<&Labels>,
    ) -> Result<(), MissReason> {
        if self.pending.hides(versions.iter().map(|&(label, _)| label)) {
            return Err(MissReason::Deleted);
        }
        for &(label, version) in versions {
            match known.get(label).flatten() {
                Some(present) if present == version => {}
                Some(_) => {
                    if !label.is_written() {
                        // Another process has invalidated it: with a snapshot of the fences from before
                        // that, what is rendered now could not be stored.
                        self.fences.outdate();
                    }
                    return Err(self.reason(label, own));
                }
                None => return Err(MissReason::Forgotten),
            }
        }
        Ok(())
    }

    fn reason(&self, label: Label, own: Option<&Labels>) -> MissReason {
        if label == self.hasher.root() {
            return MissReason::Cleared;
        }
        match own {
            Some(own) if own.key == label => MissReason::Deleted,
            Some(own) if own.key.written() == label => MissReason::Refresh,
            Some(own) if own.name == Some(label) => MissReason::NameDeleted,
            Some(own) if own.template == Some(label) => MissReason::TemplateDeleted,
            Some(own) if own.namespaces.contains(&label) => MissReason::NamespaceCleared,
            _ => MissReason::TagInvalidated,
        }
    }

    /// An entry as the near level holds it; not if its time is over, also as a stale one.
    fn entry(
        &self,
        lookup: FarLookup<'_>,
        decoded: Cow<'_, Decoded>,
        versions: Vec<(Label, LabelVersion)>,
        own: &[Label],
        read: Read,
    ) -> Result<Entry, MissReason> {
        let (expires, last) = self.doubts.ends(&decoded, read);
        if last <= read.moment {
            return Err(MissReason::Expired);
        }
        let render_time = Duration::from_micros(decoded.render_time);
        let body = match decoded {
            Cow::Owned(decoded) => decoded.body,
            Cow::Borrowed(decoded) => decoded.body.clone(),
        };
        let body =
            (lookup.body)(body).ok_or_else(|| self.note_unreadable(Unreadable::Malformed))?;
        let mut inner = DependencySet::default();
        for &(label, _) in versions.iter().filter(|(label, _)| !own.contains(label)) {
            inner.insert(label);
        }
        let dependencies: Option<Dependencies> = inner.finish();
        let meta = EntryMeta {
            dependencies,
            version: lookup.version,
            last,
            render_time,
            began: read.mark,
            // Read by now, and perhaps not much sooner.
            version_vector: Some(VersionVector::new(versions, self.moment(), read.moment)),
        };
        Ok(Entry {
            body,
            source: Arc::clone(lookup.source),
            read: read.mark,
            expires,
            meta: Some(Arc::new(meta)),
        })
    }
}

/// How far the clocks of hosts may be apart before the age is doubted that they give a record.
const APART: Duration = Duration::from_secs(1);

/// Whether nobody knows how old a record is: by this host's clock it is of the future. Then only the
/// store tells, which ends it when its life and its stale window are over.
pub(super) fn is_doubted(record: &Decoded, unix_millis: u64) -> bool {
    let ahead = record.created.saturating_sub(unix_millis);
    record.life.is_some() && Duration::from_millis(ahead) > APART
}

/// Longest time for which one record makes a process doubt the others.
const LONGEST_DOUBT: Duration = Duration::from_secs(24 * 3600);

/// Until when this process doubts what clocks say of records' ages, since it has met one of the future:
/// others by the same clock may look younger than they are without looking so.
#[derive(Debug, Default)]
pub(super) struct Doubts(AtomicU64);

impl Doubts {
    /// When an entry expires, and when it may no longer be served, though stale: the sooner by this
    /// host's clock and by the store's. In doubt it is good for a moment, so that the store is asked
    /// whether it has it yet; what is of the future and may be stale is taken to be.
    fn ends(&self, record: &Decoded, read: Read) -> (Moment, Moment) {
        let age = Duration::from_millis(read.unix_millis.saturating_sub(record.created));
        let end = |millis: Option<u64>| match millis.map(Duration::from_millis) {
            None => Moment::NEVER,
            Some(life) if life >= age => read.moment.saturating_after(life - age),
            Some(life) => read.moment.before(age - life),
        };
        let expires = end(record.life);
        let last = end(record.life.map(|life| life.saturating_add(record.stale)));
        let is_of_future = is_doubted(record, read.unix_millis);
        if is_of_future {
            let ahead = record.created.saturating_sub(read.unix_millis);
            let while_it_lives = ahead.saturating_add(record.life.unwrap_or_default());
            let doubt = Duration::from_millis(while_it_lives).min(LONGEST_DOUBT);
            self.0.fetch_max(read.moment.saturating_after(doubt).to_bits(), Ordering::Relaxed);
        }
        let until = Moment::from_bits(self.0.load(Ordering::Relaxed));
        if record.life.is_none() || read.moment >= until {
            return (expires, last);
        }
        let soon = read.moment.saturating_after(APART);
        let is_stale = is_of_future && record.stale > 0;
        (expires.min(if is_stale { read.moment } else { soon }), last.min(soon))
    }
}
