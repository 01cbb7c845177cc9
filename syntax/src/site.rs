//! The id of a cache block. The rewriter writes it into the lowered source as one string literal,
//! and the runtime reads it back, so that a source rewritten at build time carries everything that
//! a render needs. Keys and lookups are not built here.

use std::borrow::Cow;

/// The length of the block's source digest at the start of an id (base64url of 128 bits).
pub(crate) const DIGEST_LEN: usize = 22;

/// The static facts of one cache block.
///
/// Encoded as `DIGEST`, the option letters, and `:line:column:ordinal:template`, where the
/// template's name is percent-encoded (except ASCII letters, digits and `._-/`). The option letters
/// are in the order in which their values end the argument list: `u` unless, `r` refresh, `v`
/// version, `c` using. `ordinal` counts the cache blocks of a line from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockId<'a> {
    pub(crate) digest: &'a str,
    pub(crate) options: &'a str,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) ordinal: u32,
    pub(crate) template: Cow<'a, str>,
}

impl<'a> BlockId<'a> {
    /// The text of the literal, without quotes. It is safe inside a string literal of either
    /// engine.
    pub(crate) fn encode(&self) -> String {
        let mut out = String::with_capacity(DIGEST_LEN + self.template.len() + 16);
        out.push_str(self.digest);
        out.push_str(self.options);
        for number in [self.line, self.column, self.ordinal] {
            out.push(':');
            out.push_str(itoa::Buffer::new().format(number));
        }
        out.push(':');
        for byte in self.template.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' => {
                    out.push(char::from(byte));
                }
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    }

    /// Parses the output of [`encode`](Self::encode); `None` for any other text.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let digest = text.get(..DIGEST_LEN)?;
        let mut fields = text[DIGEST_LEN..].splitn(5, ':');
        let options = fields.next()?;
        if !options.bytes().all(|b| matches!(b, b'u' | b'r' | b'v' | b'c')) {
            return None;
        }
        let line = fields.next()?.parse().ok()?;
        let column = fields.next()?.parse().ok()?;
        let ordinal = fields.next()?.parse().ok()?;
        let template = decode_percent(fields.next()?)?;
        Some(Self { digest, options, line, column, ordinal, template })
    }
}

fn decode_percent(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_reads_back_whatever_the_template_is_called() {
        for template in ["page.html", "a b\"\n\0é%41'\\{%", ""] {
            let site = BlockId {
                digest: "0123456789abcdefghijkl",
                options: "uvcr",
                line: 7,
                column: 3,
                ordinal: 2,
                template: Cow::Borrowed(template),
            };
            let text = site.encode();
            assert!(text.is_ascii() && !text.contains(['"', '\'', '\\', '\n']));
            assert_eq!(BlockId::parse(&text), Some(site));
        }
        assert_eq!(BlockId::parse("short"), None);
        assert_eq!(BlockId::parse("0123456789abcdefghijklx:1:1:1:a"), None);
    }
}
