//! What is read: which page an address is of, and what all pages have.

mod fragment;
mod fragments;
mod overview;
mod rows;

use axum::http::StatusCode;
use fragcache::FragmentCache;
use minijinja::Value;
use serde::Serialize;

use crate::acts;
use crate::figures::Figures;
use crate::serve::{Answer, Visit};
use crate::templates::for_templates;
use crate::text;

for_templates!(Frame, Figure, Counted);

/// What stands around every page.
#[derive(Debug, Clone, Serialize)]
struct Frame {
    base: String,
    home: String,
    list: String,
    style: String,
    cache: String,
    /// Whether there are others.
    has_several: bool,
    tabs: Vec<Tab>,
    query: String,
    token: String,
    done: Option<&'static str>,
    /// Whose numbers these are.
    process: u32,
    since: Option<String>,
    covers: Option<String>,
    is_complete: bool,
}

/// Another cache of this process.
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
        "/fragments" => fragments::page(visit, name, cache),
        "/fragment" => fragment::page(visit, name, cache),
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
        Err(error) => Answer::Wrong(format!("500: the inspector is wrong: {error}\n")),
    }
}

fn frame(visit: &Visit, name: &str, figures: &Figures) -> Frame {
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
    Frame {
        base: visit.base.clone(),
        home: visit.link("/", name, &[]),
        list: visit.link("/fragments", name, &[]),
        style: format!("{}/style.css", visit.base),
        cache: name.to_owned(),
        has_several: visit.shared.caches.len() > 1,
        tabs: tabs.collect(),
        query: visit.query.get("q").unwrap_or_default().to_owned(),
        token: visit.shared.seal.token(&visit.visitor),
        done: acts::done(&visit.query),
        process: std::process::id(),
        since: figures.since.and_then(|(since, _)| moment(since)),
        covers: figures.since.map(|(_, covers)| text::whole(covers)),
        is_complete: figures.is_complete,
    }
}

/// A number with a name, for the top of a page.
#[derive(Debug, Clone, Serialize)]
struct Figure {
    name: &'static str,
    value: String,
    note: String,
    /// Whether it deserves a look.
    is_bad: bool,
}

fn figure(name: &'static str, value: String, note: impl Into<String>) -> Figure {
    Figure { name, value, note: note.into(), is_bad: false }
}

/// A word with a count, and its share of the largest one in hundredths.
#[derive(Debug, Clone, Serialize)]
struct Counted {
    word: String,
    count: String,
    share: u64,
}

/// Those that occurred, the most frequent first.
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

/// What the store behind a cache is like, if there is one.
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
            ..count("Not told yet", health.pending_invalidations, "invalidations")
        },
        count("Round trips", health.round_trips, ""),
        Figure {
            is_bad: health.faults > 0,
            ..count("Faults", health.faults, health.last_fault.as_deref().unwrap_or("none"))
        },
        count("Unreadable", health.unreadable, "entries of the store"),
    ])
}
