//! The goals of the hit path as one table: the forms of each page are timed in turn in one process.
//! `pages`, `tags`, `stats_by_name` or `threads` after `--` selects one part.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

use std::hint::black_box;

use fragcache::FragmentCache;
use fragcache_benches::pages::{
    Engine, Form, Kind, ROWS, Render, Site, from_rust, page, page_of, restless_page, site,
};
use fragcache_benches::sampling::{
    Figure, SAMPLES, Series, THREAD_SAMPLES, alternate, two_threads,
};

fn main() {
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let is_asked = |part: &str| asked.is_empty() || asked.iter().any(|word| word == part);
    if is_asked("pages") {
        pages();
    }
    if is_asked("tags") {
        tags();
    }
    if is_asked("stats_by_name") {
        stats_by_name();
    }
    if is_asked("threads") {
        threads();
    }
}

/// Cost of two tags on each fragment, per hit.
fn tags() {
    println!(
        "\nmedians of {SAMPLES} (min–max); ns per hit on W2, over the page without fragments\n"
    );
    println!("| hits | without tags | two tags | two / none | goal | |");
    println!("|---|---|---|---|---|---|");
    let forms = [Form::Empty, Form::Cached("300"), Form::Tagged("300")];
    for engine in [Engine::MiniJinja, Engine::Tera] {
        let quiet = forms.map(|form| page(engine, Kind::W2, form));
        tags_row(&format!("{engine:?}"), quiet);
        let restless = forms.map(|form| restless_page(engine, Kind::W2, form));
        tags_row(&format!("{engine:?}, after an invalidation"), restless);
    }
}

/// Cost of statistics by name for the hits of W2, in an engine and from Rust.
fn stats_by_name() {
    println!("\nmedians of {SAMPLES} (min–max); ns per hit on W2\n");
    println!("| hits | without statistics by name | with one | with / without | goal | |");
    println!("|---|---|---|---|---|---|");
    let caches = || [FragmentCache::in_memory(), with_stats_by_name()];
    let [without, with] = caches().map(|cache| from_rust(cache)());
    let [without, with] = alternate([&without, &with]);
    let of = |series: &Series| series.map(|page| page / ROWS as f64);
    stats_row("from Rust", &of(&without), &of(&with));
    for engine in [Engine::MiniJinja, Engine::Tera] {
        let empty = page(engine, Kind::W2, Form::Empty);
        let [without, with] =
            caches().map(|cache| page_of(cache, engine, Kind::W2, Form::Cached("300")));
        let [empty, without, with] = alternate([&empty, &without, &with]);
        let [without, with] = [without, with].map(|series| series.over(&empty, ROWS));
        stats_row(&format!("{engine:?}"), &without, &with);
    }
    // Both threads count under one name: the worst case.
    let [without, with] = caches().map(from_rust);
    println!("\n| pages from Rust in a second | one thread | two / one |\n|---|---|---|");
    for (name, [one, two]) in
        ["without statistics by name", "with one"].into_iter().zip(two_threads([&without, &with]))
    {
        println!("| {name} | {:.0} | {:.2} |", one.figure(), two.ratio(&one).figure());
    }
}

#[allow(clippy::expect_used, reason = "the setup of a bench")]
fn with_stats_by_name() -> FragmentCache {
    FragmentCache::builder().stats_by_name(1000).build().expect("defaults")
}

fn stats_row(name: &str, without: &Series, with: &Series) {
    let ratio = with.ratio(without).figure();
    let met = verdict(ratio.median <= 1.2);
    println!(
        "| {name} | {:.0} | {:.0} | {ratio:.2} | 1.2 | {met} |",
        without.figure(),
        with.figure()
    );
}

fn tags_row(name: &str, [empty, plain, tagged]: [Render; 3]) {
    let [empty, plain, tagged] = alternate([&empty, &plain, &tagged]);
    let [plain, tagged] = [plain, tagged].map(|series| series.over(&empty, ROWS));
    let ratio = tagged.ratio(&plain).figure();
    let met = verdict(ratio.median <= 1.3);
    println!(
        "| {name} | {:.0} | {:.0} | {ratio:.2} | 1.3 | {met} |",
        plain.figure(),
        tagged.figure()
    );
}

fn pages() {
    println!("medians of {SAMPLES} (min–max); ns per fragment, over the page without fragments\n");
    println!("| page | native: the floor | cached | never expires | cached / floor | goal | |");
    println!("|---|---|---|---|---|---|---|");
    for engine in [Engine::MiniJinja, Engine::Tera] {
        for kind in [Kind::W2, Kind::W1] {
            row(engine, kind);
        }
    }
}

/// Throughput of two threads over that of one, compared with two threads that share nothing. A busy
/// machine gives less than two even to those.
fn threads() {
    println!("\nmedians of {THREAD_SAMPLES} (min–max); pages of 100 fragments in a second\n");
    println!("| hits | one thread | two / one | goal | |");
    println!("|---|---|---|---|---|");
    let nothing: Site = Box::new(|| Box::new(nothing_shared));
    let native = |engine| site(engine, Kind::W2, Form::Native);
    let cached = |engine| site(engine, Kind::W2, Form::Cached("300"));
    let sites = [
        ("nothing shared: what the machine gives", nothing),
        ("W2 MiniJinja, native", native(Engine::MiniJinja)),
        ("W2 MiniJinja, cached", cached(Engine::MiniJinja)),
        ("W2 Tera, native", native(Engine::Tera)),
        ("W2 Tera, cached", cached(Engine::Tera)),
        ("W2's keys, from Rust", from_rust(FragmentCache::in_memory())),
    ];
    let series = two_threads(sites.each_ref().map(|(_, site)| site));
    for ((name, _), [one, two]) in sites.iter().zip(series) {
        let ratio = two.ratio(&one).figure();
        let met = verdict(ratio.median >= 1.5);
        println!("| {name} | {:.0} | {ratio:.2} | 1.5 | {met} |", one.figure());
    }
}

/// About as much work as a page, without anything shared.
fn nothing_shared() -> usize {
    let mut state = black_box(1_usize);
    for _ in 0..10_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).rotate_left(7);
    }
    state
}

fn row(engine: Engine, kind: Kind) {
    let [empty, native, cached, never] =
        [Form::Empty, Form::Native, Form::Cached("300"), Form::Cached("none")]
            .map(|form| page(engine, kind, form));
    let [empty, native, cached, never] = alternate([&empty, &native, &cached, &never]);
    let [native, cached, never] =
        [native, cached, never].map(|series| series.over(&empty, kind.fragments()));
    let (result, goal, met) = match (kind, engine) {
        (Kind::W1, _) => {
            let over: Figure = cached.over(&native, 1).figure();
            (format!("+{over:.0} ns"), "+200 ns".to_owned(), over.median <= 200.0)
        }
        (Kind::W2, engine) => {
            let goal = if engine == Engine::Tera { 0.9 } else { 2.2 };
            let ratio = cached.ratio(&native).figure();
            (format!("{ratio:.2}"), goal.to_string(), ratio.median <= goal)
        }
    };
    println!(
        "| {kind:?} {engine:?} | {:.0} | {:.0} | {:.0} | {result} | {goal} | {} |",
        native.figure(),
        cached.figure(),
        never.figure(),
        verdict(met),
    );
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "not met" }
}
