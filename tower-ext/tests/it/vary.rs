//! Responses that vary on headers: each request gets its own, and learns the headers from earlier
//! ones.

use axum::response::IntoResponse;
use fragcache_tower::{CacheLayer, ResponsePolicy};
use http::header;

use crate::support::{Site, get_from_site};

fn by_language() -> Site {
    Site::new(
        |view| view,
        |request, run| {
            let language = request.headers().get("accept-language").cloned();
            let language = language.map_or("none".to_owned(), |l| l.to_str().unwrap().to_owned());
            let terms = ResponsePolicy::new().tags(["words"]);
            (terms, [("vary", "Accept-Language")], format!("{language}, run {run}"))
        },
    )
}

#[tokio::test]
async fn each_value_has_a_response_of_its_own() {
    let site = by_language();
    for _ in 0..3 {
        for (at, language) in ["de", "en", "fr"].into_iter().enumerate() {
            let answer = site.get("/p", &[("accept-language", language)]).await;
            assert_eq!(answer.body, format!("{language}, run {}", at + 1));
            assert_eq!(answer.header("vary"), Some("Accept-Language"));
        }
        assert_eq!(site.get("/p", &[]).await.body, "none, run 4");
    }
    assert_eq!(site.runs.count(), 4);
}

#[tokio::test]
async fn deleting_a_response_deletes_all_its_variants() {
    for way in 0..4 {
        let site = by_language();
        let de = [("accept-language", "de")];
        site.get("/p", &de).await;
        site.get("/p", &[("accept-language", "en")]).await;
        match way {
            0 => site.cache.invalidate_tags(["words"]).unwrap(),
            1 => site.cache.delete_view("view", "/p"),
            2 => site.cache.delete_views("view"),
            _ => {
                let view = CacheLayer::new(&site.cache, "view");
                let (parts, ()) = get_from_site("/p").body(()).unwrap().into_parts();
                site.cache.delete(&view.key_of(&parts).unwrap())
            }
        }
        .eventually();
        assert_eq!(site.get("/p", &de).await.body, "de, run 3", "way {way}");
        assert_eq!(site.get("/p", &[("accept-language", "en")]).await.body, "en, run 4");
        assert_eq!(site.get("/p", &de).await.body, "de, run 3");
    }
}

#[tokio::test]
async fn headers_that_vary_by_and_by_are_all_learnt() {
    let site = Site::new(
        |view| view,
        |request, run| {
            let value = |name: &str| {
                let value = request.headers().get(name);
                value.map_or("", |value| value.to_str().unwrap()).to_owned()
            };
            // Only German readers have different themes.
            let vary = if value("accept-language") == "de" {
                "x-theme, accept-language"
            } else {
                "accept-language"
            };
            let text = format!("{} {} {run}", value("accept-language"), value("x-theme"));
            ([("vary", vary)], text).into_response()
        },
    );
    let ask = async |language: &str, theme: &str| {
        let body = site.get("/p", &[("accept-language", language), ("x-theme", theme)]).await.body;
        assert!(body.starts_with(&format!("{language} ")), "{body}");
        if language == "de" {
            assert!(body.starts_with(&format!("de {theme} ")), "{body}");
        }
        body
    };
    ask("en", "dark").await;
    for _ in 0..3 {
        for (language, theme) in [("de", "dark"), ("de", "light"), ("en", "dark")] {
            ask(language, theme).await;
        }
    }
    let known = site.runs.count();
    for (language, theme) in [("de", "dark"), ("de", "light"), ("en", "dark")] {
        ask(language, theme).await;
    }
    assert_eq!(site.runs.count(), known, "by now everything is known and kept");
}

#[tokio::test]
async fn declared_headers_are_in_the_key_from_the_first() {
    let site = Site::new(
        |view| view.vary_on([header::COOKIE]),
        |request, run| {
            let cookie = request.headers().get("cookie").unwrap().to_str().unwrap().to_owned();
            ([("vary", "cookie")], format!("{cookie} {run}"))
        },
    );
    for _ in 0..2 {
        assert_eq!(site.get("/p", &[("cookie", "s=1")]).await.body, "s=1 1");
        assert_eq!(site.get("/p", &[("cookie", "s=2")]).await.body, "s=2 2");
    }
}
