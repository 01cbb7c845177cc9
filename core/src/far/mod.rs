//! The far level: the protocol that makes fragments trustworthy in a store that knows nothing about
//! them. The stores themselves are in [`store`](crate::store); `render` decides which caller does
//! what.
//!
//! Every label has a version in the store. A version is random, and each invalidation writes a new
//! one. An entry carries the versions that its labels had at its read point, and a reader compares
//! them with the current ones. An absent version matches nothing, so an entry that names it is a
//! miss, and a store may lose any record. `look` reads, `fill` obtains a lease, `put` stores,
//! `publish` invalidates, and the background worker does what no caller should wait for. DESIGN.md
//! explains why.

mod dependency_cache;
mod fill;
mod health;
mod link;
mod listing;
mod look;
mod newest;
mod pending;
mod prefetch;
mod publish;
mod put;
mod repeats;
mod settings;
mod sizes;
mod tasks;
mod variants;
mod versions;
mod wire;
mod worker;

use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

pub(crate) use fill::{Fill, LeaseRequest, Prepared};
pub(crate) use link::Unavailable;
pub(crate) use listing::{EntryOwner, ListedRecord};
pub(crate) use look::{FarMissed, Looked};
pub(crate) use prefetch::{MAX_PREFETCHED, PrefetchKey, Prefetched};
pub(crate) use publish::Published;
pub(crate) use put::{NotStored, ToStore};
pub use settings::FarLevel;
pub(crate) use versions::InheritedVersions;
pub(crate) use versions::KnownVersions;
pub(crate) use versions::Snapshot;
pub(crate) use worker::{Worker, WorkerHost};

use crate::clock::{Clock, Moment, instant};
use crate::entry::{EntrySource, ReadOrder, VersionVector, record::Codec};
use crate::hash::KeyHasher;
use crate::label::{Label, Labels};
use crate::mac::SIGNATURE_BYTES;
use crate::opaque::KeyDigest;
use crate::policy::CacheMode;
use crate::protection::Protections;
use crate::read_point::ReadPosition;
#[cfg(feature = "values")]
use crate::store::StoreError;
use crate::store::{Reply, Value};
use crate::sync::{AtomicU8, AtomicU64, Ordering};
use dependency_cache::DependencyCache;
use fill::Leases;
use link::Link;
use look::Doubts;
use pending::Pending;
use sizes::Sizes;
use tasks::TaskQueue;
use versions::Fences;
use wire::{FragmentId, Names, VariantId};

/// The far level of one cache.
#[derive(Debug)]
pub(crate) struct Far {
    link: Link,
    /// Bytes that the store adds to each record.
    signature_bytes: usize,
    names: Names,
    codec: Codec,
    hasher: KeyHasher,
    /// Replaces keys in records where keys are opaque.
    key_digest: Option<KeyDigest>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    max_ttl: Duration,
    near_ttl: Option<Duration>,
    fences: Fences,
    pending: Pending,
    dependency_cache: DependencyCache,
    leases: Arc<Leases>,
    sizes: Sizes,
    doubts: Doubts,
    pub(crate) tasks: Arc<TaskQueue>,
    /// The cache mode that all processes are to use.
    mode: AtomicU8,
    /// 1 while the mode record in the store is not valid.
    has_unknown_mode: AtomicU8,
    protections: Protections,
    /// Counts the places in the order of reads.
    reads: AtomicU64,
    found: AtomicU64,
    unreadable: AtomicU64,
}

/// The versions known at a render's read point, and the fences as they were at that point or
/// earlier. They answer for labels that the render learns late.
#[derive(Debug, Clone)]
pub(crate) struct ReadSnapshot {
    pub(crate) known: Arc<KnownVersions>,
    pub(crate) fences: Option<Arc<Snapshot>>,
    /// A time no later than the read point.
    pub(crate) moment: Moment,
    /// Taken no later than the read point.
    pub(crate) order: ReadOrder,
}

impl Default for ReadSnapshot {
    fn default() -> Self {
        Self { known: Arc::default(), fences: None, moment: Moment::START, order: ReadOrder::START }
    }
}

