//! The reasons that events carry, each with a word for logs and metrics.

/// Declares an enum of reasons from one list of variants and words. A reason can then not be
/// missing from the counters, or be counted as another one.
macro_rules! reasons {
    (
        $(#[$docs:meta])*
        pub enum $name:ident { $( $(#[$doc:meta])* $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $( $(#[$doc])* $variant, )+ }

        impl $name {
            /// All reasons, in the order of [`index`](Self::index).
            pub(crate) const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// The position in [`ALL`](Self::ALL).
            pub(crate) const fn index(self) -> usize {
                self as usize
            }

            /// Returns the reason as one word, for logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }
    };
}

reasons! {
    /// Why a lookup was a miss.
    pub enum MissReason {
        /// Nothing is stored under this key, and no other reason is known.
        Cold = "cold",
        /// The entry had expired.
        Expired = "expired",
        /// The key was deleted after the entry's read point.
        Deleted = "deleted",
        /// The key's name was deleted.
        NameDeleted = "name_deleted",
        /// The template was deleted.
        TemplateDeleted = "template_deleted",
        /// A fragment inside this one was deleted, by its key, name, template or namespace.
        InnerDeleted = "inner_deleted",
        /// A tag of this fragment or of one inside was invalidated;
        /// [`Event::tag`](crate::events::Event::tag) has the tag.
        TagInvalidated = "tag_invalidated",
        /// The namespace, or one around it, was cleared.
        NamespaceCleared = "namespace_cleared",
        /// The cache was cleared, or the bounded label table has dropped the rows needed to be
        /// sure.
        Cleared = "cleared",
        /// Entries are stored only for another source text of the block.
        SourceChanged = "source_changed",
        /// Entries are stored only for another output mode.
        OutputMode = "output_mode",
        /// An entry is stored only for another `version=`.
        Version = "version",
        /// The entry was evicted to make room.
        Evicted = "evicted",
        /// The last render could not be stored: it was vetoed, too large, or spanned caches.
        Vetoed = "vetoed",
        /// The last render ended in an error or a panic.
        Error = "error",
        /// `refresh=` requested a new body, or another process has replaced this entry.
        Refresh = "refresh",
        /// The entry has not expired: this caller refreshes it early, and others are served
        /// meanwhile.
        Early = "early",
        /// The far store could not be queried to validate the entry.
        Unverified = "unverified",
        /// The far store has dropped the version of a label, so the entry cannot be validated.
        Forgotten = "forgotten",
        /// The record in the far store cannot be read: damaged, foreign, or of a later release.
        Unreadable = "unreadable",
    }
}

reasons! {
    /// Why a body was rendered, or a request answered, outside the cache.
    pub enum BypassReason {
        /// `unless=` was true, or the `unless` of a view.
        Unless = "unless",
        /// The timeout was `'del'`.
        Delete = "delete",
        /// The cache is disabled, or its mode is bypass.
        Mode = "mode",
        /// The mode is read-only.
        ReadOnly = "read_only",
        /// The wait for another render of the same fragment reached its limit.
        WaitLimit = "wait_limit",
        /// The caller's [read point](crate::ReadPoint) is older than an invalidation of this
        /// fragment.
        ReadPoint = "read_point",
        /// Waiting would have closed a cycle of waits, for example a render that needs its own key.
        Cycle = "cycle",
        /// The last render of this key could not be shared, so callers do not wait for this one.
        /// They wait for each other again once a render is stored, or after 5 s.
        Unshared = "unshared",
        /// Two keys share a hash, and the other one is being rendered.
        Collision = "collision",
        /// The arguments are unusable, under a policy that renders uncached.
        Refused = "refused",
        /// The request has a header that identifies its client;
        /// [`Event::header`](crate::events::Event::header) names it.
        Private = "private",
        /// A header changes the method of the request;
        /// [`Event::header`](crate::events::Event::header) names it.
        Method = "method",
        /// The request names no host, two hosts, or an invalid one.
        Host = "host",
        /// The request is for a part of the response.
        Range = "range",
        /// The request is for another protocol.
        Upgrade = "upgrade",
        /// The request has a body, which is not part of its key.
        Body = "body",
        /// The client asked not to store, and the view respects that.
        NoStore = "no_store",
        /// The method is `HEAD`, and no stored response can answer it.
        Head = "head",
        /// The view's key function returned no key.
        Key = "key",
    }
}

reasons! {
    /// Why a rendered body was not stored, or arguments were not accepted.
    pub enum RefusalReason {
        /// The timeout or the stale window is unusable.
        Timeout = "timeout",
        /// The name, a vary part or the version is unusable.
        Key = "key",
        /// A tag is unusable.
        Tag = "tag",
        /// The value of another option of the block is unusable.
        Option = "option",
        /// A value cannot be serialized.
        Value = "value",
        /// `using=` names no cache.
        Using = "using",
        /// The canonical key is longer than [`MAX_KEY_BYTES`](crate::key::MAX_KEY_BYTES).
        KeyTooLong = "key_too_long",
        /// The body is larger than the entry limit.
        BodyTooLarge = "body_too_large",
        /// The body called [`current::veto`](crate::current::veto), or a block inside is not to be
        /// cached (`unless=`, `'del'`).
        Vetoed = "vetoed",
        /// The entry had expired before its body was finished.
        Expired = "expired",
        /// A handler moved its `View` to another thread to render there and opened no scope, or the
        /// scope had not ended when the response was closed. The dependencies of the response are
        /// unknown.
        Unscoped = "unscoped",
        /// The body has a side effect that a hit would not repeat: it changes a namespace made
        /// outside the cache block, or a variable that another template's block assigns.
        SideEffect = "side_effect",
        /// A variable visible in the body has the content of a `call` block, which other callers
        /// would then be served. The cache block needs a vary part, or `shared=true`.
        CallContent = "call_content",
        /// The fragment was invalidated while it was rendered.
        Invalidated = "invalidated",
        /// The entry of a `refresh=` that began later is already stored.
        Superseded = "superseded",
        /// A fragment of another cache is inside.
        SpansCaches = "spans_caches",
        /// Another memoized function has the same name: give one of them a `name = "…"`.
        SharedName = "shared_name",
        /// The store behind the cache did not take a value, or did not confirm it. It is stored
        /// nowhere else.
        Store = "store",
    }
}

/// Why an entry left the near level without being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// To keep the near level within its bounds of bytes or entries.
    Size,
    /// Its key had too many variants.
    Variants,
    /// Another key with the same hash replaced it.
    Collision,
}

impl RemovalCause {
    /// Returns the cause as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Variants => "variants",
            Self::Collision => "collision",
        }
    }
}
