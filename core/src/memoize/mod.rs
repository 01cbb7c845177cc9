//! Calls of functions whose results are kept: a function's name, its arguments by value, and how the
//! result is kept. What a call goes through is in `serve`, and for tasks in `serve_async`.

#[cfg(all(test, not(fragcache_shuttle)))]
mod arguments;
mod serve;
#[cfg(feature = "async")]
mod serve_async;
mod site;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;
mod unordered;

pub use site::CallSite;
pub use unordered::Unordered;

use std::time::Duration;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::batch::Act;
use crate::cache::{FragmentCache, Invalidation};
use crate::error::{Error, ErrorKind};
use crate::key::{self, FUNCTION, FragmentKey, KeyPart, METHOD};
use crate::timeout::Timeout;

/// A function whose results are kept, by a name that no other function of the cache has: its path is
/// a good one.
///
/// The attribute [`memoize`](https://docs.rs/fragcache-macros) (feature `macros`) writes all of this for
/// a function.
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

/// A method of one instance, which is known by what identifies it.
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

/// One call: a function and a list of arguments, and how its result is kept.
#[derive(Debug, Clone)]
#[must_use]
pub struct Call {
    key: Vec<u8>,
    /// Why the arguments cannot be a key.
    unusable: Option<String>,
    pub(crate) timeout: Timeout,
    pub(crate) unless: bool,
    pub(crate) refresh: bool,
    pub(crate) tags: Vec<Box<str>>,
    pub(crate) stale: Option<Duration>,
    pub(crate) version: Option<FragmentKey>,
    type_version: Option<u32>,
    pub(crate) source: Option<u64>,
    pub(crate) path: Option<u64>,
    site: Option<&'static CallSite>,
}

/// Calls to be deleted: one, all of an instance, or all of a function.
#[derive(Debug, Clone)]
pub struct CallSelector(Result<Act, String>);

impl Function {
    /// The function of this name.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// A call without arguments so far.
    pub fn call(self) -> Call {
        Call::begin(FUNCTION, self.0)
    }

    /// The method of this name of the instance that `identity` identifies, such as its primary key. It counts
    /// as an [argument](Call::arg) does.
    pub fn of<T: Serialize + ?Sized>(self, identity: &T) -> Method {
        Method(Call::begin(METHOD, self.0).arg(identity))
    }
}

impl Method {
    /// A call without arguments so far, but for the instance.
    pub fn call(&self) -> Call {
        self.0.clone()
    }
}

impl Call {
    fn begin(kind: u8, name: &'static str) -> Self {
        Self {
            key: FragmentKey::of_kind(kind, name).as_bytes().to_vec(),
            unusable: None,
            timeout: Timeout::Default,
            unless: false,
            refresh: false,
            tags: Vec::new(),
            stale: None,
            version: None,
            type_version: None,
            source: None,
            path: None,
            site: None,
        }
    }

