//! The caching schemes that are compared, and their interface.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fragcache::store::Store;
use fragcache_file::FileStore;
use fragcache_memcached::MemcachedOptions;
use fragcache_redis::RedisOptions;

use super::naive::Naive;
use super::ours::{Front, Ours};
use super::truth::KEYS;

/// A caching scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Get, render, set; a change deletes. As in Flask-Caching, dogpile and Laravel.
    SetAndDelete,
    /// Like `SetAndDelete`, but only one process renders at a time.
    Lock,
    /// An entry carries the versions that exist when it is stored, as in Symfony.
    VersionsWhenStoring,
    /// … the versions from before the render: counters, from 0.
    Counter,
    /// … random versions, where an absent one counts as 0.
    AbsentIsZero,
    /// fragcache without a near level.
    Far,
    /// fragcache with a near level that calls the store on each hit.
    Strict,
    /// fragcache with a near level that serves by itself for its TTL.
    Bounded,
}

impl Scheme {
    pub(crate) const NAIVE: [Self; 5] = [
        Self::SetAndDelete,
        Self::Lock,
        Self::VersionsWhenStoring,
        Self::Counter,
        Self::AbsentIsZero,
    ];

    pub(crate) const OURS: [Self; 3] = [Self::Far, Self::Strict, Self::Bounded];

    /// The name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SetAndDelete => "get/set + delete (Flask-Caching)",
            Self::Lock => "a lock around the render, unconditional store",
            Self::VersionsWhenStoring => "tag versions read when storing",
            Self::Counter => "versions before the render: counter, absent = 0",
            Self::AbsentIsZero => "versions before the render: random, absent = 0",
            Self::Far => "fragcache, no near level",
            Self::Strict => "fragcache, strict near level",
            Self::Bounded => "fragcache, near level of bounded life, once it is over",
        }
    }

    pub(super) fn of_name(name: &str) -> Self {
        let all = Self::NAIVE.into_iter().chain(Self::OURS);
        all.into_iter().find(|scheme| scheme.name() == name).expect("a scheme's name")
    }

    pub(super) fn open(self, store: Arc<dyn Store>) -> Box<dyn Cached> {
        match self {
            Self::Far => Box::new(Ours::new(store, Front::None)),
            Self::Strict => Box::new(Ours::new(store, Front::Strict)),
            Self::Bounded => Box::new(Ours::new(store, Front::Bounded)),
            naive => Box::new(Naive::new(naive, store)),
        }
    }

    /// Prefix of the scheme's keys.
    pub(super) fn prefix(self) -> &'static str {
        if Self::NAIVE.contains(&self) { "naive:" } else { "fragcache:" }
    }
}

/// The beginning of the URL of a Memcached.
pub(super) const MEMCACHED: &str = "memcached://";

/// A store: a server's URL, or the path of a folder. Its timeouts are longer than
/// any pause of a busy machine, because behaviour at a timeout is tested elsewhere.
pub(crate) fn open(place: &str) -> Arc<dyn Store> {
    let patience = Duration::from_secs(30);
    if Path::new(place).is_absolute() {
        let store = FileStore::options().deadline(patience).open(place);
        return Arc::new(store.unwrap());
    }
    if place.starts_with(MEMCACHED) {
        let options = MemcachedOptions::new(place);
        let options = options.operation_timeout(patience).connect_timeout(patience);
        return Arc::new(options.open().unwrap());
    }
    let options = RedisOptions::new(place).operation_timeout(patience).connect_timeout(patience);
    Arc::new(options.open().unwrap())
}

/// The sort of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One of the numbers.
    Row(usize),
    /// One number, with a body that declares its dependency only at its end.
    Late(usize),
    /// One number, read before the lookup.
    Loaded(usize),
    /// All numbers, each as a row inside.
    Page,
}

/// Number of sorts.
pub(super) const SORTS: usize = 4;

impl Shape {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let one = |key| [Self::Row(key), Self::Late(key), Self::Loaded(key)];
        std::iter::once(Self::Page).chain((0..KEYS).flat_map(one))
    }

    pub(super) fn any(random: &mut fastrand::Rng) -> Self {
        let key = random.usize(..KEYS);
        [Self::Row(key), Self::Late(key), Self::Loaded(key), Self::Page][random.usize(..SORTS)]
    }

    pub(super) fn sort(self) -> usize {
        match self {
            Self::Row(_) => 0,
            Self::Late(_) => 1,
            Self::Loaded(_) => 2,
            Self::Page => 3,
        }
    }

    /// The numbers in it.
    pub(super) fn keys(self) -> Vec<usize> {
        match self {
            Self::Row(key) | Self::Late(key) | Self::Loaded(key) => vec![key],
            Self::Page => (0..KEYS).collect(),
        }
    }

    /// The text that shows these numbers.
    pub(super) fn text(self, read: impl Fn(usize) -> u64) -> String {
        self.keys().into_iter().map(|key| format!("{key}={};", read(key))).collect()
    }
}

/// A cache in one process.
pub(super) trait Cached {
    /// The shape's text, from the cache or rendered with `read`, and whether it was rendered.
    fn serve(&self, shape: Shape, read: &dyn Fn(usize) -> u64) -> (String, bool);

    /// Called after a number has changed.
    fn changed(&self, key: usize, random: &mut fastrand::Rng);

    /// Called after all activity has stopped: waits until every near TTL is over.
    fn settle(&self) {}
}
