//! Reading from a cache in Rust, and fragments that Rust code renders.

use std::sync::Arc;

use super::FragmentCache;
use crate::entry::of_text;
use crate::entry::{Body, Entry};
use crate::error::{Error, ErrorKind};
use crate::fragment::Fragment;
use crate::hash::Version;
use crate::key::{FragmentKey, KeyKind};
use crate::near::Variant;
use crate::render::{Lookup, Opened, Request};
use crate::tag;

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
    /// Single flight, freshness and nesting work as for the tag: cache blocks rendered by `body`
    /// are inside this fragment.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) for a timeout of zero or past the end of
    ///   the clock.
    /// - [`ErrorKind::Key`](crate::ErrorKind::Key) for a [redacted](FragmentKey::is_redacted) key.
    /// - On a miss, [`ErrorKind::Tag`](crate::ErrorKind::Tag) for a tag that is empty or longer
    ///   than [`MAX_TAG_BYTES`](crate::tag::MAX_TAG_BYTES), and for more than
    ///   [`MAX_TAGS`](crate::tag::MAX_TAGS) tags.
    ///
    /// The body is not rendered then, regardless of the [policy](crate::Policy::bad_arguments).
    pub fn render<T: Into<Arc<str>>>(
        &self,
        fragment: &Fragment,
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
    pub fn try_render<T: Into<Arc<str>>, E: From<Error>>(
        &self,
        fragment: &Fragment,
        body: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<str>, E> {
        let shared = |entry: &Entry| entry.body.to_shared();
        let request = self.request(fragment)?;
        let key = self.handle.encoded(&fragment.key);
        let hashed = self.handle.hashed(&key);
        let source = match self.handle.annotates() {
            true => self.handle.sources().rust_annotated(),
            false => self.handle.sources().rust(),
        };
        let variant =
            Variant { digest: source.digest(), mode: source.mode(), version: request.version };
        let missed = match self.handle.quick_hit(hashed, variant, &request, shared) {
            Some(Ok(markup)) => return Ok(markup),
            missed => missed.and_then(Result::err),
        };
        tag::check_count(fragment.tags.len())?;
        fragment.tags.iter().try_for_each(|text| tag::check(text))?;
        let of_text = |bytes| of_text(bytes, Body::from);
        let asking = Lookup { hashed, source, request: &request, body: &of_text, memo: None };
        let ticket = match self.handle.open_slow(asking, missed, None, shared) {
            Opened::Hit(markup) => return Ok(markup),
            Opened::Render(ticket) => ticket,
        };
        ticket.tag(&fragment.tags);
        match body() {
            Ok(markup) => {
                let markup: Arc<str> = markup.into();
                ticket.close(Body::Text(Arc::clone(&markup)));
                Ok(markup)
            }
            Err(error) => {
                drop(ticket);
                let stale_if_error = self.handle.stale_if_error(hashed, variant, &request);
                stale_if_error.map(|body| body.to_shared()).ok_or(error)
            }
        }
    }

    /// The options of a fragment, checked.
    fn request(&self, fragment: &Fragment) -> Result<Request, Error> {
        if fragment.key.is_redacted() {
            let message = "nothing can be stored under a redacted key, which hides the real one; \
                           use the real key";
            return Err(Error::new(ErrorKind::Key, message));
        }
        let timeout = fragment.timeout;
        timeout.validate()?;
        let version = fragment.version.as_ref();
        Ok(Request {
            timeout,
            unless: fragment.unless,
            refresh: fragment.refresh,
            is_given: false,
            scoped: true,
            version: version
                .map_or(Version::default(), |text| self.handle.hasher().version(text.as_bytes())),
            stale: fragment.stale,
        })
    }
}
