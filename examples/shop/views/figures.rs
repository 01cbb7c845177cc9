//! The cache's figures, for the statistics page and for `/health`.

use fragcache::FragmentCache;
use fragcache::stats::Health;

use super::row;
use crate::cell::{Cell, Row};
use crate::database::Database;

/// The rows of the statistics page, which is not cached.
pub(super) fn figures(cache: &FragmentCache, database: &Database) -> Vec<Row> {
    let stats = cache.stats();
    let mut figures = vec![figure("Fragments served from the cache", stats.hits)];
    figures.extend(stats.misses.iter().map(|(reason, count)| {
        let reason = reason.as_str().replace('_', " ");
        figure(&format!("Fragments rendered: {reason}"), count)
    }));
    figures.extend([
        figure("Fragments stored", stats.stores),
        figure("Fragments served stale", stats.stale),
        figure("Fragments received from another request's render", stats.waits),
        figure("Fragments that bypassed the cache", stats.bypasses),
        figure("Fragments rendered and not stored", stats.refusals),
        figure("Renders that failed", stats.errors),
        figure("Keys deleted", stats.deletions),
        figure("Tags invalidated", stats.invalidations),
        figure("Entries evicted to make room", stats.evictions),
        figure("Entries in memory", stats.entries),
        figure("Bytes in memory", stats.bytes),
        figure("SQL statements run", database.queries()),
    ]);
    figures.extend(of_the_store(&cache.health()));
    figures
}

/// The rows about the store behind the cache; none without a store.
fn of_the_store(health: &Health) -> Vec<Row> {
    let Some(store) = health.store else { return Vec::new() };
    let last_fault = health.last_fault.as_deref().unwrap_or("none");
    let mut figures = vec![
        figure("Store", store),
        figure("Store can be reached", if health.is_reachable { "yes" } else { "no" }),
        figure("Store: round trips", health.round_trips),
        figure("Store: fragments found", health.found),
        figure("Store: fragments unreadable", health.unreadable),
        figure("Store: invalidations not published yet", health.pending_invalidations),
        figure("Store: calls failed", health.faults),
        figure("Store: deadlines missed", health.deadlines_missed),
        figure("Store: last fault", last_fault),
    ];
    let gauges = health.gauges.iter();
    figures.extend(gauges.map(|(name, value)| {
        figure(&format!("Store, by its own count: {}", name.replace('_', " ")), *value)
    }));
    figures
}

fn figure(name: &str, value: impl Into<Cell>) -> Row {
    row([("name", name.into()), ("value", value.into())])
}

/// `ok`, and a line for each figure of the store. It reports `ok` even if the store is unavailable:
/// pages are still rendered, and a load balancer that removed the process would make things worse.
pub(crate) fn health(cache: &FragmentCache) -> String {
    let health = cache.health();
    let Some(store) = health.store else { return "ok".to_owned() };
    format!(
        "ok\nstore: {store}\nreachable: {}\npending_invalidations: {}\nround_trips: {}\n\
         found: {}\nfaults: {}\ndeadlines_missed: {}\n",
        health.is_reachable,
        health.pending_invalidations,
        health.round_trips,
        health.found,
        health.faults,
        health.deadlines_missed,
    )
}
