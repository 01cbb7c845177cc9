//! The cache layer: the settings of a view.

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

/// A view: a layer that caches the responses of the handlers inside it.
///
/// The name is the prefix of its keys and must be unique among the views of the cache. `GET` and
/// `HEAD` are answered from the cache. The key is the path, the scheme and host, and the query
/// string with its parameters sorted by name. The [crate documentation](crate) lists what is not
/// cached and which settings change that.
///
/// Clones are cheap and share the view.
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
    /// The maximum length of the body, in bytes, and the key function.
    pub(crate) body_key: Option<(usize, OfBody)>,
    pub(crate) unless: Option<OfRequest<bool>>,
    pub(crate) refresh: Option<OfRequest<bool>>,
    pub(crate) store_if: Option<OfResponse>,
    pub(crate) streams: bool,
    pub(crate) sends_cache_status: bool,
}

impl fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").field("shape", &self.settings.shape).finish_non_exhaustive()
    }
}

impl Settings {
    pub(crate) fn call(&self, key: &FragmentKey) -> ViewRequest {
        ViewRequest::new(&self.cache, key, FORM, Record::read)
            .timeout(self.timeout)
            .stale(self.stale)
    }

    /// The key of a request when the body is not part of it, or the reason why it has none.
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

    /// The part of the query string that is in every key. A key function may ignore all of it.
    pub(crate) fn query_in_key(&self) -> &Query {
        if self.key.is_some() || self.body_key.is_some() { &Query::None } else { &self.shape.query }
    }
}

