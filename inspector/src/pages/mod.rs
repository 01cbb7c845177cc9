//! Selects the page for an address, and builds the parts that all pages share.

mod name;
mod names;
mod overview;
mod rows;

use axum::http::StatusCode;
use fragcache::FragmentCache;
use fragcache::key::KeyKind;
use minijinja::Value;
use serde::Serialize;

use crate::acts;
use crate::figures::Figures;
use crate::serve::{Answer, Visit};
use crate::templates::for_templates;
use crate::text;

for_templates!(PageFrame, Figure, Counted, Words);

/// Maximum length of a search text, in characters.
const MAX_QUERY: usize = 200;

/// The frame around every page.
#[derive(Debug, Clone, Serialize)]
struct PageFrame {
    base: String,
    home: String,
    list: String,
    style: String,
    cache: String,
    /// Whether this process has several caches.
    has_several: bool,
    tabs: Vec<Tab>,
    query: String,
    token: String,
    done: Option<&'static str>,
    /// The id of the process that the figures come from.
    process: u32,
    since: Option<String>,
    covers: Option<String>,
    is_complete: bool,
}

/// A link to a cache of this process.
#[derive(Debug, Clone, Serialize)]
struct Tab {
    name: String,
    link: String,
    is_here: bool,
}

/// The page at a path below the router.
pub(crate) fn page(visit: &Visit, path: &str) -> Answer {
    let Some((name, cache)) = visit.cache(&visit.query) else { return missing(visit) };
    match path {
        "/" => overview::page(visit, name, cache),
        "/names" => names::page(visit, name, cache),
        "/name" => name::page(visit, name, cache),
        _ => missing(visit),
    }
}

fn missing(visit: &Visit) -> Answer {
    let home = if visit.base.is_empty() { "/" } else { &visit.base };
    let style = format!("{}/style.css", visit.base);
    let context = minijinja::context! { home, style };
    show(visit, StatusCode::NOT_FOUND, "missing.html", context)
}

fn show(visit: &Visit, status: StatusCode, template: &str, context: Value) -> Answer {
    let template = visit.shared.templates.get_template(template);
    match template.and_then(|template| template.render(context)) {
        Ok(html) => Answer::Page(status, html),
        Err(error) => Answer::Wrong(format!("500: internal error of the inspector: {error}\n")),
    }
}

fn frame(visit: &Visit, name: &str, figures: &Figures) -> PageFrame {
    let tabs = visit.shared.caches.iter().map(|(known, _)| Tab {
        name: known.clone(),
        link: visit.link("/", known, &[]),
        is_here: known == name,
    });
    let moment = |since| {
        let start = std::time::UNIX_EPOCH.checked_add(since)?;
        let written = humantime::format_rfc3339_seconds(start).to_string();
        Some(written.replace('T', " ").replace('Z', " UTC"))
    };
    PageFrame {
        base: visit.base.clone(),
        home: visit.link("/", name, &[]),
        list: visit.link("/names", name, &[]),
        style: format!("{}/style.css", visit.base),
        cache: name.to_owned(),
        has_several: visit.shared.caches.len() > 1,
        tabs: tabs.collect(),
        query: searched(visit, "q"),
        token: visit.shared.seal.token(&visit.visitor),
        done: acts::done(&visit.query),
        process: std::process::id(),
        since: figures.since.and_then(|(since, _)| moment(since)),
        covers: figures.since.map(|(_, covers)| text::whole(covers)),
        is_complete: figures.is_complete,
    }
}

/// The text in a search field, truncated to a reasonable length for a name or key.
fn searched(visit: &Visit, field: &str) -> String {
    let text = visit.query.get(field).unwrap_or_default().trim();
    text.chars().take(MAX_QUERY).collect()
}

/// The words that pages use for a kind.
#[derive(Debug, Clone, Copy, Serialize)]
struct Words {
    kind: &'static str,
    /// The plural, for a heading.
    title: &'static str,
    /// The noun for one result, and for several.
    made: (&'static str, &'static str),
    /// Label of the time that making one takes.
    one: &'static str,
    /// Label of names that cost more time than they save.
    loss: &'static str,
    content: &'static str,
    delete_all: &'static str,
    covers: &'static str,
}

fn words(kind: KeyKind) -> Words {
    let fragment = Words {
        kind: kind.as_str(),
        title: "Fragments",
        made: ("render", "renders"),
        one: "One render",
        loss: "rendered more often than it is served",
        content: "Markup",
        delete_all: "Delete everything with this name",
        covers: "All variants, in memory and in the store.",
    };
    match kind {
        KeyKind::Value => Words {
            title: "Values",
            made: ("time set", "times set"),
            one: "One write",
            loss: "set more often than it is read",
            content: "Value",
            delete_all: "Delete this value",
            covers: "In memory and in the store.",
            ..fragment
        },
        KeyKind::Function => Words {
            title: "Functions",
            made: ("run", "runs"),
            one: "One run",
            loss: "run more often than its results are used",
            content: "Result",
            delete_all: "Delete all results of this function",
            covers: "For all arguments, and for every instance if it is a method.",
            ..fragment
        },
        KeyKind::View => Words {
            title: "Views",
            made: ("response", "responses"),
            one: "One response",
            loss: "computed more often than it is served",
            content: "Response",
            delete_all: "Delete all responses of this view",
            covers: "All variants, in memory and in the store.",
            ..fragment
        },
        _ => fragment,
    }
}

/// The kinds, in the order in which pages list them.
const KINDS: [KeyKind; 4] = [KeyKind::Fragment, KeyKind::Function, KeyKind::View, KeyKind::Value];

/// A number with a name, for the top of a page.
#[derive(Debug, Clone, Serialize)]
struct Figure {
    name: &'static str,
    value: String,
    note: String,
    /// Whether the number is highlighted as a problem.
    is_bad: bool,
}

fn figure(name: &'static str, value: String, note: impl Into<String>) -> Figure {
    Figure { name, value, note: note.into(), is_bad: false }
}

/// A word with a count, and the count's percentage of the largest one.
#[derive(Debug, Clone, Serialize)]
struct Counted {
    word: String,
    count: String,
    share: u64,
}

/// The words with a nonzero count, the most frequent first.
fn counted(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<Counted> {
    let mut counts: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most = counts.first().map_or(1, |(_, count)| *count);
    let words = counts.into_iter().map(|(word, count)| Counted {
        word: word.replace('_', " "),
        count: text::count(count),
        share: hundredths(count, most),
    });
    words.collect()
}

fn hundredths(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(100).min(100)
}

/// The state of the store behind a cache; `None` without a store.
fn store_figures(cache: &FragmentCache) -> Option<Vec<Figure>> {
    let health = cache.health();
    let store = health.store?;
    let count = |name, number, note: &str| figure(name, text::count(number), note);
    let reachable = if health.is_reachable { "reachable" } else { "away" };
    Some(vec![
        Figure { is_bad: !health.is_reachable, ..figure("Store", store.to_owned(), reachable) },
        count("Found in the store", health.found, "entries of any process"),
        Figure {
            is_bad: health.pending_invalidations > 0,
            ..count("Not published yet", health.pending_invalidations, "invalidations")
        },
        count("Round trips", health.round_trips, ""),
        Figure {
            is_bad: health.faults > 0,
            ..count("Faults", health.faults, health.last_fault.as_deref().unwrap_or("none"))
        },
        count("Unreadable", health.unreadable, "entries in the store"),
    ])
}
