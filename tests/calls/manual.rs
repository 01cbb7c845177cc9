//! The views of the manual and of the guide to pitfalls.

use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use fragcache::memoize::Function;
use fragcache::testing::MemoryStore;
use fragcache::{FragmentCache, Invalidation};
use fragcache_config::{Config, Stores};
use fragcache_tower::{CacheLayer, ResponsePolicy};
use http::StatusCode;
use serde_json::{Value as Json, json};

use super::site::{Given, Site};
use super::stage::{Memo, Stage, Told};
use super::verdict::{Verdict, absent, different, fixed, same};
use super::views::{MINUTE, site_of};

const FIFTY: Duration = Duration::from_secs(50);
const STUDENTS: &str = "/demo/student/all";

pub(super) const CASES: &[Verdict] = &[
    same("setup-from-app-config", || pages(configured(), |view| view)),
    same("setup-by-init-app", || pages(configured(), |view| view)),
    same("setup-by-init-app-config", || pages(configured(), |view| view)),
    different(
        "setup-without-type",
        without_type,
        "a type has to be said",
        &[(1, r#"{"raised": "type"}"#)],
    ),
    same("index-for-fifty-seconds", || pages(Stage::new(), |view| view.expires_after(FIFTY))),
    same("unless-bypasses", || {
        pages(Stage::new(), |view| {
            view.ignore_query().unless(|parts| parts.uri.query() == Some("raw"))
        })
    }),
    same("cached-response", of_own_timeout),
    fixed(
        "decorators-reversed",
        || pages(Stage::new(), |view| view),
        "a layer is around the handler, wherever it is written",
        &[(2, r#"{"body": "page 1"}"#)],
    ),
    same("view-class", || site_of(Site::new(), "dispatch_request", |view| view, numbered).stage()),
    fixed(
        "function-with-default-key",
        a_function_and_a_page,
        "a function and a page are two things",
        &[
            (2, r#"{"returned": ["author 1"], "computed": {}}"#),
            (3, r#"{"returned": ["author 1"], "computed": {}}"#),
            (4, r#"{"body": "page 1 of author 1", "computed": {"page": 1}}"#),
        ],
    ),
    different(
        "post-keyed-by-json",
        hello,
        "the key function of the example compares members by name",
        &[(4, r#"{"body": "hello ann 1", "computed": {}}"#)],
    ),
    fixed(
        "post-keys-collide",
        hello,
        "parts of keys are apart",
        &[(2, r#"{"body": "hello None 2"}"#)],
    ),
    fixed(
        "post-key-shared-by-routes",
        hello,
        "two views have two names",
        &[(2, r#"{"body": "goodbye ann 1", "computed": {"other_func": 1}}"#)],
    ),
    same("post-without-json", hello),
    same("clear-script", || pages(Stage::new(), |view| view)),
    same("custom-backend", || pages(own_store(), |view| view)),
    fixed(
        "student-view-without-decorator",
        || students(|view| view),
        "the layer is said where the route is",
        &[(2, r#"{"body": "students 1"}"#)],
    ),
    fixed(
        "delete-by-path-hits-nothing",
        || students(|view| view),
        "a view is deleted by its path",
        &[(3, r#"{"body": "students 2"}"#), (5, r#"{"body": "students 3"}"#)],
    ),
    fixed(
        "delete-by-path-of-a-blueprint",
        nested,
        "the path is the one that the client asks for",
        &[],
    ),
    same("delete-by-key-prefix", || students(|view| view.key(|_| Some("res_student_all")))),
    absent("key-in-memory-has-no-prefix", "keys in memory are not texts"),
    absent(
        "key-on-redis-has-the-prefix",
        "keys in a store are digests; `CacheLayer::key_of` shows a key",
    ),
];

fn numbered(_: &Given, runs: u64) -> String {
    format!("page {runs}")
}

fn pages(stage: Stage, settings: impl Fn(CacheLayer) -> CacheLayer) -> Stage {
    site_of(Site::on(stage), "index", settings, numbered).stage()
}

fn from(toml: &str, stores: &Stores) -> Stage {
    let stage = Stage::empty();
    let builder = Config::from_toml(toml).unwrap().into_builder_with(stores).unwrap();
    let cache = builder.clock(stage.clock.clone()).build().unwrap();
    stage.cached("cache", cache)
}

fn configured() -> Stage {
    from("type = \"memory\"", &Stores::new())
}

fn own_store() -> Stage {
    from("type = \"mine\"", &Stores::new().with("mine", |_| Ok(MemoryStore::new())))
}

fn without_type() -> Stage {
    let stage = Stage::empty().cached("cache", FragmentCache::disabled());
    pages(stage, |view| view).says("warned", |_, _| -> Told {
        let built = Config::from_toml("").and_then(|config| config.build());
        built.map(|_| json!([])).map_err(|error| error.to_string())
    })
}

fn of_own_timeout() -> Stage {
    let answer =
        |given: &Given, runs| (ResponsePolicy::new().expires_after(FIFTY), numbered(given, runs));
    site_of(Site::new(), "index", |view| view, answer).stage()
}

fn a_function_and_a_page() -> Stage {
    const AUTHORS: Function = Function::new("authors");
    let authors = Memo::new(AUTHORS).counted("authors");
    let stage =
        Stage::new().memo("authors", authors.gives(|_, runs, _| json!([format!("author {runs}")])));
    let answer = |given: &Given, runs| {
        let authors = || json!([format!("author {}", given.counts.tick("authors"))]);
        let authors: Json = given.cache.memoize(&AUTHORS.call(), authors);
        format!("page {runs} of {}", authors[0].as_str().unwrap())
    };
    Site::on(stage).view("/page", "page", |view| view, answer).stage()
}

/// The members of an object, each as a name and a text.
fn members(body: &[u8]) -> Option<Vec<[String; 2]>> {
    let body: Json = serde_json::from_slice(body).ok()?;
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(body.as_object()?.iter().map(|(name, value)| [name.clone(), text(value)]).collect())
}

fn hello() -> Stage {
    let greeting = |word: &'static str, name: &'static str| {
        move |given: &Given, _: u64| -> Response {
            let Ok(body) = serde_json::from_slice::<Json>(&given.body) else {
                return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
            };
            let who = body["name"].as_str().unwrap_or("None");
            format!("{word} {who} {}", given.counts.tick(name)).into_response()
        }
    };
    let settings = |view: CacheLayer| {
        view.expires_after(MINUTE).key_with_body(1 << 16, |_, body| members(body))
    };
    let site = Site::new();
    let site =
        site.view_counting("/hello", "some_func", None, settings, greeting("hello", "some_func"));
    site.view_counting("/goodbye", "other_func", None, settings, greeting("goodbye", "other_func"))
        .stage()
}

fn student(_: &Given, runs: u64) -> String {
    format!("students {runs}")
}

/// Whether there was something of the view to delete.
fn deleted(stage: &Stage, path: &str) -> Told {
    let done = CacheLayer::new(&stage.cache(), "get").delete(path);
    Ok(json!(!matches!(done, Invalidation::Absent | Invalidation::Pending)))
}

fn deletable(stage: Stage) -> Stage {
    stage
        .says("cache.delete('res_student_all')", |stage, _| deleted(stage, "res_student_all"))
        .says("cache.delete('/demo/student/all')", |stage, _| deleted(stage, STUDENTS))
        .says("cache.delete('view//demo/student/all')", |stage, _| deleted(stage, STUDENTS))
}

fn students(settings: impl Fn(CacheLayer) -> CacheLayer) -> Stage {
    deletable(Site::new().view(STUDENTS, "get", settings, student).stage())
}

fn nested() -> Stage {
    let site = Site::new();
    let view = CacheLayer::new(&site.cache(), "get");
    let inner =
        Router::new().route("/student/all", any(site.handler(Some("get"), student)).layer(view));
    deletable(site.route(|router| router.nest("/demo", inner)).stage())
}
