//! Versions of labels: the record that a store has for each label, the versions read at one time,
//! the fences that vouch for labels read later, and what a body inherits from those inside it.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Moment;
use crate::entry::{LabelVersion, ReadOrder, VersionVector};
use crate::hash::{BuildLabelHasher, KeyHasher};
use crate::label::Label;
use crate::store::{Fault, StoreError, Value};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Size of a label's record: a version, and half of a second one.
pub(super) const RECORD_BYTES: usize = 24;

/// A label's record. It has two versions. Each invalidation changes both; all entries that depend
/// on the label carry the first. The second, the written version, changes also when the entry of
/// the key is replaced; only that entry itself carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LabelRecord {
    label: LabelVersion,
    /// The second half of the written version; its first half is that of the label's version.
    written: [u8; 8],
}

impl LabelRecord {
    /// Draws versions that no process has drawn before.
    pub(super) fn draw() -> Result<Self, StoreError> {
        Ok(Self { label: LabelVersion(draw()?), written: draw()? })
    }

    /// The record after the entry was replaced.
    pub(super) fn rewritten(self) -> Result<Self, StoreError> {
        Ok(Self { written: draw()?, ..self })
    }

    /// The written version, which the entry of the key carries.
    pub(super) fn written(self) -> LabelVersion {
        let mut version = self.label.0;
        version[8..].copy_from_slice(&self.written);
        LabelVersion(version)
    }

    pub(super) fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        record[..16].copy_from_slice(&self.label.0);
        record[16..].copy_from_slice(&self.written);
        record
    }

    /// Decodes a record; `None` if it is malformed.
    fn read(record: &[u8]) -> Option<Self> {
        let (label, written) = record.split_first_chunk()?;
        Some(Self { label: LabelVersion(*label), written: written.try_into().ok()? })
    }
}

/// Whether these bytes are a label's record.
pub(super) fn is_version(record: &[u8]) -> bool {
    LabelRecord::read(record).is_some()
}

/// Draws bytes that no process has drawn before. They come from the system's random source, because
/// a generator in the process would repeat itself after a fork.
fn draw<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        StoreError::new(Fault::Refused, format!("the system provides no random bytes: {error}"))
    })?;
    Ok(bytes)
}

/// The versions that labels had at one time, including that a label had none.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownVersions(Vec<(Label, Option<LabelRecord>)>);

impl KnownVersions {
    /// The store's answers for these labels, in the same order.
    pub(super) fn new(labels: &[Label], values: &[Option<Value>]) -> Self {
        let version = |value: &Option<Value>| value.as_deref().and_then(LabelRecord::read);
        let mut known: Vec<_> =
            labels.iter().zip(values).map(|(&label, value)| (label, version(value))).collect();
        known.sort_unstable_by_key(|&(label, _)| label);
        Self(known)
    }

    /// The version of a label: `Some(None)` if it had none, `None` if that is not known.
    pub(super) fn get(&self, label: Label) -> Option<Option<LabelVersion>> {
        let versions = self.versions(label.base())?;
        let version = |versions: LabelRecord| match label.is_written() {
            true => versions.written(),
            false => versions.label,
        };
        Some(versions.map(version))
    }

    /// Both versions of a label.
    pub(super) fn versions(&self, label: Label) -> Option<Option<LabelRecord>> {
        let at = self.0.binary_search_by_key(&label, |&(label, _)| label).ok()?;
        Some(self.0[at].1)
    }

    /// The labels that had no version.
    pub(super) fn absent(&self) -> impl Iterator<Item = Label> {
        self.0.iter().filter(|(_, version)| version.is_none()).map(|&(label, _)| label)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what is known about other labels, and replaces older answers for the same labels.
    pub(super) fn replace(&mut self, other: Self) {
        self.0.retain(|&(label, _)| other.get(label).is_none());
        self.0.extend(other.0);
        self.0.sort_unstable_by_key(|&(label, _)| label);
    }
}

/// A snapshot is reused up to this age.
const RECENT: Duration = Duration::from_millis(if cfg!(fragcache_shuttle) { 0 } else { 100 });

/// Snapshots that read points may refer to. They cover 25 s, or less if this process invalidates
/// often enough to outdate snapshots sooner.
const KEPT: usize = 256;

/// The versions of all fences at one time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Numbers begin at 1; a later snapshot has a larger one.
    pub(crate) number: u64,
    taken: Instant,
    /// A time no later than the snapshot, by the cache's clock.
    pub(crate) moment: Moment,
    /// Taken before the versions were read.
    pub(crate) order: ReadOrder,
    pub(super) versions: KnownVersions,
}

