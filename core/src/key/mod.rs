//! The identity of a fragment: the canonical text of each part, encoded so that different lists of
//! parts never share bytes. `hash` hashes keys; `far` names them in a store.

mod buffer;
mod encode;
mod hex;
mod kind;
mod part;
mod redacted;
#[cfg(feature = "values")]
mod serialize;
mod typed;

use std::borrow::Cow;
use std::fmt::{self, Display as _};
use std::sync::Arc;

use fragcache_syntax::CacheBlock;

pub(crate) use buffer::KeyBuffer;
pub use encode::{KeyEncoder, UnusablePart};
pub use kind::KeyKind;
pub(crate) use kind::group_bytes;
#[cfg(feature = "async")]
pub use kind::view_key;
pub use part::KeyPart;
pub(crate) use redacted::says_more_than_a_name;
#[cfg(feature = "values")]
pub(crate) use serialize::{UNORDERED, encode_by_value};

use encode::{Decoded, Decoder};
use redacted::{Digest, REDACTED};

/// Longest canonical key that is cached, in bytes. Longer ones are rendered uncached and counted.
pub const MAX_KEY_BYTES: usize = 4096;

const EXPLICIT: u8 = b'e';
const DEFAULT: u8 = b'd';
pub(crate) const VALUE: u8 = b'v';
pub(crate) const FUNCTION: u8 = b'f';
/// A function whose second part is the instance that it is called on.
pub(crate) const METHOD: u8 = b'm';
/// A response, whose second part is the path.
pub(crate) const VIEW: u8 = b'w';
/// The kinds whose first part is a name.
const NAMED: [u8; 5] = [EXPLICIT, VALUE, FUNCTION, METHOD, VIEW];
/// Precedes the name of each namespace of a key, outermost first.
const NAMESPACE: u8 = b'@';

/// The identity of a fragment: a name and its vary parts, or a template and a line.
///
/// Two keys are equal exactly if their parts have the same canonical text. The integer 42 and
/// `"42"` are the same part; so are 2, 2.0 and 4/2; `true` is `"true"`. `None` is not `"None"`, and
/// a list is not its only item. Arguments of memoized functions are compared by kind and value
/// instead.
///
/// `Display` shows the parts on one line, or the name and a digest if the key is
/// [redacted](Self::is_redacted). Escape it before it goes into HTML.
///
/// ```
/// use fragcache::{fragment_key, make_template_fragment_key};
///
/// let key = make_template_fragment_key("sidebar", ["42", "en"]);
/// assert_eq!(key, fragment_key!("sidebar", 42, "en"));
/// assert_eq!(key.to_string(), "sidebar(42, en)");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FragmentKey(Arc<[u8]>);

impl FragmentKey {
    /// Creates the key of a fragment called `name` without vary parts. Add parts with
    /// [`vary_on`](Self::vary_on).
    ///
    /// ```
    /// use fragcache::{FragmentKey, fragment_key};
    ///
    /// assert_eq!(FragmentKey::new("sidebar").vary_on(42), fragment_key!("sidebar", 42));
    /// ```
    pub fn new(name: impl KeyPart) -> Self {
        let mut bytes = vec![EXPLICIT];
        name.encode(&mut KeyEncoder::new(&mut bytes));
        Self(bytes.into())
    }

    /// Adds one vary part. A [redacted](Self::is_redacted) key is returned unchanged.
    #[must_use]
    pub fn vary_on(self, part: impl KeyPart) -> Self {
        if self.is_redacted() {
            return self;
        }
        let mut bytes = self.0.to_vec();
        part.encode(&mut KeyEncoder::new(&mut bytes));
        Self(bytes.into())
    }

    /// Selects the `ordinal`th unnamed cache block of the line, counted from 1, in a key made by
    /// [`fragment_key_at`]. Other keys are returned unchanged.
    ///
    /// ```
    /// use fragcache::fragment_key_at;
    ///
    /// assert_eq!(fragment_key_at("page.html", 7).nth(2).to_string(), "page.html:7#2");
    /// ```
    #[must_use]
    pub fn nth(self, ordinal: u32) -> Self {
        match Decoder::new(&self.0).default_key() {
            Some((template, line, _)) => Self::at(template, line, ordinal),
            None => self,
        }
    }

