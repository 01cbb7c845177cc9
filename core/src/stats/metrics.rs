//! The gauges of the `metrics` facade.

use metrics::gauge;

use super::{Health, Stats};

#[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
pub(crate) fn record(name: &str, stats: &Stats, health: Health) {
    let set = |metric: String, value: u64| {
        gauge!(metric, "cache" => name.to_owned()).set(value as f64);
    };
    set("fragcache_entries".to_owned(), stats.entries);
    set("fragcache_bytes".to_owned(), stats.bytes);
    if health.store.is_none() {
        return;
    }
    let own = [
        ("reachable", u64::from(health.is_reachable)),
        ("pending_invalidations", health.pending_invalidations),
        ("waiting_repeats", health.waiting_repeats),
        ("leases", health.leases),
        ("round_trips", health.round_trips),
        ("faults", health.faults),
        ("deadlines_missed", health.deadlines_missed),
        ("unreadable", health.unreadable),
    ];
    for (metric, value) in own.into_iter().chain(health.gauges) {
        set(format!("fragcache_store_{metric}"), value);
    }
}
