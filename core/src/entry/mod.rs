//! What the cache holds for one variant of a fragment, apart from where it is held.

mod body;
mod origin;
mod proof;
pub(crate) mod record;

pub use body::{Body, Markup, Opaque};
pub use origin::OutputMode;
pub(crate) use origin::{Origin, Origins, digest_of};
pub(crate) use proof::Proof;
pub(crate) use record::LabelVersion;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::fresh::{Dependencies, Sequence};
use crate::hash::Version;

/// The bytes of an encoded key. Up to 16 of them need no allocation of their own.
pub(crate) type KeyBytes = smallvec::SmallVec<[u8; 16]>;

/// A rendered fragment and what has to hold for it to be served.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) body: Body,
    pub(crate) origin: Arc<Origin>,
    /// Where the data in the body may have been read, at the earliest.
    pub(crate) read: Sequence,
    pub(crate) expires: Moment,
    pub(crate) terms: Option<Arc<Terms>>,
}

/// What the allocations of an entry's terms and dependencies cost beside what is in them.
const TERMS_OVERHEAD: usize = 56;

/// What only some entries have.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Tags, and the labels of the fragments inside.
    pub(crate) dependencies: Option<Dependencies>,
    /// What `version=` said; zero without.
    pub(crate) version: Version,
    /// Until when it may be served though it has expired.
    pub(crate) last: Moment,
    /// How long rendering took, where that decides on an early refresh.
    pub(crate) render_time: Duration,
    /// When its render began, which may be after its read point: what began later is not replaced
    /// by what began before.
    pub(crate) began: Sequence,
    /// What the far level knows of it, where there is one.
    pub(crate) proof: Option<Proof>,
}

impl Terms {
    /// Terms worth keeping beside an entry of this read point that expires at `expires`.
    pub(crate) fn beside(self, read: Sequence, expires: Moment) -> Option<Arc<Self>> {
        let plain = self.dependencies.is_none()
            && self.version == Version::default()
            && self.last <= expires
            && self.began == read
            && self.render_time.is_zero()
            && self.proof.is_none();
        (!plain).then(|| Arc::new(self))
    }
}

impl Entry {
    pub(crate) fn dependencies(&self) -> Option<&Dependencies> {
        self.terms.as_ref()?.dependencies.as_ref()
    }

    pub(crate) fn version(&self) -> Version {
        self.terms.as_ref().map_or(Version::default(), |terms| terms.version)
    }

    pub(crate) fn proof(&self) -> Option<&Proof> {
        self.terms.as_ref()?.proof.as_ref()
    }

    /// When it may no longer be served, though stale.
    pub(crate) fn last(&self) -> Moment {
        self.terms.as_ref().map_or(self.expires, |terms| terms.last.max(self.expires))
    }

    /// When its render began.
    pub(crate) fn began(&self) -> Sequence {
        self.terms.as_ref().map_or(self.read, |terms| terms.began)
    }

    /// Bytes that its terms take.
    pub(crate) fn terms_bytes(&self) -> usize {
        let Some(terms) = &self.terms else { return 0 };
        TERMS_OVERHEAD
            + size_of::<Terms>()
            + terms.dependencies.as_ref().map_or(0, Dependencies::bytes)
            + terms.proof.as_ref().map_or(0, Proof::bytes)
    }
}
