//! Several values at a time.

use serde::de::DeserializeOwned;

use super::{Keep, Put, Value, Values};
use crate::cache::Deletion;
use crate::error::Error;
use crate::hash::Version;
use crate::key::{FragmentKey, KeyPart};

impl Values {
    /// Reads several values of one type, in the order given; with a far store in three round trips at
    /// most.
    ///
    /// ```
    /// use fragcache::{FragmentCache, Keep};
    ///
    /// let values = FragmentCache::in_memory().values();
    /// values.set_many([("a", &1), ("c", &3)], &Keep::new())?;
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
        Ok(self.cache.announce(&keys, read))
    }

    /// Sets several values of one type, all kept alike; for each whether it was kept, in the order
    /// given. Each is set by itself: a reader may see some of them, and with a far store each takes four
    /// round trips.
    ///
    /// # Errors
    ///
    /// As [`set_with`](Self::set_with), at the first value that it is true of. Those before it are
    /// set.
    pub fn set_many<'v, T: Value + ?Sized + 'v, K: KeyPart>(
        &self,
        values: impl IntoIterator<Item = (K, &'v T)>,
        keep: &Keep,
    ) -> Result<Vec<bool>, Error> {
        let set = |(key, value): (K, &T)| self.put(&self.key(key), value, keep, Put::Replace);
        values.into_iter().map(set).collect()
    }

    /// Deletes several values, and reports for each, in the order given. Goes on where the far store
    /// cannot be told; see [`delete_each`](Self::delete_each) to stop there.
    ///
    /// With a far store each takes four round trips, since it is asked what there was. Where nobody needs
    /// the reports, a batch takes one for all:
    ///
    /// ```
    /// use fragcache::{FragmentCache, Keep};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let values = cache.values();
    /// values.set_many([("a", &1), ("b", &2)], &Keep::new())?;
    /// let mut batch = cache.batch();
    /// batch.delete(&values.key("a")).delete(&values.key("b"));
    /// batch.apply()?;
    /// assert_eq!(values.get_many::<i32, _>(["a", "b"])?, [None, None]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: what the far store could not be told is [pending](Deletion::Pending).
    pub fn delete_many<K: KeyPart>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Deletion>, Error> {
        self.delete_each(keys).collect()
    }

    /// Deletes one value for each report that is taken, so that whoever stops taking them stops
    /// deleting: Flask-Caching's `CACHE_IGNORE_ERRORS = False`.
    ///
    /// ```
    /// use fragcache::{Deletion, FragmentCache};
    ///
    /// let values = FragmentCache::in_memory().values();
    /// values.set("a", &1)?;
    /// let told = values.delete_each(["a", "b"]).take_while(|done| !matches!(done, Ok(Deletion::Pending)));
    /// assert_eq!(told.count(), 2, "there is no store to be away");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_each<K: KeyPart>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Iterator<Item = Result<Deletion, Error>> {
        keys.into_iter().map(|key| self.delete(key))
    }
}
