//! What a key stands for, and the group that keys of a kind share beside their name.

use super::{Decoder, FUNCTION, FragmentKey, METHOD, VALUE, VIEW, without_namespaces};

/// What a key stands for. Keys of different kinds are different keys, so that markup, typed values
/// and responses are never taken for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// A fragment: a cache block, or markup that Rust code renders.
    Fragment,
    /// A value that was set by its key.
    Value,
    /// What a function returned for its arguments.
    Function,
    /// A response to a request.
    View,
}

impl KeyKind {
    /// The kind as one word, for logs and pages.
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
    /// What this key stands for.
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
    /// What everything of a kind with this name begins with: two keys for functions, as a method is
    /// kept apart from a function that is called so.
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

    /// Of a function the method called so, and of a method the function: their results are deleted
    /// together. `None` for other keys.
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

/// What of an encoded key the label of its group is made of, namespaces included: of values the
/// kind, of methods the name and the instance, of responses the name and the path.
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
