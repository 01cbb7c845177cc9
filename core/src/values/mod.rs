//! Plain values: set and read by key, typed, in the same cache as fragments. `codec` serializes
//! them; `shape` and `build` distinguish types.

mod build;
pub(crate) mod codec;
mod many;
mod nil;
mod options;
pub(crate) mod seen;
pub(crate) mod shape;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::{Body, Entry, EntrySource, OutputMode};
use crate::error::Error;
use crate::events::{EventKind, MissReason};
use crate::handle::Act;
use crate::handle::{Handle, Invalidation};
use crate::hash::Version;
use crate::key::{self, FragmentKey, KeyBuffer, KeyPart, VALUE};
use crate::lookup::{QuickLookup, Request, Variant};
use crate::near::Missed;
use crate::options::Options;
use crate::render::{Context, GIVEN_ATTEMPTS, MakeBody, Opened, is_outrun, open, peek, quick_hit};

pub use many::SetReport;
pub use options::SetOptions;

/// The plain values of a cache, typed by serde. Created by [`FragmentCache::values`](crate::FragmentCache::values).
///
/// The key given to [`set`](Self::set) is the whole key: the same key reads and deletes the value,
/// and it never equals a fragment's key.
///
/// A value is serialized as `MessagePack` with the names of its fields. Reading it as a type of
/// another shape (a field added, removed, renamed or of another type) is a miss, never a wrong
/// value. If the meaning of a value changes but its shape does not, use another key or a [type
/// version](Self::type_version). The shape of some types cannot be seen, such as an untagged enum
/// or `serde_json::Value`. Only the build of the program that stored such a value reads it, unless
/// a type version is set. Setting a value of one type ends the values of other types under the same
/// key.
///
/// ```
/// use fragcache::FragmentCache;
///
/// let values = FragmentCache::in_memory().values();
/// values.set("greeting", "hello")?;
/// assert_eq!(values.get::<String>("greeting").as_deref(), Some("hello"));
/// assert_eq!(values.get::<u32>("greeting"), None, "of another type");
///
/// values.delete("greeting").eventually();
/// assert!(!values.contains("greeting")?);
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// A fragment depends on the values that its body reads here: deleting the value deletes the
/// fragment. Setting it again does not.
#[derive(Debug, Clone)]
pub struct Values {
    pub(crate) cache: Handle,
    type_version: Option<u32>,
}

/// A type that can be stored: any type that serde serializes and deserializes, and also text and
/// slices, which are read back as `String` and `Vec`. No other crate implements it.
pub trait Value: Serialize + sealed::Sealed {
    /// The type it is read back as.
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

mod sealed {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    pub trait Sealed {}

    impl<T: Serialize + DeserializeOwned + 'static> Sealed for T {}
    impl Sealed for str {}
    impl<T: Serialize + DeserializeOwned + 'static> Sealed for [T] {}
}

/// Whether an existing entry is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    Replace,
    IfAbsent,
}

impl Values {
    /// The plain values of this cache, or of this handle's namespace.
    pub(crate) fn of(cache: Handle) -> Self {
        Self { cache, type_version: None }
    }

    /// Returns the key of a value, for observers and for
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

    /// Returns a handle to the same values with a version of their types. Raise it when a type
    /// changes in a way that its shape does not show. A value set with another version, or without
    /// one, is a miss. For a type whose shape cannot be seen, the version lets another build read
    /// the value.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let cents = cache.values().type_version(2);
    /// cents.set("price", &1050)?;
    /// assert_eq!(cents.get::<i32>("price"), Some(1050));
    /// assert_eq!(cache.values().get::<i32>("price"), None, "was in euros");
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