    /// Returns the key of a cache block, if the template's source alone determines it: for an unnamed
    /// block, and for a literal name without vary parts.
    ///
    /// ```
    /// use fragcache::syntax::{Syntax, rewrite};
    /// use fragcache::{FragmentKey, fragment_key, fragment_key_at};
    ///
    /// let source = "{% cache %}{% endcache %}{% cache 9, 'menu' %}{% endcache %}";
    /// let page = rewrite("a.html", source, &Syntax::tera())?;
    /// let keys: Vec<_> = page.blocks().iter().map(FragmentKey::of_block).collect();
    /// assert_eq!(keys, [Some(fragment_key_at("a.html", 1)), Some(fragment_key!("menu"))]);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn of_block(block: &CacheBlock) -> Option<Self> {
        if block.is_unnamed() {
            return Some(Self::at(block.template(), block.line(), block.ordinal()));
        }
        let name = block.name()?;
        (block.vary() == Some(0)).then(|| Self::new(name))
    }

    pub(crate) fn at(template: &str, line: u32, ordinal: u32) -> Self {
        let mut bytes = Vec::with_capacity(template.len() + 16);
        begin_default(&mut bytes, template, line, ordinal);
        Self(bytes.into())
    }

    /// A key of a kind, with `name` as its first part.
    pub(crate) fn of_kind(kind: u8, name: impl KeyPart) -> Self {
        let mut bytes = Vec::new();
        begin_kind(&mut bytes, kind, name);
        Self(bytes.into())
    }

    pub(crate) fn from_encoded(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the canonical text of the name; `None` for a key made from template and line, and
    /// for a [redacted](Self::is_redacted) key that does not contain it.
    pub fn name(&self) -> Option<Cow<'_, str>> {
        match self.behind() {
            Some((_, name)) => name_of(name),
            None => explicit_name(&self.0),
        }
    }

    /// Returns the key of the same name without vary parts. A key of template and line is returned
    /// unchanged.
    ///
    /// ```
    /// use fragcache::fragment_key;
    ///
    /// assert_eq!(fragment_key!("sidebar", 42, "en").bare(), fragment_key!("sidebar"));
    /// ```
    #[must_use]
    pub fn bare(&self) -> Self {
        match self.behind() {
            Some((_, [])) => self.clone(),
            Some((kind, name)) => Self([&[kind], name].concat().into()),
            None => Self::from_encoded(bare_name(&self.0)),
        }
    }

    /// Returns the template of a key made from template and line.
    pub fn template(&self) -> Option<&str> {
        Decoder::new(&self.0).default_key().map(|(template, _, _)| template)
    }
}

/// Shows the key for logs and pages. Ambiguous text is quoted and escaped, so that no two keys look
/// alike. The alternate form (`{:#}`) shows texts unquoted, for matching patterns.
///
/// ```
/// use fragcache::fragment_key;
///
/// let key = fragment_key!("film", "/film/7?page=2");
/// assert_eq!(key.to_string(), r#"film("/film/7?page=2")"#);
/// assert_eq!(format!("{key:#}"), "film(/film/7?page=2)");
/// ```
impl fmt::Display for FragmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((template, line, ordinal)) = Decoder::new(&self.0).default_key() {
            Shown(template).fmt(f)?;
            write!(f, ":{line}")?;
            return if ordinal > 1 { write!(f, "#{ordinal}") } else { Ok(()) };
        }
        if let (Some(label), Some((_, name))) = (self.label(), self.behind()) {
            return match Decoder::new(name).next() {
                Some(name) => show(&name, f).and_then(|()| write!(f, "({})", Digest(label))),
                None => Digest(label).fmt(f),
            };
        }
        let mut parts = Decoder::new(self.0.get(1..).unwrap_or_default());
        if let Some(name) = parts.next() {
            show(&name, f)?;
        }
        let mut first = true;
        for part in parts {
            f.write_str(if first { "(" } else { ", " })?;
            first = false;
            show(&part, f)?;
        }
        if first { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for FragmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FragmentKey({self})")
    }
}

fn show(part: &Decoded<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match part {
        Decoded::None => f.write_str("none"),
        Decoded::Text(text) => Shown(text).fmt(f),
        Decoded::NotFinite(text) => write!(f, "<{text}>"),
        Decoded::List(items) => {
            f.write_str("[")?;
            for (index, item) in items.clone().enumerate() {
                if index > 0 {
                    f.write_str(", ")?;
                }
                show(&item, f)?;
            }
            f.write_str("]")
        }
        Decoded::Typed(part) => typed::show(part, f),
    }
}

