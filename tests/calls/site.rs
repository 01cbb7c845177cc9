//! A site whose views are cached by the layer, called in this process.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use fragcache::FragmentCache;
use fragcache_tower::CacheLayer;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value as Json;
use tower::ServiceExt;

use super::case::Asked;
use super::stage::{Answered, Counts, Stage};

/// The input of a handler, besides the number of its run.
pub(super) struct Given {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    pub(super) cache: FragmentCache,
    pub(super) counts: Counts,
}

impl Given {
    pub(super) fn header(&self, name: &str) -> &str {
        header(&self.parts, name).unwrap_or_default()
    }

    /// A field of the form, or of the query string.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let body = String::from_utf8(self.body.to_vec()).unwrap();
        let mut pairs = body.split('&').chain(query(&self.parts));
        pairs.find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    }

    /// The last segment of the path.
    pub(super) fn name(&self) -> &str {
        self.parts.uri.path().rsplit('/').next().unwrap_or_default()
    }
}

pub(super) fn header<'p>(parts: &'p Parts, name: &str) -> Option<&'p str> {
    parts.headers.get(name).map(|value| value.to_str().unwrap())
}

pub(super) fn query(parts: &Parts) -> impl Iterator<Item = &str> {
    parts.uri.query().unwrap_or_default().split('&')
}

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Routes, on a sequence of caches.
pub(super) struct Site {
    stage: Stage,
    routers: Vec<Router>,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::on(Stage::new())
    }

    pub(super) fn on(stage: Stage) -> Self {
        Self { stage, routers: vec![Router::new()] }
    }

    pub(super) fn cache(&self) -> FragmentCache {
        self.stage.cache()
    }

    pub(super) fn counts(&self) -> Counts {
        self.stage.counts()
    }

    /// The following routes use this cache, from the recording's "new application" on.
    pub(super) fn then(mut self, cache: FragmentCache) -> Self {
        self.stage.set_cache("cache", cache);
        self.routers.push(Router::new());
        self
    }

    /// A view: its route, its name (which counts its runs) and its settings.
    pub(super) fn view<R: IntoResponse + 'static>(
        self,
        route: &str,
        name: &'static str,
        settings: impl FnOnce(CacheLayer) -> CacheLayer,
        answer: impl Fn(&Given, u64) -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        self.view_counting(route, name, Some(name), settings, answer)
    }

    /// Like `view`; if its runs are not counted here, the handler counts them.
    pub(super) fn view_counting<R: IntoResponse + 'static>(
        self,
        route: &str,
        name: &'static str,
        counted: Option<&'static str>,
        settings: impl FnOnce(CacheLayer) -> CacheLayer,
        answer: impl Fn(&Given, u64) -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        let view = settings(CacheLayer::new(&self.stage.cache(), name));
        let handler = self.handler(counted, answer);
        self.route(|router| router.route(route, any(handler).layer(view)))
    }

    /// A handler without a cache.
    pub(super) fn page<R: IntoResponse + 'static>(
        self,
        route: &str,
        answer: impl Fn(&Given) -> R + Clone + Send + Sync + 'static,
    ) -> Self {
        let handler = self.handler(None, move |given, _| answer(given));
        self.route(|router| router.route(route, any(handler)))
    }

    /// Changes the current router.
    pub(super) fn route(mut self, change: impl FnOnce(Router) -> Router) -> Self {
        let router = self.routers.pop().unwrap();
        self.routers.push(change(router));
        self
    }

    pub(super) fn handler<R: IntoResponse + 'static>(
        &self,
        name: Option<&'static str>,
        answer: impl Fn(&Given, u64) -> R + Clone + Send + Sync + 'static,
    ) -> impl Fn(Parts, Bytes) -> Answering + Clone + Send + Sync + 'static {
        let (cache, counts) = (self.stage.cache(), self.stage.counts());
        move |parts: Parts, body: Bytes| -> Answering {
            let given = Given { parts, body, cache: cache.clone(), counts: counts.clone() };
            let answer = answer.clone();
            // Routers handle these, in Flask and in axum.
            if given.parts.method == Method::OPTIONS {
                return Box::pin(std::future::ready(StatusCode::OK.into_response()));
            }
            Box::pin(async move {
                let runs = name.map_or(0, |name| given.counts.tick(name));
                answer(&given, runs).into_response()
            })
        }
    }

    pub(super) fn stage(self) -> Stage {
        let (routers, at) = (Mutex::new(self.routers), Arc::new(AtomicUsize::new(0)));
        let next = Arc::clone(&at);
        let stage = self.stage.asked(move |_, asked| {
            let router = routers.lock().unwrap()[at.load(Ordering::SeqCst)].clone();
            answer(router, request(asked))
        });
        stage.acts("from here on", move |_| {
            next.fetch_add(1, Ordering::SeqCst);
        })
    }
}

fn request(asked: &Asked) -> http::Request<Body> {
    let mut path = String::new();
    for byte in asked.path.bytes() {
        match byte.is_ascii() {
            true => path.push(char::from(byte)),
            false => path.push_str(&format!("%{byte:02X}")),
        }
    }
    // Flask's client sends this host unless the recording has another. With an absolute address,
    // the scheme is visible too, as in HTTP/2.
    let (uri, host) = match &asked.base_url {
        Some(url) => (format!("{url}{path}"), url.split_once("://").unwrap().1),
        None => (path, "localhost"),
    };
    let mut request = http::Request::builder().method(&*asked.method).uri(uri).header(HOST, host);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let (body, kind) = match (&asked.data, &asked.json) {
        (Json::Object(form), _) => {
            let field = |(name, value): (&String, &Json)| {
                format!("{name}={}", value.as_str().unwrap_or_default())
            };
            let fields: Vec<String> = form.iter().map(field).collect();
            (fields.join("&"), "application/x-www-form-urlencoded")
        }
        (Json::String(text), _) => (text.clone(), "text/plain"),
        (_, Json::Null) => (String::new(), ""),
        (_, json) => (json.to_string(), "application/json"),
    };
    let kind = asked.content_type.as_deref().unwrap_or(kind);
    if !kind.is_empty() {
        request = request.header(CONTENT_TYPE, kind);
    }
    request.body(Body::from(body)).unwrap()
}

fn answer(router: Router, request: http::Request<Body>) -> Answered {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        Answered {
            status: parts.status.as_u16(),
            headers: parts.headers.iter().map(header).collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    })
}
