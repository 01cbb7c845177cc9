//! Redacted keys: a name and a label in place of the vary parts.

use std::fmt;

use super::encode::Decoder;
use super::{DEFAULT, FragmentKey, NAMED, VALUE, name_bytes};
use crate::label::Label;

/// Precedes the kind of a key, eight bytes of its label, and at most one part, its name.
pub(super) const REDACTED: u8 = b'o';

/// Bytes before the name.
const HEAD: usize = 10;

impl FragmentKey {
    /// Returns true if this stands for a key of a cache with [opaque
    /// keys](crate::CacheBuilder::opaque_keys). Events, pages and listings have such keys: the
    /// fragment's name and a digest of all its vary parts.
    ///
    /// A redacted key can be deleted. Nothing is stored under it, so it has no other use.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// # #[cfg(feature = "mac")] {
    /// let cache = FragmentCache::builder().opaque_keys([7; 32]).build()?;
    /// let key = fragment_key!("sidebar", "ann@example.org");
    /// let shown = cache.shown_key(&key);
    /// assert!(shown.is_redacted() && shown.to_string().starts_with("sidebar(#"));
    ///
    /// cache.render(&Fragment::new(key.clone()), || "<nav>")?;
    /// cache.delete(&shown).eventually();
    /// assert!(!cache.contains(&key)?);
    /// # }
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn is_redacted(&self) -> bool {
        self.0.first() == Some(&REDACTED)
    }

    /// The key to show for an encoded key without namespaces.
    pub(crate) fn redacted(key: &[u8], label: Label) -> Self {
        let kind = key.first().copied().unwrap_or_default();
        // The only name of a value is its key, so it is not shown.
        let name = name_bytes(key).filter(|_| kind != VALUE).and_then(|name| name.get(1..));
        Self([&head(kind, label), name.unwrap_or_default()].concat().into())
    }

    /// The key to show when only a label is known.
    pub(crate) fn of_label(kind: u8, label: Label) -> Self {
        Self(head(kind, label).as_slice().into())
    }

    /// The label of the key that this stands for, if it is redacted.
    pub(crate) fn label(&self) -> Option<Label> {
        let bytes = self.0.strip_prefix(&[REDACTED])?.get(1..HEAD - 1)?;
        Some(Label::from_hash(u64::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// The kind of a redacted key and its parts: at most the name.
    pub(super) fn behind(&self) -> Option<(u8, &[u8])> {
        let (&kind, rest) = self.0.strip_prefix(&[REDACTED])?.split_first()?;
        Some((kind, rest.get(8..)?))
    }
}

fn head(kind: u8, label: Label) -> [u8; HEAD] {
    let mut bytes = [REDACTED; HEAD];
    bytes[1] = kind;
    bytes[2..].copy_from_slice(&label.to_bits().to_be_bytes());
    bytes
}

/// Returns true if an encoded key without namespaces has more than its author's words, which are
/// the name, or template and line. A redacted key has no more than that.
pub(crate) fn says_more_than_a_name(key: &[u8]) -> bool {
    match key.split_first() {
        None | Some((&(DEFAULT | REDACTED), _)) => false,
        Some((&VALUE, _)) => true,
        Some((_, parts)) => {
            let mut parts = Decoder::new(parts);
            parts.next();
            !parts.rest().is_empty()
        }
    }
}

/// Returns true if the bytes are exactly one redacted key.
pub(super) fn is_redacted_key(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.strip_prefix(&[REDACTED]).and_then(<[u8]>::split_first) else {
        return false;
    };
    let Some(name) = rest.get(8..).filter(|_| *kind == DEFAULT || NAMED.contains(kind)) else {
        return false;
    };
    let mut parts = Decoder::new(name);
    name.is_empty() || (parts.next().is_some() && parts.rest().is_empty())
}

/// A label as people read it.
pub(super) struct Digest(pub(super) Label);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:016x}", self.0.to_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyKind;
    use crate::{fragment_key, fragment_key_at};

    const LABEL: u64 = 0x3f9a_61c2_0000_0007;

    fn redacted(key: &FragmentKey) -> FragmentKey {
        FragmentKey::redacted(key.as_bytes(), Label::from_hash(LABEL))
    }

    #[test]
    fn a_redacted_key_says_its_name_and_a_digest() {
        let key = fragment_key!("sidebar", "ann", 7);
        let shown = redacted(&key);
        assert_eq!(shown.to_string(), "sidebar(#3f9a61c200000007)");
        assert_eq!(shown.name().as_deref(), Some("sidebar"));
        assert_eq!((shown.bare(), shown.kind()), (fragment_key!("sidebar"), KeyKind::Fragment));
        assert_eq!(shown.label(), Some(Label::from_hash(LABEL)));
        assert!(shown.is_redacted() && !key.is_redacted() && key.label().is_none());
        assert_eq!(shown.template(), None);
        let listed = fragment_key!(["a", "b"], 7);
        assert_eq!(redacted(&listed).bare(), listed.bare());
        assert_eq!((shown.clone().vary_on(1), shown.clone().nth(2)), (shown.clone(), shown));
    }

    #[test]
    fn a_key_without_a_name_is_a_digest() {
        let label = Label::from_hash(LABEL);
        let value =
            FragmentKey([&[VALUE][..], &fragment_key!("ann").as_bytes()[1..]].concat().into());
        for (shown, kind) in [
            (redacted(&value), KeyKind::Value),
            (FragmentKey::of_label(super::super::VIEW, label), KeyKind::View),
            (FragmentKey::of_label(DEFAULT, label), KeyKind::Fragment),
        ] {
            assert_eq!(shown.to_string(), "#3f9a61c200000007");
            assert_eq!((shown.name(), shown.kind()), (None, kind));
            assert_eq!(shown.bare(), shown);
        }
    }

    #[test]
    fn the_text_of_an_author_is_no_secret() {
        let key = |key: FragmentKey| says_more_than_a_name(key.as_bytes());
        assert!(!key(fragment_key!("sidebar")) && !key(fragment_key_at("page.html", 7)));
        assert!(key(fragment_key!("sidebar", None::<u8>)) && key(fragment_key!(["a"], 1)));
        assert!(!key(redacted(&fragment_key!("sidebar", 1))));
    }

    #[test]
    fn redacted_keys_go_through_forms() {
        let named = redacted(&fragment_key!("<b>", "ann"));
        let nameless = FragmentKey::of_label(VALUE, Label::from_hash(LABEL));
        for key in [&named, &nameless] {
            assert_eq!(FragmentKey::from_hex(&key.to_hex()).as_ref(), Some(key));
        }
        let [named, nameless] = [&named, &nameless].map(FragmentKey::to_hex);
        let unknown = nameless.replacen("76", "7a", 1);
        for text in
            [&named[..named.len() - 2], &nameless[..10], &format!("{named}{named}"), &unknown]
        {
            assert_eq!(FragmentKey::from_hex(text), None, "{text}");
        }
    }
}
