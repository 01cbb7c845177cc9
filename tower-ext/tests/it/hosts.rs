//! The host and the scheme of a request: which key results, and which requests have none.

use axum::body::Body;
use axum::response::IntoResponse;
use fragcache_tower::CacheLayer;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version, header};
use proptest::prelude::*;

use crate::support::{Answer, Site};

/// A page that shows every address that a handler can see.
fn page() -> Site {
    Site::new(
        |view| view,
        |request, run| {
            let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
            format!("run {run}: {} {hosts:?}", request.uri())
        },
    )
}

/// Sends a request with these `Host` fields.
async fn ask(site: &Site, uri: &str, version: Version, hosts: &[&[u8]]) -> Answer {
    let mut request = Request::get(uri).version(version);
    for host in hosts {
        request = request.header(header::HOST, *host);
    }
    site.ask(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn i4_requests_without_one_certain_host_bypass_the_cache() {
    let cases: &[(&str, Version, &[&[u8]])] = &[
        ("/p", Version::HTTP_10, &[]),
        ("/p", Version::HTTP_11, &[b""]),
        ("/p", Version::HTTP_11, &[b"shop.example", b"evil.example"]),
        ("/p", Version::HTTP_11, &[b"shop.example", b"shop.example"]),
        ("/p", Version::HTTP_11, &[b"caf\xe9.example"]),
        ("/p", Version::HTTP_11, &[b"caf\xe8.example"]),
        ("/p", Version::HTTP_11, &[b"shop.example/evil"]),
        ("/p", Version::HTTP_11, &[b"ann:secret@shop.example"]),
        ("http://shop.example/p", Version::HTTP_11, &[b"evil.example"]),
        ("http://ann:secret@shop.example/p", Version::HTTP_11, &[b"shop.example"]),
        ("https://shop.example/p", Version::HTTP_2, &[b"evil.example"]),
    ];
    let site = page();
    for (uri, version, hosts) in cases {
        for _ in 0..2 {
            let before = site.runs.count();
            let answer = ask(&site, uri, *version, hosts).await;
            assert_eq!(site.runs.count(), before + 1, "{uri} {hosts:?}");
            let told = answer.header("cache-status");
            assert_eq!(told, Some("fragcache; fwd=bypass; detail=host"), "{uri} {hosts:?}");
        }
    }
    assert_eq!(site.cache.stats().entries, 0);
    // No part of them answers another request.
    for host in ["shop.example", "evil.example"] {
        let answer = ask(&site, "/p", Version::HTTP_11, &[host.as_bytes()]).await;
        assert!(answer.body.ends_with(&format!("/p [\"{host}\"]")), "{}", answer.body);
    }
}

#[tokio::test]
async fn i4_schemes_do_not_share_responses() {
    let site = page();
    let ask = |uri: &'static str| ask(&site, uri, Version::HTTP_2, &[]);
    for (uri, run) in [("http://shop.example/p", 1), ("https://shop.example/p", 2)] {
        for _ in 0..2 {
            let body = ask(uri).await.body;
            assert!(body.starts_with(&format!("run {run}: {uri}")), "{body}");
        }
    }
}

#[tokio::test]
async fn a_redirect_to_https_is_not_kept_where_it_would_meet_those_who_came_by_https() {
    fn site(settings: impl FnOnce(CacheLayer) -> CacheLayer) -> Site {
        let found = [StatusCode::MOVED_PERMANENTLY, StatusCode::TEMPORARY_REDIRECT];
        Site::new(
            |view| settings(view.statuses(found)),
            |request, _| {
                let location = format!("https://shop.example{}", request.uri().path());
                let status = match request.uri().query() {
                    None => StatusCode::MOVED_PERMANENTLY,
                    Some(_) => StatusCode::TEMPORARY_REDIRECT,
                };
                let query = request.uri().query().map(|query| format!("?{query}"));
                let location = location + query.as_deref().unwrap_or_default();
                (status, [(header::LOCATION, location)]).into_response()
            },
        )
    }
    let host: &[&[u8]] = &[b"shop.example"];
    for path in ["/p", "/p?a=1"] {
        for settings in [
            (|view| view) as fn(CacheLayer) -> CacheLayer,
            CacheLayer::ignore_host,
            |view| view.key(|_| Some("one")),
            |view| view.scheme(Scheme::HTTPS),
        ] {
            let site = site(settings);
            for run in 1..3 {
                let answer = ask(&site, path, Version::HTTP_11, host).await;
                assert_eq!(site.runs.count(), run, "{path}");
                let told = answer.header("cache-status");
                assert_eq!(told, Some("fragcache; fwd=miss; detail=redirect"));
            }
        }
        let site = site(|view| view.scheme(Scheme::HTTP));
        for _ in 0..2 {
            ask(&site, path, Version::HTTP_11, host).await;
        }
        assert_eq!(site.runs.count(), 1, "the key tells schemes apart");
        ask(&site, &format!("https://shop.example{path}"), Version::HTTP_2, &[]).await;
        assert_eq!(site.runs.count(), 2);
    }
}

#[tokio::test]
async fn a_redirect_to_itself_is_not_kept_however_it_is_written() {
    let host: &[&[u8]] = &[b"shop.example"];
    for (location, is_kept) in
        [("/a", false), ("a", false), ("../a", false), ("#top", false), ("?b", true), ("b", true)]
    {
        for settings in
            [(|view| view) as fn(CacheLayer) -> CacheLayer, |view| view.scheme(Scheme::HTTPS)]
        {
            let site = Site::new(settings, move |_, _| {
                (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)]).into_response()
            });
            for run in 1..3 {
                let answer = ask(&site, "/a", Version::HTTP_11, host).await;
                assert_eq!(answer.header("location"), Some(location));
                assert_eq!(site.runs.count(), if is_kept { 1 } else { run }, "{location}");
            }
        }
        let site = Site::new(CacheLayer::ignore_query, move |_, _| {
            (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)]).into_response()
        });
        for run in 1..3 {
            ask(&site, "/a?c", Version::HTTP_11, host).await;
            assert_eq!(site.runs.count(), if location == "b" { 1 } else { run }, "{location}");
        }
    }
}

