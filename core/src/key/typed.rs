//! Typed parts, as `serialize` writes them: their tags, and how they are read and shown.

use std::fmt;

use super::Shown;
use super::encode::Decoder;

/// The byte before each value. None of them starts a template's part.
pub(super) mod tag {
    pub(in crate::key) const UNIT: u8 = b'U';
    pub(in crate::key) const NONE: u8 = b'N';
    pub(in crate::key) const SOME: u8 = b'O';
    pub(in crate::key) const FALSE: u8 = b'0';
    pub(in crate::key) const TRUE: u8 = b'1';
    /// Its decimal text.
    pub(in crate::key) const INT: u8 = b'I';
    /// The bits of an `f64`, one NaN for all.
    pub(in crate::key) const FLOAT: u8 = b'F';
    pub(in crate::key) const TEXT: u8 = b'T';
    pub(in crate::key) const BYTES: u8 = b'B';
    /// Values up to the end.
    pub(in crate::key) const SEQUENCE: u8 = b'L';
    /// Values up to the end, sorted by their bytes.
    pub(in crate::key) const UNORDERED: u8 = b'C';
    /// Keys and values up to the end, sorted by their bytes.
    pub(in crate::key) const MAP: u8 = b'M';
    /// A name, and values up to the end.
    pub(in crate::key) const TUPLE_STRUCT: u8 = b'P';
    /// A name, and names with values up to the end.
    pub(in crate::key) const STRUCT: u8 = b'S';
    /// The enum's name, the variant's, and values up to the end.
    pub(in crate::key) const VARIANT: u8 = b'V';
    /// The enum's name, the variant's, and names with values up to the end.
    pub(in crate::key) const STRUCT_VARIANT: u8 = b'W';
    pub(in crate::key) const END: u8 = b'.';
}

/// Deepest nesting of values. Deeper ones are neither written nor read.
pub(super) const MAX_DEPTH: usize = 128;

/// Skips one typed part; `None` if the bytes are malformed.
pub(super) fn skip(bytes: &mut Decoder<'_>) -> Option<()> {
    Printer { bytes, out: None, depth: 0 }.value().ok()
}

/// Shows a part that `skip` has accepted.
pub(super) fn show(part: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    Printer { bytes: &mut Decoder::new(part), out: Some(f), depth: 0 }.value()
}

/// Reads a value and shows it if `out` is set. Malformed bytes are an error.
struct Printer<'w, 'a, 'f, 'g> {
    bytes: &'w mut Decoder<'a>,
    out: Option<&'f mut fmt::Formatter<'g>>,
    depth: usize,
}

impl<'a> Printer<'_, 'a, '_, '_> {
    fn put(&mut self, shown: impl fmt::Display) -> fmt::Result {
        self.out.as_mut().map_or(Ok(()), |f| shown.fmt(f))
    }

    fn name(&mut self) -> fmt::Result {
        let name = self.bytes.text().ok_or(fmt::Error)?;
        self.put(Shown(name))
    }

    fn names(&mut self) -> fmt::Result {
        self.name()?;
        self.put("::")?;
        self.name()
    }

    fn value(&mut self) -> fmt::Result {
        if self.depth > MAX_DEPTH {
            return Err(fmt::Error);
        }
        self.depth += 1;
        self.of_tag()?;
        self.depth -= 1;
        Ok(())
    }

    fn of_tag(&mut self) -> fmt::Result {
        match self.bytes.byte().ok_or(fmt::Error)? {
            tag::UNIT => self.put("()"),
            tag::NONE => self.put("none"),
            tag::FALSE => self.put("false"),
            tag::TRUE => self.put("true"),
            tag::SOME => {
                self.put("some(")?;
                self.value()?;
                self.put(")")
            }
            tag::INT => self.name(),
            tag::FLOAT => {
                let bits = self.bytes.take(8).and_then(|bits| bits.try_into().ok());
                let float = f64::from_bits(u64::from_be_bytes(bits.ok_or(fmt::Error)?));
                self.put(format_args!("{float:?}"))
            }
            tag::TEXT => {
                let text = self.bytes.text().ok_or(fmt::Error)?;
                self.put(Quoted(text))
            }
            tag::BYTES => {
                let bytes = self.bytes.length().and_then(|len| self.bytes.take(len));
                self.put(format_args!("b\"{}\"", bytes.ok_or(fmt::Error)?.escape_ascii()))
            }
            tag::SEQUENCE => self.items("[", "]", Self::value),
            tag::UNORDERED => self.items("#{", "}", Self::value),
            tag::MAP => self.items("{", "}", |walk| {
                walk.value()?;
                walk.put(": ")?;
                walk.value()
            }),
            tag::TUPLE_STRUCT => {
                self.name()?;
                self.items("(", ")", Self::value)
            }
            tag::VARIANT => {
                self.names()?;
                self.items("(", ")", Self::value)
            }
            tag::STRUCT => {
                self.name()?;
                self.items("{", "}", Self::field)
            }
            tag::STRUCT_VARIANT => {
                self.names()?;
                self.items("{", "}", Self::field)
            }
            _ => Err(fmt::Error),
        }
    }

    fn field(&mut self) -> fmt::Result {
        self.name()?;
        self.put(": ")?;
        self.value()
    }

    fn items(
        &mut self,
        open: &str,
        close: &str,
        item: impl Fn(&mut Self) -> fmt::Result,
    ) -> fmt::Result {
        self.put(open)?;
        let mut first = true;
        while *self.bytes.rest().first().ok_or(fmt::Error)? != tag::END {
            if !first {
                self.put(", ")?;
            }
            first = false;
            item(self)?;
        }
        self.bytes.byte();
        self.put(close)
    }
}

/// Text among values of other kinds. It is quoted also where it could be a number or a boolean.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.parse::<f64>().is_ok();
        if !f.alternate() && (number || matches!(self.0, "true" | "false")) {
            write!(f, "{:?}", self.0)
        } else {
            Shown(self.0).fmt(f)
        }
    }
}
