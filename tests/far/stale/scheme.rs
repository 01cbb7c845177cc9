//! The ways to cache that are compared, and what each is asked for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fragcache::store::{FileStore, RedisOptions, Store};

use super::naive::Naive;
use super::ours::{Front, Ours};
use super::truth::KEYS;

/// A way to cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Get, render, set; a change deletes. As Flask-Caching does it, and dogpile and Laravel.
    SetAndDelete,
    /// As the one before, and one at a time renders.
    Lock,
    /// An entry carries the versions that are there when it is stored, as in Symfony.
    VersionsWhenStoring,
    /// … that were there before the render: counters, from 0.
    Counter,
    /// … random ones, and none is as good as another.
    AbsentIsZero,
    /// fragcache without a near level.
    Far,
    /// fragcache with a near level that asks the store each time.
    Strict,
    /// fragcache with a near level that answers by itself for a while.
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

    /// As tables have it.
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

    /// What stands before the scheme's keys.
    pub(super) fn prefix(self) -> &'static str {
        if Self::NAIVE.contains(&self) { "naive:" } else { "fragcache:" }
    }
}

/// A store: a server's URL, or the path of a folder. Its deadlines are longer than any pause of a
/// busy machine: what happens at a deadline is another matter.
pub(crate) fn open(place: &str) -> Arc<dyn Store> {
    let patience = Duration::from_secs(30);
    if Path::new(place).is_absolute() {
        let store = FileStore::options().deadline(patience).open(place);
        return Arc::new(store.unwrap());
    }
    let options = RedisOptions::new(place).operation_timeout(patience).connect_timeout(patience);
    Arc::new(options.open().unwrap())
}

/// What is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One of the numbers.
    Row(usize),
    /// One, by a body that says only at its end what it depends on.
    Late(usize),
    /// One that was read before the lookup.
    Loaded(usize),
    /// All of them, each as a row inside.
    Page,
}

/// How many sorts there are.
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
    /// The shape's text, from the cache or rendered from what `read` finds, and whether it was
    /// rendered.
    fn serve(&self, shape: Shape, read: &dyn Fn(usize) -> u64) -> (String, bool);

    /// One of the numbers has changed.
    fn changed(&self, key: usize, random: &mut fastrand::Rng);

    /// All is quiet, and has been for as long as anything may be served unasked.
    fn settle(&self) {}
}
