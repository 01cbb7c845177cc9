//! Reading: looks up an entry with the versions of its labels, and verifies entries of the near
//! level, for which only the versions are read.
//!
//! The identity of an entry is what its record says about its key and block. Names in a store are
//! hashes, so whether a found record matches a lookup is checked, which keeps out content of other
//! fragments. Where keys are opaque, a record holds a digest of its key under the secret instead of the
//! key, and another digest of its block and output mode. For administrators it also lists the entry's
//! own labels, which are hashes under the secret too.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Far, KnownVersions, Unavailable};
use crate::clock::Moment;
use crate::entry::record::{Decoded, Unreadable};
use crate::entry::{Entry, EntryMeta, EntrySource, LabelVersion, ReadOrder, VersionVector};
use crate::events::MissReason;
use crate::freshness::{Dependencies, DependencySet, Freshness, Sequence};
use crate::key::without_namespaces;
use crate::label::{Label, Labels};
use crate::lookup::Lookup;
use crate::protection::Protection;
use crate::store::{Fault, StoreError, UNTRUSTED};
use crate::sync::{AtomicU64, Ordering};

/// The result of a far lookup.
#[derive(Debug)]
pub(crate) enum Looked {
    /// An entry whose labels are unchanged. It may have expired.
    Found(Entry),
    Missed(FarMissed),
}

/// A far miss.
#[derive(Debug)]
pub(crate) struct FarMissed {
    pub(crate) reason: MissReason,
    /// The labels that the fragment has, or had when it was last stored.
    pub(super) labels: Vec<Label>,
    /// Those of them that have no version.
    pub(super) absent: Vec<Label>,
}

/// The time of a read, by the clocks that matter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// The near level's sequence, taken before the store is read. An invalidation by this process
    /// that the store had not yet accepted then fences what is made of the answer.
    pub(super) mark: Sequence,
    pub(super) moment: Moment,
    pub(super) order: ReadOrder,
    /// By the wall clock that all processes share, in milliseconds since 1970.
    pub(super) unix_millis: u64,
}

