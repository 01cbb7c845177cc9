//! The first page: the cache's performance in charts, and the names that need attention.

use std::time::Duration;

use axum::http::StatusCode;
use fragcache::FragmentCache;
use fragcache::stats::{NameStats, StatsByName};
use minijinja::context;
use serde::Serialize;

use super::rows::{self, Order};
use super::{Figure, KINDS, counted, figure, frame, show, store_figures, words};
use crate::charts::{Tile, Timeline, Treemap, shade};
use crate::figures::{Figures, Named};
use crate::serve::{Answer, Visit};
use crate::templates::for_templates;
use crate::text;

for_templates!(Sum);

/// Maximum number of rectangles in the chart of bytes, and of rows in a list.
const TILES: usize = 40;
const ROWS: usize = 5;

pub(super) fn page(visit: &Visit, name: &str, cache: &FragmentCache) -> Answer {
    let figures = Figures::of(cache);
    let order = |word| rows::order(Some(word));
    let top = |order: Order, keep: fn(&Named) -> bool, most: usize| {
        let named = rows::sorted(&figures, order);
        let named: Vec<&Named> = named.into_iter().filter(|n| keep(n)).take(most).collect();
        rows::rows(visit, name, &named)
    };
    let section = |word: &'static str, keep| {
        let order = order(word);
        let link = visit.link("/names", name, &[("sort", word)]);
        context! { word, title => order.title, link, rows => top(order, keep, ROWS) }
    };
    let tiles = tiles(visit, name, &figures);
    let minutes = &figures.all.minutes;
    let empty = figures.named.is_empty() && figures.all.lookups() == 0;
    let context = context! {
        frame => frame(visit, name, &figures),
        empty,
        tiles => head(cache, &figures),
        store => store_figures(cache),
        wide => Timeline::new(minutes, 1080.0, 230.0),
        narrow => Timeline::new(minutes, 360.0, 210.0),
        caches => caches(visit, name),
        kinds => kinds(visit, name, &figures),
        misses => counted(figures.all.misses.iter().map(|(why, n)| (why.as_str(), n))),
        times => top(order("saved"), |n| n.stats.renders > 0, 8),
        map_wide => Treemap::new(&tiles, 1080.0, 300.0),
        map_narrow => Treemap::new(&tiles, 360.0, 320.0),
        biggest => section("bytes", |n| n.held.bytes > 0),
        coldest => section("coldest", |n| n.held.entries > 0),
        losses => section("loss", |n| n.stats.costs_more_than_it_saves()),
    };
    show(visit, StatusCode::OK, "overview.html", context)
}

fn head(cache: &FragmentCache, figures: &Figures) -> Vec<Figure> {
    let (all, stats) = (&figures.all, cache.stats());
    let (mut served, mut missed) = (0, 0);
    for minute in &all.minutes {
        served += minute.served;
        missed += minute.missed;
    }
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), text::percent);
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    let hour = (served + missed > 0).then(|| served as f64 / (served + missed) as f64);
    let lookups = text::of(served + missed, ("lookup", "lookups"));
    vec![
        figure("Hit ratio, last hour", ratio(hour), lookups),
        figure("Hit ratio, overall", ratio(all.hit_ratio()), {
            format!(
                "{} served, {} missed",
                text::count(all.served()),
                text::count(all.misses.total())
            )
        }),
        figure("Time saved", text::time(saved(figures)), "estimated"),
        figure("Time spent", text::time(all.render_time), {
            text::of(all.renders, ("render", "renders"))
        }),
        figure("In memory", text::bytes(figures.held.bytes), {
            text::of(figures.held.entries, ("entry", "entries"))
        }),
        Figure {
            is_bad: stats.errors > 0,
            ..figure("Failed renders", text::count(stats.errors), {
                format!("{} in progress, mode {}", stats.flights, cache.mode().as_str())
            })
        },
    ]
}

/// A row of a table of totals.
#[derive(Debug, Clone, Serialize)]
struct Sum {
    title: String,
    link: String,
    is_here: bool,
    names: String,
    ratio: String,
    shade: &'static str,
    served: String,
    missed: String,
    bytes: String,
    entries: String,
}

fn sum(title: &str, link: String, stats: &NameStats, held: (u64, u64)) -> Sum {
    let ratio = stats.hit_ratio();
    Sum {
        title: title.to_owned(),
        link,
        is_here: false,
        names: String::new(),
        ratio: ratio.map_or_else(|| "–".to_owned(), text::percent),
        shade: shade(ratio),
        served: text::count(stats.served()),
        missed: text::count(stats.misses.total()),
        bytes: text::bytes(held.0),
        entries: text::count(held.1),
    }
}

/// One row per cache of this process; empty if there is only one.
fn caches(visit: &Visit, here: &str) -> Vec<Sum> {
    let caches = visit.shared.caches.iter().filter(|_| visit.shared.caches.len() > 1);
    let sums = caches.map(|(name, cache)| {
        let stats = cache.stats();
        let mut total = NameStats::default();
        match cache.stats_by_name() {
            Some(StatsByName { names, others, .. }) => {
                names.iter().chain([&others]).for_each(|one| total.add(one));
            }
            None => {
                (total.hits, total.stale, total.misses) = (stats.hits, stats.stale, stats.misses);
            }
        }
        let sum = sum(name, visit.link("/", name, &[]), &total, (stats.bytes, stats.entries));
        Sum { is_here: name == here, ..sum }
    });
    sums.collect()
}

/// One row per kind; empty if there is only one.
fn kinds(visit: &Visit, cache: &str, figures: &Figures) -> Vec<Sum> {
    let sums = KINDS.into_iter().filter_map(|kind| {
        let named = figures.named.iter().filter(|named| named.kind() == kind);
        let (mut stats, mut held, mut names) = (NameStats::default(), (0, 0), 0);
        for named in named {
            stats.add(&named.stats);
            held = (held.0 + named.held.bytes, held.1 + named.held.entries);
            names += 1;
        }
        let link = visit.link("/names", cache, &[("kind", kind.as_str())]);
        let sum = sum(words(kind).title, link, &stats, held);
        (names > 0).then(|| Sum { names: text::count(names), ..sum })
    });
    let sums: Vec<Sum> = sums.collect();
    if sums.len() > 1 { sums } else { Vec::new() }
}

/// The sum of the time that each name saved. A mean over all names would be wrong,
/// because the means of the names differ.
fn saved(figures: &Figures) -> Duration {
    let names = figures.named.iter().map(|named| named.stats.saved());
    names.chain([figures.others.saved()]).sum()
}

fn tiles(visit: &Visit, cache: &str, figures: &Figures) -> Vec<Tile> {
    let named = rows::sorted(figures, rows::order(Some("bytes")));
    let (shown, rest) = named.split_at(named.len().min(TILES));
    let mut tiles: Vec<Tile> = shown
        .iter()
        .map(|named| {
            let ratio = named.stats.hit_ratio();
            let told = ratio.map_or_else(|| "no lookup".to_owned(), text::percent);
            let bytes = text::bytes(named.held.bytes);
            Tile {
                size: named.held.bytes,
                label: named.label.clone(),
                title: format!("{}: {bytes}, hit ratio {told}", named.label),
                figure: bytes,
                shade: shade(ratio),
                link: Some(rows::link(visit, cache, named)),
            }
        })
        .collect();
    let size: u64 = rest.iter().map(|named| named.held.bytes).sum();
    let (label, bytes) = (format!("{} more", rest.len()), text::bytes(size));
    let title = format!("{label}: {bytes}");
    tiles.push(Tile { size, label, figure: bytes, title, shade: "none", link: None });
    tiles
}
