//! Views: when they are served from the cache, and which responses are cached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use fragcache::FragmentCache;
use fragcache::memoize::Function;
use fragcache_tower::CacheLayer;
use http::{Method, StatusCode};
use serde_json::json;

use super::site::{Given, Site, query};
use super::stage::Stage;
use super::verdict::{Verdict, absent, different, fixed, same};

const NO_NEGATIVE: &str = "a timeout is a duration, and none is negative";
const A_BOOL: &str = "a function of Rust gives what its type says, or the handler's task panics";
const METHODS: &str =
    "only GET and HEAD are answered from the cache, unless a key function reads the body";

pub(super) const CASES: &[Verdict] = &[
    different(
        "timeout-zero",
        || index(|view| view.expires_after(Duration::ZERO)),
        "a timeout of zero keeps nothing; `never_expires` says what 0 says there",
        &[(3, r#"{"body": "index 2", "computed": {"index": 1}}"#)],
    ),
    same("timeout-none", || index(|view| view)),
    absent("timeout-negative", NO_NEGATIVE),
    absent("timeout-negative-on-redis", NO_NEGATIVE),
    absent("timeout-more-negative-on-redis", NO_NEGATIVE),
    absent("timeout-of-other-types", "a timeout is a duration"),
    absent("timeout-text", "a timeout is a duration"),
    same("default-timeout", by_default),
    same("hits-do-not-prolong", || index(|view| view.expires_after(MINUTE))),
    absent(
        "timeout-changed-later",
        "the settings are made with the layer; a response may say its own timeout",
    ),
    same("uncached", || {
        index(|view| view).says("index.uncached()", |stage, _| {
            Ok(json!(format!("index {}", stage.tick("index"))))
        })
    }),
    same("unless-with-arguments", || {
        named(|view| view.unless(|parts| parts.uri.path() == "/draft"))
    }),
    absent("unless-raises", A_BOOL),
    fixed(
        "forced-update",
        || index(|view| view.ignore_query().refresh_if(|parts| parts.uri.query().is_some())),
        "a condition is a condition",
        &[(4, r#"{"body": "index 3", "computed": {"index": 1}}"#)],
    ),
    same("forced-update-fails", failing_update),
    same("forced-update-with-arguments", || {
        named(|view| view.refresh_if(|parts| parts.uri.path() == "/live"))
    }),
    absent(
        "is-stale",
        "no function is given what a hit found; a tag or a key tells of what changed",
    ),
    same("response-filter", kept_if_told),
    absent("response-filter-raises", A_BOOL),
    different(
        "hit-header",
        || index(CacheLayer::cache_status),
        "the header is that of RFC 9211",
        &[(2, r#"{"headers": {"cache-status": "fragcache; hit"}}"#)],
    ),
    fixed(
        "hit-header-of-another-function",
        with_a_part,
        "the header tells of the response",
        &[
            (3, r#"{"headers": {"cache-status": "fragcache; fwd=miss; stored"}}"#),
            (4, r#"{"headers": {"cache-status": "fragcache; hit"}}"#),
        ],
    ),
    same("head-after-get", || index(|view| view)),
    fixed(
        "get-after-head",
        head_is_empty,
        "only a GET fills the cache",
        &[(2, r#"{"body": "index 2", "computed": {"index": 1}}"#)],
    ),
    fixed(
        "post-answered-by-get",
        of_methods,
        METHODS,
        &[(2, r#"{"body": "POST 2", "computed": {"index": 1}}"#)],
    ),
    fixed(
        "get-answered-by-post",
        of_forms,
        METHODS,
        &[
            (2, r#"{"body": "POST 2 2", "computed": {"index": 1}}"#),
            (3, r#"{"body": "GET 3 None", "computed": {"index": 1}}"#),
        ],
    ),
    fixed(
        "other-methods",
        of_methods,
        METHODS,
        &[
            (3, r#"{"body": "DELETE 2", "computed": {"index": 1}}"#),
            (4, r#"{"body": "GET 3", "computed": {"index": 1}}"#),
        ],
    ),
    fixed(
        "deleted-while-rendered",
        deleting_itself,
        "what is deleted while it is rendered is not kept",
        &[(2, r#"{"body": "new", "computed": {"index": 1}}"#)],
    ),
    same("view-raises", failing_once),
    fixed(
        "cold-view-computed-by-all",
        || index(|view| view),
        "of several requests one runs the handler",
        &[(1, r#"{"computed": {"index": 1}}"#)],
    ),
];

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// One view, `index`, at every path.
pub(super) fn site<R: IntoResponse + 'static>(
    settings: impl Fn(CacheLayer) -> CacheLayer,
    answer: impl Fn(&Given, u64) -> R + Clone + Send + Sync + 'static,
) -> Stage {
    site_of(Site::new(), "index", settings, answer).stage()
}

/// A view of this name at every path.
pub(super) fn site_of<R: IntoResponse + 'static>(
    site: Site,
    name: &'static str,
    settings: impl Fn(CacheLayer) -> CacheLayer,
    answer: impl Fn(&Given, u64) -> R + Clone + Send + Sync + 'static,
) -> Site {
    let site = site.view("/", name, &settings, answer.clone());
    site.view("/{*path}", name, &settings, answer)
}

/// A view that returns "index" and the number of its run.
pub(super) fn index(settings: impl Fn(CacheLayer) -> CacheLayer) -> Stage {
    site(settings, |_, runs| format!("index {runs}"))
}

/// A view that returns the last segment of its path and the number of its run.
pub(super) fn named(settings: impl Fn(CacheLayer) -> CacheLayer) -> Stage {
    site(settings, |given, runs| format!("{} {runs}", given.name()))
}

fn by_default() -> Stage {
    let answer = |_: &Given, runs| format!("index {runs}");
    let stage = Stage::with(|builder| builder.default_timeout(Some(Duration::from_secs(10))));
    let clock = stage.clock.clone();
    let never = FragmentCache::builder().clock(clock).default_timeout(None).build().unwrap();
    let site = Site::on(stage).view("/", "index", |view| view, answer);
    site.then(never).view("/", "index", |view| view, answer).stage()
}

fn failing_update() -> Stage {
    let settings = |view: CacheLayer| {
        view.ignore_query().refresh_if(|parts| query(parts).any(|word| word == "refresh"))
    };
    site(settings, |given, runs| {
        let fails = query(&given.parts).any(|word| word == "fail");
        let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        (status, format!("index {runs}"))
    })
}

fn kept_if_told() -> Stage {
    let settings = |view: CacheLayer| {
        view.ignore_query().store_if(|response| response.headers["x-keep"] == "yes")
    };
    site(settings, |given, runs| {
        ([("x-keep", given.field("keep").unwrap())], format!("index {runs}"))
    })
}

fn with_a_part() -> Stage {
    const PART: Function = Function::new("part");
    let settings = |view: CacheLayer| view.cache_status().expires_after(Duration::from_secs(10));
    site(settings, |given, runs| {
        let part = || format!("part {}", given.counts.tick("part"));
        format!("index {runs} {}", given.cache.memoize(&PART.call(), part))
    })
}

fn head_is_empty() -> Stage {
    site(
        |view| view,
        |given, runs| match given.parts.method {
            Method::HEAD => String::new(),
            _ => format!("index {runs}"),
        },
    )
}

/// The method and the number of the run.
fn of_methods() -> Stage {
    site(|view| view, |given, runs| format!("{} {runs}", given.parts.method))
}

fn of_forms() -> Stage {
    site(
        |view| view,
        |given, runs| match given.field("x") {
            Some(x) => format!("POST {runs} {x}"),
            None => format!("GET {runs} None"),
        },
    )
}

fn deleting_itself() -> Stage {
    let is_new = Arc::new(AtomicBool::new(false));
    site(
        |view| view,
        move |given, _| {
            let text = if is_new.swap(true, Ordering::SeqCst) { "new" } else { "old" };
            CacheLayer::new(&given.cache, "index").delete("/").eventually();
            text
        },
    )
}

fn failing_once() -> Stage {
    site(
        |view| view,
        |_, runs| -> Response {
            match runs {
                1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                // The failed run has a number too.
                _ => format!("index {}", runs - 1).into_response(),
            }
        },
    )
}
