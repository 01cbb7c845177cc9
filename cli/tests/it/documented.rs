//! Checks `docs/cli.md`: each command on the page runs on a cache with the entries that the page
//! describes, and its output is compared. Varying values (times, sizes, the number of versions) are
//! compared by their form.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fragcache::Clock;
use fragcache::engine::view_key;
use fragcache::memoize::Function;
use fragcache::{Fragment, FragmentCache, fragment_key};
use minijinja::{Environment, context};
use tempfile::TempDir;

use crate::place::Place;

const PAGE: &str = include_str!("../../../docs/cli.md");

/// The template of the page's fragments: rows, and a block without a name in line 7.
const TEMPLATE: &str = r#"
{% if id %}
{% cache 300, "row", id, stale="10m", tags=["product:" ~ id] %}<td>{{ id }}</td>{% endcache %}
{% else %}


{% cache 300 %}<p>unnamed</p>{% endcache %}
{% endif %}
"#;

/// A command on the page, and the lines below it.
#[derive(Debug)]
struct Shown {
    heading: &'static str,
    words: Vec<String>,
    lines: Vec<&'static str>,
}

/// All commands on the page.
fn shown() -> Vec<Shown> {
    let (mut heading, mut is_console) = ("", false);
    let mut all: Vec<Shown> = Vec::new();
    for line in PAGE.lines() {
        match line {
            "```console" => is_console = true,
            "```" => is_console = false,
            _ if is_console => match (line.strip_prefix("$ "), all.last_mut()) {
                (Some(command), _) => {
                    all.push(Shown { heading, words: words(command), lines: Vec::new() });
                }
                (None, Some(last)) => last.lines.push(line),
                (None, None) => panic!("output without a command: {line}"),
            },
            _ => heading = line.strip_prefix("## ").unwrap_or(heading),
        }
    }
    all
}

/// Splits a command into words, like a shell.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// The current time minus a number of seconds.
#[derive(Debug, Clone, Default)]
struct Past(Arc<AtomicU64>);

