//! Builds an inspector: the caches that it shows and the guard that admits visitors.
//! A router can only be obtained after a guard is set.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use fragcache::{Caches, FragmentCache};

use crate::forms::Seal;
use crate::hosts::Hosts;
use crate::serve::{self, Shared};
use crate::templates;

/// Decides whether a request is admitted.
pub(crate) type Guard = dyn Fn(&Parts) -> bool + Send + Sync;

/// An inspector of one or more caches of this process, before it has a guard. It has no router yet:
///
/// ```compile_fail,E0599
/// use fragcache::FragmentCache;
/// use fragcache_inspector::Inspector;
///
/// let open_to_all: axum::Router =
///     Inspector::new("shop", FragmentCache::in_memory()).into_router();
/// ```
#[derive(Debug, Clone)]
#[must_use = "an inspector is reached through the router of its guarded form"]
pub struct Inspector {
    caches: Vec<(String, FragmentCache)>,
    secret: Option<Vec<u8>>,
    hosts: Hosts,
}

impl Inspector {
    /// Creates an inspector of a cache, under a name for display.
    ///
    /// A cache built without [statistics by name](fragcache::CacheBuilder::stats_by_name)
    /// has no figures per name: the page then shows only the stored entries, and says so.
    /// For a handle to a namespace, the page lists and deletes what is in that namespace;
    /// the figures are always those of the whole cache.
    pub fn new(name: impl Into<String>, cache: FragmentCache) -> Self {
        Self { caches: vec![(name.into(), cache)], secret: None, hosts: Hosts::default() }
    }

    /// Creates an inspector of all these caches, under their names; the default one first.
    ///
    /// ```
    /// use fragcache::{Caches, FragmentCache};
    /// use fragcache_inspector::Inspector;
    ///
    /// let caches = Caches::new(FragmentCache::in_memory()).with("rows", FragmentCache::in_memory())?;
    /// let inspector = Inspector::of(&caches).guard(|_| false);
    /// assert_eq!(inspector.names().collect::<Vec<_>>(), ["default", "rows"]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn of(caches: &Caches) -> Self {
        let caches = caches.iter().map(|(name, cache)| (name.to_owned(), cache.clone()));
        Self { caches: caches.collect(), secret: None, hosts: Hosts::default() }
    }

    /// Adds another cache. It replaces one of the same name.
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache_inspector::Inspector;
    ///
    /// let (shop, blog) = (FragmentCache::in_memory(), FragmentCache::in_memory());
    /// let inspector = Inspector::new("shop", shop).with("blog", blog).guard(|_| false);
    /// assert_eq!(inspector.names().collect::<Vec<_>>(), ["shop", "blog"]);
    /// ```
    pub fn with(mut self, name: impl Into<String>, cache: FragmentCache) -> Self {
        let name = name.into();
        match self.caches.iter_mut().find(|(known, _)| *known == name) {
            Some(place) => place.1 = cache,
            None => self.caches.push((name, cache)),
        }
        self
    }

    /// Sets the secret that signs this page's forms: at least 16 bytes that cannot be
    /// guessed. Without it, each inspector draws its own secret, and a form is valid only in
    /// the process that made it. Processes behind one load balancer need the same secret.
    pub fn form_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Some(secret.as_ref().to_vec());
        self
    }

    /// Sets the hosts that this page is served under, in place of `localhost`, `127.0.0.1` and
    /// `[::1]`. Ports and case are ignored. An invalid host, such as `https://shop.example/`,
    /// is dropped; if no other is listed, the page is served under no host.
    ///
    /// A request whose `Host` is not listed gets a 421 response, after the guard has
    /// admitted it. Otherwise another site could point a name of its own at this
    /// machine, and read the page through the browser of a visitor whom the guard
    /// admits by IP address. A proxy in front must pass `Host` on unchanged.
    ///
    /// ```
    /// use axum::body::Body;
    /// use axum::http::{Request, StatusCode};
    /// use fragcache::FragmentCache;
    /// use fragcache_inspector::Inspector;
    /// use tower::ServiceExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let inspector = Inspector::new("shop", FragmentCache::in_memory())
    ///     .hosts(["admin.shop.example", "https://shop.example/"])
    ///     .guard(|request| request.headers.contains_key("x-staff"));
    /// let router: axum::Router = inspector.into_router();
    ///
    /// for (host, status) in [
    ///     ("Admin.Shop.Example:8080", StatusCode::OK),
    ///     ("shop.example", StatusCode::MISDIRECTED_REQUEST),
    ///     ("localhost", StatusCode::MISDIRECTED_REQUEST),
    /// ] {
    ///     let request = Request::get("/").header("host", host).header("x-staff", "yes");
    ///     let answer = router.clone().oneshot(request.body(Body::empty())?).await?;
    ///     assert_eq!(answer.status(), status, "{host}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn hosts<H: AsRef<str>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.hosts = Hosts::of(hosts);
        self
    }

    /// Sets the guard. A request for which it returns `true` reaches the page and
    /// its buttons; any other gets a bare 403 response. The guard is called for
    /// every request, including the style sheet's, and must not block.
    ///
    /// If the check needs a database, do it in a layer around the router that stores
    /// its result in the request's extensions, and let the guard require that result:
    ///
    /// ```
    /// use fragcache::FragmentCache;
    /// use fragcache_inspector::Inspector;
    ///
    /// #[derive(Clone)]
    /// struct Staff;
    ///
    /// let inspector = Inspector::new("shop", FragmentCache::in_memory())
    ///     .guard(|request| request.extensions.get::<Staff>().is_some());
    /// let router: axum::Router = inspector.into_router();
    /// ```
    pub fn guard(self, guard: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> GuardedInspector {
        GuardedInspector { inspector: self, guard: Arc::new(guard) }
    }
}

/// An inspector with a guard.
#[derive(Clone)]
#[must_use = "an inspector is reached through its router"]
pub struct GuardedInspector {
    inspector: Inspector,
    guard: Arc<Guard>,
}

impl GuardedInspector {
    /// Returns the names of the caches that it shows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inspector.caches.iter().map(|(name, _)| &**name)
    }

    /// Returns the router. Mount it with [`Router::nest_service`], under a path
    /// without a trailing slash, or serve it on its own. [`Router::nest`] does not
    /// pass on a request for the path with a slash.
    ///
    /// It requires a Tokio runtime; pages are built on blocking threads, not on the
    /// runtime's workers.
    pub fn into_router(self) -> Router {
        let Inspector { caches, secret, hosts } = self.inspector;
        let shared = Shared {
            caches,
            guard: self.guard,
            hosts,
            seal: Seal::new(secret.as_deref()),
            templates: templates::environment(),
        };
        Router::new().fallback(serve::serve).with_state(Arc::new(shared))
    }
}

impl fmt::Debug for GuardedInspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedInspector")
            .field("caches", &self.names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
