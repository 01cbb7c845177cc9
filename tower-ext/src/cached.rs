//! A view's settings, and the layer that they make.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fragcache::engine::{ViewRequest, view_key};
use fragcache::events::BypassReason;
use fragcache::{Error, ErrorKind, FragmentCache, FragmentKey, Invalidation, KeyPart, Timeout};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderName, StatusCode, header, response};
use tower_layer::Layer;

use crate::admit::Admission;
use crate::cookie;
use crate::header_names::HeaderNames;
use crate::key::{Query, Shape};
use crate::record::{FORM, Record};
use crate::service::CacheService;
use crate::terms::clamped;

/// A view: a layer that keeps the responses of the handlers in it.
///
/// The name is the prefix of its keys, and no other view of the cache may have it. `GET` and `HEAD` are
/// answered from the cache, under the path, the scheme and host, and the query string with its
/// parameters sorted by name. What is not kept, and which settings change that, the page of the
/// [crate](crate) says.
///
/// A clone is cheap and the same view.
///
/// ```
/// use axum::{Router, routing::get};
/// use fragcache::FragmentCache;
/// use fragcache_tower::CacheLayer;
/// use std::time::Duration;
///
/// let cache = FragmentCache::in_memory();
/// let film = CacheLayer::new(&cache, "film").expires_after(Duration::from_secs(300));
/// let app: Router = Router::new().route("/film/{id}", get(|| async { "…" }).layer(film.clone()));
///
/// film.delete("/film/7").eventually(); // all its hosts, query strings and headers
/// # let _ = app;
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct CacheLayer {
    pub(crate) settings: Arc<Settings>,
}

type OfRequest<T> = Arc<dyn Fn(&Parts) -> T + Send + Sync>;
type OfBody = Arc<dyn Fn(&Parts, &[u8]) -> Option<FragmentKey> + Send + Sync>;
type OfResponse = Arc<dyn Fn(&response::Parts) -> bool + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) cache: FragmentCache,
    pub(crate) shape: Shape,
    pub(crate) admission: Admission,
    pub(crate) timeout: Timeout,
    pub(crate) stale: Option<Duration>,
    pub(crate) key: Option<OfRequest<Option<FragmentKey>>>,
    /// The longest body that it reads, and the function.
    pub(crate) body_key: Option<(usize, OfBody)>,
    pub(crate) unless: Option<OfRequest<bool>>,
    pub(crate) refresh: Option<OfRequest<bool>>,
    pub(crate) keep_if: Option<OfResponse>,
    pub(crate) streams: bool,
    pub(crate) tells_status: bool,
}

impl fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("shape", &self.settings.shape).finish_non_exhaustive()
    }
}

impl Settings {
    pub(crate) fn call(&self, key: &FragmentKey) -> ViewRequest {
        ViewRequest::new(&self.cache, key, FORM, Record::read)
            .timeout(self.timeout)
            .stale(self.stale)
    }

    /// The key of a request where the body does not count, or why it has none.
    pub(crate) fn key_of(&self, parts: &Parts) -> Result<FragmentKey, BypassReason> {
        let key = match &self.key {
            Some(key) => key(parts).ok_or(BypassReason::Key),
            None => self.shape.of_request(parts),
        };
        key.map(|key| self.shape.finish(key, parts))
    }

    /// The scheme in the key of a request, if there is one.
    pub(crate) fn scheme_in_key<'s>(&'s self, parts: &'s Parts) -> Option<&'s Scheme> {
        let has_host = self.shape.host && self.key.is_none() && self.body_key.is_none();
        has_host.then(|| self.shape.scheme_of(parts)).flatten()
    }

    /// What of the query string is part of every key. A key function may leave out all of it.
    pub(crate) fn query_in_key(&self) -> &Query {
        if self.key.is_some() || self.body_key.is_some() { &Query::None } else { &self.shape.query }
    }
}

impl CacheLayer {
    /// The view of this name in a cache, or in a namespace of one.
    pub fn new(cache: &FragmentCache, name: impl Into<String>) -> Self {
        let shape = Shape {
            name: name.into().into(),
            query: Query::All,
            host: true,
            scheme: None,
            headers: Vec::new(),
            names: HeaderNames::default(),
        };
        let statuses = [
            StatusCode::OK,
            StatusCode::NON_AUTHORITATIVE_INFORMATION,
            StatusCode::MOVED_PERMANENTLY,
            StatusCode::PERMANENT_REDIRECT,
        ];
        let admission = Admission {
            heeds_clients: false,
            statuses: statuses.into(),
            // A cache that stores nothing is to make no other difference.
            max_body: cache.max_entry_bytes().unwrap_or(1 << 20),
        };
        let settings = Settings {
            cache: cache.clone(),
            shape,
            admission,
            timeout: Timeout::Default,
            stale: None,
            key: None,
            body_key: None,
            unless: None,
            refresh: None,
            keep_if: None,
            streams: false,
            tells_status: false,
        };
        Self { settings: Arc::new(settings) }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }

