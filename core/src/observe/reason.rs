//! The reasons that events carry, each with its word for logs and metrics.

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
    /// A tag was invalidated, of this fragment or of one inside: [`Event::tag`](crate::Event::tag) tells which.
    TagInvalidated,
    /// The namespace was cleared, or one that it lies in.
    NamespaceCleared,
    /// Only an entry of another `version=` is stored.
    Version,
    /// It was stored, and left to make room.
    Evicted,
    /// The last render could not be stored: it was vetoed, too large, or spanned caches.
    Vetoed,
    /// The last render ended in an error or a panic.
    Error,
    /// It has not expired: this caller refreshes it early, others are served meanwhile.
    Early,
    /// Only entries of another source text of the block are stored.
    SourceChanged,
    /// Only entries of another output mode are stored.
    OutputMode,
    /// `refresh=` asked for a new body, or another process has put one in this one's place.
    Refresh,
    /// The far store could not be asked whether the entry still holds.
    Unverified,
    /// The far store has forgotten a label's version, so nobody can tell whether the entry holds.
    Forgotten,
    /// What the far store holds cannot be read: damaged, foreign, or of a later release.
    Unreadable,
}

impl MissReason {
    pub(super) const ALL: [Self; 20] = [
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
        Self::Unverified,
        Self::Forgotten,
        Self::Unreadable,
    ];

    /// Its place among all reasons.
    pub(super) fn index(self) -> usize {
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
            Self::Unverified => "unverified",
            Self::Forgotten => "forgotten",
            Self::Unreadable => "unreadable",
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
    /// if it may be, and then callers wait for each other again; else after 5 s.
    Unshared,
    /// Two keys share a hash, and the other one is being rendered.
    Collision,
    /// The arguments are unusable, under a policy that renders uncached.
    Refused,
}

impl BypassReason {
    pub(super) const ALL: [Self; 10] = [
        Self::Unless,
        Self::Delete,
        Self::Mode,
        Self::ReadOnly,
        Self::WaitLimit,
        Self::ReadPoint,
        Self::Cycle,
        Self::Unshared,
        Self::Collision,
        Self::Refused,
    ];

    /// Its place among all reasons.
    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|&reason| reason == self).unwrap_or(0)
    }

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
    /// A value cannot be serialized.
    Value,
    /// `using=` names no cache.
    Using,
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
    /// The store behind the cache did not take a value, or not for sure, and it is kept nowhere else.
    Store,
}

impl RefusalReason {
    pub(super) const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Value,
        Self::Using,
        Self::Store,
        Self::Key,
        Self::Tag,
        Self::KeyTooLong,
        Self::BodyTooLarge,
        Self::Vetoed,
        Self::Invalidated,
        Self::Superseded,
        Self::SpansCaches,
    ];

    /// Its place among all reasons.
    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|&reason| reason == self).unwrap_or(0)
    }

    /// The reason as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Key => "key",
            Self::Tag => "tag",
            Self::Value => "value",
            Self::Using => "using",
            Self::KeyTooLong => "key_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::Vetoed => "vetoed",
            Self::Invalidated => "invalidated",
            Self::Superseded => "superseded",
            Self::SpansCaches => "spans_caches",
            Self::Store => "store",
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
