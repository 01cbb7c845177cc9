//! Figures for each fragment's name: what was served and what was rendered, and what it cost. Plain
//! numbers as they were at one moment; `stats_registry` keeps them up to date.

use std::time::Duration;

use super::{MINUTES, Misses};
use crate::events::{BypassReason, RefusalReason};
use crate::key::FragmentKey;

/// The figures of one cache in this process, for each name, since the cache was made. See
/// [`FragmentCache::stats_by_name`](crate::FragmentCache::stats_by_name).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StatsByName {
    /// An account for each name, in no order.
    pub names: Vec<NameStats>,
    /// What happened under names that there was no room for, added up.
    pub others: NameStats,
    /// When the cache was made, since the beginning of 1970.
    pub since: Duration,
    /// How long ago that was, by the cache's clock.
    pub covers: Duration,
}

/// What is known of one name.
///
/// A lookup that waits for another's render, or is answered by an expired fragment in place of an
/// error, is a miss first, so [`lookups`](Self::lookups) counts it once.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct NameStats {
    /// The key that has this name and varies on nothing; the key itself for a block without a name.
    /// `None` for what is added up.
    pub key: Option<FragmentKey>,
    /// The template in which the name was first met, if it was in one.
    pub template: Option<String>,
    /// The line of its cache block there; 0 without.
    pub line: u32,
    /// Fresh bodies served.
    pub hits: u64,
    /// Expired bodies served while another caller renders, or after a refresh has failed.
    pub stale: u64,
    /// Expired bodies served in place of an error.
    pub stale_if_error: u64,
    /// Callers that received another's render.
    pub waits: u64,
    /// Lookups that found nothing servable, by reason.
    pub misses: Misses,
    /// Bodies rendered, and requests answered, outside the cache, by reason; only reasons that occurred.
    pub bypasses: Vec<(BypassReason, u64)>,
    /// Bodies that were not stored and arguments that were not accepted, by reason; only reasons that
    /// occurred.
    pub refusals: Vec<(RefusalReason, u64)>,
    /// Bodies stored.
    pub stores: u64,
    /// The bytes of all bodies that were stored.
    pub stored_bytes: u64,
    /// Entries that left to make room.
    pub evictions: u64,
    /// Deletions of a key or of the name.
    pub deletions: u64,
    /// Unnamed blocks opened again in the same render.
    pub repeats: u64,
    /// Bodies rendered to their end, stored or not.
    pub renders: u64,
    /// The time that these took; the fragments inside count in the ones around them too.
    pub render_time: Duration,
    /// The longest of them.
    pub longest_render: Duration,
    /// The last of them.
    pub last_render: Duration,
    /// How long ago a body was last served from the cache; `None` if none was.
    pub idle: Option<Duration>,
    /// Tags that were last declared for it, the last one first; at most 16.
    pub tags: Vec<String>,
    /// The last [`MINUTES`] minutes, the present one last.
    pub minutes: Vec<Minute>,
}

/// What happened in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Minute {
    /// Bodies served from the cache, fresh or expired.
    pub served: u64,
    /// Lookups that found nothing servable.
    pub missed: u64,
}

impl NameStats {
    /// Bodies served from the cache, fresh or expired.
    pub fn served(&self) -> u64 {
        self.hits + self.stale
    }

    /// Lookups: bodies served from the cache and misses.
    pub fn lookups(&self) -> u64 {
        self.served() + self.misses.total()
    }

    /// The share of lookups that were served from the cache, from 0.0 to 1.0; `None` without any.
    pub fn hit_ratio(&self) -> Option<f64> {
        ratio(self.served(), self.misses.total())
    }

    /// What a render takes on average; zero if there was none.
    pub fn mean_render(&self) -> Duration {
        let nanos = self.render_time.as_nanos() / u128::from(self.renders.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// An estimate of the render time that was saved: whatever was served without a render of its
    /// caller's own, times [`mean_render`](Self::mean_render).
    pub fn saved(&self) -> Duration {
        let spared = u128::from(self.served() + self.waits);
        let nanos = spared.saturating_mul(self.mean_render().as_nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whether more time went into renders than was saved by serving what came of them.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::builder().stats_by_name(100).build()?;
    /// cache.render(&Fragment::new(fragment_key!("rare", 1)), || "rendered, and never asked for")?;
    /// assert!(cache.stats_by_name().unwrap().names[0].costs_more_than_it_saves());
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn costs_more_than_it_saves(&self) -> bool {
        self.renders > self.served() + self.waits
    }

    /// Adds the numbers of another account. The name, the place, the tags and the last render stay
    /// this one's, and the shorter idle time counts.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::builder().stats_by_name(100).build()?;
    /// for number in 0..3 {
    ///     cache.render(&Fragment::new(fragment_key!(format!("counters {number}"))), || "<td>")?;
    /// }
    /// let stats_by_name = cache.stats_by_name().unwrap();
    /// let mut all = stats_by_name.others.clone();
    /// stats_by_name.names.iter().for_each(|stats| all.add(stats));
    /// assert_eq!((all.lookups(), all.stores), (3, 3));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.stale += other.stale;
        self.stale_if_error += other.stale_if_error;
        self.waits += other.waits;
        self.misses.add(&other.misses);
        add_counts(&mut self.bypasses, &other.bypasses);
        add_counts(&mut self.refusals, &other.refusals);
        self.stores += other.stores;
        self.stored_bytes += other.stored_bytes;
        self.evictions += other.evictions;
        self.deletions += other.deletions;
        self.repeats += other.repeats;
        self.renders += other.renders;
        self.render_time = self.render_time.saturating_add(other.render_time);
        self.longest_render = self.longest_render.max(other.longest_render);
        self.idle = [self.idle, other.idle].into_iter().flatten().min();
        self.minutes.resize(MINUTES, Minute::default());
        for (mine, theirs) in self.minutes.iter_mut().zip(&other.minutes) {
            mine.served += theirs.served;
            mine.missed += theirs.missed;
        }
    }
}

impl Minute {
    /// The share of lookups that were served from the cache, from 0.0 to 1.0; `None` without any.
    pub fn hit_ratio(&self) -> Option<f64> {
        ratio(self.served, self.missed)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share")]
fn ratio(served: u64, missed: u64) -> Option<f64> {
    let lookups = served + missed;
    (lookups > 0).then(|| served as f64 / lookups as f64)
}

fn add_counts<R: Copy + PartialEq>(mine: &mut Vec<(R, u64)>, theirs: &[(R, u64)]) {
    for &(reason, count) in theirs {
        match mine.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sum)) => *sum += count,
            None => mine.push((reason, count)),
        }
    }
}
