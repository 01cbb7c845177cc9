//! Removes records that have ended, and the oldest ones if the store is over its bounds; one shard
//! at a time.

use std::os::fd::OwnedFd;

use fragcache::store::{Fault, StoreError};
use rustix::fs::Dir;
use rustix::io::Errno;

use super::Inner;
use super::folder::{self, SHARDS};
use super::record::{Header, MOST_HEAD_BYTES, Moment};

/// The progress of a walk over all shards. It advances with each write.
#[derive(Debug, Default)]
pub(super) struct Walk {
    shard: usize,
    /// Shards to visit, as earned by writes.
    credit: f64,
    seen: Vec<Seen>,
    cut: Cut,
}

/// A live record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    written: Moment,
    bytes: u64,
}

/// The records to remove because the store is over its bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cut {
    before: Moment,
    /// How many of the records written at that very moment to remove too.
    ties: u64,
}

impl Cut {
    /// Selects the records to remove, oldest first, until the rest is within the bounds.
    fn of(seen: &mut [Seen], max_records: u64, max_bytes: u64) -> Self {
        seen.sort_unstable();
        let mut records = seen.len() as u64;
        let mut bytes: u64 = seen.iter().map(|record| record.bytes).sum();
        let mut cut = Self::default();
        for record in seen {
            if records <= max_records && bytes <= max_bytes {
                break;
            }
            let is_tie = record.written == cut.before;
            cut = Self { before: record.written, ties: if is_tie { cut.ties + 1 } else { 1 } };
            records -= 1;
            bytes -= record.bytes;
        }
        cut
    }

    fn takes(&mut self, written: Moment) -> bool {
        if written == self.before && self.ties > 0 {
            self.ties -= 1;
            return true;
        }
        written < self.before
    }
}

impl Inner {
    /// Removes records that have ended, then the oldest ones over the bounds. Returns how many
    /// records were removed.
    pub(super) fn sweep_all(&self) -> Result<u64, StoreError> {
        let (mut removed, mut seen) = (0, Vec::new());
        let mut cut = Cut::default();
        for shard in 0..SHARDS {
            removed += self.visit_waiting(shard, &mut cut, &mut seen)?;
        }
        let mut cut = Cut::of(&mut seen, self.options.max_records, self.options.max_bytes);
        if cut != Cut::default() {
            for shard in 0..SHARDS {
                removed += self.visit_waiting(shard, &mut cut, &mut Vec::new())?;
            }
        }
        Ok(removed)
    }

    fn visit_waiting(
        &self,
        shard: usize,
        cut: &mut Cut,
        seen: &mut Vec<Seen>,
    ) -> Result<u64, StoreError> {
        let locked = match self.lock_if_there(shard, &self.patience()) {
            Ok(Some(locked)) => locked,
            Ok(None) => return Ok(0),
            // The holder of the lock may sweep it itself; the other shards need not wait.
            Err(error) if error.fault() == Fault::Busy => return Ok(0),
            Err(error) => return Err(error),
        };
        self.visit(&locked.shard, cut, seen).map_err(|errno| self.failed("swept", errno))
    }

    /// Advances the walk after a write of `bytes` bytes. One round over all shards takes as long as
    /// writing a sixteenth of the bounds. If the store is then above its bounds, the next round
    /// removes enough to be an eighth below them. This keeps it within the bounds.
    pub(super) fn walk_on(&self, bytes: usize) {
        // Another thread is walking.
        let Some(mut walk) = self.walk.try_lock() else { return };
        let part = |written: f64, max: u64| written * 16.0 * SHARDS as f64 / max as f64;
        walk.credit +=
            part(1.0, self.options.max_records) + part(bytes as f64, self.options.max_bytes);
        walk.credit = walk.credit.min(SHARDS as f64);
        while walk.credit >= 1.0 {
            walk.credit -= 1.0;
            let Walk { shard, seen, cut, .. } = &mut *walk;
            // A shard that is locked or fails waits for the next round.
            if let Ok(Some(locked)) = self.try_lock_now(*shard)
                && self.visit(&locked.shard, cut, seen).is_err()
            {
                self.pass_over();
            }
            *shard += 1;
            if *shard == SHARDS {
                let less = |max: u64| max - max / 8;
                let (records, bytes) = (self.options.max_records, self.options.max_bytes);
                *cut = Cut::of(seen, less(records), less(bytes));
                seen.clear();
                *shard = 0;
            }
        }
    }

    /// Removes ended and cut records from one shard, which must be locked. Adds the rest to `seen`.
    fn visit(&self, shard: &OwnedFd, cut: &mut Cut, seen: &mut Vec<Seen>) -> Result<u64, Errno> {
        folder::remove_unfinished(shard)?;
        let (mut removed, now) = (0, self.now());
        self.each_file(shard, |leaf, name, head| {
            let header = head.and_then(|(head, bytes)| {
                Header::read(&head).filter(|header| header.file_bytes() == bytes)
            });
            let live = header.filter(|header| header.is_live(&self.boot, now));
            match live {
                Some(header) if !cut.takes(header.written) => {
                    seen.push(Seen { written: header.written, bytes: header.file_bytes() });
                    Ok(())
                }
                Some(_) | None => {
                    folder::remove(leaf, name, false)?;
                    removed += 1;
                    Ok(())
                }
            }
        })?;
        Ok(removed)
    }

    /// Calls `act` with each file of a shard: its folder, its name, its first bytes and its length.
    /// The bytes and the length are `None` for a link or a file of another user.
    pub(super) fn each_file(
        &self,
        shard: &OwnedFd,
        mut act: impl FnMut(&OwnedFd, &str, Option<(Vec<u8>, u64)>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        for leaf in names(shard, 1)? {
            let leaf = match folder::open_folder(shard, &leaf) {
                Ok(leaf) => leaf,
                Err(Errno::NOENT) => continue,
                Err(errno) if folder::is_in_the_way(errno) => {
                    self.pass_over();
                    continue;
                }
                Err(errno) => return Err(errno),
            };
            for name in names(&leaf, 29)? {
                let head = match folder::open_file(&leaf, &name) {
                    Ok((file, bytes)) => {
                        Some((folder::read(&file, MOST_HEAD_BYTES as u64)?, bytes))
                    }
                    Err(Errno::NOENT) => continue,
                    // A folder cannot be unlinked like a file, and is not here by accident.
                    Err(Errno::ISDIR) => {
                        self.pass_over();
                        continue;
                    }
                    Err(errno) if folder::is_in_the_way(errno) || errno == Errno::ACCESS => {
                        self.pass_over();
                        None
                    }
                    Err(errno) => return Err(errno),
                };
                act(&leaf, &name, head)?;
            }
        }
        Ok(())
    }
}

/// The names in a folder that have this number of hexadecimal digits.
fn names(folder: &OwnedFd, digits: usize) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if folder::is_hex(name, digits) {
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Ok(names)
}
