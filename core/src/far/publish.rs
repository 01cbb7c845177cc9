//! Publishes invalidations to the store: a new version for each label and for its fence.

use std::time::Duration;

use super::versions::LabelRecord;
use super::{Far, Unavailable};
use crate::clock::instant;
use crate::label::Label;
use crate::protection::Protection;
use crate::store::{Operation, StoreError};

/// Most labels in one call to the store.
const BATCH: usize = 500;

/// Whether an invalidation has reached the store.
#[derive(Debug)]
pub(crate) enum Published {
    /// It has.
    Done,
    /// It will be published later. Until then this process acts as if it had been.
    Pending(Unavailable),
}

impl Far {
    /// Publishes the invalidation of these labels now, all or none of them, and once more after
    /// `again`.
    pub(crate) fn publish(&self, labels: &[Label], again: Option<Duration>) -> Published {
        let all = [labels];
        let published = self.publish_apart(&all[usize::from(labels.is_empty())..], again);
        published.into_iter().next().unwrap_or(Published::Done)
    }

    /// Like [`publish`](Self::publish), for each label separately.
    pub(crate) fn publish_each(&self, labels: &[Label], again: Option<Duration>) -> Vec<Published> {
        self.publish_apart(&labels.chunks(1).collect::<Vec<_>>(), again)
    }

    /// Publishes what it can, all or none of each part.
    fn publish_apart(&self, parts: &[&[Label]], again: Option<Duration>) -> Vec<Published> {
        if let Some(again) = again {
            self.tasks.repeat(instant() + again, &parts.concat());
        }
        let published = self.together(parts, |parts| {
            if self.is_unavailable() {
                return Err(Unavailable(None));
            }
            self.try_publish(&parts.concat()).map_err(|error| Unavailable(Some(error)))?;
            Ok(vec![(); parts.len()])
        });
        let heed = |(labels, published): (&&[Label], Result<(), Unavailable>)| match published {
            Ok(()) => Published::Done,
            Err(unavailable) => {
                self.pending.add(labels);
                self.tasks.wake();
                Published::Pending(unavailable)
            }
        };
        parts.iter().zip(published).map(heed).collect()
    }

    /// Like [`publish`](Self::publish), bypassing the breaker; returns the error of a failed call.
    pub(super) fn try_publish(&self, labels: &[Label]) -> Result<(), StoreError> {
        for labels in labels.chunks(BATCH) {
            let version = LabelRecord::draw()?.to_bytes();
            let ttl = self.version_ttl();
            let mut fences: Vec<Label> =
                labels.iter().map(|&label| self.fences.of(label)).collect();
            fences.sort_unstable();
            fences.dedup();
            // The fences come first: a fill that finds them unchanged has read its labels before.
            let mut keys = [self.version_keys(&fences), self.version_keys(labels)];
            if !self.protections.keep(Protection::FenceFirst) {
                keys.reverse();
            }
            let keys = keys.concat();
            let set = |key| Operation::Set { key, value: &version, ttl };
            let operations: Vec<_> = keys.iter().map(String::as_str).map(set).collect();
            self.link.run_bypassing_breaker(&operations)?;
        }
        self.fences.outdate();
        Ok(())
    }
}
