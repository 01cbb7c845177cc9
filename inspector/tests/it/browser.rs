//! The inspector in Chromium with scripts disabled: open, search, delete, and see
//! the fragment rendered again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use fragcache::{Fragment, FragmentCache, fragment_key};
use fragcache_inspector::Inspector;
use fragcache_servers::Browser;
use tokio::net::TcpListener;

/// A site whose page shows how often its sidebar was rendered, with its inspector.
/// Returns its address.
async fn site(cache: FragmentCache) -> String {
    let inspector = guarded(Inspector::new("shop", cache.clone()));
    let renders = Arc::new(AtomicUsize::new(0));
    let page = move || async move {
        let sidebar = Fragment::new(fragment_key!("<b>sidebar", 42)).tags(["nav"]);
        let body = || format!("render {}", renders.fetch_add(1, Ordering::SeqCst) + 1);
        Html(cache.render(&sidebar, body).unwrap().to_string())
    };
    listen(Router::new().route("/", get(page)).nest_service("/inspector", inspector)).await
}

/// Serves an inspector alone, under a path of a site. Returns the site's address.
pub(crate) async fn served(inspector: Inspector) -> String {
    listen(Router::new().nest_service("/inspector", guarded(inspector))).await
}

/// Admits requests to this machine's loopback address.
fn guarded(inspector: Inspector) -> Router {
    let guard = inspector.guard(|request| {
        request.headers.get("host").is_some_and(|host| host.as_bytes().starts_with(b"127."))
    });
    guard.into_router()
}

async fn listen(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// Writes a screenshot if `FRAGCACHE_PICTURES` names a folder.
pub(crate) fn picture(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("FRAGCACHE_PICTURES") {
        let folder = PathBuf::from(folder);
        browser.picture(&folder.join(format!("{name}.png")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fragment_is_found_deleted_and_rendered_again() {
    let cache = FragmentCache::builder().stats_by_name(100).build().unwrap();
    for number in 0..40 {
        let row = Fragment::new(fragment_key!("row", number));
        cache.render(&row, || "x".repeat(number * 10)).unwrap();
    }
    let site = site(cache.clone()).await;
    tokio::task::spawn_blocking(move || walk(&site)).await.unwrap();
    assert_eq!(cache.stats_by_name().unwrap().others.lookups(), 0);
}

fn walk(site: &str) {
    let mut browser = Browser::start();
    let sidebar = |browser: &mut Browser| {
        browser.open(site);
        browser.text()
    };
    assert_eq!(sidebar(&mut browser), "render 1");
    assert_eq!(sidebar(&mut browser), "render 1");

    browser.open(&format!("{site}/inspector"));
    let text = browser.text();
    assert!(text.contains("Numbers of this process"), "{text}");
    assert!(browser.requests().iter().all(|url| url.starts_with(site)), "{:?}", browser.requests());
    assert_eq!(browser.evaluate("document.styleSheets.length"), 1);
    picture(&mut browser, "walk-overview");

    browser.write("#q", "SIDEBAR");
    browser.enter();
    let found = browser.evaluate("document.querySelectorAll('.names tbody tr').length");
    assert_eq!(found, 1, "{}", browser.text());
    browser.click(".names tbody th a");
    assert!(browser.text().contains("\"<b>sidebar\"(42)"), "{}", browser.text());
    assert_eq!(browser.evaluate("document.querySelectorAll('main b').length"), 0);
    picture(&mut browser, "walk-fragment");

    browser.click("#entries button.delete");
    let text = browser.text();
    assert!(text.contains("Deleted. The next request renders it again."), "{text}");
    assert!(text.contains("Nothing is in memory."), "{text}");
    picture(&mut browser, "walk-deleted");
    let deleted = browser.address();
    assert_eq!(sidebar(&mut browser), "render 2");

    browser.open(&deleted);
    browser.click("#tags .tags button");
    assert!(browser.text().contains("Invalidated."), "{}", browser.text());
    assert_eq!(sidebar(&mut browser), "render 3");

    browser.open(&deleted);
    browser.write("#tag", "nav");
    browser.enter();
    assert_eq!(sidebar(&mut browser), "render 4");

    browser.open(&deleted);
    browser.click("#delete-name");
    assert!(browser.text().contains("All entries were deleted"), "{}", browser.text());
    assert_eq!(sidebar(&mut browser), "render 5");

    // On a phone, pages scroll down but not sideways.
    browser.window(360, 740, true);
    for page in ["", "/names", &deleted[site.len() + "/inspector".len()..]] {
        browser.open(&format!("{site}/inspector{page}"));
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64().is_some_and(|wide| wide <= 360), "{page} is {wide} wide");
    }
}
