//! The size of entries as this process has seen it. Entries read together must arrive within one
//! deadline of the store.

use crate::sync::{AtomicU64, Ordering};

/// Estimated bytes to read in one call. At 1 Gbit/s they take 8 ms.
const TOGETHER: u64 = 1 << 20;

/// Assumed size before any entry was seen, in bytes.
const USUAL: u64 = 1024;

/// Most entries in one call.
const MOST: u64 = 4096;

/// Moving mean of the sizes of stored and read entries.
#[derive(Debug)]
pub(super) struct Sizes(AtomicU64);

impl Default for Sizes {
    fn default() -> Self {
        Self(AtomicU64::new(USUAL))
    }
}

impl Sizes {
    /// Adds an entry of `bytes` bytes.
    pub(super) fn note(&self, bytes: usize) {
        let mean = self.0.load(Ordering::Relaxed);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 16);
        // Concurrent updates may lose one of them.
        let mean = if bytes > mean {
            mean + (bytes - mean).div_ceil(8)
        } else {
            mean - (mean - bytes) / 8
        };
        self.0.store(mean.max(1), Ordering::Relaxed);
    }

    /// How many entries to read in one call.
    pub(super) fn together(&self) -> usize {
        let fit = TOGETHER / self.0.load(Ordering::Relaxed).max(1);
        usize::try_from(fit.clamp(1, MOST)).unwrap_or(1)
    }
}