    /// Sets the timeout of its responses; the cache's default without. What a response says itself, by
    /// [`ResponsePolicy`](crate::ResponsePolicy), `s-maxage`, `max-age` or `Expires`, counts instead. A timeout of
    /// zero keeps nothing, and is counted; one of more than 2^31 seconds (68 years) is that much.
    pub fn timeout(self, timeout: Timeout) -> Self {
        self.with(|settings| settings.timeout = clamped(timeout))
    }

    /// Its responses expire so long after they were made.
    pub fn expires_after(self, life: Duration) -> Self {
        self.timeout(Timeout::After(life))
    }

    /// Its responses never expire.
    pub fn never_expires(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// How long after its end a response may be answered with to all but the one request that makes it
    /// anew, and in place of a server error. The cache's default without; responses with
    /// `must-revalidate` have none.
    pub fn stale(self, window: Duration) -> Self {
        self.with(|settings| settings.stale = Some(window))
    }

    /// The query string is no part of the key: the handler does not read it.
    pub fn ignore_query(self) -> Self {
        self.with(|settings| settings.shape.query = Query::None)
    }

    /// Only these parameters of the query string are part of the key: the handler reads no others.
    /// Parameters that anyone may invent then fill no cache. Names are compared
    /// as handlers read them: `%70age` is `page`.
    pub fn only_query<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(|name| name.into().into()).collect();
        self.with(|settings| settings.shape.query = Query::Only(names))
    }

    /// The scheme of requests that do not say theirs, which most of HTTP/1.1 do not. Say `https` if
    /// clients reach the site by that alone, through a proxy that ends TLS. Without, keys of such
    /// requests have the host alone, and a redirect to the same path and query is not kept.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache_tower::CacheLayer;
    /// use http::uri::Scheme;
    ///
    /// let request = http::Request::get("/film/7").header("host", "shop.example");
    /// let (parts, ()) = request.body(())?.into_parts();
    /// let key = |view: &CacheLayer| view.key_of(&parts).map(|key| key.to_string());
    ///
    /// let view = CacheLayer::new(&FragmentCache::in_memory(), "film");
    /// assert_eq!(key(&view).as_deref(), Some("film(/film/7, //shop.example, none)"));
    /// let view = view.scheme(Scheme::HTTPS);
    /// assert_eq!(key(&view).as_deref(), Some("film(/film/7, https://shop.example, none)"));
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn scheme(self, scheme: Scheme) -> Self {
        self.with(|settings| settings.shape.scheme = Some(scheme))
    }

    /// Neither the host nor the scheme is part of the key: the responses are the same on all.
    pub fn ignore_host(self) -> Self {
        self.with(|settings| settings.shape.host = false)
    }

