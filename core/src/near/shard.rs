//! One shard of the near level: a least-recently-used map from a key's hash to its variants.

use lru::LruCache;

use super::{Probe, Totals};
use crate::clock::Moment;
use crate::entry::{Body, Entry, KeyBytes, OutputMode};
use crate::fresh::{Broken, Freshness};
use crate::hash::{BuildIdentityHasher, KeyHasher};
use crate::observe::{MissReason, RemovalCause};

/// Most variants of one key that are held at a time; the oldest goes first.
const MAX_VARIANTS: usize = 8;

/// A hit moves its key to the front of the list only if more than one in so many of the shard's
/// entries was stored since it last did. Moving it every time would make threads that share keys
/// wait for each other's writes to the list, and change next to nothing in what is evicted.
const FRONT: usize = 16;

/// Bytes that an entry costs besides its body, its dependencies and a long key: its node in the
/// list and the map, and the allocations' own headers.
pub(super) const OVERHEAD: usize = 190;

/// Bytes that an entry takes, without its key.
pub(super) fn cost(entry: &Entry) -> usize {
    let dependencies = entry.dependencies.as_ref().map_or(0, |inner| inner.bytes());
    OVERHEAD + entry.body.bytes() + dependencies
}

#[derive(Debug)]
pub(super) struct Shard {
    map: LruCache<u64, Slot, BuildIdentityHasher>,
    bytes: usize,
    entries: usize,
    hits: u64,
    puts: u32,
    max_bytes: usize,
    max_entries: usize,
}

/// All variants of one key.
#[derive(Debug)]
struct Slot {
    key: KeyBytes,
    newest: Variant,
    older: Option<Box<Older>>,
}

/// Variants that were stored before the newest one, newest first. Most keys have none, so they
/// stand apart.
#[derive(Debug)]
struct Older(Vec<Variant>);

#[derive(Debug)]
struct Variant {
    entry: Entry,
    /// How far after its read point this entry's labels were last compared: while the sequence has
    /// not moved since, a hit costs one comparison.
    checked: u32,
    /// The shard's count of puts when the key last moved to the front of the list.
    moved: u32,
}

/// An entry that left to make room.
#[derive(Debug)]
pub(crate) struct Evicted {
    pub(crate) key: KeyBytes,
    pub(crate) entry: Entry,
    pub(crate) cause: RemovalCause,
}

impl Variant {
    fn is(&self, digest: &str, mode: OutputMode) -> bool {
        self.entry.origin.same_variant(digest, mode)
    }
}

/// What it takes to tell whether an entry may be served.
pub(super) struct Judge<'a> {
    pub(super) hasher: KeyHasher,
    pub(super) fresh: &'a Freshness,
    pub(super) now: &'a dyn Fn() -> Moment,
}

impl Judge<'_> {
    fn check(&self, probe: Probe<'_>, variant: &mut Variant) -> Result<(), MissReason> {
        let entry = &variant.entry;
        if entry.expires != Moment::NEVER && entry.expires <= (self.now)() {
            return Err(MissReason::Expired);
        }
        let steps = self.fresh.now().steps_after(entry.read);
        if steps == Some(variant.checked) {
            return Ok(());
        }
        let labels = self.hasher.labels(probe.key, probe.hash, entry.origin.template_label);
        match self.fresh.first_broken(&labels, entry.dependencies.as_deref(), entry.read) {
            None => {
                // Past all counting, labels are compared every time.
                variant.checked = steps.unwrap_or(variant.checked);
                Ok(())
            }
            Some(broken) => Err(reason(broken)),
        }
    }
}

fn reason(broken: Broken) -> MissReason {
    match broken {
        Broken::Key => MissReason::Deleted,
        Broken::Name => MissReason::NameDeleted,
        Broken::Template => MissReason::TemplateDeleted,
        Broken::Inner => MissReason::InnerDeleted,
        Broken::Floor => MissReason::Cleared,
    }
}

impl Slot {
    fn variants(&self) -> impl Iterator<Item = &Variant> {
        std::iter::once(&self.newest).chain(self.older.iter().flat_map(|older| &older.0))
    }

    fn variants_mut(&mut self) -> impl Iterator<Item = &mut Variant> {
        std::iter::once(&mut self.newest)
            .chain(self.older.iter_mut().flat_map(|older| &mut older.0))
    }

    fn into_variants(self) -> impl Iterator<Item = Variant> {
        std::iter::once(self.newest).chain(self.older.into_iter().flat_map(|older| older.0))
    }

    /// A slot of these variants, newest first; `None` without any.
    fn from_variants(key: KeyBytes, mut variants: Vec<Variant>) -> Option<Self> {
        if variants.is_empty() {
            return None;
        }
        let newest = variants.remove(0);
        let older = (!variants.is_empty()).then(|| Box::new(Older(variants)));
        Some(Self { key, newest, older })
    }

    fn cost(&self) -> usize {
        let key = if self.key.spilled() { self.key.len() } else { 0 };
        self.variants().map(|variant| cost(&variant.entry)).sum::<usize>() + key
    }
}

impl Shard {
    pub(super) fn new(max_bytes: usize, max_entries: usize) -> Self {
        Self {
            map: LruCache::unbounded_with_hasher(BuildIdentityHasher::default()),
            bytes: 0,
            entries: 0,
            hits: 0,
            puts: 0,
            max_bytes,
            max_entries,
        }
    }

