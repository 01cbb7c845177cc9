//! Prefetch: reads the many fragments that a page is about to look up in few round trips. Three at
//! most: for the lists of variants, for the entries, and for unexpected labels. One is enough when
//! this process knows which blocks render a name.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::look::Read;
use super::wire::{FragmentId, VariantId};
use super::{Far, KnownVersions, Looked, Unavailable, variants};
use crate::entry::record::Decoded;
use crate::entry::{Entry, EntryMeta, VersionVector};
use crate::events::MissReason;
use crate::freshness::Freshness;
use crate::hash::BuildLabelHasher;
use crate::label::{Label, Labels};
use crate::lookup::Lookup;
use crate::store::Value;

/// Most variants of one fragment to prefetch; a page uses one of them.
pub(super) const VARIANTS: usize = 2;

/// Most keys of one prefetch; the rest are looked up one by one.
pub(crate) const MAX_PREFETCHED: usize = 4096;

/// A variant of a fragment: the hash of its key, and the variant's id.
type EntryId = (u128, u64);

/// The result of a prefetch.
#[derive(Debug)]
pub(crate) struct Prefetched {
    /// Fragments whose lists of variants were read, so that all their variants are known.
    listed: HashSet<u128, BuildLabelHasher>,
    /// Entries of the near level whose labels were found unchanged.
    verified: Verified,
    /// What was looked up, and what the store returned.
    records: HashMap<EntryId, Result<Decoded, MissReason>, BuildLabelHasher>,
    known: KnownVersions,
    read: Read,
}

/// One key to prefetch.
pub(crate) struct PrefetchKey<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) labels: Labels,
    /// Its entries in the near level, to be verified in the store.
    pub(crate) near: Vec<Entry>,
}

/// Entry meta by address. Holding the `Arc` keeps the address unique.
type Verified = HashMap<usize, Arc<EntryMeta>>;

/// What to read in one round trip.
#[derive(Default)]
struct Batch {
    lists: Vec<String>,
    entries: Vec<(EntryId, String)>,
    labels: Vec<Label>,
}

impl Prefetched {
    /// Whether this prefetch found the labels of the entry unchanged.
    pub(crate) fn has_verified(&self, entry: &Entry) -> bool {
        let known = |meta: &Arc<EntryMeta>| self.verified.contains_key(&Arc::as_ptr(meta).addr());
        entry.meta.as_ref().is_some_and(known)
    }
}