    /// The values of these headers are part of the key, whatever responses say in `Vary`. With
    /// `Cookie`, `Authorization` or another [private header](Self::private_headers) among them,
    /// requests that have these are answered from the cache too, each value with its own responses;
    /// keys hold a digest of them.
    pub fn vary_on(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.shape.headers.extend(headers))
    }

    /// A function in place of path, host and query string. Requests for which it gives the same are
    /// answered with the same, whatever their paths: what a response depends on has to be in it. With
    /// `None` a request bypasses the cache.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache_tower::CacheLayer;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let film = CacheLayer::new(&cache, "film").key(|parts| {
    ///     parts.uri.path().strip_prefix("/film/").map(|id| id.trim_end_matches('/').to_owned())
    /// });
    /// film.delete("7").eventually(); // what the function gave
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn key<K: KeyPart>(
        self,
        key: impl Fn(&Parts) -> Option<K> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| {
            let name = settings.shape.name.clone();
            settings.key =
                Some(Arc::new(move |parts| key(parts).map(|part| view_key(&name, part))));
        })
    }

    /// As [`key`](Self::key), with the body of the request, of at most `max_bytes`; one that is longer
    /// bypasses the cache. The handler gets the body all the same. Only such a view answers `POST` from
    /// the cache.
    pub fn key_with_body<K: KeyPart>(
        self,
        max_bytes: usize,
        key: impl Fn(&Parts, &[u8]) -> Option<K> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| {
            let name = settings.shape.name.clone();
            let key: OfBody =
                Arc::new(move |parts, body| key(parts, body).map(|part| view_key(&name, part)));
            settings.body_key = Some((max_bytes, key));
        })
    }

    /// Requests for which this is true bypass the cache: it is neither read nor written.
    pub fn unless(self, is_true: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.unless = Some(Arc::new(is_true)))
    }

    /// Requests for which this is true run the handler, and its response replaces what is kept:
    /// Flask-Caching's `forced_update`.
    pub fn refresh_if(self, is_true: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.refresh = Some(Arc::new(is_true)))
    }

    /// Of the responses that may be kept, only those are for which this is true: Flask-Caching's
    /// `response_filter`.
    pub fn keep_if(
        self,
        is_true: impl Fn(&response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.keep_if = Some(Arc::new(is_true)))
    }

    /// Responses of these statuses are kept; without more, 200, 203, 301 and 308.
    pub fn statuses(self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.with(|settings| settings.admission.statuses = statuses.into_iter().collect())
    }

    /// Requests with cookies are answered from the cache too. Say so if the handler does not read
    /// them, or if what it reads of them is in the key; else one visitor is shown another's page.
    pub fn allow_cookies(self) -> Self {
        self.allow_headers([header::COOKIE])
    }

    /// Requests with an `Authorization` are answered from the cache too. Say so if the responses are
    /// the same for everyone who is let in, and a layer outside of this one lets them in.
    pub fn allow_authorization(self) -> Self {
        self.allow_headers([header::AUTHORIZATION])
    }

    /// Requests with these headers bypass the cache: they say who asks. Names that commonly do so need
    /// not be listed: `Cookie`, `Authorization`, and names with a word that begins with `auth`, `user`,
    /// `token`, `key` or `session`, such as `X-Api-Key` and `X-Forwarded-User`; the page `docs/views.md`
    /// has them all, and the exceptions. A header in [`vary_on`](Self::vary_on) is in the key instead, by a
    /// digest of its value. Of this and [`allow_headers`](Self::allow_headers) the later call counts.
    ///
    /// ```
    /// use axum::{Router, body::Body, http::HeaderName, http::Request, routing::get};
    /// use fragcache::FragmentCache;
    /// use fragcache_tower::CacheLayer;
    /// use tower::ServiceExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = CacheLayer::new(&FragmentCache::in_memory(), "prices")
    ///     .private_headers([HeaderName::from_static("x-discount")])
    ///     .tell_status();
    /// let app: Router = Router::new().route("/", get(|| async { "10 €" })).layer(view);
    ///
    /// for (header, status) in [
    ///     ("x-discount", "fragcache; fwd=bypass; detail=x-discount"),
    ///     ("x-user-id", "fragcache; fwd=bypass; detail=x-user-id"),
    ///     ("x-superuser", "fragcache; fwd=miss; stored"), // no word that begins with `user`
    /// ] {
    ///     let request = Request::get("/").header("host", "shop.example").header(header, "7");
    ///     let response = app.clone().oneshot(request.body(Body::empty())?).await?;
    ///     assert_eq!(response.headers()["cache-status"], status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn private_headers(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.shape.names.set_private(headers))
    }

    /// The handler does not read these headers, nor does a layer inside: they neither make a request
    /// private, nor one of another method as `X-HTTP-Method-Override` does, nor stand in the key as
    /// `X-Forwarded-Host` does. If it does read them, one visitor is shown another's page. Those in
    /// [`vary_on`](Self::vary_on) or in the `Vary` of responses are in the key all the same.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache_tower::CacheLayer;
    /// use http::HeaderName;
    ///
    /// const PART: HeaderName = HeaderName::from_static("hx-request");
    /// let request = http::Request::get("/film/7").header("host", "shop.example").header(PART, "true");
    /// let (parts, ()) = request.body(())?.into_parts();
    /// let key = |view: &CacheLayer| view.key_of(&parts).map(|key| key.to_string());
    ///
    /// let plain = CacheLayer::new(&FragmentCache::in_memory(), "film");
    /// let allowing = plain.clone().allow_headers([PART]);
    /// assert_eq!(key(&allowing).as_deref(), Some("film(/film/7, //shop.example, none)"));
    /// assert_ne!(key(&plain), key(&allowing));
    /// assert_ne!(key(&allowing.clone().vary_on([PART])), key(&allowing));
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn allow_headers(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.shape.names.set_harmless(headers))
    }

    /// What clients say in `Cache-Control` counts: `no-store` bypasses the cache, `no-cache` and
    /// `max-age=0` refresh. Without, no client can make the handler run.
    pub fn heed_clients(self) -> Self {
        self.with(|settings| settings.admission.heeds_clients = true)
    }

    /// Bounds the bodies that are kept to so many bytes. Longer ones are sent as they come. Without, the
    /// bound is the cache's [`max_entry_bytes`](fragcache::CacheBuilder::max_entry_bytes), which counts the
    /// headers too.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache_tower::CacheLayer;
    ///
    /// let cache = FragmentCache::builder().max_entry_bytes(8 << 20).build()?;
    /// let reports = CacheLayer::new(&cache, "report"); // up to 8 MiB
    /// let thumbs = CacheLayer::new(&cache, "thumb").max_body(64 << 10)?;
    /// assert!(CacheLayer::new(&cache, "film").max_body(9 << 20).is_err());
    /// # let _ = (reports, thumbs);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the cache stores no bodies of this length.
    pub fn max_body(self, bytes: usize) -> Result<Self, Error> {
        match self.settings.cache.max_entry_bytes() {
            Some(most) if bytes > most => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "max_body({bytes}) is above the {most} bytes that the cache stores of an entry; \
                     build the cache with max_entry_bytes({bytes}), or write at most max_body({most})"
                ),
            )),
            _ => Ok(self.with(|settings| settings.admission.max_body = bytes)),
        }
    }

    /// Bodies of unknown length are read to their end too, and kept if they are short enough; the
    /// client waits for so long. Without, they are sent as they come.
    pub fn keep_streams(self) -> Self {
        self.with(|settings| settings.streams = true)
    }

    /// Responses say in `Cache-Status` ([RFC 9211](https://www.rfc-editor.org/rfc/rfc9211)) whether
    /// they are from the cache, and why not, or why they are not kept: Flask-Caching's
    /// `response_hit_indication`. Observers are told of bypasses without it too:
    /// [`EventKind::Bypassed`](fragcache::events::EventKind::Bypassed).
    pub fn tell_status(self) -> Self {
        self.with(|settings| settings.tells_status = true)
    }

    /// The key of a request, as this layer makes it; `None` if the key function gives none, if the
    /// request names no certain host, or if the key needs the body. A request that bypasses the cache
    /// for another reason has its key here all the same. Header values that a response varies on are
    /// not in it: deleting it deletes them all.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache_tower::CacheLayer;
    ///
    /// let view = CacheLayer::new(&FragmentCache::in_memory(), "film").ignore_host();
    /// let (parts, ()) = http::Request::get("/film/7?b=1&a=2").body(())?.into_parts();
    /// let key = view.key_of(&parts).map(|key| key.to_string());
    /// assert_eq!(key.as_deref(), Some("film(/film/7, \"a=2&b=1\")"));
    ///
    /// let (parts, ()) = http::Request::get("/film/7").header("cookie", "a=1").body(())?.into_parts();
    /// assert!(view.key_of(&parts).is_some(), "though such a request bypasses the cache");
    /// assert!(view.key(|_| None::<String>).key_of(&parts).is_none());
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn key_of(&self, parts: &Parts) -> Option<FragmentKey> {
        if self.settings.body_key.is_some() {
            return None;
        }
        let mut parts = parts.clone();
        cookie::join(&mut parts.headers);
        self.settings.key_of(&parts).ok()
    }

    /// Deletes its responses for a path, or for what the key function gave: those of all hosts, query
    /// strings and headers. [`path_of`](crate::path_of) makes a path of a route and its parameters.
    ///
    /// # Errors
    ///
    /// None: what the far store could not be told is [pending](Invalidation::Pending).
    pub fn delete(&self, path: impl KeyPart) -> Invalidation {
        self.settings.cache.delete_view(&self.settings.shape.name, path)
    }

    /// Deletes all its responses.
    ///
    /// # Errors
    ///
    /// None: what the far store could not be told is [pending](Invalidation::Pending).
    pub fn delete_all(&self) -> Invalidation {
        self.settings.cache.delete_views(&self.settings.shape.name)
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService { settings: Arc::clone(&self.settings), inner }
    }
}
