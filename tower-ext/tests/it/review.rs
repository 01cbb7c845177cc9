//! What hostile or unusual requests could make of a cache: foreign responses, empty responses,
//! responses with headers of one connection.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::get;
use fragcache::{Fragment, current, fragment_key};
use fragcache_tower::{CacheContext, CacheLayer, CacheService};
use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::{Notify, Semaphore};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Runs, Site, cache, get_from_site};
use fragcache::testing::ManualClock;

fn plain(view: CacheLayer) -> CacheLayer {
    view
}

#[tokio::test]
async fn i4_a_listed_parameter_counts_however_its_name_is_written() {
    let site = Site::new(
        |view| view.only_query(["page", "a b"]),
        |request, _| request.uri().query().unwrap_or("none").to_owned(),
    );
    for query in ["%70age=9", "pag%65=9", "a+b=9", "a%20b=9"] {
        assert_eq!(site.get(&format!("/p?{query}"), &[]).await.body, query);
    }
    assert_eq!(site.get("/p", &[]).await.body, "none");
}

#[tokio::test]
async fn i4_parameters_of_one_name_keep_their_order_however_it_is_written() {
    let site = Site::new(plain, |request, _| request.uri().query().unwrap_or_default().to_owned());
    for query in ["a=1&%61=2", "%61=2&a=1"] {
        assert_eq!(site.get(&format!("/p?{query}"), &[]).await.body, query);
    }
}

#[tokio::test]
async fn i4_a_body_that_is_not_in_the_key_answers_for_no_other_request() {
    let site = Site::new(plain, |_, run| format!("run {run}"));
    assert_eq!(site.send(Method::GET, "/p", &[], "evil").await.body, "run 1");
    assert_eq!(site.get("/p", &[]).await.body, "run 2");
    let fat = site.send(Method::GET, "/p", &[], "evil").await;
    assert_eq!(fat.body, "run 3");
    assert_eq!(fat.header("cache-status"), Some("fragcache; fwd=bypass; detail=body"));
    assert_eq!(site.get("/p", &[]).await.body, "run 2");
}

#[tokio::test]
async fn i4_an_address_that_is_rewritten_outside_is_in_the_key() {
    let clock = ManualClock::new();
    let view = CacheLayer::new(&cache(&clock), "view").expires_after(Duration::from_secs(60));
    let inner = Router::new()
        .route("/{*path}", get(|request: Request| async move { request.uri().to_string() }))
        .layer(view);
    let rewriting = tower::service_fn(move |mut request: Request| {
        let language = request.headers().get("accept-language").unwrap().to_str().unwrap();
        *request.uri_mut() = format!("/{language}/home").parse().unwrap();
        inner.clone().oneshot(request)
    });
    let outer: Router = Router::new().fallback_service(rewriting);
    for language in ["de", "en", "de"] {
        let request = get_from_site("/").header("accept-language", language);
        let answer = outer.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("/{language}/home"));
    }
}

#[tokio::test]
async fn i4_a_vary_that_cannot_be_read_keeps_a_response_from_being_kept() {
    let site = Site::new(plain, |_, run| {
        let mut response = format!("run {run}").into_response();
        let vary = header::HeaderValue::from_bytes(b"accept-language, caf\xe9").unwrap();
        response.headers_mut().insert(header::VARY, vary);
        response
    });
    assert_eq!(site.get("/p", &[("accept-language", "de")]).await.body, "run 1");
    assert_eq!(site.get("/p", &[("accept-language", "en")]).await.body, "run 2");
}

#[tokio::test]
async fn i1_fragments_rendered_before_the_first_poll_are_inside() {
    let clock = ManualClock::new();
    let cache = cache(&clock);
    let view = CacheLayer::new(&cache, "view").expires_after(Duration::from_secs(60));
    let (rendering, runs) = (cache.clone(), Runs::default());
    let service = tower::service_fn(move |_: http::Request<_>| {
        let row = Fragment::new(fragment_key!("row")).tags(["row"]);
        let text = rendering.render(&row, || format!("run {}", runs.one_more())).unwrap();
        std::future::ready(Ok::<_, Infallible>(http::Response::new(Body::from(text.to_string()))))
    });
    let service: CacheService<_> = view.layer(service);
    let ask = async || {
        let request = get_from_site("/").body(Body::empty()).unwrap();
        let body = service.clone().oneshot(request).await.unwrap().into_body();
        body.collect().await.unwrap().to_bytes()
    };
    assert_eq!(ask().await, "run 1");
    cache.invalidate_tags(["row"]).unwrap().eventually();
    assert_eq!(ask().await, "run 2");
}

