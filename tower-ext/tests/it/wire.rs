//! A server on loopback: chunked bodies, bodies that fail half-way, trailers, clients that hang up.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use fragcache::FragmentCache;
use fragcache_tower::CacheLayer;
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::support::{Runs, get_from_site};

pub(crate) async fn serve(router: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// Sends one request on a new connection and returns everything that comes back.
pub(crate) async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get_of(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

fn chunks(parts: &'static [Result<&'static str, ()>]) -> Body {
    Body::from_stream(stream::iter(parts.iter().map(|part| match part {
        Ok(text) => Ok(Bytes::from_static(text.as_bytes())),
        Err(()) => Err(io::Error::other("the database went away")),
    })))
}

fn streaming(
    runs: &Runs,
    parts: &'static [Result<&'static str, ()>],
) -> axum::routing::MethodRouter {
    let runs = runs.clone();
    get(move || {
        runs.one_more();
        async move { chunks(parts) }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_bodies_pass_or_are_kept_whole() {
    let cache = FragmentCache::in_memory();
    let runs = Runs::default();
    let parts: &[_] = &[Ok("one "), Ok("two "), Ok("three")];
    let router = Router::new()
        .route(
            "/kept",
            streaming(&runs, parts).layer(CacheLayer::new(&cache, "kept").store_streams()),
        )
        .route("/passed", streaming(&runs, parts).layer(CacheLayer::new(&cache, "passed")))
        .route(
            "/long",
            streaming(&runs, parts)
                .layer(CacheLayer::new(&cache, "long").store_streams().max_body(8).unwrap()),
        );
    let address = serve(router).await;
    for (path, ran) in [("/kept", 1), ("/passed", 3), ("/long", 5)] {
        for _ in 0..2 {
            let answer = exchange(address, &get_of(path)).await;
            for part in ["one ", "two ", "three"] {
                assert!(answer.contains(part), "{path}: {answer}");
            }
            let whole = answer.contains("content-length: 13") && answer.ends_with("one two three");
            assert_eq!(whole, path == "/kept", "{answer}");
        }
        assert_eq!(runs.count(), ran, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_fails_half_way_is_not_kept_and_fails_at_the_client_too() {
    let cache = FragmentCache::in_memory();
    let runs = Runs::default();
    let view = CacheLayer::new(&cache, "page").store_streams();
    let router = Router::new().route("/", streaming(&runs, &[Ok("half "), Err(())]).layer(view));
    let request = get_from_site("/").body(Body::empty()).unwrap();
    let mut body = router.clone().oneshot(request).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.data_ref().map(|data| &data[..]), Some(&b"half "[..]));
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());

    let answer = exchange(serve(router).await, &get_of("/")).await;
    assert!(!answer.ends_with("0\r\n\r\n"), "a client can tell: {answer}");
    assert_eq!(runs.count(), 2);
    assert_eq!(cache.stats().entries, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_leave_nothing_behind() {
    let cache = FragmentCache::in_memory();
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = get(move || {
        let run = counted.one_more();
        async move {
            if run < 20 {
                std::future::pending::<()>().await;
            }
            "fine"
        }
    });
    let router = Router::new().route("/", handler).layer(CacheLayer::new(&cache, "page"));
    let address = serve(router).await;
    for run in 1..20 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(get_of("/").as_bytes()).await.unwrap();
        while runs.count() < run {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for _ in 0..2 {
        assert!(exchange(address, &get_of("/")).await.ends_with("fine"));
    }
    assert_eq!(runs.count(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_and_conditions_come_through_a_server() {
    let cache = FragmentCache::in_memory();
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = get(move || {
        counted.one_more();
        async { "twelve bytes" }
    });
    let router = Router::new().route("/", handler).layer(CacheLayer::new(&cache, "page"));
    let address = serve(router).await;
    let whole = exchange(address, &get_of("/")).await;
    let tag = whole.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let head = exchange(address, &get_of("/").replace("GET", "HEAD")).await;
    assert!(head.contains("content-length: 12") && head.ends_with("\r\n\r\n"), "{head}");
    let request = get_of("/").replace("host: x", &format!("host: x\r\nif-none-match: {tag}"));
    let unmodified = exchange(address, &request).await;
    assert!(
        unmodified.starts_with("HTTP/1.1 304") && unmodified.ends_with("\r\n\r\n"),
        "{unmodified}"
    );
    assert_eq!(runs.count(), 1);
}
