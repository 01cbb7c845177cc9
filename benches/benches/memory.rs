//! Resident memory of an entry, compared with the cache's own estimate, and memory
//! left by a million invalidations. Each is measured in its own process.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(clippy::expect_used, reason = "a bench has nobody to report to")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use fragcache::{Fragment, FragmentCache, fragment_key};
use fragcache_benches::pages::body;

const ENTRIES: u32 = 100_000;
const BODY: usize = 300;
const GOAL: f64 = 500.0;

/// The ways to fill a cache.
const WAYS: [&str; 4] = ["rust", "minijinja", "tera", "rust, two tags each"];

/// Invalidations of distinct tags, and the rows of the default table.
const INVALIDATIONS: u32 = 1_000_000;
const ROWS: f64 = 65_536.0;

/// The tags that are invalidated.
const TAGS: [&str; 3] = ["short", "of 256 bytes", "short, to be repeated"];

fn main() {
    if let Some(tags) = std::env::args().find_map(|word| word.strip_prefix("tags=").map(Box::from))
    {
        return invalidate(&tags);
    }
    if let Some(way) = std::env::args().find_map(|word| word.strip_prefix("fill=").map(Box::from)) {
        return fill(&way);
    }
    println!("{ENTRIES} entries with bodies of {BODY} bytes; bytes of an entry\n");
    println!("| filled from | resident | by stats() | goal | |");
    println!("|---|---|---|---|---|");
    for way in WAYS {
        apart(&format!("fill={way}"));
    }
    println!("\n{INVALIDATIONS} invalidations of distinct tags; bytes that stay\n");
    println!("| tags | after a tenth | after a half | after all | of a row | ns of each |");
    println!("|---|---|---|---|---|---|");
    for tags in TAGS {
        apart(&format!("tags={tags}"));
    }
}

fn apart(argument: &str) {
    let this = std::env::current_exe().expect("a path");
    let output = Command::new(this).arg(argument).output().expect("runs");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[allow(clippy::disallowed_methods, reason = "a stopwatch")]
fn invalidate(tags: &str) {
    let builder = FragmentCache::builder();
    let cache = match tags {
        "short, to be repeated" => builder.replica_lag(Duration::from_secs(3600)),
        _ => builder,
    };
    let cache = cache.build().expect("valid");
    let padding = if tags == "of 256 bytes" { "x".repeat(243) } else { String::new() };
    let invalidate = |number: u32| {
        let tag = format!("post:{number:08}{padding}");
        cache.invalidate_tags([tag]).expect("a tag").eventually();
    };
    // Warm-up, so that the allocator's first pages are not counted.
    invalidate(INVALIDATIONS);
    let (before, began) = (resident(), Instant::now());
    let mut stays = [0; 3];
    let mut next = 0;
    for (stay, end) in stays.iter_mut().zip([INVALIDATIONS / 10, INVALIDATIONS / 2, INVALIDATIONS])
    {
        (next..end).for_each(invalidate);
        (next, *stay) = (end, resident() - before);
    }
    let each = began.elapsed().as_nanos() as f64 / f64::from(INVALIDATIONS);
    let [tenth, half, all] = stays.map(|bytes| bytes as f64 / 1e6);
    let row = all * 1e6 / ROWS;
    println!("| {tags} | {tenth:.1} MB | {half:.1} MB | {all:.1} MB | {row:.0} | {each:.0} |");
}

fn fill(way: &str) {
    let cache = FragmentCache::builder()
        .max_bytes(256 << 20)
        .max_entries(2 * ENTRIES as usize)
        .build()
        .expect("valid");
    let mut render: Box<dyn FnMut(u32)> = match way {
        "rust" => from_rust(cache.clone(), false),
        "rust, two tags each" => from_rust(cache.clone(), true),
        "minijinja" => from_minijinja(cache.clone()),
        _ => from_tera(cache.clone()),
    };
    for warm in ENTRIES..ENTRIES + 100 {
        render(warm);
    }
    let (stats, resident) = (cache.stats(), resident());
    for number in 0..ENTRIES {
        render(number);
    }
    let filled = self::resident();
    let after = cache.stats();
    assert_eq!(after.entries - stats.entries, u64::from(ENTRIES));
    let of_each = |bytes: u64| bytes as f64 / f64::from(ENTRIES);
    let (real, counted) = (of_each(filled - resident), of_each(after.bytes - stats.bytes));
    let (goal, verdict) = match way {
        "rust, two tags each" => (String::new(), ""),
        _ => (GOAL.to_string(), if real <= GOAL { "met" } else { "not met" }),
    };
    println!("| {way} | {real:.0} | {counted:.0} | {goal} | {verdict} |");
}

fn from_rust(cache: FragmentCache, tagged: bool) -> Box<dyn FnMut(u32)> {
    let text = body(BODY);
    Box::new(move |number| {
        let mut fragment = Fragment::new(fragment_key!("row", number));
        if tagged {
            fragment = fragment.tags([format!("row:{number}").as_str(), "rows"]);
        }
        cache.render(&fragment, || text.as_str()).expect("renders");
    })
}

const TEMPLATE: &str = "{% cache 300, \"row\", id %}{{ body }}{% endcache %}";

/// Plain text, so that nothing has to be escaped or marked safe.
fn text() -> String {
    "text ".repeat(BODY / 5)
}

fn from_minijinja(cache: FragmentCache) -> Box<dyn FnMut(u32)> {
    let mut env = minijinja::Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, cache).expect("new");
    fragcache_minijinja::add_template(&mut env, "a.html", TEMPLATE).expect("parses");
    let body = text();
    Box::new(move |id| {
        let template = env.get_template("a.html").expect("was added");
        template.render(minijinja::context!(id, body => body.as_str())).expect("renders");
    })
}

fn from_tera(cache: FragmentCache) -> Box<dyn FnMut(u32)> {
    let mut tera = tera::Tera::new();
    fragcache_tera::add_to_tera(&mut tera, cache).expect("new");
    fragcache_tera::add_raw_template(&mut tera, "a.html", TEMPLATE).expect("parses");
    let mut context = tera::Context::new();
    context.insert("body", &text());
    Box::new(move |id| {
        context.insert("id", &id);
        fragcache_tera::render(&tera, "a.html", &context).expect("renders");
    })
}

/// Resident bytes of this process.
fn resident() -> u64 {
    const PAGE: u64 = 4096;
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|field| field.parse::<u64>().ok());
    pages.expect("a number") * PAGE
}
