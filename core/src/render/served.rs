//! What is known of the fragments that were served inside another: by which versions, found when. A
//! near level that answers by itself for a while may have served what other processes have
//! invalidated. Then what is around it is as old, and must not be stored as if it were not.

use crate::clock::Moment;
use crate::entry::{LabelVersion, Proof};
use crate::fresh::Label;

/// By which versions fragments were served.
#[derive(Debug, Default)]
pub(super) struct Served {
    versions: Vec<(Label, LabelVersion)>,
    /// When the one was last compared with the store for which that is the longest ago.
    verified: Option<Moment>,
    is_unproven: bool,
}

impl Served {
    pub(super) fn add(&mut self, proof: &Proof) {
        self.versions.extend_from_slice(proof.versions());
        self.is_unproven |= proof.versions().is_empty();
        self.verified = Some(self.since(proof.verified()));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.versions.extend_from_slice(&other.versions);
        self.is_unproven |= other.is_unproven;
        self.verified = other.verified.map(|verified| self.since(verified)).or(self.verified);
    }

    /// All versions; a label may come twice, also with two of them.
    pub(super) fn versions(&self) -> &[(Label, LabelVersion)] {
        &self.versions
    }

    /// Since when what is around has to be compared again, if it was found good at `moment` itself.
    pub(super) fn since(&self, moment: Moment) -> Moment {
        self.verified.map_or(moment, |verified| verified.min(moment))
    }

    /// Whether one of them was rendered while the store could not be asked.
    pub(super) fn is_unproven(&self) -> bool {
        self.is_unproven
    }
}
