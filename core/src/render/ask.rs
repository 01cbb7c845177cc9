//! What a caller does with the far level: verifying what the near one has, looking in the store, and
//! waiting for another process that renders the same fragment.

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

/// The first pause between two looks whether another process has rendered, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));

/// What the far level makes of a miss.
pub(super) enum Answer {
    /// There is no store, or it cannot be asked.
    Nothing,
    /// It has an entry, which may be a stale one.
    Found(Entry),
    /// Render, and store it.
    Lead(Fill),
    /// Another process renders it, and there is no waiting for it.
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

    /// The outcome of a lookup in the near level, after the far one was asked about what the near one
    /// does not serve by itself.
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

    /// What an entry is good for whose labels are unchanged in the far level.
    pub(super) fn revalidate(&self, near: &Near, entry: Entry) -> Result<Entry, Missed> {
        near.revalidate(self.hashed, entry, self.cache.fresh(), &|| self.cache.recent())
    }

    /// Takes an entry from the store into the near level, and tells what it is good for.
    pub(super) fn keep(&self, near: &Near, entry: Entry) -> Result<Entry, Missed> {
        let source = self.cache.counted(self.hashed.key, self.source);
        let entry = Entry { source, ..entry };
        if near.fits(self.hashed, &entry) {
            let evicted = near.put(self.hashed, entry.clone(), self.cache.recent());
            let evicted = evicted.into_iter().flatten();
            evicted.for_each(|gone| gone.report(self.cache));
        }
        near.count_hit(self.hashed.hash);
        self.revalidate(near, entry)
    }

    /// Whether what another caller rendered may be served to this one, who came at `came`: it can be
    /// shown that none of its labels had been invalidated then, by any process. What was verified
    /// since, or began since, is good for whoever came before; else the store is asked. Where it
    /// cannot be, nobody knows.
    pub(super) fn may_follow(&self, entry: &Entry, came: Moment) -> bool {
        let labels = &self.labels;
        if !self.cache.fresh().holds(labels, entry.dependencies(), entry.read) {
            return false;
        }
        let Some(far) = self.cache.far() else { return true };
        let Some(version_vector) = entry.version_vector() else { return false };
        // Not one of the same moment: a clock may tick slowly.
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

    /// Looks in the store, and leads if nothing is there; waits while another process does.
    pub(super) async fn ask<P: WaitStrategy>(
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
                // The near level knows nothing worth telling of what it did not hold.
                if matches!(reason, MissReason::Cold | MissReason::Unverified) {
                    *reason = missed.reason;
                }
                self.lead::<P>(far, &missed, Some(deadline)).await
            }
            Err(unavailable) => self.without_store(&unavailable),
        }
    }

    /// What was read ahead of this fragment and still holds, and what it is good for.
    pub(super) fn read_ahead(&self, near: &Near) -> Option<Result<Entry, Missed>> {
        match self.look_prefetched(self.cache.far()?, near)? {
            Looked::Found(entry) => Some(self.keep(near, entry)),
            Looked::Missed(_) => None,
        }
    }

    /// What was read ahead of this fragment, if it still holds.
    fn look_prefetched(&self, far: &Far, near: &Near) -> Option<Looked> {
        let all = self.prefetched.iter();
        let looked = all.filter_map(|ahead| far.look_prefetched(ahead, self.lookup())).next()?;
        match looked {
            // This render may have invalidated it since.
            Looked::Found(entry) => match self.revalidate(near, entry.clone()) {
                Ok(_) | Err(Missed { left: Left::Stale(_), .. }) => Some(Looked::Found(entry)),
                Err(_) => None,
            },
            missed @ Looked::Missed(_) => Some(missed),
        }
    }

    /// Looks in the store for what may be served, where nothing is to be stored.
    pub(super) fn ask_only(&self, near: &Near) -> Option<Entry> {
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

    /// What is stored and fresh, for a caller that renders nothing.
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
            Ok(Looked::Found(entry)) => self.keep(near, entry).map_err(|missed| missed.reason),
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

    /// Leads the refresh of what is stale, unless another process does.
    pub(super) async fn ask_to_refresh<P: WaitStrategy>(&self) -> Answer {
        let Some(far) = self.cache.far() else { return Answer::Nothing };
        let missed = far.unasked(self.lookup(), MissReason::Expired);
        self.lead::<P>(far, &missed, None).await
    }

    /// Leads whoever else does, for all of these callers of one cache at once.
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
            // Two processes that hold a lease each could wait for each other.
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

    /// The witness of a body that this caller renders without looking in the store: for the fragments
    /// inside it.
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

/// What this caller's render knows of the far level as of its read point, if that was not taken
/// just now: by the points that its data is from, and by the fragment around it.
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
