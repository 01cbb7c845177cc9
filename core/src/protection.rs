//! The protections of the protocol by name, so that a test can switch one off and show that it
//! notices. Outside this crate's own tests all of them are always on and this file is empty air.

/// What keeps a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// An invalidation fences renders under way (I1).
    Fence,
    /// A follower compares labels before it takes a leader's result (I1).
    FollowerCheck,
    /// A follower takes nothing that was not shown to hold since it came: not by the store, which may be
    /// away, and not by its own process (I1).
    FollowerProof,
    /// A new leader looks whether the one before it has landed (I2).
    SecondLook,
    /// What a `refresh=` stored is not replaced by what was read before it.
    Order,
    /// After an invalidation the followers of a failed leader join anew instead of leading (I2).
    Rejoin,
    /// A leader that fails wakes a follower (I7).
    HandOver,
    /// A wait that would close a cycle is not begun (I7).
    CycleCheck,
    /// A fragment's read point is taken when it begins, not when it is stored (I1).
    ReadAtStart,
    /// A label that the table has forgotten counts as invalidated (I1).
    Floor,
    /// A render is no newer than the read point it is made under (I1).
    ReadPoint,
    /// A fragment depends on the identities of those inside (I1).
    Inherit,
    /// In the store too a fragment is as old as what is rendered inside under an older read point (I1).
    OlderInside,
    /// A label that is learnt inside the body counts from the read point on (I1).
    LateLabels,
    /// What a refresh was to replace ends with its answer, also if that is not stored.
    NewAnswer,
    /// One caller at a time refreshes what others are served stale (I2).
    OneRefresher,
    /// An entry carries the versions that its labels had at its read point, not when it was stored
    /// (I1).
    VersionsAtReadPoint,
    /// A label that is learnt late is vouched for by its fence (I1).
    LateFences,
    /// An invalidation writes a label's fence before the label (I1).
    FenceFirst,
    /// A fill is marked before the far store is read (I1).
    MarkFill,
    /// What is written in the place of something ends that also where other processes hold it.
    Rewrite,
    /// The version of what is written is changed only from what it was when the lease was taken (I1).
    RewriteAsRead,
    /// What is added is written only if nothing is there.
    AddOnce,
    /// An invalidation raises the sequence again once the far store has answered (I1).
    RaiseAgain,
}

/// The protections of one cache.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Protections {
    #[cfg(test)]
    without: Option<Protection>,
}

impl Protections {
    /// All but one, to show what it is there for.
    #[cfg(test)]
    pub(crate) fn without(protection: Protection) -> Self {
        Self { without: Some(protection) }
    }

    /// Whether this one is on.
    #[cfg(test)]
    pub(crate) fn keep(self, protection: Protection) -> bool {
        self.without != Some(protection)
    }

    /// Whether this one is on: always.
    #[cfg(not(test))]
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "the test build looks at it")]
    pub(crate) fn keep(self, _: Protection) -> bool {
        true
    }
}
