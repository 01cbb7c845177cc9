//! Fences: for labels that are learnt only while a body is rendered.
//!
//! What version did such a label have at the read point? Nobody asked for it then. So every
//! invalidation writes two versions, its label's and that of one of 256 fences that labels share, the
//! fence first. Whoever took the versions of all fences at or before its read point, and finds a
//! label's fence unchanged after reading the label, knows that the label's version is that of the
//! read point. An invalidation of another label behind the same fence costs a fill, never a stale
//! hit. No clock is asked.
//!
//! A snapshot that is a little older than needed serves as well, so that one is enough for all
//! renders that begin within a moment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::versions::KnownVersions;
use crate::clock::Moment;
use crate::freshness::Label;
use crate::hash::KeyHasher;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// How many fences there are.
const FENCES: usize = 256;

/// A snapshot that is no older than this is as good as a new one.
const RECENT: Duration = Duration::from_millis(if cfg!(fragcache_shuttle) { 0 } else { 100 });

/// Snapshots that read points may refer to: 25 s of them, or less where this process invalidates more
/// often than a snapshot lasts.
const KEPT: usize = 256;

/// The versions of all fences at one time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Snapshots are counted from 1; a later one has a larger number.
    pub(crate) number: u64,
    taken: Instant,
    /// When it was taken, or before, by the cache's clock.
    pub(crate) moment: Moment,
    pub(super) versions: KnownVersions,
}

/// The fences, and the snapshots of them that this process took lately.
#[derive(Debug)]
pub(super) struct Fences {
    labels: Box<[Label]>,
    host: Mutex<VecDeque<Arc<Snapshot>>>,
    /// The last snapshot that an invalidation is known to have come after.
    outdated: AtomicU64,
    /// Held by the one who takes a snapshot: others wait for it rather than take one each.
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

    /// The fence that a label is behind.
    pub(super) fn of(&self, label: Label) -> Label {
        self.labels[label.fence() % FENCES]
    }

    /// The last snapshot, if it is recent.
    pub(super) fn recent(&self, now: Instant) -> Option<Arc<Snapshot>> {
        let host = self.host.lock();
        let is_recent = |last: &&Arc<Snapshot>| {
            now.duration_since(last.taken) < RECENT
                && last.number > self.outdated.load(Ordering::SeqCst)
        };
        host.back().filter(is_recent).cloned()
    }

    /// This process has told of an invalidation: with the last snapshot, what is rendered right
    /// after it could not be stored.
    pub(super) fn outdate(&self) {
        let last = self.host.lock().back().map_or(0, |last| last.number);
        self.outdate_to(last);
    }

    /// A fence has changed since the snapshot of this number: with it, or one before it, what is rendered
    /// next could not be stored either.
    pub(super) fn outdate_to(&self, number: u64) {
        self.outdated.fetch_max(number, Ordering::SeqCst);
    }

    /// The last snapshot that was taken at or before the one of this number, if it is kept.
    pub(super) fn at(&self, number: u64) -> Option<Arc<Snapshot>> {
        let host = self.host.lock();
        host.iter().rev().find(|snapshot| snapshot.number <= number).cloned()
    }

    /// Keeps what was read since `taken`, which is `moment` by the cache's clock.
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
