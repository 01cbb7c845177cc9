//! The far level: several caches, which represent processes, on one store. Each test runs with all
//! three configurations of the near level, and with opaque keys.

mod fills;
mod followers;
mod liveness;
mod outages;
#[cfg(all(feature = "mac", feature = "values"))]
mod planted;
mod prefetched;
mod reads;
mod sizes;

use std::time::Duration;

use super::{Rig, rig_with};
use crate::events::{EventKind, RefusalReason};
use crate::testing::{FaultyStore, MemoryStore};
use crate::{CacheBuilder, FarLevel};

/// An in-process store with switchable faults.
pub(super) type Store = FaultyStore<MemoryStore>;

pub(super) fn store() -> Store {
    FaultyStore::new(MemoryStore::new())
}

/// The configuration of the near level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    Strict,
    Bounded,
    None,
    /// Like the first, with opaque keys, which change what a store contains of a fragment.
    #[cfg(feature = "mac")]
    Opaque,
}

pub(super) const FRONTS: &[Front] = &[
    Front::Strict,
    Front::Bounded,
    Front::None,
    #[cfg(feature = "mac")]
    Front::Opaque,
];

/// How long a bounded near level answers without the store.
pub(super) const NEAR_TTL: Duration = Duration::from_secs(2);

impl Front {
    pub(super) fn level(self, store: &Store) -> FarLevel {
        let level = FarLevel::new(store.clone());
        match self {
            Self::Strict => level,
            Self::Bounded => level.near_ttl(NEAR_TTL),
            Self::None => level.without_near(),
            #[cfg(feature = "mac")]
            Self::Opaque => level,
        }
    }

    /// A process on this store.
    pub(super) fn process(self, store: &Store) -> Rig {
        self.waiting(store, Duration::from_millis(300))
    }

    /// A process whose callers wait as long as a test needs.
    pub(super) fn patient(self, store: &Store) -> Rig {
        self.waiting(store, Duration::from_secs(60))
    }

    /// A process with this clock.
    pub(super) fn process_by(self, store: &Store, clock: impl crate::clock::Clock) -> Rig {
        self.with(store, |builder| builder.clock(clock))
    }

    fn waiting(self, store: &Store, limit: Duration) -> Rig {
        self.with(store, |builder| builder.wait_limit(limit))
    }

    /// A process with other settings.
    pub(super) fn with(
        self,
        store: &Store,
        with: impl FnOnce(CacheBuilder) -> CacheBuilder,
    ) -> Rig {
        let level = self.level(store);
        rig_with(|builder| {
            let builder = with(builder).jitter(0.0).far(level);
            #[cfg(feature = "mac")]
            let builder = if self == Self::Opaque { builder.opaque_keys([7; 32]) } else { builder };
            builder
        })
    }

    /// Two processes on one new store.
    pub(super) fn two(self) -> (Rig, Rig, Store) {
        let store = store();
        (self.process(&store), self.process(&store), store)
    }
}

/// Runs `act` on a separate thread, like another process, regardless of open fragments on this one.
pub(super) fn elsewhere<R: Send>(act: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|threads| threads.spawn(act).join().unwrap())
}

impl Rig {
    /// Why bodies were not stored.
    pub(super) fn refusals(&self) -> Vec<RefusalReason> {
        let refused = |event: crate::testing::Recorded| match event.kind {
            EventKind::Refused(reason) => Some(reason),
            _ => None,
        };
        self.recorder.events().into_iter().filter_map(refused).collect()
    }

    /// Lets the near level's trust in its last read expire.
    pub(super) fn distrust(&self) {
        self.clock.advance(NEAR_TTL);
    }
}