#[tokio::test]
async fn i4_the_forwarded_address_is_in_the_key() {
    let site = Site::new(
        |view| view,
        |request, _| {
            let of = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
            let host = of("x-forwarded-host").or(of("forwarded")).unwrap_or("site.example");
            format!("<a href=\"//{host}{}/p\">", of("x-forwarded-prefix").unwrap_or_default())
        },
    );
    for name in ["x-forwarded-host", "x-forwarded-prefix", "forwarded"] {
        let value = match name {
            "forwarded" => "for=192.0.2.1;host=evil.example",
            _ => "evil.example",
        };
        let evil = site.get("/p", &[(name, value)]).await;
        assert!(evil.body.contains("evil"), "{}", evil.body);
        assert_eq!(site.get("/p", &[]).await.body, "<a href=\"//site.example/p\">", "{name}");
    }
}

#[tokio::test]
async fn i4_a_request_that_a_header_makes_another_method_bypasses_the_cache() {
    let site = Site::new(|view| view, |_, run| format!("run {run}"));
    for name in ["x-http-method-override", "x-method-override", "x-http-method"] {
        let answer = site.get("/p", &[(name, "DELETE")]).await;
        let told = format!("fragcache; fwd=bypass; detail={name}");
        assert_eq!(answer.header("cache-status"), Some(&*told));
    }
    assert_eq!(site.get("/p", &[]).await.header("cache-status").unwrap(), STORED);
}

const STORED: &str = "fragcache; fwd=miss; stored";

/// What a handler could make of a request: everything that the key or a bypass must distinguish. A
/// `Host` field that equals the address adds nothing.
fn seen(uri: &Uri, headers: &HeaderMap) -> String {
    let is_told = |name: &HeaderName, value: &HeaderValue| {
        let host = uri.authority().map(|authority| authority.as_str().as_bytes());
        *name != header::HOST || host != Some(value.as_bytes())
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let told = headers.iter().filter(|(name, value)| is_told(name, value));
    let mut fields: Vec<String> =
        told.map(|(name, value)| format!("{name}={:?}", text(value))).collect();
    fields.sort();
    format!("{uri} {fields:?}")
}

fn requests() -> impl Strategy<Value = Vec<Request<()>>> {
    let uri = prop::sample::select(vec![
        "/p",
        "/p?a=1",
        "http://a.example/p",
        "https://a.example/p",
        "https://b.example/p?a=1",
        "https://a@a.example/p",
    ]);
    let hosts = prop::collection::vec(
        prop::sample::select(vec!["a.example", "b.example", "a.example:80", "", "a@b"]),
        0..3,
    );
    let name = prop::sample::select(vec![
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-prefix",
        "x-original-url",
        "forwarded",
        "hx-request",
        "x-requested-with",
        "x-method-override",
        "x-api-key",
        "x-forwarded-user",
        "authorization",
        "cookie",
    ]);
    let value = prop::sample::select(vec!["", "a", "b", "a=b", "a, b", "a; b", "a@b", "\"", "é"]);
    let fields = prop::collection::vec((name, value), 0..4);
    let request = (uri, hosts, fields).prop_map(|(uri, hosts, fields)| {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header(header::HOST, host);
        }
        for (name, value) in fields {
            request = request.header(name, value);
        }
        request.body(()).unwrap()
    });
    // Few distinct requests, so that they collide.
    prop::collection::vec(request, 1..5)
        .prop_flat_map(|few| prop::collection::vec(prop::sample::select(few), 2..12))
}

proptest! {
    #[test]
    fn i4_every_request_gets_what_was_made_for_its_like(requests in requests()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let site = Site::new(|view| view, |request, _| seen(request.uri(), request.headers()));
        for request in requests {
            let (parts, ()) = request.into_parts();
            let mut headers = parts.headers.clone();
            let cookies: Vec<&[u8]> =
                headers.get_all(header::COOKIE).iter().map(|field| field.as_bytes()).collect();
            if cookies.len() > 1 {
                let joined = cookies.join(&b"; "[..]);
                headers.insert(header::COOKIE, HeaderValue::from_bytes(&joined).unwrap());
            }
            let expected = seen(&parts.uri, &headers);
            let request = Request::from_parts(parts, Body::empty());
            prop_assert_eq!(runtime.block_on(site.ask(request)).body, expected);
        }
    }
}
