//! Two engines behind one trait, and common helpers: a manual clock, a recorder of
//! events, and the same template with native tags.

mod counts;
mod engine;
mod minijinja;
mod native;
mod said;
mod settings;
mod stock;
mod tera;

use std::path::PathBuf;

use fragcache::testing::ManualClock;
use fragcache::{CacheBuilder, FragmentCache};

pub(crate) use counts::Evaluated;
pub(crate) use engine::{Engine, Failure, Kind, Stage, forms, ours as source_of};
pub(crate) use said::said;
pub(crate) use settings::Settings;

/// A file or folder below `fixtures/`.
pub(crate) fn fixtures(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path)
}

/// A cache on a clock of its own.
pub(crate) fn cache_with(
    settings: impl FnOnce(CacheBuilder) -> CacheBuilder,
) -> (FragmentCache, ManualClock) {
    let clock = ManualClock::new();
    let builder = settings(FragmentCache::builder().clock(clock.clone()));
    (builder.build().unwrap(), clock)
}

/// A cache with the default settings on a clock of its own.
pub(crate) fn cache() -> (FragmentCache, ManualClock) {
    cache_with(|builder| builder)
}
