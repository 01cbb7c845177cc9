//! All names as a table, with search, order and pagination.

use axum::http::StatusCode;
use fragcache::FragmentCache;
use fragcache::key::KeyKind;
use minijinja::context;

use super::rows::{self, ORDERS};
use super::{KINDS, frame, searched, show, words};
use crate::figures::{Figures, Named};
use crate::serve::{Answer, Visit};
use crate::text;

/// Rows per page.
const ROWS: usize = 50;

pub(super) fn page(visit: &Visit, name: &str, cache: &FragmentCache) -> Answer {
    let figures = Figures::of(cache);
    let query = &*searched(visit, "q");
    let order = rows::order(visit.query.get("sort"));
    let asked = visit.query.get("kind");
    let kind = KINDS.into_iter().find(|kind| Some(kind.as_str()) == asked);
    let mut found = rows::sorted(&figures, order);
    found.retain(|named| rows::matches(named, query));
    let of_kind = |kind: Option<KeyKind>| {
        found.iter().filter(|named| kind.is_none_or(|kind| named.kind() == kind)).count()
    };
    let counts = [None].into_iter().chain(KINDS.map(Some)).map(|kind| (kind, of_kind(kind)));
    let counts: Vec<_> = counts.filter(|(kind, count)| kind.is_none() || *count > 0).collect();
    found.retain(|named| kind.is_none_or(|kind| named.kind() == kind));
    let (number, pages) = number(visit, found.len(), ROWS);
    let shown: Vec<&Named> = found.iter().copied().skip((number - 1) * ROWS).take(ROWS).collect();
    let link = |kind: Option<KeyKind>, sort: &str, number: usize| {
        let mut more = vec![("sort", sort)];
        more.extend(kind.map(|kind| ("kind", kind.as_str())));
        let number = number.to_string();
        if !query.is_empty() {
            more.push(("q", query));
        }
        if number != "1" {
            more.push(("page", &number));
        }
        visit.link("/names", name, &more)
    };
    let orders = ORDERS.map(|known| {
        let is_here = known.word == order.word;
        context! { title => known.title, link => link(kind, known.word, 1), is_here }
    });
    let kinds = counts.into_iter().map(|(of, count)| {
        let title = of.map_or("All", |kind| words(kind).title);
        let count = text::count(count as u64);
        context! { title, count, link => link(of, order.word, 1), is_here => of == kind }
    });
    let context = context! {
        frame => frame(visit, name, &figures),
        sort => order.word,
        title => order.title,
        heading => kind.map_or("Names", |kind| words(kind).title),
        kind => kind.map(KeyKind::as_str),
        kinds => kinds.collect::<Vec<_>>(),
        orders => orders.to_vec(),
        found => text::count(found.len() as u64),
        all => text::count(figures.named.len() as u64),
        sees_several => figures.named.iter().any(|n| Some(n.kind()) != figures.named.first().map(Named::kind)),
        rows => rows::rows(visit, name, &shown),
        number,
        pages,
        before => (number > 1).then(|| link(kind, order.word, number - 1)),
        after => (number < pages).then(|| link(kind, order.word, number + 1)),
        others => (figures.others.lookups() > 0).then(|| context! {
            served => text::count(figures.others.served()),
            missed => text::count(figures.others.misses.total()),
        }),
    };
    show(visit, StatusCode::OK, "names.html", context)
}

/// The requested page number, from 1, and the number of pages.
pub(super) fn number(visit: &Visit, count: usize, rows: usize) -> (usize, usize) {
    let pages = count.div_ceil(rows).max(1);
    let asked = visit.query.get("page").and_then(|number| number.parse().ok());
    (asked.unwrap_or(1).clamp(1, pages), pages)
}
