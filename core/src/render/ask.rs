//! A caller's use of the far level: verify an entry of the near level, look up an entry, and wait
//! for another process that renders the same fragment.

use std::sync::Arc;
use std::time::Duration;

use super::caller::Caller;
use super::enter::MakeBody;
use super::stack;
use super::wait_strategy::WaitStrategy;
use crate::clock::{Deadline, Moment, instant};
use crate::entry::Entry;
use crate::events::{BypassReason, MissReason};
use crate::far::{
    Far, FarLookup, FarMissed, Fill, LeaseRequest, Looked, Prepared, ReadSnapshot, Snapshot,
    Unavailable, Write,
};
use crate::near::{Left, Missed, Near};
use crate::protection::Protection;
use crate::read_point::ReadPosition;

/// The first and the longest pause between two checks for another process's result.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));

/// The far level's answer to a miss.
pub(super) enum Answer {
    /// There is no store, or it is unavailable.
    Nothing,
    /// It has an entry, possibly a stale one.
    Found(Entry),
    /// Render, and store the result.
    Lead(Fill),
    /// Render alone: another process renders it, and this caller does not wait.
    Alone(BypassReason),
}

impl<M: MakeBody> Caller<'_, M> {
    fn lookup(&self) -> FarLookup<'_> {
        FarLookup {
            key: self.hashed.key,
            source: self.source,
            version: self.request.version,
            labels: &self.labels,
            body: self.body,
        }
    }

    /// The outcome of a lookup in the near level, with an unverified entry verified by the far
    /// level.
    pub(super) fn trust(&self, near: &Near, found: Result<Entry, Missed>) -> Result<Entry, Missed> {
        match found {
            Err(Missed { left: Left::Unverified(entry), .. }) => self.verify(near, entry),
            found => found,
        }
    }

    fn verify(&self, near: &Near, entry: Entry) -> Result<Entry, Missed> {
        let Some(far) = self.cache.far() else { return Err(MissReason::Unverified.into()) };
        if self.prefetched.iter().any(|ahead| ahead.has_verified(&entry)) {
            near.count_hit(self.hashed.hash);
            return self.revalidate(near, entry);
        }
        match far.verify(&entry, &self.labels) {
            Ok(Ok(())) => {
                near.count_hit(self.hashed.hash);
                self.revalidate(near, entry)
            }
            Ok(Err(reason)) => {
                near.discard(self.hashed, &entry, reason);
                Err(reason.into())
            }
            Err(unavailable) => {
                self.cache.note_fault(&unavailable);
                Err(MissReason::Unverified.into())
            }
        }
    }

    /// Validates an entry whose labels are unchanged in the far level.
    pub(super) fn revalidate(&self, near: &Near, entry: Entry) -> Result<Entry, Missed> {
        near.revalidate(self.hashed, entry, self.cache.fresh(), &|| self.cache.recent())
    }

    /// Stores an entry of the far level in the near level, and validates it.
    pub(super) fn admit(&self, near: &Near, entry: Entry) -> Result<Entry, Missed> {
        let source = self.cache.counted(self.hashed.key, self.source);
        let entry = Entry { source, ..entry };
        if near.fits(self.hashed, &entry) {
            let evicted = near.put(self.hashed, entry.clone(), self.cache.recent());
            let evicted = evicted.into_iter().flatten();
            evicted.for_each(|gone| self.cache.report_eviction(&gone));
        }
        near.count_hit(self.hashed.hash);
        self.revalidate(near, entry)
    }

    /// Whether an entry that another caller rendered may be served to this one, which arrived at
    /// `came`. It may if none of its labels can have been invalidated by then, in any process: an
    /// entry verified or begun after `came` qualifies; for others the store is queried. Without an
    /// answer the entry is refused.
    pub(super) fn may_follow(&self, entry: &Entry, came: Moment) -> bool {
        let labels = &self.labels;
        if !self.cache.fresh().holds(labels, entry.dependencies(), entry.read) {
            return false;
        }
        let Some(far) = self.cache.far() else { return true };
        let Some(version_vector) = entry.version_vector() else { return false };
        // Not at the same moment: a clock may tick slowly.
        if version_vector.verified() > came || far.trusts(version_vector, self.cache.moment()) {
            return true;
        }
        let is_lenient = !self.cache.protections().keep(Protection::FollowerProof);
        if version_vector.versions().is_empty() {
            return is_lenient;
        }
        match far.verify(entry, labels) {
            Ok(verified) => verified.is_ok(),
            Err(unavailable) => {
                self.cache.note_fault(&unavailable);
                is_lenient
            }
        }
    }

    /// Looks up the far level and leads on a miss; waits while another process leads.
    pub(super) async fn query_far<P: WaitStrategy>(
        &self,
        near: &Near,
        reason: &mut MissReason,
        deadline: Deadline,
    ) -> Answer {
        let Some(far) = self.cache.far() else { return Answer::Nothing };
        let looked = match self.look_prefetched(far, near) {
            Some(looked) => Ok(looked),
            None => far.look(self.lookup(), self.cache.fresh()),
        };
        match looked {
            Ok(Looked::Found(entry)) => Answer::Found(entry),
            Ok(Looked::Missed(missed)) => {
                // The near level has no reason of its own for these.
                if matches!(reason, MissReason::Cold | MissReason::Unverified) {
                    *reason = missed.reason;
                }
                self.lead::<P>(far, &missed, Some(deadline)).await
            }
            Err(unavailable) => self.without_store(&unavailable),
        }
    }

    /// The prefetched entry for this fragment, validated, if it is still valid.
    pub(super) fn read_ahead(&self, near: &Near) -> Option<Result<Entry, Missed>> {
        match self.look_prefetched(self.cache.far()?, near)? {
            Looked::Found(entry) => Some(self.admit(near, entry)),
            Looked::Missed(_) => None,
        }
    }

    /// The prefetched outcome for this fragment, if it is still valid.
    fn look_prefetched(&self, far: &Far, near: &Near) -> Option<Looked> {
        let all = self.prefetched.iter();
        let looked = all.filter_map(|ahead| far.look_prefetched(ahead, self.lookup())).next()?;
        match looked {
            // This render may have invalidated the entry since.
            Looked::Found(entry) => match self.revalidate(near, entry.clone()) {
                Ok(_) | Err(Missed { left: Left::Stale(_), .. }) => Some(Looked::Found(entry)),
                Err(_) => None,
            },
            missed @ Looked::Missed(_) => Some(missed),
        }
    }

    /// Looks up a servable entry in the far level, without storing anything.
    pub(super) fn read_far(&self, near: &Near) -> Option<Entry> {
        let far = self.cache.far()?;
        let looked = match self.look_prefetched(far, near) {
            Some(looked) => Ok(looked),
            None => far.look(self.lookup(), self.cache.fresh()),
        };
        match looked {
            Ok(Looked::Found(entry)) => match self.revalidate(near, entry) {
                Ok(entry) | Err(Missed { left: Left::Stale(entry), .. }) => Some(entry),
                Err(_) => None,
            },
            Ok(Looked::Missed(_)) => None,
            Err(unavailable) => {
                self.cache.note_fault(&unavailable);
                None
            }
        }
    }

    /// Looks up a fresh entry, for a caller that renders nothing.
    #[cfg(feature = "values")]
    pub(super) fn peek(&self, near: &Near, missed: Missed) -> Result<Entry, MissReason> {
        let missed = match self.trust(near, Err(missed)) {
            Ok(entry) => return Ok(entry),
            Err(missed) => missed,
        };
        let Some(far) = self.cache.far() else { return Err(missed.reason) };
        let looked = match self.look_prefetched(far, near) {
            Some(looked) => Ok(looked),
            None => far.look(self.lookup(), self.cache.fresh()),
        };
        match looked {
            Ok(Looked::Found(entry)) => self.admit(near, entry).map_err(|missed| missed.reason),
            Ok(Looked::Missed(found)) => match missed.reason {
                MissReason::Cold | MissReason::Unverified => Err(found.reason),
                reason => Err(reason),
            },
            Err(unavailable) => {
                self.cache.note_fault(&unavailable);
                Err(MissReason::Unverified)
            }
        }
    }

    /// Leads the refresh of a stale entry, unless another process does.
    pub(super) async fn query_to_refresh<P: WaitStrategy>(&self) -> Answer {
        let Some(far) = self.cache.far() else { return Answer::Nothing };
        let missed = far.unasked(self.lookup(), MissReason::Expired);
        self.lead::<P>(far, &missed, None).await
    }

    /// Takes the leases of these callers of one cache, even if others hold them.
    pub(super) fn seize_leases(callers: &[&Self]) -> Vec<Result<Fill, Unavailable>> {
        let Some((cache, far)) =
            callers.first().and_then(|one| Some((one.cache, one.cache.far()?)))
        else {
            return Vec::new();
        };
        let missed = |caller: &&Self| far.unasked(caller.lookup(), MissReason::Refresh);
        let missed: Vec<FarMissed> = callers.iter().map(missed).collect();
        let requests: Vec<LeaseRequest<'_>> = callers
            .iter()
            .zip(&missed)
            .map(|(caller, missed)| caller.lease_request(missed))
            .collect();
        far.seize(&requests, cache.fresh())
    }

    fn lease_request<'a>(&'a self, missed: &'a FarMissed) -> LeaseRequest<'a> {
        let adds = self.request.write() == Write::Add;
        LeaseRequest { lookup: self.lookup(), missed, inherited: self.read_snapshot.as_ref(), adds }
    }

    async fn lead<P: WaitStrategy>(
        &self,
        far: &Far,
        missed: &FarMissed,
        deadline: Option<Deadline>,
    ) -> Answer {
        let mut pause = PAUSES.0;
        let mut waits = None;
        let answer = loop {
            match far.prepare(self.lease_request(missed), self.cache.fresh()) {
                Ok(Prepared::Lead(fill)) => break Answer::Lead(fill),
                Ok(Prepared::Found(entry)) => return Answer::Found(entry),
                Ok(Prepared::Unshared) => break Answer::Alone(BypassReason::Unshared),
                Ok(Prepared::Busy) => {}
                Err(unavailable) => break self.without_store(&unavailable),
            }
            // Two processes that each hold a lease could wait for each other.
            if stack::holds_lease() {
                break Answer::Alone(BypassReason::Cycle);
            }
            if deadline.is_none_or(Deadline::is_over) {
                break Answer::Alone(BypassReason::WaitLimit);
            }
            waits.get_or_insert_with(instant);
            P::pause(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        };
        waits.into_iter().for_each(|since| self.waited.spend(since));
        answer
    }

    fn without_store(&self, unavailable: &Unavailable) -> Answer {
        self.cache.note_fault(unavailable);
        Answer::Nothing
    }

    /// The read snapshot of a body that is rendered without a lookup in the store, for the
    /// fragments inside it.
    pub(super) fn own_snapshot(&self) -> Option<ReadSnapshot> {
        let far = self.cache.far()?;
        if self.read_snapshot.is_some() {
            return self.read_snapshot.clone();
        }
        let moment = self.cache.moment();
        let fences =
            far.snapshot().inspect_err(|unavailable| self.cache.note_fault(unavailable)).ok();
        Some(ReadSnapshot { fences, moment, ..ReadSnapshot::default() })
    }
}

/// What is known of the far level as of this caller's read point, if that was not taken just now:
/// from the read points of its data, and from the enclosing fragment.
pub(super) fn read_snapshot(
    far: &Far,
    points: Option<ReadPosition>,
    around: Option<ReadSnapshot>,
) -> Option<ReadSnapshot> {
    let Some(points) = points else { return around };
    let mut fences = far.snapshot_at(points.far);
    if let Some(around) = around {
        let number = |fences: &Option<Arc<Snapshot>>| fences.as_ref().map_or(0, |it| it.number);
        if number(&around.fences) < number(&fences) {
            fences = around.fences;
        }
    }
    let moment = fences.as_ref().map_or(Moment::START, |fences| fences.moment);
    Some(ReadSnapshot { fences, moment, ..ReadSnapshot::default() })
}
