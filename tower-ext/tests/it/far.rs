//! Two processes with a shared store: each answers with the other's responses and deletes them.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use fragcache::testing::MemoryStore;
use fragcache::{FarLevel, FragmentCache};
use fragcache_tower::{CacheLayer, ResponsePolicy};
use http::HeaderMap;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::{Runs, get_from_site};

fn process(store: &MemoryStore, runs: &Runs) -> (FragmentCache, Router) {
    let cache = FragmentCache::builder().far(FarLevel::new(store.clone())).build().unwrap();
    let runs = runs.clone();
    let handler = move |headers: HeaderMap| {
        let run = runs.one_more();
        async move {
            let language = headers.get("accept-language").map_or("", |l| l.to_str().unwrap());
            let page = format!("{language} {run}");
            (ResponsePolicy::new().tags(["words"]), [("vary", "accept-language")], page)
        }
    };
    let view = CacheLayer::new(&cache, "page").expires_after(Duration::from_secs(60));
    (cache, Router::new().route("/", get(handler)).layer(view))
}

async fn ask(router: &Router, language: &str) -> String {
    let request = get_from_site("/").header("accept-language", language);
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn responses_are_shared_and_deleted_across_processes() {
    let (store, runs) = (MemoryStore::new(), Runs::default());
    let (here, router) = process(&store, &runs);
    let (there, other) = process(&store, &runs);
    assert_eq!(
        (ask(&router, "de").await, ask(&router, "en").await),
        ("de 1".into(), "en 2".into())
    );
    assert_eq!((ask(&other, "en").await, ask(&other, "de").await), ("en 2".into(), "de 1".into()));
    there.invalidate_tags(["words"]).unwrap().eventually();
    let second = agreed(&router, &other).await;
    assert!(!["de 1", "en 2"].contains(&&*second), "{second}");
    here.delete_view("page", "/").eventually();
    let third = agreed(&other, &router).await;
    assert!(!["de 1", "en 2", &*second].contains(&&*third), "{third}");
}

/// The response that both return. A response made under a snapshot that precedes an invalidation is
/// not stored, and a snapshot may be 100 ms old.
async fn agreed(first: &Router, second: &Router) -> String {
    loop {
        let (here, there) = (ask(first, "de").await, ask(second, "de").await);
        if here == there {
            return here;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A store that answers late must not hold up other requests: here the only worker waits for it,
/// from the layer and from a deletion in a handler.
#[cfg(feature = "tokio")]
#[test]
fn i7_a_store_that_is_waited_for_holds_up_no_other_task() {
    use fragcache::testing::FaultyStore;
    use fragcache_tower::BlockInPlace;

    let store = FaultyStore::new(MemoryStore::new());
    let level = FarLevel::new(BlockInPlace::new(store.clone()));
    let cache = FragmentCache::builder().far(level).build().unwrap();
    let deleting = cache.clone();
    let changed = move || async move { format!("{:?}", deleting.delete_view("page", "/")) };
    let page = Router::new().route("/", get(|| async { "page" }));
    let page = page.layer(CacheLayer::new(&cache, "page").expires_after(Duration::from_secs(60)));
    let router = page.route("/changed", get(changed)).route("/health", get(|| async { "well" }));
    let ask = |path: &str| {
        let (router, request) = (router.clone(), get_from_site(path).body(Body::empty()).unwrap());
        async move {
            let response = router.oneshot(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            String::from_utf8(body.to_vec()).unwrap()
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
    let runtime = runtime.unwrap();
    for (path, answer) in [("/", "page"), ("/changed", "Invalidated")] {
        store.pause();
        let waiting = runtime.spawn(ask(path));
        store.await_held(1);
        let (done, health) = std::sync::mpsc::channel();
        let asked = ask("/health");
        runtime.spawn(async move { done.send(asked.await) });
        // By this thread's clock: the runtime's own would stand still.
        let health = health.recv_timeout(Duration::from_secs(10));
        let is_waiting = !waiting.is_finished();
        // Before anything can fail: a runtime ends after its tasks.
        store.resume();
        assert_eq!(health.as_deref(), Ok("well"), "{path}");
        assert!(is_waiting, "{path}");
        assert_eq!(runtime.block_on(waiting).unwrap(), answer);
    }
}
