//! Which requests are answered from the cache, which responses are cached, and with which headers
//! they come back: a table of cases.

use std::time::Duration;

use axum::response::IntoResponse;
use fragcache_tower::{CacheLayer, ResponsePolicy};
use http::{Method, StatusCode, header};

use crate::support::{Site, get_from_site};

type Headers = &'static [(&'static str, &'static str)];
type Settings = fn(CacheLayer) -> CacheLayer;

/// Number of handler runs after two identical requests.
async fn runs(
    settings: impl FnOnce(CacheLayer) -> CacheLayer,
    method: Method,
    asked: &[(&str, &str)],
    answered: Headers,
) -> u64 {
    let site = Site::new(settings, move |_, run| {
        let mut response = format!("run {run}").into_response();
        for (name, value) in answered {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        response
    });
    for _ in 0..2 {
        site.send(method.clone(), "/p", asked, "").await;
    }
    site.runs.count()
}

fn plain(view: CacheLayer) -> CacheLayer {
    view
}

#[tokio::test]
async fn the_request_decides_whether_the_cache_answers() {
    let cases: &[(Method, Headers, u64)] = &[
        (Method::GET, &[], 1),
        (Method::GET, &[("accept", "text/html")], 1),
        (Method::GET, &[("cache-control", "no-cache")], 1),
        (Method::GET, &[("cache-control", "no-store")], 1),
        (Method::GET, &[("pragma", "no-cache")], 1),
        (Method::GET, &[("if-none-match", "\"x\"")], 1),
        (Method::HEAD, &[], 2),
        (Method::POST, &[], 2),
        (Method::PUT, &[], 2),
        (Method::DELETE, &[], 2),
        (Method::OPTIONS, &[], 2),
        (Method::GET, &[("range", "bytes=0-1")], 2),
        (Method::GET, &[("upgrade", "websocket")], 2),
        (Method::GET, &[("authorization", "Basic eA==")], 2),
        (Method::GET, &[("cookie", "session=1")], 2),
    ];
    for (method, asked, expected) in cases {
        let ran = runs(plain, method.clone(), asked, &[]).await;
        assert_eq!(ran, *expected, "{method} {asked:?}");
    }
    let settings: [(&str, Settings, Headers, u64); 8] = [
        ("cookies allowed", CacheLayer::allow_cookies, &[("cookie", "a=1")], 1),
        ("authorization allowed", CacheLayer::allow_authorization, &[("authorization", "x")], 1),
        ("the other allowed", CacheLayer::allow_cookies, &[("authorization", "x")], 2),
        ("cookie in the key", |view| view.vary_on([header::COOKIE]), &[("cookie", "a=1")], 1),
        ("clients heeded", CacheLayer::respect_clients, &[("cache-control", "No-Store")], 2),
        ("clients heeded", CacheLayer::respect_clients, &[("cache-control", "max-age=0")], 2),
        ("clients heeded", CacheLayer::respect_clients, &[("cache-control", "max-age=9")], 1),
        ("unless", |view| view.unless(|parts| parts.uri.path() == "/p"), &[], 2),
    ];
    for (what, settings, asked, expected) in settings {
        assert_eq!(runs(settings, Method::GET, asked, &[]).await, expected, "{what} {asked:?}");
    }
}

#[tokio::test]
async fn the_response_decides_whether_it_is_stored() {
    let cases: &[(Headers, u64)] = &[
        (&[("cache-control", "public, max-age=60")], 1),
        (&[("cache-control", "max-age=0, s-maxage=60")], 1),
        (&[("cache-control", "must-revalidate")], 1),
        (&[("vary", "accept-language")], 1),
        (&[("vary", "Accept-Language, Accept-Encoding"), ("vary", "origin")], 1),
        (&[("etag", "\"x\"")], 1),
        (&[("expires", "Thu, 01 Dec 2089 16:00:00 GMT")], 1),
        (&[("age", "59"), ("cache-control", "max-age=60")], 1),
        (&[("cache-control", "private")], 2),
        (&[("cache-control", "max-age=60"), ("cache-control", "Private=\"x\"")], 2),
        (&[("cache-control", "no-store")], 2),
        (&[("cache-control", "no-cache")], 2),
        (&[("cache-control", "max-age=0")], 2),
        (&[("cache-control", "max-age=soon")], 2),
        (&[("cache-control", "max-age=60, s-maxage=0")], 2),
        (&[("expires", "0")], 2),
        (&[("expires", "Thu, 01 Jan 1970 00:00:00 GMT")], 2),
        (&[("age", "60"), ("cache-control", "max-age=60")], 2),
        (&[("set-cookie", "a=1")], 2),
        (&[("vary", "*")], 2),
        (&[("vary", "accept, *")], 2),
        (&[("vary", "not a name")], 2),
        (&[("content-range", "bytes 0-1/2")], 2),
        (&[("content-type", "text/event-stream; charset=utf-8")], 2),
    ];
    for (answered, expected) in cases {
        assert_eq!(runs(plain, Method::GET, &[], answered).await, *expected, "{answered:?}");
    }
    let filtered = |view: CacheLayer| view.store_if(|parts| !parts.headers.contains_key("x-draft"));
    assert_eq!(runs(filtered, Method::GET, &[], &[]).await, 1);
    assert_eq!(runs(filtered, Method::GET, &[], &[("x-draft", "1")]).await, 2);
}

#[tokio::test]
async fn statuses_that_are_no_whole_answers_are_not_kept() {
    for (status, expected) in [
        (200, 1),
        (203, 1),
        (301, 1),
        (308, 1),
        (201, 2),
        (204, 2),
        (206, 2),
        (302, 2),
        (304, 2),
        (400, 2),
        (401, 2),
        (403, 2),
        (404, 2),
        (429, 2),
        (500, 2),
        (503, 2),
    ] {
        let code = StatusCode::from_u16(status).unwrap();
        let site = Site::new(plain, move |_, _| code);
        for _ in 0..2 {
            assert_eq!(site.get("/p", &[]).await.status, code);
        }
        assert_eq!(site.runs.count(), expected, "{status}");
    }
    let site =
        Site::new(|view| view.statuses([StatusCode::NOT_FOUND]), |_, _| StatusCode::NOT_FOUND);
    for _ in 0..2 {
        assert_eq!(site.get("/p", &[]).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(site.runs.count(), 1);
}

#[tokio::test]
async fn a_kept_response_comes_back_as_it_was_with_its_age() {
    let site = Site::new(plain, |_, run| {
        (
            [("x-two", "a"), ("content-type", "text/x-y"), ("cache-control", "max-age=50")],
            format!("run {run}"),
        )
    });
    let first = site.get("/p", &[]).await;
    assert_eq!(first.header("cache-status"), Some("fragcache; fwd=miss; stored"));
    assert_eq!(first.header("age"), None);
    site.clock.advance(Duration::from_secs(7));
    let second = site.get("/p", &[]).await;
    assert_eq!((second.status, second.body.as_str()), (StatusCode::OK, "run 1"));
    for name in ["x-two", "content-type", "cache-control", "etag"] {
        assert_eq!(second.header(name), first.header(name), "{name}");
    }
    assert!(second.header("etag").is_some_and(|tag| tag.starts_with("W/\"")));
    assert_eq!(second.header("age"), Some("7"));
    assert_eq!(second.header("cache-status"), Some("fragcache; hit"));
    site.clock.advance(Duration::from_secs(43));
    assert_eq!(site.get("/p", &[]).await.body, "run 2", "its max-age is over");
}

#[tokio::test]
async fn conditions_are_answered_from_the_cache() {
    let modified = "Tue, 01 Jan 2019 00:00:00 GMT";
    let site = Site::new(plain, move |request, run| {
        assert!(!request.headers().contains_key("if-none-match"), "the handler need not know");
        ([("etag", "\"v1\""), ("last-modified", modified), ("x-a", "1")], format!("run {run}"))
    });
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("if-none-match", "\"v0\"")], 200),
        (&[("if-none-match", "\"v1\"")], 304),
        (&[("if-none-match", "\"v0\", W/\"v1\"")], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-modified-since", modified)], 304),
        (&[("if-modified-since", "Mon, 01 Jan 2018 00:00:00 GMT")], 200),
        (&[("if-none-match", "\"v0\""), ("if-modified-since", modified)], 200),
        (&[("if-none-match", "nonsense \u{e9}")], 200),
    ];
    for cold in [false, true] {
        for (asked, status) in cases {
            if cold {
                site.cache.clear().eventually();
            }
            let answer = site.get("/p", asked).await;
            assert_eq!(answer.status.as_u16(), *status, "{asked:?}, cold: {cold}");
            assert_eq!((answer.header("etag"), answer.header("x-a")), (Some("\"v1\""), Some("1")));
            assert_eq!(answer.body.is_empty(), *status == 304);
            assert_eq!(answer.header("content-type").is_none(), *status == 304);
        }
    }
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let site = Site::new(plain, |_, run| format!("run {run}"));
    site.get("/p", &[]).await;
    let head = site.send(Method::HEAD, "/p", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("content-length"), Some("5"));
    assert_eq!(site.runs.count(), 1);
}

#[tokio::test]
async fn a_handler_says_how_long_and_whether_its_response_is_kept() {
    let site = Site::new(plain, |request, run| {
        let terms = match request.uri().path() {
            "/short" => ResponsePolicy::new().expires_after(Duration::from_secs(5)),
            "/ever" => ResponsePolicy::new().timeout(fragcache::Timeout::Never),
            "/zero" => ResponsePolicy::new().expires_after(Duration::ZERO),
            "/veto" => ResponsePolicy::new().veto(),
            "/bad" => ResponsePolicy::new().tags([""]),
            path => ResponsePolicy::new().tags([path]),
        };
        (terms, format!("run {run}"))
    });
    let after = async |path: &str, seconds| {
        let first = site.get(path, &[]).await.body;
        site.clock.advance(Duration::from_secs(seconds));
        first == site.get(path, &[]).await.body
    };
    assert!(after("/short", 4).await);
    assert!(!after("/short", 5).await);
    assert!(after("/ever", 1_000_000).await);
    assert!(!after("/other", 60).await);
    for path in ["/zero", "/veto", "/bad"] {
        assert!(!after(path, 0).await, "{path}");
    }
    assert!(after("/tagged", 1).await);
    site.cache.invalidate_tags(["/tagged"]).unwrap().eventually();
    let before = site.runs.count();
    site.get("/tagged", &[]).await;
    assert_eq!(site.runs.count(), before + 1);
}

#[tokio::test]
async fn what_the_cache_has_against_a_response_is_told_and_extensions_reach_the_layers_outside() {
    #[derive(Clone)]
    struct Mark;
    let site = Site::new(plain, |request, run| {
        let terms = match request.uri().path() {
            "/tag" => ResponsePolicy::new().tags([""]),
            _ => ResponsePolicy::new(),
        };
        if request.uri().path() == "/veto" {
            fragcache::current::veto();
        }
        (axum::Extension(Mark), terms, format!("run {run}"))
    });
    for (path, told) in [("/tag", "detail=tag"), ("/veto", "detail=vetoed"), ("/kept", "stored")] {
        let answer = site.get(path, &[]).await;
        let status = answer.header("cache-status").unwrap();
        assert_eq!(status, format!("fragcache; fwd=miss; {told}"), "{path}");
    }
    let request = get_from_site("/other").body(axum::body::Body::empty()).unwrap();
    let first = tower::ServiceExt::oneshot(site.router.clone(), request).await.unwrap();
    assert!(first.extensions().get::<Mark>().is_some());
}

#[tokio::test]
async fn a_forced_refresh_replaces_the_entry() {
    let forced = |view: CacheLayer| view.refresh_if(|parts| parts.uri.query() == Some("fresh"));
    let site = Site::new(|view| forced(view.ignore_query()), |_, run| format!("run {run}"));
    assert_eq!(site.get("/p", &[]).await.body, "run 1");
    assert_eq!(site.get("/p?fresh", &[]).await.body, "run 2");
    assert_eq!(site.get("/p", &[]).await.body, "run 2");
}

#[tokio::test]
async fn post_is_kept_with_a_key_function_that_may_read_the_body() {
    let keyed = |view: CacheLayer| {
        view.key_with_body(8, |parts, body| {
            let text = std::str::from_utf8(body).ok()?;
            Some(format!("{} {text}", parts.uri.path()))
        })
    };
    let site = Site::new(keyed, |_, run| format!("run {run}"));
    let post = async |path: &str, body: &str| site.send(Method::POST, path, &[], body).await.body;
    assert_eq!(post("/q", "a").await, "run 1");
    assert_eq!(post("/q", "a").await, "run 1");
    assert_eq!(post("/q", "b").await, "run 2");
    assert_eq!(post("/r", "a").await, "run 3");
    let long = "x".repeat(9);
    assert_ne!(post("/q", &long).await, post("/q", &long).await, "longer than it reads");
    let before = site.runs.count();
    assert_eq!(site.get("/q", &[]).await.body, format!("run {}", before + 1), "GET is another key");
}

#[tokio::test]
async fn an_unstored_response_has_a_reason() {
    let settings = |view: CacheLayer| {
        view.max_body(4).unwrap().store_if(|parts| !parts.headers.contains_key("x-draft"))
    };
    let site = Site::new(settings, |request, _| {
        let headed = |name, value| ([(name, value)], "body").into_response();
        match request.uri().path() {
            "/veto" => (ResponsePolicy::new().veto(), "body").into_response(),
            "/status" => (StatusCode::NOT_FOUND, "body").into_response(),
            "/cache-control" => headed("cache-control", "private"),
            "/expired" => headed("cache-control", "max-age=0"),
            "/set-cookie" => headed("set-cookie", "a=b"),
            "/content-range" => headed("content-range", "bytes 0-3/9"),
            "/vary" => headed("vary", "*"),
            "/store-if" => headed("x-draft", "yes"),
            "/event-stream" => headed("content-type", "text/event-stream"),
            "/too-long" => "a body".into_response(),
            _ => "body".into_response(),
        }
    });
    for why in [
        "veto",
        "status",
        "cache-control",
        "expired",
        "set-cookie",
        "content-range",
        "vary",
        "store-if",
        "event-stream",
        "too-long",
    ] {
        let answer = site.get(&format!("/{why}"), &[]).await;
        let told = format!("fragcache; fwd=miss; detail={why}");
        assert_eq!(answer.header("cache-status"), Some(told.as_str()));
    }
    assert_eq!(
        site.get("/p", &[]).await.header("cache-status"),
        Some("fragcache; fwd=miss; stored")
    );
}
