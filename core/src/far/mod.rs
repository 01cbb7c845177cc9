//! The far level: the protocol that makes fragments trustworthy in a store that knows nothing of
//! them. Stores themselves are in [`store`](crate::store); which caller does what is decided in
//! `render`.
//!
//! Every label has a version in the store: random, written anew by each invalidation. An entry
//! carries the versions that its labels had at its read point. A reader compares; an absent version
//! is no version, so whatever names it is a miss, and a store may forget anything. `look` reads,
//! `fill` obtains a lease, `put` stores, `publish` invalidates, the worker does what nobody should wait
//! for. DESIGN.md says why.

mod breaker;
mod dependency_cache;
mod fences;
mod fill;
mod health;
mod identity;
mod inherited_versions;
mod leases;
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

pub(crate) use fences::Snapshot;
pub(crate) use fill::{Fill, LeaseRequest, Prepared};
pub use health::Health;
pub(crate) use inherited_versions::InheritedVersions;
pub(crate) use link::Unavailable;
pub(crate) use listing::{EntryOwner, ListedRecord};
pub(crate) use look::{FarMissed, Looked};
pub(crate) use prefetch::{MAX_PREFETCHED, PrefetchKey, Prefetched};
pub(crate) use publish::Published;
pub(crate) use put::{NotStored, ToStore, Write};
pub use settings::FarLevel;
pub(crate) use versions::KnownVersions;
pub(crate) use worker::{Worker, WorkerHost};

use crate::clock::{Clock, Moment, instant};
use crate::entry::{Body, EntrySource, VersionVector, record::Codec};
use crate::freshness::{Label, Labels};
use crate::hash::{KeyHasher, Version};
use crate::mac::SIGNATURE_BYTES;
use crate::opaque::KeyDigest;
use crate::policy::CacheMode;
use crate::protection::Protections;
#[cfg(feature = "values")]
use crate::store::StoreError;
use crate::store::{Reply, Value};
use crate::sync::{AtomicU8, AtomicU64, Ordering};
use dependency_cache::DependencyCache;
use fences::Fences;
use leases::Leases;
use link::Link;
use look::Doubts;
use pending::Pending;
use sizes::Sizes;
use tasks::TaskQueue;
use wire::{FragmentId, Names, VariantId};

/// The far level of one cache.
#[derive(Debug)]
pub(crate) struct Far {
    link: Link,
    /// What the store adds to each record.
    signature_bytes: usize,
    names: Names,
    codec: Codec,
    hasher: KeyHasher,
    /// Stands in records for keys that are opaque.
    key_digest: Option<KeyDigest>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    longest_life: Duration,
    near_life: Option<Duration>,
    fences: Fences,
    pending: Pending,
    dependency_cache: DependencyCache,
    leases: Arc<Leases>,
    sizes: Sizes,
    doubts: Doubts,
    pub(crate) tasks: Arc<TaskQueue>,
    /// How far all processes are told to take part.
    mode: AtomicU8,
    /// 1 while what the store has in the place of that cannot be believed.
    has_strange_mode: AtomicU8,
    protections: Protections,
    found: AtomicU64,
    unreadable: AtomicU64,
}

/// One variant of one fragment, as a caller asks for it.
#[derive(Clone, Copy)]
pub(crate) struct FarLookup<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) source: &'a Arc<EntrySource>,
    pub(crate) version: Version,
    pub(crate) labels: &'a Labels,
    /// Makes a body of the bytes that the store has, if they can be one.
    pub(crate) body: &'a dyn Fn(Vec<u8>) -> Option<Body>,
}

/// What a render may say of labels that it learns late: which versions were known at its read
/// point, and the fences as they were then or before.
#[derive(Debug, Clone)]
pub(crate) struct ReadSnapshot {
    pub(crate) known: Arc<KnownVersions>,
    pub(crate) fences: Option<Arc<Snapshot>>,
    /// When the read point was, or before.
    pub(crate) moment: Moment,
}

impl Default for ReadSnapshot {
    fn default() -> Self {
        Self { known: Arc::default(), fences: None, moment: Moment::START }
    }
}

impl ReadSnapshot {
    /// Goes back to the read point of what was rendered inside, if that may be the older one: then no
    /// version is known of it but by the fences. Whether it has gone back.
    pub(crate) fn go_back(&mut self, inner: &Self) -> bool {
        let number =
            |read_snapshot: &Self| read_snapshot.fences.as_ref().map_or(0, |fences| fences.number);
        let is_older = match number(inner).cmp(&number(self)) {
            Less => true,
            // The same snapshot may serve two read points.
            Equal => !self.known.is_empty() && !Arc::ptr_eq(&inner.known, &self.known),
            Greater => false,
        };
        if is_older {
            let moment = self.moment.min(inner.moment);
            *self = Self { known: Arc::default(), fences: inner.fences.clone(), moment };
        }
        is_older
    }
}

