//! A site with one view whose handler counts its runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use fragcache::FragmentCache;
use fragcache::testing::ManualClock;
use fragcache_tower::CacheLayer;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// The host of requests that name no other.
const HOST: &str = "site.example";

/// A request as HTTP/1.1 clients send it: with a host.
pub(crate) fn get_from_site(path: &str) -> http::request::Builder {
    http::Request::get(path).header("host", HOST)
}

/// Number of handler runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs(Arc<AtomicU64>);

impl Runs {
    pub(crate) fn one_more(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A received response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A router, and the cache behind its views.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) cache: FragmentCache,
    pub(crate) clock: ManualClock,
    pub(crate) router: Router,
    pub(crate) runs: Runs,
}

pub(crate) fn cache(clock: &ManualClock) -> FragmentCache {
    FragmentCache::builder().clock(clock.clone()).build().unwrap()
}

impl Site {
    /// A site whose only handler answers every path and method with the result of `respond`, which
    /// gets the request and the number of the run.
    pub(crate) fn new<R: IntoResponse + 'static>(
        settings: impl FnOnce(CacheLayer) -> CacheLayer,
        respond: impl Fn(&Request, u64) -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        let clock = ManualClock::new();
        let cache = cache(&clock);
        let view = CacheLayer::new(&cache, "view").expires_after(Duration::from_secs(60));
        let view = settings(view.cache_status());
        let runs = Runs::default();
        let counted = runs.clone();
        let handler = move |request: Request| {
            let response: Response = respond(&request, counted.one_more()).into_response();
            async move { response }
        };
        let router = Router::new().route("/{*path}", any(handler)).layer(view);
        Self { cache, clock, router, runs }
    }

    pub(crate) async fn ask(&self, request: http::Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, "").await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        if path.starts_with('/') && headers.iter().all(|(name, _)| *name != "host") {
            request = request.header("host", HOST);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}
