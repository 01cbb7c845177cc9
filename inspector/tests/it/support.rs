//! An inspector in front of a cache with a manual clock, and requests to it.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use fragcache::testing::ManualClock;
use fragcache::{Fragment, FragmentCache, FragmentKey};
use fragcache_inspector::Inspector;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// The header that the guard of these tests requires.
pub(crate) const STAFF: &str = "x-staff";

pub(crate) struct Rig {
    pub(crate) cache: FragmentCache,
    pub(crate) clock: ManualClock,
    pub(crate) app: Router,
}

pub(crate) fn rig() -> Rig {
    let clock = ManualClock::new();
    let cache = FragmentCache::builder().clock(clock.clone()).stats_by_name(1000).build().unwrap();
    let app = mounted(Inspector::new("shop", cache.clone()));
    Rig { cache, clock, app }
}

/// An inspector behind a guard, under a path.
pub(crate) fn mounted(inspector: Inspector) -> Router {
    let guarded = inspector.guard(|request| request.headers.contains_key(STAFF));
    Router::new().nest_service("/inspector", guarded.into_router())
}

pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The page with slashes as they are: the engine writes `&#x2f;`.
    pub(crate) fn unslashed(&self) -> String {
        self.body.replace("&#x2f;", "/")
    }

    /// The value of the first hidden field of this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.body.split(&start).nth(1).unwrap_or_else(|| panic!("no {name}"));
        rest.split('"').next().unwrap().to_owned()
    }

    pub(crate) fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap().to_owned()
    }
}

/// Sends a request, with the host `localhost` if it has none.
pub(crate) async fn send(app: &Router, mut request: Request<Body>) -> Got {
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    send_bare(app, request).await
}

pub(crate) async fn send_bare(app: &Router, request: Request<Body>) -> Got {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Got {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

impl Rig {
    /// Renders a fragment that takes this long.
    pub(crate) fn render(&self, key: FragmentKey, millis: u64, body: &str) {
        render_in(&self.cache, &self.clock, key, millis, body);
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        let request = Request::get(path).header(STAFF, "yes").body(Body::empty()).unwrap();
        send(&self.app, request).await
    }

    /// The page of a fragment.
    pub(crate) async fn page(&self, key: &FragmentKey) -> Got {
        self.get(&format!("/inspector/name?key={}", key.to_hex())).await
    }
}

pub(crate) fn render_in(
    cache: &FragmentCache,
    clock: &ManualClock,
    key: FragmentKey,
    millis: u64,
    body: &str,
) {
    let tags = [format!("tag of {key}")];
    let work = || {
        clock.advance(Duration::from_millis(millis));
        body
    };
    cache.render(Fragment::new(key).tags(tags), work).unwrap();
}

/// A form, as a browser that has loaded the page sends it.
pub(crate) fn form(path: &str, cookie: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    let body = body.extend_pairs(fields).finish();
    Request::post(path)
        .header(STAFF, "yes")
        .header(header::HOST, "localhost:3000")
        .header(header::ORIGIN, "https://localhost:3000")
        .header("sec-fetch-site", "same-origin")
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap()
}
