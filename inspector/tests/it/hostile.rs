//! Bad input over a real connection, as raw bytes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use fragcache::{Fragment, FragmentCache, FragmentKey, fragment_key};
use fragcache_inspector::Inspector;

use crate::browser::served;

const EVIL: &str = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'";

/// The status and the whole text of a response to raw bytes.
fn send(site: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(site.trim_start_matches("http://")).unwrap();
    // The server may hang up before it has read everything.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

fn host(site: &str) -> &str {
    site.trim_start_matches("http://")
}

fn get(site: &str, path: &str) -> (u16, String) {
    let host = host(site);
    send(site, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"))
}

fn post(site: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let (host, length) = (host(site), body.len());
    send(
        site,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

/// A page's cookie and token, and the path of the page of a key.
fn opened(site: &str, key: &FragmentKey) -> (String, String, String) {
    let path = format!("/inspector/name?key={}", key.bare().to_hex());
    let (status, answer) = get(site, &path);
    assert_eq!(status, 200, "{answer}");
    let after = |start: &str, end: char| {
        let rest = answer.split(start).nth(1).unwrap_or_default();
        rest.split(end).next().unwrap_or_default().to_owned()
    };
    (after("set-cookie: ", ';'), after("name=\"token\" value=\"", '"'), path)
}

/// Runs blocking code with the address of an inspector of this cache.
async fn against(cache: FragmentCache, attack: impl FnOnce(&str) + Send + 'static) {
    let site = served(Inspector::new("shop", cache)).await;
    tokio::task::spawn_blocking(move || attack(&site)).await.unwrap();
}

fn cache_with(key: &FragmentKey) -> FragmentCache {
    let cache = FragmentCache::builder().stats_by_name(100).build().unwrap();
    cache.render(Fragment::new(key.clone()).tags([EVIL]), || EVIL).unwrap();
    cache
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_forms_and_other_origins_delete_nothing() {
    let key = fragment_key!("row", 1);
    let cache = cache_with(&key);
    let held = cache.clone();
    against(cache, move |site| {
        let (cookie, token, _) = opened(site, &key);
        let (_, another, _) = opened(site, &key);
        let hex = key.to_hex();
        let good = format!("token={token}&key={hex}");
        let own = format!("origin: {site}\r\n");
        let with_cookie = format!("{own}cookie: {cookie}\r\n");
        let forged = [
            ("no cookie", own, good.clone()),
            ("no origin", format!("cookie: {cookie}\r\n"), good.clone()),
            (
                "another origin",
                format!("origin: http://evil.test\r\ncookie: {cookie}\r\n"),
                good.clone(),
            ),
            ("a sandbox's origin", format!("origin: null\r\ncookie: {cookie}\r\n"), good.clone()),
            (
                "an origin that begins alike",
                format!("origin: {site}.evil.test\r\ncookie: {cookie}\r\n"),
                good.clone(),
            ),
            (
                "another site by the browser's word",
                format!("{with_cookie}sec-fetch-site: cross-site\r\n"),
                good.clone(),
            ),
            ("no token", with_cookie.clone(), format!("key={hex}")),
            ("another visitor's token", with_cookie.clone(), format!("token={another}&key={hex}")),
            (
                "an invented token",
                with_cookie.clone(),
                format!("token={}&key={hex}", "0".repeat(64)),
            ),
            (
                "a token of other letters",
                with_cookie.clone(),
                format!("token=%00%ff{token}&key={hex}"),
            ),
        ];
        for (what, headers, body) in forged {
            for button in ["delete", "delete-name", "invalidate"] {
                let (status, answer) = post(site, &format!("/inspector/{button}"), &headers, &body);
                assert_eq!(status, 403, "{what}: {answer}");
            }
            assert!(held.contains(&key).unwrap(), "{what}");
        }
        let (status, answer) = post(site, "/inspector/delete", &with_cookie, &good);
        assert_eq!(status, 303, "{answer}");
        assert!(!held.contains(&key).unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_unknown_to_the_guard_gets_nothing() {
    let key = fragment_key!("row", 1);
    let cache = cache_with(&key);
    let held = cache.clone();
    against(cache, move |site| {
        let (cookie, token, page) = opened(site, &key);
        let body = format!("token={token}&key={}", key.to_hex());
        for path in ["/inspector", "/inspector/names", &page, "/inspector/style.css"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n");
            let (status, answer) = send(site, &request);
            assert_eq!(status, 403, "{path}");
            assert!(!answer.contains("row") && !answer.contains("set-cookie"), "{answer}");
        }
        let length = body.len();
        let (status, _) = send(
            site,
            &format!(
                "POST /inspector/delete HTTP/1.1\r\nhost: evil.test\r\norigin: http://evil.test\r\n\
                 cookie: {cookie}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        );
        assert_eq!(status, 403);
        assert!(held.contains(&key).unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_in_names_tags_templates_and_searches_stay_text() {
    let key = fragment_key!(EVIL, EVIL);
    let cache = cache_with(&key);
    let mut environment = minijinja::Environment::new();
    fragcache_minijinja::add_to_environment(&mut environment, cache.clone()).unwrap();
    let source = "{% cache 60 %}{{ x }}{% endcache %}";
    fragcache_minijinja::add_template(&mut environment, EVIL, source).unwrap();
    environment.get_template(EVIL).unwrap().render(minijinja::context! { x => EVIL }).unwrap();
    against(cache, move |site| {
        let query: String = form_urlencoded::byte_serialize(EVIL.as_bytes()).collect();
        let (_, _, page) = opened(site, &key);
        for path in [
            "/inspector".to_owned(),
            format!("/inspector/names?q={query}&sort={query}&kind={query}&page={query}"),
            format!("{page}&entries={query}&done={query}"),
            page,
        ] {
            let (status, answer) = get(site, &path);
            assert_eq!(status, 200, "{path}");
            let lower = answer.to_lowercase();
            assert!(!lower.contains("<script") && !lower.contains("<img"), "{answer}");
            assert!(answer.contains("&lt;script&gt;"), "{path} shows it as text");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_searches_unknown_keys_and_other_methods_are_answered_briefly() {
    let key = fragment_key!("row", 1);
    against(cache_with(&key), move |site| {
        let huge = "x".repeat(60_000);
        for path in [
            format!("/inspector/names?q={huge}"),
            format!("/inspector/names?sort={half}&kind={half}", half = &huge[..30_000]),
            format!("{}&entries={huge}", opened(site, &key).2),
        ] {
            let (status, answer) = get(site, &path);
            assert_eq!(status, 200, "{path:.40}");
            assert!(answer.len() < 40_000, "{} bytes for {path:.40}", answer.len());
        }
        let endless = "x".repeat(1 << 20);
        let (status, answer) = get(site, &format!("/inspector/names?q={endless}"));
        assert!([0, 414, 431].contains(&status), "{status}: {answer:.80}");

        let unknown = fragment_key!("never seen").to_hex();
        let hex = "65".repeat(20_000);
        for key in ["", "0", "zz", "65", "40", "%00", "é", &unknown, &hex] {
            let (status, answer) = get(site, &format!("/inspector/name?key={key}"));
            // Bytes that are invalid in an address are refused by the server first.
            assert!(status == 404 || key == "é" && status == 400, "{key:.20}: {answer:.80}");
        }
        let (cookie, token, _) = opened(site, &key);
        let headers = format!("origin: {site}\r\ncookie: {cookie}\r\n");
        for (body, wanted) in [
            (format!("token={token}&key={hex}"), 400),
            (format!("token={token}&key={}&cache=none", key.to_hex()), 400),
            (format!("token={token}&key={}&place=%5B7%5D", key.to_hex()), 400),
            (format!("token={token}&key={}&tag={}", key.to_hex(), "x".repeat(100_000)), 413),
        ] {
            let (status, answer) = post(site, "/inspector/delete", &headers, &body);
            assert_eq!(status, wanted, "{body:.90}: {answer:.200}");
        }
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"] {
            let host = host(site);
            let request = format!(
                "{method} /inspector HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
                 content-length: 0\r\n\r\n"
            );
            assert_eq!(send(site, &request).0, 405, "{method}");
        }
        assert_eq!(get(site, "/inspector").0, 200, "it is still there");
    })
    .await;
}
