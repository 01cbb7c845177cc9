//! Versions of labels: what a store holds for each, and what was read of them at one time.

use crate::entry::LabelVersion;
use crate::freshness::Label;
use crate::store::{Fault, StoreError, Value};

/// A label's record: a version, and the half of another.
pub(super) const RECORD_BYTES: usize = 24;

/// What a store holds for a label: the version that an invalidation draws anew, which all carry that
/// depend on the label; and one that is drawn anew also when something is written under it in the
/// place of what is there, which only what is written itself carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LabelRecord {
    label: LabelVersion,
    /// The second half of the other; the first is that of the label's.
    written: [u8; 8],
}

impl LabelRecord {
    /// Versions that no process has drawn before.
    pub(super) fn draw() -> Result<Self, StoreError> {
        Ok(Self { label: LabelVersion(draw()?), written: draw()? })
    }

    /// The versions after something was written in the place of what is there.
    pub(super) fn rewritten(self) -> Result<Self, StoreError> {
        Ok(Self { written: draw()?, ..self })
    }

    /// The version that what is written under the label carries.
    pub(super) fn written(self) -> LabelVersion {
        let mut version = self.label.0;
        version[8..].copy_from_slice(&self.written);
        LabelVersion(version)
    }

    pub(super) fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        record[..16].copy_from_slice(&self.label.0);
        record[16..].copy_from_slice(&self.written);
        record
    }

    /// The versions in a record; `None` for anything that is not one.
    fn read(record: &[u8]) -> Option<Self> {
        let (label, written) = record.split_first_chunk()?;
        Some(Self { label: LabelVersion(*label), written: written.try_into().ok()? })
    }
}

/// Whether these bytes are the record of a label.
pub(super) fn is_version(record: &[u8]) -> bool {
    LabelRecord::read(record).is_some()
}

/// Bytes that no process has drawn before. From the system's source of randomness: a generator in the
/// process would repeat itself in a fork.
fn draw<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        StoreError::new(Fault::Refused, format!("the system gives no random bytes: {error}"))
    })?;
    Ok(bytes)
}

/// The versions that labels had at one time; of an absent one, that it was absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownVersions(Vec<(Label, Option<LabelRecord>)>);

impl KnownVersions {
    /// What a store answered for these labels, in the same order.
    pub(super) fn new(labels: &[Label], values: &[Option<Value>]) -> Self {
        let version = |value: &Option<Value>| value.as_deref().and_then(LabelRecord::read);
        let mut known: Vec<_> =
            labels.iter().zip(values).map(|(&label, value)| (label, version(value))).collect();
        known.sort_unstable_by_key(|&(label, _)| label);
        Self(known)
    }

    /// The version that a label had, or that it had none; `None` if that is not known.
    pub(super) fn get(&self, label: Label) -> Option<Option<LabelVersion>> {
        let versions = self.versions(label.base())?;
        let version = |versions: LabelRecord| match label.is_written() {
            true => versions.written(),
            false => versions.label,
        };
        Some(versions.map(version))
    }

    /// Both versions of a label.
    pub(super) fn versions(&self, label: Label) -> Option<Option<LabelRecord>> {
        let at = self.0.binary_search_by_key(&label, |&(label, _)| label).ok()?;
        Some(self.0[at].1)
    }

    /// The labels that had none.
    pub(super) fn absent(&self) -> impl Iterator<Item = Label> {
        self.0.iter().filter(|(_, version)| version.is_none()).map(|&(label, _)| label)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over what is known of other labels, or of the same ones since.
    pub(super) fn replace(&mut self, other: Self) {
        self.0.retain(|&(label, _)| other.get(label).is_none());
        self.0.extend(other.0);
        self.0.sort_unstable_by_key(|&(label, _)| label);
    }
}
