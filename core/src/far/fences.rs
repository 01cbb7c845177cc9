//! Fences vouch for the versions of labels that become known only while a body is rendered.
//!
//! What version did such a label have at the read point? At that time it was not read. So every
//! invalidation writes two versions, first that of one of 256 fences, which labels share, and then
//! that of the label. A process takes the versions of all fences at or before its read point. If it
//! reads a label later and then finds the label's fence unchanged, the label's version is that of
//! the read point. An invalidation of another label behind the same fence costs a fill, never a
//! stale hit. No clock is involved.
//!
//! A slightly older snapshot is valid too, so one snapshot serves all renders that begin within a
//! moment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::versions::KnownVersions;
use crate::clock::Moment;
use crate::hash::KeyHasher;
use crate::label::Label;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Number of fences.
const FENCES: usize = 256;

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
    pub(super) versions: KnownVersions,
}

/// The fences, and recent snapshots that this process took.
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
        let labels = (0..FENCES).map(|number| hasher.fence(number)).collect();
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
        self.labels[label.fence() % FENCES]
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
    /// clock.
    pub(super) fn keep(
        &self,
        taken: Instant,
        moment: Moment,
        versions: KnownVersions,
    ) -> Arc<Snapshot> {
        let mut host = self.host.lock();
        let number = host.back().map_or(1, |last| last.number + 1);
        let snapshot = Arc::new(Snapshot { number, taken, moment, versions });
        host.push_back(Arc::clone(&snapshot));
        if host.len() > KEPT {
            host.pop_front();
        }
        snapshot
    }
}
