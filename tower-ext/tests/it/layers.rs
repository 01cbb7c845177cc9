//! The layer among others: routers within routers, compression, timeouts, authentication, session
//! cookies.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fragcache::testing::ManualClock;
use fragcache_tower::CacheLayer;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

use crate::support::{Runs, cache, get_from_site};

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> (Response, Vec<u8>) {
    let mut request = get_from_site(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, Body::empty()), body.to_vec())
}

fn counting(runs: &Runs, text: &'static str) -> axum::routing::MethodRouter {
    let runs = runs.clone();
    get(move || {
        runs.one_more();
        async move { text.repeat(200) }
    })
}

#[tokio::test]
async fn nested_routers_do_not_share_responses() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let view = CacheLayer::new(&cache, "list");
    let one = Router::new().route("/list", counting(&runs, "one")).layer(view.clone());
    let two = Router::new().route("/list", counting(&runs, "two")).layer(view.clone());
    let router = Router::new().nest("/one", one).nest("/two", two);
    for _ in 0..2 {
        assert!(ask(&router, "/one/list", &[]).await.1.starts_with(b"one"));
        assert!(ask(&router, "/two/list", &[]).await.1.starts_with(b"two"));
    }
    assert_eq!(runs.count(), 2);
    view.delete("/one/list").eventually();
    ask(&router, "/one/list", &[]).await;
    ask(&router, "/two/list", &[]).await;
    assert_eq!(runs.count(), 3, "the whole path, and that alone");
}

#[tokio::test]
async fn compression_belongs_outside() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let router = Router::new()
        .route("/", counting(&runs, "text "))
        .layer(CacheLayer::new(&cache, "page"))
        .layer(CompressionLayer::new());
    let gzip = [("accept-encoding", "gzip")];
    for headers in [&gzip[..], &[], &gzip[..]] {
        let (response, body) = ask(&router, "/", headers).await;
        let coded = response.headers().get("content-encoding").is_some();
        assert_eq!((coded, body.starts_with(b"text ")), (!headers.is_empty(), headers.is_empty()));
    }
    assert_eq!(runs.count(), 1, "one copy for all encodings");
    let tag = ask(&router, "/", &gzip).await.0.headers()["etag"].to_str().unwrap().to_owned();
    let again = [("accept-encoding", "gzip"), ("if-none-match", tag.as_str())];
    assert_eq!(ask(&router, "/", &again).await.0.status(), StatusCode::NOT_MODIFIED);

    // Inside, each response is a stream of unknown length: it is not cached, and nothing is mixed
    // up.
    let runs = Runs::default();
    let router = Router::new()
        .route("/", counting(&runs, "text "))
        .layer(CompressionLayer::new())
        .layer(CacheLayer::new(&cache, "inside"));
    for headers in [&gzip[..], &[], &gzip[..]] {
        let (response, _) = ask(&router, "/", headers).await;
        assert_eq!(response.headers().contains_key("content-encoding"), !headers.is_empty());
    }

    // If it is cached anyway, `Vary` separates the encodings.
    let runs = Runs::default();
    let router = Router::new()
        .route("/", counting(&runs, "text "))
        .layer(CompressionLayer::new())
        .layer(CacheLayer::new(&cache, "streams").store_streams());
    for _ in 0..3 {
        for headers in [&gzip[..], &[]] {
            let (response, _) = ask(&router, "/", headers).await;
            assert_eq!(response.headers().contains_key("content-encoding"), !headers.is_empty());
        }
    }
    assert!(runs.count() < 6, "{}", runs.count());
}

async fn only_members(request: Request, next: Next) -> Response {
    match request.headers().get("authorization") {
        Some(_) => next.run(request).await,
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn session(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().append("set-cookie", HeaderValue::from_static("session=1"));
    response
}

#[tokio::test]
async fn authorization_happens_outside_the_layer() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let router = Router::new()
        .route("/", counting(&runs, "for members"))
        .layer(CacheLayer::new(&cache, "members").allow_authorization())
        .layer(from_fn(only_members));
    for member in ["a", "b"] {
        assert_eq!(ask(&router, "/", &[("authorization", member)]).await.0.status(), 200);
    }
    assert_eq!(ask(&router, "/", &[]).await.0.status(), 401);
    assert_eq!(runs.count(), 1);

    // Inside, with the header allowed, everyone would see the page. By default, no other visitor
    // does.
    let runs = Runs::default();
    let router = Router::new()
        .route("/", counting(&runs, "for members"))
        .layer(from_fn(only_members))
        .layer(CacheLayer::new(&cache, "inside"));
    assert_eq!(ask(&router, "/", &[("authorization", "a")]).await.0.status(), 200);
    assert_eq!(ask(&router, "/", &[]).await.0.status(), 401);
}

#[tokio::test]
async fn session_cookies_belong_outside() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let outside = Router::new()
        .route("/", counting(&runs, "x"))
        .layer(CacheLayer::new(&cache, "outside"))
        .layer(from_fn(session));
    for _ in 0..2 {
        assert!(ask(&outside, "/", &[]).await.0.headers().contains_key("set-cookie"));
    }
    assert_eq!(runs.count(), 1, "and every visitor has a cookie of his own");

    let runs = Runs::default();
    let inside = Router::new()
        .route("/", counting(&runs, "x"))
        .layer(from_fn(session))
        .layer(CacheLayer::new(&cache, "inside"));
    for _ in 0..2 {
        assert!(ask(&inside, "/", &[]).await.0.headers().contains_key("set-cookie"));
    }
    assert_eq!(runs.count(), 2, "a response with a cookie is not kept");
}

#[tokio::test]
async fn a_timeout_outside_ends_a_handler_and_the_next_request_runs_it_again() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = move || {
        let run = counted.one_more();
        async move {
            if run == 1 {
                std::future::pending::<()>().await;
            }
            "fine"
        }
    };
    let limit =
        TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(30));
    let router =
        Router::new().route("/", get(handler)).layer(CacheLayer::new(&cache, "page")).layer(limit);
    assert_eq!(ask(&router, "/", &[]).await.0.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(ask(&router, "/", &[]).await.0.status(), StatusCode::OK);
    assert_eq!(ask(&router, "/", &[]).await.0.status(), StatusCode::OK);
    assert_eq!(runs.count(), 2);
}