impl ReadSnapshot {
    /// Moves back to the read point of an inner render if that may be the older one, and returns
    /// whether it did. After that only the fences vouch for versions.
    pub(crate) fn go_back(&mut self, inner: &Self) -> bool {
        let number =
            |read_snapshot: &Self| read_snapshot.fences.as_ref().map_or(0, |fences| fences.number);
        let is_older = match number(inner).cmp(&number(self)) {
            Less => true,
            // Two read points may share one snapshot.
            Equal => !self.known.is_empty() && !Arc::ptr_eq(&inner.known, &self.known),
            Greater => false,
        };
        if is_older {
            let (moment, order) = (self.moment.min(inner.moment), self.order.min(inner.order));
            *self = Self { known: Arc::default(), fences: inner.fences.clone(), moment, order };
        }
        is_older
    }
}

impl Far {
    /// When the first of this process's leases is renewed.
    #[cfg(test)]
    pub(crate) fn next_renewal(&self) -> Option<std::time::Instant> {
        self.leases.next()
    }

    pub(crate) fn new(
        level: FarLevel,
        hasher: KeyHasher,
        key_digest: Option<KeyDigest>,
        clock: Arc<dyn Clock>,
        max_body_bytes: usize,
        protections: Protections,
    ) -> Self {
        let tasks = Arc::<TaskQueue>::default();
        Self {
            codec: Codec::new(level.compress_above, max_body_bytes),
            signature_bytes: level.mac_key.as_ref().map_or(0, |_| SIGNATURE_BYTES),
            names: Names::new(&level.prefix),
            hasher,
            key_digest,
            clock,
            lease: level.lease,
            max_ttl: level.max_ttl,
            near_ttl: level.near_ttl,
            fences: Fences::new(&hasher),
            pending: Pending::new(hasher.root()),
            dependency_cache: DependencyCache::new(),
            sizes: Sizes::default(),
            doubts: Doubts::default(),
            leases: Arc::new(Leases::new(Arc::clone(&tasks))),
            tasks,
            mode: AtomicU8::new(CacheMode::Normal as u8),
            has_unknown_mode: AtomicU8::new(0),
            protections,
            reads: AtomicU64::new(0),
            found: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            link: Link::new(level.into_store()),
        }
    }