/// The fences, and recent snapshots that this process took. A fence vouches for the versions of
/// labels that become known only while a body is rendered.
///
/// What version did such a label have at the read point? At that time it was not read. So every
/// invalidation writes two versions, first that of one of 256 fences, which labels share, and then
/// that of the label. A process takes the versions of all fences at or before its read point. If it
/// reads a label later and then finds the label's fence unchanged, the label's version is that of
/// the read point. An invalidation of another label behind the same fence costs a fill, never a
/// stale hit. No clock is involved.
///
/// A slightly older snapshot is valid too, so one snapshot serves all renders that begin within a
/// moment.
#[derive(Debug)]
pub(super) struct Fences {
    labels: Box<[Label]>,
    host: Mutex<VecDeque<Arc<Snapshot>>>,
    /// The number of the last snapshot that is known to precede an invalidation.
    outdated: AtomicU64,
    /// Locked while a snapshot is taken, so that concurrent callers share one instead of taking one
    /// each.
    pub(super) taking: Mutex<()>,
}

impl Fences {
    pub(super) fn new(hasher: &KeyHasher) -> Self {
        let labels = (0..=u8::MAX).map(|number| hasher.fence(number)).collect();
        Self {
            labels,
            host: Mutex::new(VecDeque::new()),
            outdated: AtomicU64::new(0),
            taking: Mutex::new(()),
        }
    }

    pub(super) fn all(&self) -> &[Label] {
        &self.labels
    }

    /// The fence of a label.
    pub(super) fn of(&self, label: Label) -> Label {
        self.labels[usize::from(label.fence())]
    }

    /// The last snapshot, if it is recent and not outdated.
    pub(super) fn recent(&self, now: Instant) -> Option<Arc<Snapshot>> {
        let host = self.host.lock();
        let is_recent = |last: &&Arc<Snapshot>| {
            now.duration_since(last.taken) < RECENT
                && last.number > self.outdated.load(Ordering::SeqCst)
        };
        host.back().filter(is_recent).cloned()
    }

    /// Outdates the last snapshot after this process published an invalidation. A body rendered
    /// next with that snapshot could not be stored.
    pub(super) fn outdate(&self) {
        let last = self.host.lock().back().map_or(0, |last| last.number);
        self.outdate_to(last);
    }

    /// Outdates the snapshots up to this number, because a fence has changed since. A body rendered
    /// next with one of them could not be stored.
    pub(super) fn outdate_to(&self, number: u64) {
        self.outdated.fetch_max(number, Ordering::SeqCst);
    }

    /// The latest snapshot whose number is at most `number`, if there is one.
    pub(super) fn at(&self, number: u64) -> Option<Arc<Snapshot>> {
        let host = self.host.lock();
        host.iter().rev().find(|snapshot| snapshot.number <= number).cloned()
    }

    /// Adds a snapshot of versions that were read since `taken`, which is `moment` by the cache's
    /// clock, and `order` among the reads.
    pub(super) fn keep(
        &self,
        (taken, moment, order): (Instant, Moment, ReadOrder),
        versions: KnownVersions,
    ) -> Arc<Snapshot> {
        let mut host = self.host.lock();
        let number = host.back().map_or(1, |last| last.number + 1);
        let snapshot = Arc::new(Snapshot { number, taken, moment, order, versions });
        host.push_back(Arc::clone(&snapshot));
        if host.len() > KEPT {
            host.pop_front();
        }
        snapshot
    }
}

type Versions = HashMap<Label, LabelVersion, BuildLabelHasher>;

