//! What Rust code asks of keys without knowing their blocks: the newest body that could be served, of
//! whatever variant, or whether there is one.

use std::collections::HashSet;

use super::{Away, Far, fill, put, wire::FragmentId};
use crate::entry::record::Decoded;
use crate::entry::{LabelVersion, OutputMode};
use crate::fresh::Label;
use crate::hash::BuildLabelHasher;

impl Far {
    /// The newest servable body of a key; annotated ones count only while pages are `annotated`.
    pub(crate) fn newest(&self, key: &[u8], annotated: bool) -> Result<Option<Vec<u8>>, Away> {
        let servable = self.servable(&[key], annotated)?.pop().unwrap_or_default();
        Ok(servable.into_iter().next().map(|entry| entry.body))
    }

    /// Whether each of these keys has an entry that could be served, if they are deleted one after the
    /// other. What cannot be asked about has none.
    pub(crate) fn are_stored(&self, keys: &[&[u8]], annotated: bool) -> Vec<bool> {
        let found = self.together(keys, |keys| self.servable(keys, annotated));
        let mut gone: HashSet<Label, BuildLabelHasher> = HashSet::default();
        let is_stored = |(key, entries): (&&[u8], Result<Vec<Decoded>, Away>)| {
            let lives = |entry: &Decoded| {
                entry.labels.iter().all(|&(label, _)| !gone.contains(&Label::from_hash(label)))
            };
            let is_stored = entries.unwrap_or_default().iter().any(lives);
            gone.insert(self.hasher.key_label(key));
            is_stored
        };
        keys.iter().zip(found).map(is_stored).collect()
    }

    /// The entries of each key that could be served, newest first. Three round trips at most.
    fn servable(&self, keys: &[&[u8]], annotated: bool) -> Result<Vec<Vec<Decoded>>, Away> {
        let ids: Vec<FragmentId> = keys.iter().map(|key| self.fragment(key)).collect();
        let lists: Vec<String> = ids.iter().map(|id| self.names.variants(id)).collect();
        let lists = self.get(&lists)?;
        let names: Vec<Vec<String>> = ids
            .iter()
            .zip(&lists)
            .map(|(id, list)| {
                let variants = put::listed(list.as_deref().unwrap_or_default());
                variants.map(|variant| self.names.entry(id, variant)).collect()
            })
            .collect();
        let mut values = self.get(&names.concat())?.into_iter();
        let mut found = Vec::with_capacity(keys.len());
        let mut asked = Vec::new();
        for (key, names) in keys.iter().zip(&names) {
            let values = values.by_ref().take(names.len()).flatten();
            let mut entries: Vec<Decoded> =
                values.filter_map(|value| self.codec.decode(&value).ok()).collect();
            entries.retain(|entry| {
                let is_shown = annotated || !OutputMode::from_bits(entry.mode).is_annotated();
                self.is_of(entry, key) && is_shown && !self.is_over(entry)
            });
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.created));
            asked.extend(entries.iter().flat_map(labels).map(|(label, _)| label));
            found.push(entries);
        }
        let known = self.read_versions(&fill::set(asked.into_iter()))?;
        for entries in &mut found {
            entries.retain(|entry| {
                self.compare(&labels(entry).collect::<Vec<_>>(), &known, None).is_ok()
            });
        }
        Ok(found)
    }

    /// Whether an entry has expired.
    fn is_over(&self, entry: &Decoded) -> bool {
        let age = self.unix_millis().saturating_sub(entry.created);
        entry.life.is_some_and(|life| life <= age)
    }
}

/// The labels that an entry carries, with their versions.
fn labels(entry: &Decoded) -> impl Iterator<Item = (Label, LabelVersion)> {
    entry.labels.iter().map(|&(label, version)| (Label::from_hash(label), version))
}
