//! What a handler knows of the view that it answers for.

use fragcache::engine::Gatherer;
use fragcache::{FragmentCache, ReadPoint};

/// The request's read point, and the way to render on other threads. Every request that passes a
/// [`Cached`](crate::Cached) layer has one among its extensions, whether its response is kept or not;
/// with axum a handler takes it as an argument.
///
/// What a handler renders on the threads that poll it is inside its response by itself. What it
/// renders elsewhere (`spawn_blocking`, a thread of its own) is so within [`scope`](Self::scope) only:
/// without, the response is kept though what was rendered there has been deleted.
///
/// ```
/// use fragcache_tower::View;
///
/// async fn page(view: View) -> String {
///     let rendered = tokio::task::spawn_blocking(move || view.scope(|| "<h1>Films</h1>".to_owned()));
///     rendered.await.unwrap_or_default()
/// }
/// # let _ = page;
/// ```
#[derive(Debug, Clone)]
pub struct View(Inside);

#[derive(Debug, Clone)]
enum Inside {
    Response(Gatherer),
    /// A request that goes by the cache.
    Nothing(FragmentCache, ReadPoint),
}

impl View {
    pub(crate) fn of(gatherer: Gatherer) -> Self {
        Self(Inside::Response(gatherer))
    }

    pub(crate) fn passing(cache: &FragmentCache, point: ReadPoint) -> Self {
        Self(Inside::Nothing(cache.clone(), point))
    }

    /// The moment before anything was read for this request.
    pub fn read_point(&self) -> ReadPoint {
        match &self.0 {
            Inside::Response(gatherer) => gatherer.read_point(),
            Inside::Nothing(_, point) => *point,
        }
    }

    /// The cache of the layer.
    pub fn cache(&self) -> &FragmentCache {
        match &self.0 {
            Inside::Response(gatherer) => gatherer.cache(),
            Inside::Nothing(cache, _) => cache,
        }
    }

    /// Renders under the read point, on whatever thread: what is rendered is inside the response. It
    /// has to be done before the handler returns.
    pub fn scope<R>(&self, render: impl FnOnce() -> R) -> R {
        match &self.0 {
            Inside::Response(gatherer) => gatherer.scope(render),
            Inside::Nothing(_, point) => point.scope(render),
        }
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for View {
    type Rejection = (http::StatusCode, &'static str);

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let missing = "no fragcache_tower::Cached layer is around this route";
        let view = parts.extensions.get::<Self>().cloned();
        view.ok_or((http::StatusCode::INTERNAL_SERVER_ERROR, missing))
    }
}
