//! Telling the store what is invalid: a new version for each label, and for the fence it is behind.

use std::time::Duration;

use super::versions::Versions;
use super::{Away, Far};
use crate::clock::instant;
use crate::fresh::Label;
use crate::protection::Protection;
use crate::store::{Operation, StoreError};

/// Most labels of one call of the store.
const BATCH: usize = 500;

/// Whether the store knows of an invalidation.
#[derive(Debug)]
pub(crate) enum Told {
    /// It does.
    Done,
    /// It will be told when it can be; until then this process acts as if it knew.
    Pending(Away),
}

impl Far {
    /// Tells the store that these labels are invalid as of now, and once more after `again`: all of
    /// them, or none.
    pub(crate) fn tell(&self, labels: &[Label], again: Option<Duration>) -> Told {
        let all = [labels];
        let told = self.tell_apart(&all[usize::from(labels.is_empty())..], again);
        told.into_iter().next().unwrap_or(Told::Done)
    }

    /// As [`tell`](Self::tell), of each label by itself.
    pub(crate) fn tell_each(&self, labels: &[Label], again: Option<Duration>) -> Vec<Told> {
        self.tell_apart(&labels.chunks(1).collect::<Vec<_>>(), again)
    }

    /// Tells what it can: of each part all or nothing.
    fn tell_apart(&self, parts: &[&[Label]], again: Option<Duration>) -> Vec<Told> {
        if let Some(again) = again {
            self.errands.repeat(instant() + again, &parts.concat());
        }
        let told = self.together(parts, |parts| {
            if self.is_away() {
                return Err(Away(None));
            }
            self.try_tell(&parts.concat()).map_err(|error| Away(Some(error)))?;
            Ok(vec![(); parts.len()])
        });
        let heed = |(labels, told): (&&[Label], Result<(), Away>)| match told {
            Ok(()) => Told::Done,
            Err(away) => {
                self.pending.add(labels);
                self.errands.wake();
                Told::Pending(away)
            }
        };
        parts.iter().zip(told).map(heed).collect()
    }

    /// As [`tell`](Self::tell), or an error, also while the store is left alone.
    pub(super) fn try_tell(&self, labels: &[Label]) -> Result<(), StoreError> {
        for labels in labels.chunks(BATCH) {
            let version = Versions::draw()?.to_bytes();
            let ttl = self.version_life();
            let mut fences: Vec<Label> =
                labels.iter().map(|&label| self.fences.of(label)).collect();
            fences.sort_unstable();
            fences.dedup();
            // The fences first: a fill that finds them unchanged has read its labels before.
            let mut keys = [self.version_keys(&fences), self.version_keys(labels)];
            if !self.protections.keep(Protection::FenceFirst) {
                keys.reverse();
            }
            let keys = keys.concat();
            let set = |key| Operation::Set { key, value: &version, ttl };
            let operations: Vec<_> = keys.iter().map(String::as_str).map(set).collect();
            self.link.run_anyway(&operations)?;
        }
        self.fences.outdate();
        Ok(())
    }
}
