//! The versions that a body inherits from the fragments inside it.
//!
//! A fragment served inside a body is valid only for the versions in its version vector, and so is
//! the body around it. The near level may lag by its `near_ttl`, and that age must not pass into
//! what is stored for all processes.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use crate::clock::Moment;
use crate::entry::{LabelVersion, VersionVector};
use crate::hash::BuildLabelHasher;
use crate::label::Label;

type Versions = HashMap<Label, LabelVersion, BuildLabelHasher>;

/// The versions that pass from a fragment to the body around it: all except the written one of its
/// key.
fn inherited(versions: &[(Label, LabelVersion)]) -> impl Iterator<Item = (Label, LabelVersion)> {
    versions.iter().copied().filter(|(label, _)| !label.is_written())
}

/// The versions known from the fragments inside a body.
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
    pub(crate) fn serve(&mut self, version_vector: Option<&VersionVector>, read: Moment) {
        let Some(version_vector) =
            version_vector.filter(|version_vector| !version_vector.versions().is_empty())
        else {
            self.is_broken = true;
            self.verified =
                self.verified.min(version_vector.map_or(Moment::START, VersionVector::verified));
            return;
        };
        self.verified = self.verified.min(version_vector.verified());
        let is_exact = version_vector.since() <= read;
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
