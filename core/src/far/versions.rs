//! Versions of labels: what a store holds for each, and what was read of them at one time.

use std::time::Duration;

use crate::entry::LabelVersion;
use crate::fresh::Label;
use crate::store::{Fault, StoreError, Value};

/// A version's record: 16 random bytes, and when it was drawn, in milliseconds since 1970.
const RECORD_BYTES: usize = 24;

/// A version that no process has drawn before. From the system's source of randomness: a generator
/// in the process would repeat itself in a fork.
pub(super) fn draw(unix_time: Duration) -> Result<[u8; RECORD_BYTES], StoreError> {
    let mut record = [0; RECORD_BYTES];
    let (version, drawn) = record.split_at_mut(16);
    getrandom::fill(version).map_err(|error| {
        StoreError::new(Fault::Refused, format!("the system gives no random bytes: {error}"))
    })?;
    let millis = u64::try_from(unix_time.as_millis()).unwrap_or(u64::MAX);
    drawn.copy_from_slice(&millis.to_be_bytes());
    Ok(record)
}

/// The version in a record; `None` for anything that is not one.
pub(super) fn read(record: &[u8]) -> Option<LabelVersion> {
    let record: &[u8; RECORD_BYTES] = record.try_into().ok()?;
    let mut version = [0; 16];
    version.copy_from_slice(&record[..16]);
    Some(LabelVersion(version))
}

/// The versions that labels had at one time; of an absent one, that it was absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Vec<(Label, Option<LabelVersion>)>);

impl Known {
    /// What a store answered for these labels, in the same order.
    pub(super) fn new(labels: &[Label], values: &[Option<Value>]) -> Self {
        let version = |value: &Option<Value>| value.as_deref().and_then(read);
        let mut known: Vec<_> =
            labels.iter().zip(values).map(|(&label, value)| (label, version(value))).collect();
        known.sort_unstable_by_key(|&(label, _)| label);
        Self(known)
    }

    /// The version that a label had, or that it had none; `None` if that is not known.
    pub(super) fn get(&self, label: Label) -> Option<Option<LabelVersion>> {
        let at = self.0.binary_search_by_key(&label, |&(label, _)| label).ok()?;
        Some(self.0[at].1)
    }

    /// The labels that had none.
    pub(super) fn absent(&self) -> impl Iterator<Item = Label> {
        self.0.iter().filter(|(_, version)| version.is_none()).map(|&(label, _)| label)
    }

    /// Takes over what is known of other labels, or of the same ones since.
    pub(super) fn replace(&mut self, other: Self) {
        self.0.retain(|&(label, _)| other.get(label).is_none());
        self.0.extend(other.0);
        self.0.sort_unstable_by_key(|&(label, _)| label);
    }
}
