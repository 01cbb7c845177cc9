//! The contents of the pages. They never contain markup from a name, or anything from other sites.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use fragcache::engine::view_key;
use fragcache::memoize::Function;
use fragcache::testing::MemoryStore;
use fragcache::{FarLevel, FragmentCache, FragmentKey, fragment_key, fragment_key_at};
use fragcache_inspector::Inspector;
use fragcache_tower::CacheLayer;

use crate::support::{STAFF, form, mounted, rig, send};

const EVIL: &str = "<script>alert(1)</script>\"'&";

#[tokio::test]
async fn markup_in_names_keys_tags_and_namespaces_is_text() {
    let rig = rig();
    let evil = rig.cache.namespace(EVIL);
    let key = fragment_key!(EVIL, EVIL);
    evil.render(fragcache::Fragment::new(key.clone()).tags([EVIL]), || EVIL).unwrap();
    let mut environment = minijinja::Environment::new();
    fragcache_minijinja::add_to_environment(&mut environment, rig.cache.clone()).unwrap();
    let source = "{% cache 60 %}body{% endcache %}";
    fragcache_minijinja::add_template(&mut environment, EVIL, source).unwrap();
    environment.get_template(EVIL).unwrap().render(()).unwrap();

    let query = form_urlencoded::byte_serialize(EVIL.as_bytes()).collect::<String>();
    let pages = [
        "/inspector".to_owned(),
        "/inspector/names".to_owned(),
        format!("/inspector/names?q={query}&sort={query}"),
        format!("/inspector/name?key={}", key.bare().to_hex()),
        format!("/inspector/name?key={}&entries={query}", key.bare().to_hex()),
        format!("/inspector/name?key={}&done={query}", key.bare().to_hex()),
        format!("/inspector/name?key={}", fragment_key_at(EVIL, 1).to_hex()),
        format!("/inspector?cache={query}"),
    ];
    for page in pages {
        let got = rig.get(&page).await;
        assert!(!got.body.contains("<script"), "{page}: {}", got.body);
        assert!(!got.body.contains("alert(1)</"), "{page}");
        let told = got.body.contains("alert(1)");
        assert!(told || got.status == StatusCode::NOT_FOUND, "{page} shows the text");
    }
}

