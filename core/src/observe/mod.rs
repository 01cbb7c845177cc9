//! What the cache tells about itself: events as they happen, and counters.

use std::borrow::Cow;
use std::fmt::Debug;
use std::time::Duration;

use crate::key::FragmentKey;
use crate::sync::{AtomicU64, Ordering};

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::MetricsObserver;
#[cfg(feature = "tracing")]
pub use self::tracing::TracingObserver;

/// Why a lookup was a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissReason {
    /// Nothing is stored under this key: never rendered, deleted and gone, or evicted.
    Cold,
    /// The entry's time was over.
    Expired,
    /// The key was deleted after the entry's read point.
    Deleted,
    /// The key's name was deleted.
    NameDeleted,
    /// The template was deleted.
    TemplateDeleted,
    /// A fragment inside this one was deleted.
    InnerDeleted,
    /// Everything was cleared, or the bounded label table has forgotten too much to be sure.
    Cleared,
    /// Only entries of another source text of the block are stored.
    SourceChanged,
    /// Only entries of another output mode are stored.
    OutputMode,
    /// `refresh=` asked for a new body.
    Refresh,
}

impl MissReason {
    /// The reason as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::NameDeleted => "name_deleted",
            Self::TemplateDeleted => "template_deleted",
            Self::InnerDeleted => "inner_deleted",
            Self::Cleared => "cleared",
            Self::SourceChanged => "source_changed",
            Self::OutputMode => "output_mode",
            Self::Refresh => "refresh",
        }
    }
}

/// Why a body was rendered outside the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BypassReason {
    /// `unless=` said so.
    Unless,
    /// The timeout was `'del'`.
    Delete,
    /// The cache is disabled, or its mode is bypass.
    Mode,
    /// The mode is read-only.
    ReadOnly,
    /// The wait for another render of the same fragment reached its limit.
    WaitLimit,
    /// Waiting would have closed a cycle of waits; re-entry on the same key among them.
    Cycle,
    /// The last render of this key could not be shared, so nobody waits for this one. It is stored
    /// if it may be, and then callers wait for each other again; else after a while.
    Unshared,
    /// Two keys share a hash, and the other one is being rendered.
    Collision,
    /// The arguments are unusable, under a policy that renders uncached.
    Refused,
}

impl BypassReason {
    /// The reason as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unless => "unless",
            Self::Delete => "delete",
            Self::Mode => "mode",
            Self::ReadOnly => "read_only",
            Self::WaitLimit => "wait_limit",
            Self::Cycle => "cycle",
            Self::Unshared => "unshared",
            Self::Collision => "collision",
            Self::Refused => "refused",
        }
    }
}

/// Why a rendered body was not stored, or arguments were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The timeout is unusable.
    Timeout,
    /// The name or a vary part is unusable.
    Key,
    /// The canonical key is longer than [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    KeyTooLong,
    /// The body is larger than the entry limit.
    BodyTooLarge,
    /// A block inside asked not to be cached (`unless=`, `'del'`), or the body assigned what a hit
    /// could not assign.
    Vetoed,
    /// The fragment was invalidated while it was rendered.
    Invalidated,
    /// A `refresh=` that began later is stored already.
    Superseded,
    /// A fragment of another cache is inside.
    SpansCaches,
}

impl RefusalReason {
    /// The reason as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Key => "key",
            Self::KeyTooLong => "key_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::Vetoed => "vetoed",
            Self::Invalidated => "invalidated",
            Self::Superseded => "superseded",
            Self::SpansCaches => "spans_caches",
        }
    }
}

/// Why an entry left the near level without being asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// To keep within the bounds of bytes or entries.
    Size,
    /// Its key had too many variants.
    Variants,
    /// Another key with the same hash took its place.
    Collision,
}

impl RemovalCause {
    /// The reason as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Variants => "variants",
            Self::Collision => "collision",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A stored body was served.
    Hit,
    /// Nothing servable was stored; the body is rendered.
    Miss(MissReason),
    /// A body was stored.
    Stored {
        /// Bytes of the body.
        bytes: usize,
        /// How long rendering took.
        render_time: Duration,
    },
    /// This caller received what another one rendered meanwhile.
    Waited(Duration),
    /// The body is rendered outside the cache.
    Bypassed(BypassReason),
    /// A key was deleted.
    Deleted,
    /// An entry left to make room.
    Evicted(RemovalCause),
    /// A body was not stored, or arguments were not accepted.
    Refused(RefusalReason),
    /// An unnamed block was opened a second time in one render: its rounds share one entry.
    Repeated,
}

