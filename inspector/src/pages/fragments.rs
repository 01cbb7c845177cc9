//! All names as a table: search, order, some at a time.

use axum::http::StatusCode;
use fragcache::FragmentCache;
use minijinja::context;

use super::rows::{self, ORDERS};
use super::{frame, show};
use crate::figures::{Figures, Named};
use crate::serve::{Answer, Visit};
use crate::text;

/// Rows on a page.
const ROWS: usize = 50;

pub(super) fn page(visit: &Visit, name: &str, cache: &FragmentCache) -> Answer {
    let figures = Figures::of(cache);
    let query = visit.query.get("q").unwrap_or_default();
    let order = rows::order(visit.query.get("sort"));
    let found = rows::sorted(&figures, order).into_iter().filter(|n| rows::matches(n, query));
    let found: Vec<&Named> = found.collect();
    let (number, pages) = number(visit, found.len(), ROWS);
    let shown: Vec<&Named> = found.iter().copied().skip((number - 1) * ROWS).take(ROWS).collect();
    let link = |sort: &str, number: usize| {
        let mut more = vec![("sort", sort)];
        let number = number.to_string();
        if !query.is_empty() {
            more.push(("q", query));
        }
        if number != "1" {
            more.push(("page", &number));
        }
        visit.link("/fragments", name, &more)
    };
    let orders = ORDERS.map(|known| {
        let is_here = known.word == order.word;
        context! { title => known.title, link => link(known.word, 1), is_here }
    });
    let context = context! {
        frame => frame(visit, name, &figures),
        sort => order.word,
        title => order.title,
        orders => orders.to_vec(),
        found => text::count(found.len() as u64),
        all => text::count(figures.named.len() as u64),
        rows => rows::rows(visit, name, &shown),
        number,
        pages,
        before => (number > 1).then(|| link(order.word, number - 1)),
        after => (number < pages).then(|| link(order.word, number + 1)),
        others => (figures.others.lookups() > 0).then(|| context! {
            served => text::count(figures.others.served()),
            missed => text::count(figures.others.misses.total()),
        }),
    };
    show(visit, StatusCode::OK, "fragments.html", context)
}

/// Which page is asked for, from 1 on, and how many there are.
pub(super) fn number(visit: &Visit, count: usize, rows: usize) -> (usize, usize) {
    let pages = count.div_ceil(rows).max(1);
    let asked = visit.query.get("page").and_then(|number| number.parse().ok());
    (asked.unwrap_or(1).clamp(1, pages), pages)
}
