//! Plain values: set and read by their keys, typed, in the same cache as fragments. How a value
//! becomes bytes is in `codec`, what tells types apart in `shape` and `build`.

mod build;
pub(crate) mod codec;
mod many;
mod nil;
mod options;
pub(crate) mod shape;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::Act;
use crate::cache::{FragmentCache, Invalidation};
use crate::entry::{Entry, EntrySource, OutputMode};
use crate::error::Error;
use crate::events::{EventKind, MissReason};
use crate::hash::Version;
use crate::key::{FragmentKey, KeyPart, VALUE};
use crate::near::Variant;
use crate::render::{GIVEN_ATTEMPTS, Lookup, Opened, Request};

pub use many::SetReport;
pub use options::SetOptions;

/// The plain values of a cache, typed by serde; made by [`FragmentCache::values`].
///
/// An explicit key is the whole key: what was given to [`set`](Self::set) is what reads and deletes,
/// and neither is it a fragment's. A value is kept as `MessagePack` with the names of its fields; asked
/// for as a type of another shape (a field more, less, renamed, of another type) it is a miss, never
/// a wrong value. Numbers of one shape that mean something else now need another key or
/// [type version](Self::type_version). A type whose shape cannot be seen, such as an untagged enum or
/// `serde_json::Value`, is read by the build of the program that stored it and by no other, unless a type
/// version is stated. What is set as one type ends what was set under the key as another.
///
/// ```
/// use fragcache::FragmentCache;
///
/// let values = FragmentCache::in_memory().values();
/// values.set("greeting", "hello")?;
/// assert_eq!(values.get::<String>("greeting")?.as_deref(), Some("hello"));
/// assert_eq!(values.get::<u32>("greeting")?, None, "of another type");
///
/// values.delete("greeting").eventually();
/// assert!(!values.contains("greeting")?);
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// What a fragment's body reads here, the fragment depends on: deleting the value deletes the
/// fragment. Setting it anew does not.
#[derive(Debug, Clone)]
pub struct Values {
    pub(crate) cache: FragmentCache,
    type_version: Option<u32>,
}

/// What can be kept: whatever serde writes and reads, and text and slices, which are read as `String`
/// and `Vec`.
pub trait Value: Serialize {
    /// The type as which it is read.
    type Owned: DeserializeOwned + 'static;
}

impl<T: Serialize + DeserializeOwned + 'static> Value for T {
    type Owned = T;
}

impl Value for str {
    type Owned = String;
}

impl<T: Serialize + DeserializeOwned + 'static> Value for [T] {
    type Owned = Vec<T>;
}

/// Whether an entry that is there is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    Replace,
    IfAbsent,
}

impl FragmentCache {
    /// The plain values of this cache, or of this handle's namespace.
    pub fn values(&self) -> Values {
        Values { cache: self.clone(), type_version: None }
    }
}

impl Values {
    /// The key under which a value is kept: for observers, and for
    /// [`FragmentCache::delete`](crate::FragmentCache::delete).
    ///
    /// ```
    /// use fragcache::key::KeyKind;
    /// use fragcache::FragmentCache;
    ///
    /// let key = FragmentCache::in_memory().values().key("greeting");
    /// assert_eq!((key.kind(), key.to_string().as_str()), (KeyKind::Value, "greeting"));
    /// ```
    pub fn key(&self, key: impl KeyPart) -> FragmentKey {
        FragmentKey::of_kind(VALUE, key)
    }

    /// These values, of this version of their types: raise it when a type changes in a way that its
    /// shape does not tell. A value that was set with another version, or without one, is a miss. Where
    /// the shape of a type cannot be seen, the version is what another build reads the value by.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let cents = cache.values().type_version(2);
    /// cents.set("price", &1050)?;
    /// assert_eq!(cents.get::<i32>("price")?, Some(1050));
    /// assert_eq!(cache.values().get::<i32>("price")?, None, "was in euros");
    ///
    /// cache.values().delete("price").eventually(); // of whatever version
    /// assert!(!cents.contains("price")?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    #[must_use]
    pub fn type_version(mut self, version: u32) -> Self {
        self.type_version = Some(version);
        self
    }