/// The versions that pass from a fragment to the body around it: all except the written one of its
/// key.
fn inherited(versions: &[(Label, LabelVersion)]) -> impl Iterator<Item = (Label, LabelVersion)> {
    versions.iter().copied().filter(|(label, _)| !label.is_written())
}

/// The versions that a body inherits from the fragments inside it.
///
/// A fragment served inside a body is valid only for the versions in its version vector, and so is
/// the body around it. The near level may lag by its `near_ttl`, and that age must not pass into
/// what is stored for all processes.
#[derive(Debug)]
pub(crate) struct InheritedVersions {
    /// The versions that labels had at the body's read point or earlier. An earlier version that is
    /// outdated makes the entry outdated too.
    exact: Versions,
    /// The versions of fragments served inside that were read after the read point.
    served: Versions,
    /// The earliest time at which one of the version vectors was last verified.
    pub(crate) verified: Moment,
    /// Whether two inner fragments carry different versions of one label, or one carries none. The
    /// body around them can then not be stored.
    pub(crate) is_broken: bool,
}

impl Default for InheritedVersions {
    fn default() -> Self {
        Self {
            exact: Versions::default(),
            served: Versions::default(),
            verified: Moment::NEVER,
            is_broken: false,
        }
    }
}

impl InheritedVersions {
    /// Adds the version vector of a fragment served in a body whose read point was at `read`.
    pub(crate) fn serve(&mut self, version_vector: Option<&VersionVector>, read: ReadOrder) {
        let Some(version_vector) =
            version_vector.filter(|version_vector| !version_vector.versions().is_empty())
        else {
            self.is_broken = true;
            self.verified =
                self.verified.min(version_vector.map_or(Moment::START, VersionVector::verified));
            return;
        };
        self.verified = self.verified.min(version_vector.verified());
        let is_exact = version_vector.since() < read;
        for (label, version) in inherited(version_vector.versions()) {
            let versions = if is_exact { &mut self.exact } else { &mut self.served };
            match versions.entry(label) {
                MapEntry::Vacant(place) => drop(place.insert(version)),
                MapEntry::Occupied(known) => self.is_broken |= *known.get() != version,
            }
        }
    }

    /// Adds the versions of an inner fragment that was stored at the body's own read point.
    pub(crate) fn learn(&mut self, versions: &[(Label, LabelVersion)]) {
        for (label, version) in inherited(versions) {
            match self.exact.entry(label) {
                MapEntry::Vacant(place) => drop(place.insert(version)),
                MapEntry::Occupied(known) => self.is_broken |= *known.get() != version,
            }
        }
    }

    /// Moves to an older read point. Versions that were exact may be newer than that.
    pub(crate) fn go_back(&mut self) {
        for (label, version) in self.exact.drain() {
            self.is_broken |= *self.served.entry(label).or_insert(version) != version;
        }
    }

    /// Inherits from an inner fragment that was abandoned or not stored.
    pub(crate) fn inherit_all(&mut self, inner: &Self) {
        self.verified = self.verified.min(inner.verified);
        self.is_broken |= inner.is_broken;
        for (theirs, mine) in [(&inner.exact, &mut self.exact), (&inner.served, &mut self.served)] {
            for (&label, &version) in theirs {
                self.is_broken |= *mine.entry(label).or_insert(version) != version;
            }
        }
    }

    /// The version that a label had at the read point, if it is known here.
    pub(super) fn exact(&self, label: Label) -> Option<LabelVersion> {
        self.exact.get(&label).copied()
    }

    /// The versions of inner fragments, for labels where `is_listed` is false.
    pub(super) fn unlisted(&self, is_listed: impl Fn(Label) -> bool) -> Vec<(Label, LabelVersion)> {
        let all = self.exact.iter().chain(&self.served);
        all.map(|(&label, &version)| (label, version)).filter(|&(l, _)| !is_listed(l)).collect()
    }

    /// Whether the fragments served inside agree with this version of a label.
    pub(super) fn agrees(&self, label: Label, version: LabelVersion) -> bool {
        let agrees =
            |versions: &Versions| versions.get(&label).is_none_or(|&known| known == version);
        agrees(&self.exact) && agrees(&self.served)
    }
}