    /// Reads a value; `None` if no value of this type can be served. A store that cannot be queried
    /// is a miss and an event.
    pub fn get<T: DeserializeOwned + 'static>(&self, key: impl KeyPart) -> Option<T> {
        self.read(key, Version::default())
    }

    /// Like [`get`](Self::get), for a value stored with this [version](SetOptions::version). A
    /// value of another version is a miss.
    pub fn get_version<T: DeserializeOwned + 'static>(
        &self,
        key: impl KeyPart,
        version: impl KeyPart,
    ) -> Option<T> {
        let version = FragmentKey::new(version);
        self.read(key, self.cache.hasher().version(version.as_bytes()))
    }

    /// Like [`get`](Self::get), but decodes the value once and shares it: its readers get the same
    /// `Arc`, at a cost that does not depend on the value's size.
    ///
    /// The first reader decodes the value. From then on it lies in this process as a `T` in place of
    /// its bytes, and counts as many bytes towards the [bound](crate::CacheBuilder::max_bytes) as
    /// they took. A store still has its bytes. A reader of another type, and [`get`](Self::get),
    /// serialize it again, so read one value in one way. For a value of one's own, clone the `T`.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use std::sync::Arc;
    ///
    /// let values = FragmentCache::in_memory().values();
    /// values.set("primes", &vec![2_u32, 3, 5])?;
    /// let [one, other] = [(); 2].map(|()| values.get_shared::<Vec<u32>>("primes").unwrap());
    /// assert_eq!(*one, [2, 3, 5]);
    /// assert!(Arc::ptr_eq(&one, &other));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn get_shared<T>(&self, key: impl KeyPart) -> Option<Arc<T>>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.read_shared(key, Version::default())
    }

    /// Like [`get_shared`](Self::get_shared), for a value stored with this
    /// [version](SetOptions::version).
    pub fn get_shared_version<T>(&self, key: impl KeyPart, version: impl KeyPart) -> Option<Arc<T>>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let version = FragmentKey::new(version);
        self.read_shared(key, self.cache.hasher().version(version.as_bytes()))
    }

    /// Stores a value with the cache's default timeout and replaces a value of any type under the
    /// key. Returns true if it was stored.
    ///
    /// It is not stored if the cache is [disabled](crate::FragmentCache::disabled) or does not
    /// [store](crate::CacheMode), if it is too large (the old value is removed all the same), or
    /// under a [read point](crate::ReadPoint) that is older than an invalidation of it.
    ///
    /// After this has returned `true`, no process that queries the far store on each hit is served
    /// the old value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Value`](crate::ErrorKind::Value) if the value cannot be serialized,
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the far store did not take it or did not
    /// confirm it. In the second case the new value, the old one or nothing may be stored.
    pub fn set<T: Value + ?Sized>(&self, key: impl KeyPart, value: &T) -> Result<bool, Error> {
        self.put(&self.key(key), value, &SetOptions::default(), Put::Replace)
    }

    /// Like [`set`](Self::set), with a timeout, tags or a version of its own.
    ///
    /// ```
    /// use fragcache::values::SetOptions;
    /// use fragcache::FragmentCache;
    /// use std::time::Duration;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let options = SetOptions::new().expires_after(Duration::from_secs(60)).tags(["product:7"]);
    /// cache.values().set_with(["price", "7"], &10.5, &options)?;
    /// assert_eq!(cache.values().get(["price", "7"]), Some(10.5));
    ///
    /// cache.invalidate_tags(["product:7"])?.eventually();
    /// assert_eq!(cache.values().get::<f64>(["price", "7"]), None);
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

    /// Like [`set`](Self::set), but only if no value of this type is stored. Returns true if this
    /// one was stored. Of several concurrent callers, in all processes that share a store, one
    /// succeeds.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set). After [`ErrorKind::Store`](crate::ErrorKind::Store) it is unknown if
    /// the value was stored. A lock taken this way was not obtained, and may be locked until it
    /// expires.
    pub fn add<T: Value + ?Sized>(&self, key: impl KeyPart, value: &T) -> Result<bool, Error> {
        self.put(&self.key(key), value, &SetOptions::default(), Put::IfAbsent)
    }

    /// Like [`add`](Self::add), with a timeout, tags or a version of its own.
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

    /// Returns true if a value of any type can be served under this key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the far store cannot be queried.
    pub fn contains(&self, key: impl KeyPart) -> Result<bool, Error> {
        Ok(self.cache.newest(&self.key(key))?.is_some())
    }

    /// Deletes the value under this key, of any type.
    pub fn delete(&self, key: impl KeyPart) -> Invalidation {
        self.cache.delete(&self.key(key))
    }

    /// Deletes all values of this cache, or of this handle's namespace, and nothing else. The cost
    /// does not depend on how many there are.
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
    pub fn clear(&self) -> Invalidation {
        let mut batch = self.cache.batch();
        // All values share one group, so any key names it.
        batch.acts.push(Act::Group(self.key("")));
        batch.apply()
    }

    fn source<T: DeserializeOwned + 'static>(&self) -> Arc<EntrySource> {
        let shape = shape::digest::<T>(self.type_version);
        self.cache.sources().of_form(&shape, OutputMode::VALUE)
    }

    /// The bytes of a key in this cache.
    fn buffer(&self, key: impl KeyPart) -> KeyBuffer {
        let mut buffer = KeyBuffer::new();
        buffer.extend_from_slice(self.cache.prefix());
        key::begin_kind(&mut buffer, VALUE, key);
        buffer
    }

    fn read<T: DeserializeOwned + 'static>(
        &self,
        key: impl KeyPart,
        version: Version,
    ) -> Option<T> {
        self.read_encoded(&self.buffer(key), version)
    }

    fn read_encoded<T: DeserializeOwned + 'static>(
        &self,
        key: &[u8],
        version: Version,
    ) -> Option<T> {
        let digest = shape::digest::<T>(self.type_version);
        let quick = self.quick(key, &digest, version);
        let body = match quick_hit(&self.cache, &quick, |entry| entry.body.clone())? {
            Ok(body) => body,
            Err(missed) => self.peek::<T>(&quick, &codec::of_bytes, missed)?,
        };
        codec::decode(&body).or_else(|| self.unreadable(key))
    }

    fn read_shared<T>(&self, key: impl KeyPart, version: Version) -> Option<Arc<T>>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let key = &self.buffer(key);
        let digest = shape::digest::<T>(self.type_version);
        let quick = self.quick(key, &digest, version);
        // Under the lock: no code of the value's type runs here.
        let value = |entry: &Entry| entry.body.to_value().ok_or_else(|| entry.body.clone());
        let body = match quick_hit(&self.cache, &quick, value)? {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(body)) => body,
            Err(missed) => self.peek::<T>(&quick, &codec::shared_of_bytes::<T>, missed)?,
        };
        if let Some(value) = body.to_value() {
            return Some(value);
        }
        let Some((value, decoded)) = codec::decoded(&body) else { return self.unreadable(key) };
        if let Some(near) = self.cache.near() {
            near.replace_form(quick.hashed, quick.variant, &body, decoded);
        }
        Some(value)
    }

    #[inline]
    fn quick<'a>(&self, key: &'a [u8], digest: &'a str, version: Version) -> QuickLookup<'a> {
        QuickLookup {
            hashed: self.cache.hashed(key),
            variant: Variant { digest, mode: OutputMode::VALUE, version },
            options: &Options::PLAIN,
        }
    }

    /// What is stored, after a lookup of the near level.
    fn peek<T: DeserializeOwned + 'static>(
        &self,
        quick: &QuickLookup<'_>,
        body: &impl MakeBody,
        missed: Missed,
    ) -> Option<Body> {
        peek(&self.cache, quick.request(&self.source::<T>()), Context::new(body), missed)
    }

    /// Reports a stored value that is not a `T`.
    fn unreadable<T>(&self, key: &[u8]) -> Option<T> {
        let missed = EventKind::Miss(MissReason::Unreadable);
        self.cache.emit(missed, Some(key), self.cache.sources().rust());
        None
    }

    /// The request that stores a value with these options.
    fn request<'a>(
        &self,
        key: &'a [u8],
        source: &'a Arc<EntrySource>,
        options: &SetOptions,
        put: Put,
    ) -> Request<'a> {
        let version = options.0.version(self.cache.hasher());
        let refresh = put == Put::Replace;
        let options = Options { refresh, is_given: true, ..options.0.lookup };
        Request { hashed: self.cache.hashed(key), source, version, options }
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
            report => Ok(report == SetReport::Stored),
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
        let source = self.source::<T::Owned>();
        let request = self.request(&key, &source, options, put);
        let context = Context::new(&codec::of_bytes);
        for _ in 0..GIVEN_ATTEMPTS {
            let Opened::Render(ticket) = open(cache, request, context, None, |_| ()) else {
                return Ok(SetReport::NotStored);
            };
            ticket.tag(&options.0.tags);
            let outcome = ticket.close(body.clone()).outcome;
            if put == Put::IfAbsent || !is_outrun(cache, outcome) {
                return Ok(outcome.into());
            }
        }
        Ok(SetReport::NotStored)
    }
}
