//! Deleting and invalidating: what was read before is fenced, and room is freed.

use std::time::Duration;

use super::FragmentCache;
use crate::batch::{Act, InvalidationBatch};
use crate::clock::Moment;
use crate::error::Error;
use crate::fresh::Label;
use crate::key::{FragmentKey, KeyPart};
use crate::near::Probe;
use crate::observe::EventKind;

/// What a deletion did.
///
/// Whichever it is, no read that starts after the call returned gets output of a render that
/// began before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deletion {
    /// An entry that could have been served is gone.
    Removed,
    /// Nothing servable was stored; a render under way is fenced all the same.
    Absent,
    /// Everything under a name, a template or a tag, or everything, or what a batch covers, is
    /// fenced; nobody counts it. Entries leave when they are next asked for, or by size; those of a
    /// whole cache that is cleared leave at once.
    Invalidated,
}

impl FragmentCache {
    /// Deletes a fragment: every variant of the key, and every render of it under way.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete(&self, key: &FragmentKey) -> Result<Deletion, Error> {
        Ok(self.delete_encoded(&self.encoded(key)))
    }

    /// Deletes several fragments, and reports for each in the order given.
    ///
    /// ```
    /// use fragcache::{Deletion, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let done = cache.delete_many([&fragment_key!("row", 1), &fragment_key!("row", 2)])?;
    /// assert_eq!(done, [Deletion::Absent, Deletion::Absent]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k FragmentKey>,
    ) -> Result<Vec<Deletion>, Error> {
        keys.into_iter().map(|key| self.delete(key)).collect()
    }

    /// Deletes every fragment called `name`, whatever it varies on. Costs the same however many
    /// there are.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.render(&Fragment::new(fragment_key!("row", 1)), || "one")?;
    /// cache.delete_name("row")?;
    /// assert!(!cache.contains(&fragment_key!("row", 1))?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete_name(&self, name: impl KeyPart) -> Result<Deletion, Error> {
        let mut batch = self.batch();
        batch.delete_name(name);
        batch.apply()
    }

    /// Deletes every fragment whose cache block stands in the template called `template`.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn delete_template(&self, template: &str) -> Result<Deletion, Error> {
        let mut batch = self.batch();
        batch.delete_template(template);
        batch.apply()
    }

    /// Deletes every fragment that carries one of these tags, and every fragment around one. Costs
    /// the same however many there are.
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
    /// cache.invalidate_tags(["author:2"])?;
    /// assert!(!cache.contains(post.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tag`](crate::ErrorKind::Tag) for a tag that is empty or longer than
    /// [`MAX_TAG_BYTES`](crate::MAX_TAG_BYTES); nothing is invalidated then.
    pub fn invalidate_tags<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<Deletion, Error> {
        let mut batch = self.batch();
        batch.invalidate_tags(tags)?;
        batch.apply()
    }

    /// Deletes everything: of a [namespace](Self::namespace) all that is in it, else all there is,
    /// namespaces included.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn clear(&self) -> Result<Deletion, Error> {
        let mut batch = self.batch();
        batch.clear();
        batch.apply()
    }

    /// A batch of deletions and invalidations in this handle's namespace, to be applied together
    /// after the commit of a transaction; see [`InvalidationBatch`].
    pub fn batch(&self) -> InvalidationBatch {
        InvalidationBatch::new(self.clone(), self.shared.ageing.replica_lag)
    }

    pub(crate) fn delete_encoded(&self, key: &[u8]) -> Deletion {
        let probe = self.probe(key);
        let present = self.remove(probe);
        let again = self.again(self.shared.ageing.replica_lag);
        self.shared.fresh.invalidate(vec![self.shared.hasher.key_label(key).into()], again);
        self.emit(EventKind::Deleted, Some(key), self.shared.origins.rust());
        if present { Deletion::Removed } else { Deletion::Absent }
    }

    /// Frees the room that a key's entries take; whether one of them could have been served.
    fn remove(&self, probe: Probe<'_>) -> bool {
        let near = self.shared.near.as_ref();
        let (fresh, recent) = (&self.shared.fresh, || self.recent());
        near.is_some_and(|near| near.remove(probe, fresh, &recent, self.annotates()))
    }

    /// When an invalidation of now is to be repeated.
    fn again(&self, lag: Option<Duration>) -> Option<Moment> {
        // Past the end of the clock it is never.
        lag.and_then(|lag| self.moment().after(lag))
    }

    pub(crate) fn apply(&self, batch: &InvalidationBatch) -> Deletion {
        let again = self.again(batch.replica_lag);
        let everything = batch.acts.iter().any(|act| matches!(act, Act::Clear));
        for act in &batch.acts {
            if let Act::Key(key) = act {
                self.remove(self.probe(&self.encoded(key)));
            }
        }
        if everything && self.namespace.is_none() {
            self.shared.fresh.invalidate_all(again);
            if let Some(near) = &self.shared.near {
                near.clear();
            }
        } else {
            let marks = batch.acts.iter().filter_map(|act| act.mark(self)).collect();
            self.shared.fresh.invalidate(marks, again);
        }
        for act in &batch.acts {
            let rust = self.shared.origins.rust();
            match act {
                Act::Key(key) | Act::Name(key) => {
                    self.emit(EventKind::Deleted, Some(&self.encoded(key)), rust);
                }
                Act::Template(_) | Act::Clear => self.emit(EventKind::Deleted, None, rust),
                Act::Tag(tag) => self.emit_about(EventKind::Invalidated, None, rust, Some(tag)),
            }
        }
        Deletion::Invalidated
    }
}
