//! Many concurrent requests in random order: a page never shows a price older than a
//! change that was complete before its request began.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Barrier;
use tokio::task::{JoinSet, spawn_blocking, yield_now};

use super::{By, PAGES, PRODUCTS, Shop, runtime};
use crate::support::Kind;

const ROUNDS: u64 = 60;
const REQUESTS: u64 = 24;

/// A simple pseudorandom generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

async fn request(shop: Arc<Shop>, start: Arc<Barrier>, mut random: Random) {
    let id = random.below(PRODUCTS);
    start.wait().await;
    for _ in 0..random.below(3) {
        yield_now().await;
    }
    if random.below(4) == 0 {
        return spawn_blocking(move || shop.raise(id)).await.unwrap();
    }
    let page = PAGES[random.below(PAGES.len())];
    let by = [By::Scope, By::Token][random.below(2)];
    let settled = shop.settled[id].load(Ordering::SeqCst);
    let point = shop.cache.read_point();
    let price = shop.price(id);
    for _ in 0..random.below(4) {
        yield_now().await;
    }
    let shown = spawn_blocking({
        let shop = Arc::clone(&shop);
        move || shop.render(page, id, price, point, by)
    });
    let shown = shown.await.unwrap();
    assert!(shown >= settled, "{page} {id} shows {shown}, and {settled} was settled before");
    assert!(shown <= shop.price(id), "{page} {id} shows {shown}, which was never a price");
}

async fn all(kind: Kind, seed: u64) -> u64 {
    let shop = Shop::open(kind);
    for round in 0..ROUNDS {
        let start = Arc::new(Barrier::new(usize::try_from(REQUESTS).unwrap()));
        let mut requests = JoinSet::new();
        for number in 0..REQUESTS {
            let random = Random(seed ^ (round << 32 | number << 8));
            requests.spawn(request(Arc::clone(&shop), Arc::clone(&start), random));
        }
        while let Some(request) = requests.join_next().await {
            request.unwrap();
        }
        // All changes are complete: only current prices are stored and served.
        for id in 0..PRODUCTS {
            let price = shop.price(id);
            for page in PAGES {
                let stored = shop.stored(page, id);
                assert!(stored.is_none_or(|stored| stored == price), "{kind} {page}: {stored:?}");
                let shown = {
                    let shop = Arc::clone(&shop);
                    spawn_blocking(move || shop.request(page, id)).await.unwrap()
                };
                assert_eq!(shown, price, "{kind} {page} in round {round}");
                assert_eq!(shop.stored(page, id), Some(price), "{kind} {page}");
            }
        }
        assert_eq!(shop.cache.stats().flights, 0, "{kind}");
    }
    (0..PRODUCTS).map(|id| shop.price(id)).sum()
}

#[test]
fn no_page_is_older_than_a_change_that_was_over_before_it_was_asked_for() {
    let runtime = runtime();
    for kind in Kind::BOTH {
        for seed in [1, 0x9e37_79b9_7f4a_7c15] {
            let changes = runtime.block_on(all(kind, seed));
            assert!(changes > ROUNDS, "{kind}: only {changes} changes");
        }
    }
}
