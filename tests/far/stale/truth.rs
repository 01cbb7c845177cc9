//! The data: a few numbers in a file. All processes read it, and one at a time changes it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Number of numbers.
pub(super) const KEYS: usize = 3;

#[derive(Debug)]
pub(super) struct Truth(File);

impl Truth {
    pub(super) fn create(path: &Path) {
        std::fs::write(path, [0; 8 * KEYS]).unwrap();
    }

    pub(super) fn open(path: &Path) -> Self {
        Self(OpenOptions::new().read(true).write(true).open(path).unwrap())
    }

    pub(super) fn of(&self, key: usize) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 8 * key as u64).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// Called only by the process that may change this number.
    pub(super) fn change(&self, key: usize) {
        let changed = self.of(key) + 1;
        self.0.write_all_at(&changed.to_le_bytes(), 8 * key as u64).unwrap();
    }
}