impl Far {
    /// Reads a variant of a fragment. One round trip if all its labels are known beforehand,
    /// otherwise two.
    pub(crate) fn look(
        &self,
        lookup: Lookup<'_>,
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

    /// Validates a record against the versions that were read with it or after it.
    pub(super) fn judge(
        &self,
        lookup: Lookup<'_>,
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
            self.hasher.wide(lookup.request.hashed.key),
            versions.iter().map(|&(label, _)| label).filter(|label| !own.contains(label)),
        );
        if let Err(reason) = self.compare(&versions, known, Some(lookup.labels)) {
            return missed(others, known, reason);
        }
        // An entry without its mandatory labels was not written by this cache. The template's label
        // is exempt: another template may have the same block.
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

    /// A miss without a lookup.
    pub(crate) fn unasked(&self, lookup: Lookup<'_>, reason: MissReason) -> FarMissed {
        FarMissed { reason, labels: self.expected(lookup), absent: Vec::new() }
    }

    /// Checks whether the labels of an entry of the near level are unchanged. One round trip.
    pub(crate) fn verify(
        &self,
        entry: &Entry,
        labels: &Labels,
    ) -> Result<Result<(), MissReason>, Unavailable> {
        // An entry without versions was rendered while the store was unavailable.
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

    /// Whether a record that is read should get a new TTL: its entry may be served for longer than
    /// the store keeps it, and more than a quarter of that time is over.
    fn outlives_its_record(&self, entry: &Decoded, read: Read) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let host = millis(self.max_ttl);
        let age = read.unix_millis.saturating_sub(entry.created);
        let ttl = entry.ttl.map_or(u64::MAX, |ttl| ttl.saturating_add(entry.stale));
        ttl > host && age > host / 4
    }

    fn renew(&self, key: String, entry: &Entry) {
        let labels = entry.version_vector().into_iter().flat_map(VersionVector::versions);
        let labels = labels.map(|&(label, _)| label).filter(|label| !label.is_written());
        let versions = labels.map(|label| (self.names.version(label), self.version_ttl()));
        self.tasks.touch(versions.chain([(key, self.max_ttl)]));
    }

    pub(super) fn begin_read(&self, fresh: &Freshness) -> Read {
        Read {
            mark: fresh.now(),
            moment: self.moment(),
            order: self.next_read(),
            unix_millis: self.unix_millis(),
        }
    }

    pub(super) fn entry_key(&self, lookup: Lookup<'_>) -> String {
        self.names
            .entry(&self.fragment(lookup.request.hashed.key), self.variant(lookup.request.source))
    }

    /// The labels of a fragment, and those it had when it was last seen.
    pub(super) fn expected(&self, lookup: Lookup<'_>) -> Vec<Label> {
        let mut labels = self.own(lookup.labels).to_vec();
        if let Some(hint) = self.dependency_cache.of(self.hasher.wide(lookup.request.hashed.key)) {
            labels.extend_from_slice(&hint);
        }
        labels
    }

    /// Decodes the value under an entry's name, or returns the reason for the miss.
    pub(super) fn decode(&self, value: Option<&[u8]>) -> Result<Decoded, MissReason> {
        self.read_record(value.ok_or(MissReason::Cold)?).map_err(|why| self.note_unreadable(why))
    }

    /// Decodes a value from the store, or returns why it cannot be read.
    pub(super) fn read_record(&self, value: &[u8]) -> Result<Decoded, Unreadable> {
        if self.is_untrusted(value) { Err(Unreadable::Mac) } else { self.codec.decode(value) }
    }

    /// Whether the store returned the marker for a record whose signature does not fit its place.
    pub(super) fn is_untrusted(&self, value: &[u8]) -> bool {
        self.signature_bytes > 0 && *value == UNTRUSTED
    }

    fn note_unreadable(&self, why: Unreadable) -> MissReason {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        let message = format!("an entry in the store cannot be read: {}", why.as_str());
        self.link.breaker.note(&StoreError::new(Fault::Protocol, message));
        MissReason::Unreadable
    }

    /// Checks that all versions equal those in the store, and that no invalidation of the labels is
    /// pending.
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
                        // Another process has invalidated it. With an older snapshot of the fences,
                        // what is rendered now could not be stored.
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

    /// Makes an entry for the near level, unless even its stale window is over.
    fn entry(
        &self,
        lookup: Lookup<'_>,
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
            version: lookup.request.version,
            last,
            render_time,
            began: read.mark,
            // The versions were read at some time between these two moments.
            version_vector: Some(VersionVector::new(versions, self.next_read(), read.moment)),
        };
        Ok(Entry {
            body,
            source: Arc::clone(lookup.request.source),
            read: read.mark,
            expires,
            meta: Some(Arc::new(meta)),
        })
    }
}

/// How far the clocks of hosts may differ before the age of a record is doubted.
const APART: Duration = Duration::from_secs(1);

/// Whether the age of a record is unknown: this host's clock puts it in the future. Then only the
/// store ends it, when its TTL and its stale window are over.
pub(super) fn is_doubted(record: &Decoded, unix_millis: u64) -> bool {
    let ahead = record.created.saturating_sub(unix_millis);
    record.ttl.is_some() && Duration::from_millis(ahead) > APART
}

/// Longest time for which one record makes a process doubt the others.
const LONGEST_DOUBT: Duration = Duration::from_secs(24 * 3600);

/// Until when this process doubts the ages of records. A record from the future starts the doubt:
/// others by the same clock may look younger than they are, but not as if from the future.
#[derive(Debug, Default)]
pub(super) struct Doubts(AtomicU64);

impl Doubts {
    /// Returns when an entry expires and when its stale window ends, the earlier of this host's
    /// clock and the store's. While in doubt it is valid for a moment only, so that the store is
    /// soon asked whether it still has it. A record from the future that has a stale window counts
    /// as stale.
    fn ends(&self, record: &Decoded, read: Read) -> (Moment, Moment) {
        let age = Duration::from_millis(read.unix_millis.saturating_sub(record.created));
        let end = |millis: Option<u64>| match millis.map(Duration::from_millis) {
            None => Moment::NEVER,
            Some(ttl) if ttl >= age => read.moment.saturating_after(ttl - age),
            Some(ttl) => read.moment.before(age - ttl),
        };
        let expires = end(record.ttl);
        let last = end(record.ttl.map(|ttl| ttl.saturating_add(record.stale)));
        let is_of_future = is_doubted(record, read.unix_millis);
        if is_of_future {
            let ahead = record.created.saturating_sub(read.unix_millis);
            let while_it_lives = ahead.saturating_add(record.ttl.unwrap_or_default());
            let doubt = Duration::from_millis(while_it_lives).min(LONGEST_DOUBT);
            self.0.fetch_max(read.moment.saturating_after(doubt).to_bits(), Ordering::Relaxed);
        }
        let until = Moment::from_bits(self.0.load(Ordering::Relaxed));
        if record.ttl.is_none() || read.moment >= until {
            return (expires, last);
        }
        let soon = read.moment.saturating_after(APART);
        let is_stale = is_of_future && record.stale > 0;
        (expires.min(if is_stale { read.moment } else { soon }), last.min(soon))
    }
}

