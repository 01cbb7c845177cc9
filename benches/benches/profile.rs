//! Renders one page repeatedly, for a profiler: `profile tera w2 cached 1000`; or a
//! page prefetched from a store in this process: `profile tera w2 far 1000`; or
//! rewrites a source: `profile tera rewrite page 1000`, or `dense`; or one
//! step of one cache block: `profile minijinja walk hit 1`, see `walk`; or calls a hundred
//! memoized functions or values from Rust: `profile - call memo 1000`, see `way`. Without
//! arguments it does nothing, so that `cargo bench` skips it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "settings that do not fail")]

use fragcache::syntax::{Syntax, rewrite};
use fragcache::testing::MemoryStore;
use fragcache::{FarLevel, FragmentCache, fragment_key};
use fragcache_benches::calls::way;
use fragcache_benches::pages::{Engine, Form, Kind, from_rust, page, page_of};
use fragcache_benches::sources::with_blocks;
use minijinja::{Environment, context};

fn main() {
    let arguments: Vec<String> = std::env::args().filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let [engine, kind, form, rounds] = words[..] else { return };
    if kind == "rewrite" {
        let syntax = if engine == "tera" { Syntax::tera() } else { Syntax::minijinja() };
        let (author, _) = if form == "dense" { with_blocks(20, 1) } else { with_blocks(5, 25) };
        let rewritten =
            || rewrite("a.html", &author, &syntax).map_or(0, |page| page.blocks().len());
        return repeat(&rewritten, rounds.parse().unwrap_or(1000));
    }
    if kind == "walk" {
        walk(form);
        return;
    }
    if kind == "call" {
        let way = way(form);
        way();
        return repeat(&*way, rounds.parse().unwrap_or(1000));
    }
    if kind == "rust" {
        let page = from_rust(FragmentCache::in_memory())();
        page();
        return repeat(&*page, rounds.parse().unwrap_or(1000));
    }
    let engine = if engine == "tera" { Engine::Tera } else { Engine::MiniJinja };
    let kind = if kind == "w1" { Kind::W1 } else { Kind::W2 };
    if form == "far" {
        // A store in this process, so that only the code on the way to the store is counted.
        let level = FarLevel::new(MemoryStore::new()).without_near();
        let cache = FragmentCache::builder().far(level).build().unwrap();
        let render = page_of(cache, engine, kind, Form::Prefetched("300"));
        return repeat(&render, rounds.parse().unwrap_or(1000));
    }
    let form = match form {
        "empty" => Form::Empty,
        "native" => Form::Native,
        "never" => Form::Cached("none"),
        _ => Form::Cached("300"),
    };
    let render = page(engine, kind, form);
    repeat(&render, rounds.parse().unwrap_or(1000));
}

/// The function to collect: `--toggle-collect='*profile::repeat*'`.
#[inline(never)]
fn repeat(render: &dyn Fn() -> usize, rounds: usize) {
    for _ in 0..rounds {
        std::hint::black_box(render());
    }
}

/// One step of one block, for `.ci/walks`, which counts the files that it walks through. What a
/// process does only once was done before.
fn walk(step: &str) {
    const BLOCK: &str = "{% cache 300, 'row', id, tags=['row'] %}{{ id }}{% endcache %}";
    if step == "load" {
        return repeat(
            &|| rewrite("row.html", BLOCK, &Syntax::minijinja()).unwrap().blocks().len(),
            1,
        );
    }
    let builder = FragmentCache::builder();
    let builder = match step.strip_prefix("far-") {
        Some(_) => builder.far(FarLevel::new(MemoryStore::new())),
        None => builder,
    };
    let cache = builder.build().unwrap();
    let mut engine = Environment::new();
    fragcache_minijinja::add_to_environment(&mut engine, cache.clone()).unwrap();
    fragcache_minijinja::add_template(&mut engine, "row.html", BLOCK).unwrap();
    let row =
        |id: u32| engine.get_template("row.html").unwrap().render(context! { id }).unwrap().len();
    row(1);
    row(1);
    cache.invalidate_tags(["other"]).unwrap().eventually();
    match step.trim_start_matches("far-") {
        "hit" => repeat(&|| row(1), 1),
        "miss" => repeat(&|| row(2), 1),
        "invalidation" => {
            repeat(&|| usize::from(cache.delete(&fragment_key!("row", 1)).is_pending()), 1);
        }
        step => panic!("no step {step}"),
    }
}
