//! The cache context of a handler.

use fragcache::engine::{Collector, PendingCollection};
use fragcache::{FragmentCache, ReadPoint};

/// The request's read point, and the means to render on other threads. Every request that passes a
/// [`CacheLayer`](crate::CacheLayer) has one among its extensions, whether its response is cached
/// or not. With axum, a handler takes it as an argument.
///
/// Everything rendered on the threads that poll the handler is inside its response automatically.
/// What is rendered elsewhere (`spawn_blocking`, a separate thread) is inside only within
/// `CacheContext::blocking` (feature `tokio`) or [`scope`](Self::scope). A response with unknown
/// contents is not cached: one whose handler took a `CacheContext` as an argument and opened no
/// scope, or one with a scope that is still open when its body ends. Such a response is counted as
/// [`Unscoped`](fragcache::events::RefusalReason::Unscoped).
///
/// ```
/// use fragcache_tower::CacheContext;
///
/// async fn page(view: CacheContext) -> String {
///     let rendered = tokio::task::spawn_blocking(move || view.scope(|| "<h1>Films</h1>".to_owned()));
///     rendered.await.unwrap_or_default()
/// }
/// # let _ = page;
/// ```
#[derive(Debug, Clone)]
pub struct CacheContext {
    cache: FragmentCache,
    point: ReadPoint,
    /// The collector of the innermost cacheable response. `None` if all layers are bypassed.
    collector: Option<Collector>,
}

impl CacheContext {
    pub(crate) fn of(collector: Collector) -> Self {
        let (cache, point) = (collector.cache().clone(), collector.read_point());
        Self { cache, point, collector: Some(collector) }
    }

    /// The context of a request that bypasses a layer with this cache. What is rendered on other
    /// threads is inside the response that an outer layer may cache.
    pub(crate) fn bypassing(
        cache: &FragmentCache,
        point: ReadPoint,
        outside: Option<&Self>,
    ) -> Self {
        let older = outside.filter(|outside| outside.cache.is_same(cache));
        Self {
            cache: cache.clone(),
            point: older.map_or(point, |outside| outside.point),
            collector: outside.and_then(|outside| outside.collector.clone()),
        }
    }

    /// The read point of the request. It precedes all its reads.
    pub fn read_point(&self) -> ReadPoint {
        self.point
    }

    /// The cache of the layer; of the innermost if there are several.
    pub fn cache(&self) -> &FragmentCache {
        &self.cache
    }

    /// Renders under the read point, on any thread. The result is inside the response. The scope
    /// must end before the response's body does, or the response is not cached.
    ///
    /// A handler that takes a `CacheContext` but renders nothing elsewhere opens an empty scope:
    /// `view.scope(|| ())`.
    pub fn scope<R>(&self, render: impl FnOnce() -> R) -> R {
        self.begin().run(render)
    }

    fn begin(&self) -> Begun {
        Begun { point: self.point, gathering: self.collector.as_ref().map(Collector::begin) }
    }

    /// Renders in a [`scope`](Self::scope) on one of tokio's blocking threads: the `spawn_blocking`
    /// for handlers whose responses are cached. Rendering starts when the future is first polled.
    /// If the future is dropped after that, rendering continues, and the response is not cached.
    ///
    /// ```
    /// use axum::{Router, body::Body, http::Request, http::StatusCode, routing::get};
    /// use fragcache::FragmentCache;
    /// use fragcache_tower::{CacheLayer, CacheContext};
    /// use tower::ServiceExt;
    ///
    /// async fn page(view: CacheContext) -> Result<String, StatusCode> {
    ///     let rendering = view.blocking(|| "<h1>Films</h1>".to_owned());
    ///     // Nothing is rendered yet.
    ///     rendering.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = CacheLayer::new(&FragmentCache::in_memory(), "films").cache_status();
    /// let app: Router = Router::new().route("/", get(page)).layer(view);
    /// for status in ["fragcache; fwd=miss; stored", "fragcache; hit"] {
    ///     let request = Request::get("/").header("host", "shop.example").body(Body::empty())?;
    ///     let response = app.clone().oneshot(request).await?;
    ///     assert_eq!(response.headers()["cache-status"], status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Like `spawn_blocking`: if `render` panics, or if the runtime shuts down before it starts.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[cfg(feature = "tokio")]
    pub async fn blocking<R: Send + 'static>(
        &self,
        render: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, tokio::task::JoinError> {
        // The scope begins now, not when a thread becomes free.
        let scope = self.begin();
        tokio::task::spawn_blocking(move || scope.run(render)).await
    }
}

/// A scope that has begun.
struct Begun {
    point: ReadPoint,
    gathering: Option<PendingCollection>,
}

impl Begun {
    fn run<R>(self, render: impl FnOnce() -> R) -> R {
        let Self { point, gathering } = self;
        point.scope(|| match gathering {
            Some(gathering) => gathering.run(render),
            None => render(),
        })
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for CacheContext {
    type Rejection = (http::StatusCode, &'static str);

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let missing = "no fragcache_tower::CacheLayer is around this route";
        let view = parts.extensions.get::<Self>().cloned();
        if let Some(collector) = view.as_ref().and_then(|view| view.collector.as_ref()) {
            collector.expect();
        }
        view.ok_or((http::StatusCode::INTERNAL_SERVER_ERROR, missing))
    }
}
