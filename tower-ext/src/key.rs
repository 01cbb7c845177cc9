//! The key of a response: what of a request it is kept under.

use std::fmt::Write as _;

use fragcache::FragmentKey;
use fragcache::engine::view_key;
use http::request::Parts;
use http::{HeaderName, Method, Uri, header};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

/// What of the query string is part of the key.
#[derive(Debug, Clone)]
pub(crate) enum Query {
    All,
    None,
    Only(Box<[Box<str>]>),
}

/// The parts of a key that every request has.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) name: Box<str>,
    pub(crate) query: Query,
    pub(crate) host: bool,
    /// Headers that are part of the key, whatever the response says.
    pub(crate) headers: Vec<HeaderName>,
}

impl Shape {
    /// The key of a request without a key function.
    pub(crate) fn of_request(&self, parts: &Parts) -> FragmentKey {
        let mut key = view_key(&self.name, path(parts));
        if self.host {
            key = key.vary_on(host(parts).as_deref());
        }
        let query = |uri: &Uri| query_of(uri, &self.query);
        let key = key.vary_on(query(original(parts)).as_deref());
        if is_rewritten(parts) {
            return key.vary_on(parts.uri.path()).vary_on(query(&parts.uri).as_deref());
        }
        key
    }

    /// What any key of a request ends in.
    pub(crate) fn finish(&self, key: FragmentKey, parts: &Parts) -> FragmentKey {
        let key = match parts.method {
            Method::GET | Method::HEAD => key,
            _ => key.vary_on(parts.method.as_str()),
        };
        if self.headers.is_empty() { key } else { vary_on(key, &self.headers, parts) }
    }
}

/// A key with the values that a request has of headers.
pub(crate) fn vary_on(key: FragmentKey, names: &[HeaderName], parts: &Parts) -> FragmentKey {
    let values: Vec<String> = names.iter().map(|name| value(name, parts)).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    key.vary_on(values.as_slice())
}

/// A header as it is in a key. What may be a secret is there as a digest: keys are shown to
/// observers and written to logs.
fn value(name: &HeaderName, parts: &Parts) -> String {
    let secret = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];
    let mut values = parts.headers.get_all(name).iter().peekable();
    let mut text = format!("{name}:");
    if values.peek().is_none() {
        return text;
    }
    if secret.contains(name) {
        let mut digest = Sha256::new();
        values.for_each(|value| {
            digest.update((value.len() as u64).to_le_bytes());
            digest.update(value.as_bytes());
        });
        for byte in digest.finalize() {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        return text;
    }
    // No value has a line feed or another control character in it.
    for value in values {
        text.push('\n');
        match value.to_str() {
            Ok(value) => text.push_str(value),
            Err(_) => value.as_bytes().iter().for_each(|byte| {
                let _ = write!(text, "\u{1}{byte:02x}");
            }),
        }
    }
    text
}

/// The path as the client sent it, also where a router has taken its own part off.
pub(crate) fn path(parts: &Parts) -> &str {
    original(parts).path()
}

fn original(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return original;
    }
    &parts.uri
}

/// Whether the handler sees another address than the client sent, by more than what a router took off
/// its front. It may then depend on whatever the other was made of.
#[cfg(feature = "axum")]
fn is_rewritten(parts: &Parts) -> bool {
    let (sent, seen) = (original(parts), &parts.uri);
    let is_nested = parts.extensions.get::<axum::extract::NestedPath>().is_some();
    let is_rest = is_nested && (seen.path() == "/" || sent.path().ends_with(seen.path()));
    sent.query() != seen.query() || !(is_rest || sent.path() == seen.path())
}

#[cfg(not(feature = "axum"))]
fn is_rewritten(_: &Parts) -> bool {
    false
}

/// The host of the address, the header's, or both where they differ: a handler may read either.
fn host(parts: &Parts) -> Option<String> {
    let of_uri = parts.uri.authority().map(|authority| authority.as_str());
    let of_header = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = match (of_uri, of_header) {
        (Some(uri), Some(header)) if !uri.eq_ignore_ascii_case(header) => {
            format!("{uri} {header}")
        }
        (one, other) => one.or(other)?.to_owned(),
    };
    Some(host.to_ascii_lowercase())
}

