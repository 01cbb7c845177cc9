//! Memoized functions: a function's name, its arguments by value, and the options of its result.
//! `serve` runs a call.

#[cfg(all(test, not(fragcache_shuttle)))]
mod arguments;
mod form;
mod serve;
mod site;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;
mod unordered;

pub(crate) use serve::{try_memoize, try_memoize_shared};
#[cfg(feature = "async")]
pub(crate) use serve::{try_memoize_async, try_memoize_shared_async};
pub use site::CallSite;
pub use unordered::Unordered;

use std::time::Duration;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind};
use crate::handle::Act;
pub use crate::handle::CallSelector;
use crate::key::{self, FUNCTION, FragmentKey, KeyBuffer, KeyPart, METHOD};
use crate::options::EntryOptions;
use crate::timeout::Timeout;

/// A memoized function, identified by a name. The name must be unique in the cache; the function's
/// path is a good choice.
///
/// The attribute [`memoize`](https://docs.rs/fragcache-macros) (feature `macros`) writes all of
/// this for a function.
///
/// ```
/// use fragcache::memoize::{Call, Function};
/// use fragcache::FragmentCache;
///
/// const SQUARE: Function = Function::new("docs::square");
///
/// let cache = FragmentCache::in_memory();
/// let mut ran = 0;
/// let mut square = |n: u64| {
///     cache.memoize(&SQUARE.call().arg(&n), || {
///         ran += 1;
///         n * n
///     })
/// };
/// assert_eq!((square(3), square(3), square(4)), (9, 9, 16));
/// assert_eq!(ran, 2);
///
/// cache.delete_memoized(&SQUARE.call().arg(&3_u64))?.eventually(); // one list of arguments
/// cache.delete_memoized(SQUARE)?.eventually(); // all of them
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Function(&'static str);

/// A method of one instance. A value such as a primary key identifies the instance.
///
/// ```
/// use fragcache::memoize::Function;
/// use fragcache::FragmentCache;
///
/// const BALANCE: Function = Function::new("docs::Account::balance");
///
/// let cache = FragmentCache::in_memory();
/// let balance = |account: u32| cache.memoize(&BALANCE.of(&account).call(), || 100 * account);
/// assert_eq!((balance(1), balance(2)), (100, 200));
///
/// cache.delete_memoized(&BALANCE.of(&1_u32))?.eventually();
/// assert!(!cache.contains(&BALANCE.of(&1_u32).call().key()?)?);
/// assert!(cache.contains(&BALANCE.of(&2_u32).call().key()?)?);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Method(Call);

/// One call: a function, its arguments, and the options of its result.
#[derive(Debug, Clone)]
#[must_use]
pub struct Call {
    key: KeyBuffer,
    /// Why the arguments cannot form a key.
    unusable: Option<String>,
    options: EntryOptions,
    type_version: Option<u32>,
    source: Option<u64>,
    path: Option<u64>,
    /// The place of the function, and its path there.
    site: Option<(&'static CallSite, &'static str)>,
}

impl Function {
    /// Creates a function with this name.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Returns the name.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// Starts a call without arguments.
    #[inline]
    pub fn call(self) -> Call {
        Call::begin(FUNCTION, self.0)
    }

    /// Returns the method of this name on the instance that `identity` identifies, such as its
    /// primary key. `identity` is compared like an [argument](Call::arg).
    pub fn of<T: Serialize + ?Sized>(self, identity: &T) -> Method {
        Method(Call::begin(METHOD, self.0).arg(identity))
    }
}

impl Method {
    /// Starts a call on this instance, without further arguments.
    #[inline]
    pub fn call(&self) -> Call {
        self.0.clone()
    }
}

impl Call {
    fn begin(kind: u8, name: &'static str) -> Self {
        let mut key = KeyBuffer::new();
        key::begin_kind(&mut key, kind, name);
        Self {
            key,
            unusable: None,
            options: EntryOptions::default(),
            type_version: None,
            source: None,
            path: None,
            site: None,
        }
    }

    /// Adds an argument by value, of any type that implements `Serialize`.
    ///
    /// Two calls are the same exactly if their arguments are pairwise equal by kind and value: `42`
    /// differs from `"42"`, `Some(1)` from `1`, `-0.0` from `0.0`. The width of a number and the
    /// order of a map do not matter; the order of a set does, unless it is inside [`Unordered`]. If
    /// an argument cannot be serialized, the call bypasses the cache and is counted.
    ///
    /// ```
    /// use fragcache::memoize::Function;
    ///
    /// const LOAD: Function = Function::new("docs::load");
    ///
    /// assert_eq!(LOAD.call().arg(&42_u8).key()?, LOAD.call().arg(&42_i64).key()?);
    /// assert_ne!(LOAD.call().arg(&42).key()?, LOAD.call().arg("42").key()?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    #[inline]
    pub fn arg<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        if let Err(error) = key::encode_by_value(value, &mut self.key) {
            self.refuse(&error);
        }
        self
    }

    #[cold]
    fn refuse(&mut self, error: &dyn std::error::Error) {
        self.unusable.get_or_insert_with(|| error.to_string());
    }

    /// Adds an argument as a key part.
    pub fn part(mut self, part: impl KeyPart) -> Self {
        part.encode(&mut key::KeyEncoder::new(&mut self.key));
        self
    }

    /// Sets the timeout of the result. Default: the cache's default timeout. [`Timeout::Delete`]
    /// deletes the stored result and stores nothing. With a timeout of zero the call bypasses the
    /// cache and is counted.
    #[inline]
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.options.lookup.timeout = timeout;
        self
    }

    /// Makes the result expire `ttl` after it was computed.
    #[inline]
    pub fn expires_after(self, ttl: Duration) -> Self {
        self.timeout(Timeout::After(ttl))
    }

    /// Makes the result never expire.
    #[inline]
    pub fn never_expires(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// If true, runs the function without reading or writing the cache. No fragment around the call
    /// is stored either.
    #[inline]
    pub fn unless(mut self, yes: bool) -> Self {
        self.options.lookup.unless = yes;
        self
    }

    /// If true, runs the function and replaces the stored result: Flask-Caching's `forced_update`.
    /// The stored result stays if the function fails.
    #[inline]
    pub fn refresh(mut self, yes: bool) -> Self {
        self.options.lookup.refresh = yes;
        self
    }

    /// Adds tags. [Invalidating](crate::FragmentCache::invalidate_tags) one of them deletes the result.
    /// With an unusable tag the call bypasses the cache and is counted.
    pub fn tags<T: AsRef<str>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.options.add_tags(tags);
        self
    }

    /// Sets how long the result may still be served after it has expired: while one caller
    /// recomputes it, and in place of an error; see [`Fragment::stale`](crate::Fragment::stale).
    #[inline]
    pub fn stale(mut self, window: Duration) -> Self {
        self.options.lookup.stale = Some(window);
        self
    }

    /// Sets the version of the record behind the result. A result of another version is a miss.
    pub fn version(mut self, version: impl KeyPart) -> Self {
        self.options.version = Some(FragmentKey::new(version));
        self
    }

    /// Sets the version of the result's type. Raise it when the type changes in a way that its
    /// shape does not show. A result of another version is a miss.
    ///
    /// The shape of some types cannot be seen, such as an untagged enum or `serde_json::Value`.
    /// Another build of the program reads such a result only if a version is set.
    ///
    /// ```
    /// use fragcache::memoize::Function;
    /// use fragcache::FragmentCache;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let call = Function::new("docs::price").call();
    /// assert_eq!(cache.memoize(&call.clone().type_version(1), || 10), 10);
    /// assert_eq!(cache.memoize(&call.type_version(2), || 1050), 1050);
    /// ```
    #[inline]
    pub fn type_version(mut self, version: u32) -> Self {
        self.type_version = Some(version);
        self
    }

    /// Sets the digest of the function's source: a result of another source is a miss. The
    /// attribute `#[memoize(source_check)]` sets it.
    #[inline]
    pub fn source(mut self, digest: u64) -> Self {
        self.source = Some(digest);
        self
    }

    /// Sets the path of the function: a result of a function with another path is a miss, so that
    /// two functions under one name never receive each other's results. Deleting reaches both. The
    /// attribute `#[memoize]` sets it, including the function's type arguments.
    ///
    /// ```
    /// use fragcache::memoize::Function;
    /// use fragcache::FragmentCache;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let call = Function::new("docs::load").call().arg(&7);
    /// assert_eq!(cache.memoize(&call.clone().path("docs::film::load"), || "film".to_owned()), "film");
    /// assert_eq!(cache.memoize(&call.clone().path("docs::user::load"), || "user".to_owned()), "user");
    ///
    /// cache.delete_memoized(&call)?.eventually();
    /// assert!(!cache.contains(&call.key()?)?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(xxh3_64(path.as_bytes()));
        self
    }

    /// Like [`path`](Self::path), for a function at a [`CallSite`]. `path` is the compiler's name
    /// of the function with its type arguments, as `std::any::type_name_of_val(&|| ())` returns it
    /// there: the same in every process, and different for each choice of type arguments. Two
    /// functions may share a path as long as each has its own site. The attribute `#[memoize]` sets
    /// it.
    #[inline]
    pub fn site(mut self, site: &'static CallSite, path: &'static str) -> Self {
        self.site = Some((site, path));
        self
    }

    /// Returns the key of this call, for observers and for [`FragmentCache::delete`](crate::FragmentCache::delete).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Key`] if an argument cannot be serialized.
    pub fn key(&self) -> Result<FragmentKey, Error> {
        match &self.unusable {
            None => Ok(FragmentKey::from_encoded(&self.key)),
            Some(why) => Err(unusable(why)),
        }
    }
}

fn unusable(why: &str) -> Error {
    let message = format!(
        "an argument cannot be part of a key: {why}; pass what identifies it, or leave it out"
    );
    Error::new(ErrorKind::Key, message)
}

impl From<&Call> for CallSelector {
    fn from(call: &Call) -> Self {
        Self::new(match &call.unusable {
            None => Ok(Act::Key(FragmentKey::from_encoded(&call.key))),
            Some(why) => Err(why.clone()),
        })
    }
}

impl From<Call> for CallSelector {
    fn from(call: Call) -> Self {
        Self::from(&call)
    }
}

impl From<Function> for CallSelector {
    fn from(function: Function) -> Self {
        Self::new(Ok(Act::Name(FragmentKey::of_kind(FUNCTION, function.0))))
    }
}

impl From<&Method> for CallSelector {
    fn from(Method(call): &Method) -> Self {
        Self::new(match &call.unusable {
            None => Ok(Act::Group(FragmentKey::from_encoded(&call.key))),
            Some(why) => Err(why.clone()),
        })
    }
}

impl From<Method> for CallSelector {
    fn from(instance: Method) -> Self {
        Self::from(&instance)
    }
}
