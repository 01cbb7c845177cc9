//! Hashing of keys and labels: xxh3 under a seed that no caller knows, and maps that take its
//! results as they are.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::fresh::{Label, Labels};
use crate::key;

/// The hash of what `version=` said. Two versions of one record share it once in 2⁶⁴ changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Version(u64);

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

    /// A number for the cache that this hashes for, which does not give the seed away.
    pub(crate) fn cache_number(self) -> u64 {
        xxh3_64_with_seed(b"cache", self.seed)
    }

    /// The hash of an encoded key: its place in the maps and its own label.
    pub(crate) fn key(self, encoded: &[u8]) -> u64 {
        xxh3_64_with_seed(encoded, self.seed)
    }

    /// The label of a name, from what [`key::name_bytes`] gives.
    pub(crate) fn name(self, encoded_name: &[u8]) -> Label {
        self.label(encoded_name, 0x4e41_4d45)
    }

    /// The label of a template in the root namespace; see [`Label::within`].
    pub(crate) fn template(self, template: &str) -> Label {
        self.label(template.as_bytes(), 0x5445_4d50_4c41_5445)
    }

    /// The label of a tag in the root namespace; see [`Label::within`].
    pub(crate) fn tag(self, tag: &str) -> Label {
        self.label(tag.as_bytes(), 0x0054_4147)
    }

    /// The label of the namespace that these bytes of a key name.
    pub(crate) fn namespace(self, encoded: &[u8]) -> Label {
        self.label(encoded, 0x4e53)
    }

    /// A record's version as entries keep it; never zero, which is no version.
    pub(crate) fn version(self, encoded: &[u8]) -> Version {
        Version(xxh3_64_with_seed(encoded, self.seed ^ 0x5645_5253).max(1))
    }

    /// The own labels of the entry under `encoded`, whose hash is known.
    pub(crate) fn labels(self, encoded: &[u8], hash: u64, template: Option<Label>) -> Labels {
        let namespaces: SmallVec<_> =
            key::namespaces(encoded).map(|(_, prefix)| self.namespace(prefix)).collect();
        let innermost = namespaces.last().copied();
        Labels {
            key: Label::from_hash(hash),
            name: key::name_bytes(encoded).map(|name| self.name(name)),
            template: template.map(|template| template.within(innermost)),
            namespaces,
        }
    }

    fn label(self, bytes: &[u8], kind: u64) -> Label {
        Label::from_hash(xxh3_64_with_seed(bytes, self.seed ^ kind))
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
