//! What a handler knows of the view that it answers for.

use fragcache::engine::{Collector, PendingCollection};
use fragcache::{FragmentCache, ReadPoint};

/// The request's read point, and the way to render on other threads. Every request that passes a
/// [`CacheLayer`](crate::CacheLayer) layer has one among its extensions, whether its response is kept or not;
/// with axum a handler takes it as an argument.
///
/// What a handler renders on the threads that poll it is inside its response by itself. What it
/// renders elsewhere (`spawn_blocking`, a thread of its own) is so within `CacheContext::blocking` (feature
/// `tokio`) and [`scope`](Self::scope) only. A response of which not all can be known is not kept: one whose
/// handler took a `CacheContext` as an argument and opened no scope, or whose scopes have not all ended when
/// its body has. Such a response is counted as [`Unscoped`](fragcache::events::RefusalReason::Unscoped).
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
    /// Of the innermost response that may be kept. None if all layers are bypassed.
    collector: Option<Collector>,
}

impl CacheContext {
    pub(crate) fn of(collector: Collector) -> Self {
        let (cache, point) = (collector.cache().clone(), collector.read_point());
        Self { cache, point, collector: Some(collector) }
    }

    /// The view of a request that bypasses a layer with this cache. What is rendered elsewhere is inside
    /// the response that a layer outside may keep.
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

    /// The moment before anything was read for this request.
    pub fn read_point(&self) -> ReadPoint {
        self.point
    }

    /// The cache of the layer, the innermost of several.
    pub fn cache(&self) -> &FragmentCache {
        &self.cache
    }

    /// Renders under the read point, on whatever thread: what is rendered is inside the response. It
    /// has to be done before the response's body ends, or the response is not kept.
    ///
    /// A handler that takes a `CacheContext` and need not render elsewhere this time opens an empty one:
    /// `view.scope(|| ())`.
    pub fn scope<R>(&self, render: impl FnOnce() -> R) -> R {
        self.begin().run(render)
    }

    fn begin(&self) -> Begun {
        Begun { point: self.point, gathering: self.collector.as_ref().map(Collector::begin) }
    }

    /// Renders in a [`scope`](Self::scope) on one of tokio's threads for blocking work: what
    /// `spawn_blocking` is for a handler whose response is kept. It begins when it is first polled.
    /// Dropped after that and before it ends, it goes on, and the response is not kept.
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
    /// let view = CacheLayer::new(&FragmentCache::in_memory(), "films").tell_status();
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
    /// As `spawn_blocking`: if `render` panics, or the runtime shuts down before it has begun.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[cfg(feature = "tokio")]
    pub async fn blocking<R: Send + 'static>(
        &self,
        render: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, tokio::task::JoinError> {
        // From now on, not only once a thread is free.
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
        let missing = "no fragcache_tower::CacheLayer layer is around this route";
        let view = parts.extensions.get::<Self>().cloned();
        if let Some(collector) = view.as_ref().and_then(|view| view.collector.as_ref()) {
            collector.expect();
        }
        view.ok_or((http::StatusCode::INTERNAL_SERVER_ERROR, missing))
    }
}
