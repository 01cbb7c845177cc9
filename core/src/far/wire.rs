//! The names of records in a store: short, readable, and made of characters that every store
//! accepts. Where keys are opaque, the names reveal nothing.

use super::look::block;
use crate::entry::{EntrySource, record::Codec};
use crate::hash::KeyHasher;
use crate::key;
use crate::label::Label;

/// Most bytes of a key's name to show in a record's name.
const MAX_SLUG: usize = 48;

/// Identifies a fragment in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FragmentId {
    pub(super) key: u128,
    slug: Box<str>,
}

/// Identifies one of a fragment's bodies by its block, output mode and format.
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

/// The prefix of all names of one cache, and how to make the rest.
#[derive(Debug)]
pub(crate) struct Names {
    prefix: Box<str>,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// An entry. The part in braces keeps its records in one slot of a cluster.
    pub(super) fn entry(&self, id: &FragmentId, variant: VariantId) -> String {
        let mut name = self.name(":e:", id.slug.len() + 54);
        name.push_str(&id.slug);
        name.push_str(":{");
        push_hex(&mut name, id.key, 32);
        name.push_str("}:");
        push_hex(&mut name, variant.0.into(), 16);
        name
    }

    /// The lease of an entry.
    pub(super) fn lease(&self, id: &FragmentId, variant: VariantId) -> String {
        format!("{}:l:{{{:032x}}}:{:016x}", self.prefix, id.key, variant.0)
    }

    /// The list of a fragment's stored variants, newest first.
    pub(super) fn variants(&self, id: &FragmentId) -> String {
        format!("{}:n:{{{:032x}}}", self.prefix, id.key)
    }

    /// A label's record. The part in braces is the number of its fence, so that both are in one
    /// slot of a cluster: an invalidation writes the fence first, on the same connection.
    pub(super) fn version(&self, label: Label) -> String {
        let mut name = self.name(":v:{", 20);
        push_hex(&mut name, label.fence().into(), 2);
        name.push_str("}:");
        push_hex(&mut name, label.to_bits().into(), 16);
        name
    }

    /// The cache mode of all processes.
    pub(super) fn mode(&self) -> String {
        format!("{}:m", self.prefix)
    }

    /// A record that tests whether the store accepts one.
    pub(super) fn probe(&self, number: u128) -> String {
        format!("{}:p:{number:032x}", self.prefix)
    }

    /// The start of a name, with `room` bytes of spare capacity. A page needs hundreds of names,
    /// and `format!` is several times slower.
    fn name(&self, kind: &str, room: usize) -> String {
        let mut name = String::with_capacity(self.prefix.len() + kind.len() + room);
        name.push_str(&self.prefix);
        name.push_str(kind);
        name
    }

    /// The prefix of all records.
    pub(super) fn records(&self) -> String {
        format!("{}:", self.prefix)
    }

    /// The prefix of all versions.
    pub(super) fn versions(&self) -> String {
        format!("{}:v:", self.prefix)
    }

    /// The prefix of all entries.
    pub(super) fn entries(&self) -> String {
        format!("{}:e:", self.prefix)
    }
}

/// Appends a number in lower-case hex, with `digits` digits.
fn push_hex(name: &mut String, number: u128, digits: u32) {
    let digit = |at: u32| char::from(b"0123456789abcdef"[(number >> (4 * at)) as usize & 15]);
    name.extend((0..digits).rev().map(digit));
}

/// The format that this release writes.
pub(super) const FORMAT: u8 = Codec::FORMAT;

#[cfg(all(test, not(fragcache_shuttle)))]
mod tests {
    use super::*;

    /// The part of a name that decides about the slot of a Redis Cluster.
    fn hash_tag(name: &str) -> Option<&str> {
        Some(name.split_once('{')?.1.split_once('}')?.0)
    }

    #[test]
    fn a_label_and_its_fence_are_in_one_slot_of_a_cluster() {
        let (names, hasher) = (Names::new("shop"), KeyHasher::of_fleet());
        for number in 0..2_000_u64 {
            let label = Label::of_text(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let fence = hasher.fence(label.fence());
            assert_eq!(fence.fence(), label.fence());
            let tag = format!("{:02x}", label.fence());
            assert_eq!(hash_tag(&names.version(label)), Some(&*tag));
            assert_eq!(hash_tag(&names.version(fence)), Some(&*tag));
        }
        let number = Label::of_text(0x3f9a_61c2_d4e5_f607);
        assert_eq!(names.version(number), "shop:v:{e5}:3f9a61c2d4e5f607");
    }
}
