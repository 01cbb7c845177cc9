//! The shop's inspector: it requires the password, and its buttons cause pages to be
//! rendered again.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine as _;
use fragcache::{FragmentCache, fragment_key};
use fragcache_examples::site::{Shop, app};
use fragcache_examples::{Database, Engine, Log};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

const HOST: &str = "shop.test";

fn shop(engine: Engine, password: Option<&str>) -> (Router, FragmentCache, Log) {
    let log = Log::default();
    let cache = FragmentCache::builder().stats_by_name(100).observer(log.clone()).build().unwrap();
    let shop = Shop::open(engine, cache.clone(), Database::seeded().unwrap()).unwrap();
    let shop = shop.with_inspector(password.map(str::to_owned), vec![HOST.to_owned()]);
    (app(Arc::new(shop)), cache, log)
}

fn basic(user: &str, password: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {encoded}")
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(
    app: &Router,
    path: &str,
    credentials: Option<&str>,
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path).header(header::HOST, HOST);
    if let Some(credentials) = credentials {
        request = request.header(header::AUTHORIZATION, credentials);
    }
    send(app, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn without_a_password_in_the_environment_there_is_no_inspector() {
    for password in [None, Some("")] {
        let (app, ..) = shop(Engine::MiniJinja, password);
        for path in ["/inspector", "/inspector/names", "/inspector/style.css"] {
            let (status, ..) = get(&app, path, Some(&basic("staff", ""))).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}

#[tokio::test]
async fn a_visitor_without_the_password_sees_nothing() {
    let (app, _, log) = shop(Engine::MiniJinja, Some("sesame"));
    get(&app, "/", None).await;
    log.take();
    let wrong = [basic("staff", "sesam"), basic("staff", "Sesame"), basic("", "sesame")];
    let wrong = wrong.iter().map(|sent| Some(&**sent)).chain([None, Some("Basic"), Some("")]);
    for credentials in wrong {
        for path in ["/inspector", "/inspector/names", "/inspector/style.css", "/inspector/none"] {
            let (status, headers, body) = get(&app, path, credentials).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {credentials:?}");
            let asked = headers[header::WWW_AUTHENTICATE].to_str().unwrap();
            assert!(asked.starts_with("Basic realm="), "{asked}");
            assert!(!body.contains("sidebar") && !headers.contains_key(header::SET_COOKIE));
        }
    }
    let (status, _, body) = get(&app, "/inspector", Some(&basic("staff", "sesame"))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("sidebar"), "{body}");
    for host in ["evil.example", "localhost"] {
        let request = Request::get("/inspector").header(header::HOST, host);
        let request = request.header(header::AUTHORIZATION, basic("staff", "sesame"));
        let (status, _, body) = send(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}: {body}");
    }
}

/// The first hidden field of this name.
fn field<'p>(page: &'p str, name: &str) -> &'p str {
    let start = format!("name=\"{name}\" value=\"");
    page.split(&start).nth(1).unwrap().split('"').next().unwrap()
}

#[tokio::test]
async fn a_fragment_that_staff_deletes_is_rendered_again_and_nothing_else_is() {
    for engine in Engine::ALL {
        let (app, cache, log) = shop(engine, Some("sesame"));
        let staff = basic("staff", "sesame");
        let (_, _, home) = get(&app, "/", None).await;
        get(&app, "/", None).await;
        log.take();

        let key = fragment_key!("sidebar", 1);
        let path = format!("/inspector/name?key={}", key.bare().to_hex());
        let (status, headers, page) = get(&app, &path, Some(&staff)).await;
        assert_eq!(status, StatusCode::OK, "{engine}");
        assert!(page.contains("sidebar(1)") && page.contains("1 served, 1 missed"), "{page}");
        let cookie = headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
        let press = |origin: &str| {
            let form = format!("token={}&key={}", field(&page, "token"), key.to_hex());
            Request::post("/inspector/delete")
                .header(header::HOST, HOST)
                .header(header::ORIGIN, origin)
                .header(header::AUTHORIZATION, &staff)
                .header(header::COOKIE, cookie)
                .body(Body::from(form))
                .unwrap()
        };
        // The browser sends the password with another site's form too.
        let (status, ..) = send(&app, press("https://evil.test")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(cache.contains(&key).unwrap());

        let (status, headers, _) = send(&app, press("http://shop.test")).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        assert!(!cache.contains(&key).unwrap());
        let told = headers[header::LOCATION].to_str().unwrap();
        let (_, _, page) = get(&app, told, Some(&staff)).await;
        assert!(page.contains("Deleted."), "{page}");

        assert_eq!(get(&app, "/", None).await.2, home, "{engine}");
        let rendered: Vec<_> = log.take().into_iter().map(|seen| seen.key).collect();
        assert!(rendered.contains(&"sidebar(1)".to_owned()), "{rendered:?}");
        assert!(!rendered.contains(&"grid".to_owned()), "{rendered:?}");
    }
}
