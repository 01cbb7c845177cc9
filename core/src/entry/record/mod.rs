//! The bytes of an entry in a far store: one versioned format, written and read. This module reads
//! no clock, does no I/O, and does not validate entries.
//!
//! # Layout of format 1
//!
//! Numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic: `F9 66 67 63`; no text starts with the first byte |
//! | 1 | format |
//! | 1 | flags: 1 the body is compressed, 4 never expires; any other belongs to a later release |
//! | 4 | length of the header: all bytes before the body |
//! | 8 | length of the stored body |
//! | 8 | length of the inflated body; the same if it is not compressed |
//! | 8 × 6 | created, life, stale, render time, output mode, version; see [`Record`] |
//! | … | fields: a type of 1 byte, a length of 4, and that many bytes |
//! | … | the body, or an LZ4 block of it |
//! | 16 | a checksum over everything before it: xxh3-128 |
//!
//! Fields: `81` the canonical key, `82` the digest, `83` the labels (8 bytes of hash and 16 of
//! version each), `04` the template, `05` the producer, `86` the own labels of an opaque entry. The
//! high bit of a type marks a critical field: a reader that does not know it must not use the
//! entry. Other unknown fields are skipped.
//!
//! # Opaque entries
//!
//! Where keys are opaque:
//!
//! - Field `81` is the HMAC-SHA-256 of the canonical key under a secret.
//! - Field `82` is a keyed digest of the block's digest and its output mode.
//! - The output mode of a custom mode says only that it is one.
//! - There is no template.
//! - Field `86` is the first byte of the canonical key without namespaces, then 8 bytes each for
//!   the labels of the key, the name and the template (0 for none), and of the namespaces,
//!   outermost first. These labels are also in field `83`.
//!
//! # Which formats are read
//!
//! The current format and the one before it, so that two releases can share a store during an
//! upgrade. A new layout, or a new meaning of existing bytes, is a new format; a new field is not.
//! A release with a new format keeps the reader of the previous one in `READS`, and every released
//! format keeps its files in `fixtures/records`. Nothing was released before format 1, so only one
//! format is read today. The tests build a codec for a format 2, and show that either release copes
//! with the other's records.
//!
//! # Signatures
//!
//! The checksum protects against accidents. For protection against attackers, everything in the
//! store is signed, records included: see `store::signed`. A reader without the secret finds a
//! signature after the end of a record, and reports [`Unreadable::Mac`].

mod checksum;
mod codec;
mod cursor;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod mend;
#[cfg(test)]
mod tests;

pub(crate) use codec::Codec;

/// Longest canonical key with its namespaces, in bytes.
pub(crate) const MAX_RECORD_KEY_BYTES: usize = 8192;

/// Longest digest of a block, in bytes. A function's result has the longest one: the digest of a
/// type, the version of the type, and the digests of a path and a source.
pub(crate) const MAX_RECORD_DIGEST_BYTES: usize = (1 + 32) + (1 + 10) + 2 * 16;

/// Longest name of a template, in bytes.
pub(crate) const MAX_RECORD_TEMPLATE_BYTES: usize = 4096;

/// Longest list of an opaque entry's own labels, in bytes. A namespace takes two bytes of a key.
pub(crate) const MAX_RECORD_OWN_BYTES: usize = 1 + 8 * (3 + MAX_RECORD_KEY_BYTES / 2);

/// Most labels of a record.
pub(crate) const MAX_RECORD_LABELS: usize = 4096;

/// The random version of a label in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LabelVersion(pub(crate) [u8; 16]);

/// A record to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The canonical key with its namespaces, at most [`MAX_RECORD_KEY_BYTES`].
    pub(crate) key: &'a [u8],
    /// The source digest of the block: ASCII, at most [`MAX_RECORD_DIGEST_BYTES`].
    pub(crate) digest: &'a str,
    /// The output mode.
    pub(crate) mode: u64,
    /// The hash of the value of `version=`; 0 for none.
    pub(crate) version: u64,
    /// The template's name, at most [`MAX_RECORD_TEMPLATE_BYTES`].
    pub(crate) template: Option<&'a str>,
    /// The own labels of an opaque entry (field `86`), at most [`MAX_RECORD_OWN_BYTES`].
    pub(crate) own: Option<&'a [u8]>,
    /// The labels with their versions at the read point, at most [`MAX_RECORD_LABELS`].
    pub(crate) labels: &'a [(u64, LabelVersion)],
    /// When it was rendered, in ms since the Unix epoch.
    pub(crate) created: u64,
    /// When it expires, in ms after `created`; `None` for never.
    pub(crate) ttl: Option<u64>,
    /// For how many ms after that it may be served stale.
    pub(crate) stale: u64,
    /// How long rendering took, in µs.
    pub(crate) render_time: u64,
    /// Markup, a value or a response.
    pub(crate) body: &'a [u8],
}

/// A record that was read; see [`Record`]. The bounds hold. The numbers are unchecked: their sums
/// may overflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) key: Box<[u8]>,
    pub(crate) digest: Box<str>,
    pub(crate) mode: u64,
    pub(crate) version: u64,
    pub(crate) template: Option<Box<str>>,
    pub(crate) own: Option<Box<[u8]>>,
    pub(crate) labels: Box<[(u64, LabelVersion)]>,
    pub(crate) created: u64,
    pub(crate) ttl: Option<u64>,
    pub(crate) stale: u64,
    pub(crate) render_time: u64,
    pub(crate) body: Vec<u8>,
}

impl Decoded {
    /// The same record, to be written again.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn as_record(&self) -> Record<'_> {
        Record {
            key: &self.key,
            digest: &self.digest,
            mode: self.mode,
            version: self.version,
            template: self.template.as_deref(),
            own: self.own.as_deref(),
            labels: &self.labels,
            created: self.created,
            ttl: self.ttl,
            stale: self.stale,
            render_time: self.render_time,
            body: &self.body,
        }
    }
}

/// The bound that a record exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum Unencodable {
    /// The key is too long.
    Key,
    /// The digest is too long, or not ASCII.
    Digest,
    /// The template's name is too long.
    Template,
    /// There are too many labels, or own labels.
    Labels,
    /// The body is too large.
    Body,
}

/// Why bytes are not a usable record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum Unreadable {
    /// They were not written by this cache.
    Foreign,
    /// Their format is not read by this release, or they have a critical field that it does not
    /// know.
    Future,
    /// There are fewer or more bytes than declared.
    Torn,
    /// The checksum is wrong.
    Checksum,
    /// The signature is wrong, present without a secret, or missing with one.
    Mac,
    /// They declare more than the bounds allow.
    TooLarge,
    /// The checksum is correct, but the content is invalid.
    Malformed,
}

impl Unreadable {
    /// The reason as one word, for logs and counters.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Future => "future",
            Self::Torn => "torn",
            Self::Checksum => "checksum",
            Self::Mac => "mac",
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
        }
    }
}
