//! Operations on several values at a time.

use std::collections::HashSet;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{Put, SetOptions, Value, Values, codec};
use crate::entry::{Body, EntrySource};
use crate::error::Error;
use crate::events::RefusalReason;
use crate::handle::Invalidation;
use crate::hash::Version;
use crate::key::{FragmentKey, KeyPart};
use crate::policy::CacheMode;
use crate::render::{Context, StoreOutcome, prefetch, store_together};

/// Most values that are set together, and most bytes of them if there are several.
const SET_AT_ONCE: (usize, usize) = (256, 1 << 20);

/// The result of setting one of [several values](Values::set_many), as [`set`](Values::set) reports
/// it for a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetReport {
    /// The value is stored; `set` returns `true`.
    Stored,
    /// The value was refused; `set` returns `false`. It is too large, its key is too long, it is
    /// older than an invalidation, or the cache does not store. The store has not failed, and a
    /// retry would mostly be refused again.
    NotStored,
    /// The far store did not take the value or did not confirm it; `set` returns an error of kind
    /// [`Store`](crate::ErrorKind::Store). The new value, the old one or nothing may be stored.
    /// [`Health::last_fault`](crate::stats::Health::last_fault) has the store's last error.
    Unconfirmed,
}

impl From<StoreOutcome> for SetReport {
    fn from(outcome: StoreOutcome) -> Self {
        match outcome {
            StoreOutcome::Stored => Self::Stored,
            StoreOutcome::Refused(RefusalReason::Store) => Self::Unconfirmed,
            StoreOutcome::Refused(_) | StoreOutcome::Printed => Self::NotStored,
        }
    }
}

/// Values that are set together, with their encoded keys.
#[derive(Default)]
struct Together {
    keys: Vec<Vec<u8>>,
    bodies: Vec<Body>,
    seen: HashSet<Vec<u8>>,
    bytes: usize,
}

impl Together {
    fn has_room(&self, key: &[u8], body: &Body) -> bool {
        let bytes = self.bytes + key.len() + body.stored_len();
        let fits = self.keys.len() < SET_AT_ONCE.0 && bytes <= SET_AT_ONCE.1;
        self.keys.is_empty() || fits && !self.seen.contains(key)
    }

    fn add(&mut self, key: Vec<u8>, body: Body) {
        self.bytes += key.len() + body.stored_len();
        self.seen.insert(key.clone());
        self.keys.push(key);
        self.bodies.push(body);
    }
}

impl Values {
    /// Reads several values of one type, in the order of `keys`. With a far store it takes at most
    /// three round trips.
    ///
    /// ```
    /// use fragcache::values::SetOptions;
    /// use fragcache::FragmentCache;
    ///
    /// let values = FragmentCache::in_memory().values();
    /// values.set_many([("a", &1), ("c", &3)], &SetOptions::new())?;
    /// assert_eq!(values.get_many(["a", "b", "c"]), [Some(1), None, Some(3)]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn get_many<T: DeserializeOwned + 'static, K: KeyPart>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Option<T>> {
        let keys: Vec<FragmentKey> = keys.into_iter().map(|key| self.key(key)).collect();
        let read = |key| self.read_encoded(&self.cache.encoded(key), Version::default());
        let read = || keys.iter().map(read).collect();
        prefetch(&self.cache, &keys, read)
    }

    /// Sets several values of one type with the same options. Returns a report for each, in order,
    /// as if each were [set](Self::set_with) after the one before it. A reader may see some of them
    /// before the others.
    ///
    /// ```
    /// use fragcache::values::{SetOptions, SetReport};
    /// use fragcache::FragmentCache;
    ///
    /// let values = FragmentCache::builder().max_entry_bytes(100).build()?.values();
    /// let large = "x".repeat(200);
    /// let set = values.set_many([("a", "small"), ("b", &large)], &SetOptions::new())?;
    /// assert_eq!(set, [SetReport::Stored, SetReport::NotStored]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// With a far store, up to 256 of them or 1 MiB are sent together, in at most seven round
    /// trips, plus one if one of them is not stored. If the store refuses one of them, each is set
    /// by itself. For this, several values are taken from the iterator before the first of them is
    /// set. A key that occurs again starts a new group.
    ///
    /// # Errors
    ///
    /// As [`set_with`](Self::set_with), except [`ErrorKind::Store`](crate::ErrorKind::Store), for
    /// the first value it applies to. The values before it are set.
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
        let request = |key| self.request(key, source, options, Put::Replace);
        let requests: Vec<_> = keys.iter().map(|key| request(key)).collect();
        let context = Context::new(&codec::of_bytes);
        let outcomes = store_together(&self.cache, &requests, context, &bodies, &options.0.tags);
        outcomes.into_iter().map(SetReport::from).collect()
    }

    /// Deletes several values and returns a result for each, in the order of `keys`. Goes on if the
    /// far store is unavailable; use [`delete_each`](Self::delete_each) to stop there.
    ///
    /// With a far store, every 128 of them take two round trips, because the results need a read of
    /// what is stored. A batch has no results per key and takes one:
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
    /// assert_eq!(values.get_many::<i32, _>(["a", "b"]), [None, None]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_many<K: KeyPart>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Invalidation> {
        let keys = keys.into_iter().map(|key| self.key(key));
        self.cache.delete_all(keys.map(|key| self.cache.encoded(&key).into_owned()))
    }

    /// Deletes one value for each item taken from the iterator, so that a caller can stop at any
    /// result: Flask-Caching's `CACHE_IGNORE_ERRORS = False`. Each takes the four round trips of a
    /// [`delete`](Self::delete).
    ///
    /// ```
    /// use fragcache::FragmentCache;
    ///
    /// let values = FragmentCache::in_memory().values();
    /// values.set("a", &1)?;
    /// let told = values.delete_each(["a", "b"]).take_while(|done| !done.is_pending());
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
