//! The guard, and the buttons: what they do, and which forms are refused.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use fragcache::memoize::Function;
use fragcache::{FragmentKey, fragment_key};
use fragcache_inspector::Inspector;

use crate::support::{Got, Rig, STAFF, form, mounted, rig, send};

const PATHS: [&str; 6] = ["", "/names", "/name", "/style.css", "/delete", "/none"];

#[tokio::test]
async fn whom_the_guard_does_not_know_gets_nothing() {
    let rig = rig();
    rig.render(fragment_key!("secret-name"), 1, "");
    for path in PATHS {
        for method in [Method::GET, Method::POST, Method::HEAD, Method::PUT] {
            let request = Request::builder().method(method).uri(format!("/inspector{path}"));
            let got = send(&rig.app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(got.status, StatusCode::FORBIDDEN, "{path}");
            assert!(!got.body.contains("secret-name") && got.cookie().is_empty());
        }
    }
}

#[tokio::test]
async fn whom_the_guard_knows_comes_in_and_no_other_method_does() {
    let rig = rig();
    for path in ["", "/names", "/style.css"] {
        assert_eq!(rig.get(&format!("/inspector{path}")).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/name", "/none", "/name?key=zz", "?cache=none"] {
        let got = rig.get(&format!("/inspector{path}")).await;
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
    }
    let put = Request::put("/inspector").header(STAFF, "yes").body(Body::empty()).unwrap();
    assert_eq!(send(&rig.app, put).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

/// A page's cookie, and the fields of its delete button.
async fn opened(rig: &Rig, key: &FragmentKey) -> (String, String) {
    let got = rig.page(&key.bare()).await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(got.header("set-cookie").ends_with("; Path=/inspector; HttpOnly; SameSite=Strict"));
    let cookie = got.cookie();
    // The token belongs to the visitor in the cookie.
    let request = Request::get(format!("/inspector/name?key={}", key.bare().to_hex()));
    let request = request.header(STAFF, "yes").header(header::COOKIE, &cookie);
    let again = send(&rig.app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(again.header("set-cookie"), "");
    assert_eq!(again.field("token"), got.field("token"));
    (cookie, got.field("token"))
}

async fn press(rig: &Rig, button: &str, key: &FragmentKey, more: &[(&str, &str)]) -> Got {
    let (cookie, token) = opened(rig, key).await;
    let hex = key.to_hex();
    let fields = [&[("token", &*token), ("key", &*hex)], more].concat();
    send(&rig.app, form(&format!("/inspector/{button}"), &cookie, &fields)).await
}

#[tokio::test]
async fn an_entry_is_deleted_in_its_namespace_and_the_page_says_so() {
    let rig = rig();
    let key = fragment_key!("row", 1);
    let tenant = rig.cache.namespace("a/b").namespace("\"c\"");
    for cache in [&rig.cache, &tenant] {
        cache.render(fragcache::Fragment::new(key.clone()), || "<td>").unwrap();
    }
    let got = press(&rig, "delete", &key, &[("place", r#"["a/b","\"c\""]"#)]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    assert!(!tenant.contains(&key).unwrap());
    assert!(rig.cache.contains(&key).unwrap());
    let page = rig.get(got.header("location")).await;
    assert!(page.body.contains("Deleted. The next request renders it again."));
    let again = press(&rig, "delete", &key, &[("place", r#"["a/b","\"c\""]"#)]).await;
    assert!(again.header("location").ends_with("done=absent"));
}

#[tokio::test]
async fn a_name_is_deleted_and_a_tag_invalidated() {
    let rig = rig();
    let (first, second) = (fragment_key!("row", 1), fragment_key!("row", 2));
    for key in [&first, &second] {
        rig.render(key.clone(), 1, "<td>");
    }
    let got = press(&rig, "invalidate", &first.bare(), &[("tag", " tag of row(1) ")]).await;
    assert!(got.header("location").ends_with("done=tag"));
    assert!(!rig.cache.contains(&first).unwrap() && rig.cache.contains(&second).unwrap());
    for bad in ["", "  ", &"x".repeat(257)] {
        let got = press(&rig, "invalidate", &first.bare(), &[("tag", bad)]).await;
        assert!(got.header("location").ends_with("done=refused"));
    }
    let got = press(&rig, "delete-name", &first.bare(), &[]).await;
    assert!(got.header("location").ends_with("done=name"));
    assert!(!rig.cache.contains(&second).unwrap());
}

#[tokio::test]
async fn a_function_is_deleted_with_its_methods_and_a_value_by_its_key() {
    let rig = rig();
    let (balance, values) = (Function::new("shop::balance"), rig.cache.values());
    let method = balance.of(&7).call().key().unwrap();
    let function = balance.call().key().unwrap();
    rig.cache.memoize(&balance.of(&7).call(), || 1);
    rig.cache.memoize(&balance.call(), || 1);
    values.set("shop::balance", &1).unwrap();
    let got = press(&rig, "delete-name", &function, &[]).await;
    assert!(got.header("location").ends_with("done=name"));
    assert!(!rig.cache.contains(&method).unwrap() && !rig.cache.contains(&function).unwrap());
    assert!(values.contains("shop::balance").unwrap());
    press(&rig, "delete", &values.key("shop::balance"), &[]).await;
    assert!(!values.contains("shop::balance").unwrap());
}

#[tokio::test]
async fn forms_that_are_not_of_this_page_are_refused() {
    let rig = rig();
    let key = fragment_key!("row", 1);
    rig.render(key.clone(), 1, "<td>");
    let (cookie, token) = opened(&rig, &key).await;
    let (_, other_token) = opened(&rig, &key).await;
    let hex = key.to_hex();
    let fields = [("token", &*token), ("key", &*hex)];
    let button = "/inspector/delete";
    let with = |name: &'static str, value: &str| {
        let mut request = form(button, &cookie, &fields);
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let mut silent = form(button, &cookie, &fields);
    silent.headers_mut().remove("origin");
    silent.headers_mut().remove("sec-fetch-site");
    let mut foreign = with("origin", "https://evil.test");
    foreign.headers_mut().remove("sec-fetch-site");
    let forged = [
        form(button, "", &fields),
        form(button, "fragcache_inspector=", &fields),
        form(button, &format!("fragcache_inspector={}", "0".repeat(32)), &fields),
        form(button, &cookie, &fields[1..]),
        form(button, &cookie, &[("token", ""), fields[1]]),
        form(button, &cookie, &[("token", &other_token), fields[1]]),
        form(button, &cookie, &[("token", &"0".repeat(64)), fields[1]]),
        with("sec-fetch-site", "cross-site"),
        with("sec-fetch-site", "same-site"),
        with("sec-fetch-site", "none"),
        silent,
        foreign,
    ];
    for (number, request) in forged.into_iter().enumerate() {
        let got = send(&rig.app, request).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "form {number}");
        assert!(rig.cache.contains(&key).unwrap(), "form {number}");
    }
    let huge = "x".repeat(70_000);
    let got = send(&rig.app, form(button, &cookie, &[("token", &huge)])).await;
    assert_eq!(got.status, StatusCode::PAYLOAD_TOO_LARGE);
    // A link has no effect.
    let link = format!("{button}?token={token}&key={hex}");
    assert_eq!(rig.get(&link).await.status, StatusCode::NOT_FOUND);
    assert!(rig.cache.contains(&key).unwrap());
    // The real form works.
    let got = send(&rig.app, form(button, &cookie, &fields)).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    assert!(!rig.cache.contains(&key).unwrap());
}

#[tokio::test]
async fn forms_that_make_no_sense_do_nothing() {
    let rig = rig();
    let key = fragment_key!("row", 1);
    rig.render(key.clone(), 1, "<td>");
    for more in [[("place", "no json")], [("place", "[1]")], [("cache", "none")]] {
        let got = press(&rig, "delete", &key, &more).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{more:?}");
    }
    assert_eq!(press(&rig, "unknown", &key, &[]).await.status, StatusCode::NOT_FOUND);
    assert!(rig.cache.contains(&key).unwrap());
}

#[tokio::test]
async fn processes_of_one_secret_take_each_others_forms() {
    let rig = rig();
    let key = fragment_key!("row", 1);
    let app = || {
        let inspector = Inspector::new("shop", rig.cache.clone());
        mounted(inspector.form_secret("a secret of all processes"))
    };
    let (one, other) = (Rig { app: app(), ..self::rig() }, app());
    rig.render(key.clone(), 1, "<td>");
    let (cookie, token) = opened(&one, &key).await;
    let fields = [("token", &*token), ("key", &*key.to_hex())];
    let got = send(&other, form("/inspector/delete", &cookie, &fields)).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
}
