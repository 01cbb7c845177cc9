//! Read points: the moment from which the data of a render may have been read.

use std::cell::RefCell;

use crate::freshness::Sequence;
use crate::sync::thread_local;

/// The moment before data was read, in the order of one cache's invalidations.
///
/// A fragment is as old as the data in it. By default that is the moment when the fragment begins,
/// or the fragment around it. A handler that loads its data before it renders takes a read point
/// first and renders within its [`scope`](Self::scope). A fragment that was invalidated after the
/// point is printed but not stored.
///
/// A read point is a plain value: it can be stored, copied, sent to another thread and carried
/// across `.await`. It has a meaning only for the cache that created it.
///
/// ```
/// use fragcache::{Fragment, FragmentCache, fragment_key};
///
/// let cache = FragmentCache::in_memory();
/// let price = Fragment::new(fragment_key!("price", 7)).tags(["product:7"]);
///
/// let point = cache.read_point();
/// let loaded = "10 €"; // from the database …
/// cache.invalidate_tags(["product:7"])?.eventually(); // … where another request changes it
///
/// let page = point.scope(|| cache.render(&price, || loaded))?;
/// assert_eq!(&*page, "10 €");
/// assert!(!cache.contains(price.key())?, "printed, and not stored");
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPoint {
    cache: u64,
    at: ReadPosition,
}

/// A read point in both levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadPosition {
    pub(crate) near: Sequence,
    /// The number of the far level's fences at that time; 0 if unknown.
    pub(crate) far: u64,
}

impl ReadPosition {
    /// The older of the two, level by level.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { near: self.near.min(other.near), far: self.far.min(other.far) }
    }
}

thread_local! {
    /// The read points with a scope open on this thread.
    static OPEN: RefCell<Vec<ReadPoint>> = const { RefCell::new(Vec::new()) };
}

impl ReadPoint {
    pub(crate) fn new(cache: u64, at: ReadPosition) -> Self {
        Self { cache, at }
    }

    /// Runs `render` under this read point: every fragment that begins in it on this thread counts
    /// as old as the point. Scopes may nest; of several points of one cache the oldest applies.
    pub fn scope<R>(&self, render: impl FnOnce() -> R) -> R {
        struct Open;
        impl Drop for Open {
            fn drop(&mut self) {
                let _ = OPEN.try_with(|open| open.borrow_mut().pop());
            }
        }
        OPEN.with(|open| open.borrow_mut().push(*self));
        let _open = Open;
        render()
    }

    /// Returns the point as text, for a template's context. Both engine extensions look for it
    /// under the name `fragcache_read_point`.
    ///
    /// ```
    /// use fragcache::{FragmentCache, ReadPoint};
    ///
    /// let point = FragmentCache::in_memory().read_point();
    /// assert_eq!(ReadPoint::from_token(&point.to_token()), Some(point));
    /// assert_eq!(ReadPoint::from_token("yesterday"), None);
    /// ```
    pub fn to_token(&self) -> String {
        format!("{:016x}.{:x}.{:x}", self.cache, self.at.near.to_bits(), self.at.far)
    }

    /// Parses the output of [`to_token`](Self::to_token); `None` for anything else.
    pub fn from_token(token: &str) -> Option<Self> {
        let mut numbers = token.split('.').map(|text| u64::from_str_radix(text, 16).ok());
        let mut number = || numbers.next().flatten();
        let cache = number()?;
        let at = ReadPosition { near: Sequence::from_bits(number()?), far: number()? };
        numbers.next().is_none().then_some(Self { cache, at })
    }

    /// The position of this point, if it belongs to the cache with this number.
    pub(crate) fn of(&self, cache: u64) -> Option<ReadPosition> {
        (self.cache == cache).then_some(self.at)
    }
}

/// The oldest read point of a cache with a scope open on this thread.
pub(crate) fn oldest_open(cache: u64) -> Option<ReadPosition> {
    OPEN.with(|open| {
        open.borrow().iter().filter_map(|point| point.of(cache)).reduce(ReadPosition::min)
    })
}
