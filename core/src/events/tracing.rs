//! Events as `tracing` events. Only names and numbers are recorded, never a vary part.

use super::{Event, EventKind, Observer};

/// Sends every event to the current `tracing` subscriber, under the target `fragcache`.
///
/// Levels: `TRACE` for hits, misses, stores and waits; `DEBUG` for bypasses, stale bodies,
/// deletions, invalidations and evictions; `WARN` for refusals, repeated unnamed blocks, warnings
/// about templates and stale-if-error. Fields: `template`, `line`, `namespace`, `fragment` (the
/// name), and where they apply `reason`, `tag`, `header`, `warning`, `bytes`, `render_us`,
/// `waited_us` and `expired_us`.
///
/// ```
/// use fragcache::events::TracingObserver;
/// use fragcache::FragmentCache;
///
/// let cache = FragmentCache::builder().observer(TracingObserver).build()?;
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingObserver;

const TARGET: &str = "fragcache";

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

macro_rules! record {
    ($level:ident, $event:expr, $what:literal $(, $field:ident = $value:expr)*) => {
        tracing::event!(
            target: TARGET,
            tracing::Level::$level,
            template = $event.template,
            line = $event.line,
            namespace = Some($event.namespace).filter(|path| !path.is_empty()),
            fragment = $event.name().as_ref(),
            $($field = $value,)*
            $what
        )
    };
}

impl Observer for TracingObserver {
    fn on_event(&self, event: &Event<'_>) {
        match event.kind {
            EventKind::Hit => record!(TRACE, event, "hit"),
            EventKind::Miss(reason) => {
                record!(TRACE, event, "miss", reason = reason.as_str(), tag = event.tag);
            }
            EventKind::Stored { bytes, render_time } => {
                record!(TRACE, event, "stored", bytes = bytes, render_us = micros(render_time));
            }
            EventKind::Waited(waited) => {
                record!(TRACE, event, "waited", waited_us = micros(waited));
            }
            EventKind::Bypassed(reason) => {
                let reason = reason.as_str();
                record!(DEBUG, event, "bypassed", reason = reason, header = event.header);
            }
            EventKind::Stale(age) => record!(DEBUG, event, "stale", expired_us = micros(age)),
            EventKind::StaleIfError => record!(WARN, event, "stale, in place of an error"),
            EventKind::Deleted => record!(DEBUG, event, "deleted"),
            EventKind::Invalidated => record!(DEBUG, event, "invalidated", tag = event.tag),
            EventKind::Evicted(cause) => record!(DEBUG, event, "evicted", reason = cause.as_str()),
            EventKind::Refused(reason) => record!(WARN, event, "refused", reason = reason.as_str()),
            EventKind::Warned => record!(WARN, event, "warning", warning = event.warning),
            EventKind::Fault(fault) => {
                record!(WARN, event, "store fault", reason = fault.as_str());
            }
            EventKind::Repeated => record!(WARN, event, "unnamed block repeated"),
        }
    }
}
