//! What Rust code reads from a cache, and the fragments that it renders itself.

use std::sync::Arc;

use super::FragmentCache;
use crate::entry::{Body, Entry};
use crate::error::Error;
use crate::fragment::Fragment;
use crate::hash::Version;
use crate::key::FragmentKey;
use crate::near::Variant;
use crate::render::{Opened, Request};
use crate::tag;
use crate::timeout::Timeout;

impl FragmentCache {
    /// Whether an entry of this key could be served, in some variant. One that has expired does not
    /// count, though others than the next caller may be served it within its stale window.
    ///
    /// # Errors
    ///
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn contains(&self, key: &FragmentKey) -> Result<bool, Error> {
        Ok(self.newest(key).is_some())
    }

    /// The newest stored markup of this key, of whatever variant, if it could be served; as with
    /// [`contains`](Self::contains), not if it has expired.
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
    /// None in this process; a cache with a far store can fail to reach it.
    pub fn get(&self, key: &FragmentKey) -> Result<Option<Arc<str>>, Error> {
        Ok(self.newest(key).map(|body| body.to_shared()))
    }

    fn newest(&self, key: &FragmentKey) -> Option<Body> {
        let key = self.encoded(key);
        let probe = self.probe(&key);
        let near = self.shared.near.as_ref()?;
        near.newest(probe, &self.shared.fresh, &|| self.recent(), self.annotates())
    }

    /// Serves a fragment that Rust code renders: the stored markup, or `body`'s, which is stored.
    ///
    /// Single flight, freshness and nesting are those of the tag: cache blocks rendered by `body`
    /// are inside this fragment.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) for a timeout of zero or past the end of the
    /// clock; on a miss [`ErrorKind::Tag`](crate::ErrorKind::Tag) for a tag that is empty or longer
    /// than [`MAX_TAG_BYTES`](crate::MAX_TAG_BYTES), and for more than
    /// [`MAX_TAGS`](crate::MAX_TAGS). The body is not rendered then, whatever the
    /// [policy](crate::Policy::bad_arguments) says.
    pub fn render<T: Into<Arc<str>>>(
        &self,
        fragment: &Fragment,
        body: impl FnOnce() -> T,
    ) -> Result<Arc<str>, Error> {
        self.try_render(fragment, || Ok::<_, Error>(body()))
    }

    /// As [`render`](Self::render), for a body that can fail. Its error passes through untouched,
    /// and nothing is stored; but within its [stale window](Fragment::stale) the expired fragment is
    /// given in place of the error.
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
        let key = self.encoded(&fragment.key);
        let probe = self.probe(&key);
        let origin = match self.annotates() {
            true => self.shared.origins.rust_annotated(),
            false => self.shared.origins.rust(),
        };
        let variant =
            Variant { digest: origin.digest(), mode: origin.mode(), version: request.version };
        let missed = match self.quick_hit(probe, variant, &request, shared) {
            Some(Ok(markup)) => return Ok(markup),
            missed => missed.and_then(Result::err),
        };
        tag::check_count(fragment.tags.len())?;
        fragment.tags.iter().try_for_each(|text| tag::check(text))?;
        let ticket = match self.open_slow(probe, origin, &request, missed, None, shared) {
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
                let stand_in = self.stand_in(probe, variant, &request);
                stand_in.map(|body| body.to_shared()).ok_or(error)
            }
        }
    }

    /// What a fragment asks for, checked.
    fn request(&self, fragment: &Fragment) -> Result<Request, Error> {
        let timeout = fragment.timeout;
        if let Timeout::After(life) = timeout {
            Timeout::positive(life)?;
        }
        let version = fragment.version.as_ref();
        Ok(Request {
            timeout,
            unless: fragment.unless,
            refresh: fragment.refresh,
            scoped: true,
            version: version
                .map_or(Version::default(), |text| self.shared.hasher.version(text.as_bytes())),
            stale: fragment.stale,
        })
    }
}
