//! What the far level knows of an entry in the near one: the versions that its labels had, and when
//! they were last found unchanged.

use std::time::Duration;

use super::record::LabelVersion;
use crate::clock::Moment;
use crate::freshness::Label;
use crate::sync::{AtomicU64, Ordering};

/// The versions of an entry's labels as of its read point.
#[derive(Debug)]
pub(crate) struct VersionVector {
    versions: Box<[(Label, LabelVersion)]>,
    /// When the versions had been read: not before, as whoever began in between may be older.
    since: Moment,
    verified: AtomicU64,
}

impl VersionVector {
    /// Versions that were read at `since`, or none: such an entry cannot be verified again. What is in
    /// it was last verified at `verified`.
    pub(crate) fn new(
        versions: Vec<(Label, LabelVersion)>,
        since: Moment,
        verified: Moment,
    ) -> Self {
        let verified = AtomicU64::new(verified.to_bits());
        Self { versions: versions.into(), since, verified }
    }

    pub(crate) fn since(&self) -> Moment {
        self.since
    }

    pub(crate) fn verified(&self) -> Moment {
        Moment::from_bits(self.verified.load(Ordering::Relaxed))
    }

    pub(crate) fn versions(&self) -> &[(Label, LabelVersion)] {
        &self.versions
    }

    /// Notes that all versions were unchanged at `moment`.
    pub(crate) fn verify(&self, moment: Moment) {
        self.verified.fetch_max(moment.to_bits(), Ordering::Relaxed);
    }

    /// Whether nobody has to ask again within `life` of the last time. Not for a moment without a life:
    /// the clock by which this is asked may be a little behind.
    pub(crate) fn is_recent(&self, life: Duration, now: Moment) -> bool {
        !life.is_zero() && now < self.verified().saturating_after(life)
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.versions)
    }
}