#[tokio::test]
async fn a_record_of_headers_replaces_no_error() {
    let clock = ManualClock::new();
    let cache = cache(&clock);
    let view = CacheLayer::new(&cache, "view")
        .expires_after(Duration::from_secs(60))
        .refresh_if(|parts| parts.headers.contains_key("x-refresh"));
    let (came, gate) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (inner_came, inner_gate) = (Arc::clone(&came), Arc::clone(&gate));
    let handler = move |request: Request| async move {
        if request.headers().contains_key("x-refresh") {
            return ([("vary", "accept")], "page").into_response();
        }
        inner_came.notify_one();
        inner_gate.acquire().await.unwrap().forget();
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    };
    let router: Router = Router::new().route("/", get(handler)).layer(view);
    let request = |name: &str| get_from_site("/").header(name, "1").body(Body::empty()).unwrap();
    let slow = tokio::spawn(router.clone().oneshot(request("x-slow")));
    came.notified().await;
    let page = router.oneshot(request("x-refresh")).await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn conditions_do_not_apply_to_stored_posts() {
    let keyed =
        |view: CacheLayer| view.key_with_body(8, |parts, _| Some(parts.uri.path().to_owned()));
    let site = Site::new(keyed, |_, run| format!("run {run}"));
    for _ in 0..2 {
        let answer = site.send(Method::POST, "/q", &[("if-none-match", "*")], "a").await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "run 1"));
    }
}

#[tokio::test]
async fn a_date_counts_only_without_an_entity_tag() {
    let modified = "Tue, 01 Jan 2019 00:00:00 GMT";
    let site = Site::new(plain, move |_, _| ([("last-modified", modified)], "page"));
    let asked = [("if-none-match", "nonsense \u{e9}"), ("if-modified-since", modified)];
    assert_eq!(site.get("/p", &asked).await.status, StatusCode::OK);
}

