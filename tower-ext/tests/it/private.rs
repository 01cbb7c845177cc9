//! Requests that say who asks.

use fragcache::testing::ManualClock;
use fragcache_tower::{AmbiguousCookie, Cached, cookie};
use http::{Request, header};
use proptest::prelude::*;

use crate::support::{Site, cache};

/// What a page does with a theme, which it reads as the key function does or by the only field.
fn themed() -> Site {
    let by_theme = |view: Cached| {
        let key = |parts: &_| Some(cookie(parts, "theme").ok()?.unwrap_or("light").to_owned());
        view.key(key).allow_cookies()
    };
    Site::new(by_theme, |request, _| {
        let fields: Vec<_> = request.headers().get_all(header::COOKIE).iter().collect();
        let all: Vec<_> = fields.iter().map(|field| field.to_str().unwrap()).collect();
        let dark = all.concat().contains("theme=dark");
        format!("{} of {} fields", if dark { "dark" } else { "light" }, fields.len())
    })
}

#[tokio::test]
async fn i4_all_cookie_fields_of_a_request_are_read() {
    let site = themed();
    let dark = site.get("/p", &[("cookie", "a=1"), ("cookie", "theme=dark")]).await;
    assert_eq!(dark.body, "dark of 1 fields", "as a generic application is given them");
    assert_eq!(site.get("/p", &[("cookie", "a=1; theme=light")]).await.body, "light of 1 fields");
    assert_eq!(site.get("/p", &[]).await.body, "light of 1 fields", "no theme is that");
    for _ in 0..2 {
        let two = site.get("/p", &[("cookie", "theme=dark; theme=light")]).await;
        assert_eq!(two.header("cache-status"), Some("fragcache; fwd=bypass; detail=key"));
    }
}

#[tokio::test]
async fn i4_a_key_function_that_reads_one_field_reads_all_cookies() {
    let naive = |view: Cached| {
        let key = |parts: &http::request::Parts| {
            let cookies = parts.headers.get(header::COOKIE)?.to_str().ok()?;
            Some(if cookies.contains("theme=dark") { "dark" } else { "light" })
        };
        view.key(key).allow_cookies()
    };
    let site = Site::new(naive, |request, _| {
        let mut fields = request.headers().get_all(header::COOKIE).iter();
        let dark = fields.any(|field| field.to_str().unwrap().contains("theme=dark"));
        if dark { "dark" } else { "light" }
    });
    assert_eq!(site.get("/p", &[("cookie", "a=1"), ("cookie", "theme=dark")]).await.body, "dark");
    assert_eq!(site.get("/p", &[("cookie", "a=1")]).await.body, "light");
    let (parts, ()) = Request::get("/p")
        .header("cookie", "a=1")
        .header("cookie", "theme=dark")
        .body(())
        .unwrap()
        .into_parts();
    let view = naive(Cached::new(&cache(&ManualClock::new()), "view"));
    assert_eq!(view.key_of(&parts).unwrap().to_string(), "view(dark)");
}

/// What readers of cookies find: each field or all of them, decoded or not, quoted or not, the first
/// of a name or the last.
fn readings(fields: &[String], name: &str) -> Vec<Option<String>> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut found = Vec::new();
    for way in 0..16 {
        let (decodes, unquotes, trims, is_last) =
            (way & 1 != 0, way & 2 != 0, way & 4 != 0, way & 8 != 0);
        let read = |text: &str| {
            let text = if trims { text.trim() } else { text };
            let text = if unquotes { text.trim_matches('"') } else { text };
            if decodes { decode(text) } else { text.to_owned() }
        };
        let pairs = fields.iter().flat_map(|field| field.split(';').map(str::trim));
        let mut values = pairs
            .filter_map(|pair| pair.split_once('='))
            .filter(|&(at, _)| read(at) == name)
            .map(|(_, value)| read(value));
        found.push(if is_last { values.next_back() } else { values.next() });
    }
    found
}

proptest! {
    #[test]
    fn i4_a_cookie_is_read_only_where_all_readers_agree(
        fields in prop::collection::vec(
            "((t|u|%74|\"t\"| t)( ?= ?)?(a|b|%61|\"a\"|)(; ?|;;|,)?){0,3}", 0..4),
    ) {
        let mut request = Request::get("/");
        for field in &fields {
            request = request.header(header::COOKIE, field);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        if let Ok(value) = cookie(&parts, "t") {
            for read in readings(&fields, "t") {
                prop_assert_eq!(read.as_deref(), value, "{:?}", fields);
            }
        } else {
            prop_assert_eq!(cookie(&parts, "t"), Err(AmbiguousCookie));
        }
    }
}
