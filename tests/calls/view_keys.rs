//! The keys of views, and their deletion.

use axum::routing::{get, post};
use fragcache::Invalidation;
use fragcache_tower::{CacheLayer, path_of};
use http::HeaderName;
use serde_json::json;

use super::site::{Given, Site};
use super::stage::{Stage, Told};
use super::verdict::{Verdict, absent, different, fixed, same};
use super::views::{index, named, site};

/// The header that identifies the user, in the recording.
pub(super) const X_USER: HeaderName = HeaderName::from_static("x-user");

pub(super) const CASES: &[Verdict] = &[
    different(
        "query-string-ignored-by-default",
        of_pages,
        "the query string counts, unless the view ignores it",
        &[
            (2, r#"{"body": "page 2", "computed": {"index": 1}}"#),
            (3, r#"{"body": "page none", "computed": {"index": 1}}"#),
        ],
    ),
    same("query-string-sorted", || index(|view| view)),
    fixed(
        "query-string-repeated-values-are-sorted",
        of_orders,
        "values of one name keep their order, which a handler may see",
        &[(2, r#"{"body": "price then name", "computed": {"index": 1}}"#)],
    ),
    different(
        "query-string-details",
        || index(|view| view),
        "parameters are compared as they stand in the address",
        &[
            (2, r#"{"body": "index 2", "computed": {"index": 1}}"#),
            (3, r#"{"body": "index 3"}"#),
            (4, r#"{"body": "index 4", "computed": {"index": 1}}"#),
            (5, r#"{"body": "index 5"}"#),
            (6, r#"{"body": "index 6"}"#),
            (7, r#"{"body": "index 6"}"#),
        ],
    ),
    same("query-string-key-includes-path", || named(|view| view)),
    fixed(
        "query-string-with-key-prefix",
        || named(|view| view),
        "a view's name is not the whole key",
        &[(2, r#"{"body": "b 2", "computed": {"index": 1}}"#), (3, r#"{"body": "b 3"}"#)],
    ),
    same("query-string-unknown-parameters", || index(|view| view)),
    fixed(
        "host-is-not-in-the-key",
        of_hosts,
        "host and scheme are part of the key, unless the view ignores them",
        &[
            (2, r#"{"body": "http b.test", "computed": {"index": 1}}"#),
            (3, r#"{"body": "https a.test", "computed": {"index": 1}}"#),
        ],
    ),
    same("path-as-key", of_whole_paths),
    fixed(
        "path-shares-keys-with-values",
        || named(|view| view),
        "a value is no page",
        &[(2, r#"{"status": 200, "computed": {"index": 1}}"#)],
    ),
    same("key-prefix-with-path", || {
        named(|view| view).says("cache.delete('page:/a')", |stage, _| delete(stage, "/a"))
    }),
    absent("key-prefix-with-stray-percent", "nothing is replaced in a name"),
    same("key-prefix-callable", || {
        named(|view| {
            view.key(|parts| Some(format!("user_{}", parts.headers["x-user"].to_str().ok()?)))
                .allow_headers([X_USER])
        })
    }),
    same("key-prefix-callable-with-path", || named(|view| view.key(|_| Some("page:%s")))),
    fixed(
        "make-cache-key-none",
        || named(|view| view.key(|_| None::<String>)),
        "a request without a key goes by the cache",
        &[(2, r#"{"body": "b 2", "computed": {"index": 1}}"#)],
    ),
    same("make-cache-key-with-arguments", by_argument),
    same("make-cache-key-wins", || index(|view| view.key(|_| Some("own")))),
    fixed(
        "delete-cached-of-make-cache-key",
        by_own_key,
        "a view deletes what its key function gave",
        &[(3, r#"{"body": "index 2"}"#)],
    ),
    different(
        "delete-cached-with-query",
        of_works,
        "a path is deleted with all its query strings",
        &[(8, r#"{"returned": true}"#)],
    ),
    different(
        "delete-cached-leaves-other-queries",
        of_works,
        "a path is deleted with all its query strings",
        &[(6, r#"{"body": "index 4", "computed": {"index": 1}}"#)],
    ),
    same("delete-cached-by-arguments", of_posts),
    absent("delete-cached-by-arguments-under-another-endpoint", "`path_of` is given the route"),
    absent("hash-method-of-views", "the whole key is compared"),
    absent(
        "source-check-of-views",
        "a release that changes a view gives it another name, or clears",
    ),
    fixed(
        "get-and-post-views-share-a-key",
        of_two_methods,
        "two views have two names",
        &[
            (2, r#"{"body": "sent 1", "computed": {"sent": 1}}"#),
            (3, r#"{"body": "sent 2", "computed": {"sent": 1}}"#),
        ],
    ),
];

/// Deletes the cached responses of the view `index` for a path, or for the result of
/// its key function.
pub(super) fn delete(stage: &Stage, path: &str) -> Told {
    let done = CacheLayer::new(&stage.cache(), "index").delete(path);
    Ok(json!(!matches!(done, Invalidation::Absent | Invalidation::Pending)))
}

fn of_pages() -> Stage {
    site(
        |view| view,
        |given, _| format!("page {}", given.field("page").unwrap_or_else(|| "none".to_owned())),
    )
}

fn of_orders() -> Stage {
    site(
        |view| view,
        |given, _| {
            given
                .parts
                .uri
                .query()
                .unwrap_or_default()
                .replace("&sort=", " then ")
                .replace("sort=", "")
        },
    )
}

fn of_hosts() -> Stage {
    site(
        |view| view,
        |given, _| format!("{} {}", given.parts.uri.scheme_str().unwrap(), given.header("host")),
    )
}

fn of_whole_paths() -> Stage {
    site(
        |view| view,
        |given, runs| {
            let path = given.parts.uri.path().trim_start_matches('/');
            format!("{} {runs}", path.replace("%C3%A9", "é").replace("%20", " "))
        },
    )
}

fn by_argument() -> Stage {
    let name =
        |view: CacheLayer| view.key(|parts| parts.uri.path().strip_prefix('/').map(str::to_owned));
    named(name).says("cache.delete('page of a')", |stage, _| delete(stage, "a"))
}

fn by_own_key() -> Stage {
    index(|view| view.key(|_| Some("own")))
        .says("cache.delete_cached(index, '/')", |stage, _| delete(stage, "own"))
}

fn of_works() -> Stage {
    index(|view| view)
        .says("cache.delete_cached(index, '/works'", |stage, _| delete(stage, "/works"))
}

fn of_posts() -> Stage {
    site(|view| view, |given, runs| format!("post {} {runs}", given.name()))
        .says("cache.delete_cached(index, id=1)", |stage, _| {
            delete(stage, &path_of("/post/{id}", &[("id", &1)]).unwrap())
        })
}

fn of_two_methods() -> Stage {
    let site = Site::new();
    let cache = site.cache();
    let shown = site.handler(Some("shown"), |_: &Given, runs| format!("shown {runs}"));
    let sent = site.handler(Some("sent"), |_: &Given, runs| format!("sent {runs}"));
    let routes = get(shown).layer(CacheLayer::new(&cache, "shown"));
    let routes = routes.merge(post(sent).layer(CacheLayer::new(&cache, "sent")));
    site.route(|router| router.route("/form", routes)).stage()
}
