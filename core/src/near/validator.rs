//! Whether an entry may be served now.

use super::Missed;
use std::time::Duration;

use crate::clock::Moment;
use crate::entry::Entry;
use crate::events::MissReason;
use crate::freshness::{Broken, Freshness};
use crate::hash::HashedKey;
use crate::hash::KeyHasher;

/// Validates entries.
pub(super) struct Validator<'a> {
    pub(super) hasher: &'a KeyHasher,
    pub(super) fresh: &'a Freshness,
    pub(super) now: &'a dyn Fn() -> Moment,
    /// How eagerly entries are refreshed before they expire; 0 turns this off.
    pub(super) early_refresh: f64,
    /// With a far level: for how long an entry is served without verification.
    pub(super) near_ttl: Option<Duration>,
}

/// The validity of an entry.
pub(super) enum Validity {
    Fresh,
    /// May be served while one caller refreshes it.
    Stale(MissReason),
    /// May be served if the far level finds its labels unchanged.
    Unverified,
    Gone(Missed),
}

impl Validator<'_> {
    /// Validates an entry. `checked` is how far after its read point its labels were last compared:
    /// if the sequence has not moved since, one comparison is enough.
    pub(super) fn validate(
        &self,
        hashed: HashedKey<'_>,
        entry: &Entry,
        checked: &mut u32,
    ) -> Validity {
        let ageing = if entry.expires == Moment::NEVER { None } else { self.ageing(entry) };
        if ageing == Some(MissReason::Expired) && entry.last() <= (self.now)() {
            return Validity::Gone(MissReason::Expired.into());
        }
        if let Some(missed) = self.broken(hashed, entry, checked) {
            return Validity::Gone(missed);
        }
        if let Some(validity) = self.near_ttl.and_then(|ttl| self.unverified(entry, ttl)) {
            return validity;
        }
        ageing.map_or(Validity::Fresh, Validity::Stale)
    }

    fn unverified(&self, entry: &Entry, ttl: Duration) -> Option<Validity> {
        match entry.version_vector() {
            Some(version_vector) if version_vector.is_recent(ttl, (self.now)()) => None,
            Some(version_vector) if !version_vector.versions().is_empty() => {
                Some(Validity::Unverified)
            }
            _ => Some(Validity::Gone(MissReason::Unverified.into())),
        }
    }

    fn ageing(&self, entry: &Entry) -> Option<MissReason> {
        let now = (self.now)();
        if entry.expires <= now {
            return Some(MissReason::Expired);
        }
        let early = self.early_refresh > 0.0 && self.is_early(entry, now);
        early.then_some(MissReason::Early)
    }

    /// Whether this lookup refreshes early. One lookup in many does, so that a popular fragment
    /// that is slow to render never expires while callers need it. The probability grows as the end
    /// comes nearer, and with the render time (Vattani, Chierichetti, Lowenstein: Optimal
    /// Probabilistic Cache Stampede Prevention, VLDB 2015).
    fn is_early(&self, entry: &Entry, now: Moment) -> bool {
        let Some(meta) = &entry.meta else { return false };
        let left = entry.expires.since(now).as_secs_f64();
        let eager = meta.render_time.as_secs_f64() * self.early_refresh;
        // The logarithm of a number in (0, 1] with 53 bits is at least -37.
        left < eager * 37.0 && left <= eager * -(1.0 - fastrand::f64()).ln()
    }

    fn broken(&self, hashed: HashedKey<'_>, entry: &Entry, checked: &mut u32) -> Option<Missed> {
        let (mut present, mut settled) = self.fresh.look();
        if settled && present.steps_after(entry.read) == Some(*checked) {
            return None;
        }
        if !settled {
            self.fresh.settle((self.now)());
            (present, settled) = self.fresh.look();
        }
        let labels = self.hasher.labels(hashed.key, entry.source.template_label);
        if let Some(broken) = self.fresh.first_broken(&labels, entry.dependencies(), entry.read) {
            return Some(missed(broken));
        }
        // If the steps do not fit 32 bits, labels are compared on every lookup.
        if let Some(steps) = present.steps_after(entry.read).filter(|_| settled) {
            *checked = steps;
        }
        None
    }
}

fn missed(broken: Broken) -> Missed {
    let reason = match broken {
        Broken::Key => MissReason::Deleted,
        Broken::Name => MissReason::NameDeleted,
        Broken::Template => MissReason::TemplateDeleted,
        Broken::Namespace => MissReason::NamespaceCleared,
        Broken::Tag(label) => {
            return Missed { tag: Some(label), ..MissReason::TagInvalidated.into() };
        }
        Broken::Inner => MissReason::InnerDeleted,
        Broken::Floor => MissReason::Cleared,
    };
    reason.into()
}
