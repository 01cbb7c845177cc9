//! The names of records in a store: short, readable, of characters that every store takes. Where keys
//! are opaque, nothing in them can be read.

use super::identity::block;
use crate::entry::{EntrySource, record::Codec};
use crate::freshness::Label;
use crate::hash::KeyHasher;
use crate::key;

/// Most bytes of a key's name that are shown in a record's name.
const MAX_SLUG: usize = 48;

/// A fragment as a store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FragmentId {
    pub(super) key: u128,
    slug: Box<str>,
}

/// One of a fragment's bodies: its block, output mode and format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VariantId(pub(super) u64);

impl FragmentId {
    pub(super) fn new(hasher: &KeyHasher, encoded: &[u8]) -> Self {
        if hasher.is_opaque() {
            return Self { key: hasher.wide(encoded), slug: Box::default() };
        }
        let shown = key::name_or_template(key::without_namespaces(encoded)).unwrap_or_default();
        let usable = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
        let mut slug = String::with_capacity(shown.len().min(MAX_SLUG));
        slug.extend(shown.chars().take(MAX_SLUG).map(usable));
        Self { key: hasher.wide(encoded), slug: slug.into() }
    }
}

impl VariantId {
    pub(super) fn new(hasher: &KeyHasher, source: &EntrySource, format: u8) -> Self {
        let mut bytes = block(source);
        bytes.push(format);
        Self(hasher.variant(&bytes))
    }
}

/// What stands before all names of one cache, and how the rest is made.
#[derive(Debug)]
pub(crate) struct Names {
    prefix: Box<str>,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// An entry. What is in braces is one slot of a cluster.
    pub(super) fn entry(&self, id: &FragmentId, variant: VariantId) -> String {
        let mut name = self.name(":e:", id.slug.len() + 54);
        name.push_str(&id.slug);
        name.push_str(":{");
        push_hex(&mut name, id.key, 32);
        name.push_str("}:");
        push_hex(&mut name, variant.0.into(), 16);
        name
    }

    /// The right to render an entry.
    pub(super) fn lease(&self, id: &FragmentId, variant: VariantId) -> String {
        format!("{}:l:{{{:032x}}}:{:016x}", self.prefix, id.key, variant.0)
    }

    /// Which variants of a fragment were stored, newest first.
    pub(super) fn variants(&self, id: &FragmentId) -> String {
        format!("{}:n:{{{:032x}}}", self.prefix, id.key)
    }

    /// A label's version.
    pub(super) fn version(&self, label: Label) -> String {
        let mut name = self.name(":v:", 16);
        push_hex(&mut name, label.to_bits().into(), 16);
        name
    }

    /// How far all processes take part.
    pub(super) fn mode(&self) -> String {
        format!("{}:m", self.prefix)
    }

    /// A record that is there to see whether the store takes one.
    pub(super) fn probe(&self, number: u128) -> String {
        format!("{}:p:{number:032x}", self.prefix)
    }

    /// The beginning of a name, with room for so many bytes after it. A page needs hundreds of names,
    /// and `format!` takes several times as long.
    fn name(&self, kind: &str, room: usize) -> String {
        let mut name = String::with_capacity(self.prefix.len() + kind.len() + room);
        name.push_str(&self.prefix);
        name.push_str(kind);
        name
    }

    /// What stands before the names of all records.
    pub(super) fn records(&self) -> String {
        format!("{}:", self.prefix)
    }

    /// What stands before the names of all versions.
    pub(super) fn versions(&self) -> String {
        format!("{}:v:", self.prefix)
    }

    /// What stands before the names of all entries.
    pub(super) fn entries(&self) -> String {
        format!("{}:e:", self.prefix)
    }
}

/// Adds a number in lower case, with so many digits.
fn push_hex(name: &mut String, number: u128, digits: u32) {
    let digit = |at: u32| char::from(b"0123456789abcdef"[(number >> (4 * at)) as usize & 15]);
    name.extend((0..digits).rev().map(digit));
}

/// The format that this release writes.
pub(super) const FORMAT: u8 = Codec::FORMAT;
