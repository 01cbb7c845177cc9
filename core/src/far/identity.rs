//! The identity of an entry: what its record says about its key and block, and whether a found
//! record matches a lookup. Names in a store are hashes, so this check keeps out content of other
//! fragments.
//!
//! Where keys are opaque, a record holds a digest of its key under the secret instead of the key,
//! and another digest of its block and output mode. For administrators it also lists the entry's
//! own labels, which are hashes under the secret too.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Far;
use crate::entry::EntrySource;
use crate::entry::record::Decoded;
use crate::events::MissReason;
use crate::key::without_namespaces;
use crate::label::{Label, Labels};
use crate::lookup::Lookup;

/// The identity that a record states.
#[derive(Debug)]
pub(super) struct Identity<'a> {
    pub(super) key: Cow<'a, [u8]>,
    pub(super) digest: Cow<'a, str>,
    pub(super) mode: u64,
}

/// The own labels of an opaque entry, as its record lists them.
#[derive(Debug)]
pub(crate) struct OwnLabels {
    /// The first byte of the key, which gives its kind.
    pub(crate) kind: u8,
    pub(crate) labels: Labels,
}

impl Far {
    pub(super) fn is_opaque(&self) -> bool {
        self.hasher.is_opaque()
    }

    pub(super) fn identity<'a>(&self, key: &'a [u8], source: &'a EntrySource) -> Identity<'a> {
        let key = self.key_in_record(key);
        match self.is_opaque() {
            false => Identity {
                key,
                digest: Cow::Borrowed(source.digest()),
                mode: source.mode().to_bits(),
            },
            true => Identity {
                key,
                digest: Cow::Owned(format!("{:032x}", self.hasher.block(&block(source)))),
                mode: source.mode().to_nameless_bits(),
            },
        }
    }

    fn key_in_record<'a>(&self, key: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.key_digest {
            Some(digest) => Cow::Owned(digest.of(key).to_vec()),
            None => Cow::Borrowed(key),
        }
    }

    /// Whether a record belongs to this key, in any variant.
    pub(super) fn is_of(&self, record: &Decoded, key: &[u8]) -> bool {
        record.own.is_some() == self.is_opaque() && *record.key == *self.key_in_record(key)
    }

    /// Returns the record if it matches the lookup, otherwise the reason for the miss.
    pub(super) fn record_of<'a>(
        &self,
        lookup: Lookup<'_>,
        record: Cow<'a, Decoded>,
    ) -> Result<Cow<'a, Decoded>, MissReason> {
        let wanted = self.identity(lookup.request.hashed.key, lookup.request.source);
        let same = *record.key == *wanted.key
            && *record.digest == *wanted.digest
            && record.mode == wanted.mode
            && record.own.is_some() == self.is_opaque();
        if !same {
            // Names are hashes: content of another fragment is a miss.
            return Err(MissReason::Cold);
        }
        if record.version != lookup.request.version.to_bits() {
            return Err(MissReason::Version);
        }
        Ok(record)
    }

    /// Encodes the own labels of an opaque entry.
    pub(super) fn own_in_record(&self, key: &[u8], labels: &Labels) -> Option<Vec<u8>> {
        self.is_opaque().then(|| {
            let mut own = vec![without_namespaces(key).first().copied().unwrap_or_default()];
            let bits = |label: Option<Label>| label.map_or(0, Label::to_bits).to_le_bytes();
            for label in [Some(labels.key), labels.name, labels.template] {
                own.extend_from_slice(&bits(label));
            }
            for &namespace in &labels.namespaces {
                own.extend_from_slice(&bits(Some(namespace)));
            }
            own
        })
    }
}

impl OwnLabels {
    /// Decodes the labels that a record lists; `None` if they are malformed.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&kind, labels) = bytes.split_first()?;
        let (labels, rest) = labels.as_chunks::<8>();
        let mut labels = labels.iter().map(|&bits| u64::from_le_bytes(bits));
        let some = |bits: u64| (bits != 0).then(|| Label::from_hash(bits));
        let (key, name, template) = (labels.next()?, labels.next()?, labels.next()?);
        let labels = Labels {
            key: Label::from_hash(key),
            name: some(name),
            template: some(template),
            namespaces: labels.map(Label::from_hash).collect(),
        };
        rest.is_empty().then_some(Self { kind, labels })
    }
}

/// The bytes that identify a block in an output mode.
pub(super) fn block(source: &EntrySource) -> SmallVec<[u8; 96]> {
    let mut bytes = SmallVec::from_slice(source.digest().as_bytes());
    bytes.extend_from_slice(&source.mode().to_bits().to_le_bytes());
    bytes
}
