//! How an inspector is made: whose numbers it shows, and who may see them. There is no way to a router
//! but through a guard.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::request::Parts;
use fragcache::{Caches, FragmentCache};

use crate::forms::Seal;
use crate::hosts::Hosts;
use crate::serve::{self, Shared};
use crate::templates;

/// Who may come in.
pub(crate) type Guard = dyn Fn(&Parts) -> bool + Send + Sync;

/// An inspector of one or several caches of this process, before it has a guard. It has no router:
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
    /// An inspector of a cache, under a name by which people know it.
    ///
    /// A cache that was built without [statistics by name](fragcache::CacheBuilder::stats_by_name) has no figures per name:
    /// then the page shows what is held, and says so. Of a handle to a namespace it lists and deletes
    /// what is in that namespace; figures are always those of the whole cache.
    pub fn new(name: impl Into<String>, cache: FragmentCache) -> Self {
        Self { caches: vec![(name.into(), cache)], secret: None, hosts: Hosts::default() }
    }

    /// An inspector of all these caches, under their names; the default first.
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

    /// Shows another cache too. One of the same name takes the other's place.
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

    /// What the forms of this page are sealed with: at least 16 bytes that nobody can guess. Without,
    /// each inspector draws its own, and a form is good only for the process that made it. Processes
    /// behind one balancer need the same.
    pub fn form_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Some(secret.as_ref().to_vec());
        self
    }

    /// Lists the hosts that this page is reached under, in place of `localhost`, `127.0.0.1` and
    /// `[::1]`. Ports and case do not count. What is no host, such as `https://shop.example/`, stands for
    /// none: if nothing else is listed, the page is served under no host. A request whose `Host` is not
    /// listed is answered by 421, after the guard: another site could otherwise point a name of its own
    /// at this machine, and read the page with the browser of someone whom the guard lets in by his
    /// address. A proxy in front must leave `Host` as the browser sent it.
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

    /// Says who may come in: `true` lets a request through to the page and its buttons, anything else
    /// is answered by 403 and nothing more. It is asked for every request, the style sheet's included,
    /// and must not wait.
    ///
    /// A guard that has to ask a database belongs into a layer of yours around the router, which puts
    /// what it found into the request's extensions; the guard here then insists on it:
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

/// An inspector that lets in whom its guard lets in.
#[derive(Clone)]
#[must_use = "an inspector is reached through its router"]
pub struct GuardedInspector {
    inspector: Inspector,
    guard: Arc<Guard>,
}

impl GuardedInspector {
    /// The names of the caches that it shows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inspector.caches.iter().map(|(name, _)| &**name)
    }

    /// The router, to be mounted by [`Router::nest_service`], under a path without a slash at its end,
    /// or to be served by itself. [`Router::nest`] does not pass on a request for the path with a slash.
    ///
    /// It works within a Tokio runtime; pages are made off its workers.
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
