//! What Rust code asks of a key without knowing its block: the newest body that could be served, of
//! whatever variant.

use super::{Away, Far, fill, wire::VariantId};
use crate::entry::OutputMode;
use crate::entry::record::Decoded;
use crate::fresh::{Label, Labels};

impl Far {
    /// The newest servable body of a key; annotated ones count only while pages are `annotated`.
    pub(crate) fn newest(
        &self,
        key: &[u8],
        labels: &Labels,
        annotated: bool,
    ) -> Result<Option<Vec<u8>>, Away> {
        let id = self.fragment(key);
        let list = self.get(&[self.names.variants(&id)])?.pop().flatten();
        let variants: Vec<VariantId> = fill::listed(list.as_deref().unwrap_or_default()).collect();
        if variants.is_empty() {
            return Ok(None);
        }
        let keys: Vec<String> =
            variants.iter().map(|&variant| self.names.entry(&id, variant)).collect();
        let values = self.get(&keys)?;
        let decoded = |value: &[u8]| self.codec.decode(value).ok();
        let mut found: Vec<Decoded> =
            values.iter().flatten().filter_map(|value| decoded(value)).collect();
        found.retain(|entry| {
            let is_shown = annotated || !OutputMode::from_bits(entry.mode).is_annotated();
            self.is_of(entry, key) && is_shown && !self.is_over(entry)
        });
        let mut asked: Vec<Label> = Vec::new();
        for entry in &found {
            asked.extend(entry.labels.iter().map(|&(label, _)| Label::from_hash(label)));
        }
        asked.sort_unstable();
        asked.dedup();
        let known = self.read_versions(&asked)?;
        found.sort_by_key(|entry| std::cmp::Reverse(entry.created));
        let newest = found.into_iter().find(|entry| {
            let versions: Vec<_> = entry
                .labels
                .iter()
                .map(|&(label, version)| (Label::from_hash(label), version))
                .collect();
            self.compare(&versions, &known, Some(labels)).is_ok()
        });
        Ok(newest.map(|entry| entry.body))
    }

    /// Whether an entry has expired.
    fn is_over(&self, entry: &Decoded) -> bool {
        let age = self.unix_millis().saturating_sub(entry.created);
        entry.life.is_some_and(|life| life <= age)
    }
}
