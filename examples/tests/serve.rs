//! The site as a visitor sees it, in both engines: pages, changes, mistakes, and a rush.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION};
use axum::http::{Request, StatusCode};
use fragcache::events::MissReason;
use fragcache::{Clock as _, MonotonicClock};
use fragcache::{FragmentCache, fragment_key};
use fragcache_examples::site::{Shop, app, serve};
use fragcache_examples::{Database, Engine, Log, ManualClock, Page, Views, change_price};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

fn site(engine: Engine) -> (Arc<Shop>, FragmentCache, Router) {
    let (shop, cache, app, _) = site_with_log(engine);
    (shop, cache, app)
}

fn site_with_log(engine: Engine) -> (Arc<Shop>, FragmentCache, Router, Log) {
    let log = Log::default();
    // Longer than any test machine may stall, so that no follower gives up on its leader.
    let builder = FragmentCache::builder().wait_limit(Duration::from_secs(60));
    let cache = builder.observer(log.clone()).build().unwrap();
    let shop = Arc::new(Shop::open(engine, cache.clone(), Database::seeded().unwrap()).unwrap());
    (Arc::clone(&shop), cache, app(shop), log)
}

/// Key and template of the fragments rendered since the last call, sorted.
fn rendered(log: &Log) -> Vec<String> {
    let fragments = log.take().into_iter();
    let mut keys: Vec<_> = fragments
        .map(|fragment| {
            let template = fragment.template.replace("components.html", "macros.html");
            format!("{} in {template}", fragment.key)
        })
        .collect();
    keys.sort();
    keys
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(app: &Router, path: &str) -> (StatusCode, String) {
    send(app, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn page(app: &Router, path: &str) -> String {
    let (status, body) = get(app, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

fn form(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.into())
        .unwrap()
}

/// The token in a page's form.
fn token(page: &str) -> &str {
    page.split(r#"name="token" value=""#).nth(1).unwrap().split('"').next().unwrap()
}

/// Sends the form of a film's page.
async fn set_price(app: &Router, film: u32, price: &str) -> (StatusCode, String) {
    let page = page(app, &format!("/product/{film}")).await;
    let fields = format!("price={price}&token={}", token(&page));
    send(app, form(&format!("/product/{film}/price"), fields)).await
}

/// The lines of two pages that differ.
fn changes<'p>(before: &'p str, after: &'p str) -> Vec<(&'p str, &'p str)> {
    assert_eq!(before.lines().count(), after.lines().count());
    before.lines().zip(after.lines()).filter(|(before, after)| before != after).collect()
}

#[tokio::test]
async fn a_new_price_shows_on_that_product_and_nowhere_else() {
    for engine in Engine::ALL {
        let (_, _, app) = site(engine);
        let paths = ["/", "/product/4", "/product/5", "/search?q=dancer", "/orders/1/receipt.txt"];
        let mut before = Vec::new();
        for path in paths {
            before.push(page(&app, path).await);
        }
        let (status, _) = set_price(&app, 4, "12.34").await;
        assert_eq!(status, StatusCode::SEE_OTHER);

        for (path, before) in paths.into_iter().zip(&before) {
            let after = page(&app, path).await;
            let changed = changes(before, &after);
            if ["/product/5", "/orders/1/receipt.txt"].contains(&path) {
                assert_eq!(changed, [], "{engine} {path}");
            } else {
                let [(old, new)] = changed[..] else { panic!("{engine} {path}: {changed:?}") };
                assert!(old.contains("7.49 €") && new.contains("12.34 €"), "{old} {new}");
            }
        }
    }
}

#[tokio::test]
async fn a_price_change_renders_only_fragments_with_the_price() {
    for engine in Engine::ALL {
        let (shop, _, app, log) = site_with_log(engine);
        let paths = ["/", "/product/4", "/product/5", "/search?q=dancer", "/search?q=haneke"];
        for path in paths {
            page(&app, path).await;
        }
        let visit_all = async || {
            log.take();
            for path in paths {
                page(&app, path).await;
            }
            rendered(&log)
        };
        assert_eq!(visit_all().await, [""; 0], "{engine}");

        set_price(&app, 4, "12.34").await;
        let shows_it = [
            "grid in home.html",
            "product(4) in macros.html",
            "product(4) in product.html",
            "search(dancer) in search.html",
        ];
        assert_eq!(visit_all().await, shows_it, "{engine}");
        assert_eq!(visit_all().await, [""; 0], "{engine}");

        // A transaction that fails changes nothing, and nothing is rendered again.
        shop.database().execute("ALTER TABLE price_changes RENAME TO gone", []).unwrap();
        let (status, _) = set_price(&app, 4, "99.99").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(visit_all().await, [""; 0], "{engine}");
        assert!(page(&app, "/product/4").await.contains("12.34 €"));
    }
}

#[tokio::test]
async fn a_form_is_personal_and_the_page_is_cached() {
    for engine in Engine::ALL {
        let (_, _, app, log) = site_with_log(engine);
        let as_user = |user: u32| {
            let request = Request::get("/product/4").header(COOKIE, format!("user={user}"));
            request.body(Body::empty()).unwrap()
        };
        let (_, first) = send(&app, as_user(1)).await;
        log.take();
        let (_, third) = send(&app, as_user(3)).await;
        assert_ne!(token(&first), token(&third));
        let seen = rendered(&log);
        let sidebars = |key: &String| key.starts_with("sidebar(3)") || key.starts_with("order(");
        assert!(seen.iter().all(sidebars), "{engine}: {seen:?}");

        let stolen = form("/product/4/price", format!("price=1&token={}", token(&third)));
        let (status, body) = send(&app, stolen).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.contains("not from a page of yours"), "{body}");
        assert!(page(&app, "/product/4").await.contains("7.49 €"));
    }
}

/// The film is read, its price changes, and only then is the page rendered.
#[test]
fn a_page_of_data_that_has_changed_since_is_printed_and_not_stored() {
    for engine in Engine::ALL {
        let (log, database) = (Log::default(), Arc::new(Database::seeded().unwrap()));
        let cache = FragmentCache::builder().observer(log.clone()).build().unwrap();
        let views = Views::load(engine, &database, &cache).unwrap();
        let read = || {
            let read_point = cache.read_point();
            let film = database.product(4).unwrap().unwrap();
            Page::Product { user: 1, film, read_point }
        };
        let before = read();
        change_price(&database, &cache, 4, 1234).unwrap();
        assert!(views.render(&before).unwrap().contains("7.49 €"), "as it was read");
        let key = fragment_key!("product", 4);
        assert!(!cache.contains(&key).unwrap(), "{engine}: printed, and not stored");
        log.take();

        assert!(views.render(&read()).unwrap().contains("12.34 €"));
        assert_eq!(rendered(&log), ["product(4) in product.html"], "{engine}");
        assert!(cache.contains(&key).unwrap());
        views.render(&read()).unwrap();
        assert_eq!(rendered(&log), [""; 0], "{engine}");
    }
}

#[tokio::test]
async fn an_unpublished_change_shows_where_versions_are_compared() {
    for engine in Engine::ALL {
        let (shop, _, app, log) = site_with_log(engine);
        let (_, home) = (page(&app, "/product/4").await, page(&app, "/").await);
        let import = "UPDATE products SET price_cents = 1, revision = revision + 1 WHERE id = 4";
        shop.database().execute(import, []).unwrap();
        log.take();
        assert!(page(&app, "/product/4").await.contains("0.01 €"));
        let [ref only] = log.take()[..] else { panic!("{engine}: more was rendered") };
        assert_eq!(only.reason, MissReason::Version);
        assert_eq!(page(&app, "/").await, home, "the grid expires after ten minutes");
    }
}

#[test]
fn an_expired_search_is_served_while_the_database_is_down() {
    for engine in Engine::ALL {
        let (clock, database) = (ManualClock::default(), Arc::new(Database::seeded().unwrap()));
        let cache = FragmentCache::builder().clock(clock.clone()).build().unwrap();
        let views = Views::load(engine, &database, &cache).unwrap();
        let search = || views.render(&Page::Search { user: 1, query: "dancer".to_owned() });
        let fresh = search().unwrap();
        clock.advance(61);
        database.execute("ALTER TABLE products RENAME TO gone", []).unwrap();
        // The caller that tries the refresh gets the error; the others are served
        // stale for a while.
        assert!(search().unwrap_err().to_string().contains("no such table"));
        assert_eq!(search().unwrap(), fresh);
        assert_eq!(cache.stats().stale, 1);
        // After 30 seconds the fragment is too old.
        clock.advance(30);
        assert!(search().is_err());
        database.execute("ALTER TABLE gone RENAME TO products", []).unwrap();
        assert_eq!(search().unwrap(), fresh);
    }
}

#[tokio::test]
async fn the_page_of_numbers_counts_every_reason() {
    for engine in Engine::ALL {
        let (_, cache, app) = site(engine);
        set_price(&app, 4, "12.34").await;
        let page = page(&app, "/stats").await;
        for (reason, _) in cache.stats().misses.iter() {
            let name = reason.as_str().replace('_', " ");
            assert!(page.contains(&format!("<th>Fragments rendered: {name}</th>")), "{name}");
        }
        assert!(page.contains("<th>Tags invalidated</th><td>1</td>"), "{page}");
    }
}

#[tokio::test]
async fn a_second_visit_asks_the_database_nothing() {
    for engine in Engine::ALL {
        let (shop, _, app) = site(engine);
        let first = page(&app, "/").await;
        let queries = shop.database().queries();
        assert!(queries > 1000, "{queries}");
        assert_eq!(page(&app, "/").await, first);
        assert_eq!(shop.database().queries(), queries);
    }
}

#[tokio::test]
async fn users_see_their_own_sidebar_and_a_new_name_at_once() {
    for engine in Engine::ALL {
        let (_, _, app) = site(engine);
        let as_user = |request: Request<Body>, user: &str| {
            let (mut parts, body) = request.into_parts();
            parts.headers.insert(COOKIE, format!("theme=dark; user={user}").parse().unwrap());
            Request::from_parts(parts, body)
        };
        let home = || Request::get("/").body(Body::empty()).unwrap();
        let first = page(&app, "/").await;
        let (_, third) = send(&app, as_user(home(), "3")).await;
        assert!(first.contains("<h2>Ada Lovelace</h2>"));
        assert!(third.contains("<h2>Grace &amp; Co</h2>"), "{third}");

        let rename = form("/account", "name=%3Cb%3EGrace");
        let (status, saved) = send(&app, as_user(rename, "3")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(saved.contains("<h2>&lt;b&gt;Grace</h2>"), "{saved}");
        let (_, third) = send(&app, as_user(home(), "3")).await;
        assert!(third.contains("<h2>&lt;b&gt;Grace</h2>"));
        assert!(page(&app, "/").await.contains("&lt;b&gt;Grace</option>"), "others list it too");

        let switched = app.clone().oneshot(form("/user", "user=2")).await.unwrap();
        assert_eq!(switched.headers()[LOCATION], "/");
        // A number without a user shows the first user's page.
        let (status, stranger) = send(&app, as_user(home(), "99")).await;
        assert_eq!(status, StatusCode::OK);
        assert!(stranger.contains("<h2>Ada Lovelace</h2>"));
    }
}

#[tokio::test]
async fn the_receipt_is_plain_text_and_the_page_is_markup() {
    for engine in Engine::ALL {
        let (shop, cache, app) = site(engine);
        let sold = "SELECT order_id, user_id FROM order_lines JOIN orders ON orders.id = order_id
                    JOIN products ON products.id = product_id WHERE products.name LIKE '%&%' LIMIT 1";
        let rows = shop.database().rows(sold, []).unwrap();
        let number = |name: &str| match &rows[0][name] {
            fragcache_examples::Cell::Int(number) => *number,
            other => panic!("{other:?}"),
        };
        let (order, user) = (number("order_id"), number("user_id"));
        // In either order: the fragment stored by one page must not be served to the other.
        for receipt_first in [true, false] {
            cache.clear().eventually();
            let receipt = format!("/orders/{order}/receipt.txt");
            let home = || {
                let request = Request::get("/stats").header(COOKIE, format!("user={user}"));
                request.body(Body::empty()).unwrap()
            };
            let (text, html) = if receipt_first {
                let text = page(&app, &receipt).await;
                (text, send(&app, home()).await.1)
            } else {
                let html = send(&app, home()).await.1;
                (page(&app, &receipt).await, html)
            };
            assert!(text.contains(" & ") && !text.contains("&amp;"), "{text}");
            let pre = html.split("<pre>").skip(1).map(|rest| rest.split("</pre>").next().unwrap());
            let lines: Vec<&str> = pre.flat_map(str::lines).collect();
            assert!(lines.iter().any(|line| line.contains(" &amp; ")), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn mistakes_are_reported_and_nothing_breaks() {
    for engine in Engine::ALL {
        let (shop, cache, app) = site(engine);
        for path in ["/product/9999", "/product/-1", "/orders/9999/receipt.txt", "/nowhere"] {
            let (status, body) = get(&app, path).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert!(body.contains("there is no"), "{body}");
        }
        let (status, body) = set_price(&app, 4, "free").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.contains("7.49"), "{body}");

        let html = page(&app, "/search?q=%3Cscript%3E--%3E&q2=1").await;
        assert!(html.contains("0 found for “&lt;script&gt;--&gt;”"), "{html}");
        assert!(page(&app, "/search").await.contains("60 found"));

        shop.database().execute("ALTER TABLE orders RENAME TO gone", []).unwrap();
        assert!(page(&app, "/search").await.contains("60 found"), "what is stored is served");
        cache.clear().eventually();
        let (status, body) = get(&app, "/stats").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("no such table") && body.contains("sidebar.html"), "{body}");
        shop.database().execute("ALTER TABLE gone RENAME TO orders", []).unwrap();
        assert!(page(&app, "/stats").await.contains("Renders that failed"));
    }
}

/// 64 concurrent visitors on two workers while the database does not answer: the
/// site stays responsive, and one of them renders for all.
#[test]
fn a_rush_on_a_slow_cold_fragment_renders_it_once_and_leaves_the_site_awake() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for engine in Engine::ALL {
        let (alone, _, app) = site(engine);
        let expected = runtime.block_on(page(&app, "/search?q=dancer"));
        let queries_of_one = alone.database().queries();

        let (shop, cache, app) = site(engine);
        let hold = rusqlite::Connection::open(shop.database().path()).unwrap();
        hold.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let pages = runtime.block_on(async {
            let visit = |app: Router| async move { page(&app, "/search?q=dancer").await };
            let visits: Vec<_> = (0..64).map(|_| tokio::spawn(visit(app.clone()))).collect();
            let clock = MonotonicClock::default();
            while shop.rendering() < 64 {
                assert!(clock.now() < Duration::from_secs(30), "only {}", shop.rendering());
                tokio::task::yield_now().await;
            }
            let health = tokio::spawn({
                let app = app.clone();
                async move { page(&app, "/health").await }
            });
            let health = tokio::time::timeout(Duration::from_secs(5), health);
            assert_eq!(health.await.unwrap().unwrap(), "ok", "while all 64 are held up");
            assert_eq!(shop.rendering(), 64, "and they still are");
            hold.execute_batch("COMMIT").unwrap();

            let mut pages = Vec::new();
            for visit in visits {
                pages.push(visit.await.unwrap());
            }
            pages
        });
        assert!(pages.iter().all(|page| *page == expected));
        assert_eq!(shop.database().queries(), queries_of_one, "{engine}: {:?}", cache.stats());
        assert!(cache.stats().waits > 0);
    }
}

#[tokio::test]
async fn it_listens() {
    let (shop, _, _) = site(Engine::MiniJinja);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, shop));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /stats HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("<th>SQL statements run</th><td>"), "{answer}");
    server.abort();
}