impl CacheLayer {
    /// Creates the view with this name in a cache or in a namespace of one.
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
            respects_clients: false,
            statuses: statuses.into(),
            // Disabling storage must change nothing else.
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
            store_if: None,
            streams: false,
            sends_cache_status: false,
        };
        Self { settings: Arc::new(settings) }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }

    /// Sets the timeout of the responses. Default: the cache's. A response's own timeout takes
    /// precedence: [`ResponsePolicy`](crate::ResponsePolicy), `s-maxage`, `max-age` or `Expires`.
    /// Zero caches nothing, and is counted. The maximum is 2^31 seconds (68 years); longer timeouts
    /// are cut to it.
    pub fn timeout(self, timeout: Timeout) -> Self {
        self.with(|settings| settings.timeout = clamped(timeout))
    }

    /// Sets the timeout of the responses, counted from when they were made.
    pub fn expires_after(self, ttl: Duration) -> Self {
        self.timeout(Timeout::After(ttl))
    }

    /// Its responses never expire.
    pub fn never_expires(self) -> Self {
        self.timeout(Timeout::Never)
    }

    /// Sets the stale window: for this long after a response expires, one request refreshes it and
    /// all others get the stale response, which also replaces server errors. Default: the cache's.
    /// Responses with `must-revalidate` have no stale window.
    pub fn stale(self, window: Duration) -> Self {
        self.with(|settings| settings.stale = Some(window))
    }

    /// Leaves the query string out of the key. For handlers that do not read it.
    pub fn ignore_query(self) -> Self {
        self.with(|settings| settings.shape.query = Query::None)
    }

    /// Includes only these query parameters in the key. For handlers that read no others. Invented
    /// parameters then create no entries. Names are compared as handlers read them: `%70age` is
    /// `page`.
    pub fn only_query<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(|name| name.into().into()).collect();
        self.with(|settings| settings.shape.query = Query::Only(names))
    }

    /// Sets the scheme of requests that state none, which is most of HTTP/1.1. Use `https` if
    /// clients reach the site only over `https`, through a proxy that terminates TLS. Without a
    /// scheme, keys of such requests have the host alone, and a redirect to the same path and query
    /// is not cached.
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

    /// Leaves host and scheme out of the key. For responses that are the same on all hosts.
    pub fn ignore_host(self) -> Self {
        self.with(|settings| settings.shape.host = false)
    }

    /// Includes the values of these headers in the key, regardless of the response's `Vary`. If
    /// `Cookie`, `Authorization` or another [private header](Self::private_headers) is listed,
    /// requests with that header are answered from the cache too; each value has its own responses.
    /// Keys contain a digest of such values.
    pub fn vary_on(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|settings| settings.shape.headers.extend(headers))
    }

    /// Replaces path, host and query string in the key by the result of a function. Requests with
    /// the same result get the same response, even for different paths: the result must contain
    /// everything the response depends on. A request bypasses the cache if the function returns
    /// `None`.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache_tower::CacheLayer;
    ///
    /// let cache = FragmentCache::in_memory();
    /// let film = CacheLayer::new(&cache, "film").key(|parts| {
    ///     parts.uri.path().strip_prefix("/film/").map(|id| id.trim_end_matches('/').to_owned())
    /// });
    /// film.delete("7").eventually(); // the result of the function
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

    /// Like [`key`](Self::key), but the function also gets the request body, up to `max_bytes`
    /// bytes. A longer body bypasses the cache. The handler still gets the body. Only such a view
    /// answers `POST` from the cache.
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

    /// Requests for which the predicate returns true bypass the cache, which is neither read nor
    /// written.
    pub fn unless(self, is_true: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.unless = Some(Arc::new(is_true)))
    }

    /// Forces a refresh if the predicate returns true: the handler runs, and its response replaces
    /// the cached one. Flask-Caching's `forced_update`.
    pub fn refresh_if(self, is_true: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.refresh = Some(Arc::new(is_true)))
    }

    /// Caches a cacheable response only if the predicate returns true. Flask-Caching's
    /// `response_filter`.
    pub fn store_if(
        self,
        is_true: impl Fn(&response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.store_if = Some(Arc::new(is_true)))
    }

    /// Sets the statuses of cacheable responses. Default: 200, 203, 301 and 308.
    pub fn statuses(self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.with(|settings| settings.admission.statuses = statuses.into_iter().collect())
    }

    /// Answers requests with cookies from the cache too. Use it only if the handler reads no
    /// cookies, or if the key contains what it reads: otherwise one visitor sees another visitor's
    /// page.
    pub fn allow_cookies(self) -> Self {
        self.allow_headers([header::COOKIE])
    }

    /// Answers requests with `Authorization` from the cache too. Use it only if the response is the
    /// same for everyone with access, and a layer outside this one checks access.
    pub fn allow_authorization(self) -> Self {
        self.allow_headers([header::AUTHORIZATION])
    }

    /// Marks headers that identify the visitor: requests with them bypass the cache. Common names
    /// need not be listed: `Cookie`, `Authorization`, and names with a word that begins with
    /// `auth`, `user`, `token`, `key` or `session`, such as `X-Api-Key` and `X-Forwarded-User`. The
    /// page `docs/views.md` lists them all, with the exceptions. A header in
    /// [`vary_on`](Self::vary_on) is in the key instead, as a digest of its value. The last call of
    /// this and [`allow_headers`](Self::allow_headers) wins.
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
    ///     .cache_status();
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

    /// Declares headers that neither the handler nor a layer inside reads. They do not make a
    /// request private, do not override its method (`X-HTTP-Method-Override`) and are not in the
    /// key (`X-Forwarded-Host`). If the handler does read one, a visitor may see another visitor's
    /// page. Headers in [`vary_on`](Self::vary_on) or in a response's `Vary` remain in the key.
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

    /// Respects the client's `Cache-Control`: `no-store` bypasses the cache; `no-cache` and
    /// `max-age=0` force a refresh. By default, clients cannot make the handler run.
    pub fn respect_clients(self) -> Self {
        self.with(|settings| settings.admission.respects_clients = true)
    }

    /// Sets the maximum length of a cacheable body, in bytes. Longer bodies are streamed to the
    /// client. Default: the cache's [`max_entry_bytes`](fragcache::CacheBuilder::max_entry_bytes),
    /// which also counts the headers.
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
    /// [`ErrorKind::Config`] if the cache cannot store bodies of this length.
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

    /// Reads bodies of unknown length to their end and caches those that are short enough; the
    /// client waits meanwhile. By default they are streamed to the client.
    pub fn store_streams(self) -> Self {
        self.with(|settings| settings.streams = true)
    }

    /// Adds `Cache-Status` ([RFC 9211](https://www.rfc-editor.org/rfc/rfc9211)) to responses: hit
    /// or miss, the reason for a bypass, or the reason why the response is not cached.
    /// Flask-Caching's `response_hit_indication`. Observers get bypasses without it too, as
    /// [`EventKind::Bypassed`](fragcache::events::EventKind::Bypassed).
    pub fn cache_status(self) -> Self {
        self.with(|settings| settings.sends_cache_status = true)
    }

    /// The key of a request. `None` if the key function returns none, if the request has no
    /// unambiguous host, or if the key needs the body. A request that bypasses the cache for
    /// another reason still has a key here. The values of headers that a response varies on are not
    /// part of it: deleting the key deletes all these variants.
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

    /// Deletes the responses of a path, or of a result of the key function, for all hosts, query
    /// strings and headers. [`path_of`](crate::path_of) builds a path from a route and its
    /// parameters.
    ///
    /// # Errors
    ///
    /// Never fails. An invalidation that did not reach the far store is
    /// [pending](Invalidation::Pending).
    pub fn delete(&self, path: impl KeyPart) -> Invalidation {
        self.settings.cache.delete_view(&self.settings.shape.name, path)
    }

    /// Deletes all responses of the view.
    ///
    /// # Errors
    ///
    /// Never fails. An invalidation that did not reach the far store is
    /// [pending](Invalidation::Pending).
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
