//! What observers, counters and name stats report about requests that bypass a view.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use fragcache::FragmentCache;
use fragcache::events::{BypassReason, EventKind};
use fragcache::testing::Recorder;
use fragcache_tower::CacheLayer;
use http::{HeaderName, Method};
use tower::ServiceExt;

use crate::support::get_from_site;

/// An observed cache, and a site with one view in a namespace of it.
fn site(settings: impl FnOnce(CacheLayer) -> CacheLayer) -> (FragmentCache, Recorder, Router) {
    let recorder = Recorder::new();
    let cache =
        FragmentCache::builder().observer(recorder.clone()).stats_by_name(10).build().unwrap();
    let view = settings(CacheLayer::new(&cache.namespace("shop"), "view"));
    let router = Router::new().route("/{*path}", any(async || "page")).layer(view);
    (cache, recorder, router)
}

async fn send(router: &Router, method: Method, headers: &[(&'static str, &str)], body: &str) {
    let mut request = get_from_site("/p").method(method);
    for (name, value) in headers {
        if *name == "host" {
            // A second host beside its own: the request is ambiguous.
            request = request.header("host", "other.example");
        } else {
            request = request.header(*name, *value);
        }
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    router.clone().oneshot(request).await.unwrap();
}

#[tokio::test]
async fn each_bypass_says_why() {
    type Settings = fn(CacheLayer) -> CacheLayer;
    type Case =
        (BypassReason, Settings, Method, &'static [(&'static str, &'static str)], &'static str);
    let own: Settings = |view| view.private_headers([HeaderName::from_static("x-own")]);
    let cases: &[Case] = &[
        (BypassReason::Private, |view| view, Method::GET, &[("x-api-key", "1")], ""),
        (BypassReason::Private, own, Method::GET, &[("x-own", "1")], ""),
        (BypassReason::Private, |view| view, Method::HEAD, &[("cookie", "a=1")], ""),
        (BypassReason::Method, |view| view, Method::GET, &[("x-method-override", "PUT")], ""),
        (BypassReason::Host, |view| view, Method::GET, &[("host", "")], ""),
        (BypassReason::Range, |view| view, Method::GET, &[("range", "bytes=0-1")], ""),
        (BypassReason::Upgrade, |view| view, Method::GET, &[("upgrade", "websocket")], ""),
        (BypassReason::Body, |view| view, Method::GET, &[], "a=1"),
        (
            BypassReason::NoStore,
            CacheLayer::respect_clients,
            Method::GET,
            &[("cache-control", "no-store")],
            "",
        ),
        (BypassReason::Head, |view| view, Method::HEAD, &[], ""),
        (BypassReason::Key, |view| view.key(|_| None::<&str>), Method::GET, &[], ""),
        (
            BypassReason::Key,
            |view| view.key_with_body(2, |_, body| Some(body.len())),
            Method::POST,
            &[],
            "a=1",
        ),
        (BypassReason::Unless, |view| view.unless(|_| true), Method::GET, &[], ""),
    ];
    for (reason, settings, method, headers, body) in cases {
        let (cache, recorder, router) = site(settings);
        send(&router, method.clone(), headers, body).await;
        let [event] = &recorder.events()[..] else {
            panic!("{reason:?}: {:?}", recorder.events());
        };
        let by_header = matches!(reason, BypassReason::Private | BypassReason::Method);
        let header = by_header.then(|| headers[0].0.to_owned());
        assert_eq!(event.kind, EventKind::Bypassed(*reason));
        let about = (event.name.as_str(), event.namespace.as_str(), &event.header);
        assert_eq!(about, ("view", "shop", &header), "{reason:?}");
        assert_eq!(recorder.renders("view"), 1, "{reason:?}");
        assert_eq!(cache.stats().bypasses, 1, "{reason:?}");
        let accounts = cache.stats_by_name().unwrap().names;
        assert_eq!(accounts[0].bypasses, [(*reason, 1)]);
    }
}

#[tokio::test]
async fn methods_that_no_view_answers_are_no_news() {
    let (cache, recorder, router) = site(|view| view);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        send(&router, method, &[("x-api-key", "1")], "a=1").await;
    }
    assert_eq!(recorder.events(), []);
    assert_eq!(cache.stats().bypasses, 0);
}

#[tokio::test]
async fn a_refusal_is_reported_once() {
    let (cache, recorder, router) = site(|view| view.expires_after(Duration::ZERO));
    send(&router, Method::GET, &[], "").await;
    let kinds: Vec<_> = recorder.events().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Refused(fragcache::events::RefusalReason::Timeout)]);
    assert_eq!((cache.stats().bypasses, cache.stats().refusals), (0, 1));
}
