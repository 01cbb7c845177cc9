//! The key of a response, built from its request.

use std::fmt::Write as _;

use fragcache::FragmentKey;
use fragcache::engine::view_key;
use fragcache::events::BypassReason;
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::fields;
use crate::header_names::HeaderNames;
use crate::host;

/// The part of the query string that is in the key.
#[derive(Debug, Clone)]
pub(crate) enum Query {
    All,
    None,
    Only(Box<[Box<str>]>),
}

/// The settings for the key parts that every request has.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) name: Box<str>,
    pub(crate) query: Query,
    pub(crate) host: bool,
    /// The scheme of requests whose address has none.
    pub(crate) scheme: Option<Scheme>,
    /// Headers in the key, regardless of the response.
    pub(crate) headers: Vec<HeaderName>,
    /// The meaning of header names.
    pub(crate) names: HeaderNames,
}

impl Shape {
    /// The key of a request without a key function, or the reason why it has none.
    pub(crate) fn of_request(&self, parts: &Parts) -> Result<FragmentKey, BypassReason> {
        let mut key = view_key(&self.name, path(parts));
        if self.host {
            let host = host::host(parts).ok_or(BypassReason::Host)?;
            // Without a scheme, in the form of a scheme-relative reference: RFC 3986, 4.2.
            let origin = match self.scheme_of(parts) {
                Some(scheme) => format!("{scheme}://{host}"),
                None => format!("//{host}"),
            };
            key = key.vary_on(origin);
        }
        let query = |uri: &Uri| query_of(uri.query(), &self.query);
        let key = key.vary_on(query(original(parts)).as_deref());
        if is_rewritten(parts) {
            let seen = query(&parts.uri);
            return Ok(key.vary_on(parts.uri.path()).vary_on(seen.as_deref()));
        }
        Ok(key)
    }

    /// Appends the parts that every key ends in, key functions included.
    pub(crate) fn finish(&self, key: FragmentKey, parts: &Parts) -> FragmentKey {
        let key = match parts.method {
            Method::GET | Method::HEAD => key,
            _ => key.vary_on(parts.method.as_str()),
        };
        let told = self.names.in_key(&parts.headers, self.host).into_iter();
        let told: Vec<String> = told.map(|name| self.told(name, parts)).collect();
        let key = if told.is_empty() { key } else { key.vary_on(told) };
        if self.headers.is_empty() { key } else { self.vary_on(key, &self.headers, parts) }
    }

    /// The scheme of a request; `None` if neither the request nor the view states one.
    pub(crate) fn scheme_of<'s>(&'s self, parts: &'s Parts) -> Option<&'s Scheme> {
        host::scheme(parts).or(self.scheme.as_ref())
    }

    /// Appends the request's values of these headers to a key.
    pub(crate) fn vary_on(
        &self,
        key: FragmentKey,
        names: &[HeaderName],
        parts: &Parts,
    ) -> FragmentKey {
        let values: Vec<String> = names.iter().map(|name| self.value(name, parts)).collect();
        key.vary_on(values)
    }

    /// A header as written in a key. Possible secrets are written as a digest: keys are shown to
    /// observers and written to logs.
    fn value(&self, name: &HeaderName, parts: &Parts) -> String {
        let values: Vec<&[u8]> =
            parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        // A value with an at sign may be an email address, or a URL with a password.
        let is_secret = |value: &&[u8]| value.contains(&b'@');
        if self.names.is_secret(name) || values.iter().any(is_secret) {
            return digest(name, &values);
        }
        shown(name, &values)
    }

    /// A header as written in the key of every request that has it.
    fn told(&self, name: &HeaderName, parts: &Parts) -> String {
        let forwarded = (*name == header::FORWARDED).then(|| forwarded(parts)).flatten();
        match forwarded {
            Some(told) => digest(name, &[&told]),
            None => self.value(name, parts),
        }
    }
}

