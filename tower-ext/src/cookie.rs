//! Request cookies, for keys and for handlers.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::percent_decode_str;

/// A cookie that cookie parsers may read differently: see [`cookie`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmbiguousCookie;

impl std::fmt::Display for AmbiguousCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a cookie that can be read in more than one way")
    }
}

impl std::error::Error for AmbiguousCookie {}

/// The value of a cookie, from all `Cookie` fields of the request. `None` if there is no cookie of
/// this name.
///
/// HTTP/2 and HTTP/3 clients may send each cookie in a separate field ([RFC 9113, section
/// 8.2.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3)); `headers.get(COOKIE)` then
/// returns only one of them.
///
/// A key that is built from a cookie must contain what the handler reads, and handlers parse
/// cookies with various crates. This function returns a value only where all of them agree: [RFC
/// 6265, section 4.2](https://www.rfc-editor.org/rfc/rfc6265#section-4.2), excluding values that
/// some of them decode or trim.
///
/// ```
/// use fragcache_tower::cookie;
///
/// let request = http::Request::get("/").header("cookie", "a=1; b=2").header("cookie", "theme=dark");
/// let (parts, ()) = request.body(())?.into_parts();
/// assert_eq!(cookie(&parts, "theme"), Ok(Some("dark")));
/// assert_eq!(cookie(&parts, "lang"), Ok(None));
///
/// let twice = http::Request::get("/").header("cookie", "theme=dark; theme=light");
/// let (parts, ()) = twice.body(())?.into_parts();
/// assert!(cookie(&parts, "theme").is_err());
/// # Ok::<(), http::Error>(())
/// ```
///
/// # Errors
///
/// If the request has several cookies of this name with different values; if the name or the value
/// is quoted, percent-encoded or has spaces around its `=`; if the name has no `=`; or if a field
/// has bytes other than visible ASCII. In a [key function](crate::CacheLayer::key) write `.ok()?`:
/// the request then bypasses the cache.
pub fn cookie<'p>(parts: &'p Parts, name: &str) -> Result<Option<&'p str>, AmbiguousCookie> {
    let mut found = None;
    for field in parts.headers.get_all(header::COOKIE) {
        let field = field.to_str().map_err(|_| AmbiguousCookie)?;
        for pair in field.split(';').map(str::trim) {
            let (written, value) = match pair.split_once('=') {
                Some((written, value)) => (written, Some(value)),
                None => (pair, None),
            };
            let bare = written.trim().trim_matches('"').trim();
            if !percent_decode_str(bare).eq(name.bytes()) {
                continue;
            }
            let value = value.filter(|value| written == name && is_plain(value));
            let value = value.ok_or(AmbiguousCookie)?;
            if found.is_some_and(|found| found != value) {
                return Err(AmbiguousCookie);
            }
            found = Some(value);
        }
    }
    Ok(found)
}

/// Whether a value is the same with and without decoding, unquoting or trimming.
fn is_plain(value: &str) -> bool {
    !value.contains(['%', '"', ' ', '\t'])
}

/// Joins all cookies in one field, as RFC 9113, 8.2.3 specifies for generic applications.
pub(crate) fn join(headers: &mut HeaderMap) {
    let fields = headers.get_all(header::COOKIE);
    if fields.iter().nth(1).is_none() {
        return;
    }
    let fields: Vec<&[u8]> = fields.iter().map(HeaderValue::as_bytes).collect();
    // The parts are valid values, so the joined value is too.
    if let Ok(mut joined) = HeaderValue::from_bytes(&fields.join(&b"; "[..])) {
        joined.set_sensitive(true);
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn theme(fields: &[&[u8]]) -> Result<Option<String>, AmbiguousCookie> {
        let mut request = Request::get("/");
        for field in fields {
            request = request.header(header::COOKIE, *field);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let read = cookie(&parts, "theme").map(|value| value.map(str::to_owned));
        join(&mut parts.headers);
        assert!(parts.headers.get_all(header::COOKIE).iter().count() <= 1);
        assert_eq!(cookie(&parts, "theme").map(|value| value.map(str::to_owned)), read);
        read
    }

    #[test]
    fn all_fields_are_read() {
        let of = |value: &str| Ok(Some(value.to_owned()));
        assert_eq!(theme(&[]), Ok(None));
        assert_eq!(theme(&[b"theme=dark"]), of("dark"));
        assert_eq!(theme(&[b"a=1", b"theme=dark"]), of("dark"));
        assert_eq!(theme(&[b"a=1;theme=dark ;  b=2"]), of("dark"));
        assert_eq!(theme(&[b"theme=dark", b"theme=dark"]), of("dark"));
        assert_eq!(theme(&[b"theme=a=b"]), of("a=b"));
        assert_eq!(theme(&[b"theme="]), of(""));
        assert_eq!(theme(&[b"Theme=dark; xtheme=dark; =theme; ; a=theme=dark"]), Ok(None));
    }

    #[test]
    fn ambiguous_directives_are_not_read() {
        let cases: &[&[&[u8]]] = &[
            &[b"theme=dark; theme=light"],
            &[b"theme=dark", b"theme=light"],
            &[b"theme=dark", b"th%65me=light"],
            &[b"%74heme=dark"],
            &[b"theme=d%61rk"],
            &[b"theme=\"dark\""],
            &[b"\"theme\"=dark"],
            &[b"theme =dark"],
            &[b"theme= dark"],
            &[b"theme"],
            &[b"theme=dark; a=\xff"],
            &[b"a=\xff", b"theme=dark"],
        ];
        for fields in cases {
            assert_eq!(theme(fields), Err(AmbiguousCookie), "{fields:?}");
        }
    }
}
