//! What a handler knows of the view that it answers for.

use fragcache::engine::Gatherer;
use fragcache::{FragmentCache, ReadPoint};

/// The request's read point, and the way to render on other threads. Every request that passes a
/// [`Cached`](crate::Cached) layer has one among its extensions, whether its response is kept or not;
/// with axum a handler takes it as an argument.
///
/// What a handler renders on the threads that poll it is inside its response by itself. What it
/// renders elsewhere (`spawn_blocking`, a thread of its own) is so within [`blocking`](Self::blocking)
/// and [`scope`](Self::scope) only. A response of which not all can be known is not kept: one whose
/// handler took a `View` as an argument and opened no scope, or whose scopes have not all ended when
/// its body has. Such a response is counted as [`Unscoped`](fragcache::RefusalReason::Unscoped).
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
    /// has to be done before the response's body ends, or the response is not kept.
    ///
    /// A handler that takes a `View` and need not render elsewhere this time opens an empty one:
    /// `view.scope(|| ())`.
    pub fn scope<R>(&self, render: impl FnOnce() -> R) -> R {
        match &self.0 {
            Inside::Response(gatherer) => gatherer.scope(render),
            Inside::Nothing(_, point) => point.scope(render),
        }
    }

    /// Renders in a [`scope`](Self::scope) on one of tokio's threads for blocking work: what
    /// `spawn_blocking` is for a handler whose response is kept. Dropped before it ends, it goes on,
    /// and the response is not kept.
    ///
    /// ```
    /// use axum::http::StatusCode;
    /// use fragcache_tower::View;
    ///
    /// async fn page(view: View) -> Result<String, StatusCode> {
    ///     let rendered = view.blocking(|| "<h1>Films</h1>".to_owned()).await;
    ///     rendered.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    /// }
    /// # let _ = page;
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
        let rendered = match &self.0 {
            Inside::Response(gatherer) => {
                // From now on, not only once a thread is free.
                let scope = gatherer.begin();
                tokio::task::spawn_blocking(move || scope.run(render))
            }
            Inside::Nothing(_, point) => {
                let point = *point;
                tokio::task::spawn_blocking(move || point.scope(render))
            }
        };
        rendered.await
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
        if let Some(Self(Inside::Response(gatherer))) = &view {
            gatherer.expect();
        }
        view.ok_or((http::StatusCode::INTERNAL_SERVER_ERROR, missing))
    }
}
