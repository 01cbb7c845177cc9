//! Several values at a time.

use std::collections::HashSet;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{Put, SetOptions, Value, Values, codec};
use crate::cache::Invalidation;
use crate::entry::{Body, EntrySource};
use crate::error::Error;
use crate::events::RefusalReason;
use crate::hash::Version;
use crate::key::{FragmentKey, KeyPart};
use crate::policy::CacheMode;
use crate::render::{Lookup, StoreOutcome};

/// Most values that are set at once, and most bytes of them if they are more than one.
const SET_AT_ONCE: (usize, usize) = (256, 1 << 20);

/// What became of one of [several values](Values::set_many): what [`set`](Values::set) says of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetReport {
    /// It is kept, where `set` says `true`.
    Kept,
    /// It was refused, where `set` says `false`: it is too large, its key is too long, it is older than an
    /// invalidation, or the cache does not store. The store has not failed, and most of this would be
    /// refused again.
    NotKept,
    /// The far store did not take it, or did not say so, where `set` is an error of kind
    /// [`Store`](crate::ErrorKind::Store): it may be kept, or what was there, or nothing.
    /// [`Health::last_fault`](crate::stats::Health::last_fault) says what the store said last.
    Unconfirmed,
}

impl From<StoreOutcome> for SetReport {
    fn from(outcome: StoreOutcome) -> Self {
        match outcome {
            StoreOutcome::Stored => Self::Kept,
            StoreOutcome::Refused(RefusalReason::Store) => Self::Unconfirmed,
            StoreOutcome::Refused(_) | StoreOutcome::Printed => Self::NotKept,
        }
    }
}

/// Values that are set at once, with their encoded keys.
#[derive(Default)]
struct Together {
    keys: Vec<Vec<u8>>,
    bodies: Vec<Body>,
    seen: HashSet<Vec<u8>>,
    bytes: usize,
}

impl Together {
    fn has_room(&self, key: &[u8], body: &Body) -> bool {
        let bytes = self.bytes + key.len() + body.as_bytes().len();
        let fits = self.keys.len() < SET_AT_ONCE.0 && bytes <= SET_AT_ONCE.1;
        self.keys.is_empty() || fits && !self.seen.contains(key)
    }

    fn add(&mut self, key: Vec<u8>, body: Body) {
        self.bytes += key.len() + body.as_bytes().len();
        self.seen.insert(key.clone());
        self.keys.push(key);
        self.bodies.push(body);
    }
}

