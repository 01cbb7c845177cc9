//! Concurrent renders.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tera::{Context, Kwargs, State};

use crate::support::Site;

#[test]
fn sixteen_threads_render_a_cold_body_once() {
    let mut site = Site::new();
    // The body returns only after all sixteen threads have arrived.
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    site.tera.register_function("slow", |_: Kwargs, _: &State| {
        while ARRIVED.load(Ordering::Relaxed) < 16 {
            thread::yield_now();
        }
        "done"
    });
    site.add("a.html", "{% cache 300, \"k\" %}{{ tick() }}{{ slow() }}{% endcache %}");
    let start = Barrier::new(16);
    thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| {
                start.wait();
                ARRIVED.fetch_add(1, Ordering::Relaxed);
                assert_eq!(site.render("a.html", &Context::new()), "done");
            });
        }
    });
    let stats = site.cache.stats();
    assert_eq!((site.ticks(), stats.stores, stats.flights), (1, 1, 0));
    assert_eq!(stats.waits + stats.hits, 15);
}

#[test]
fn bare_renders_share_a_render_too() {
    let mut site = Site::new();
    site.add("a.html", "{% cache 300, \"k\" %}{{ tick() }}x{% endcache %}");
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(site.tera.render("a.html", &Context::new()).unwrap(), "x");
                }
            });
        }
    });
    assert_eq!(site.ticks(), 1);
}
