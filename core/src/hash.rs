//! Hashing of keys and labels. Keys are hashed under a secret random seed, and the maps of keys use
//! the result as it is. Labels and versions must mean the same in every process that shares a
//! store, so their seed is fixed, and maps of labels mix in a seed of their own. With opaque keys,
//! `opaque` hashes the labels.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

use crate::key::{self, FragmentKey};
use crate::label::{Label, Labels};
use crate::opaque::{KeyedHash, OpaqueSecret};

/// An encoded key with its hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedKey<'a> {
    pub(crate) hash: u64,
    pub(crate) key: &'a [u8],
}

/// The hash of a `version=`. Two versions of one record collide once in 2⁶⁴ changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Version(u64);

impl Version {
    /// The version as a number; zero for none.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }
}

/// Domains of hashing: equal bytes of different domains do not share a hash, except by accident.
const KEY: u64 = 0x004b_4559;
const VERSION: u64 = 0x5645_5253;
const BLOCK: u64 = 0x0042_4c4f_434b;

/// Hashes keys and labels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyHasher {
    /// For keys; drawn once per cache.
    seed: u64,
    /// For labels and versions; the same in all processes that share a store.
    fleet: u64,
    /// Replaces `fleet` with opaque keys.
    keyed_hash: Option<KeyedHash>,
}

impl KeyHasher {
    pub(crate) fn random() -> Self {
        // A model that failed must fail again when it is replayed.
        let seed = if cfg!(fragcache_shuttle) { 7 } else { RandomState::new().hash_one(0_u64) };
        Self { seed, fleet: seed, keyed_hash: None }
    }

    /// A hasher whose labels are the same in every process.
    pub(crate) fn of_fleet() -> Self {
        Self { fleet: 0x6672_6167, ..Self::random() }
    }

    /// With a secret of opaque keys: labels are the same in every process that has the secret.
    pub(crate) fn opaque(self, secret: Option<&OpaqueSecret>) -> Self {
        Self { keyed_hash: secret.and_then(KeyedHash::new), ..self }
    }

    /// Returns true if keys must not be shown.
    pub(crate) fn is_opaque(&self) -> bool {
        self.keyed_hash.is_some()
    }

    /// An encoded key without its namespaces, as observers may see it.
    pub(crate) fn shown(&self, encoded: &[u8]) -> FragmentKey {
        let key = key::without_namespaces(encoded);
        if self.is_opaque() && key::says_more_than_a_name(key) {
            return FragmentKey::redacted(key, self.key_label(encoded));
        }
        FragmentKey::from_encoded(key)
    }

    /// A number that identifies this cache without revealing the seed.
    pub(crate) fn cache_number(&self) -> u64 {
        xxh3_64_with_seed(b"cache", self.seed)
    }

    /// The hash of an encoded key in the maps.
    #[inline]
    pub(crate) fn key(&self, encoded: &[u8]) -> u64 {
        xxh3_64_with_seed(encoded, self.seed)
    }

    /// The label of an encoded key.
    pub(crate) fn key_label(&self, encoded: &[u8]) -> Label {
        self.label(encoded, KEY)
    }

    /// The hash that names an encoded key in a store.
    pub(crate) fn wide(&self, encoded: &[u8]) -> u128 {
        match &self.keyed_hash {
            None => xxh3_128_with_seed(encoded, self.fleet),
            Some(keyed_hash) => keyed_hash.wide(KEY, encoded),
        }
    }

    /// With opaque keys, the hash that stands in a store for a block, its source digest and its
    /// output mode.
    pub(crate) fn block(&self, encoded: &[u8]) -> u128 {
        match &self.keyed_hash {
            None => xxh3_128_with_seed(encoded, self.fleet),
            Some(keyed_hash) => keyed_hash.wide(BLOCK, encoded),
        }
    }

    /// The hash that names a variant in a store.
    pub(crate) fn variant(&self, encoded: &[u8]) -> u64 {
        match &self.keyed_hash {
            None => xxh3_64(encoded),
            Some(keyed_hash) => keyed_hash.narrow(BLOCK, encoded),
        }
    }

    /// The label that every entry carries.
    pub(crate) fn root(&self) -> Label {
        self.label(b"", 0x524f_4f54)
    }

    /// The label of the fence with this number.
    pub(crate) fn fence(&self, number: u8) -> Label {
        self.label(&[number], 0x4645_4e43).of_fence(number)
    }

    /// The label of a name, from what [`key::name_bytes`] gives.
    pub(crate) fn name(&self, encoded_name: &[u8]) -> Label {
        self.label(encoded_name, 0x4e41_4d45)
    }

    /// The label of a group of keys, from what [`key::group_bytes`] gives.
    pub(crate) fn group(&self, encoded_group: &[u8]) -> Label {
        self.label(encoded_group, 0x0047_524f_5550)
    }

    /// The label of a template in the root namespace; see [`Label::within`].
    pub(crate) fn template(&self, template: &str) -> Label {
        self.label(template.as_bytes(), 0x5445_4d50_4c41_5445)
    }

    /// The label of a tag in the root namespace; see [`Label::within`].
    pub(crate) fn tag(&self, tag: &str) -> Label {
        self.label(tag.as_bytes(), 0x0054_4147)
    }

    /// The label of the namespace that ends these bytes of a key.
    pub(crate) fn namespace(&self, encoded: &[u8]) -> Label {
        self.label(encoded, 0x4e53)
    }

    /// A record's version as entries store it. Never zero, which means no version.
    pub(crate) fn version(&self, encoded: &[u8]) -> Version {
        Version(self.hash(encoded, VERSION).max(1))
    }

    /// The labels of the entry's own under `encoded`.
    pub(crate) fn labels(&self, encoded: &[u8], template: Option<Label>) -> Labels {
        let namespaces: SmallVec<_> =
            key::namespaces(encoded).map(|(_, prefix)| self.namespace(prefix)).collect();
        let innermost = namespaces.last().copied();
        Labels {
            key: self.key_label(encoded),
            name: key::name_bytes(encoded).map(|name| self.name(name)),
            template: template.map(|template| template.within(innermost)),
            namespaces,
        }
    }

    fn label(&self, bytes: &[u8], kind: u64) -> Label {
        Label::of_text(self.hash(bytes, kind))
    }

    fn hash(&self, bytes: &[u8], kind: u64) -> u64 {
        match &self.keyed_hash {
            None => xxh3_64_with_seed(bytes, self.fleet ^ kind),
            Some(keyed_hash) => keyed_hash.narrow(kind, bytes),
        }
    }
}

/// Hashes labels in maps. Their values are known outside the process, so it adds a random seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildLabelHasher(u64);

impl Default for BuildLabelHasher {
    fn default() -> Self {
        Self(KeyHasher::random().seed)
    }
}

impl BuildHasher for BuildLabelHasher {
    type Hasher = LabelHasher;

    fn build_hasher(&self) -> LabelHasher {
        LabelHasher(self.0)
    }
}

/// Mixes a number with a seed.
#[derive(Debug)]
pub(crate) struct LabelHasher(u64);

impl Hasher for LabelHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, value: u64) {
        let wide = u128::from(value ^ self.0) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide as u64) ^ (wide >> 64) as u64;
    }
}

/// For maps whose keys are already hashes.
pub(crate) type BuildIdentityHasher = BuildHasherDefault<IdentityHasher>;

/// Uses a `u64` as its own hash.
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