impl Far {
    /// Reads these keys from the store, and verifies their entries in the near level.
    pub(crate) fn prefetch(
        &self,
        prefetched: &[PrefetchKey<'_>],
        fresh: &Freshness,
    ) -> Result<Prefetched, Unavailable> {
        let mut ahead = Prefetched {
            listed: HashSet::default(),
            verified: HashMap::new(),
            records: HashMap::default(),
            known: KnownVersions::default(),
            read: self.begin_read(fresh),
        };
        let mut batch = Batch::default();
        let (mut in_near, mut listed) = (Vec::new(), Vec::new());
        for one in prefetched {
            if !one.near.is_empty() {
                let proofs = one.near.iter().filter_map(Entry::version_vector);
                batch
                    .labels
                    .extend(proofs.flat_map(VersionVector::versions).map(|&(label, _)| label));
                in_near.push(one);
                continue;
            }
            let id = self.fragment(one.key);
            let sources = self.dependency_cache.sources(one.labels.name);
            if sources.is_empty() {
                batch.lists.push(self.names.variants(&id));
                ahead.listed.insert(id.key);
                listed.push((one, id));
                continue;
            }
            self.want(&mut batch, one, &id, sources.iter().map(|source| self.variant(source)));
            let namespace = one.labels.namespaces.last().copied();
            let templates = sources.iter().filter_map(|source| source.template_label);
            batch.labels.extend(templates.map(|template| template.within(namespace)));
        }
        let (lists, labels) = self.read_batch(batch, &mut ahead)?;
        let mut batch = Batch { labels, ..Batch::default() };
        for one in in_near {
            if !self.verify_ahead(&one.near, &mut ahead) {
                let variants = one.near.iter().map(|entry| self.variant(&entry.source));
                self.want(&mut batch, one, &self.fragment(one.key), variants);
            }
        }
        for ((one, id), list) in listed.iter().zip(&lists) {
            let variants = variants::listed(list.as_deref()).inspect(|variant| {
                self.sizes.note(usize::try_from(variant.bytes).unwrap_or(usize::MAX));
            });
            self.want(&mut batch, one, id, variants.map(|variant| variant.id));
        }
        let (_, labels) = self.read_batch(batch, &mut ahead)?;
        self.read_batch(Batch { labels, ..Batch::default() }, &mut ahead)?;
        Ok(ahead)
    }

    /// Verifies these entries of the near level; returns whether any of them is valid.
    fn verify_ahead(&self, near: &[Entry], ahead: &mut Prefetched) -> bool {
        let mut is_any = false;
        for entry in near {
            if let (Some(version_vector), Some(meta)) = (entry.version_vector(), &entry.meta)
                && self.compare(version_vector.versions(), &ahead.known, None).is_ok()
            {
                version_vector.verify(ahead.read.moment);
                ahead.verified.insert(Arc::as_ptr(meta).addr(), Arc::clone(meta));
                is_any = true;
            }
        }
        is_any
    }

    /// Adds variants of a fragment to the batch, with the labels that the fragment is expected to
    /// have.
    fn want(
        &self,
        batch: &mut Batch,
        one: &PrefetchKey<'_>,
        id: &FragmentId,
        variants: impl Iterator<Item = VariantId>,
    ) {
        let before = batch.entries.len();
        let name = |variant: VariantId| ((id.key, variant.0), self.names.entry(id, variant));
        batch.entries.extend(variants.take(VARIANTS).map(name));
        if batch.entries.len() > before {
            batch.labels.extend(self.own(&one.labels));
            batch.labels.extend(
                self.dependency_cache.of(id.key).iter().flat_map(|hint| hint.iter().copied()),
            );
        }
    }

    /// Reads a batch, except for versions that are already known. Large entries take several calls,
    /// and the versions are read last. Returns the lists, and the labels of entries whose versions
    /// are not known.
    fn read_batch(
        &self,
        batch: Batch,
        ahead: &mut Prefetched,
    ) -> Result<(Vec<Option<Value>>, Vec<Label>), Unavailable> {
        let Batch { lists: mut keys, entries, mut labels } = batch;
        sort(&mut labels);
        labels.retain(|&label| !label.is_written() && ahead.known.get(label).is_none());
        let (lists, entries_end) = (keys.len(), keys.len() + entries.len());
        let (ids, names): (Vec<EntryId>, Vec<String>) = entries.into_iter().unzip();
        let mut values = Vec::new();
        let mut names = names.into_iter();
        while names.len() > self.sizes.together() {
            keys.extend(names.by_ref().take(self.sizes.together()));
            values.extend(self.get(&std::mem::take(&mut keys))?);
            values.iter().flatten().rev().take(8).for_each(|value| self.sizes.note(value.len()));
        }
        keys.extend(names);
        keys.extend(self.version_keys(&labels));
        values.extend(self.get(&keys)?);
        ahead.known.replace(KnownVersions::new(&labels, &values.split_off(entries_end)));
        let mut others = Vec::new();
        for (id, value) in ids.into_iter().zip(values.split_off(lists)) {
            let record = self.decode(value.as_deref());
            if let Ok(record) = &record {
                let labels = record.labels.iter().map(|&(label, _)| Label::from_hash(label));
                others.extend(labels.filter(|&label| ahead.known.get(label).is_none()));
            }
            ahead.records.insert(id, record);
        }
        Ok((values, others))
    }

    /// The prefetched result of a lookup; `None` if it was not prefetched.
    pub(crate) fn look_prefetched(&self, ahead: &Prefetched, lookup: Lookup<'_>) -> Option<Looked> {
        let key = self.hasher.wide(lookup.request.hashed.key);
        let is_listed = ahead.listed.contains(&key);
        let record = ahead.records.get(&(key, self.variant(lookup.request.source).0));
        if is_listed || record.is_none() {
            self.dependency_cache.note_source(lookup.labels.name, lookup.request.source);
        }
        let record = match record {
            Some(record) => record.as_ref().map(Cow::Borrowed).map_err(|&reason| reason),
            None if is_listed => Err(MissReason::Cold),
            None => return None,
        };
        self.judge(lookup, record, &ahead.known, ahead.read).ok()
    }
}

fn sort(labels: &mut Vec<Label>) {
    labels.sort_unstable();
    labels.dedup();
}
