//! What the cache tells about itself: events as they happen, and counters.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::time::Duration;

use crate::entry::Origin;
use crate::key::{FragmentKey, namespaces, without_namespaces};
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
    /// Nothing is stored under this key, for no reason that is remembered.
    Cold,
    /// The entry's time was over.
    Expired,
    /// The key was deleted after the entry's read point.
    Deleted,
    /// The key's name was deleted.
    NameDeleted,
    /// The template was deleted.
    TemplateDeleted,
    /// A fragment inside this one was deleted, by its key, name, template or namespace.
    InnerDeleted,
    /// Everything was cleared, or the bounded label table has forgotten too much to be sure.
    Cleared,
    /// A tag was invalidated, of this fragment or of one inside: [`Event::tag`] tells which.
    TagInvalidated,
    /// The namespace was cleared, or one that it lies in.
    NamespaceCleared,
    /// Only an entry of another `version=` is stored.
    Version,
    /// It was stored, and left to make room.
    Evicted,
    /// The last render could not be stored: it was vetoed, or too large.
    Vetoed,
    /// The last render ended in an error or a panic.
    Error,
    /// It has not expired: this caller refreshes it early, others are served meanwhile.
    Early,
    /// Only entries of another source text of the block are stored.
    SourceChanged,
    /// Only entries of another output mode are stored.
    OutputMode,
    /// `refresh=` asked for a new body.
    Refresh,
}

impl MissReason {
    const ALL: [Self; 17] = [
        Self::Cold,
        Self::Expired,
        Self::Deleted,
        Self::NameDeleted,
        Self::TemplateDeleted,
        Self::InnerDeleted,
        Self::TagInvalidated,
        Self::NamespaceCleared,
        Self::Cleared,
        Self::SourceChanged,
        Self::OutputMode,
        Self::Version,
        Self::Evicted,
        Self::Vetoed,
        Self::Error,
        Self::Refresh,
        Self::Early,
    ];

    /// Its place among all reasons.
    fn index(self) -> usize {
        Self::ALL.iter().position(|&reason| reason == self).unwrap_or(0)
    }

    /// The reason as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::NameDeleted => "name_deleted",
            Self::TemplateDeleted => "template_deleted",
            Self::InnerDeleted => "inner_deleted",
            Self::TagInvalidated => "tag_invalidated",
            Self::NamespaceCleared => "namespace_cleared",
            Self::Version => "version",
            Self::Evicted => "evicted",
            Self::Vetoed => "vetoed",
            Self::Error => "error",
            Self::Early => "early",
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
    /// The caller's [read point](crate::ReadPoint) is older than an invalidation of this fragment.
    ReadPoint,
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
            Self::ReadPoint => "read_point",
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
    /// The timeout or the stale window is unusable.
    Timeout,
    /// The name, a vary part or the version is unusable.
    Key,
    /// A tag is unusable.
    Tag,
    /// The canonical key is longer than [`MAX_KEY_BYTES`](crate::MAX_KEY_BYTES).
    KeyTooLong,
    /// The body is larger than the entry limit.
    BodyTooLarge,
    /// The body vetoed it ([`current::veto`](crate::current::veto)), a block inside asked not to be
    /// cached (`unless=`, `'del'`), or the body assigned what a hit could not assign.
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
            Self::Tag => "tag",
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
    /// A stored body was served that has expired, while another caller renders it anew or because
    /// the last to try failed: so long ago it expired.
    Stale(Duration),
    /// A stored body was served in place of an error of this caller's own.
    StoodIn,
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
    /// A key, a name, a template or everything was deleted.
    Deleted,
    /// A tag was invalidated: [`Event::tag`].
    Invalidated,
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
    /// The namespaces that it lies in, joined by `/`; empty for none.
    pub namespace: &'a str,
    /// The tag that was invalidated: of [`EventKind::Invalidated`], and of a miss because of it.
    /// At most its first 64 bytes.
    pub tag: Option<&'a str>,
}

impl Event<'_> {
    /// Tells an observer. The key is encoded, with its namespaces or nothing but them.
    pub(crate) fn tell(
        observer: &dyn Observer,
        kind: EventKind,
        encoded: &[u8],
        origin: &Origin,
        tag: Option<&str>,
    ) {
        let namespaces: Vec<&str> = namespaces(encoded).map(|(name, _)| name).collect();
        let key = Some(without_namespaces(encoded)).filter(|key| !key.is_empty());
        observer.on_event(&Event {
            kind,
            key: key.map(FragmentKey::from_encoded).as_ref(),
            template: origin.template.as_deref(),
            line: origin.line,
            namespace: &namespaces.join("/"),
            tag,
        });
    }

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
    /// Expired bodies served, to others than the one who renders anew or in place of an error.
    pub stale: u64,
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
    /// Keys, names and templates deleted, and clears.
    pub deletions: u64,
    /// Tags invalidated.
    pub invalidations: u64,
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

/// Misses by reason.
///
/// ```
/// use fragcache::{Fragment, FragmentCache, MissReason, fragment_key};
///
/// let cache = FragmentCache::in_memory();
/// cache.render(&Fragment::new(fragment_key!("row")), || "")?;
/// let misses = cache.stats().misses;
/// assert_eq!((misses.of(MissReason::Cold), misses.total()), (1, 1));
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Misses([u64; MissReason::ALL.len()]);

impl Misses {
    /// Misses for one reason.
    pub fn of(&self, reason: MissReason) -> u64 {
        self.0[reason.index()]
    }

    /// Every reason with its misses.
    pub fn iter(&self) -> impl Iterator<Item = (MissReason, u64)> {
        MissReason::ALL.into_iter().zip(self.0)
    }

    /// All misses.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Debug for Misses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.iter().filter(|&(_, count)| count > 0);
        f.debug_map().entries(counted.map(|(reason, count)| (reason.as_str(), count))).finish()
    }
}

/// The counters behind [`Stats`] that no shard keeps.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    misses: [AtomicU64; MissReason::ALL.len()],
    stale: AtomicU64,
    stores: AtomicU64,
    waits: AtomicU64,
    bypasses: AtomicU64,
    refusals: AtomicU64,
    errors: AtomicU64,
    evictions: AtomicU64,
    deletions: AtomicU64,
    invalidations: AtomicU64,
    repeats: AtomicU64,
}

impl Counters {
    pub(crate) fn count(&self, kind: EventKind) {
        let counter = match kind {
            EventKind::Hit => return,
            EventKind::Stale(_) | EventKind::StoodIn => &self.stale,
            EventKind::Miss(reason) => &self.misses[reason.index()],
            EventKind::Stored { .. } => &self.stores,
            EventKind::Waited(_) => &self.waits,
            EventKind::Bypassed(_) => &self.bypasses,
            EventKind::Deleted => &self.deletions,
            EventKind::Invalidated => &self.invalidations,
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
            misses: Misses(self.misses.each_ref().map(get)),
            stale: get(&self.stale),
            stores: get(&self.stores),
            waits: get(&self.waits),
            bypasses: get(&self.bypasses),
            refusals: get(&self.refusals),
            errors: get(&self.errors),
            evictions: get(&self.evictions),
            deletions: get(&self.deletions),
            invalidations: get(&self.invalidations),
            repeats: get(&self.repeats),
            ..Stats::default()
        }
    }
}
