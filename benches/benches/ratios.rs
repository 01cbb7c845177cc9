//! The goals of the hit path as one table: every page's forms are timed by turns in one process.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

use fragcache_benches::pages::{Engine, Form, Kind, page};
use fragcache_benches::sampling::{Figure, SAMPLES, alternate};

fn main() {
    println!("medians of {SAMPLES} (min–max); ns per fragment, over the page without fragments\n");
    println!("| page | native: the floor | cached | never expires | cached / floor | goal | |");
    println!("|---|---|---|---|---|---|---|");
    for engine in [Engine::MiniJinja, Engine::Tera] {
        for kind in [Kind::W2, Kind::W1] {
            row(engine, kind);
        }
    }
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