    pub(super) fn lookup<R>(
        &mut self,
        probe: Probe<'_>,
        (digest, mode): (&str, OutputMode),
        judge: &Judge<'_>,
        on_hit: impl FnOnce(&Entry) -> R,
    ) -> Result<R, MissReason> {
        // A forged collision of hashes is a miss, never another's content.
        let Some(slot) = self.map.peek_mut(&probe.hash).filter(|slot| slot.key[..] == *probe.key)
        else {
            return Err(MissReason::Cold);
        };
        // Nearly every key has one variant.
        let found = if slot.newest.is(digest, mode) {
            Some(&mut slot.newest)
        } else {
            slot.variants_mut().find(|variant| variant.is(digest, mode))
        };
        let Some(variant) = found else {
            let same_source = slot.variants().any(|v| v.entry.origin.digest() == digest);
            return Err(if same_source {
                MissReason::OutputMode
            } else {
                MissReason::SourceChanged
            });
        };
        match judge.check(probe, variant) {
            Ok(()) => {
                self.hits += 1;
                let value = on_hit(&variant.entry);
                let behind = self.puts.wrapping_sub(variant.moved) as usize;
                if behind > self.entries / FRONT {
                    variant.moved = self.puts;
                    self.map.promote(&probe.hash);
                }
                Ok(value)
            }
            Err(reason) => {
                self.replace(probe, |variant| !variant.is(digest, mode), None);
                Err(reason)
            }
        }
    }

    /// The newest servable body of a key, of any variant.
    pub(super) fn newest(&mut self, probe: Probe<'_>, judge: &Judge<'_>) -> Option<Body> {
        self.map
            .peek_mut(&probe.hash)
            .filter(|slot| slot.key[..] == *probe.key)?
            .variants_mut()
            .find_map(|variant| {
                judge.check(probe, variant).ok().map(|()| variant.entry.body.clone())
            })
    }

    pub(super) fn put(&mut self, probe: Probe<'_>, entry: Entry) -> Option<Vec<Evicted>> {
        let (digest, mode) = (entry.origin.digest().to_owned(), entry.origin.mode());
        let same_key = self.map.peek(&probe.hash).filter(|slot| slot.key[..] == *probe.key);
        let in_place = same_key.and_then(|slot| slot.variants().find(|v| v.is(&digest, mode)));
        if in_place.is_some_and(|variant| variant.entry.read > entry.read) {
            return None;
        }
        self.puts = self.puts.wrapping_add(1);
        let variant = Variant { entry, checked: 0, moved: self.puts };
        let mut evicted = self.replace(probe, |variant| !variant.is(&digest, mode), Some(variant));
        while self.bytes > self.max_bytes || self.entries > self.max_entries {
            let Some((_, oldest)) = self.map.pop_lru() else { break };
            self.forget(&oldest);
            evict(oldest, RemovalCause::Size, &mut evicted);
        }
        Some(evicted)
    }

    /// Removes all variants of a key; whether one of them could have been served.
    pub(super) fn remove(&mut self, probe: Probe<'_>, judge: &Judge<'_>) -> bool {
        let present = self.newest(probe, judge).is_some();
        self.replace(probe, |_| false, None);
        present
    }

    pub(super) fn clear(&mut self) {
        self.map.clear();
        self.bytes = 0;
        self.entries = 0;
    }

    pub(super) fn totals(&self) -> Totals {
        Totals { hits: self.hits, entries: self.entries as u64, bytes: self.bytes as u64 }
    }

    /// Rebuilds a key's slot from the variants to keep, behind `newest` if there is one.
    fn replace(
        &mut self,
        probe: Probe<'_>,
        keep: impl Fn(&Variant) -> bool,
        newest: Option<Variant>,
    ) -> Vec<Evicted> {
        let mut evicted = Vec::new();
        let mut variants = Vec::from_iter(newest);
        let collides = self.map.peek(&probe.hash).is_some_and(|slot| slot.key[..] != *probe.key);
        if collides && variants.is_empty() {
            return evicted;
        }
        if let Some(slot) = self.map.pop(&probe.hash) {
            self.forget(&slot);
            if collides {
                evict(slot, RemovalCause::Collision, &mut evicted);
            } else {
                variants.extend(slot.into_variants().filter(keep));
            }
        }
        let key = KeyBytes::from_slice(probe.key);
        for surplus in variants.drain(self.room_for(&key, &variants)..) {
            evicted.push(Evicted {
                key: key.clone(),
                entry: surplus.entry,
                cause: RemovalCause::Variants,
            });
        }
        if let Some(slot) = Slot::from_variants(key, variants) {
            self.bytes += slot.cost();
            self.entries += slot.variants().count();
            self.map.put(probe.hash, slot);
        }
        evicted
    }

    /// How many of these variants of one key, newest first, a shard can hold.
    fn room_for(&self, key: &KeyBytes, variants: &[Variant]) -> usize {
        let most = MAX_VARIANTS.min(self.max_entries);
        let mut bytes = key.len();
        let fit = variants.iter().take_while(|variant| {
            bytes += cost(&variant.entry);
            bytes <= self.max_bytes
        });
        fit.count().min(most)
    }

    fn forget(&mut self, slot: &Slot) {
        self.bytes -= slot.cost();
        self.entries -= slot.variants().count();
    }
}

fn evict(slot: Slot, cause: RemovalCause, evicted: &mut Vec<Evicted>) {
    let key = slot.key.clone();
    evicted.extend(slot.into_variants().map(|variant| Evicted {
        key: key.clone(),
        entry: variant.entry,
        cause,
    }));
}
