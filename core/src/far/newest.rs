//! Queries by key from Rust code that does not know the blocks: the newest body of any variant that
//! could be served, or whether there is one.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::look::is_doubted;
use super::variants::{digest, listed};
use super::{Far, KnownVersions, Unavailable, fill};
use crate::entry::record::Decoded;
use crate::entry::{LabelVersion, OutputMode};
use crate::hash::BuildLabelHasher;
use crate::label::Label;
use crate::store::Value;

impl Far {
    /// The newest servable body of a key. Annotated bodies count only if `annotated` is true.
    pub(crate) fn newest(
        &self,
        key: &[u8],
        annotated: bool,
    ) -> Result<Option<Vec<u8>>, Unavailable> {
        let servable = self.servable(key, annotated)?;
        Ok(servable.into_iter().next().map(|entry| entry.body))
    }

    /// Whether each of these keys has an entry that could be served, if they are deleted in turn.
    /// Reads only the lists of variants, no bodies, in one round trip. An entry that was
    /// invalidated by a tag or by a fragment inside it still counts; a key that cannot be looked up
    /// does not.
    pub(crate) fn are_stored(&self, keys: &[&[u8]], annotated: bool) -> Vec<bool> {
        let found = self.together(keys, |keys| self.are_listed(keys, annotated));
        let mut gone: HashSet<Label, BuildLabelHasher> = HashSet::default();
        let is_stored = |(key, found): (&&[u8], Result<bool, Unavailable>)| {
            gone.insert(self.hasher.key_label(key)) && found.unwrap_or(false)
        };
        keys.iter().zip(found).map(is_stored).collect()
    }

    fn are_listed(&self, keys: &[&[u8]], annotated: bool) -> Result<Vec<bool>, Unavailable> {
        let own: Vec<_> = keys.iter().map(|key| self.own_of_key(key)).collect();
        let labels = fill::set(own.iter().flatten().copied());
        let list = |key: &&[u8]| self.names.variants(&self.fragment(key));
        let mut lookup: Vec<String> = keys.iter().map(list).collect();
        lookup.extend(self.version_keys(&labels));
        let mut lists = self.get(&lookup)?;
        let known = KnownVersions::new(&labels, &lists.split_off(keys.len()));
        let now = self.unix_millis();
        let is_listed = |(own, list): (&SmallVec<[Label; 6]>, Option<Value>)| {
            let present = digest(&self.hasher, own.iter().map(|&label| known.get(label).flatten()));
            !self.pending.hides(own.iter().copied())
                && listed(list.as_deref()).any(|variant| {
                    let is_shown = annotated || !variant.is_annotated;
                    present == Some(variant.own) && is_shown && now < variant.ends
                })
        };
        Ok(own.iter().zip(lists).map(is_listed).collect())
    }

    /// The servable entries of a key, newest first. Three round trips at most.
    fn servable(&self, key: &[u8], annotated: bool) -> Result<Vec<Decoded>, Unavailable> {
        let id = self.fragment(key);
        let list = self.get(&[self.names.variants(&id)])?.pop().flatten();
        let variants = listed(list.as_deref());
        let names: Vec<String> =
            variants.map(|variant| self.names.entry(&id, variant.id)).collect();
        let values = self.get(&names)?.into_iter().flatten();
        let mut entries: Vec<Decoded> =
            values.filter_map(|value| self.read_record(&value).ok()).collect();
        entries.retain(|entry| {
            let is_shown = annotated || !OutputMode::from_bits(entry.mode).is_annotated();
            self.is_of(entry, key) && is_shown && !self.is_over(entry)
        });
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.created));
        let lookup = entries.iter().flat_map(labels).map(|(label, _)| label);
        let known = self.read_versions(&fill::set(lookup))?;
        entries
            .retain(|entry| self.compare(&labels(entry).collect::<Vec<_>>(), &known, None).is_ok());
        Ok(entries)
    }

    /// Whether an entry has expired or may have expired.
    fn is_over(&self, entry: &Decoded) -> bool {
        let now = self.unix_millis();
        let age = now.saturating_sub(entry.created);
        entry.ttl.is_some_and(|ttl| ttl <= age) || entry.stale > 0 && is_doubted(entry, now)
    }
}

/// The labels of an entry, with their versions.
fn labels(entry: &Decoded) -> impl Iterator<Item = (Label, LabelVersion)> {
    entry.labels.iter().map(|&(label, version)| (Label::from_hash(label), version))
}
