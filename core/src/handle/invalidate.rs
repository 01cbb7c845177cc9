//! Deletion and invalidation: older data is fenced, and memory is freed.

use std::time::Duration;

#[cfg(feature = "values")]
use super::CallSelector;
use super::{Act, Handle, InvalidationBatch, Shared};
use crate::clock::Moment;
use crate::error::Error;
use crate::events::EventKind;
use crate::far::Published;
use crate::freshness::Mark;
use crate::hash::HashedKey;
use crate::key::{FragmentKey, KeyPart};
use crate::label::Label;
use crate::protection::Protection;

/// Most keys that are deleted in one batch: what the store has of them is read, for the reports.
const DELETED_AT_ONCE: usize = 128;

/// What a deletion did.
///
/// In every case, no read that starts after the call returned gets the output of a render that
/// began before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "other processes still serve what a pending invalidation covers until the store can \
              be reached: check for `Pending`, or accept it with `.eventually()`"]
#[non_exhaustive]
pub enum Invalidation {
    /// A servable entry is gone. A far store is queried for a few bytes only, so an entry there
    /// that a tag or a nested fragment had already ended counts too.
    Removed,
    /// Nothing servable was stored. Renders under way are fenced all the same.
    Absent,
    /// Everything selected was invalidated; how many entries that was is not known. This is the
    /// outcome for a name, a template, a tag, a whole cache, a batch, and a
    /// [redacted](FragmentKey::is_redacted) key. Entries are dropped at their next lookup or
    /// evicted by size; clearing a whole cache drops them immediately.
    Invalidated,
    /// `Invalidated` in this process, but not published to the far store yet: until it is, other
    /// processes may be served older entries. It is published as soon as the store can be reached
    /// ([`Health::pending_invalidations`](crate::stats::Health::pending_invalidations)), for as
    /// long as this process runs.
    Pending,
}

impl Invalidation {
    /// Whether the far store does not know of it yet, so that other processes may serve what it
    /// covers until the store can be reached.
    ///
    /// ```
    /// use fragcache::{FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// assert!(!cache.delete(&fragment_key!("row", 1)).is_pending());
    /// ```
    pub fn is_pending(self) -> bool {
        self == Self::Pending
    }

    /// Accepts any outcome. A [pending](Self::Pending) invalidation holds in this process now, and in
    /// the others once the store can be reached.
    ///
    /// ```
    /// use fragcache::{FragmentCache, fragment_key};
    ///
    /// FragmentCache::in_memory().delete(&fragment_key!("row", 1)).eventually();
    /// ```
    pub fn eventually(self) {}
}

impl Handle {
    /// Deletes a fragment: every variant of the key, and every render of it under way.
    pub(crate) fn delete(&self, key: &FragmentKey) -> Invalidation {
        if key.is_redacted() {
            // A redacted key cannot be looked up, so what is stored under it is not known.
            let mut batch = self.batch();
            batch.delete(key);
            return batch.apply();
        }
        self.delete_encoded(&self.encoded(key))
    }