/// The address parameters of `Forwarded`, without `by` and `for`, which would make a key for each
/// client: RFC 7239, 4. `None` if the header cannot be parsed.
fn forwarded(parts: &Parts) -> Option<Vec<u8>> {
    let mut told = Vec::new();
    for value in parts.headers.get_all(header::FORWARDED) {
        for element in fields::split(value.as_bytes(), b',')? {
            for pair in fields::split(element, b';')?.into_iter().filter(|pair| !pair.is_empty()) {
                if !matches!(fields::parameter(pair)?.0.as_str(), "by" | "for") {
                    told.extend_from_slice(pair);
                    told.push(b';');
                }
            }
            told.push(b',');
        }
    }
    Some(told)
}

fn digest(name: &HeaderName, values: &[&[u8]]) -> String {
    let mut text = format!("{name}:");
    if values.is_empty() {
        return text;
    }
    let mut digest = Sha256::new();
    for value in values {
        digest.update((value.len() as u64).to_le_bytes());
        digest.update(value);
    }
    for byte in digest.finalize() {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn shown(name: &HeaderName, values: &[&[u8]]) -> String {
    let mut text = format!("{name}:");
    // Header values contain no line feed or other control character: the separators are
    // unambiguous.
    for value in values {
        text.push('\n');
        match value.is_ascii() {
            true => text.push_str(&String::from_utf8_lossy(value)),
            false => value.iter().for_each(|byte| {
                let _ = write!(text, "\u{1}{byte:02x}");
            }),
        }
    }
    text
}

/// The path as the client sent it, even if a router has removed its prefix.
pub(crate) fn path(parts: &Parts) -> &str {
    original(parts).path()
}

pub(crate) fn original(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return original;
    }
    &parts.uri
}

/// Whether the handler sees a different address than the client sent, beyond a prefix that a router
/// removed. The response may then depend on anything the new address was made from.
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

/// The decoded name of a query parameter, as a handler reads it.
fn name(pair: &&str) -> String {
    let written = pair.split('=').next().unwrap_or_default().replace('+', " ");
    percent_decode_str(&written).decode_utf8_lossy().into_owned()
}

/// The query string with its parameters sorted by name. Parameters with the same name keep their
/// order, because a handler may read the first or the last.
pub(crate) fn query_of(query: Option<&str>, part: &Query) -> Option<String> {
    let query = query?;
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
        let (name, scheme, headers) = ("v".into(), None, Vec::new());
        Shape { name, query, host: false, scheme, headers, names: HeaderNames::default() }
    }

    fn key(shape: &Shape, parts: &Parts) -> FragmentKey {
        shape.finish(shape.of_request(parts).unwrap(), parts)
    }

    #[test]
    fn parameters_are_sorted_by_name_only() {
        let shape = shape(Query::All);
        let key = |uri| key(&shape, &parts(uri));
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
        let of = |uri| key(&only, &parts(uri));
        assert_eq!(of("/p?utm=1&page=2"), of("/p?page=2"));
        assert_eq!(of("/p?utm=1"), of("/p"));
        assert_ne!(of("/p?page=1"), of("/p?page=2"));
        let none = shape(Query::None);
        assert_eq!(key(&none, &parts("/p?page=1")), key(&none, &parts("/p")));
    }

    #[test]
    fn hosts_are_distinct_in_any_case() {
        let shape = Shape { host: true, ..shape(Query::All) };
        let of = |host: &str| {
            let mut parts = parts("/p");
            parts.headers.insert(header::HOST, host.parse().unwrap());
            key(&shape, &parts)
        };
        assert_eq!(of("Shop.example"), of("shop.example"));
        assert_ne!(of("shop.example"), of("other.example"));
        assert_eq!(of("shop.example").to_string(), "v(/p, //shop.example, none)");
        assert_eq!(shape.of_request(&parts("/p")), Err(BypassReason::Host));
    }

    #[test]
    fn schemes_are_apart_and_that_of_requests_without_one_can_be_said() {
        let shape = Shape { host: true, ..shape(Query::All) };
        let http = key(&shape, &parts("http://shop.example/p"));
        assert_eq!(http.to_string(), "v(/p, http://shop.example, none)");
        assert_ne!(http, key(&shape, &parts("https://shop.example/p")));
        let mut origin_form = parts("/p");
        origin_form.headers.insert(header::HOST, "shop.example".parse().unwrap());
        assert_ne!(http, key(&shape, &origin_form));
        let https = Shape { scheme: Some(Scheme::HTTPS), ..shape };
        assert_eq!(key(&https, &origin_form), key(&https, &parts("https://shop.example/p")));
        assert_eq!(key(&https, &parts("http://shop.example/p")), http);
    }

    #[test]
    fn headers_of_another_address_are_in_the_key() {
        let of = |shape: &Shape, pairs: &[(&str, &str)]| {
            let mut parts = parts("http://shop.example/p");
            for (name, value) in pairs {
                let name: HeaderName = name.parse().unwrap();
                parts.headers.append(name, value.parse().unwrap());
            }
            key(shape, &parts)
        };
        let shape = Shape { host: true, ..shape(Query::All) };
        let keys = [
            of(&shape, &[]),
            of(&shape, &[("x-forwarded-host", "evil.example")]),
            of(&shape, &[("x-forwarded-proto", "https")]),
            of(&shape, &[("x-forwarded-proto", "https"), ("x-forwarded-host", "a")]),
            of(&shape, &[("x-forwarded-prefix", "/shop")]),
            of(&shape, &[("x-original-url", "/admin")]),
            of(&shape, &[("hx-request", "true")]),
            of(&shape, &[("forwarded", "host=a")]),
            of(&shape, &[("forwarded", "host=b")]),
            of(&shape, &[("forwarded", "proto=https")]),
            of(&shape, &[("forwarded", "host=a, host=b")]),
            of(&shape, &[("forwarded", "host=a; host=b")]),
            of(&shape, &[("forwarded", "host=\"a")]),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(keys[..at].iter().all(|other| other != key), "{key}");
        }
        let client = [("forwarded", "for=192.0.2.1;HOST=\"a\"; by=x"), ("x-forwarded-for", "::1")];
        let other = [("forwarded", "for=192.0.2.2; HOST=\"a\""), ("user-agent", "curl")];
        assert_eq!(of(&shape, &client), of(&shape, &other), "no key for each client");
        let secret = of(&shape, &[("x-forwarded-host", "ann:secret@shop.example")]);
        assert!(!secret.to_string().contains("secret"), "{secret}");
        let mut deaf = Shape { host: false, ..shape };
        let host = [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")];
        assert_eq!(of(&deaf, &host), of(&deaf, &[]), "the host does not count");
        let part = [("hx-request", "true")];
        assert_ne!(of(&deaf, &part), of(&deaf, &[]));
        deaf.names.set_harmless([HeaderName::from_static("hx-request")]);
        assert_eq!(of(&deaf, &part), of(&deaf, &[]));
    }

    #[test]
    fn headers_distinguish_values_and_hide_secrets() {
        const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
        const OWN: HeaderName = HeaderName::from_static("x-own");
        let mut shape = shape(Query::All);
        shape.names.set_private([OWN]);
        let with = |pairs: &[(HeaderName, &str)]| {
            let mut parts = parts("/p");
            for (name, value) in pairs {
                parts.headers.append(name, value.parse().unwrap());
            }
            let names = [header::COOKIE, header::ACCEPT, header::FORWARDED, API_KEY, OWN];
            shape.vary_on(view_key("v", "/p"), &names, &parts)
        };
        let keys = [
            with(&[]),
            with(&[(header::ACCEPT, "")]),
            with(&[(header::ACCEPT, "a")]),
            with(&[(header::ACCEPT, "a"), (header::ACCEPT, "b")]),
            with(&[(header::COOKIE, "s=1")]),
            with(&[(header::COOKIE, "s=2")]),
            with(&[(header::COOKIE, "s=1"), (header::COOKIE, "")]),
            with(&[(API_KEY, "s=1")]),
            with(&[(OWN, "s=1")]),
            with(&[(header::FORWARDED, "for=\"s=1@\"")]),
            with(&[(header::FORWARDED, "for=\"s=2@\"")]),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(keys[..at].iter().all(|other| other != key), "{key}");
            assert!(!key.to_string().contains("s="), "{key}");
        }
    }
}