impl Values {
    /// Reads several values of one type, in the order given; with a far store in three round trips at
    /// most.
    ///
    /// ```
    /// use fragcache::values::SetOptions;
    /// use fragcache::FragmentCache;
    ///
    /// let values = FragmentCache::in_memory().values();
    /// values.set_many([("a", &1), ("c", &3)], &SetOptions::new())?;
    /// assert_eq!(values.get_many(["a", "b", "c"])?, [Some(1), None, Some(3)]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_many<T: DeserializeOwned + 'static, K: KeyPart>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<T>>, Error> {
        let keys: Vec<FragmentKey> = keys.into_iter().map(|key| self.key(key)).collect();
        let read = || keys.iter().map(|key| self.read(key, Version::default())).collect();
        Ok(self.cache.prefetch(&keys, read))
    }

    /// Sets several values of one type, all kept alike; reports for each, in the order given, as if
    /// each were [set](Self::set_with) after the one before it. A reader may see some of them.
    ///
    /// ```
    /// use fragcache::values::{SetOptions, SetReport};
    /// use fragcache::FragmentCache;
    ///
    /// let values = FragmentCache::builder().max_entry_bytes(100).build()?.values();
    /// let large = "x".repeat(200);
    /// let set = values.set_many([("a", "small"), ("b", &large)], &SetOptions::new())?;
    /// assert_eq!(set, [SetReport::Kept, SetReport::NotKept]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// With a far store they go there together, up to 256 of them or 1 MiB at once: in seven
    /// round trips at most, one more if one of them is not kept; where the store refuses one of them,
    /// each is set by itself. So some are taken
    /// from the iterator before the first of them is set. A key that comes again begins a new lot.
    ///
    /// # Errors
    ///
    /// As [`set_with`](Self::set_with), but for [`ErrorKind::Store`](crate::ErrorKind::Store), at the
    /// first value that it is true of. Those before it are set.
    pub fn set_many<'v, T: Value + ?Sized + 'v, K: KeyPart>(
        &self,
        values: impl IntoIterator<Item = (K, &'v T)>,
        options: &SetOptions,
    ) -> Result<Vec<SetReport>, Error> {
        let mut reports = Vec::new();
        if self.cache.far().is_none() || self.cache.mode() != CacheMode::Normal {
            for (key, value) in values {
                reports.push(self.put_reported(&self.key(key), value, options, Put::Replace)?);
            }
            return Ok(reports);
        }
        let source = self.source::<T::Owned>();
        let mut together = Together::default();
        let mut values = values.into_iter();
        let failed = loop {
            let Some((key, value)) = values.next() else { break None };
            match options.check().and_then(|()| codec::encode(value)) {
                Ok(body) => {
                    let key = self.cache.encoded(&self.key(key)).into_owned();
                    if !together.has_room(&key, &body) {
                        reports.extend(self.put_together(&mut together, &source, options));
                    }
                    together.add(key, body);
                }
                Err(error) => break Some(error),
            }
        };
        reports.extend(self.put_together(&mut together, &source, options));
        failed.map_or(Ok(reports), Err)
    }

    fn put_together(
        &self,
        all: &mut Together,
        source: &Arc<EntrySource>,
        options: &SetOptions,
    ) -> Vec<SetReport> {
        let Together { keys, bodies, .. } = std::mem::take(all);
        let (request, body) = (self.request(options, Put::Replace), &codec::of_bytes);
        let asked = |key| {
            let hashed = self.cache.hashed(key);
            Lookup { hashed, source, request: &request, body, memo: None }
        };
        let asked: Vec<_> = keys.iter().map(|key| asked(key)).collect();
        let outcomes = self.cache.store_together(&asked, &bodies, &options.tags);
        outcomes.into_iter().map(SetReport::from).collect()
    }

    /// Deletes several values, and reports for each, in the order given. Goes on where the far store
    /// cannot be told; see [`delete_each`](Self::delete_each) to stop there.
    ///
    /// With a far store every 128 of them take two round trips, since it is asked what there was. Where
    /// nobody needs the reports, a batch takes one:
    ///
    /// ```
    /// use fragcache::values::SetOptions;
    /// use fragcache::FragmentCache;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let values = cache.values();
    /// values.set_many([("a", &1), ("b", &2)], &SetOptions::new())?;
    /// let mut batch = cache.batch();
    /// batch.delete(&values.key("a")).delete(&values.key("b"));
    /// batch.apply().eventually();
    /// assert_eq!(values.get_many::<i32, _>(["a", "b"])?, [None, None]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: what the far store could not be told is [pending](Invalidation::Pending).
    pub fn delete_many<K: KeyPart>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Invalidation> {
        let keys = keys.into_iter().map(|key| self.key(key));
        self.cache.delete_all(keys.map(|key| self.cache.encoded(&key).into_owned()))
    }

    /// Deletes one value for each report that is taken, so that whoever stops taking them stops
    /// deleting: Flask-Caching's `CACHE_IGNORE_ERRORS = False`. So each takes the round trips of a
    /// [`delete`](Self::delete), four.
    ///
    /// ```
    /// use fragcache::{Invalidation, FragmentCache};
    ///
    /// let values = FragmentCache::in_memory().values();
    /// values.set("a", &1)?;
    /// let told = values.delete_each(["a", "b"]).take_while(|done| !matches!(done, Ok(Invalidation::Pending)));
    /// assert_eq!(told.count(), 2, "there is no store to be unavailable");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_each<K: KeyPart>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Iterator<Item = Invalidation> {
        keys.into_iter().map(|key| self.delete(key))
    }
}