impl Past {
    fn ago(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for Past {
    fn now(&self) -> Duration {
        Duration::from_secs(3600) - self.ago()
    }

    #[allow(clippy::disallowed_methods, reason = "the tool reads the system's clock")]
    fn unix_time(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        now - self.ago()
    }
}

/// Stores the page's fragments: twelve entries.
fn fill(place: &Place) {
    let clock = Past::default();
    let builder = FragmentCache::builder().clock(clock.clone()).jitter(0.0).far(place.level());
    let cache = builder.build().unwrap();
    let render = |cache: &FragmentCache, id: Option<u32>, ago: u64| {
        clock.0.store(ago, Ordering::SeqCst);
        let mut env = Environment::new();
        fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
        fragcache_minijinja::add_template(&mut env, "page.html", TEMPLATE).unwrap();
        env.get_template("page.html").unwrap().render(context!(id => id)).unwrap();
    };
    render(&cache, Some(8), 303);
    render(&cache, Some(7), 125);
    render(&cache.namespace("tenant").namespace("7"), Some(7), 12);
    render(&cache, None, 0);
    cache.invalidate_tags(["product:7"]).unwrap().eventually();
    let sidebars = [
        fragment_key!("sidebar", 42, "en"),
        fragment_key!("sidebar", 42, "de"),
        fragment_key!("sidebar", 42, None::<u8>, ["a", "b"]),
    ];
    let cards = (1..=5).map(|id| fragment_key!("card", id));
    for key in sidebars.into_iter().chain(cards) {
        cache.render(Fragment::new(key), || "<ul><li>…</li></ul>").unwrap();
    }
}

/// Stores the page's entries of other kinds.
fn fill_other_kinds(place: &Place) {
    let cache = place.cache();
    cache.values().set("stock", &3).unwrap();
    cache.memoize(&Function::new("shop::price").call().arg(&7), || 7);
    let view = view_key("film", "/film/7").vary_on("//shop.example").vary_on(None::<&str>);
    cache.render(Fragment::new(view), || "response").unwrap();
}

/// Expired records in a folder.
fn leave_over(place: &Place, count: u32) {
    let set = |key: &str| place.store.set(key, b"x", Duration::from_millis(1)).unwrap();
    (0..count).for_each(|number| set(&format!("fragcache:e:over:{number}")));
    // This one is removed by a read.
    let last = "fragcache:e:last";
    set(last);
    let is_over = || place.store.get_many(&[last]).unwrap()[0].is_none();
    fragcache_servers::eventually("the records are over", is_over);
}

/// Runs a command, with our addresses in place of the page's.
fn run(place: &Place, folder: &Path, shown: &Shown) -> Vec<String> {
    let mut arguments: Vec<&str> = shown.words[1..].iter().map(String::as_str).collect();
    for argument in &mut arguments {
        if matches!(*argument, "redis://127.0.0.1:6379/0" | "file:/var/cache/shop") {
            *argument = &place.address;
        }
    }
    if !arguments.iter().any(|argument| matches!(*argument, "--store" | "--config")) {
        arguments.splice(0..0, ["--store", &place.address]);
    }
    let mut tool = Command::new(env!("CARGO_BIN_EXE_fragcache"));
    let output = tool.env_clear().current_dir(folder).args(&arguments).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (out, err) = (out.unwrap(), err.unwrap());
    let is_refusal = shown.lines.iter().any(|line| line.starts_with("error: "));
    assert_eq!(output.status.code(), Some(i32::from(is_refusal)), "{shown:?}: {out}{err}");
    let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
    // A store lists its records in no order: sort by key, then by namespace.
    lines.sort_by_key(|line| {
        let field = |index| line.split('\t').nth(index).unwrap_or_default().to_owned();
        (field(5), field(4))
    });
    lines.extend(err.lines().map(str::to_owned));
    lines
}

/// Report lines with varying values.
const VARYING: [&str; 5] =
    ["versions", "bytes", "markup_bytes", "median_read_us", "longest_read_us"];

/// A line with its varying values replaced by their form.
fn form(line: &str) -> String {
    let number = |text: &str| if text.parse::<u64>().is_ok() { "NUMBER" } else { "?" }.to_owned();
    let fields: Vec<&str> = line.split('\t').collect();
    if let [state, age, left, bytes, rest @ ..] = &fields[..] {
        let fields = [(*state).to_owned(), time(age), time(left), number(bytes), rest.join("\t")];
        return fields.join("\t");
    }
    if let Some((what, after)) = line.split_once(", rendered ")
        && let Some(age) = after.strip_suffix(" ago")
    {
        return format!("{what}, rendered {} ago", time(age));
    }
    match line.split_once(' ') {
        Some((name, value)) if VARYING.contains(&name) => {
            let spaces = value.len() - value.trim_start().len();
            format!("{name}{}{}", " ".repeat(spaces + 1), number(value.trim_start()))
        }
        _ => line.to_owned(),
    }
}

/// A duration without its last seconds, which a busy machine adds.
fn time(text: &str) -> String {
    let is_part = |part: &str| {
        let digits = part.trim_end_matches(|c: char| c.is_ascii_lowercase());
        digits.len() < part.len() && digits.parse::<u64>().is_ok()
    };
    if text.split(' ').all(is_part) { "TIME" } else { "?" }.to_owned()
}

#[test]
fn the_page_shows_what_the_tool_says() {
    let all = shown();
    let (install, commands): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.words[0] == "cargo");
    assert_eq!(install[0].words.join(" "), "cargo install --path cli");
    assert!(commands.len() > 20, "{commands:?}");
    let mut place: Option<((&str, bool), TempDir, Place)> = None;
    for one in commands {
        assert_eq!(one.words[0], "fragcache", "{one:?}");
        // Commands that delete and clear start with a fresh store.
        let changes = matches!(one.heading, "delete" | "invalidate, clear");
        let is_of_folder = |word: &String| {
            matches!(word.as_str(), "sweep" | "--config") || word.starts_with("file:")
        };
        let is_server = !one.words.iter().any(is_of_folder);
        let kind = (one.heading, is_server);
        place = place.filter(|(before, ..)| *before == kind && !changes);
        let (_, folder, place) = place.get_or_insert_with(|| {
            let place = if is_server { Place::redis() } else { Place::folder() };
            fill(&place);
            if one.heading == "get" {
                fill_other_kinds(&place);
            }
            let folder = tempfile::tempdir().unwrap();
            let dir = place.address.trim_start_matches("file:").to_owned();
            let settings = format!("type = \"file\"\n[file]\ndir = {dir:?}\n");
            fs::write(folder.path().join("cache.toml"), settings).unwrap();
            (kind, folder, place)
        });
        if one.words[1] == "sweep" {
            leave_over(place, 118);
        }
        let said = run(place, folder.path(), one);
        // A command without lines is one whose output is not on the page.
        let Some((last, before)) = one.lines.split_last() else { continue };
        let (expected, is_cut) =
            if *last == "…" { (before, true) } else { (&one.lines[..], false) };
        let form = |lines: &[String]| lines.iter().map(|line| form(line)).collect::<Vec<_>>();
        let expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
        let end = if is_cut { expected.len().min(said.len()) } else { said.len() };
        assert_eq!(form(&said[..end]), form(&expected), "{}", one.words.join(" "));
        assert!(!is_cut || said.len() > end, "{} says no more", one.words.join(" "));
    }
}

#[test]
fn forms_report_what_is_missing() {
    assert_eq!(form("bytes              42"), "bytes              NUMBER");
    assert_eq!(form("bytes              many"), "bytes              ?");
    assert_eq!(form("entries            12"), "entries            12");
    assert_eq!(form("a\t5m 3s\tnever\t1\tb"), "a\tTIME\t?\tNUMBER\tb");
    assert_eq!(form("x, rendered 2m 5s ago"), "x, rendered TIME ago");
    assert_eq!(words("a 'b c' d"), ["a", "b c", "d"]);
}
