//! The protections of the protocol, by name. A test switches one off and shows that the tests
//! notice. Outside this crate's tests all protections are always on, and this module compiles to
//! nothing.

/// A mechanism that upholds an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// An invalidation fences renders in progress (I1).
    Fence,
    /// A follower compares labels before it accepts a leader's result (I1).
    FollowerCheck,
    /// A follower accepts a result only if it was validated after the follower arrived, by the far
    /// store, which may be unavailable, or by its own process (I1).
    FollowerProof,
    /// A new leader checks whether the previous one has completed (I2).
    SecondLook,
    /// The result of `refresh=` is not replaced by data that was read before it.
    Order,
    /// After an invalidation, the followers of a failed leader join again instead of leading (I2).
    Rejoin,
    /// A leader that fails wakes a follower (I7).
    HandOver,
    /// A wait that would close a cycle is not started (I7).
    CycleCheck,
    /// A fragment's read point is taken when it starts, not when it is stored (I1).
    ReadAtStart,
    /// A label that the table has forgotten counts as invalidated (I1).
    Floor,
    /// A render is never newer than the read point it runs under (I1).
    ReadPoint,
    /// A fragment depends on the identities of the fragments inside it (I1).
    Inherit,
    /// In the far store too, a fragment is as old as inner fragments with an older read point (I1).
    OlderInside,
    /// A label added inside the body counts from the read point on (I1).
    LateLabels,
    /// A refresh invalidates the entry that it was to replace, even if its own result is not
    /// stored.
    NewAnswer,
    /// One caller at a time refreshes an entry that is served stale to the others (I2).
    OneRefresher,
    /// An entry carries the versions that its labels had at its read point, not when it was stored
    /// (I1).
    VersionsAtReadPoint,
    /// The fence of a label that is added late proves its validity (I1).
    LateFences,
    /// An invalidation writes a label's fence before the label (I1).
    FenceFirst,
    /// A fill is marked before the far store is read (I1).
    MarkFill,
    /// A write that replaces an entry also ends the old entry in the near levels of other
    /// processes.
    Rewrite,
    /// A write changes the version only from the value that it had when the lease was taken (I1).
    RewriteAsRead,
    /// An `add` writes only if nothing is stored.
    AddOnce,
    /// An invalidation raises the sequence again after the far store has answered (I1).
    RaiseAgain,
}

/// The protections of one cache.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Protections {
    #[cfg(test)]
    without: Option<Protection>,
}

impl Protections {
    /// All protections except one. For tests that show its purpose.
    #[cfg(test)]
    pub(crate) fn without(protection: Protection) -> Self {
        Self { without: Some(protection) }
    }

    /// Whether this protection is on.
    #[cfg(test)]
    pub(crate) fn keep(self, protection: Protection) -> bool {
        self.without != Some(protection)
    }

    /// Whether this protection is on: always.
    #[cfg(not(test))]
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "the test build looks at it")]
    pub(crate) fn keep(self, _: Protection) -> bool {
        true
    }
}
