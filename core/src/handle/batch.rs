//! Invalidations that are collected first and applied together.

use std::time::Duration;

use super::{Handle, Invalidation};
use crate::error::Error;
#[cfg(feature = "values")]
use crate::error::ErrorKind;
use crate::freshness::Mark;
use crate::key::{self, FragmentKey, KeyPart};
#[cfg(feature = "async")]
use crate::key::{VIEW, view_key};
use crate::tag;

/// Deletions and invalidations that are applied together or not at all.
///
/// Created by [`FragmentCache::batch`](crate::FragmentCache::batch). Collect during a database transaction, call
/// [`apply`](Self::apply) after the commit, and drop the batch on a rollback. A dropped batch, also
/// one dropped by a panic, invalidates nothing. Do not apply it before the commit: other requests
/// could then store what they read of the old data.
///
/// ```
/// use fragcache::{Fragment, FragmentCache, fragment_key};
///
/// let cache = FragmentCache::in_memory();
/// let row = Fragment::new(fragment_key!("row", 7)).tags(["product:7"]);
/// cache.render(&row, || "10 €")?;
///
/// let mut batch = cache.batch();
/// batch.invalidate_tags(["product:7"])?.delete(&fragment_key!("grid"));
/// assert!(cache.contains(row.key())?, "nothing has happened yet");
/// // … the transaction commits …
/// batch.apply().eventually();
/// assert!(!cache.contains(row.key())?);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a batch does nothing until it is applied"]
pub struct InvalidationBatch {
    cache: Handle,
    pub(crate) acts: Vec<Act>,
    pub(crate) replica_lag: Option<Duration>,
}

/// One thing to invalidate.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Key(FragmentKey),
    Name(FragmentKey),
    /// All keys in the same group as this key.
    #[cfg(feature = "values")]
    Group(FragmentKey),
    Template(Box<str>),
    Tag(Box<str>),
    Clear,
}

impl InvalidationBatch {
    pub(crate) fn new(cache: Handle, replica_lag: Option<Duration>) -> Self {
        Self { cache, acts: Vec::new(), replica_lag }
    }

    /// Adds a [`FragmentCache::delete`](crate::FragmentCache::delete) to the batch.
    pub fn delete(&mut self, key: &FragmentKey) -> &mut Self {
        self.acts.push(Act::Key(key.clone()));
        self
    }

    /// Adds a [`FragmentCache::delete_name`](crate::FragmentCache::delete_name) to the batch.
    pub fn delete_name(&mut self, name: impl KeyPart) -> &mut Self {
        self.acts.push(Act::Name(FragmentKey::new(name)));
        self
    }

    /// Adds a [`FragmentCache::delete_name_of`](crate::FragmentCache::delete_name_of) to the batch.
    pub fn delete_name_of(&mut self, key: &FragmentKey) -> &mut Self {
        let bare = key.bare();
        // A key made of template and line, or one of which only a digest is known.
        if key::name_bytes(bare.as_bytes()).is_none() {
            self.acts.push(Act::Key(bare));
            return self;
        }
        // A function and a method of the same name are deleted together.
        self.acts.extend(bare.counterpart().map(Act::Name));
        self.acts.push(Act::Name(bare));
        self
    }

    /// Adds a [`FragmentCache::delete_template`](crate::FragmentCache::delete_template) to the batch.
    pub fn delete_template(&mut self, template: &str) -> &mut Self {
        self.acts.push(Act::Template(template.into()));
        self
    }

    /// Adds a [`FragmentCache::invalidate_tags`](crate::FragmentCache::invalidate_tags) to the batch.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tag`](crate::ErrorKind::Tag) for a tag that is empty or longer than
    /// [`MAX_TAG_BYTES`](crate::tag::MAX_TAG_BYTES). None of the tags is added then.
    pub fn invalidate_tags<T: AsRef<str>>(
        &mut self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<&mut Self, Error> {
        let before = self.acts.len();
        for text in tags {
            let text = text.as_ref();
            if let Err(error) = tag::check(text) {
                self.acts.truncate(before);
                return Err(error);
            }
            self.acts.push(Act::Tag(text.into()));
        }
        Ok(self)
    }

    /// Adds a [`FragmentCache::delete_memoized`](crate::FragmentCache::delete_memoized) to the batch.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Key`](crate::ErrorKind::Key) if an argument cannot be serialized. Nothing is
    /// added then, and no result is stored for such a call.
    #[cfg(feature = "values")]
    pub fn delete_memoized(&mut self, calls: impl Into<CallSelector>) -> Result<&mut Self, Error> {
        self.acts.extend(calls.into().acts()?);
        Ok(self)
    }

    /// Adds a [`FragmentCache::clear`](crate::FragmentCache::clear) to the batch.
    pub fn clear(&mut self) -> &mut Self {
        self.acts.push(Act::Clear);
        self
    }

    /// Repeats this batch `lag` after it is applied, instead of after the cache's
    /// [`replica_lag`](crate::CacheBuilder::replica_lag). Use it for data that other requests read
    /// from a replica.
    ///
    /// ```
    /// use fragcache::testing::ManualClock;
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let cache = FragmentCache::builder().clock(clock.clone()).build()?;
    /// let row = Fragment::new(fragment_key!("row"));
    ///
    /// let mut batch = cache.batch();
    /// batch.delete(row.key()).replica_lag(Duration::from_secs(2));
    /// batch.apply().eventually();
    /// cache.render(&row, || "from a replica that has not heard of the change")?;
    /// clock.advance(Duration::from_secs(2));
    /// assert!(!cache.contains(row.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn replica_lag(&mut self, lag: Duration) -> &mut Self {
        self.replica_lag = Some(lag);
        self
    }

