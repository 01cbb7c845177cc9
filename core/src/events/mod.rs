//! What the cache tells about itself: events as they happen, and counters.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::entry::EntrySource;
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

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A stored body was served.
    Hit,
    /// A stored body was served that has expired, while another caller renders it anew or because
    /// the last to try failed; with how long ago it expired.
    Stale(Duration),
    /// A stored body was served in place of an error of this caller's own.
    StaleIfError,
    /// Nothing servable was stored; the body is rendered.
    Miss(MissReason),
    /// A body was stored.
    Stored {
        /// Bytes of the body.
        bytes: usize,
        /// How long rendering took.
        render_time: Duration,
    },
    /// This caller received what another one rendered meanwhile; with how long it waited.
    Waited(Duration),
    /// The body is rendered, or the request answered, outside the cache.
    Bypassed(BypassReason),
    /// A key, a name or a template was deleted, or a namespace or everything cleared.
    Deleted,
    /// A tag was invalidated: [`Event::tag`].
    Invalidated,
    /// An entry left to make room.
    Evicted(RemovalCause),
    /// A body was not stored, or arguments were not accepted.
    Refused(RefusalReason),
    /// An unnamed block was opened a second time in one render: its rounds share one entry.
    Repeated,
    /// A template that was loaded or a memoized function is probably wrong: [`Event::warning`].
    Warned,
    /// The store behind the cache did not do what it was asked to. While it is left alone after that,
    /// there are no more of these.
    Fault(Fault),
}

/// One event, with what it is about. Borrowed: copy what must outlive the call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The key, where one is known. Of a cache with [opaque keys](crate::CacheBuilder::opaque_keys) one that
    /// varies on something is [redacted](FragmentKey::is_redacted), and so is that of a value.
    pub key: Option<&'a FragmentKey>,
    /// The template, for fragments of a template.
    pub template: Option<&'a str>,
    /// The line of the cache block; 0 where there is none.
    pub line: u32,
    /// The namespaces that it lies in, joined by `/`; empty for none.
    pub namespace: &'a str,
    /// The tag that was invalidated: of [`EventKind::Invalidated`], and of a miss because of it
    /// (there at most its first 64 bytes).
    pub tag: Option<&'a str>,
    /// The header that makes a request bypass a view, in lower case: of [`BypassReason::Private`] and
    /// [`BypassReason::Method`]. Clients make such names up, so it is no label for metrics.
    pub header: Option<&'a str>,
    /// What is probably wrong, of [`EventKind::Warned`].
    pub warning: Option<&'a str>,
}

impl Event<'_> {
    /// Tells the observers. The key is encoded, with its namespaces or nothing but them.
    pub(crate) fn notify(
        observers: &[Arc<dyn Observer>],
        hasher: &KeyHasher,
        kind: EventKind,
        encoded: &[u8],
        source: &EntrySource,
        tag: Option<&str>,
        header: Option<&str>,
    ) {
        let namespaces: Vec<&str> = namespaces(encoded).map(|(name, _)| name).collect();
        let is_key = !without_namespaces(encoded).is_empty();
        let key = is_key.then(|| hasher.shown(encoded));
        let event = Event {
            kind,
            key: key.as_ref(),
            template: source.template.as_deref(),
            line: source.line,
            namespace: &namespaces.join("/"),
            tag,
            header,
            warning: None,
        };
        observers.iter().for_each(|observer| observer.on_event(&event));
    }

    /// Tells the observers of a warning about a line of a template, or about Rust code.
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

    /// The fragment's name: bounded by what templates spell, unlike the vary parts of its key. For
    /// an unnamed block, `template:line`. Where keys are opaque, the digest of a value's key.
    pub fn name(&self) -> Cow<'_, str> {
        match self.key {
            Some(key) => key.name().unwrap_or_else(|| Cow::Owned(key.to_string())),
            None => Cow::Borrowed(""),
        }
    }
}

/// Receives every event, on the thread where it happens, outside all locks of the cache.
///
/// It should be quick, must not panic, and may use the cache.
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
    /// Takes note of one event.
    fn on_event(&self, event: &Event<'_>);
}