/// The identity that a record states.
#[derive(Debug)]
pub(super) struct Identity<'a> {
    pub(super) key: Cow<'a, [u8]>,
    pub(super) digest: Cow<'a, str>,
    pub(super) mode: u64,
}

/// The own labels of an opaque entry, as its record lists them.
#[derive(Debug)]
pub(crate) struct OwnLabels {
    /// The first byte of the key, which gives its kind.
    pub(crate) kind: u8,
    pub(crate) labels: Labels,
}

impl Far {
    pub(super) fn is_opaque(&self) -> bool {
        self.hasher.is_opaque()
    }

    pub(super) fn identity<'a>(&self, key: &'a [u8], source: &'a EntrySource) -> Identity<'a> {
        let key = self.key_in_record(key);
        match self.is_opaque() {
            false => Identity {
                key,
                digest: Cow::Borrowed(source.digest()),
                mode: source.mode().to_bits(),
            },
            true => Identity {
                key,
                digest: Cow::Owned(format!("{:032x}", self.hasher.block(&block(source)))),
                mode: source.mode().to_nameless_bits(),
            },
        }
    }

    fn key_in_record<'a>(&self, key: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.key_digest {
            Some(digest) => Cow::Owned(digest.of(key).to_vec()),
            None => Cow::Borrowed(key),
        }
    }

    /// Whether a record belongs to this key, in any variant.
    pub(super) fn is_of(&self, record: &Decoded, key: &[u8]) -> bool {
        record.own.is_some() == self.is_opaque() && *record.key == *self.key_in_record(key)
    }

    /// Returns the record if it matches the lookup, otherwise the reason for the miss.
    pub(super) fn record_of<'a>(
        &self,
        lookup: Lookup<'_>,
        record: Cow<'a, Decoded>,
    ) -> Result<Cow<'a, Decoded>, MissReason> {
        let wanted = self.identity(lookup.request.hashed.key, lookup.request.source);
        let same = *record.key == *wanted.key
            && *record.digest == *wanted.digest
            && record.mode == wanted.mode
            && record.own.is_some() == self.is_opaque();
        if !same {
            // Names are hashes: content of another fragment is a miss.
            return Err(MissReason::Cold);
        }
        if record.version != lookup.request.version.to_bits() {
            return Err(MissReason::Version);
        }
        Ok(record)
    }

    /// Encodes the own labels of an opaque entry.
    pub(super) fn own_in_record(&self, key: &[u8], labels: &Labels) -> Option<Vec<u8>> {
        self.is_opaque().then(|| {
            let mut own = vec![without_namespaces(key).first().copied().unwrap_or_default()];
            let bits = |label: Option<Label>| label.map_or(0, Label::to_bits).to_le_bytes();
            for label in [Some(labels.key), labels.name, labels.template] {
                own.extend_from_slice(&bits(label));
            }
            for &namespace in &labels.namespaces {
                own.extend_from_slice(&bits(Some(namespace)));
            }
            own
        })
    }
}

impl OwnLabels {
    /// Decodes the labels that a record lists; `None` if they are malformed.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&kind, labels) = bytes.split_first()?;
        let (labels, rest) = labels.as_chunks::<8>();
        let mut labels = labels.iter().map(|&bits| u64::from_le_bytes(bits));
        let some = |bits: u64| (bits != 0).then(|| Label::from_hash(bits));
        let (key, name, template) = (labels.next()?, labels.next()?, labels.next()?);
        let labels = Labels {
            key: Label::from_hash(key),
            name: some(name),
            template: some(template),
            namespaces: labels.map(Label::from_hash).collect(),
        };
        rest.is_empty().then_some(Self { kind, labels })
    }
}

/// The bytes that identify a block in an output mode.
pub(super) fn block(source: &EntrySource) -> SmallVec<[u8; 96]> {
    let mut bytes = SmallVec::from_slice(source.digest().as_bytes());
    bytes.extend_from_slice(&source.mode().to_bits().to_le_bytes());
    bytes
}
