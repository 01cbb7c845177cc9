//! One shard of the near level: a least-recently-used map from a key's hash to its variants.

use std::sync::Arc;

use lru::LruCache;

use super::{Left, ListedEntry, Missed, Totals, Validator, Validity};
use crate::clock::Moment;
use crate::entry::{Body, Entry, KeyBytes, OutputMode};
use crate::events::{MissReason, RemovalCause};
use crate::hash::BuildIdentityHasher;
use crate::hash::HashedKey;
use crate::lookup::Variant;

/// Most variants per key; the oldest is evicted first.
const MAX_VARIANTS: usize = 8;

/// A hit moves its key to the front of the list once per epoch. An epoch ends when more than one in
/// `FRONT` of the shard's entries was stored. Moving the key on every hit would make threads that
/// share keys contend for the list, and would hardly change what is evicted.
const FRONT: usize = 16;

/// Most keys for which a shard remembers why they are not stored.
const MAX_NOTES: usize = 512;

/// Bytes that an entry takes besides its body, its meta and a long key: its node in the list and
/// the map, and the headers of the allocations.
pub(super) const OVERHEAD: usize = 190;

/// Bytes that an entry takes, without its key.
pub(super) fn cost(entry: &Entry) -> usize {
    OVERHEAD + entry.body.bytes() + entry.meta_bytes()
}

#[derive(Debug)]
pub(super) struct Shard {
    map: LruCache<u64, Slot, BuildIdentityHasher>,
    /// Why nothing is stored under keys that were looked up or stored recently.
    notes: LruCache<u64, MissReason, BuildIdentityHasher>,
    /// What was removed since the lock was taken.
    removed: Vec<StoredVariant>,
    bytes: usize,
    entries: usize,
    hits: u64,
    /// Entries stored in this epoch.
    puts: usize,
    epoch: u8,
    max_bytes: usize,
    max_entries: usize,
}

/// All variants of one key.
#[derive(Debug)]
struct Slot {
    key: KeyBytes,
    newest: StoredVariant,
    older: Option<Box<Older>>,
}

/// Variants stored before the newest one, newest first. Most keys have none, so they are in a
/// separate allocation.
#[derive(Debug)]
struct Older(Vec<StoredVariant>);

/// One variant.
#[derive(Debug)]
struct StoredVariant {
    entry: Entry,
    /// How far after its read point this entry's labels were last compared.
    checked: u32,
    /// The shard's epoch when the key last moved to the front of the list. The number wraps: a key
    /// without a hit for 256 epochs has been evicted by then, unless there is room for every key.
    moved: u8,
    /// The second of the clock in which it was stored, modulo 2²⁴ (half a year). Three bytes fit
    /// into the padding of this structure.
    stored: [u8; 3],
}

/// An entry that was evicted.
#[derive(Debug)]
pub(crate) struct Evicted {
    pub(crate) key: KeyBytes,
    pub(crate) entry: Entry,
    pub(crate) cause: RemovalCause,
}

impl StoredVariant {
    fn is(&self, digest: &str, mode: OutputMode) -> bool {
        self.entry.source.same_variant(digest, mode)
    }
}

impl Slot {
    fn variants(&self) -> impl Iterator<Item = &StoredVariant> {
        std::iter::once(&self.newest).chain(self.older.iter().flat_map(|older| &older.0))
    }

    fn variants_mut(&mut self) -> impl Iterator<Item = &mut StoredVariant> {
        std::iter::once(&mut self.newest)
            .chain(self.older.iter_mut().flat_map(|older| &mut older.0))
    }

    fn into_variants(self) -> impl Iterator<Item = StoredVariant> {
        std::iter::once(self.newest).chain(self.older.into_iter().flat_map(|older| older.0))
    }

