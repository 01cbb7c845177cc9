//! The reasons that events carry, each with its word for logs and metrics.

/// Declares an enum of reasons from one list of variants and words, so that no reason can be missing
/// from what is counted, and none is counted as another.
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
            /// All of them, in the order of [`index`](Self::index).
            pub(crate) const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// Its place in [`ALL`](Self::ALL).
            pub(crate) const fn index(self) -> usize {
                self as usize
            }

            /// The reason as one word, for logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }
    };
}

reasons! {
    /// Why a lookup was a miss.
    pub enum MissReason {
        /// Nothing is stored under this key, for no reason that is remembered.
        Cold = "cold",
        /// The entry's time was over.
        Expired = "expired",
        /// The key was deleted after the entry's read point.
        Deleted = "deleted",
        /// The key's name was deleted.
        NameDeleted = "name_deleted",
        /// The template was deleted.
        TemplateDeleted = "template_deleted",
        /// A fragment inside this one was deleted, by its key, name, template or namespace.
        InnerDeleted = "inner_deleted",
        /// A tag was invalidated, of this fragment or of one inside: [`Event::tag`](crate::events::Event::tag) tells which.
        TagInvalidated = "tag_invalidated",
        /// The namespace was cleared, or one that it lies in.
        NamespaceCleared = "namespace_cleared",
        /// Everything was cleared, or the bounded label table has forgotten too much to be sure.
        Cleared = "cleared",
        /// Only entries of another source text of the block are stored.
        SourceChanged = "source_changed",
        /// Only entries of another output mode are stored.
        OutputMode = "output_mode",
        /// Only an entry of another `version=` is stored.
        Version = "version",
        /// It was stored, and left to make room.
        Evicted = "evicted",
        /// The last render could not be stored: it was vetoed, too large, or spanned caches.
        Vetoed = "vetoed",
        /// The last render ended in an error or a panic.
        Error = "error",
        /// `refresh=` asked for a new body, or another process has put one in this one's place.
        Refresh = "refresh",
        /// It has not expired: this caller refreshes it early, others are served meanwhile.
        Early = "early",
        /// The far store could not be asked whether the entry still holds.
        Unverified = "unverified",
        /// The far store has forgotten a label's version, so nobody can tell whether the entry holds.
        Forgotten = "forgotten",
        /// What the far store holds cannot be read: damaged, foreign, or of a later release.
        Unreadable = "unreadable",
    }
}

reasons! {
    /// Why a body was rendered outside the cache, or a request was answered so.
    pub enum BypassReason {
        /// `unless=` said so, or the `unless` of a view.
        Unless = "unless",
        /// The timeout was `'del'`.
        Delete = "delete",
        /// The cache is disabled, or its mode is bypass.
        Mode = "mode",
        /// The mode is read-only.
        ReadOnly = "read_only",
        /// The wait for another render of the same fragment reached its limit.
        WaitLimit = "wait_limit",
        /// The caller's [read point](crate::ReadPoint) is older than an invalidation of this fragment.
        ReadPoint = "read_point",
        /// Waiting would have closed a cycle of waits; re-entry on the same key among them.
        Cycle = "cycle",
        /// The last render of this key could not be shared, so nobody waits for this one. It is stored
        /// if it may be, and then callers wait for each other again; else after 5 s.
        Unshared = "unshared",
        /// Two keys share a hash, and the other one is being rendered.
        Collision = "collision",
        /// The arguments are unusable, under a policy that renders uncached.
        Refused = "refused",
        /// A request has a header that says who asks: [`Event::header`](crate::events::Event::header).
        Private = "private",
        /// A header turns a request into one of another method: [`Event::header`](crate::events::Event::header).
        Method = "method",
        /// A request names no host, two, or one that is none.
        Host = "host",
        /// A request asks for a part of the response.
        Range = "range",
        /// A request asks for another protocol.
        Upgrade = "upgrade",
        /// A request has a body, which is no part of its key.
        Body = "body",
        /// The client wants nothing to be stored, and the view heeds it.
        NoStore = "no_store",
        /// A `HEAD`, and no response is stored that would answer it.
        Head = "head",
        /// The view's key function gave no key.
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
        /// A value cannot be serialized.
        Value = "value",
        /// `using=` names no cache.
        Using = "using",
        /// The canonical key is longer than [`MAX_KEY_BYTES`](crate::key::MAX_KEY_BYTES).
        KeyTooLong = "key_too_long",
        /// The body is larger than the entry limit.
        BodyTooLarge = "body_too_large",
        /// The body vetoed it ([`current::veto`](crate::current::veto)), or a block inside asked not to
        /// be cached (`unless=`, `'del'`).
        Vetoed = "vetoed",
        /// Its life was over when its body was finished.
        Expired = "expired",
        /// A handler took its `View` to render on another thread, and opened no scope, or one that
        /// had not ended when the response was closed: nobody knows what it depends on.
        Unscoped = "unscoped",
        /// The body changed what a hit could not change: a namespace made outside the cache block, or a
        /// variable that another template's block assigns.
        SideEffect = "side_effect",
        /// A variable that the body sees holds the content of a `call` block, which another caller
        /// would be served: the cache block needs a vary part, or `shared=true`.
        CallContent = "call_content",
        /// The fragment was invalidated while it was rendered.
        Invalidated = "invalidated",
        /// A `refresh=` that began later is stored already.
        Superseded = "superseded",
        /// A fragment of another cache is inside.
        SpansCaches = "spans_caches",
        /// Another memoized function has this one's name: give one a `name = "…"`.
        SharedName = "shared_name",
        /// The store behind the cache did not take a value, or not for sure, and it is kept nowhere else.
        Store = "store",
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
