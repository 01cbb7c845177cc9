//! Hashing of keys and labels: xxh3 under a seed that no caller knows, and maps that take its
//! results as they are.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::fresh::{Label, Labels};
use crate::key;

/// What hashes keys and labels; its seed is drawn once per cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyHasher {
    seed: u64,
}

impl KeyHasher {
    pub(crate) fn random() -> Self {
        // A model that failed has to fail again when it is replayed.
        let seed = if cfg!(fragcache_shuttle) { 7 } else { RandomState::new().hash_one(0_u64) };
        Self { seed }
    }

    /// The hash of an encoded key: its place in the maps and its own label.
    pub(crate) fn key(self, encoded: &[u8]) -> u64 {
        xxh3_64_with_seed(encoded, self.seed)
    }

    pub(crate) fn name(self, encoded_name: &[u8]) -> Label {
        Label::from_hash(xxh3_64_with_seed(encoded_name, self.seed ^ 0x4e41_4d45))
    }

    pub(crate) fn template(self, template: &str) -> Label {
        let seed = self.seed ^ 0x5445_4d50_4c41_5445;
        Label::from_hash(xxh3_64_with_seed(template.as_bytes(), seed))
    }

    /// The own labels of the entry under `encoded`, whose hash is known.
    pub(crate) fn labels(self, encoded: &[u8], hash: u64, template: Option<Label>) -> Labels {
        Labels {
            key: Label::from_hash(hash),
            name: key::name_bytes(encoded).map(|name| self.name(name)),
            template,
        }
    }
}

/// For maps whose keys are hashes already.
pub(crate) type BuildIdentityHasher = BuildHasherDefault<IdentityHasher>;

/// Takes a `u64` as its own hash.
#[derive(Debug, Default)]
pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
