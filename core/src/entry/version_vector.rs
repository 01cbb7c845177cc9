//! What the far level knows of an entry in the near level: the versions of its labels, and when
//! they were last found unchanged.

use std::time::Duration;

use super::record::LabelVersion;
use crate::clock::Moment;
use crate::label::Label;
use crate::sync::{AtomicU64, Ordering};

/// A place in the order in which this process reads versions. No two reads have the same, so it
/// tells which came first. A clock does not: between two readings that are equal, another process
/// may have published an invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReadOrder(u64);

impl ReadOrder {
    /// Before every read.
    pub(crate) const START: Self = Self(0);

    /// Takes the next place.
    pub(crate) fn next(counter: &AtomicU64) -> Self {
        Self(counter.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

/// The versions of an entry's labels as of its read point.
#[derive(Debug)]
pub(crate) struct VersionVector {
    versions: Box<[(Label, LabelVersion)]>,
    /// Taken when the versions had been read. Not earlier: a render that began before may be older.
    since: ReadOrder,
    verified: AtomicU64,
}

impl VersionVector {
    /// Versions that were read at `since`, of content last verified at `verified`. An entry without
    /// versions cannot be verified again.
    pub(crate) fn new(
        versions: Vec<(Label, LabelVersion)>,
        since: ReadOrder,
        verified: Moment,
    ) -> Self {
        let verified = AtomicU64::new(verified.to_bits());
        Self { versions: versions.into(), since, verified }
    }

    pub(crate) fn since(&self) -> ReadOrder {
        self.since
    }

    pub(crate) fn verified(&self) -> Moment {
        Moment::from_bits(self.verified.load(Ordering::Relaxed))
    }

    pub(crate) fn versions(&self) -> &[(Label, LabelVersion)] {
        &self.versions
    }

    /// Records that all versions were unchanged at `moment`.
    pub(crate) fn verify(&self, moment: Moment) {
        self.verified.fetch_max(moment.to_bits(), Ordering::Relaxed);
    }

    /// Whether the last verification is less than `ttl` ago. False for a `ttl` of zero: the clock
    /// read here may lag a little.
    pub(crate) fn is_recent(&self, ttl: Duration, now: Moment) -> bool {
        !ttl.is_zero() && now < self.verified().saturating_after(ttl)
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.versions)
    }
}
