//! Deleting responses: by path, by name, by tag, together with fragments, and while they are made.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use fragcache::{Fragment, fragment_key};
use fragcache_tower::{CacheLayer, ResponsePolicy, path_of};
use tower::ServiceExt;

use crate::support::{Runs, Site, cache, get_from_site};
use fragcache::testing::ManualClock;

fn site() -> Site {
    Site::new(
        |view| view,
        |request, run| {
            let tags = ResponsePolicy::new().tags([request.uri().path()]);
            (tags, format!("{} run {run}", request.uri()))
        },
    )
}

#[tokio::test]
async fn a_path_is_deleted_with_all_its_queries_and_hosts() {
    let site = site();
    let ask = async || {
        let mut bodies = Vec::new();
        for (path, host) in [("/a", "one"), ("/a?x=1", "one"), ("/a", "two"), ("/b", "one")] {
            bodies.push(site.get(path, &[("host", host)]).await.body);
        }
        bodies
    };
    let first = ask().await;
    assert_eq!(ask().await, first);
    site.cache.delete_view("view", "/a").eventually();
    let second = ask().await;
    assert!(first[..3].iter().zip(&second).all(|(a, b)| a != b), "{second:?}");
    assert_eq!(first[3], second[3], "another path stays");
    site.cache.delete_views("other").eventually();
    assert_eq!(ask().await, second);
    site.cache.delete_views("view").eventually();
    assert!(ask().await.iter().zip(&second).all(|(a, b)| a != b));
}

#[tokio::test]
async fn a_tag_deletes_responses_and_fragments_together() {
    let site = site();
    let row = Fragment::new(fragment_key!("row", 1)).tags(["/a"]);
    site.cache.render(&row, || "row").unwrap();
    site.get("/a", &[]).await;
    site.cache.invalidate_tags(["/a"]).unwrap().eventually();
    assert!(!site.cache.contains(row.key()).unwrap());
    assert_eq!(site.get("/a", &[]).await.body, "/a run 2");
}

#[tokio::test]
async fn a_route_with_parameters_is_deleted_as_a_browser_asks_for_it() {
    let cache = cache(&ManualClock::new());
    let runs = Runs::default();
    let view = CacheLayer::new(&cache, "tag");
    let counted = runs.clone();
    let handler = move |Path(name): Path<String>| {
        counted.one_more();
        async move { name }
    };
    let app: Router = Router::new().route("/tag/{name}", get(handler).layer(view.clone()));
    let ask = async |path: &str| {
        let request = get_from_site(path).body(axum::body::Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    for (asked, name) in [("/tag/jazz", "jazz"), ("/tag/r%26b", "r&b"), ("/tag/a%20b", "a b")] {
        let before = runs.count();
        assert_eq!((ask(asked).await, ask(asked).await), (200, 200));
        view.delete(path_of("/tag/{name}", &[("name", &name)]).unwrap()).eventually();
        ask(asked).await;
        // A path may contain a raw `&`, which is then a different address.
        let deleted = if name == "r&b" { 1 } else { 2 };
        assert_eq!(runs.count() - before, deleted, "{asked}");
    }
}

#[tokio::test]
async fn i1_a_response_that_is_deleted_while_it_is_made_is_not_kept() {
    let cache = cache(&ManualClock::new());
    let view =
        CacheLayer::new(&cache, "slow").expires_after(Duration::from_secs(60)).cache_status();
    let (deleting, runs) = (cache.clone(), Runs::default());
    let counted = runs.clone();
    let handler = move || {
        let (cache, run) = (deleting.clone(), counted.one_more());
        async move {
            tokio::task::yield_now().await;
            if run == 1 {
                cache.invalidate_tags(["price"]).unwrap().eventually();
            }
            (ResponsePolicy::new().tags(["price"]), format!("run {run}"))
        }
    };
    let app: Router = Router::new().route("/", get(handler).layer(view));
    let ask = async || {
        let request = get_from_site("/").body(axum::body::Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap()
    };
    ask().await;
    ask().await;
    ask().await;
    assert_eq!(runs.count(), 2, "the first was printed and not kept");
}

#[tokio::test]
async fn colliding_key_functions_share_a_response_and_names_keep_views_apart() {
    let site = Site::new(|view| view.key(|_| Some("all")), |_, run| format!("run {run}"));
    assert_eq!(site.get("/a", &[]).await.body, "run 1");
    assert_eq!(site.get("/b", &[]).await.body, "run 1", "the function says that they are one");
    site.cache.delete_view("view", "all").eventually();
    assert_eq!(site.get("/b", &[]).await.body, "run 2");

    let one = CacheLayer::new(&site.cache, "one");
    let two = CacheLayer::new(&site.cache, "two");
    let (parts, ()) = get_from_site("/a").body(()).unwrap().into_parts();
    assert_ne!(one.key_of(&parts), two.key_of(&parts));
}
