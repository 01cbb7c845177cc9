//! The syntax of field values: lists, parameters and quoted strings (RFC 9110, 5.6). The `headers`
//! crate is unsuitable: its lists skip values that are not text, and end a quoted string at an
//! escaped quote.

use http::HeaderName;

/// Splits a value at a separator outside of quoted strings. `None` if a quoted string is
/// unterminated.
pub(crate) fn split(value: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => {
                parts.push(value[start..at].trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(value[start..].trim_ascii());
    (!is_quoted).then_some(parts)
}

/// Parses `token [ "=" ( token / quoted-string ) ]`: the name in lower case, and the value without
/// its quotes, empty if there is none. `None` for anything ambiguous.
pub(crate) fn parameter(text: &[u8]) -> Option<(String, String)> {
    let (name, value) = match text.iter().position(|&byte| byte == b'=') {
        Some(at) => (&text[..at], text[at + 1..].trim_ascii()),
        None => (text, &b""[..]),
    };
    // A field name is a token too.
    let name = HeaderName::from_bytes(name.trim_ascii()).ok()?;
    let value = match value.strip_prefix(b"\"") {
        Some(rest) => unquoted(rest)?,
        None if value.contains(&b'"') => return None,
        None => value.to_vec(),
    };
    Some((name.as_str().to_owned(), String::from_utf8_lossy(&value).into_owned()))
}

/// The contents of a quoted string whose first quote was read. `None` if anything follows it.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let (mut read, mut bytes) = (Vec::new(), text.iter());
    loop {
        match bytes.next()? {
            b'\\' => read.push(*bytes.next()?),
            b'"' => break,
            byte => read.push(*byte),
        }
    }
    bytes.as_slice().is_empty().then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &str) -> Option<(String, String)> {
        parameter(text.as_bytes())
    }

    #[test]
    fn separators_in_quotes_do_not_split() {
        let split = |text| split(text, b',');
        assert_eq!(split(b"a, b ,,c"), Some(vec![&b"a"[..], b"b", b"", b"c"]));
        assert_eq!(split(b"a=\"x, y\",b"), Some(vec![&b"a=\"x, y\""[..], b"b"]));
        assert_eq!(split(b"a=\"x\\\", y\",b"), Some(vec![&b"a=\"x\\\", y\""[..], b"b"]));
        assert_eq!(split(b"a=\"x, y"), None);
        assert_eq!(split(b"a=\"x\\\""), None);
    }

    #[test]
    fn parameters_are_read_in_one_way_or_not_at_all() {
        let of = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(pair("No-Store"), of("no-store", ""));
        assert_eq!(pair("max-age=60"), of("max-age", "60"));
        assert_eq!(pair("max-age = \"60\""), of("max-age", "60"));
        assert_eq!(pair("note=\"a \\\"b\\\" \\\\\""), of("note", "a \"b\" \\"));
        for text in ["", "=1", "a b", "a;b=1", "a=b\"c\"", "a=\"b\"c", "a=\"b\" \"c\"", "\"a\""] {
            assert_eq!(pair(text), None, "{text}");
        }
    }
}