/// The name of a parameter as a handler reads it, however it is written.
fn name(pair: &&str) -> String {
    let written = pair.split('=').next().unwrap_or_default().replace('+', " ");
    percent_decode_str(&written).decode_utf8_lossy().into_owned()
}

/// The query string with its parameters in the order of their names. Those of one name keep theirs,
/// as a handler may read the first or the last.
fn query_of(uri: &Uri, part: &Query) -> Option<String> {
    let query = uri.query()?;
    let mut pairs: Vec<&str> = match part {
        Query::None => return None,
        Query::All => query.split('&').filter(|pair| !pair.is_empty()).collect(),
        Query::Only(names) => {
            let is_listed = |pair: &&str| names.iter().any(|listed| **listed == name(pair));
            query.split('&').filter(is_listed).collect()
        }
    };
    pairs.sort_by_cached_key(name);
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(uri: &str) -> Parts {
        Request::get(uri).body(()).unwrap().into_parts().0
    }

    fn shape(query: Query) -> Shape {
        Shape { name: "v".into(), query, host: true, headers: Vec::new() }
    }

    #[test]
    fn parameters_are_sorted_by_name_only() {
        let shape = shape(Query::All);
        let key = |uri| shape.of_request(&parts(uri));
        assert_eq!(key("/p?b=1&a=2"), key("/p?a=2&b=1"));
        assert_eq!(key("/p?"), key("/p"));
        assert_eq!(key("/p?&a=1&"), key("/p?a=1"));
        for other in ["/p?a=2&a=1", "/p?a=1", "/p?a=1&a=2&a", "/P?a=1&a=2", "/p?A=1&a=2"] {
            assert_ne!(key(other), key("/p?a=1&a=2"), "{other}");
        }
    }

    #[test]
    fn only_listed_parameters_count() {
        let only = shape(Query::Only(["page".into()].into()));
        let key = |uri| only.of_request(&parts(uri));
        assert_eq!(key("/p?utm=1&page=2"), key("/p?page=2"));
        assert_eq!(key("/p?utm=1"), key("/p"));
        assert_ne!(key("/p?page=1"), key("/p?page=2"));
        let none = shape(Query::None);
        assert_eq!(none.of_request(&parts("/p?page=1")), none.of_request(&parts("/p")));
    }

    #[test]
    fn hosts_are_apart_whatever_their_case() {
        let shape = shape(Query::All);
        let of = |host: &str| {
            let mut parts = parts("/p");
            parts.headers.insert(header::HOST, host.parse().unwrap());
            shape.of_request(&parts)
        };
        assert_eq!(of("Shop.example"), of("shop.example"));
        assert_ne!(of("shop.example"), of("other.example"));
        assert_eq!(of("shop.example"), shape.of_request(&parts("http://shop.example/p")));
    }

    #[test]
    fn headers_tell_values_apart_and_secrets_are_not_shown() {
        let with = |pairs: &[(HeaderName, &str)]| {
            let mut parts = parts("/p");
            for (name, value) in pairs {
                parts.headers.append(name, value.parse().unwrap());
            }
            vary_on(view_key("v", "/p"), &[header::COOKIE, header::ACCEPT], &parts)
        };
        let keys = [
            with(&[]),
            with(&[(header::ACCEPT, "")]),
            with(&[(header::ACCEPT, "a")]),
            with(&[(header::ACCEPT, "a"), (header::ACCEPT, "b")]),
            with(&[(header::COOKIE, "s=1")]),
            with(&[(header::COOKIE, "s=2")]),
            with(&[(header::COOKIE, "s=1"), (header::COOKIE, "")]),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(keys[..at].iter().all(|other| other != key), "{key}");
            assert!(!key.to_string().contains("s="), "{key}");
        }
    }
}