    /// Reads a value; `None` if none of this type could be served.
    ///
    /// # Errors
    ///
    /// None: a store that cannot be asked is a miss, and an event.
    pub fn get<T: DeserializeOwned + 'static>(
        &self,
        key: impl KeyPart,
    ) -> Result<Option<T>, Error> {
        Ok(self.read(&self.key(key), Version::default()))
    }

    /// As [`get`](Self::get), of a value that was kept with this [version](SetOptions::version): one of
    /// another version is a miss.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_version<T: DeserializeOwned + 'static>(
        &self,
        key: impl KeyPart,
        version: impl KeyPart,
    ) -> Result<Option<T>, Error> {
        let version = FragmentKey::new(version);
        Ok(self.read(&self.key(key), self.cache.hasher().version(version.as_bytes())))
    }

    /// Keeps a value for the cache's default timeout, in place of what is there, of whatever type;
    /// whether it was kept.
    /// It is not where the cache is [disabled](FragmentCache::disabled) or does not
    /// [store](crate::CacheMode), where it is too large (what was there is gone all the same), and under a
    /// [read point](crate::ReadPoint) that is older than an invalidation of it.
    ///
    /// Once this has returned `true`, no process that asks the far store on each hit is served what was
    /// there before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Value`](crate::ErrorKind::Value) for what cannot be serialized,
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the far store did not take it, or did not say
    /// so: it may be kept, then, or what was there, or nothing.
    pub fn set<T: Value + ?Sized>(&self, key: impl KeyPart, value: &T) -> Result<bool, Error> {
        self.put(&self.key(key), value, &SetOptions::default(), Put::Replace)
    }

    /// As [`set`](Self::set), with a timeout, tags or a version of its own.
    ///
    /// ```
    /// use fragcache::values::SetOptions;
    /// use fragcache::FragmentCache;
    /// use std::time::Duration;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let options = SetOptions::new().expires_after(Duration::from_secs(60)).tags(["product:7"]);
    /// cache.values().set_with(["price", "7"], &10.5, &options)?;
    /// assert_eq!(cache.values().get(["price", "7"])?, Some(10.5));
    ///
    /// cache.invalidate_tags(["product:7"])?.eventually();
    /// assert_eq!(cache.values().get::<f64>(["price", "7"])?, None);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set); [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) for a timeout of
    /// zero, [`ErrorKind::Tag`](crate::ErrorKind::Tag) for an unusable tag.
    pub fn set_with<T: Value + ?Sized>(
        &self,
        key: impl KeyPart,
        value: &T,
        options: &SetOptions,
    ) -> Result<bool, Error> {
        self.put(&self.key(key), value, options, Put::Replace)
    }

    /// As [`set`](Self::set), unless a value of this type is there; whether this one was kept. Of
    /// several callers at a time, in all processes that share a store, one keeps its value.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set). After [`ErrorKind::Store`](crate::ErrorKind::Store) nobody knows whether
    /// the value was kept: a lock that is taken by this was not obtained, and may be held to its end.
    pub fn add<T: Value + ?Sized>(&self, key: impl KeyPart, value: &T) -> Result<bool, Error> {
        self.put(&self.key(key), value, &SetOptions::default(), Put::IfAbsent)
    }

    /// As [`add`](Self::add), with a timeout, tags or a version of its own.
    ///
    /// # Errors
    ///
    /// As [`set_with`](Self::set_with).
    pub fn add_with<T: Value + ?Sized>(
        &self,
        key: impl KeyPart,
        value: &T,
        options: &SetOptions,
    ) -> Result<bool, Error> {
        self.put(&self.key(key), value, options, Put::IfAbsent)
    }

    /// Whether a value could be served under this key, of whatever type.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the far store cannot be asked.
    pub fn contains(&self, key: impl KeyPart) -> Result<bool, Error> {
        self.cache.contains(&self.key(key))
    }

    /// Deletes a value, of whatever type.
    ///
    /// # Errors
    ///
    /// None: what the far store could not be told is [pending](Invalidation::Pending).
    pub fn delete(&self, key: impl KeyPart) -> Invalidation {
        self.cache.delete(&self.key(key))
    }

    /// Deletes all values of this cache, or of this handle's namespace, and nothing else. Costs the
    /// same however many there are.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.values().set("n", &1)?;
    /// cache.render(&Fragment::new(fragment_key!("n")), || "markup")?;
    /// cache.values().clear().eventually();
    /// assert!(!cache.values().contains("n")?);
    /// assert!(cache.contains(&fragment_key!("n"))?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None: what the far store could not be told is [pending](Invalidation::Pending).
    pub fn clear(&self) -> Invalidation {
        let mut batch = self.cache.batch();
        // The group of values does not depend on the key.
        batch.acts.push(Act::Group(self.key("")));
        batch.apply()
    }

    fn source<T: DeserializeOwned + 'static>(&self) -> Arc<EntrySource> {
        let shape = shape::digest::<T>(self.type_version);
        self.cache.sources().of_form(&shape.text(), OutputMode::VALUE)
    }

    fn read<T: DeserializeOwned + 'static>(
        &self,
        key: &FragmentKey,
        version: Version,
    ) -> Option<T> {
        let cache = &self.cache;
        let key = cache.encoded(key);
        let hashed = cache.hashed(&key);
        let source = self.source::<T>();
        let request = Request { version, ..Request::plain() };
        let variant = Variant { digest: source.digest(), mode: source.mode(), version };
        let body = |entry: &Entry| entry.body.clone();
        let body = match cache.quick_hit(hashed, variant, &request, body)? {
            Ok(body) => body,
            Err(missed) => {
                let made = &codec::of_bytes;
                let lookup =
                    Lookup { hashed, source: &source, request: &request, body: made, memo: None };
                cache.peek(lookup, missed)?
            }
        };
        let value = codec::decode(&body);
        if value.is_none() {
            cache.emit(EventKind::Miss(MissReason::Unreadable), Some(&key), &source);
        }
        value
    }

    /// What is asked of the cache for a value to be kept so.
    fn request(&self, options: &SetOptions, put: Put) -> Request {
        let hasher = self.cache.hasher();
        let version = options.version.as_ref();
        Request {
            timeout: options.timeout,
            refresh: put == Put::Replace,
            version: version
                .map_or(Version::default(), |version| hasher.version(version.as_bytes())),
            is_given: true,
            ..Request::plain()
        }
    }

    fn put<T: Value + ?Sized>(
        &self,
        key: &FragmentKey,
        value: &T,
        options: &SetOptions,
        put: Put,
    ) -> Result<bool, Error> {
        match self.put_reported(key, value, options, put)? {
            SetReport::Unconfirmed => Err(self.cache.unconfirmed()),
            report => Ok(report == SetReport::Kept),
        }
    }

    fn put_reported<T: Value + ?Sized>(
        &self,
        key: &FragmentKey,
        value: &T,
        options: &SetOptions,
        put: Put,
    ) -> Result<SetReport, Error> {
        let cache = &self.cache;
        options.check()?;
        let body = codec::encode(value)?;
        let key = cache.encoded(key);
        let hashed = cache.hashed(&key);
        let source = self.source::<T::Owned>();
        let request = self.request(options, put);
        let made = &codec::of_bytes;
        let lookup = Lookup { hashed, source: &source, request: &request, body: made, memo: None };
        for _ in 0..GIVEN_ATTEMPTS {
            let Opened::Render(ticket) = cache.open_slow(lookup, None, None, |_| ()) else {
                return Ok(SetReport::NotKept);
            };
            ticket.tag(&options.tags);
            let outcome = ticket.close(body.clone()).outcome;
            if put == Put::IfAbsent || !cache.is_outrun(outcome) {
                return Ok(outcome.into());
            }
        }
        Ok(SetReport::NotKept)
    }
}
