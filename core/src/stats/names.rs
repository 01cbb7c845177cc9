//! Statistics for each fragment name: what was served, what was rendered, and what it cost. These
//! are plain snapshots; `registry` has the live counters.

use std::time::Duration;

use super::{MINUTES, Misses};
use crate::events::{BypassReason, RefusalReason};
use crate::key::FragmentKey;

/// The statistics of one cache in this process, by name, since the cache was created. See
/// [`FragmentCache::stats_by_name`](crate::FragmentCache::stats_by_name).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StatsByName {
    /// The statistics of each name, in no particular order.
    pub names: Vec<NameStats>,
    /// The sum of all names beyond the bound.
    pub others: NameStats,
    /// When the cache was created, since the beginning of 1970.
    pub since: Duration,
    /// Time since then, by the cache's clock.
    pub covers: Duration,
}

/// The statistics of one name.
///
/// A lookup that waits for another caller's render, or that is answered by an expired fragment in
/// place of an error, is a miss first, so [`lookups`](Self::lookups) counts it once.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct NameStats {
    /// The key of this name without vary parts; for a block without a name, its key. `None` for a
    /// sum.
    pub key: Option<FragmentKey>,
    /// The template where the name was first seen, if any.
    pub template: Option<String>,
    /// The line of its cache block there; 0 if there is none.
    pub line: u32,
    /// Fresh bodies served.
    pub hits: u64,
    /// Expired bodies served while another caller rendered, or after a failed refresh.
    pub stale: u64,
    /// Expired bodies served in place of an error.
    pub stale_if_error: u64,
    /// Callers that received another caller's render.
    pub waits: u64,
    /// Lookups that found nothing servable, by reason.
    pub misses: Misses,
    /// Bodies rendered, and requests answered, outside the cache, by reason; without reasons that
    /// did not occur.
    pub bypasses: Vec<(BypassReason, u64)>,
    /// Bodies that were not stored and arguments that were not accepted, by reason; without reasons
    /// that did not occur.
    pub refusals: Vec<(RefusalReason, u64)>,
    /// Bodies stored.
    pub stores: u64,
    /// Bytes of all bodies stored.
    pub stored_bytes: u64,
    /// Entries evicted to make room.
    pub evictions: u64,
    /// Deletions of a key or of the name.
    pub deletions: u64,
    /// Unnamed blocks opened again in the same render.
    pub repeats: u64,
    /// Completed renders, stored or not.
    pub renders: u64,
    /// Total time of these renders. The time of inner fragments also counts in their outer
    /// fragments.
    pub render_time: Duration,
    /// The longest render.
    pub longest_render: Duration,
    /// The most recent render.
    pub last_render: Duration,
    /// Time since a body was last served from the cache; `None` if none was.
    pub idle: Option<Duration>,
    /// The tags declared most recently, latest first; at most 16.
    pub tags: Vec<String>,
    /// The last [`MINUTES`] minutes, oldest first.
    pub minutes: Vec<Minute>,
}

/// The counts of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Minute {
    /// Bodies served from the cache, fresh or expired.
    pub served: u64,
    /// Lookups that found nothing servable.
    pub missed: u64,
}

impl NameStats {
    /// Returns the bodies served from the cache, fresh or expired.
    pub fn served(&self) -> u64 {
        self.hits + self.stale
    }

    /// Returns the lookups: bodies served from the cache and misses.
    pub fn lookups(&self) -> u64 {
        self.served() + self.misses.total()
    }

    /// Returns the share of lookups served from the cache, from 0.0 to 1.0; `None` without lookups.
    pub fn hit_ratio(&self) -> Option<f64> {
        ratio(self.served(), self.misses.total())
    }

    /// Returns the mean time of a render; zero without renders.
    pub fn mean_render(&self) -> Duration {
        let nanos = self.render_time.as_nanos() / u128::from(self.renders.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Estimates the render time that was saved: the number of callers served without a render of
    /// their own, times [`mean_render`](Self::mean_render).
    pub fn saved(&self) -> Duration {
        let spared = u128::from(self.served() + self.waits);
        let nanos = spared.saturating_mul(self.mean_render().as_nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns true if rendering took more time than serving its results has saved.
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

    /// Adds the counters of another name. Key, template, tags and the last render remain unchanged;
    /// the shorter idle time is taken.
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
    /// Returns the share of lookups served from the cache, from 0.0 to 1.0; `None` without lookups.
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