#[tokio::test]
async fn every_answer_keeps_itself_to_itself() {
    let rig = rig();
    rig.render(fragment_key!("row", 1), 1, "<td>");
    let page = format!("/inspector/name?key={}", fragment_key!("row").to_hex());
    for path in ["/inspector", "/inspector/names", &page, "/inspector/style.css", "/inspector/x"] {
        let got = rig.get(path).await;
        assert_eq!(got.header("cache-control"), "no-store", "{path}");
        assert_eq!(got.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(got.header("referrer-policy"), "same-origin", "{path}");
        let policy = got.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
        for word in ["<script", "javascript:", " style=", "onclick", "http://", "https://", "url("]
        {
            assert!(!got.body.contains(word), "{path} holds {word}");
        }
    }
}

#[tokio::test]
async fn the_numbers_are_those_of_the_cache() {
    let rig = rig();
    for _ in 0..4 {
        rig.render(fragment_key!("sidebar", 42), 20, "<nav>");
    }
    for user in 0..3 {
        rig.render(fragment_key!("rare", user), 500, "<p>");
    }
    rig.clock.advance(Duration::from_secs(61));
    let overview = rig.get("/inspector").await.body;
    for text in [
        "42.9 %",
        "3 served, 4 missed",
        "Time saved",
        "60.0 ms",
        "1.52 s",
        "Numbers of <strong>this process</strong>",
        "since 2026-01-01 00:00:00 UTC (1 min 2 s)",
        "1 min ago: 3 served, 4 missed, 42.9 %",
    ] {
        assert!(overview.contains(text), "{text} in {overview}");
    }
    let page = rig.page(&fragment_key!("sidebar")).await.body;
    for text in ["75.0 %", "3 served, 1 missed", "sidebar(42)", "tag of sidebar(42)", "1 min 2 s"] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(!page.contains("costs more than it saves"));
    let rare = rig.page(&fragment_key!("rare")).await.body;
    assert!(rare.contains("costs more than it saves"));
}

/// The names in the order of a list.
fn names(body: &str) -> Vec<String> {
    let rows = body.split("<tr><th scope=\"row\"><a href=\"").skip(1);
    let name = |row: &str| row.split('>').nth(1).unwrap().split('<').next().unwrap().to_owned();
    rows.map(name).collect()
}

#[tokio::test]
async fn lists_are_searched_ordered_and_paged() {
    let rig = rig();
    rig.render(fragment_key!("cold"), 1, "x");
    rig.render(fragment_key!("cold"), 1, "x");
    rig.clock.advance(Duration::from_secs(100));
    rig.render(fragment_key!("big"), 1, &"x".repeat(10_000));
    for _ in 0..5 {
        rig.render(fragment_key!("big"), 1, "");
        rig.render(fragment_key!("often"), 10, "x");
    }
    rig.render(fragment_key!("big"), 1, "");
    rig.render(fragment_key!("dear", 1), 3000, "x");
    rig.render(fragment_key!("dear", 2), 3000, "x");
    rig.render(fragment_key!("dear", 2), 3000, "x");
    for (sort, first) in [
        ("served", "big"),
        ("missed", "dear"),
        ("ratio", "dear"),
        ("bytes", "big"),
        ("coldest", "cold"),
        ("loss", "dear"),
        ("saved", "dear"),
        ("spent", "dear"),
        ("name", "big"),
        ("nonsense", "big"),
    ] {
        let found = names(&rig.get(&format!("/inspector/names?sort={sort}")).await.body);
        assert_eq!((found.len(), &*found[0]), (4, first), "{sort}: {found:?}");
    }
    for (query, count) in [("OFT", 1), ("tag+of+dear", 1), ("nothing", 0), ("", 4)] {
        let found = names(&rig.get(&format!("/inspector/names?q={query}")).await.body);
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
    for number in 0..60 {
        rig.render(FragmentKey::new(format!("many-{number:02}")), 1, "");
    }
    let list = |page: &str| format!("/inspector/names?sort=name&q=many&page={page}");
    assert_eq!(names(&rig.get(&list("1")).await.body).len(), 50);
    for page in ["2", "99"] {
        let found = names(&rig.get(&list(page)).await.body);
        assert_eq!((found.len(), &*found[9]), (10, "many-59"));
    }
    assert_eq!(names(&rig.get(&list("-1")).await.body)[0], "many-00");
}

#[tokio::test]
async fn entries_of_a_name_are_paged_and_searched() {
    let rig = rig();
    for number in 0..60 {
        rig.render(fragment_key!("row", number), 1, "x");
    }
    rig.cache.invalidate_tags(["tag of row(59)"]).unwrap().eventually();
    let key = fragment_key!("row").to_hex();
    let count = |body: &str| body.matches("/delete\">").count();
    for (query, entries) in [("", 25), ("&page=3", 10), ("&entries=ROW(5", 11)] {
        let got = rig.get(&format!("/inspector/name?key={key}{query}")).await;
        assert_eq!(count(&got.body), entries, "{query}");
    }
    let got = rig.get(&format!("/inspector/name?key={key}&entries=row(59)")).await;
    assert!(got.body.contains("tag invalidated"), "{}", got.body);
}

#[tokio::test]
async fn each_of_several_caches_shows_its_own_numbers() {
    let shop = FragmentCache::builder().stats_by_name(10).build().unwrap();
    let blog = FragmentCache::in_memory();
    shop.render(fragcache::Fragment::new(fragment_key!("in-the-shop")), || "").unwrap();
    blog.render(fragcache::Fragment::new(fragment_key!("in-the-blog")), || "").unwrap();
    let app = mounted(Inspector::new("shop", shop).with("the blog", blog));
    let get = |path: &'static str| {
        let request = Request::get(path).header(STAFF, "yes").body(Body::empty()).unwrap();
        send(&app, request)
    };
    let first = get("/inspector").await.unslashed();
    assert!(first.contains("in-the-shop") && !first.contains("in-the-blog"));
    assert!(first.contains("\"/inspector?cache=the+blog\""), "{first}");
    let other = get("/inspector?cache=the+blog").await.body;
    assert!(
        other.contains("in-the-blog") && other.contains("has no statistics by name"),
        "{other}"
    );
    assert_eq!(get("/inspector?cache=none").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn kinds_are_distinguished_and_escaped() {
    let rig = rig();
    let evil = |number: usize| format!("{EVIL}{}", "x".repeat(number));
    rig.render(fragment_key!("sidebar"), 1, EVIL);
    rig.cache.values().set(EVIL, &evil(3000)).unwrap();
    rig.cache.values().set("number", &7).unwrap();
    let find = Function::new("shop::find").of(EVIL).call();
    rig.cache.memoize(&find.clone().arg(&[EVIL]), || evil(1));
    rig.cache.memoize(&find.clone().arg(&7), || vec![EVIL.to_owned()]);

    let list = |query: &str| format!("/inspector/names?sort=name{query}");
    let all = rig.get(&list("")).await;
    assert_eq!(names(&all.body).len(), 4);
    for (kind, title, count) in
        [("fragment", "Fragments", 1), ("function", "Functions", 1), ("value", "Values", 2)]
    {
        assert!(all.body.contains(&format!("{title} <small>{count}</small>")), "{}", all.body);
        let got = rig.get(&list(&format!("&kind={kind}"))).await;
        assert_eq!(names(&got.body).len(), count, "{kind}");
        assert!(got.body.contains(&format!("<h1>{title} ")), "{kind}");
    }
    assert!(!all.body.contains("Views"), "there is none");
    assert_eq!(names(&rig.get(&list("&kind=nonsense")).await.body).len(), 4);
    let overview = rig.get("/inspector").await.unslashed();
    assert!(overview.contains("By kind") && overview.contains("/inspector/names?kind=value"));

    let value = rig.page(&rig.cache.values().key(EVIL)).await.body;
    let shown = |text: &str| format!("<pre tabindex=\"0\">{text}");
    assert!(value.contains(&shown("&lt;script&gt;alert(1)&lt;")), "{value}");
    assert!(value.contains("more</small>") && value.contains("Delete this value"), "{value}");
    let number = rig.page(&rig.cache.values().key("number")).await.body;
    assert!(!number.contains("<pre"), "no text, so its bytes are counted and that is all");
    let function = rig.page(&find.key().unwrap().bare()).await.body;
    assert_eq!(function.matches("<pre").count(), 1, "{function}");
    assert!(function.contains(&shown("&lt;script&gt;")) && function.contains("2 runs"));
    assert!(!(value + &number + &function + &overview).contains("<script"));
}

#[tokio::test]
async fn a_response_is_shown_and_made_again_once_it_is_deleted() {
    let cache = FragmentCache::builder().stats_by_name(10).build().unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let handler = {
        let made = Arc::clone(&made);
        move || async move { format!("response {}", made.fetch_add(1, Ordering::Relaxed) + 1) }
    };
    let film = CacheLayer::new(&cache, "film").expires_after(Duration::from_secs(60));
    let app = mounted(Inspector::new("shop", cache.clone()))
        .route("/film/{id}", get(handler).layer(film));
    let ask = async |path: &str| {
        let request = Request::get(path).header(STAFF, "yes").body(Body::empty()).unwrap();
        send(&app, request).await
    };
    for path in ["/film/7", "/film/7", "/film/8?q=%3Cb%3E"] {
        ask(path).await;
    }
    let page = format!("/inspector/name?key={}", view_key("film", "").bare().to_hex());
    let got = ask(&page).await;
    let body = got.unslashed();
    for text in
        ["<small>view</small>", "1 served, 2 missed", "film(/film/7", "2 responses", "of this view"]
    {
        assert!(body.contains(text), "{text} in {body}");
    }
    assert!(!body.contains("<pre") && !body.contains("<b>"), "its bytes are counted");

    let fields = [("token", &*got.field("token")), ("key", &*view_key("film", "").bare().to_hex())];
    let pressed = send(&app, form("/inspector/delete-name", &got.cookie(), &fields)).await;
    assert_eq!(pressed.status, StatusCode::SEE_OTHER);
    assert_eq!(ask("/film/7").await.body, "response 3");
    assert_eq!(made.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn the_store_is_shown_where_there_is_one() {
    let cache = FragmentCache::builder().far(FarLevel::new(MemoryStore::new())).stats_by_name(10);
    let app = mounted(Inspector::new("shop", cache.build().unwrap()));
    let request = Request::get("/inspector").header(STAFF, "yes").body(Body::empty()).unwrap();
    let body = send(&app, request).await.body;
    assert!(body.contains("<h2>The store</h2>") && body.contains("reachable"), "{body}");
}

#[tokio::test]
async fn it_stands_at_the_root_too() {
    let cache = FragmentCache::builder().stats_by_name(10).build().unwrap();
    cache.render(fragcache::Fragment::new(fragment_key!("row")), || "").unwrap();
    let app: Router = Inspector::new("shop", cache).guard(|_| true).into_router();
    let request = Request::get("/").body(Body::empty()).unwrap();
    let got = send(&app, request).await;
    assert_eq!(got.status, StatusCode::OK);
    let body = got.unslashed();
    assert!(body.contains("href=\"/style.css\"") && body.contains("href=\"/name?key="));
    assert!(got.header("set-cookie").contains("; Path=/;"));
}
