//! The figures of one cache: the counts of each name, and the entries stored under
//! it now. This module does not know how they are displayed.

use std::collections::HashMap;
use std::time::Duration;

use fragcache::admin::EntryInfo;
use fragcache::key::KeyKind;
use fragcache::stats::{NameStats, StatsByName};
use fragcache::{FragmentCache, FragmentKey};

/// Maximum number of entries examined for one page.
const MOST_LOOKED_AT: usize = 200_000;

/// Totals over some entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Entries that would not be served; they are removed at their next lookup or by eviction.
    pub(crate) dead: u64,
    /// Maximum number of variants of one key.
    pub(crate) variants: usize,
    pub(crate) oldest: Duration,
}

impl Held {
    fn add(&mut self, entry: &EntryInfo) {
        self.entries += 1;
        self.bytes += entry.bytes as u64;
        self.dead += u64::from(entry.miss.is_some());
        self.variants = self.variants.max(entry.variants);
        self.oldest = self.oldest.max(entry.age);
    }
}

/// The figures of one name.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) key: FragmentKey,
    pub(crate) label: String,
    pub(crate) stats: NameStats,
    pub(crate) held: Held,
}

impl Named {
    fn new(key: FragmentKey, stats: NameStats) -> Self {
        Self { label: key.to_string(), key, stats, held: Held::default() }
    }

    pub(crate) fn kind(&self) -> KeyKind {
        self.key.kind()
    }

    /// By how much the time spent on renders exceeds the time saved, or zero.
    pub(crate) fn loss(&self) -> Duration {
        self.stats.render_time.saturating_sub(self.stats.saved())
    }
}

/// All figures of a cache.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) named: Vec<Named>,
    /// Counts of names without their own statistics, and of all names.
    pub(crate) others: NameStats,
    pub(crate) all: NameStats,
    /// Totals of everything in the handle's namespace.
    pub(crate) held: Held,
    /// Whether every entry was examined.
    pub(crate) is_complete: bool,
    /// Start of the statistics as time since 1970, and their age; `None` without
    /// statistics by name.
    pub(crate) since: Option<(Duration, Duration)>,
}

impl Figures {
    pub(crate) fn of(cache: &FragmentCache) -> Self {
        let stats_by_name = cache.stats_by_name();
        let since =
            stats_by_name.as_ref().map(|stats_by_name| (stats_by_name.since, stats_by_name.covers));
        let (names, others) = match stats_by_name {
            Some(StatsByName { names, others, .. }) => (names, others),
            None => (Vec::new(), NameStats::default()),
        };
        let mut all = others.clone();
        if since.is_none() {
            let stats = cache.stats();
            (all.hits, all.stale, all.misses) = (stats.hits, stats.stale, stats.misses);
        }
        names.iter().for_each(|stats| all.add(stats));
        let named = names.into_iter().filter_map(|stats| {
            let key = stats.key.clone()?;
            Some((key.clone(), Named::new(key, stats)))
        });
        let mut named: HashMap<FragmentKey, Named> = named.collect();
        let mut held = Held::default();
        let is_complete = look(cache, |entry| {
            held.add(&entry);
            let key = entry.key.bare();
            let named = named.entry(key).or_insert_with_key(|key| {
                let stats = NameStats::default();
                Named::new(key.clone(), stats)
            });
            if named.stats.template.is_none() {
                named.stats.template = entry.template.clone();
                named.stats.line = entry.line;
            }
            named.held.add(&entry);
        });
        Self { named: named.into_values().collect(), others, all, held, is_complete, since }
    }
}

/// The entries of one name, the largest first, and whether every entry was examined.
pub(crate) fn entries_of(cache: &FragmentCache, key: &FragmentKey) -> (Vec<EntryInfo>, bool) {
    let mut found = Vec::new();
    let is_complete = look(cache, |entry| {
        if entry.key.bare() == *key {
            found.push(entry);
        }
    });
    found.sort_by_cached_key(|entry| (std::cmp::Reverse(entry.bytes), entry.key.to_string()));
    (found, is_complete)
}

/// Examines the stored entries. Returns whether it examined all of them.
fn look(cache: &FragmentCache, mut at: impl FnMut(EntryInfo)) -> bool {
    let (mut cursor, mut count) = (None, 0);
    while count < MOST_LOOKED_AT {
        let page = cache.entries(cursor);
        count += page.entries.len();
        page.entries.into_iter().for_each(&mut at);
        cursor = page.next;
        if cursor.is_none() {
            return true;
        }
    }
    false
}
