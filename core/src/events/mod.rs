//! Events of the cache as they happen, and observers that receive them.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::hash::KeyHasher;
use crate::key::{FragmentKey, namespaces, without_namespaces};
use crate::store::Fault;

#[cfg(feature = "metrics")]
mod metrics;
mod reason;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::MetricsObserver;
#[cfg(feature = "tracing")]
pub use self::tracing::TracingObserver;
pub use reason::{BypassReason, MissReason, RefusalReason, RemovalCause};

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A stored body was served.
    Hit,
    /// An expired body was served, because another caller refreshes it or because the last refresh
    /// failed; with the time since it expired.
    Stale(Duration),
    /// An expired body was served in place of an error of this caller's own body.
    StaleIfError,
    /// No servable entry was stored; the body is rendered.
    Miss(MissReason),
    /// A body was stored.
    Stored {
        /// Bytes of the body.
        bytes: usize,
        /// Time the render took.
        render_time: Duration,
    },
    /// This caller received the render of another one; with the time it waited.
    Waited(Duration),
    /// The body is rendered, or the request answered, outside the cache.
    Bypassed(BypassReason),
    /// A key, a name or a template was deleted, or a namespace or the whole cache cleared.
    Deleted,
    /// A tag was invalidated; [`Event::tag`] has it.
    Invalidated,
    /// An entry was evicted to make room.
    Evicted(RemovalCause),
    /// A body was not stored, or arguments were not accepted.
    Refused(RefusalReason),
    /// An unnamed block was opened a second time in one render, so both times share one entry.
    Repeated,
    /// A loaded template or a memoized function is probably wrong; [`Event::warning`] says how.
    Warned,
    /// The store behind the cache failed an operation. There are no more of these events while the
    /// cache leaves the store alone after that.
    Fault(Fault),
}

/// An event and its context. The fields are borrowed: copy what must outlive the call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The kind of the event.
    pub kind: EventKind,
    /// The key, if known. With [opaque keys](crate::CacheBuilder::opaque_keys), a key with vary
    /// parts and the key of a value are [redacted](FragmentKey::is_redacted).
    pub key: Option<&'a FragmentKey>,
    /// The template, for fragments of a template.
    pub template: Option<&'a str>,
    /// The line of the cache block; 0 if there is none.
    pub line: u32,
    /// The namespaces of the key, joined by `/`; empty for none.
    pub namespace: &'a str,
    /// The invalidated tag: for [`EventKind::Invalidated`], and for a miss that it caused (at most
    /// its first 64 bytes there).
    pub tag: Option<&'a str>,
    /// The header that makes a request bypass a view, in lower case: for [`BypassReason::Private`]
    /// and [`BypassReason::Method`]. Clients choose such names, so do not use it as a metric label.
    pub header: Option<&'a str>,
    /// The warning, for [`EventKind::Warned`].
    pub warning: Option<&'a str>,
}

impl Event<'_> {
    /// Notifies the observers. `key` is encoded, with its namespaces; it may consist of namespaces
    /// only.
    pub(crate) fn notify(
        observers: &[Arc<dyn Observer>],
        hasher: &KeyHasher,
        kind: EventKind,
        encoded: &[u8],
        place: Option<(&str, u32)>,
        tag: Option<&str>,
        header: Option<&str>,
    ) {
        let namespaces: Vec<&str> = namespaces(encoded).map(|(name, _)| name).collect();
        let is_key = !without_namespaces(encoded).is_empty();
        let key = is_key.then(|| hasher.shown(encoded));
        let event = Event {
            kind,
            key: key.as_ref(),
            template: place.map(|(template, _)| template),
            line: place.map_or(0, |(_, line)| line),
            namespace: &namespaces.join("/"),
            tag,
            header,
            warning: None,
        };
        observers.iter().for_each(|observer| observer.on_event(&event));
    }

    /// Notifies the observers of a warning about a line of a template, or about Rust code.
    pub(crate) fn warn(observers: &[Arc<dyn Observer>], place: Option<(&str, u32)>, warning: &str) {
        let event = Event {
            kind: EventKind::Warned,
            key: None,
            template: place.map(|(template, _)| template),
            line: place.map_or(0, |(_, line)| line),
            namespace: "",
            tag: None,
            header: None,
            warning: Some(warning),
        };
        observers.iter().for_each(|observer| observer.on_event(&event));
    }

    /// Returns the fragment's name. Names are bounded by what templates spell, unlike vary parts.
    /// For an unnamed block it is `template:line`; for a value with an opaque key, the digest of
    /// the key.
    pub fn name(&self) -> Cow<'_, str> {
        match self.key {
            Some(key) => key.name().unwrap_or_else(|| Cow::Owned(key.to_string())),
            None => Cow::Borrowed(""),
        }
    }
}

/// Receives every event, on the thread where it happens, outside all locks of the cache.
///
/// An observer should be quick and must not panic. It may use the cache.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::Arc;
/// use fragcache::events::{Event, EventKind, Observer};
/// use fragcache::{Fragment, FragmentCache, fragment_key};
///
/// /// Counts the fragments that are rendered.
/// #[derive(Debug, Clone, Default)]
/// struct Misses(Arc<AtomicU64>);
///
/// impl Observer for Misses {
///     fn on_event(&self, event: &Event<'_>) {
///         if matches!(event.kind, EventKind::Miss { .. }) {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let misses = Misses::default();
/// let cache = FragmentCache::builder().observer(misses.clone()).build()?;
/// cache.render(&Fragment::new(fragment_key!("counters", 7)), || "<td>7</td>")?;
/// assert_eq!(misses.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), fragcache::Error>(())
/// ```
pub trait Observer: Debug + Send + Sync + 'static {
    /// Handles one event.
    fn on_event(&self, event: &Event<'_>);
}
