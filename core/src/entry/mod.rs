//! What the cache stores for one variant of a fragment, in either level.

mod body;
pub(crate) mod record;
mod source;
mod version_vector;

pub(crate) use body::of_text;
pub use body::{BinaryContent, Body, Markup};
pub(crate) use record::LabelVersion;
pub use source::OutputMode;
pub(crate) use source::{EntrySource, EntrySources};
pub(crate) use version_vector::VersionVector;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::freshness::{Dependencies, Sequence};
use crate::hash::Version;

/// The bytes of an encoded key. Up to 16 of them need no allocation of their own.
pub(crate) type KeyBytes = smallvec::SmallVec<[u8; 16]>;

/// A rendered fragment and the conditions for serving it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) body: Body,
    pub(crate) source: Arc<EntrySource>,
    /// The earliest point at which the data in the body may have been read.
    pub(crate) read: Sequence,
    pub(crate) expires: Moment,
    pub(crate) meta: Option<Arc<EntryMeta>>,
}

/// Bytes that the allocations of an entry's meta and dependencies take besides their content.
const META_OVERHEAD: usize = 56;

/// The fields that only some entries need.
#[derive(Debug)]
pub(crate) struct EntryMeta {
    /// Tags, and the labels of the fragments inside.
    pub(crate) dependencies: Option<Dependencies>,
    /// The value of `version=`; zero without the option.
    pub(crate) version: Version,
    /// Until when it may be served stale.
    pub(crate) last: Moment,
    /// How long rendering took, if early refreshes need it; else zero.
    pub(crate) render_time: Duration,
    /// When its render began, which may be after its read point. An entry does not replace one
    /// whose render began later.
    pub(crate) began: Sequence,
    /// What the far level knows of it, if there is one.
    pub(crate) version_vector: Option<VersionVector>,
}

impl EntryMeta {
    /// The meta, if an entry with this read point that expires at `expires` needs one.
    pub(crate) fn if_needed(self, read: Sequence, expires: Moment) -> Option<Arc<Self>> {
        let plain = self.dependencies.is_none()
            && self.version == Version::default()
            && self.last <= expires
            && self.began == read
            && self.render_time.is_zero()
            && self.version_vector.is_none();
        (!plain).then(|| Arc::new(self))
    }
}

impl Entry {
    pub(crate) fn dependencies(&self) -> Option<&Dependencies> {
        self.meta.as_ref()?.dependencies.as_ref()
    }

    pub(crate) fn version(&self) -> Version {
        self.meta.as_ref().map_or(Version::default(), |meta| meta.version)
    }

    pub(crate) fn version_vector(&self) -> Option<&VersionVector> {
        self.meta.as_ref()?.version_vector.as_ref()
    }

    /// When it may no longer be served stale.
    pub(crate) fn last(&self) -> Moment {
        self.meta.as_ref().map_or(self.expires, |meta| meta.last.max(self.expires))
    }

    /// When its render began.
    pub(crate) fn began(&self) -> Sequence {
        self.meta.as_ref().map_or(self.read, |meta| meta.began)
    }

    /// Bytes that its meta takes.
    pub(crate) fn meta_bytes(&self) -> usize {
        let Some(meta) = &self.meta else { return 0 };
        META_OVERHEAD
            + size_of::<EntryMeta>()
            + meta.dependencies.as_ref().map_or(0, Dependencies::bytes)
            + meta.version_vector.as_ref().map_or(0, VersionVector::bytes)
    }
}
