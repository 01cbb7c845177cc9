//! W2, a page of 100 fragments, on a Redis server: with and without a near level,
//! prefetched and not, compared with the same page in process and with one MGET of
//! its entries. `servers/install` fetches the servers.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the table is what this program is for"
)]

use std::sync::Mutex;
use std::time::Duration;

use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
use fragcache_benches::pages::{Engine, Form, Kind, ROWS, Render, page, page_of};
use fragcache_benches::sampling::{SAMPLES, Series, alternate};
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer};

const CACHED: Form<'_> = Form::Cached("300");
const PREFETCHED: Form<'_> = Form::Prefetched("300");

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(url) = words.iter().find(|word| word.contains("://")) {
        return times(url);
    }
    let server = RedisServer::start(Flavour::Redis);
    let url = server.url();
    println!("medians of {SAMPLES} (min–max); µs of W2, all hits, on Redis by TCP\n");
    println!("| page | round trips | µs | beside | µs | ratio | goal | |");
    println!("|---|---|---|---|---|---|---|---|");
    for engine in [Engine::MiniJinja, Engine::Tera] {
        pages(engine, &url);
    }
    println!("\nmedians of {SAMPLES} (min–max); ns of a near hit, from Rust\n");
    println!("| near only | with a store behind it, bounded | ratio |");
    println!("|---|---|---|");
    let [near, bounded] =
        [FragmentCache::in_memory(), cache(&url, "hit", |level| level.near_ttl(LONG))].map(hit);
    let [near, bounded] = alternate([&near, &bounded]);
    println!(
        "| {:.0} | {:.0} | {:.2} |",
        near.figure(),
        bounded.figure(),
        bounded.ratio(&near).figure()
    );
}

/// Prints the pages' times on the server at `url`, for the peers' script: name,
/// round trips and median nanoseconds, separated by tabs.
fn times(url: &str) {
    for engine in [Engine::MiniJinja, Engine::Tera] {
        let prefix = format!("times-{engine:?}");
        let bounded = cache(url, &prefix, |level| level.near_ttl(LONG));
        let strict = cache(url, &prefix, |level| level);
        let cold = cache(url, &prefix, FarLevel::without_near);
        for (what, cache, form) in [
            ("no near level", &cold, CACHED),
            ("no near level, prefetched", &cold, PREFETCHED),
            ("near level, strict, prefetched", &strict, PREFETCHED),
            ("near level, bounded", &bounded, CACHED),
        ] {
            let render = page_of(cache.clone(), engine, Kind::W2, form);
            let trips = round_trips(cache, &render);
            let [times] = alternate([&render]);
            println!("{engine:?}, {what}\t{trips}\t{:.0}", times.figure().median);
        }
    }
}

/// Round trips of one page: the minimum of several runs, since the background worker makes one per
/// second.
fn round_trips(cache: &FragmentCache, render: &Render) -> u64 {
    let trips = (0..5).map(|_| {
        let before = cache.health().round_trips;
        render();
        cache.health().round_trips - before
    });
    trips.min().unwrap_or_default()
}

/// Longer than the bench.
const LONG: Duration = Duration::from_secs(3600);

fn cache(url: &str, prefix: &str, set: impl FnOnce(FarLevel) -> FarLevel) -> FragmentCache {
    let store = RedisOptions::new(url).operation_timeout(Duration::from_secs(5)).open().unwrap();
    let level = set(FarLevel::new(store).prefix(prefix));
    FragmentCache::builder().far(level).build().unwrap()
}

fn hit(cache: FragmentCache) -> Render {
    let fragment = Fragment::new(fragment_key!("row", 7));
    Box::new(move || cache.render(&fragment, || "<li>").unwrap().len())
}

fn pages(engine: Engine, url: &str) {
    let w2 = |cache: &FragmentCache, form| page_of(cache.clone(), engine, Kind::W2, form);
    let prefix = format!("{engine:?}");
    let cache = |set: fn(FarLevel) -> FarLevel| cache(url, &prefix, set);
    // A prefetched page has the same entries in the store, unless the source of its blocks differs.
    let in_process = page(engine, Kind::W2, CACHED);

    let bounded = cache(|level| level.near_ttl(LONG));
    let warm = w2(&bounded, CACHED);
    row(engine, "near level, bounded", &bounded, &warm, ("in process", &in_process), Some(1.2));
    let warm = w2(&bounded, PREFETCHED);
    row(
        engine,
        "near level, bounded, prefetched",
        &bounded,
        &warm,
        ("in process", &in_process),
        None,
    );

    let entries = mget(url, &prefix);
    let beside = ("MGET of 100 values", &entries as &dyn Fn() -> usize);
    let cold = cache(FarLevel::without_near);
    row(engine, "no near level, prefetched", &cold, &w2(&cold, PREFETCHED), beside, Some(2.0));
    row(engine, "no near level", &cold, &w2(&cold, CACHED), beside, None);
    let strict = cache(|level| level);
    row(engine, "near level, strict, prefetched", &strict, &w2(&strict, PREFETCHED), beside, None);
    row(engine, "near level, strict", &strict, &w2(&strict, CACHED), beside, None);
}

/// One MGET of the page's entries, with the bare client.
fn mget(url: &str, prefix: &str) -> impl Fn() -> usize + use<> {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let pattern = format!("{prefix}:e:*");
    let mut keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap();
    keys.truncate(ROWS);
    assert_eq!(keys.len(), ROWS, "all entries are stored");
    let connection = Mutex::new(connection);
    move || {
        let mut connection = connection.lock().unwrap();
        let values: Vec<Option<Vec<u8>>> =
            redis::cmd("MGET").arg(&keys).query(&mut *connection).unwrap();
        values.iter().flatten().count()
    }
}

fn row(
    engine: Engine,
    what: &str,
    cache: &FragmentCache,
    render: &Render,
    (name, beside): (&str, &dyn Fn() -> usize),
    goal: Option<f64>,
) {
    let misses = cache.stats().misses.total();
    let trips = round_trips(cache, render);
    let [beside, ours] = alternate([beside, render]);
    assert_eq!(cache.stats().misses.total(), misses, "all are hits");
    let ratio: Series = ours.ratio(&beside);
    let ratio = ratio.figure();
    let micros = |ns: f64| ns / 1000.0;
    let (goal, met) = match goal {
        None => ("–".to_owned(), ""),
        Some(goal) => (goal.to_string(), if ratio.median <= goal { "met" } else { "not met" }),
    };
    println!(
        "| {engine:?}, {what} | {trips} | {:.0} | {name} | {:.0} | {ratio:.2} | {goal} | {met} |",
        ours.map(micros).figure(),
        beside.map(micros).figure(),
    );
}
