//! What the fragments inside a body tell of the versions of its labels.
//!
//! A fragment that is served inside is good for the versions in its proof, and what is around it for
//! no others: the near level may be behind by its life, and must not lend its age to what is stored
//! for all.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use crate::clock::Moment;
use crate::entry::{LabelVersion, VersionVector};
use crate::freshness::Label;
use crate::hash::BuildLabelHasher;

type Versions = HashMap<Label, LabelVersion, BuildLabelHasher>;

/// What passes from a fragment to what is around it: not what was written under its key.
fn inherited(versions: &[(Label, LabelVersion)]) -> impl Iterator<Item = (Label, LabelVersion)> {
    versions.iter().copied().filter(|(label, _)| !label.is_written())
}

/// What is known of versions by the fragments inside a body.
#[derive(Debug)]
pub(crate) struct InheritedVersions {
    /// The versions that labels had at the body's read point, or before: then they are outdated, and
    /// so is what carries them.
    exact: Versions,
    /// The versions that a fragment which was served inside carries, read after the read point.
    served: Versions,
    /// When the first of the proofs was last verified.
    pub(crate) verified: Moment,
    /// Two fragments inside carry different versions of one label, or one carries none: what is
    /// around them cannot be proved.
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
    /// A fragment with this proof is served in a body whose read point was at `read`.
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

    /// A fragment inside was stored with these versions, of the body's own read point.
    pub(crate) fn learn(&mut self, versions: &[(Label, LabelVersion)]) {
        for (label, version) in inherited(versions) {
            match self.exact.entry(label) {
                MapEntry::Vacant(place) => drop(place.insert(version)),
                MapEntry::Occupied(known) => self.is_broken |= *known.get() != version,
            }
        }
    }

    /// The body's read point is an older one now: what was exact may be newer.
    pub(crate) fn go_back(&mut self) {
        for (label, version) in self.exact.drain() {
            self.is_broken |= *self.served.entry(label).or_insert(version) != version;
        }
    }

    /// What was inside a fragment that was given up, or not stored, is inside what is around it.
    pub(crate) fn take_over(&mut self, inner: &Self) {
        self.verified = self.verified.min(inner.verified);
        self.is_broken |= inner.is_broken;
        for (theirs, mine) in [(&inner.exact, &mut self.exact), (&inner.served, &mut self.served)] {
            for (&label, &version) in theirs {
                self.is_broken |= *mine.entry(label).or_insert(version) != version;
            }
        }
    }

    /// The version that a label had at the read point, as far as this tells.
    pub(super) fn exact(&self, label: Label) -> Option<LabelVersion> {
        self.exact.get(&label).copied()
    }

    /// The versions that fragments inside carry, of labels for which `is_listed` is false.
    pub(super) fn besides(&self, is_listed: impl Fn(Label) -> bool) -> Vec<(Label, LabelVersion)> {
        let all = self.exact.iter().chain(&self.served);
        all.map(|(&label, &version)| (label, version)).filter(|&(l, _)| !is_listed(l)).collect()
    }

    /// Whether what was served inside agrees with this version of a label.
    pub(super) fn agrees(&self, label: Label, version: LabelVersion) -> bool {
        let agrees =
            |versions: &Versions| versions.get(&label).is_none_or(|&known| known == version);
        agrees(&self.exact) && agrees(&self.served)
    }
}
