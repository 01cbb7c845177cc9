//! The goals of the hit path as one table: every page's forms are timed by turns in one process.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

use std::hint::black_box;

use fragcache_benches::pages::{Engine, Form, Kind, Render, Site, from_rust, page, site};
use fragcache_benches::sampling::{Figure, SAMPLES, THREAD_SAMPLES, alternate, two_threads};

fn main() {
    println!("medians of {SAMPLES} (min–max); ns per fragment, over the page without fragments\n");
    println!("| page | native: the floor | cached | never expires | cached / floor | goal | |");
    println!("|---|---|---|---|---|---|---|");
    for engine in [Engine::MiniJinja, Engine::Tera] {
        for kind in [Kind::W2, Kind::W1] {
            row(engine, kind);
        }
    }
    println!("\nmedians of {THREAD_SAMPLES} (min–max); pages or fragments in a second\n");
    println!("| hits | one thread | two threads | two / one | goal | |");
    println!("|---|---|---|---|---|---|");
    for engine in [Engine::MiniJinja, Engine::Tera] {
        for (name, form) in [("native", Form::Native), ("cached", Form::Cached("300"))] {
            threads(&format!("W2 {engine:?}, {name}"), &site(engine, Kind::W2, form));
        }
    }
    threads("W2's keys, from Rust", &from_rust());
    threads(
        "nothing shared: what the machine gives",
        &(Box::new(|| Box::new(nothing_shared) as Render) as Site),
    );
}

/// About as much work as a page, with nothing that another thread could hold up.
fn nothing_shared() -> usize {
    let mut state = black_box(1_usize);
    for _ in 0..10_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).rotate_left(7);
    }
    state
}

/// How much more two threads render than one.
fn threads(name: &str, pages: &Site) {
    let [one, two] = two_threads(pages);
    let ratio = two.ratio(&one).figure();
    let goal = 1.5;
    println!(
        "| {name} | {:.0} | {:.0} | {ratio:.2} | {goal} | {} |",
        one.figure(),
        two.figure(),
        verdict(ratio.median >= goal),
    );
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
