//! Reading from a cache in Rust, and fragments that Rust code renders.

use std::borrow::Cow;
use std::sync::Arc;

use super::FragmentCache;
use crate::entry::{Body, of_text};
use crate::error::{Error, ErrorKind};
use crate::fragment::Fragment;
use crate::key::{FragmentKey, KeyKind};
use crate::lookup::Request;
use crate::render::{self, Content};

impl FragmentCache {
    /// Returns whether this key has a servable entry, in any variant. An expired entry does not
    /// count, even though it may still be served stale.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the far store is unavailable.
    pub fn contains(&self, key: &FragmentKey) -> Result<bool, Error> {
        Ok(self.handle.newest(key)?.is_some())
    }

    /// Returns the newest stored markup of this key, in any variant, if it is servable. As with
    /// [`contains`](Self::contains), an expired entry does not count.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let key = fragment_key!("row", 1);
    /// assert_eq!(cache.get(&key)?, None);
    /// cache.render(&Fragment::new(key.clone()), || "<td>1</td>")?;
    /// assert_eq!(cache.get(&key)?.as_deref(), Some("<td>1</td>"));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) if the far store is unavailable.
    pub fn get(&self, key: &FragmentKey) -> Result<Option<Arc<str>>, Error> {
        let body = self.handle.newest(key)?.filter(|_| key.kind() == KeyKind::Fragment);
        Ok(body.map(|body| body.to_shared()))
    }

    /// Returns a fragment that Rust code renders: the stored markup, or the output of `body`, which
    /// is then stored.
    ///
    /// `fragment` is a [`Fragment`], a reference to one, or a key alone for the default options.
    /// Single flight, freshness and nesting work as for the tag: cache blocks rendered by `body`
    /// are inside this fragment.
    ///
    /// ```
    /// use fragcache::{FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// assert_eq!(&*cache.render(fragment_key!("row", 1), || "<td>1</td>")?, "<td>1</td>");
    /// assert_eq!(&*cache.render(fragment_key!("row", 1), || "not evaluated")?, "<td>1</td>");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) for a timeout of zero or past the end of
    ///   the clock.
    /// - [`ErrorKind::Key`](crate::ErrorKind::Key) for a [redacted](FragmentKey::is_redacted) key.
    /// - [`ErrorKind::Tag`](crate::ErrorKind::Tag) for a tag that is empty or longer than
    ///   [`MAX_TAG_BYTES`](crate::tag::MAX_TAG_BYTES), and for more than
    ///   [`MAX_TAGS`](crate::tag::MAX_TAGS) tags.
    ///
    /// The body is not rendered then, regardless of the [policy](crate::Policy::bad_arguments).
    pub fn render<'f, T: Into<Arc<str>>>(
        &self,
        fragment: impl Into<Cow<'f, Fragment>>,
        body: impl FnOnce() -> T,
    ) -> Result<Arc<str>, Error> {
        self.try_render(fragment, || Ok::<_, Error>(body()))
    }

    /// Like [`render`](Self::render), for a body that can fail. The body's error is returned
    /// unchanged, and nothing is stored. Within its [stale window](Fragment::stale), the expired
    /// fragment is returned in place of the error.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// let fragment = Fragment::new(fragment_key!("row", 1));
    /// let failed: Result<_, Box<dyn std::error::Error>> =
    ///     cache.try_render(&fragment, || Err::<String, _>("no database".into()));
    /// assert_eq!(failed.unwrap_err().to_string(), "no database");
    /// assert!(!cache.contains(fragment.key())?);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The body's, and those of [`render`](Self::render).
    pub fn try_render<'f, T: Into<Arc<str>>, E: From<Error>>(
        &self,
        fragment: impl Into<Cow<'f, Fragment>>,
        body: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<str>, E> {
        let fragment = fragment.into();
        if fragment.key.is_redacted() {
            let message = "nothing can be stored under a redacted key, which hides the real one; \
                           use the real key";
            return Err(Error::new(ErrorKind::Key, message).into());
        }
        let options = &fragment.options;
        options.check_timeout()?;
        options.check_tags()?;
        let cache = &self.handle;
        let key = cache.encoded(&fragment.key);
        let source = match cache.annotates() {
            true => cache.sources().rust_annotated(),
            false => cache.sources().rust(),
        };
        let request = Request {
            hashed: cache.hashed(&key),
            source,
            version: options.version(cache.hasher()),
            options: options.lookup,
        };
        let body = || body().map(T::into);
        render::serve::<Text, E>(
            cache,
            &request.quick(),
            || Arc::clone(source),
            &options.tags,
            body,
        )
    }
}

/// Markup that Rust code renders.
struct Text;

impl Content for Text {
    type Value = Arc<str>;

    fn of_bytes(bytes: Vec<u8>) -> Option<Body> {
        of_text(bytes, Body::from)
    }

    fn read(body: Body) -> Option<Arc<str>> {
        Some(body.into_shared())
    }

    fn write(markup: &Arc<str>) -> Option<Body> {
        Some(Body::Text(Arc::clone(markup)))
    }
}
