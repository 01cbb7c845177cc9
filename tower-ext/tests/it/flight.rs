//! Single flight, stale windows, errors, cancellation and panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::map_request;
use axum::routing::get;
use fragcache::FragmentCache;
use fragcache::testing::ManualClock;
use fragcache_tower::CacheLayer;
use http::StatusCode;
use tokio::sync::{Notify, Semaphore};
use tower::ServiceExt;

use crate::support::{Runs, Site, cache, get_from_site};

async fn ask(router: &Router) -> StatusCode {
    let request = get_from_site("/").body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap().status()
}

/// A view whose handler waits at a gate.
fn gated(cache: &FragmentCache, runs: &Runs) -> (Router, Arc<Semaphore>, Arc<Notify>) {
    let (gate, came) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let (inner_gate, inner_came, counted) = (Arc::clone(&gate), Arc::clone(&came), runs.clone());
    let handler = move || {
        let (gate, came) = (Arc::clone(&inner_gate), Arc::clone(&inner_came));
        counted.one_more();
        async move {
            came.notify_one();
            gate.acquire().await.unwrap().forget();
            "slow"
        }
    };
    let view = CacheLayer::new(cache, "slow").expires_after(Duration::from_secs(10));
    (Router::new().route("/", get(handler)).layer(view), gate, came)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i7_a_thousand_requests_for_a_cold_and_for_an_expired_view_run_the_handler_once() {
    let clock = ManualClock::new();
    let cache = cache(&clock);
    let runs = Runs::default();
    let (router, gate, came) = gated(&cache, &runs);
    let asked = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&asked);
    let router = router.layer(map_request(move |request: Request| {
        counting.fetch_add(1, Ordering::SeqCst);
        async move { request }
    }));
    for round in 1..=2 {
        let first = tokio::spawn({
            let router = router.clone();
            async move { ask(&router).await }
        });
        came.notified().await;
        let others: Vec<_> = (0..1000)
            .map(|_| {
                let router = router.clone();
                tokio::spawn(async move { ask(&router).await })
            })
            .collect();
        while asked.load(Ordering::SeqCst) < 1001 * round {
            tokio::task::yield_now().await;
        }
        gate.add_permits(1);
        assert_eq!(first.await.unwrap(), StatusCode::OK);
        for other in others {
            assert_eq!(other.await.unwrap(), StatusCode::OK);
        }
        assert_eq!(runs.count(), round);
        clock.advance(Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_the_handler_to_the_next() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let (router, gate, came) = gated(&cache, &runs);
    let start = || {
        let router = router.clone();
        tokio::spawn(async move { ask(&router).await })
    };
    let first = start();
    came.notified().await;
    let second = start();
    tokio::task::yield_now().await;
    first.abort();
    came.notified().await;
    gate.add_permits(1);
    assert_eq!(second.await.unwrap(), StatusCode::OK);
    assert_eq!(runs.count(), 2);
    assert_eq!(ask(&router).await, StatusCode::OK);
    assert_eq!(runs.count(), 2, "what the second made is kept");
}

#[tokio::test]
async fn an_endless_handler_holds_followers_until_the_limit() {
    let cache = FragmentCache::builder().wait_limit(Duration::from_millis(30)).build().unwrap();
    let runs = Runs::default();
    let (router, gate, came) = gated(&cache, &runs);
    let first = {
        let router = router.clone();
        tokio::spawn(async move { ask(&router).await })
    };
    came.notified().await;
    let second = {
        let router = router.clone();
        tokio::spawn(async move { ask(&router).await })
    };
    came.notified().await;
    assert_eq!(runs.count(), 2, "it has waited for so long, and runs the handler itself");
    first.abort();
    gate.add_permits(2);
    assert_eq!(second.await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn a_panic_in_a_handler_gives_the_view_up() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = move || {
        let run = counted.one_more();
        async move {
            assert!(run > 1, "the first fails");
            "fine"
        }
    };
    let router: Router =
        Router::new().route("/", get(handler)).layer(CacheLayer::new(&cache, "page"));
    let failed = {
        let router = router.clone();
        tokio::spawn(async move { ask(&router).await })
    };
    assert!(failed.await.is_err());
    assert_eq!(ask(&router).await, StatusCode::OK);
    assert_eq!(ask(&router).await, StatusCode::OK);
    assert_eq!(runs.count(), 2);
}

#[tokio::test]
async fn a_stale_response_replaces_a_server_error() {
    let site = Site::new(
        |view| view.stale(Duration::from_secs(60)),
        |_, run| match run {
            1 => Ok("fine"),
            _ => Err(StatusCode::SERVICE_UNAVAILABLE),
        },
    );
    assert_eq!(site.get("/p", &[]).await.body, "fine");
    site.clock.advance(Duration::from_secs(61));
    let answer = site.get("/p", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "fine"));
    assert_eq!(answer.header("age"), Some("61"));
    assert!(site.runs.count() > 1, "the handler was tried");
    site.clock.advance(Duration::from_secs(60));
    assert_eq!(site.get("/p", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn must_revalidate_is_never_served_stale() {
    for said in ["must-revalidate", "Proxy-Revalidate", "s-maxage=60", "max-age=0, s-maxage=60"] {
        let site = Site::new(
            |view| view.stale(Duration::from_secs(60)),
            move |_, run| match run {
                1 => Ok(([("cache-control", said)], "fine")),
                _ => Err(StatusCode::SERVICE_UNAVAILABLE),
            },
        );
        site.get("/p", &[]).await;
        site.clock.advance(Duration::from_secs(59));
        assert_eq!(site.get("/p", &[]).await.body, "fine", "{said}");
        site.clock.advance(Duration::from_secs(2));
        assert_eq!(site.get("/p", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE, "{said}");
    }
}

#[tokio::test]
async fn bad_settings_and_long_addresses_go_by_the_cache() {
    let site = Site::new(|view| view.expires_after(Duration::ZERO), |_, run| format!("run {run}"));
    assert_eq!(site.get("/p", &[]).await.body, "run 1");
    assert_eq!(site.get("/p", &[]).await.body, "run 2");

    let site = Site::new(|view| view, |_, run| format!("run {run}"));
    let long = format!("/p?q={}", "x".repeat(5000));
    assert_eq!(site.get(&long, &[]).await.body, "run 1");
    assert_eq!(site.get(&long, &[]).await.body, "run 2");
    assert_eq!(site.cache.stats().entries, 0);
    let bomb = "a".repeat(5000);
    let site =
        Site::new(|view| view.vary_on([http::header::ACCEPT]), |_, run| format!("run {run}"));
    assert_eq!(site.get("/p", &[("accept", &bomb)]).await.body, "run 1");
    assert_eq!(site.get("/p", &[("accept", &bomb)]).await.body, "run 2");
    assert_eq!(site.cache.stats().entries, 0);
}