    /// The next argument, by value: whatever implements `Serialize`. Two calls are one exactly if
    /// their arguments are equal one by one, by kind and value: `42` is not `"42"`, `Some(1)` not
    /// `1`, `-0.0` not `0.0`; the width of a number and the order of a map do not count, that of a
    /// set only inside [`Unordered`]. What cannot be serialized makes the call go by the cache, and is counted.
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
    pub fn arg<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        if let Err(error) = key::encode_by_value(value, &mut self.key) {
            self.unusable.get_or_insert_with(|| error.to_string());
        }
        self
    }

    /// The next argument, as a part of a key.
    pub fn part(mut self, part: impl KeyPart) -> Self {
        part.encode(&mut key::KeyEncoder::new(&mut self.key));
        self
    }

    /// Sets the timeout of the result; the cache's default without. [`Timeout::Delete`] deletes what
    /// is kept and keeps nothing. Zero goes by the cache, and is counted.
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.timeout = timeout;
        self
    }

    /// The result expires so long after it was computed.
    pub fn expires_after(self, life: Duration) -> Self {
        self.timeout(Timeout::After(life))
    }

    /// The result never expires.
    pub fn never_expires(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// If true, the function runs and the cache is neither read nor written, and no fragment around
    /// the call is stored.
    pub fn unless(mut self, yes: bool) -> Self {
        self.unless = yes;
        self
    }

    /// If true, the function runs and its result replaces what is kept: Flask-Caching's
    /// `forced_update`. What is kept stays if the function fails.
    pub fn refresh(mut self, yes: bool) -> Self {
        self.refresh = yes;
        self
    }

    /// Adds tags: whoever [invalidates](FragmentCache::invalidate_tags) one of them deletes the
    /// result. An unusable one makes the call go by the cache, and is counted.
    pub fn tags<T: AsRef<str>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(|tag| tag.as_ref().into()));
        self
    }

    /// How long after its end the result may be given to all but the one caller who computes it anew,
    /// and in place of an error; see [`Fragment::stale`](crate::Fragment::stale).
    pub fn stale(mut self, window: Duration) -> Self {
        self.stale = Some(window);
        self
    }

    /// The version of the record that the result is made of: a result of another version is a miss.
    pub fn version(mut self, version: impl KeyPart) -> Self {
        self.version = Some(FragmentKey::new(version));
        self
    }

    /// The version of the result's type: raise it when the type changes in a way that its shape does not
    /// tell. A result of another version is a miss. Where the shape of a type cannot be seen, such as
    /// that of an untagged enum or `serde_json::Value`, the version is what another build of the program
    /// reads the result by; without one it does not.
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
    pub fn type_version(mut self, version: u32) -> Self {
        self.type_version = Some(version);
        self
    }

    /// The digest of the function's source, where a result of another source is a miss. The attribute
    /// `#[memoize(source_check)]` fills it in.
    pub fn source(mut self, digest: u64) -> Self {
        self.source = Some(digest);
        self
    }

    /// Where the function stands: a result of a function that stands elsewhere is a miss, so that two
    /// that were given one name never have each other's results. Deleting reaches both. The attribute
    /// `#[memoize]` fills it in, with the types that the function is made for.
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

    /// As [`path`](Self::path), for a function that stands at a [`CallSite`]. `path` is what the compiler
    /// calls the function, with the types that it is made for, as `std::any::type_name_of_val(&|| ())`
    /// says it there: the same in every process, and another for each of those types. Two functions may
    /// share it, as long as each has a site of its own. The attribute `#[memoize]` fills it in.
    pub fn site(mut self, site: &'static CallSite, path: &str) -> Self {
        self.path = Some(site.digest(path));
        self.site = Some(site);
        self
    }

    /// The key of this call, for observers and for [`FragmentCache::delete`].
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
        Self(match &call.unusable {
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
        Self(Ok(Act::Name(FragmentKey::of_kind(FUNCTION, function.0))))
    }
}

impl From<&Method> for CallSelector {
    fn from(Method(call): &Method) -> Self {
        Self(match &call.unusable {
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

impl CallSelector {
    /// What deletes them.
    pub(crate) fn acts(self) -> Result<Vec<Act>, Error> {
        let act = self.0.map_err(|why| unusable(&why))?;
        // A method's name is that of a function called so.
        let counterpart = match &act {
            Act::Name(key) => key.counterpart().map(Act::Name),
            _ => None,
        };
        Ok(counterpart.into_iter().chain([act]).collect())
    }
}

impl FragmentCache {
    /// Deletes the results of one call, of all calls on an instance, or of all calls of a function,
    /// whatever that costs to count: it costs the same however many there are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Key`] if an argument cannot be serialized; no result was kept for such a call.
    pub fn delete_memoized(&self, calls: impl Into<CallSelector>) -> Result<Invalidation, Error> {
        let calls = calls.into();
        if let Ok(Act::Key(key)) = &calls.0 {
            return Ok(self.delete(key));
        }
        let mut batch = self.batch();
        batch.acts.extend(calls.acts()?);
        Ok(batch.apply())
    }
}