    /// Like [`FragmentCache::delete_view`](crate::FragmentCache::delete_view), when the batch is applied.
    #[cfg(feature = "async")]
    pub fn delete_view(&mut self, name: &str, path: impl KeyPart) -> &mut Self {
        self.acts.push(Act::Group(view_key(name, path)));
        self
    }

    /// Like [`FragmentCache::delete_views`](crate::FragmentCache::delete_views), when the batch is applied.
    #[cfg(feature = "async")]
    pub fn delete_views(&mut self, name: &str) -> &mut Self {
        self.acts.push(Act::Name(FragmentKey::of_kind(VIEW, name)));
        self
    }

    /// Returns true if the batch is empty.
    pub fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }

    /// Applies the whole batch. After this returns, no read is served anything the batch covers
    /// that was read before. Returns [`Invalidation::Invalidated`] for any content of the batch.
    pub fn apply(self) -> Invalidation {
        self.cache.clone().apply(&self)
    }

    /// Runs a write, then applies the batch unless the write returns an error. If the write panics,
    /// the batch is applied as well: the data may have changed, and a needless invalidation costs
    /// only a miss.
    ///
    /// Use it for a write that commits by itself, such as a single statement or a function that
    /// opens and commits a transaction. Inside a transaction of the caller, call
    /// [`apply`](Self::apply) after the commit instead.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let list = Fragment::new(fragment_key!("comments"));
    /// cache.render(&list, || "<li>first")?;
    ///
    /// let insert = |text: &str| if text.is_empty() { Err("say something") } else { Ok(1) };
    /// let after = || {
    ///     let mut batch = cache.batch();
    ///     batch.delete(list.key());
    ///     batch
    /// };
    /// assert!(after().apply_after(|| insert("")).is_err());
    /// assert!(cache.contains(list.key())?);
    /// assert_eq!(after().apply_after(|| insert("second")), Ok(1));
    /// assert!(!cache.contains(list.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the write.
    pub fn apply_after<T, E>(self, write: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let after = After(Some(self));
        after.settle(write())
    }

    /// Like [`apply_after`](Self::apply_after), for an asynchronous write. If the future is dropped
    /// after its first poll, the batch is applied, because the data may have changed.
    ///
    /// The far store is called on the thread that polls or drops the future.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let cache = FragmentCache::in_memory();
    /// cache.values().set("stock", &3).unwrap();
    /// let mut batch = cache.batch();
    /// batch.delete(&cache.values().key("stock"));
    /// assert_eq!(batch.apply_after_async(async { Ok::<_, ()>("sold") }).await, Ok("sold"));
    /// assert!(!cache.values().contains("stock").unwrap());
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the write.
    #[cfg(feature = "async")]
    pub async fn apply_after_async<T, E>(
        self,
        write: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let after = After(Some(self));
        after.settle(write.await)
    }
}

/// Applies a batch when dropped, unless the write failed.
struct After(Option<InvalidationBatch>);

impl After {
    fn settle<T, E>(mut self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.0 = None;
        }
        result
    }
}

impl Drop for After {
    fn drop(&mut self) {
        if let Some(batch) = self.0.take() {
            // A pending result is counted and reported by the cache itself.
            let _ = batch.apply();
        }
    }
}

impl Act {
    /// The label of this act in a cache; `None` for everything in the cache.
    pub(crate) fn mark(&self, cache: &Handle) -> Option<Mark> {
        match self {
            Self::Key(key) => Some(cache.key_label(key).into()),
            Self::Name(key) => cache.name_label(key).map(Into::into),
            #[cfg(feature = "values")]
            Self::Group(key) => cache.group_label(key).map(Into::into),
            Self::Template(template) => Some(cache.template_label(template).into()),
            Self::Tag(text) => Some(Mark::tag(cache.tag_label(text), text)),
            Self::Clear => cache.namespace_label().map(Into::into),
        }
    }
}

/// The calls to delete: one call, all calls on an instance, or all calls of a function.
#[cfg(feature = "values")]
#[derive(Debug, Clone)]
pub struct CallSelector(Result<Act, String>);

#[cfg(feature = "values")]
fn unusable(why: &str) -> Error {
    let message = format!(
        "an argument cannot be part of a key: {why}; pass what identifies it, or leave it out"
    );
    Error::new(ErrorKind::Key, message)
}

#[cfg(feature = "values")]
impl CallSelector {
    /// What deletes the calls, or why an argument cannot be part of a key.
    pub(crate) fn new(act: Result<Act, String>) -> Self {
        Self(act)
    }

    /// The key, if one call is selected.
    pub(super) fn key(&self) -> Option<&FragmentKey> {
        match &self.0 {
            Ok(Act::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// The acts that delete these calls.
    pub(crate) fn acts(self) -> Result<Vec<Act>, Error> {
        let act = self.0.map_err(|why| unusable(&why))?;
        // A function and a method of the same name are deleted together.
        let counterpart = match &act {
            Act::Name(key) => key.counterpart().map(Act::Name),
            _ => None,
        };
        Ok(counterpart.into_iter().chain([act]).collect())
    }
}
