//! Requests of an async server: data is read before the page is rendered, on another
//! thread, and may be changed by other requests in between. Read points prevent data
//! read before a change from being stored after it.

mod many;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragcache::{FragmentCache, FragmentKey, ReadPoint, fragment_key};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::support::{Engine, Kind, cache_with};

/// Pages that show a price. Its tag is declared, added by the body, or belongs only to an inner
/// fragment.
const PAGES: [&str; 3] = ["price.html", "late.html", "page.html"];
const PRODUCTS: usize = 2;

/// A shop with products whose prices only rise.
struct Shop {
    engine: Box<dyn Engine>,
    cache: FragmentCache,
    prices: [AtomicU64; PRODUCTS],
    /// The latest price of each product whose change is complete.
    settled: [AtomicU64; PRODUCTS],
}

/// How a request passes on its read point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Scope,
    Token,
    /// It does not.
    Nothing,
}

impl Shop {
    fn open(kind: Kind) -> Arc<Self> {
        let (cache, _clock) = cache_with(|builder| builder.wait_limit(Duration::from_secs(60)));
        let mut engine = kind.with_cache(&cache);
        let templates = [
            (
                "price.html",
                "{% cache 300, \"price\", id, tags=[\"product:\" ~ id] %}\
                 {{ tick(name=\"body\") }}{{ price }}{% endcache %}",
            ),
            (
                "late.html",
                "{% cache 300, \"late\", id %}{{ tick(name=\"body\") }}{{ price }}\
                 {{ cache_tags(tags=[\"product:\" ~ id]) }}{% endcache %}",
            ),
            (
                "page.html",
                "{% cache 300, \"page\", id %}{% include \"price.html\" %}{% endcache %}",
            ),
        ];
        let owned = templates.map(|(name, source)| (name.to_owned(), source.to_owned()));
        engine.load(&owned.into()).unwrap();
        let prices = || std::array::from_fn(|_| AtomicU64::new(1));
        Arc::new(Self { engine, cache, prices: prices(), settled: prices() })
    }

    /// The price in the database.
    fn price(&self, id: usize) -> u64 {
        self.prices[id].load(Ordering::SeqCst)
    }

    /// Raises a price, and invalidates the pages that show it after the commit.
    fn raise(&self, id: usize) {
        let mut batch = self.cache.batch();
        batch.invalidate_tags([format!("product:{id}")]).unwrap();
        let price = self.prices[id].fetch_add(1, Ordering::SeqCst) + 1;
        batch.apply().eventually();
        self.settled[id].fetch_max(price, Ordering::SeqCst);
    }

    /// Renders a page with a price that was read at `point`. Returns the price on the page.
    fn render(&self, page: &str, id: usize, price: u64, point: ReadPoint, by: By) -> u64 {
        let mut context = json!({ "id": id, "price": price });
        if by == By::Token {
            context["fragcache_read_point"] = point.to_token().into();
        }
        let render = || self.engine.render(page, &context).unwrap();
        let html = if by == By::Scope { point.scope(render) } else { render() };
        html.parse().unwrap()
    }

    /// A request that reads and renders now.
    fn request(&self, page: &str, id: usize) -> u64 {
        let point = self.cache.read_point();
        self.render(page, id, self.price(id), point, By::Scope)
    }

    /// What is stored of a page.
    fn stored(&self, page: &str, id: usize) -> Option<u64> {
        let name = page.trim_end_matches(".html");
        let key: FragmentKey = fragment_key!(name, id);
        self.cache.get(&key).unwrap().map(|html| html.parse().unwrap())
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(4).max_blocking_threads(8).build().unwrap()
}

/// Request A reads; request B raises the price and renders, before or after A renders; then other
/// requests follow.
async fn interleave(shop: Arc<Shop>, page: &'static str, by: By, late: bool) -> (u64, u64) {
    let (read, has_read) = oneshot::channel();
    let (changed, has_changed) = oneshot::channel();
    let (printed, has_printed) = oneshot::channel();
    let shop_of_a = Arc::clone(&shop);
    let a = tokio::spawn(async move {
        let shop = shop_of_a;
        let point = shop.cache.read_point();
        let price = shop.price(0);
        read.send(()).unwrap();
        has_changed.await.unwrap();
        let page = spawn_blocking(move || shop.render(page, 0, price, point, by)).await.unwrap();
        let _ = printed.send(());
        page
    });
    let b = tokio::spawn(async move {
        has_read.await.unwrap();
        shop.raise(0);
        if late {
            changed.send(()).unwrap();
            has_printed.await.unwrap();
            if by != By::Nothing {
                assert_eq!(shop.stored(page, 0), None, "{page}: stored by A");
            }
            return spawn_blocking(move || shop.request(page, 0)).await.unwrap();
        }
        let price = spawn_blocking(move || shop.request(page, 0)).await.unwrap();
        changed.send(()).unwrap();
        price
    });
    (a.await.unwrap(), b.await.unwrap())
}

#[test]
fn a_request_that_read_before_a_change_prints_its_own_data_and_stores_nothing() {
    let runtime = runtime();
    for kind in Kind::BOTH {
        for page in PAGES {
            for (by, warm) in [(By::Scope, false), (By::Token, false), (By::Scope, true)] {
                let shop = Shop::open(kind);
                if warm {
                    assert_eq!(shop.request(page, 0), 1);
                }
                let (a, b) = runtime.block_on(interleave(Arc::clone(&shop), page, by, true));
                assert_eq!((a, b), (1, 2), "{kind} {page} {by:?}");
                assert_eq!(shop.stored(page, 0), Some(2), "{kind} {page} {by:?}");
                assert_eq!(shop.request(page, 0), 2);
                assert_eq!(shop.cache.stats().flights, 0);
            }
        }
    }
}

#[test]
fn a_request_from_before_a_change_gets_newer_bodies() {
    let runtime = runtime();
    for kind in Kind::BOTH {
        for page in PAGES {
            for by in [By::Scope, By::Token, By::Nothing] {
                let shop = Shop::open(kind);
                let (a, b) = runtime.block_on(interleave(Arc::clone(&shop), page, by, false));
                assert_eq!((a, b), (2, 2), "{kind} {page} {by:?}");
                assert_eq!(shop.stored(page, 0), Some(2), "{kind} {page} {by:?}");
            }
        }
    }
}

#[test]
fn without_a_read_point_the_old_data_would_be_stored() {
    let runtime = runtime();
    for kind in Kind::BOTH {
        for page in PAGES {
            let shop = Shop::open(kind);
            let pages = runtime.block_on(interleave(shop, page, By::Nothing, true));
            assert_eq!(pages, (1, 1), "{kind} {page}: the tests above would notice");
        }
    }
}
