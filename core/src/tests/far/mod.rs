//! The far level: several caches, which stand for processes, on one store. Each test holds in the
//! three ways that the near level can be in front of it, and with opaque keys.

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

/// A store of this process that can be told to fail.
pub(super) type Store = FaultyStore<MemoryStore>;

pub(super) fn store() -> Store {
    FaultyStore::new(MemoryStore::new())
}

/// How the near level stands in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    Strict,
    Bounded,
    None,
    /// As the first, with opaque keys: what a store holds of a fragment is another thing then.
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

/// For how long a bounded near level answers by itself.
pub(super) const NEAR_LIFE: Duration = Duration::from_secs(2);

impl Front {
    pub(super) fn level(self, store: &Store) -> FarLevel {
        let level = FarLevel::new(store.clone());
        match self {
            Self::Strict => level,
            Self::Bounded => level.near_life(NEAR_LIFE),
            Self::None => level.without_near(),
            #[cfg(feature = "mac")]
            Self::Opaque => level,
        }
    }

    /// A process on this store.
    pub(super) fn process(self, store: &Store) -> Rig {
        self.waiting(store, Duration::from_millis(300))
    }

    /// A process whose callers wait as long as a test wants them to.
    pub(super) fn patient(self, store: &Store) -> Rig {
        self.waiting(store, Duration::from_secs(60))
    }

    /// A process whose host has this clock.
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

    /// Two processes on one store of their own.
    pub(super) fn two(self) -> (Rig, Rig, Store) {
        let store = store();
        (self.process(&store), self.process(&store), store)
    }
}

/// Runs `act` on a thread of its own, as another process would, whatever is open on this one.
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

    /// Lets the near level's trust in what it has asked for last come to its end.
    pub(super) fn distrust(&self) {
        self.clock.advance(NEAR_LIFE);
    }
}
