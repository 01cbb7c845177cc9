//! Time to search a source without cache blocks, and to load a template with some.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(clippy::expect_used, reason = "a bench has nobody to report to")]

use std::cell::RefCell;
use std::hint::black_box;

use fragcache::FragmentCache;
use fragcache::syntax::{Syntax, rewrite};
use fragcache_benches::sampling::{SAMPLES, Series, alternate};
use fragcache_benches::sources::{with_blocks, without_blocks};
use minijinja::Environment;
use tera::Tera;

const MEGABYTE: usize = 1_000_000;

fn main() {
    println!("medians of {SAMPLES} (min–max)\n");
    println!("| source of 1 MB without cache blocks | MB/s | goal | |");
    println!("|---|---|---|---|");
    for (word, what) in [("shop", "nowhere \"cache\""), ("cache", "\"cache\" in its text")] {
        for (name, syntax) in [("MiniJinja", Syntax::minijinja()), ("Tera", Syntax::tera())] {
            speed(&format!("{name}, {what}"), &without_blocks(MEGABYTE, word), &syntax);
        }
    }
    println!(
        "\n| loading a template with cache blocks | µs | engine, native if | ratio | goal | |"
    );
    println!("|---|---|---|---|---|---|");
    for (sections, paragraphs) in [(5, 25), (20, 1)] {
        let (author, native) = with_blocks(sections, paragraphs);
        let lowered = |syntax| rewrite("a.html", &author, &syntax).expect("lowers").into_source();
        let size = format!("{sections} blocks, {} bytes", author.len());

        let source = lowered(Syntax::minijinja());
        let mut env = Environment::new();
        fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory()).expect("new");
        let (ours, theirs) = (RefCell::new(env), RefCell::new(Environment::new()));
        let engine = |source: &str| {
            let source = source.to_owned();
            theirs.borrow_mut().add_template_owned("a.html", source).expect("parses");
            1
        };
        let load = || {
            let mut env = ours.borrow_mut();
            fragcache_minijinja::add_template(&mut env, "a.html", author.clone()).expect("parses");
            1
        };
        loading("MiniJinja", &size, &alternate([&load, &|| engine(&native), &|| engine(&source)]));

        let source = lowered(Syntax::tera());
        let mut tera = Tera::new();
        // The engine-only Tera needs the filters too.
        fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory()).expect("new");
        let (ours, theirs) = (RefCell::new(tera.clone()), RefCell::new(tera));
        let engine = |source: &str| {
            theirs.borrow_mut().add_raw_template("a.html", source).expect("parses");
            1
        };
        let load = || {
            let mut tera = ours.borrow_mut();
            fragcache_tera::add_raw_template(&mut tera, "a.html", &author).expect("parses");
            1
        };
        loading("Tera", &size, &alternate([&load, &|| engine(&native), &|| engine(&source)]));
    }
}

fn speed(name: &str, source: &str, syntax: &Syntax) {
    let look = || rewrite("a.html", black_box(source), syntax).expect("no blocks").blocks().len();
    let [time] = alternate([&look]);
    let speed = time.map(|nanos| source.len() as f64 / nanos * 1e3).figure();
    println!("| {name} | {speed:.0} | 200 | {} |", verdict(speed.median >= 200.0));
}

/// Prints the times of our load, the engine's load with a native `if` in place of
/// the cache tags, and the engine's load of the rewritten source.
fn loading(name: &str, size: &str, [load, native, lowered]: &[Series; 3]) {
    let micros = |series: &Series| series.map(|nanos| nanos / 1e3).figure();
    let ratio = load.ratio(native).figure();
    let met = verdict(ratio.median <= 2.0);
    let (ours, theirs) = (micros(load), micros(native));
    println!("| {name}, {size} | {ours:.1} | {theirs:.1} | {ratio:.2} | 2 | {met} |");
    let share = lowered.ratio(native).figure();
    println!(
        "| – of that, the engine on the lowered source | {:.1} | | {share:.2} | | |",
        micros(lowered)
    );
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "not met" }
}