impl Far {
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
            longest_life: level.longest_life,
            near_life: level.near_life,
            fences: Fences::new(&hasher),
            pending: Pending::new(hasher.root()),
            dependency_cache: DependencyCache::new(),
            sizes: Sizes::default(),
            doubts: Doubts::default(),
            leases: Arc::new(Leases::new(Arc::clone(&tasks))),
            tasks,
            mode: AtomicU8::new(CacheMode::Normal as u8),
            has_strange_mode: AtomicU8::new(0),
            protections,
            found: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            link: Link::new(level.into_store()),
        }
    }

    /// Whether the store is left alone for now.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.link.is_unavailable()
    }

    /// What the store answered last that was no answer.
    #[cfg(feature = "values")]
    pub(crate) fn last_fault(&self) -> Option<StoreError> {
        self.link.breaker.last()
    }

    /// How far all processes are told to take part.
    pub(crate) fn mode(&self) -> CacheMode {
        CacheMode::from_u8(self.mode.load(Ordering::Relaxed))
    }

    /// The fences as they are now or were a moment ago.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, Unavailable> {
        if let Some(recent) = self.fences.recent(instant()) {
            return Ok(recent);
        }
        let _taking = self.fences.taking.lock();
        if let Some(recent) = self.fences.recent(instant()) {
            return Ok(recent);
        }
        let (taken, moment) = (instant(), self.moment());
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
                    // Some are held by others; a fence without a version vouches for no label.
                    for fence in absent.chunks(1) {
                        let _ = self.create_versions(fence, &[]);
                    }
                    self.read_versions(self.fences.all())?
                }
                created => created?,
            };
        }
        Ok(self.fences.keep(taken, moment, versions))
    }

    /// The snapshot that a read point of this number was taken with, or one before it.
    pub(crate) fn snapshot_at(&self, number: u64) -> Option<Arc<Snapshot>> {
        self.fences.at(number)
    }

    /// Whether an entry need not be asked for again.
    pub(crate) fn trusts(&self, version_vector: &VersionVector, now: Moment) -> bool {
        self.near_life.is_some_and(|life| version_vector.is_recent(life, now))
    }

    fn fragment(&self, encoded: &[u8]) -> FragmentId {
        FragmentId::new(&self.hasher, encoded)
    }

    fn variant(&self, source: &EntrySource) -> VariantId {
        VariantId::new(&self.hasher, source, wire::FORMAT)
    }

    /// The labels that an entry has of its own.
    fn own(&self, labels: &Labels) -> SmallVec<[Label; 6]> {
        let mut own = SmallVec::from_slice(&[self.hasher.root(), labels.key]);
        own.extend([labels.name, labels.template].into_iter().flatten());
        own.extend(labels.namespaces.iter().copied());
        own
    }

    /// The labels that an entry lists of its own.
    fn listed(&self, labels: &Labels) -> SmallVec<[Label; 6]> {
        let mut listed = self.own(labels);
        listed.push(labels.key.written());
        listed
    }

    /// The labels that follow from a key: those of its own but for the template's.
    fn own_of_key(&self, key: &[u8]) -> SmallVec<[Label; 6]> {
        self.own(&self.hasher.labels(key, None))
    }

    fn version_keys(&self, labels: &[Label]) -> Vec<String> {
        labels.iter().map(|&label| self.names.version(label)).collect()
    }

    /// Reads what the store holds for these labels. What is written under a key is in the key's record.
    fn read_versions(&self, labels: &[Label]) -> Result<KnownVersions, Unavailable> {
        let labels: Vec<Label> =
            labels.iter().copied().filter(|label| !label.is_written()).collect();
        let values = self.get(&self.version_keys(&labels))?;
        Ok(KnownVersions::new(&labels, &values))
    }

    /// Reads in one round trip, and sees to it that an outage is looked after.
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Value>>, Unavailable> {
        self.link.get(keys).inspect_err(|unavailable| self.alert(unavailable))
    }

    /// Asks about all of these at once; where the store refuses that, about each by itself, since it
    /// may be only one of them that it refuses.
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
        // The store is left alone after an outage: nobody has asked for the others.
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

    /// Versions outlive whatever names them.
    fn version_life(&self) -> Duration {
        self.longest_life.saturating_mul(2)
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

/// The values among some replies.
fn values(replies: Vec<Reply>) -> Vec<Option<Value>> {
    let value = |reply| match reply {
        Reply::Value(value) => Some(value),
        Reply::Done(_) => None,
    };
    replies.into_iter().filter_map(value).collect()
}
