//! Caches with opaque keys: pages contain no key, and their buttons work.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use axum::routing::get;
use fragcache::memoize::Function;
use fragcache::{Fragment, FragmentCache, FragmentKey, fragment_key};
use fragcache_inspector::Inspector;
use fragcache_tower::CacheLayer;

use crate::support::{Got, STAFF, form, mounted, send};

/// Part of every secret in these tests.
const SECRET: &str = "plantedvalue";

/// Whether a page contains the secret, as text or in hexadecimal.
fn is_in(page: &Got) -> bool {
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    page.body.contains(SECRET) || page.body.contains(&hex)
}

fn call() -> fragcache::memoize::Call {
    Function::new("shop::load").call().arg(&"plantedvalue-argument")
}

/// Stores an entry of every kind in a cache and a namespace of it.
fn fill(cache: &FragmentCache) -> Vec<FragmentKey> {
    let row = fragment_key!("row", "plantedvalue-vary");
    for cache in [cache, &cache.namespace("tenant")] {
        cache.render(Fragment::new(row.clone()).tags(["a-tag"]), || "<td>").unwrap();
        cache.values().set("plantedvalue-key", &3).unwrap();
        cache.memoize(&call(), || 7);
    }
    vec![row, cache.values().key("plantedvalue-key"), call().key().unwrap()]
}

#[tokio::test]
async fn no_page_holds_a_key_and_its_buttons_delete() {
    let cache = FragmentCache::builder().stats_by_name(100).opaque_keys([7; 32]).build().unwrap();
    let view = CacheLayer::new(&cache, "film").expires_after(Duration::from_secs(60));
    let app = mounted(Inspector::new("shop", cache.clone()))
        .route("/film/{id}", get(|| async { "response" }).layer(view));
    let ask = async |path: &str| {
        let request = Request::get(path).header(STAFF, "yes").body(Default::default()).unwrap();
        send(&app, request).await
    };
    ask("/film/plantedvalue-path?q=plantedvalue-query").await;
    let keys = fill(&cache);
    for path in ["", "/names", "/names?kind=value", "/names?kind=view", "/names?kind=function"] {
        let page = ask(&format!("/inspector{path}")).await;
        assert!(page.status == StatusCode::OK && !is_in(&page), "{path}: {}", page.body);
    }
    let film = fragcache::engine::view_key("film", "plantedvalue-path").bare();
    let page = ask(&format!("/inspector/name?key={}", film.to_hex())).await;
    assert!(page.body.contains("film(#") && !is_in(&page), "{}", page.body);

    for place in ["[]", r#"["tenant"]"#] {
        for key in &keys {
            for button in ["delete", "delete-name"] {
                fill(&cache);
                let space = match place {
                    "[]" => cache.clone(),
                    _ => cache.namespace("tenant"),
                };
                let shown = space.shown_key(key);
                let name = shown.bare().to_hex();
                let page = ask(&format!("/inspector/name?key={name}")).await;
                assert_eq!(page.status, StatusCode::OK, "{shown}");
                assert!(!is_in(&page) && page.body.contains(&shown.to_hex()), "{}", page.body);
                let hex = if button == "delete" { shown.to_hex() } else { name };
                let token = page.field("token");
                let fields = [("token", &*token), ("key", &*hex), ("place", place)];
                let path = format!("/inspector/{button}");
                let done = send(&app, form(&path, &page.cookie(), &fields)).await;
                assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
                assert!(!space.contains(key).unwrap(), "{button} {shown} {place}");
                let after = ask(done.header("location")).await;
                assert!(after.body.contains("Deleted"), "{}", after.body);
                assert!(!is_in(&after), "{}", after.body);
            }
        }
    }
}

#[tokio::test]
async fn without_the_option_pages_show_keys() {
    let cache = FragmentCache::builder().stats_by_name(100).build().unwrap();
    let app = mounted(Inspector::new("shop", cache.clone()));
    let key = fill(&cache).remove(0).bare();
    let path = format!("/inspector/name?key={}", key.to_hex());
    let request = Request::get(path).header(STAFF, "yes").body(Default::default()).unwrap();
    assert!(is_in(&send(&app, request).await));
}