    /// Returns whether the breaker is open, so that calls skip the store.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.link.is_unavailable()
    }

    /// The last error of the store.
    #[cfg(feature = "values")]
    pub(crate) fn last_fault(&self) -> Option<StoreError> {
        self.link.breaker.last()
    }

    /// The cache mode that all processes are to use.
    pub(crate) fn mode(&self) -> CacheMode {
        CacheMode::from_u8(self.mode.load(Ordering::Relaxed))
    }

    /// A snapshot of the fences, new or at most a moment old.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, Unavailable> {
        if let Some(recent) = self.fences.recent(instant()) {
            return Ok(recent);
        }
        let _taking = self.fences.taking.lock();
        if let Some(recent) = self.fences.recent(instant()) {
            return Ok(recent);
        }
        let taken = (instant(), self.moment(), self.next_read());
        let mut versions = self.read_versions(self.fences.all())?;
        let absent: Vec<Label> = self
            .fences
            .all()
            .iter()
            .copied()
            .filter(|&fence| matches!(versions.get(fence), None | Some(None)))
            .collect();
        if !absent.is_empty() {
            versions = match self.create_versions(&absent, self.fences.all()) {
                Err(unavailable) if unavailable.is_busy() => {
                    // Some are busy. A fence without a version vouches for no label.
                    for fence in absent.chunks(1) {
                        let _ = self.create_versions(fence, &[]);
                    }
                    self.read_versions(self.fences.all())?
                }
                created => created?,
            };
        }
        Ok(self.fences.keep(taken, versions))
    }

    /// What is known of this level as of a caller's read point, if that was not taken just now: from
    /// the read points of its data, and from the enclosing fragment.
    pub(crate) fn read_snapshot(
        &self,
        points: Option<ReadPosition>,
        around: Option<ReadSnapshot>,
    ) -> Option<ReadSnapshot> {
        let Some(points) = points else { return around };
        let mut fences = self.snapshot_at(points.far);
        if let Some(around) = around {
            let number = |fences: &Option<Arc<Snapshot>>| fences.as_ref().map_or(0, |it| it.number);
            if number(&around.fences) < number(&fences) {
                fences = around.fences;
            }
        }
        let (moment, order) = fences
            .as_ref()
            .map_or((Moment::START, ReadOrder::START), |fences| (fences.moment, fences.order));
        Some(ReadSnapshot { known: Arc::default(), fences, moment, order })
    }

    /// The latest snapshot whose number is at most `number`.
    pub(crate) fn snapshot_at(&self, number: u64) -> Option<Arc<Snapshot>> {
        self.fences.at(number)
    }

    /// Returns whether an entry may be served without asking the store again.
    pub(crate) fn trusts(&self, version_vector: &VersionVector, now: Moment) -> bool {
        self.near_ttl.is_some_and(|ttl| version_vector.is_recent(ttl, now))
    }

    /// A place among the reads of this process: after those that have ended, before those to come.
    pub(crate) fn next_read(&self) -> ReadOrder {
        ReadOrder::next(&self.reads)
    }

    fn fragment(&self, encoded: &[u8]) -> FragmentId {
        FragmentId::new(&self.hasher, encoded)
    }

    fn variant(&self, source: &EntrySource) -> VariantId {
        VariantId::new(&self.hasher, source, wire::FORMAT)
    }

    /// An entry's own labels.
    fn own(&self, labels: &Labels) -> SmallVec<[Label; 6]> {
        let mut own = SmallVec::from_slice(&[self.hasher.root(), labels.key]);
        own.extend([labels.name, labels.template].into_iter().flatten());
        own.extend(labels.namespaces.iter().copied());
        own
    }

    /// An entry's own labels, as its record lists them.
    fn listed(&self, labels: &Labels) -> SmallVec<[Label; 6]> {
        let mut listed = self.own(labels);
        listed.push(labels.key.written());
        listed
    }

    /// The labels that follow from a key: its own labels except the template's.
    fn own_of_key(&self, key: &[u8]) -> SmallVec<[Label; 6]> {
        self.own(&self.hasher.labels(key, None))
    }

    fn version_keys(&self, labels: &[Label]) -> Vec<String> {
        labels.iter().map(|&label| self.names.version(label)).collect()
    }

    /// Reads the store's versions of these labels. The written version of a key is in the key's
    /// record.
    fn read_versions(&self, labels: &[Label]) -> Result<KnownVersions, Unavailable> {
        let labels: Vec<Label> =
            labels.iter().copied().filter(|label| !label.is_written()).collect();
        let values = self.get(&self.version_keys(&labels))?;
        Ok(KnownVersions::new(&labels, &values))
    }

    /// Reads in one round trip, and wakes the worker after a fault.
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Value>>, Unavailable> {
        self.link.get(keys).inspect_err(|unavailable| self.alert(unavailable))
    }

    /// Runs `ask` for all items together. If the store refuses that, runs it for each item alone,
    /// since the store may refuse only one of them.
    fn together<T, R>(
        &self,
        all: &[T],
        ask: impl Fn(&[T]) -> Result<Vec<R>, Unavailable>,
    ) -> Vec<Result<R, Unavailable>> {
        if all.is_empty() {
            return Vec::new();
        }
        let unavailable = match ask(all) {
            Ok(published) => return published.into_iter().map(Ok).collect(),
            Err(unavailable) => unavailable,
        };
        if all.len() > 1 && !unavailable.is_outage() {
            let ask =
                |one| ask(one).and_then(|mut published| published.pop().ok_or(Unavailable(None)));
            return all.chunks(1).map(ask).collect();
        }
        // The store is skipped after an outage, so the other items were not tried.
        let others = all.iter().skip(1).map(|_| Err(Unavailable(None)));
        [Err(unavailable)].into_iter().chain(others).collect()
    }

    fn alert(&self, unavailable: &Unavailable) {
        if unavailable.0.is_some() {
            self.tasks.wake();
        }
    }

    fn unix_millis(&self) -> u64 {
        u64::try_from(self.clock.unix_time().as_millis()).unwrap_or(u64::MAX)
    }

    fn moment(&self) -> Moment {
        Moment::now(&*self.clock)
    }

    /// Versions outlive every entry that names them.
    fn version_ttl(&self) -> Duration {
        self.max_ttl.saturating_mul(2)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let repeats = self.tasks.end();
        if !cfg!(fragcache_shuttle) {
            self.publish_rest(repeats);
        }
    }
}

/// The values among the replies.
fn values(replies: Vec<Reply>) -> Vec<Option<Value>> {
    let value = |reply| match reply {
        Reply::Value(value) => Some(value),
        Reply::Done(_) => None,
    };
    replies.into_iter().filter_map(value).collect()
}
