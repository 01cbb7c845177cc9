//! Memoized functions and values, compared with the crates that cache only these: `cached`, `moka`
//! and `quick_cache`. All are hits, a hundred keys in turn. `functions`, `texts` or `structs` after
//! `--` selects one part.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(clippy::expect_used, reason = "a bench has nobody to report to")]

use std::sync::Arc;
use std::time::Duration;

use cached::macros::cached;
use fragcache_benches::calls::{CALLS, Order, at_once, page, page_later, run, text, way};
use fragcache_benches::pages::Render;
use fragcache_benches::sampling::{SAMPLES, Series, alternate};

const TTL: Duration = Duration::from_secs(300);
const ROOM: u64 = 10_000;

fn main() {
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let is_asked = |part: &str| asked.is_empty() || asked.iter().any(|word| word == part);
    println!("medians of {SAMPLES} (min–max); ns per hit; ratios are medians over the pairs");
    if is_asked("functions") {
        functions();
    }
    if is_asked("texts") {
        texts();
    }
    if is_asked("structs") {
        structs();
    }
}

#[cached(max_size = 10_000, ttl = 300)]
fn cached_page(id: u32) -> String {
    text(id)
}

/// A hit of a function from `u32` to a text of 300 bytes.
fn functions() {
    let moka = moka_of(text);
    let quick = quick_cache::sync::Cache::<u32, String>::new(10_000);
    (0..CALLS).for_each(|id| quick.insert(id, text(id)));
    let ready: Vec<String> = (0..CALLS).map(text).collect();
    let [cloned, cached, moka, quick, sync, later] = timed(&[
        run(move |id| ready[id as usize].clone().len()),
        run(|id| cached_page(id).len()),
        run(move |id| moka.get_with(id, || text(id)).len()),
        run(move |id| {
            let page: Result<_, ()> = quick.get_or_insert_with(&id, || Ok(text(id)));
            page.map_or(0, |page| page.len())
        }),
        run(|id| page(id).len()),
        run(|id| at_once(page_later(id)).len()),
    ]);
    head("a function that returns a text of 300 bytes");
    row("a clone of the text", &cloned);
    row("`quick_cache`", &quick);
    row("`cached`, with size and TTL", &cached);
    row("`moka`, with size and TTL", &moka);
    row("`#[memoize]`", &sync);
    row("`#[memoize]`, asynchronous", &later);
    goal("`#[memoize]` / `cached`", &sync.ratio(&cached), 3.0);
    goal("`#[memoize]` / `moka`", &sync.ratio(&moka), 0.9);
    goal("asynchronous / synchronous", &later.ratio(&sync), 1.3);
}

/// A text of 300 bytes and a number, as values.
fn texts() {
    let [owned, number] = [moka_of(text), moka_of(|id| id.to_string())];
    let shared = moka_of(|id| Arc::new(text(id)));
    let [moka_owned, decoded, moka_shared, shared, moka_number, number] = timed(&[
        run(move |id| owned.get(&id).map_or(0, |text| text.len())),
        way("text"),
        run(move |id| shared.get(&id).map_or(0, |text| text.len())),
        way("text-shared"),
        run(move |id| number.get(&id).map_or(0, |text| text.len())),
        way("number"),
    ]);
    head("a value");
    row("`moka`, text of 300 bytes", &moka_owned);
    row("`get`, text of 300 bytes", &decoded);
    row("`moka`, `Arc` of the text", &moka_shared);
    row("`get_shared`, the text", &shared);
    row("`moka`, text of a number", &moka_number);
    row("`get`, number", &number);
    goal("`get_shared` / `moka`, `Arc`, text", &shared.ratio(&moka_shared), 1.0);
}

/// A struct of 8.6 KB.
fn structs() {
    let (shared, whole) = (moka_of(|id| Arc::new(Order::new(id))), moka_of(Order::new));
    let ready: Vec<Order> = (0..CALLS).map(Order::new).collect();
    let [cloned, moka_arc, moka_clone, decoded, shared, of_shared, memo] = timed(&[
        run(move |id| ready[id as usize].clone().len()),
        run(move |id| shared.get(&id).map_or(0, |order| order.len())),
        run(move |id| whole.get(&id).map_or(0, |order| order.len())),
        way("order"),
        way("order-shared"),
        way("order-cloned"),
        way("memo-shared"),
    ]);
    head("a struct of 8.6 KB");
    row("a deep clone", &cloned);
    row("`moka`, `Arc`", &moka_arc);
    row("`moka`, deep clone", &moka_clone);
    row("`get`: decoded", &decoded);
    row("`get_shared`", &shared);
    row("`get_shared`, deep clone", &of_shared);
    row("`#[memoize]`, `Arc`", &memo);
    goal("`get_shared` / `moka`, `Arc`", &shared.ratio(&moka_arc), 1.0);
    goal("`#[memoize]` of an `Arc` / `moka`, `Arc`", &memo.ratio(&moka_arc), 1.0);
    goal("`get_shared`, deep clone / a deep clone", &of_shared.ratio(&cloned), 1.2);
    goal("`get` / a deep clone", &decoded.ratio(&cloned), 1.2);
}

fn moka_of<T: Clone + Send + Sync + 'static>(make: impl Fn(u32) -> T) -> moka::sync::Cache<u32, T> {
    let cache = moka::sync::Cache::builder().max_capacity(ROOM).time_to_live(TTL).build();
    (0..CALLS).for_each(|id| cache.insert(id, make(id)));
    cache.run_pending_tasks();
    cache
}

/// Times these ways in turn, after a run of each that fills what it reads. In ns per call.
fn timed<const N: usize>(ways: &[Render; N]) -> [Series; N] {
    ways.iter().for_each(|way| assert!(way() > 0, "nothing was served"));
    let series = alternate(ways.each_ref().map(|way| way as &dyn Fn() -> usize));
    series.map(|series| series.map(|run| run / f64::from(CALLS)))
}

fn head(what: &str) {
    println!("\n| {what} | ns |\n|---|---|");
}

fn row(name: &str, series: &Series) {
    println!("| {name} | {:.0} |", series.figure());
}

fn goal(name: &str, ratio: &Series, most: f64) {
    let ratio = ratio.figure();
    let met = if ratio.median <= most { "met" } else { "**not met**" };
    println!("| {name} | {ratio:.2}, goal ≤ {most}, {met} |");
}
