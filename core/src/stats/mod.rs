//! Counters: of the whole cache ([`Stats`]), and of each fragment name ([`StatsByName`]).
//!
//! [`FragmentCache::stats`](crate::FragmentCache::stats) is always on.
//! [`FragmentCache::stats_by_name`](crate::FragmentCache::stats_by_name) needs
//! [`CacheBuilder::stats_by_name`](crate::CacheBuilder::stats_by_name).

mod counters;
mod health;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
mod names;
mod registry;
mod ring;
mod totals;

pub(crate) use counters::NameCounters;
pub use health::Health;
pub use names::{Minute, NameStats, StatsByName};
pub(crate) use registry::StatsRegistry;
pub use ring::MINUTES;
pub(crate) use totals::Counters;
pub use totals::{Misses, Stats};
