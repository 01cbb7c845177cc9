//! The page of one name: its figures, its last hour, its tags, its entries, and the buttons.

use axum::http::StatusCode;
use fragcache::FragmentCache;
use fragcache::admin::EntryInfo;
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use super::{Figure, Words, counted, figure, frame, missing, names, rows, searched, show, words};
use crate::addresses::{place, place_label};
use crate::charts::Timeline;
use crate::figures::{self, Figures, Named};
use crate::serve::{Answer, Visit};
use crate::templates::for_templates;
use crate::text;

/// Entries per page.
const ENTRIES: usize = 25;

/// Maximum number of namespaces to choose from in a form.
const PLACES: usize = 100;

for_templates!(Entry);

/// An entry as a row.
#[derive(Debug, Clone, Serialize)]
struct Entry {
    key: String,
    hex: String,
    place: String,
    namespaces: String,
    bytes: String,
    body: String,
    variants: usize,
    age: String,
    left: String,
    miss: Option<String>,
    /// The entry's text, if it has one, and a note about the part that is cut.
    content: Option<(String, Option<String>)>,
}

/// Maximum length of an entry's text on the page, in bytes.
const MAX_CONTENT: usize = 2000;

pub(super) fn page(visit: &Visit, name: &str, cache: &FragmentCache) -> Answer {
    let figures = Figures::of(cache);
    let key = visit.query.key();
    let named = key.and_then(|key| figures.named.iter().find(|named| named.key == key));
    let Some(named) = named else { return missing(visit) };
    let words = words(named.kind());
    let (all, _) = figures::entries_of(cache, &named.key);
    let query = searched(visit, "entries").to_lowercase();
    let found: Vec<&EntryInfo> = all.iter().filter(|entry| matches(entry, &query)).collect();
    let (number, pages) = names::number(visit, found.len(), ENTRIES);
    let hex = named.key.to_hex();
    let link = |number: usize| {
        let number = number.to_string();
        visit.link("/name", name, &[("key", &hex), ("entries", &query), ("page", &number)])
    };
    let shown = found.iter().skip((number - 1) * ENTRIES).take(ENTRIES);
    let stats = &named.stats;
    let context = context! {
        frame => frame(visit, name, &figures),
        label => &*named.label,
        words => words,
        place => rows::place(named),
        is_unnamed => named.key.template().is_some(),
        hex => &*hex,
        tiles => head(named, words),
        is_loss => stats.costs_more_than_it_saves(),
        wide => Timeline::new(&stats.minutes, 1080.0, 230.0),
        narrow => Timeline::new(&stats.minutes, 360.0, 210.0),
        misses => counted(stats.misses.iter().map(|(why, n)| (why.as_str(), n))),
        bypasses => counted(stats.bypasses.iter().map(|(why, n)| (why.as_str(), *n))),
        refusals => counted(stats.refusals.iter().map(|(why, n)| (why.as_str(), *n))),
        facts => Serde(facts(named)),
        tags => Serde(&stats.tags),
        places => Serde(places(&all)),
        entries => shown.map(|entry| self::entry(entry)).collect::<Vec<_>>(),
        entries_query => &*query,
        found => text::count(found.len() as u64),
        held => text::count(all.len() as u64),
        number,
        pages,
        before => (number > 1).then(|| link(number - 1)),
        after => (number < pages).then(|| link(number + 1)),
    };
    show(visit, StatusCode::OK, "name.html", context)
}

fn head(named: &Named, words: Words) -> Vec<Figure> {
    let (stats, held) = (&named.stats, &named.held);
    let ratio = stats.hit_ratio().map_or_else(|| "–".to_owned(), text::percent);
    let idle = stats.idle.map_or_else(
        || "never served".to_owned(),
        |idle| format!("last served {}", ago(&text::ago(idle))),
    );
    vec![
        figure("Hit ratio", ratio, {
            let missed = text::count(stats.misses.total());
            format!("{} served, {missed} missed", text::count(stats.served()))
        }),
        figure("Time saved", text::time(stats.saved()), "estimated"),
        Figure {
            is_bad: stats.costs_more_than_it_saves(),
            ..figure("Time spent", text::time(stats.render_time), {
                text::of(stats.renders, words.made)
            })
        },
        figure(words.one, text::time(stats.mean_render()), {
            format!("longest {}", text::time(stats.longest_render))
        }),
        figure("In memory", text::bytes(held.bytes), {
            text::of(held.entries, ("entry", "entries"))
        }),
        figure("Oldest entry", text::whole(held.oldest), idle),
    ]
}

fn ago(time: &str) -> String {
    if time == "now" { time.to_owned() } else { format!("{time} ago") }
}

/// The remaining facts about a name.
fn facts(named: &Named) -> Vec<(&'static str, String)> {
    let stats = &named.stats;
    let facts = [
        ("Served fresh", stats.hits),
        ("Served stale", stats.stale),
        ("Served instead of an error", stats.stale_if_error),
        ("Received from another caller's render", stats.waits),
        ("Stored", stats.stores),
        ("Evicted to make room", stats.evictions),
        ("Deleted", stats.deletions),
        ("Repeated in one render", stats.repeats),
    ];
    let facts = facts.map(|(name, number)| (name, text::count(number)));
    let more = [
        ("Bytes stored in total", text::bytes(stats.stored_bytes)),
        ("Last render", text::time(stats.last_render)),
        ("Most variants of one key", named.held.variants.to_string()),
    ];
    facts.into_iter().chain(more).collect()
}

fn matches(entry: &EntryInfo, query: &str) -> bool {
    let namespaces = place_label(&entry.namespaces).to_lowercase();
    entry.key.to_string().to_lowercase().contains(query) || namespaces.contains(query)
}

fn entry(entry: &EntryInfo) -> Entry {
    Entry {
        key: entry.key.to_string(),
        hex: entry.key.to_hex(),
        place: place(&entry.namespaces),
        namespaces: place_label(&entry.namespaces),
        bytes: text::bytes(entry.bytes as u64),
        body: text::bytes(entry.body_bytes as u64),
        variants: entry.variants,
        age: text::whole(entry.age),
        left: match entry.left {
            None => "never".to_owned(),
            Some(left) if left.is_zero() => "–".to_owned(),
            Some(left) => text::whole(left),
        },
        miss: entry.miss.map(|miss| miss.as_str().replace('_', " ")),
        content: entry.text().map(content),
    }
}

/// The beginning of a text, and a note about the part that is cut.
fn content(text: &str) -> (String, Option<String>) {
    let shown = {
        let end = (0..=text.len().min(MAX_CONTENT)).rev().find(|&at| text.is_char_boundary(at));
        &text[..end.unwrap_or(0)]
    };
    let more = text.len() - shown.len();
    (shown.to_owned(), (more > 0).then(|| text::bytes(more as u64)))
}

/// The namespaces of the entries, for a form: encoded value and label.
fn places(entries: &[EntryInfo]) -> Vec<(String, String)> {
    let mut places: Vec<&[String]> = entries.iter().map(|entry| &*entry.namespaces).collect();
    places.push(&[]);
    places.sort_unstable();
    places.dedup();
    places.truncate(PLACES);
    places.into_iter().map(|names| (place(names), place_label(names))).collect()
}
