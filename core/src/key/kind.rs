//! The kinds of keys, and the group that keys of one kind share besides their name.

#[cfg(feature = "async")]
use super::KeyPart;
use super::{Decoder, FUNCTION, FragmentKey, METHOD, VALUE, VIEW, without_namespaces};

/// What a key stands for. Keys of different kinds are never equal, so markup, typed values and
/// responses cannot be confused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// A fragment: a cache block, or markup that Rust code renders.
    Fragment,
    /// A plain value, set under its key.
    Value,
    /// The result of a function for its arguments.
    Function,
    /// A response to a request.
    View,
}

impl KeyKind {
    /// Returns the kind as one word, for logs and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fragment => "fragment",
            Self::Value => "value",
            Self::Function => "function",
            Self::View => "view",
        }
    }
}

impl FragmentKey {
    /// Returns the kind of this key.
    ///
    /// ```
    /// use fragcache::key::KeyKind;
    /// use fragcache::fragment_key;
    ///
    /// assert_eq!(fragment_key!("sidebar", 42).kind(), KeyKind::Fragment);
    /// ```
    pub fn kind(&self) -> KeyKind {
        let kind = match self.behind() {
            Some((kind, _)) => Some(kind),
            None => self.0.first().copied(),
        };
        match kind {
            Some(VALUE) => KeyKind::Value,
            Some(FUNCTION | METHOD) => KeyKind::Function,
            Some(VIEW) => KeyKind::View,
            _ => KeyKind::Fragment,
        }
    }
}

impl FragmentKey {
    /// The keys whose names cover everything of a kind with this name. Two for functions: a
    /// function and a method of the same name are different.
    pub(crate) fn named(kind: KeyKind, name: &str) -> Vec<Self> {
        match kind {
            KeyKind::Fragment => vec![Self::new(name)],
            KeyKind::Value => vec![Self::of_kind(VALUE, name)],
            KeyKind::Function => {
                vec![Self::of_kind(FUNCTION, name), Self::of_kind(METHOD, name)]
            }
            KeyKind::View => vec![Self::of_kind(VIEW, name)],
        }
    }

    /// For a function the method of the same name, for a method the function: their results are
    /// deleted together. `None` for other keys.
    pub(crate) fn counterpart(&self) -> Option<Self> {
        let (&kind, parts) = self.0.split_first()?;
        let other = match kind {
            FUNCTION => METHOD,
            METHOD => FUNCTION,
            _ => return None,
        };
        Some(Self([&[other], parts].concat().into()))
    }
}

/// The part of an encoded key that its group label is hashed from, namespaces included. For values
/// the kind, for methods the name and the instance, for responses the name and the path.
pub(crate) fn group_bytes(bytes: &[u8]) -> Option<&[u8]> {
    let (&kind, parts) = without_namespaces(bytes).split_first()?;
    let mut rest = parts;
    if kind != VALUE {
        if kind != METHOD && kind != VIEW {
            return None;
        }
        let mut decoder = Decoder::new(parts);
        decoder.next()?;
        decoder.next()?;
        rest = decoder.rest();
    }
    Some(&bytes[..bytes.len() - rest.len()])
}

/// Returns the key of a response: the name of a view and a path, or what replaces the path. Add
/// further vary parts with [`vary_on`](FragmentKey::vary_on).
///
/// ```
/// use fragcache::key::KeyKind;
/// use fragcache::engine;
///
/// let key = engine::view_key("film", "/film/7").vary_on("page=2");
/// assert_eq!((key.kind(), key.to_string().as_str()), (KeyKind::View, "film(/film/7, \"page=2\")"));
/// ```
#[cfg(feature = "async")]
pub fn view_key(name: &str, path: impl KeyPart) -> FragmentKey {
    FragmentKey::of_kind(VIEW, name).vary_on(path)
}