/// One event, with what it is about. Borrowed: copy what must outlive the call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The key, where one is known.
    pub key: Option<&'a FragmentKey>,
    /// The template, for fragments of a template.
    pub template: Option<&'a str>,
    /// The line of the cache block; 0 where there is none.
    pub line: u32,
}

impl Event<'_> {
    /// The fragment's name: bounded by what templates spell, unlike the vary parts of its key. For
    /// an unnamed block, `template:line`.
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
pub trait Observer: Debug + Send + Sync + 'static {
    /// Takes note of one event.
    fn on_event(&self, event: &Event<'_>);
}

/// Counters since the cache was made, and its present size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bodies served from the store.
    pub hits: u64,
    /// Lookups that found nothing servable, by reason.
    pub misses: Misses,
    /// Bodies stored.
    pub stores: u64,
    /// Callers that received another's render.
    pub waits: u64,
    /// Renders outside the cache.
    pub bypasses: u64,
    /// Bodies not stored and arguments not accepted.
    pub refusals: u64,
    /// Renders that ended in an error or a panic.
    pub errors: u64,
    /// Entries that left to make room.
    pub evictions: u64,
    /// Keys deleted.
    pub deletions: u64,
    /// Unnamed blocks opened again in the same render.
    pub repeats: u64,
    /// Entries held now. Entries that an invalidation has fenced count until they are asked for
    /// or evicted.
    pub entries: u64,
    /// Bytes held now: bodies, keys and overhead.
    pub bytes: u64,
    /// Renders under way now that others would wait for.
    pub flights: u64,
}

/// Misses by reason; see [`MissReason`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misses {
    /// Nothing stored.
    pub cold: u64,
    /// Time over.
    pub expired: u64,
    /// Key, name, template or an inner fragment deleted, or everything cleared.
    pub invalidated: u64,
    /// Only another source text or output mode stored.
    pub other_variant: u64,
    /// A new body was asked for.
    pub refresh: u64,
}

impl Misses {
    /// All misses.
    pub fn total(&self) -> u64 {
        self.cold + self.expired + self.invalidated + self.other_variant + self.refresh
    }
}

/// The counters behind [`Stats`] that no shard keeps.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    cold: AtomicU64,
    expired: AtomicU64,
    invalidated: AtomicU64,
    other_variant: AtomicU64,
    refresh: AtomicU64,
    stores: AtomicU64,
    waits: AtomicU64,
    bypasses: AtomicU64,
    refusals: AtomicU64,
    errors: AtomicU64,
    evictions: AtomicU64,
    deletions: AtomicU64,
    repeats: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, kind: EventKind) {
        let counter = match kind {
            EventKind::Hit => return,
            EventKind::Miss(reason) => match reason {
                MissReason::Cold => &self.cold,
                MissReason::Expired => &self.expired,
                MissReason::SourceChanged | MissReason::OutputMode => &self.other_variant,
                MissReason::Refresh => &self.refresh,
                MissReason::Deleted
                | MissReason::NameDeleted
                | MissReason::TemplateDeleted
                | MissReason::InnerDeleted
                | MissReason::Cleared => &self.invalidated,
            },
            EventKind::Stored { .. } => &self.stores,
            EventKind::Waited(_) => &self.waits,
            EventKind::Bypassed(_) => &self.bypasses,
            EventKind::Deleted => &self.deletions,
            EventKind::Evicted(_) => &self.evictions,
            EventKind::Refused(_) => &self.refusals,
            EventKind::Repeated => &self.repeats,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            misses: Misses {
                cold: get(&self.cold),
                expired: get(&self.expired),
                invalidated: get(&self.invalidated),
                other_variant: get(&self.other_variant),
                refresh: get(&self.refresh),
            },
            stores: get(&self.stores),
            waits: get(&self.waits),
            bypasses: get(&self.bypasses),
            refusals: get(&self.refusals),
            errors: get(&self.errors),
            evictions: get(&self.evictions),
            deletions: get(&self.deletions),
            repeats: get(&self.repeats),
            ..Stats::default()
        }
    }
}
