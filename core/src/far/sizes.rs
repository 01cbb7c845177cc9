//! How large entries are, as far as this process has seen: what is read together must come within one
//! deadline of the store.

use crate::sync::{AtomicU64, Ordering};

/// As many bytes are read in one call, by estimation. A gigabit a second brings them in 8 ms.
const TOGETHER: u64 = 1 << 20;

/// What is taken to be usual before anything was seen.
const USUAL: u64 = 1024;

/// Most entries of one call.
const MOST: u64 = 4096;

/// The moving mean of what was stored and read.
#[derive(Debug)]
pub(super) struct Sizes(AtomicU64);

impl Default for Sizes {
    fn default() -> Self {
        Self(AtomicU64::new(USUAL))
    }
}

impl Sizes {
    /// An entry of so many bytes was seen.
    pub(super) fn note(&self, bytes: usize) {
        let mean = self.0.load(Ordering::Relaxed);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX / 16);
        // Two that note at once may lose one of them.
        let mean = if bytes > mean {
            mean + (bytes - mean).div_ceil(8)
        } else {
            mean - (mean - bytes) / 8
        };
        self.0.store(mean.max(1), Ordering::Relaxed);
    }

    /// How many entries are read in one call.
    pub(super) fn together(&self) -> usize {
        let fit = TOGETHER / self.0.load(Ordering::Relaxed).max(1);
        usize::try_from(fit.clamp(1, MOST)).unwrap_or(1)
    }
}
