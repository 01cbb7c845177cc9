//! Deletions and invalidations.

use super::FragmentCache;
use crate::error::Error;
use crate::handle::{Invalidation, InvalidationBatch};
use crate::key::{FragmentKey, KeyPart};

impl FragmentCache {
    /// Deletes a fragment: every variant of the key, and every render of it under way.
    pub fn delete(&self, key: &FragmentKey) -> Invalidation {
        self.handle.delete(key)
    }

    /// Deletes several fragments, and reports each in the order given, as if it were deleted after
    /// the one before it. With a far store this takes two round trips per 128 keys. If the store
    /// refuses such a batch, its keys are deleted one by one.
    ///
    /// ```
    /// use fragcache::{Invalidation, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let done = cache.delete_many([&fragment_key!("row", 1), &fragment_key!("row", 2)]);
    /// assert_eq!(done, [Invalidation::Absent, Invalidation::Absent]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k FragmentKey>,
    ) -> Vec<Invalidation> {
        self.handle.delete_many(keys)
    }

    /// Deletes every fragment called `name`, with any vary parts. The cost does not depend on their
    /// number.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.render(&Fragment::new(fragment_key!("row", 1)), || "one")?;
    /// cache.delete_name("row").eventually();
    /// assert!(!cache.contains(&fragment_key!("row", 1))?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_name(&self, name: impl KeyPart) -> Invalidation {
        self.handle.delete_name(name)
    }

    /// Deletes everything that has the name and the [kind](FragmentKey::kind) of `key`, with any
    /// vary parts. For a function this includes the results of the method of the same name, on any
    /// instance; for a method, those of the function. An unnamed key (a template and a line) is
    /// deleted by itself.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.render(&Fragment::new(fragment_key!("row", 1)), || "one")?;
    /// cache.delete_name_of(&fragment_key!("row", 7)).eventually();
    /// assert!(!cache.contains(&fragment_key!("row", 1))?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_name_of(&self, key: &FragmentKey) -> Invalidation {
        self.handle.delete_name_of(key)
    }

    /// Deletes every fragment whose cache block is in the template called `template`.
    pub fn delete_template(&self, template: &str) -> Invalidation {
        self.handle.delete_template(template)
    }

    /// Deletes every fragment that carries one of these tags, and every fragment around one. The
    /// cost does not depend on their number.
    ///
    /// Tags are declared on the cache block (`tags=["post:7"]`), on a
    /// [`Fragment`](crate::Fragment), or inside the body by
    /// [`current::add_tags`](crate::current::add_tags).
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let post = Fragment::new(fragment_key!("post", 7)).tags(["post:7", "author:2"]);
    /// cache.render(&post, || "<h1>Hello</h1>")?;
    /// cache.invalidate_tags(["author:2"])?.eventually();
    /// assert!(!cache.contains(post.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tag`](crate::ErrorKind::Tag) for a tag that is empty or longer than
    /// [`MAX_TAG_BYTES`](crate::tag::MAX_TAG_BYTES); nothing is invalidated then.
    pub fn invalidate_tags<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<Invalidation, Error> {
        self.handle.invalidate_tags(tags)
    }

    /// Deletes everything in this handle's [namespace](Self::namespace). On a handle without one,
    /// deletes the whole cache, namespaces included.
    pub fn clear(&self) -> Invalidation {
        self.handle.clear()
    }

    /// Starts a batch of deletions and invalidations in this handle's namespace. Apply it after the
    /// commit of a transaction; see [`InvalidationBatch`].
    pub fn batch(&self) -> InvalidationBatch {
        self.handle.batch()
    }

    #[cfg(feature = "async")]
    /// Deletes the responses of a view for a path, or for what its key function returns in place of
    /// the path: for all hosts, query strings and headers. The cost does not depend on their
    /// number.
    ///
    /// ```
    /// use fragcache::{Invalidation, FragmentCache};
    ///
    /// let cache = FragmentCache::in_memory();
    /// assert_eq!(cache.delete_view("film", "/film/7"), Invalidation::Invalidated);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_view(&self, name: &str, path: impl KeyPart) -> Invalidation {
        self.handle.delete_view(name, path)
    }

    #[cfg(feature = "async")]
    /// Deletes all responses of a view.
    ///
    /// ```
    /// use fragcache::{Invalidation, FragmentCache};
    ///
    /// let cache = FragmentCache::in_memory();
    /// assert_eq!(cache.delete_views("film"), Invalidation::Invalidated);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn delete_views(&self, name: &str) -> Invalidation {
        self.handle.delete_views(name)
    }
}