    /// Deletes several fragments, and reports each in the order given, as if it were deleted after
    /// the one before it. With a far store this takes two round trips per 128 keys. If the store
    /// refuses such a batch, its keys are deleted one by one.
    pub(crate) fn delete_many<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k FragmentKey>,
    ) -> Vec<Invalidation> {
        self.delete_all(keys.into_iter().map(|key| self.encoded(key).into_owned()))
    }

    /// Deletes every fragment called `name`, with any vary parts. The cost does not depend on their
    /// number.
    pub(crate) fn delete_name(&self, name: impl KeyPart) -> Invalidation {
        let mut batch = self.batch();
        batch.delete_name(name);
        batch.apply()
    }

    /// Deletes everything that has the name and the [kind](FragmentKey::kind) of `key`, with any
    /// vary parts. For a function this includes the results of the method of the same name, on any
    /// instance; for a method, those of the function. An unnamed key (a template and a line) is
    /// deleted by itself.
    pub(crate) fn delete_name_of(&self, key: &FragmentKey) -> Invalidation {
        let mut batch = self.batch();
        batch.delete_name_of(key);
        batch.apply()
    }

    /// Deletes every fragment whose cache block is in the template called `template`.
    pub(crate) fn delete_template(&self, template: &str) -> Invalidation {
        let mut batch = self.batch();
        batch.delete_template(template);
        batch.apply()
    }

    /// Deletes every fragment that carries one of these tags, and every fragment around one. The
    /// cost does not depend on their number.
    pub(crate) fn invalidate_tags<T: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<Invalidation, Error> {
        let mut batch = self.batch();
        batch.invalidate_tags(tags)?;
        Ok(batch.apply())
    }

    /// Deletes everything in this handle's [namespace](Self::namespace). On a handle without one,
    /// deletes the whole cache, namespaces included.
    pub(crate) fn clear(&self) -> Invalidation {
        let mut batch = self.batch();
        batch.clear();
        batch.apply()
    }

    /// Starts a batch of deletions and invalidations in this handle's namespace. Apply it after the
    /// commit of a transaction; see [`InvalidationBatch`].
    pub(crate) fn batch(&self) -> InvalidationBatch {
        InvalidationBatch::new(self.clone(), self.shared.ageing.replica_lag)
    }

    /// Deletes the responses of a view for a path, or for what its key function returns in place of
    /// the path: for all hosts, query strings and headers. The cost does not depend on their
    /// number.
    #[cfg(feature = "async")]
    pub(crate) fn delete_view(&self, name: &str, path: impl KeyPart) -> Invalidation {
        let mut batch = self.batch();
        batch.delete_view(name, path);
        batch.apply()
    }

    /// Deletes all responses of a view.
    #[cfg(feature = "async")]
    pub(crate) fn delete_views(&self, name: &str) -> Invalidation {
        let mut batch = self.batch();
        batch.delete_views(name);
        batch.apply()
    }

    /// Deletes the results of one call, of all calls on an instance, or of all calls of a function.
    /// The cost does not depend on how many there are.
    #[cfg(feature = "values")]
    pub(crate) fn delete_memoized(
        &self,
        calls: impl Into<CallSelector>,
    ) -> Result<Invalidation, Error> {
        let calls = calls.into();
        if let Some(key) = calls.key() {
            return Ok(self.delete(key));
        }
        let mut batch = self.batch();
        batch.acts.extend(calls.acts()?);
        Ok(batch.apply())
    }

    pub(crate) fn delete_encoded(&self, key: &[u8]) -> Invalidation {
        self.delete_together(&[key]).pop().unwrap_or(Invalidation::Absent)
    }

    /// Deletes keys in order, in batches if there is a far store.
    pub(crate) fn delete_all(&self, keys: impl Iterator<Item = Vec<u8>>) -> Vec<Invalidation> {
        let at_once = if self.shared.far.is_some() { DELETED_AT_ONCE } else { 1 };
        let (mut keys, mut done) = (keys.fuse(), Vec::new());
        loop {
            let some: Vec<Vec<u8>> = keys.by_ref().take(at_once).collect();
            if some.is_empty() {
                return done;
            }
            done.extend(self.delete_together(&some.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        }
    }

    fn delete_together(&self, keys: &[&[u8]]) -> Vec<Invalidation> {
        let Shared { far, fresh, ageing, .. } = &*self.shared;
        let lag = ageing.replica_lag;
        let again = self.again(lag);
        // Before they are invalidated: afterwards it is unknown whether they were servable.
        let stored = far.as_ref().map(|far| far.are_stored(keys, self.annotates()));
        let labels: Vec<Label> = keys.iter().map(|key| self.shared.hasher.key_label(key)).collect();
        let mut present = Vec::with_capacity(keys.len());
        for (index, (key, &label)) in keys.iter().zip(&labels).enumerate() {
            let is_stored = stored.as_ref().is_some_and(|stored| stored[index]);
            present.push(self.remove(self.hashed(key)) || is_stored);
            fresh.invalidate(vec![label.into()], again);
        }
        let published = far.as_ref().map(|far| {
            let published = far.publish_each(&labels, lag);
            self.raise_again(labels.iter().map(|&label| label.into()).collect());
            published
        });
        let mut published = published.into_iter().flatten();
        let report = |(key, is_present): (&&[u8], bool)| {
            let is_published =
                published.next().is_none_or(|published| self.on_published(&published));
            self.emit(EventKind::Deleted, Some(key), self.shared.sources.rust());
            match is_published {
                false => Invalidation::Pending,
                true if is_present => Invalidation::Removed,
                true => Invalidation::Absent,
            }
        };
        keys.iter().zip(present).map(report).collect()
    }

    /// Invalidates labels in both levels. Returns whether the far level has them. The sequence is
    /// raised before the store is called, and again once it has answered. This order keeps an entry
    /// that is read from the far store in between out of the near level.
    fn invalidate(&self, marks: Vec<Mark>, lag: Option<Duration>) -> bool {
        let fresh = &self.shared.fresh;
        let again = self.again(lag);
        let Some(far) = &self.shared.far else {
            fresh.invalidate(marks, again);
            return true;
        };
        fresh.invalidate(marks.clone(), again);
        let labels: Vec<Label> = marks.iter().map(Mark::label).collect();
        let published = far.publish(&labels, lag);
        self.raise_again(marks);
        self.on_published(&published)
    }

    /// Invalidates a key whose new body cannot be stored: what is stored for it, in both levels,
    /// and the fragments around it are no longer served.
    pub(crate) fn outdate(&self, key: &[u8]) {
        self.remove(self.hashed(key));
        self.invalidate(vec![self.shared.hasher.key_label(key).into()], None);
    }

    /// Fences what was read from the far store before the invalidation reached it.
    fn raise_again(&self, marks: Vec<Mark>) {
        if self.shared.protections.keep(Protection::RaiseAgain) {
            self.shared.fresh.invalidate(marks, None);
        }
    }

    fn invalidate_everything(&self, lag: Option<Duration>) -> bool {
        let fresh = &self.shared.fresh;
        fresh.invalidate_all(self.again(lag));
        let published = self.shared.far.as_ref().map(|far| {
            let published = far.publish(&[self.shared.hasher.root()], lag);
            fresh.invalidate_all(None);
            published
        });
        if let Some(near) = &self.shared.near {
            near.clear();
        }
        published.is_none_or(|published| self.on_published(&published))
    }

    fn on_published(&self, published: &Published) -> bool {
        match published {
            Published::Done => true,
            Published::Pending(unavailable) => {
                self.note_fault(unavailable);
                false
            }
        }
    }

    /// Removes a key's entries from the near level. Returns whether one of them was servable.
    fn remove(&self, hashed: HashedKey<'_>) -> bool {
        let near = self.shared.near.as_ref();
        let (fresh, recent) = (&self.shared.fresh, || self.recent());
        near.is_some_and(|near| near.remove(hashed, fresh, &recent, self.annotates()))
    }

    /// When an invalidation made now is to be repeated.
    fn again(&self, lag: Option<Duration>) -> Option<Moment> {
        // Past the end of the clock: never.
        lag.and_then(|lag| self.moment().after(lag))
    }

    pub(crate) fn apply(&self, batch: &InvalidationBatch) -> Invalidation {
        let everything = batch.acts.iter().any(|act| matches!(act, Act::Clear));
        for act in &batch.acts {
            if let Act::Key(key) = act {
                self.remove(self.hashed(&self.encoded(key)));
            }
        }
        let published = if everything && self.namespace.is_none() {
            self.invalidate_everything(batch.replica_lag)
        } else {
            let marks = batch.acts.iter().filter_map(|act| act.mark(self)).collect();
            self.invalidate(marks, batch.replica_lag)
        };
        for act in &batch.acts {
            let rust = self.shared.sources.rust();
            match act {
                Act::Key(key) | Act::Name(key) => {
                    self.emit(EventKind::Deleted, Some(&self.encoded(key)), rust);
                }
                #[cfg(feature = "values")]
                Act::Group(key) => {
                    self.emit(EventKind::Deleted, Some(&self.encoded(key)), rust);
                }
                Act::Template(_) | Act::Clear => self.emit(EventKind::Deleted, None, rust),
                Act::Tag(tag) => {
                    self.emit_about(EventKind::Invalidated, None, rust, Some(tag), None);
                }
            }
        }
        if published { Invalidation::Invalidated } else { Invalidation::Pending }
    }
}
