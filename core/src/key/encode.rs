//! The canonical encoding, version 1. Every part is a tag, a length and its canonical text.
//! `part.rs` defines the canonical text of each type; this file writes and reads the bytes.
//! `serialize.rs` writes the arguments of functions and `typed.rs` reads them.

use std::fmt;

const TEXT: u8 = b't';
const NONE: u8 = b'n';
const LIST: u8 = b'l';
const NOT_FINITE: u8 = b'f';

/// Writes the parts of a key by their canonical text. An engine extension calls it for its own
/// values; Rust values use [`KeyPart`](super::KeyPart). The arguments of memoized functions do not
/// use it: they are compared by kind and value, so that `42` differs from `"42"` (`Call::arg`,
/// feature `values`).
///
/// ```
/// use fragcache::key::KeyEncoder;
/// use fragcache::{FragmentKey, KeyPart};
///
/// struct Lang { code: &'static str, region: Option<&'static str> }
/// impl KeyPart for Lang {
///     fn encode(&self, key: &mut KeyEncoder<'_>) {
///         key.list(2);
///         self.code.encode(key);
///         self.region.encode(key);
///     }
/// }
/// let key = FragmentKey::new("menu").vary_on(Lang { code: "pt", region: Some("BR") });
/// assert_eq!(key.to_string(), "menu([pt, BR])");
/// ```
#[derive(Debug)]
pub struct KeyEncoder<'a> {
    bytes: &'a mut Vec<u8>,
}

/// Why an engine's value cannot be part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnusablePart {
    /// The variable is not defined.
    Undefined,
    /// NaN or an infinity.
    NotFinite,
    /// A map, a function or another value without one canonical text.
    Kind(&'static str),
    /// Lists nested deeper than [`UnusablePart::MAX_DEPTH`].
    TooDeep,
}

impl UnusablePart {
    /// How deep lists may nest in a key.
    pub const MAX_DEPTH: usize = 16;
}

impl fmt::Display for UnusablePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined => f.write_str("undefined"),
            Self::NotFinite => f.write_str("not a finite number"),
            Self::Kind(kind) => write!(f, "a {kind}"),
            Self::TooDeep => write!(f, "a list nested deeper than {}", Self::MAX_DEPTH),
        }
    }
}

impl<'a> KeyEncoder<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Writes a part with the canonical text `text`.
    pub fn str(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            // A length of one byte, the usual case: the same encoding as below.
            Ok(len) if len < 0x80 => self.bytes.extend_from_slice(&[TEXT, len]),
            _ => {
                self.bytes.push(TEXT);
                self.length(text.len());
            }
        }
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Writes a missing value. It differs from every text.
    pub fn none(&mut self) {
        self.bytes.push(NONE);
    }

    /// Writes a boolean as the text `true` or `false`.
    pub fn bool(&mut self, value: bool) {
        self.str(if value { "true" } else { "false" });
    }

    /// Writes an integer as its decimal text.
    pub fn int(&mut self, value: i128) {
        // Formatting 64 bits is much cheaper, and nearly every part fits.
        match i64::try_from(value) {
            Ok(value) => self.str(itoa::Buffer::new().format(value)),
            Err(_) => self.str(itoa::Buffer::new().format(value)),
        }
    }

    /// Writes an integer beyond `i128` as its decimal text.
    pub fn uint(&mut self, value: u128) {
        self.str(itoa::Buffer::new().format(value));
    }

    /// Writes a float: the text of the integer it equals, otherwise the shortest decimal text that
    /// parses back to the same float, without an exponent. NaN and the infinities become parts that
    /// no template can produce.
    pub fn float(&mut self, value: f64) {
        if !value.is_finite() {
            self.bytes.push(NOT_FINITE);
            let text = value.to_string();
            self.length(text.len());
            self.bytes.extend_from_slice(text.as_bytes());
        } else if value == value.trunc() && value.abs() < 9_007_199_254_740_992.0 {
            #[allow(clippy::cast_possible_truncation, reason = "integral and within 2^53")]
            self.int(value as i128);
        } else {
            self.str(&value.to_string());
        }
    }

    /// Starts a list of `len` items. Exactly `len` parts must follow.
    pub fn list(&mut self, len: usize) {
        self.bytes.push(LIST);
        self.length(len);
    }

    fn length(&mut self, len: usize) {
        length(self.bytes, len);
    }
}

/// Writes a length as LEB128.
pub(super) fn length(bytes: &mut Vec<u8>, mut len: usize) {
    loop {
        let low = (len & 0x7f) as u8;
        len >>= 7;
        if len == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// A part as it is read back.
#[derive(Debug, Clone)]
pub(super) enum Decoded<'a> {
    Text(&'a str),
    None,
    NotFinite(&'a str),
    List(Items<'a>),
    /// The bytes of a typed value.
    Typed(&'a [u8]),
}

/// The items of a list part.
#[derive(Debug, Clone)]
pub(super) struct Items<'a> {
    decoder: Decoder<'a>,
    left: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Decoded<'a>;

    fn next(&mut self) -> Option<Decoded<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.decoder.next()
    }
}

/// Reads parts until the bytes end or are malformed.
#[derive(Debug, Clone)]
pub(super) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Template, line and ordinal, if the bytes are a default key.
    pub(super) fn default_key(self) -> Option<(&'a str, u32, u32)> {
        let mut parts = Self(self.0.strip_prefix(&[super::DEFAULT])?);
        match (parts.next()?, parts.next()?, parts.next()?) {
            (Decoded::Text(template), Decoded::Text(line), Decoded::Text(ordinal)) => {
                Some((template, line.parse().ok()?, ordinal.parse().ok()?))
            }
            _ => None,
        }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn length(&mut self) -> Option<usize> {
        let mut len = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = self.byte()?;
            len |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(len);
            }
        }
        None
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let len = self.length()?;
        std::str::from_utf8(self.take(len)?).ok()
    }
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Decoded<'a>;

    fn next(&mut self) -> Option<Decoded<'a>> {
        let part = self.0;
        match self.byte()? {
            TEXT => self.text().map(Decoded::Text),
            NONE => Some(Decoded::None),
            NOT_FINITE => self.text().map(Decoded::NotFinite),
            LIST => {
                let left = self.length()?;
                let items = Items { decoder: self.clone(), left };
                for _ in 0..left {
                    self.next()?;
                }
                Some(Decoded::List(items))
            }
            _ => {
                self.0 = part;
                super::typed::skip(self)?;
                Some(Decoded::Typed(&part[..part.len() - self.0.len()]))
            }
        }
    }
}