#[tokio::test]
async fn headers_of_one_connection_are_not_kept() {
    let site = Site::new(plain, |_, _| {
        let headers = [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-a", "1"),
        ];
        (headers, "page")
    });
    site.get("/p", &[]).await;
    for method in [Method::GET, Method::HEAD] {
        let kept = site.send(method, "/p", &[], "").await;
        for name in ["connection", "x-hop", "keep-alive", "transfer-encoding"] {
            assert_eq!(kept.header(name), None, "{name}");
        }
        assert_eq!(kept.header("x-a"), Some("1"));
    }
    assert_eq!(site.runs.count(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn i7_a_view_within_itself_and_a_handler_that_asks_for_its_own_page_end() {
    type Inner = BoxCloneSyncService<Request, axum::response::Response, Infallible>;
    let clock = ManualClock::new();
    let view = CacheLayer::new(&cache(&clock), "view").expires_after(Duration::from_secs(60));
    let runs = Runs::default();
    let counted = runs.clone();
    let page = get(move || async move { format!("run {}", counted.one_more()) });
    let router: Router = Router::new().route("/", page.layer(view.clone())).layer(view.clone());
    let itself = Arc::new(std::sync::OnceLock::<Inner>::new());
    let shared = Arc::clone(&itself);
    let asking = get(move |request: Request| async move {
        if request.headers().contains_key("x-inner") {
            return "inner".into_response();
        }
        let again = get_from_site("/own").header("x-inner", "1").body(Body::empty()).unwrap();
        shared.get().unwrap().clone().oneshot(again).await.unwrap()
    });
    let own: Router = Router::new().route("/own", asking).layer(view);
    itself.set(BoxCloneSyncService::new(own.clone())).unwrap();
    for (mut router, path) in [(router, "/"), (own, "/own")] {
        let request = get_from_site(path).body(Body::empty()).unwrap();
        let answered = tokio::time::timeout(Duration::from_secs(2), router.call(request)).await;
        assert_eq!(answered.unwrap().unwrap().status(), StatusCode::OK, "{path}");
    }
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn conditions_are_answered_where_nothing_is_kept_too() {
    let site = Site::new(plain, |_, run| {
        ([("cache-control", "private"), ("etag", "\"v1\"")], format!("run {run}"))
    });
    for run in 1..3 {
        let same = site.get("/p", &[("if-none-match", "\"v1\"")]).await;
        assert_eq!((same.status, same.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!((same.header("etag"), same.header("content-type")), (Some("\"v1\""), None));
        assert_eq!(site.runs.count(), 2 * run - 1);
        let other = site.get("/p", &[("if-none-match", "\"v0\"")]).await;
        assert_eq!((other.status, other.body), (StatusCode::OK, format!("run {}", 2 * run)));
    }
}

#[tokio::test]
async fn i1_fragments_of_a_streamed_body_are_as_old_as_the_request() {
    for cookie in [false, true] {
        let clock = ManualClock::new();
        let cache = cache(&clock);
        let view = CacheLayer::new(&cache, "view").expires_after(Duration::from_secs(60));
        let rendering = cache.clone();
        let streaming = get(move || async move {
            let data = "old";
            Body::from_stream(futures_util::stream::once(async move {
                let row = Fragment::new(fragment_key!("row")).tags(["row"]);
                Ok::<_, Infallible>(rendering.render(&row, || data).unwrap().to_string())
            }))
        });
        let router: Router = Router::new().route("/", streaming).layer(view);
        let mut request = get_from_site("/");
        if cookie {
            request = request.header("cookie", "a=1");
        }
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        cache.invalidate_tags(["row"]).unwrap().eventually();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "old");
        let row = Fragment::new(fragment_key!("row")).tags(["row"]);
        assert_eq!(cache.render(&row, || "new").unwrap().to_string(), "new", "cookie: {cookie}");
    }
}

#[tokio::test]
async fn i6_a_body_in_many_pieces_is_held_in_one() {
    let site = Site::new(
        |view| view.store_streams().max_body(1_000).unwrap(),
        |request, _| {
            let more = usize::from(request.uri().path() == "/long");
            let pieces = (0..1_000 + more).flat_map(|_| ["", "x"]).map(Ok::<_, Infallible>);
            Body::from_stream(futures_util::stream::iter(pieces))
        },
    );
    for (path, length, pieces) in [("/whole", 1_000, 1), ("/long", 1_001, 2)] {
        let request = get_from_site(path).body(Body::empty()).unwrap();
        let mut body = site.router.clone().oneshot(request).await.unwrap().into_body();
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            seen.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!((seen.len(), seen.iter().sum::<usize>()), (pieces, length), "{path}");
    }
    site.get("/whole", &[]).await;
    assert_eq!(site.runs.count(), 2);
}

#[tokio::test]
async fn i6_a_view_that_outlives_its_response_gathers_nothing() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let site = Site::new(plain, move |request, _| {
        let view = request.extensions().get::<CacheContext>().unwrap().clone();
        view.scope(|| ());
        let within = format!("{view:?}");
        assert!(within.contains("collected: 1"), "{within}");
        sender.send(view).unwrap();
        ([("cache-control", "private")], "an endless stream")
    });
    site.get("/p", &[]).await;
    let view = receiver.recv().unwrap();
    for _ in 0..3 {
        view.scope(|| ());
    }
    assert!(format!("{view:?}").contains("collected: 0"), "{view:?}");
}

#[tokio::test]
async fn a_response_that_is_not_worth_keeping_is_not_kept_wherever_that_was_said() {
    let site = Site::new(plain, |request, run| {
        let view = request.extensions().get::<CacheContext>().unwrap().clone();
        match request.uri().path() {
            "/scope" => view.scope(current::veto_here),
            _ if request.headers().contains_key("x-veto") => current::veto_here(),
            _ => {}
        }
        ([("vary", "accept, x-veto")], format!("run {run}"))
    });
    site.get("/scope", &[]).await;
    assert_eq!(site.get("/scope", &[]).await.body, "run 2");
    site.get("/vary", &[("x-veto", "1")]).await;
    site.get("/vary", &[]).await;
    assert_eq!(site.get("/vary", &[("x-veto", "1")]).await.body, "run 5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i1_i4_each_request_of_many_gets_its_own_and_nothing_that_was_deleted_before() {
    let clock = ManualClock::new();
    let cache = cache(&clock);
    let view = CacheLayer::new(&cache, "view").expires_after(Duration::from_secs(60));
    let version = Arc::new(AtomicU64::new(0));
    let (reading, rendering) = (Arc::clone(&version), cache.clone());
    let handler = move |view: CacheContext, headers: http::HeaderMap| async move {
        let text = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        let (language, theme) = (text("accept-language"), text("x-theme"));
        tokio::task::yield_now().await;
        let row = Fragment::new(fragment_key!("row")).tags(["row"]);
        let read = move || {
            let row = rendering.render(&row, || reading.load(Ordering::SeqCst).to_string());
            row.unwrap().to_string()
        };
        // Half of them render on another thread.
        let read = match language.as_str() {
            "de" => tokio::task::spawn_blocking(move || view.scope(read)).await.unwrap(),
            _ => read(),
        };
        tokio::task::yield_now().await;
        let vary = if language == "de" { "accept-language, x-theme" } else { "accept-language" };
        ([("vary", vary)], format!("{language} {theme} {read}"))
    };
    let router: Router = Router::new().route("/", get(handler)).layer(view.clone());
    let deleted = Arc::new(AtomicU64::new(0));
    let asking = (0..16).map(|task| {
        let (router, deleted) = (router.clone(), Arc::clone(&deleted));
        tokio::spawn(async move {
            for round in 0..60 {
                let language = ["de", "en", "fr"][(task + round) % 3];
                let theme = ["dark", "light"][round % 2];
                let oldest = deleted.load(Ordering::SeqCst);
                let request = get_from_site("/").header("accept-language", language);
                let request = request.header("x-theme", theme).body(Body::empty()).unwrap();
                let answer = router.clone().oneshot(request).await.unwrap();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                let body = String::from_utf8(body.to_vec()).unwrap();
                let parts: Vec<&str> = body.split(' ').collect();
                assert_eq!(parts[0], language);
                assert!(language != "de" || parts[1] == theme, "{body}");
                assert!(parts[2].parse::<u64>().unwrap() >= oldest, "{body}, deleted {oldest}");
            }
        })
    });
    let asking: Vec<_> = asking.collect();
    while !asking.iter().all(tokio::task::JoinHandle::is_finished) {
        let new = version.fetch_add(1, Ordering::SeqCst) + 1;
        cache.invalidate_tags(["row"]).unwrap().eventually();
        deleted.store(new, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    for asked in asking {
        asked.await.unwrap();
    }
}
