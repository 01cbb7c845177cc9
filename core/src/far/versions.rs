//! Versions of labels: the record that a store has for each label, and the versions read at one
//! time.

use crate::entry::LabelVersion;
use crate::label::Label;
use crate::store::{Fault, StoreError, Value};

/// Size of a label's record: a version, and half of a second one.
pub(super) const RECORD_BYTES: usize = 24;

/// A label's record. It has two versions. Each invalidation changes both; all entries that depend
/// on the label carry the first. The second, the written version, changes also when the entry of
/// the key is replaced; only that entry itself carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LabelRecord {
    label: LabelVersion,
    /// The second half of the written version; its first half is that of the label's version.
    written: [u8; 8],
}

impl LabelRecord {
    /// Draws versions that no process has drawn before.
    pub(super) fn draw() -> Result<Self, StoreError> {
        Ok(Self { label: LabelVersion(draw()?), written: draw()? })
    }

    /// The record after the entry was replaced.
    pub(super) fn rewritten(self) -> Result<Self, StoreError> {
        Ok(Self { written: draw()?, ..self })
    }

    /// The written version, which the entry of the key carries.
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

    /// Decodes a record; `None` if it is malformed.
    fn read(record: &[u8]) -> Option<Self> {
        let (label, written) = record.split_first_chunk()?;
        Some(Self { label: LabelVersion(*label), written: written.try_into().ok()? })
    }
}

/// Whether these bytes are a label's record.
pub(super) fn is_version(record: &[u8]) -> bool {
    LabelRecord::read(record).is_some()
}

/// Draws bytes that no process has drawn before. They come from the system's random source, because
/// a generator in the process would repeat itself after a fork.
fn draw<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        StoreError::new(Fault::Refused, format!("the system provides no random bytes: {error}"))
    })?;
    Ok(bytes)
}

/// The versions that labels had at one time, including that a label had none.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownVersions(Vec<(Label, Option<LabelRecord>)>);

impl KnownVersions {
    /// The store's answers for these labels, in the same order.
    pub(super) fn new(labels: &[Label], values: &[Option<Value>]) -> Self {
        let version = |value: &Option<Value>| value.as_deref().and_then(LabelRecord::read);
        let mut known: Vec<_> =
            labels.iter().zip(values).map(|(&label, value)| (label, version(value))).collect();
        known.sort_unstable_by_key(|&(label, _)| label);
        Self(known)
    }

    /// The version of a label: `Some(None)` if it had none, `None` if that is not known.
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

    /// The labels that had no version.
    pub(super) fn absent(&self) -> impl Iterator<Item = Label> {
        self.0.iter().filter(|(_, version)| version.is_none()).map(|&(label, _)| label)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what is known about other labels, and replaces older answers for the same labels.
    pub(super) fn replace(&mut self, other: Self) {
        self.0.retain(|&(label, _)| other.get(label).is_none());
        self.0.extend(other.0);
        self.0.sort_unstable_by_key(|&(label, _)| label);
    }
}