    /// Makes a slot of these variants, newest first; `None` if there are none.
    fn from_variants(key: KeyBytes, mut variants: Vec<StoredVariant>) -> Option<Self> {
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
            notes: LruCache::unbounded_with_hasher(BuildIdentityHasher::default()),
            removed: Vec::new(),
            bytes: 0,
            entries: 0,
            hits: 0,
            puts: 0,
            epoch: 0,
            max_bytes,
            max_entries,
        }
    }

    pub(super) fn lookup<R>(
        &mut self,
        hashed: HashedKey<'_>,
        wanted: Variant<'_>,
        validator: &Validator<'_>,
        on_hit: impl FnOnce(&Entry) -> R,
    ) -> Result<R, Missed> {
        let Variant { digest, mode, version } = wanted;
        // A forged hash collision is a miss. It never serves another key's content.
        let Some(slot) = self.map.peek_mut(&hashed.hash).filter(|slot| slot.key[..] == *hashed.key)
        else {
            let noted = self.notes.peek(&hashed.hash).copied();
            return Err(noted.unwrap_or(MissReason::Cold).into());
        };
        // Nearly every key has one variant.
        let found = if slot.newest.is(digest, mode) {
            Some(&mut slot.newest)
        } else {
            slot.variants_mut().find(|variant| variant.is(digest, mode))
        };
        let Some(variant) = found else {
            let same_source = slot.variants().any(|v| v.entry.source.digest() == digest);
            return Err(if same_source {
                MissReason::OutputMode.into()
            } else {
                MissReason::SourceChanged.into()
            });
        };
        if variant.entry.version() != version {
            return Err(MissReason::Version.into());
        }
        match validator.validate(hashed, &variant.entry, &mut variant.checked) {
            Validity::Fresh => {
                self.hits += 1;
                let value = on_hit(&variant.entry);
                if variant.moved != self.epoch {
                    variant.moved = self.epoch;
                    self.map.promote(&hashed.hash);
                }
                Ok(value)
            }
            Validity::Stale(reason) => {
                Err(Missed { left: Left::Stale(variant.entry.clone()), ..reason.into() })
            }
            Validity::Unverified => Err(Missed {
                left: Left::Unverified(variant.entry.clone()),
                ..MissReason::Unverified.into()
            }),
            Validity::Gone(missed) => {
                self.replace(hashed, |variant| !variant.is(digest, mode), None);
                self.note(hashed.hash, missed.reason);
                Err(missed)
            }
        }
    }

    /// The newest servable body of a key. Skips annotated variants unless `annotated` is true.
    pub(super) fn newest(
        &mut self,
        hashed: HashedKey<'_>,
        validator: &Validator<'_>,
        annotated: bool,
    ) -> Option<Body> {
        self.map
            .peek_mut(&hashed.hash)
            .filter(|slot| slot.key[..] == *hashed.key)?
            .variants_mut()
            .filter(|variant| annotated || !variant.entry.source.mode().is_annotated())
            .find_map(|variant| {
                match validator.validate(hashed, &variant.entry, &mut variant.checked) {
                    Validity::Fresh | Validity::Stale(MissReason::Early) => {
                        Some(variant.entry.body.clone())
                    }
                    Validity::Stale(_) | Validity::Unverified | Validity::Gone(_) => None,
                }
            })
    }

    /// Stores an entry in place of its variant, or of `all` variants. `None` if what it would
    /// replace began later. A value is compared with all variants of its key, so that it never
    /// stands beside one that began later.
    pub(super) fn put(
        &mut self,
        hashed: HashedKey<'_>,
        entry: Entry,
        all: bool,
        now: Moment,
    ) -> Option<Vec<Evicted>> {
        let (digest, mode) = (entry.source.digest().to_owned(), entry.source.mode());
        let is_compared =
            |variant: &StoredVariant| mode == OutputMode::VALUE || variant.is(&digest, mode);
        let is_later =
            |variant: &StoredVariant| is_compared(variant) && variant.entry.began() > entry.began();
        let same_key = self.map.peek(&hashed.hash).filter(|slot| slot.key[..] == *hashed.key);
        if same_key.is_some_and(|slot| slot.variants().any(is_later)) {
            return None;
        }
        self.puts += 1;
        if self.puts > self.entries / FRONT {
            self.puts = 0;
            self.epoch = self.epoch.wrapping_add(1);
        }
        let [stored @ .., _, _, _, _, _] = now.since(Moment::START).as_secs().to_le_bytes();
        let variant = StoredVariant { entry, checked: 0, moved: self.epoch, stored };
        self.notes.pop(&hashed.hash);
        let keep = |variant: &StoredVariant| !all && !variant.is(&digest, mode);
        let mut evicted = self.replace(hashed, keep, Some(variant));
        while self.bytes > self.max_bytes || self.entries > self.max_entries {
            let Some((hash, oldest)) = self.map.pop_lru() else { break };
            self.forget(&oldest);
            self.note(hash, MissReason::Evicted);
            evict(oldest, RemovalCause::Size, &mut evicted);
        }
        Some(evicted)
    }

    /// Removes all variants of a key. Returns whether one of them was servable, at least as stale.
    pub(super) fn remove(
        &mut self,
        hashed: HashedKey<'_>,
        validator: &Validator<'_>,
        annotated: bool,
    ) -> bool {
        let slot = self.map.peek_mut(&hashed.hash).filter(|slot| slot.key[..] == *hashed.key);
        let present = slot.is_some_and(|slot| {
            let shown = |variant: &&mut StoredVariant| {
                annotated || !variant.entry.source.mode().is_annotated()
            };
            slot.variants_mut().filter(shown).any(|variant| {
                let validity = validator.validate(hashed, &variant.entry, &mut variant.checked);
                !matches!(validity, Validity::Gone(_))
            })
        });
        if present {
            self.note(hashed.hash, MissReason::Deleted);
        }
        self.replace(hashed, |_| false, None);
        present
    }

    pub(super) fn unverified(
        &mut self,
        hashed: HashedKey<'_>,
        validator: &Validator<'_>,
    ) -> Option<Vec<Entry>> {
        let slot = self.map.peek_mut(&hashed.hash).filter(|slot| slot.key[..] == *hashed.key);
        let mut unverified = Vec::new();
        for variant in slot.into_iter().flat_map(Slot::variants_mut) {
            match validator.validate(hashed, &variant.entry, &mut variant.checked) {
                Validity::Fresh | Validity::Stale(_) => return None,
                Validity::Unverified => unverified.push(variant.entry.clone()),
                Validity::Gone(_) => {}
            }
        }
        Some(unverified)
    }

    pub(super) fn discard(&mut self, hashed: HashedKey<'_>, entry: &Entry, reason: MissReason) {
        let same = |variant: &StoredVariant| match (&variant.entry.meta, &entry.meta) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        };
        let slot = self.map.peek(&hashed.hash).filter(|slot| slot.key[..] == *hashed.key);
        if slot.is_some_and(|slot| slot.variants().any(same)) {
            self.replace(hashed, |variant| !same(variant), None);
            self.note(hashed.hash, reason);
        }
    }

    /// Records why nothing is stored under a key.
    pub(super) fn note(&mut self, hash: u64, reason: MissReason) {
        self.notes.put(hash, reason);
        if self.notes.len() > MAX_NOTES {
            self.notes.pop_lru();
        }
    }

    pub(super) fn count_hit(&mut self) {
        self.hits += 1;
    }

    /// Returns what was removed since the last call, to be dropped outside the lock.
    pub(super) fn take_removed(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.removed)
    }

    /// Replaces a body, unless the variant has another one than `from`. Returns the body that is not
    /// used, to be dropped outside the lock.
    #[cfg(feature = "values")]
    pub(super) fn replace_form(
        &mut self,
        hashed: HashedKey<'_>,
        wanted: Variant<'_>,
        from: &Body,
        to: Body,
    ) -> Body {
        let slot = self.map.peek_mut(&hashed.hash).filter(|slot| slot.key[..] == *hashed.key);
        let mut variants = slot.into_iter().flat_map(Slot::variants_mut);
        let is_it = |variant: &&mut StoredVariant| {
            variant.is(wanted.digest, wanted.mode) && variant.entry.body.is_same(from)
        };
        match variants.find(is_it) {
            Some(variant) if variant.entry.body.bytes() == to.bytes() => {
                std::mem::replace(&mut variant.entry.body, to)
            }
            _ => to,
        }
    }

    /// Removes everything, and returns it to be dropped outside the lock.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        let newest: Vec<u64> = self.map.iter().take(MAX_NOTES).map(|(&hash, _)| hash).collect();
        for hash in newest {
            self.note(hash, MissReason::Cleared);
        }
        self.bytes = 0;
        self.entries = 0;
        let empty = LruCache::unbounded_with_hasher(BuildIdentityHasher::default());
        std::mem::replace(&mut self.map, empty)
    }

    /// Lists the entries of up to `most` keys after the first `skip`, most recently used first.
    /// Returns whether there are more.
    pub(super) fn list(&self, skip: usize, most: usize, listed: &mut Vec<ListedEntry>) -> bool {
        let slots = self.map.iter().skip(skip).take(most).map(|(_, slot)| slot);
        for slot in slots {
            let variants = slot.variants().count();
            listed.extend(slot.variants().map(|variant| ListedEntry {
                key: slot.key.clone(),
                entry: variant.entry.clone(),
                stored: variant.stored,
                bytes: cost(&variant.entry),
                variants,
            }));
        }
        self.map.len() > skip.saturating_add(most)
    }

    pub(super) fn totals(&self) -> Totals {
        Totals { hits: self.hits, entries: self.entries as u64, bytes: self.bytes as u64 }
    }

    /// Rebuilds a key's slot: `newest`, if there is one, then the variants that `keep` selects.
    fn replace(
        &mut self,
        hashed: HashedKey<'_>,
        keep: impl Fn(&StoredVariant) -> bool,
        newest: Option<StoredVariant>,
    ) -> Vec<Evicted> {
        let mut evicted = Vec::new();
        let mut variants = Vec::from_iter(newest);
        let collides = self.map.peek(&hashed.hash).is_some_and(|slot| slot.key[..] != *hashed.key);
        if collides && variants.is_empty() {
            return evicted;
        }
        if let Some(slot) = self.map.pop(&hashed.hash) {
            self.forget(&slot);
            if collides {
                evict(slot, RemovalCause::Collision, &mut evicted);
            } else {
                for variant in slot.into_variants() {
                    let kept = if keep(&variant) { &mut variants } else { &mut self.removed };
                    kept.push(variant);
                }
            }
        }
        let key = KeyBytes::from_slice(hashed.key);
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
            self.map.put(hashed.hash, slot);
        }
        evicted
    }

    /// How many of these variants of one key, newest first, the shard has room for.
    fn room_for(&self, key: &KeyBytes, variants: &[StoredVariant]) -> usize {
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
