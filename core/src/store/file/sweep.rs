//! Removing what is over, and the oldest when there is too much; a shard at a time.

use std::os::fd::OwnedFd;

use rustix::fs::Dir;
use rustix::io::Errno;

use super::Inner;
use super::folder::{self, SHARDS};
use super::record::{Header, MOST_HEAD_BYTES, Moment};
use crate::store::{Fault, StoreError};

/// Where a walk over all shards is that goes a bit further after each write.
#[derive(Debug, Default)]
pub(super) struct Walk {
    shard: usize,
    /// Shards that writes have paid for.
    credit: f64,
    seen: Vec<Seen>,
    cut: Cut,
}

/// A record that may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    written: Moment,
    bytes: u64,
}

/// Which records go because there are too many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cut {
    before: Moment,
    /// How many of those written at that very moment go too.
    ties: u64,
}

impl Cut {
    /// What must go, oldest first, until the rest is within bounds.
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
    /// Removes what is over, then the oldest of what is too much; how many records went.
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
            // Whoever holds it may sweep it; the others need not wait.
            Err(error) if error.fault() == Fault::Busy => return Ok(0),
            Err(error) => return Err(error),
        };
        self.visit(&locked.shard, cut, seen).map_err(|errno| self.failed("swept", errno))
    }

    /// Walks on after a write of so many bytes. All shards are seen once while a sixteenth of the
    /// bounds is written, and what is then too much goes on the next way round, an eighth below
    /// them: so they hold.
    pub(super) fn walk_on(&self, bytes: usize) {
        // Another thread walks already.
        let Some(mut walk) = self.walk.try_lock() else { return };
        let part = |written: f64, max: u64| written * 16.0 * SHARDS as f64 / max as f64;
        walk.credit +=
            part(1.0, self.options.max_records) + part(bytes as f64, self.options.max_bytes);
        walk.credit = walk.credit.min(SHARDS as f64);
        while walk.credit >= 1.0 {
            walk.credit -= 1.0;
            let Walk { shard, seen, cut, .. } = &mut *walk;
            // What is locked or fails is left for the next way round.
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

    /// Removes what is over and what is cut from one shard, which is locked; adds what stays to
    /// `seen`.
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
    /// Those of a link or of another's file are `None`.
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
                    // A folder cannot be removed as a file is, and nobody put it here by mistake.
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

/// The names in a folder that are of so many hexadecimal digits.
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
