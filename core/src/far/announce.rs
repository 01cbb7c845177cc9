//! Many fragments in few round trips: what a page is about to ask for is read together. Three round
//! trips at most: which variants there are, the entries, and labels that nobody expected.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::look::Read;
use super::wire::{FragmentId, VariantId};
use super::{Asked, Away, Far, Known, Looked, fill};
use crate::entry::{Entry, Proof, Terms};
use crate::fresh::{Freshness, Label, Labels};
use crate::store::Value;

/// Most variants of one fragment that are read ahead: its page uses one of them.
const VARIANTS: usize = 2;

/// Most keys of one announcement; the rest are asked for one by one.
pub(crate) const MAX_ANNOUNCED: usize = 4096;

/// What was read ahead.
#[derive(Debug)]
pub(crate) struct Announced {
    keys: HashSet<u128>,
    /// Entries of the near level whose labels were found unchanged.
    verified: Verified,
    entries: HashMap<(u128, u64), Value>,
    known: Known,
    read: Read,
}

/// One key that is announced.
pub(crate) struct AnnouncedKey<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) labels: Labels,
    /// What the near level has of it, of which the far one is to be asked.
    pub(crate) near: Vec<Entry>,
}

/// Terms by their addresses, which are their own as long as they are held.
type Verified = HashMap<usize, Arc<Terms>>;

fn vouches(verified: &Verified, entry: &Entry) -> bool {
    let known = |terms: &Arc<Terms>| verified.contains_key(&Arc::as_ptr(terms).addr());
    entry.terms.as_ref().is_some_and(known)
}

impl Announced {
    /// Whether an entry's labels were found unchanged by this announcement.
    pub(crate) fn vouches(&self, entry: &Entry) -> bool {
        vouches(&self.verified, entry)
    }
}

impl Far {
    /// Reads what these keys have in the store, and asks about what the near level has of them.
    pub(crate) fn announce(
        &self,
        announced: &[AnnouncedKey<'_>],
        fresh: &Freshness,
    ) -> Result<Announced, Away> {
        let read = self.begin_read(fresh);
        let ids: Vec<FragmentId> = announced.iter().map(|one| self.fragment(one.key)).collect();
        let near = || announced.iter().flat_map(|one| &one.near);
        let proofs = near().filter_map(Entry::proof);
        let mut labels: Vec<Label> =
            proofs.flat_map(Proof::versions).map(|&(label, _)| label).collect();
        sort(&mut labels);
        let mut keys: Vec<String> = ids.iter().map(|id| self.names.variants(id)).collect();
        keys.extend(self.version_keys(&labels));
        let mut values = self.get(&keys)?;
        let mut known = Known::new(&labels, &values.split_off(ids.len()));
        let mut verified = HashMap::new();
        for entry in near() {
            if let (Some(proof), Some(terms)) = (entry.proof(), &entry.terms)
                && self.compare(proof.versions(), &known, None).is_ok()
            {
                proof.verify(read.moment);
                verified.insert(Arc::as_ptr(terms).addr(), Arc::clone(terms));
            }
        }
        let holds = |entry: &Entry| vouches(&verified, entry);
        let mut wanted: Vec<(u128, VariantId, String)> = Vec::new();
        let mut expected: Vec<Label> = Vec::new();
        for ((one, id), list) in announced.iter().zip(&ids).zip(&values) {
            if one.near.iter().any(holds) {
                continue;
            }
            expected.extend(self.own(&one.labels));
            expected.extend(self.hints.of(id.key).iter().flat_map(|hint| hint.iter().copied()));
            for variant in fill::listed(list.as_deref().unwrap_or_default()).take(VARIANTS) {
                wanted.push((id.key, variant, self.names.entry(id, variant)));
            }
        }
        let entries = self.read_ahead(wanted, expected, &mut known)?;
        let keys = ids.iter().map(|id| id.key).collect();
        Ok(Announced { keys, verified, entries, known, read })
    }

    fn read_ahead(
        &self,
        wanted: Vec<(u128, VariantId, String)>,
        mut expected: Vec<Label>,
        known: &mut Known,
    ) -> Result<HashMap<(u128, u64), Value>, Away> {
        sort(&mut expected);
        expected.retain(|&label| known.get(label).is_none());
        let mut keys: Vec<String> = wanted.iter().map(|(_, _, key)| key.clone()).collect();
        keys.extend(self.version_keys(&expected));
        let mut values = self.get(&keys)?;
        known.replace(Known::new(&expected, &values.split_off(wanted.len())));
        let mut others: Vec<Label> = Vec::new();
        for value in values.iter().flatten() {
            if let Ok(record) = self.codec.decode(value) {
                others.extend(record.labels.iter().map(|&(label, _)| Label::from_hash(label)));
            }
        }
        sort(&mut others);
        others.retain(|&label| known.get(label).is_none());
        if !others.is_empty() {
            known.replace(self.read_versions(&others)?);
        }
        let found = wanted.into_iter().zip(values);
        Ok(found
            .filter_map(|((key, variant, _), value)| Some(((key, variant.0), value?)))
            .collect())
    }

    /// What an announcement has of a fragment; `None` if it is not of this announcement.
    pub(crate) fn look_announced(
        &self,
        announced: &Arc<Announced>,
        asked: Asked<'_>,
    ) -> Option<Looked> {
        let key = self.hasher.wide(asked.key);
        if !announced.keys.contains(&key) {
            return None;
        }
        let value = announced.entries.get(&(key, self.variant(asked.origin).0)).cloned();
        self.judge(asked, value, &announced.known, announced.read).ok()
    }
}

fn sort(labels: &mut Vec<Label>) {
    labels.sort_unstable();
    labels.dedup();
}