/// Text within a shown key: bare if it is unambiguous, otherwise quoted and escaped.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@');
        if f.alternate() || !self.0.is_empty() && self.0 != "none" && self.0.chars().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

/// Creates the key of the fragment called `name` that varies on `vary_on`, for deleting it outside
/// the template. Flask-Caching has a function of the same name.
///
/// For parts of different types use [`fragment_key!`](crate::fragment_key).
///
/// ```
/// use fragcache::make_template_fragment_key;
///
/// let key = make_template_fragment_key("sidebar", ["42", "en"]);
/// assert_ne!(key, make_template_fragment_key("sidebar", ["42_en"]));
/// assert_eq!(make_template_fragment_key("footer", [""; 0]).to_string(), "footer");
/// ```
pub fn make_template_fragment_key<P: KeyPart>(
    name: impl KeyPart,
    vary_on: impl IntoIterator<Item = P>,
) -> FragmentKey {
    let mut bytes = vec![EXPLICIT];
    let mut encoder = KeyEncoder::new(&mut bytes);
    name.encode(&mut encoder);
    for part in vary_on {
        part.encode(&mut encoder);
    }
    FragmentKey(bytes.into())
}

/// Creates the key of an unnamed cache block: the template's name as the engine knows it, and the
/// line (from 1) where the block opens. [`FragmentKey::nth`] selects a later block of the same
/// line.
///
/// ```
/// use fragcache::fragment_key_at;
///
/// assert_eq!(fragment_key_at("page.html", 7).to_string(), "page.html:7");
/// ```
pub fn fragment_key_at(template: &str, line: u32) -> FragmentKey {
    FragmentKey::at(template, line, 1)
}

/// Creates the key of a fragment from a name and vary parts of any types that implement
/// [`KeyPart`](crate::KeyPart).
///
/// ```
/// use fragcache::{fragment_key, make_template_fragment_key};
///
/// let user_id = 42_u64;
/// let draft: Option<&str> = None;
/// let key = fragment_key!("sidebar", user_id, 2.0, true, draft, ["a", "b"]);
/// assert_eq!(key.to_string(), "sidebar(42, 2, true, none, [a, b])");
/// assert_eq!(fragment_key!("footer"), make_template_fragment_key("footer", [""; 0]));
/// ```
#[macro_export]
macro_rules! fragment_key {
    ($name:expr $(, $part:expr)* $(,)?) => {
        $crate::FragmentKey::new(&$name)$(.vary_on(&$part))*
    };
}

/// Starts the encoding of a key with an explicit name.
pub(crate) fn begin_explicit(bytes: &mut Vec<u8>) {
    bytes.push(EXPLICIT);
}

/// Starts the encoding of a key of a kind, with `name` as its first part.
#[inline]
pub(crate) fn begin_kind(bytes: &mut Vec<u8>, kind: u8, name: impl KeyPart) {
    bytes.push(kind);
    name.encode(&mut KeyEncoder::new(bytes));
}

/// Writes the whole encoding of a key made from template and line.
pub(crate) fn begin_default(bytes: &mut Vec<u8>, template: &str, line: u32, ordinal: u32) {
    bytes.push(DEFAULT);
    let mut encoder = KeyEncoder::new(bytes);
    encoder.str(template);
    encoder.int(i128::from(line));
    encoder.int(i128::from(ordinal));
}

/// The canonical text of the name of a key without namespaces; the template if the key has no name.
pub(crate) fn name_or_template(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let template = || Decoder::new(bytes).default_key().map(|(template, _, _)| template);
    explicit_name(bytes).or_else(|| template().map(Cow::Borrowed))
}

/// The canonical text of an explicit key's name.
fn explicit_name(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let (&kind, parts) = bytes.split_first()?;
    if kind == DEFAULT { None } else { name_of(parts) }
}

/// The canonical text of the first part.
fn name_of(parts: &[u8]) -> Option<Cow<'_, str>> {
    match Decoder::new(parts).next()? {
        Decoded::Text(text) => Some(Cow::Borrowed(text)),
        other => {
            struct Part<'a>(Decoded<'a>);
            impl fmt::Display for Part<'_> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    show(&self.0, f)
                }
            }
            Some(Cow::Owned(Part(other).to_string()))
        }
    }
}

