//! Names as rows of a table, and the orders of rows.

use std::cmp::Reverse;
use std::time::Duration;

use serde::Serialize;

use super::hundredths;
use crate::charts::{Sparkline, shade};
use crate::figures::{Figures, Named};
use crate::serve::Visit;
use crate::templates::for_templates;
use crate::text;

for_templates!(Row);

/// A row.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    label: String,
    link: String,
    kind: &'static str,
    /// The place of its cache block, if the name does not already contain it.
    place: Option<String>,
    ratio: String,
    shade: &'static str,
    served: String,
    missed: String,
    saved: String,
    spent: String,
    /// Percentage of the largest value in these rows.
    saved_share: u64,
    spent_share: u64,
    is_loss: bool,
    loss: String,
    bytes: String,
    entries: String,
    variants: usize,
    dead: String,
    idle: String,
    hour: Sparkline,
}

/// An order of rows: its word in an address, its title, and its comparison.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) word: &'static str,
    pub(super) title: &'static str,
    sort: fn(&mut [&Named]),
}

pub(super) const ORDERS: [Order; 9] = [
    Order {
        word: "served",
        title: "Most served",
        sort: |named| named.sort_by_key(|n| Reverse(n.stats.served())),
    },
    Order {
        word: "missed",
        title: "Most misses",
        sort: |named| named.sort_by_key(|n| Reverse(n.stats.misses.total())),
    },
    Order {
        word: "ratio",
        title: "Lowest hit ratio",
        sort: |named| {
            let ratio = |n: &Named| n.stats.hit_ratio().unwrap_or(2.0);
            named.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
        },
    },
    Order {
        word: "bytes",
        title: "Biggest",
        sort: |named| named.sort_by_key(|n| Reverse(n.held.bytes)),
    },
    Order {
        word: "coldest",
        title: "Coldest",
        // Names without entries go last: they have nothing to remove.
        sort: |named| {
            let idle = |n: &Named| n.stats.idle.unwrap_or(Duration::MAX);
            named.sort_by_key(|n| (n.held.entries == 0, Reverse(idle(n)), Reverse(n.held.oldest)));
        },
    },
    Order {
        word: "loss",
        title: "Costs more than it saves",
        sort: |named| named.sort_by_key(|n| Reverse(n.loss())),
    },
    Order {
        word: "saved",
        title: "Time saved",
        sort: |named| named.sort_by_key(|n| Reverse(n.stats.saved())),
    },
    Order {
        word: "spent",
        title: "Time spent",
        sort: |named| named.sort_by_key(|n| Reverse(n.stats.render_time)),
    },
    Order { word: "name", title: "Name", sort: |_| {} },
];

/// The order with this word, or the first one.
pub(super) fn order(word: Option<&str>) -> Order {
    let found = ORDERS.into_iter().find(|order| Some(order.word) == word);
    found.unwrap_or(ORDERS[0])
}

/// The names in an order; equal ones are sorted by name.
pub(super) fn sorted(figures: &Figures, order: Order) -> Vec<&Named> {
    let mut named: Vec<&Named> = figures.named.iter().collect();
    named.sort_by(|one, other| one.label.cmp(&other.label));
    (order.sort)(&mut named);
    named
}

/// Whether a search matches a name: part of the name, its template or its tags.
pub(super) fn matches(named: &Named, query: &str) -> bool {
    let query = query.trim().to_lowercase();
    let texts = [Some(&named.label), named.stats.template.as_ref()];
    let mut texts = texts.into_iter().flatten().chain(&named.stats.tags);
    query.is_empty() || texts.any(|text| text.to_lowercase().contains(&query))
}

pub(super) fn rows(visit: &Visit, cache: &str, named: &[&Named]) -> Vec<Row> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let times = named.iter().flat_map(|n| [n.stats.saved(), n.stats.render_time]);
    let most = times.map(nanos).max().unwrap_or(0);
    named
        .iter()
        .map(|named| row(visit, cache, named, |time| hundredths(nanos(time), most)))
        .collect()
}

fn row(visit: &Visit, cache: &str, named: &Named, share: impl Fn(Duration) -> u64) -> Row {
    let (stats, held) = (&named.stats, &named.held);
    Row {
        label: named.label.clone(),
        link: link(visit, cache, named),
        kind: named.kind().as_str(),
        place: place(named),
        ratio: stats.hit_ratio().map_or_else(|| "–".to_owned(), text::percent),
        shade: shade(stats.hit_ratio()),
        served: text::count(stats.served()),
        missed: text::count(stats.misses.total()),
        saved: text::time(stats.saved()),
        spent: text::time(stats.render_time),
        saved_share: share(stats.saved()),
        spent_share: share(stats.render_time),
        is_loss: stats.costs_more_than_it_saves(),
        loss: text::time(named.loss()),
        bytes: text::bytes(held.bytes),
        entries: text::count(held.entries),
        variants: held.variants,
        dead: text::count(held.dead),
        idle: stats.idle.map_or_else(|| "never".to_owned(), text::ago),
        hour: Sparkline::new(&stats.minutes),
    }
}

pub(super) fn link(visit: &Visit, cache: &str, named: &Named) -> String {
    visit.link("/name", cache, &[("key", &named.key.to_hex())])
}

/// The template and line of a block that has a name.
pub(super) fn place(named: &Named) -> Option<String> {
    let template = named.stats.template.as_ref().filter(|_| named.key.template().is_none())?;
    Some(format!("{template}:{}", named.stats.line))
}
