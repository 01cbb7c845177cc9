//! Shard locks. Writers hold one, and wait for it at most until the deadline of the call.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fragcache::{Clock, MonotonicClock};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::io::Errno;

use super::folder;
use super::{Fault, Inner, StoreError};

/// The time that one call may wait for locks, over all locks it needs.
pub(super) struct Patience {
    clock: MonotonicClock,
    limit: Duration,
}

impl Patience {
    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.clock.now())
    }
}

/// A locked shard.
pub(super) struct Locked<'a> {
    // Declared before the guard: the file lock is released first.
    pub(super) shard: OwnedFd,
    _alone: MutexGuard<'a, ()>,
}

impl Inner {
    pub(super) fn patience(&self) -> Patience {
        Patience { clock: MonotonicClock::default(), limit: self.options.deadline }
    }

    /// Locks the shard of a key. Creates its folder if it does not exist.
    pub(super) fn lock(&self, shard: usize, patience: &Patience) -> Result<Locked<'_>, StoreError> {
        let (modes, name) = (self.options.modes, folder::shard_name(shard));
        let folder = folder::make_folder(self.root()?, &name, modes, self.is_durable)
            .map_err(|errno| self.failed("written", errno))?;
        self.lock_folder(shard, folder, patience)
    }

    /// Like [`lock`](Self::lock). `None` if the folder does not exist, so there is no record.
    pub(super) fn lock_if_there(
        &self,
        shard: usize,
        patience: &Patience,
    ) -> Result<Option<Locked<'_>>, StoreError> {
        match folder::open_folder(self.root()?, &folder::shard_name(shard)) {
            Ok(folder) => self.lock_folder(shard, folder, patience).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("changed", errno)),
        }
    }

    /// Like [`lock_if_there`](Self::lock_if_there), without waiting.
    pub(super) fn try_lock_now(&self, shard: usize) -> Result<Option<Locked<'_>>, Errno> {
        let alone = self.shards.get(shard).and_then(|shard| shard.alone.try_lock());
        let Some(alone) = alone else { return Ok(None) };
        let root = folder::open_root(&self.path)?;
        let folder = folder::open_folder(root, &folder::shard_name(shard))?;
        Ok(folder::try_lock(&folder)?.then_some(Locked { shard: folder, _alone: alone }))
    }

    /// Waits for the lock until the call's patience is used up. Does not wait if the previous wait
    /// timed out: a process that was stopped while holding the lock keeps it, which affects only
    /// this shard's keys. File locks have no timeout, so one thread of each process polls the lock.
    fn lock_folder(
        &self,
        number: usize,
        folder: OwnedFd,
        patience: &Patience,
    ) -> Result<Locked<'_>, StoreError> {
        let busy = || {
            let message =
                format!("a shard of {} is locked by another process that writes", self.shown());
            StoreError::new(Fault::Busy, message)
        };
        let shard = self.shards.get(number).ok_or_else(busy)?;
        let is_stuck = || shard.is_stuck.load(Ordering::Relaxed) != 0;
        let patient = || if is_stuck() { Duration::ZERO } else { patience.left() };
        let alone = shard.alone.try_lock_for(patient()).ok_or_else(busy)?;
        let (nobody, never) = (Condvar::new(), Mutex::new(()));
        let mut pause = Duration::from_micros(20);
        loop {
            if folder::try_lock(&folder).map_err(|errno| self.failed("locked", errno))? {
                shard.is_stuck.store(0, Ordering::Relaxed);
                return Ok(Locked { shard: folder, _alone: alone });
            }
            if patient().is_zero() {
                shard.is_stuck.store(1, Ordering::Relaxed);
                return Err(busy());
            }
            let _ = nobody.wait_for(&mut never.lock(), pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }
}