/// The part of an encoded key that its name label is hashed from: everything up to the end of the
/// name, namespaces included. `None` for a default key and for a redacted one.
pub(crate) fn name_bytes(bytes: &[u8]) -> Option<&[u8]> {
    let (&kind, parts) = without_namespaces(bytes).split_first()?;
    if kind == DEFAULT || kind == REDACTED {
        return None;
    }
    let mut decoder = Decoder::new(parts);
    decoder.next()?;
    Some(&bytes[..bytes.len() - decoder.rest().len()])
}

/// An encoded key without its namespaces and vary parts.
pub(crate) fn bare_name(bytes: &[u8]) -> &[u8] {
    let key = without_namespaces(bytes);
    name_bytes(key).unwrap_or(key)
}

/// Appends a namespace to those at the start of a key's encoding.
pub(crate) fn push_namespace(bytes: &mut Vec<u8>, name: &str) {
    bytes.push(NAMESPACE);
    KeyEncoder::new(bytes).str(name);
}

/// The namespaces at the start of an encoded key, outermost first: the name of each, and the bytes
/// up to its end.
pub(crate) fn namespaces(bytes: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let mut decoder = Decoder::new(rest.strip_prefix(&[NAMESPACE])?);
        let Some(Decoded::Text(name)) = decoder.next() else { return None };
        rest = decoder.rest();
        Some((name, &bytes[..bytes.len() - rest.len()]))
    })
}

/// An encoded key without its namespaces.
pub(crate) fn without_namespaces(bytes: &[u8]) -> &[u8] {
    let end = namespaces(bytes).last().map_or(0, |(_, prefix)| prefix.len());
    &bytes[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_that_others_confuse_are_three_keys() {
        let keys = [
            make_template_fragment_key("a", ["b", "c"]),
            make_template_fragment_key("a_b", ["c"]),
            make_template_fragment_key("a", ["b_c"]),
        ];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }

    #[test]
    fn numbers_meet_their_text_and_nothing_else_does() {
        let of = |part: &dyn KeyPart| FragmentKey::new("k").vary_on(part);
        assert_eq!(of(&42), of(&"42"));
        assert_eq!(of(&2.0), of(&2));
        assert_eq!(of(&-0.0), of(&0));
        assert_eq!(of(&true), of(&"true"));
        assert_ne!(of(&None::<&str>), of(&"None"));
        assert_ne!(of(&None::<&str>), of(&"none"));
        assert_ne!(of(&["a"]), of(&"a"));
        assert_ne!(of(&f64::NAN), of(&"NaN"));
        assert_ne!(fragment_key_at("a", 1), fragment_key!("a", 1));
    }

    #[test]
    fn display_stays_on_one_line() {
        let key = fragment_key!("q", "--> \n\0<b>", "", None::<u8>);
        assert_eq!(key.to_string(), r#"q("--> \n\0<b>", "", none)"#);
        assert_eq!(fragment_key_at("a\nb", 3).nth(2).to_string(), "\"a\\nb\":3#2");
        assert_eq!(key.name().as_deref(), Some("q"));
    }

    #[test]
    fn the_name_ends_where_the_vary_parts_begin() {
        let key = fragment_key!(["a", "b"], 1);
        let bare = FragmentKey::new(["a", "b"]);
        assert_eq!(name_bytes(key.as_bytes()), name_bytes(bare.as_bytes()));
        assert_eq!(name_bytes(fragment_key_at("t", 1).as_bytes()), None);
    }

    #[test]
    fn namespaces_stand_before_the_key_and_are_part_of_its_name() {
        let key = fragment_key!("row", 1);
        let mut bytes = Vec::new();
        push_namespace(&mut bytes, "tenant:7");
        let outer = bytes.len();
        push_namespace(&mut bytes, "");
        let inner = bytes.len();
        bytes.extend_from_slice(key.as_bytes());
        let found: Vec<_> = namespaces(&bytes).map(|(name, to)| (name, to.len())).collect();
        assert_eq!(found, [("tenant:7", outer), ("", inner)]);
        assert_eq!(without_namespaces(&bytes), key.as_bytes());
        assert_ne!(name_bytes(&bytes), name_bytes(key.as_bytes()));
        assert_eq!(namespaces(key.as_bytes()).count(), 0);
    }
}
