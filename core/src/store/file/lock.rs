//! The locks of shards: whoever writes holds one, and waits for it no longer than its call may take.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;

use super::folder;
use super::{Fault, Inner, StoreError};
use crate::clock::{Clock, MonotonicClock};
use crate::sync::{Condvar, Mutex, MutexGuard, Ordering};

/// For how long one call waits for locks, however many it needs.
pub(super) struct Patience {
    clock: MonotonicClock,
    limit: Duration,
}

impl Patience {
    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.clock.now())
    }
}

/// A shard whose lock is held.
pub(super) struct Locked<'a> {
    // Before the guard, so that the file lock goes first.
    pub(super) shard: OwnedFd,
    _alone: MutexGuard<'a, ()>,
}

impl Inner {
    pub(super) fn patience(&self) -> Patience {
        Patience { clock: MonotonicClock::default(), limit: self.options.deadline }
    }

    /// Locks the shard of a key, whose folder is made if it is not there.
    pub(super) fn lock(&self, shard: usize, patience: &Patience) -> Result<Locked<'_>, StoreError> {
        let (modes, name) = (self.options.modes, folder::shard_name(shard));
        let folder = folder::make_folder(self.root()?, &name, modes, self.is_durable)
            .map_err(|errno| self.failed("written", errno))?;
        self.lock_folder(shard, folder, patience)
    }

    /// As [`lock`](Self::lock); `None` if there is no such folder, and so no record.
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

    /// As [`lock_if_there`](Self::lock_if_there), without waiting for others.
    pub(super) fn try_lock_now(&self, shard: usize) -> Result<Option<Locked<'_>>, Errno> {
        let alone = self.shards.get(shard).and_then(|shard| shard.alone.try_lock());
        let Some(alone) = alone else { return Ok(None) };
        let root = folder::open_root(&self.path)?;
        let folder = folder::open_folder(root, &folder::shard_name(shard))?;
        Ok(folder::try_lock(&folder)?.then_some(Locked { shard: folder, _alone: alone }))
    }

    /// Waits for the lock as long as the call's patience lasts; not at all if the one before waited in
    /// vain: a process that was stopped with the lock keeps it, and only this shard's keys. The lock of
    /// a file has no deadline of its own, so it is asked for again and again, by one thread of each
    /// process.
    fn lock_folder(
        &self,
        number: usize,
        folder: OwnedFd,
        patience: &Patience,
    ) -> Result<Locked<'_>, StoreError> {
        let busy = || {
            let message =
                format!("a shard of {} is held by another process that writes", self.shown());
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
