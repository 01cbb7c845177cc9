//! Events as counters and histograms of the `metrics` facade.

use metrics::{Label, counter, histogram};

use super::{Event, EventKind, Observer};
use crate::key::KeyKind;

/// Counts every event with the current `metrics` recorder.
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `fragcache_lookups_total` | counter | `kind`, `template`, `fragment`, `result` (`hit`, `stale`, `miss`, `wait`, `bypass`), `reason` |
/// | `fragcache_stores_total` | counter | `kind`, `template`, `fragment` |
/// | `fragcache_refusals_total` | counter | `kind`, `template`, `fragment`, `reason` |
/// | `fragcache_evictions_total` | counter | `kind`, `template`, `fragment`, `reason` |
/// | `fragcache_deletions_total` | counter | `kind`, `fragment` |
/// | `fragcache_warnings_total` | counter | `template` |
/// | `fragcache_invalidations_total` | counter | |
/// | `fragcache_store_faults_total` | counter | `reason` |
/// | `fragcache_repeats_total` | counter | `kind`, `template`, `fragment` |
/// | `fragcache_render_seconds` | histogram | `kind`, `template`, `fragment` |
/// | `fragcache_wait_seconds` | histogram | `kind`, `template`, `fragment` |
/// | `fragcache_body_bytes` | histogram | `kind`, `template`, `fragment` |
///
/// `kind` is the kind of the [key](crate::key::KeyKind): `fragment`, `value`, `function` or `view`.
/// `fragment` is the name of the fragment, the function or the view, without its vary parts; values
/// have none, because the number of their keys is unbounded. A name that a template computes from
/// data creates as many series as the data has values: give such a block a constant name and put
/// the data into the vary parts. Setting a value is not a lookup; it counts as a store.
///
/// Gauges are set by [`FragmentCache::record_metrics`](crate::FragmentCache::record_metrics).
///
/// ```
/// use fragcache::events::MetricsObserver;
/// use fragcache::FragmentCache;
///
/// let cache = FragmentCache::builder().observer(MetricsObserver).build()?;
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MetricsObserver;

impl Observer for MetricsObserver {
    fn on_event(&self, event: &Event<'_>) {
        let mut labels = Vec::new();
        if let Some(key) = event.key {
            labels.push(Label::new("kind", key.kind().as_str()));
            if key.kind() != KeyKind::Value {
                labels.push(Label::new("fragment", event.name().into_owned()));
            }
        }
        if let Some(template) = event.template {
            labels.push(Label::new("template", template.to_owned()));
        }
        let with = |extra: &[(&'static str, &'static str)]| {
            let extra = extra.iter().map(|&(key, value)| Label::new(key, value));
            labels.iter().cloned().chain(extra).collect::<Vec<_>>()
        };
        let lookup = |result, reason: Option<&'static str>| {
            let mut extra = vec![("result", result)];
            extra.extend(reason.map(|reason| ("reason", reason)));
            counter!("fragcache_lookups_total", with(&extra)).increment(1);
        };
        match event.kind {
            EventKind::Hit => lookup("hit", None),
            EventKind::Miss(reason) => lookup("miss", Some(reason.as_str())),
            EventKind::Waited(waited) => {
                lookup("wait", None);
                histogram!("fragcache_wait_seconds", labels).record(waited);
            }
            EventKind::Bypassed(reason) => lookup("bypass", Some(reason.as_str())),
            EventKind::Stored { bytes, render_time } => {
                counter!("fragcache_stores_total", with(&[])).increment(1);
                histogram!("fragcache_render_seconds", with(&[])).record(render_time);
                #[allow(clippy::cast_precision_loss, reason = "a histogram's bucket")]
                histogram!("fragcache_body_bytes", labels).record(bytes as f64);
            }
            EventKind::Refused(reason) => {
                let labels = with(&[("reason", reason.as_str())]);
                counter!("fragcache_refusals_total", labels).increment(1);
            }
            EventKind::Evicted(cause) => {
                let labels = with(&[("reason", cause.as_str())]);
                counter!("fragcache_evictions_total", labels).increment(1);
            }
            EventKind::Stale(_) => lookup("stale", None),
            EventKind::Fault(fault) => {
                counter!("fragcache_store_faults_total", "reason" => fault.as_str()).increment(1);
            }
            EventKind::StaleIfError => lookup("stale", Some("error")),
            EventKind::Invalidated => {
                counter!("fragcache_invalidations_total").increment(1);
            }
            EventKind::Deleted => counter!("fragcache_deletions_total", labels).increment(1),
            EventKind::Warned => counter!("fragcache_warnings_total", labels).increment(1),
            EventKind::Repeated => counter!("fragcache_repeats_total", labels).increment(1),
        }
    }
}
