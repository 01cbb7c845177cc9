//! Events as `tracing` events. Only names and numbers are recorded, never a vary value.

use super::{Event, EventKind, Observer};

/// Writes every event to the `tracing` subscriber in force, under the target `fragcache`.
///
/// Hits, misses, stores and waits are at level `TRACE`, bypasses, deletions and evictions at
/// `DEBUG`, refusals and repeated unnamed blocks at `WARN`. Fields: `template`, `line`, `fragment`
/// (the name), and `reason`, `bytes`, `render_us` or `waited_us` where there are such.
///
/// ```
/// use fragcache::{FragmentCache, TracingObserver};
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
            EventKind::Miss(reason) => record!(TRACE, event, "miss", reason = reason.as_str()),
            EventKind::Stored { bytes, render_time } => {
                record!(TRACE, event, "stored", bytes = bytes, render_us = micros(render_time));
            }
            EventKind::Waited(waited) => {
                record!(TRACE, event, "waited", waited_us = micros(waited));
            }
            EventKind::Bypassed(reason) => {
                record!(DEBUG, event, "bypassed", reason = reason.as_str());
            }
            EventKind::Deleted => record!(DEBUG, event, "deleted"),
            EventKind::Evicted(cause) => record!(DEBUG, event, "evicted", reason = cause.as_str()),
            EventKind::Refused(reason) => record!(WARN, event, "refused", reason = reason.as_str()),
            EventKind::Repeated => record!(WARN, event, "unnamed block repeated"),
        }
    }
}
