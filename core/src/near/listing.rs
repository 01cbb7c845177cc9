//! Listing entries: copies of a shard's entries, a batch at a time, so that no lock is held for
//! long.

use super::Near;
use super::validator::Validity;
use crate::clock::Moment;
use crate::entry::{Entry, KeyBytes};
use crate::events::MissReason;
use crate::freshness::Freshness;
use crate::hash::HashedKey;

/// Keys copied under one lock.
const AT_ONCE: usize = 1024;

/// Where a listing continues: a shard, and how many of its keys were listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ListCursor {
    shard: usize,
    keys: usize,
}

/// One listed entry.
#[derive(Debug)]
pub(crate) struct ListedEntry {
    pub(crate) key: KeyBytes,
    pub(crate) entry: Entry,
    /// The second of the clock in which it was stored, modulo 2²⁴.
    pub(crate) stored: [u8; 3],
    /// Bytes that it takes, without its key.
    pub(crate) bytes: usize,
    /// How many variants its key has.
    pub(crate) variants: usize,
}

impl Near {
    /// Lists some of the entries. Also returns where the next ones are, if there are more.
    pub(crate) fn list(&self, place: ListCursor) -> (Vec<ListedEntry>, Option<ListCursor>) {
        let mut listed = Vec::new();
        let Some(shard) = self.shards.get(place.shard) else { return (listed, None) };
        let more = shard.0.lock().list(place.keys, AT_ONCE, &mut listed);
        let next = match more {
            true => ListCursor { keys: place.keys + AT_ONCE, ..place },
            false => ListCursor { shard: place.shard + 1, keys: 0 },
        };
        (listed, Some(next).filter(|next| next.shard < self.shards.len()))
    }

    /// Why an entry would not be served, ignoring the far store; `None` if it would be.
    pub(crate) fn why_not(
        &self,
        listed: &ListedEntry,
        fresh: &Freshness,
        now: &dyn Fn() -> Moment,
    ) -> Option<MissReason> {
        let validator = self.validator(fresh, now);
        let validator = super::Validator { early_refresh: 0.0, near_ttl: None, ..validator };
        let hashed = HashedKey { hash: 0, key: &listed.key };
        match validator.validate(hashed, &listed.entry, &mut 0) {
            Validity::Fresh | Validity::Unverified => None,
            Validity::Stale(reason) => Some(reason),
            Validity::Gone(missed) => Some(missed.reason),
        }
    }
}
