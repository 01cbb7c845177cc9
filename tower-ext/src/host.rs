//! The host and the scheme of a request, as the key has them: RFC 9110, 7.1 and 7.2; RFC 9112, 3.2 and
//! 3.3; RFC 9113, 8.3.1.

use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Uri, header, response};
use percent_encoding::percent_decode_str;

use crate::key::original;

/// The [`authority`] of a request, in lower case.
pub(crate) fn host(parts: &Parts) -> Option<String> {
    authority(parts).map(|host| host.as_str().to_ascii_lowercase())
}

/// The one host that a request is for, with its port. `None` if it names none, or if a handler could
/// read another one than the key has: two `Host` fields, one that is no host, one that the address
/// contradicts. `None` also with user info, which is a secret and no part of a host.
fn authority(parts: &Parts) -> Option<Authority> {
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = fields.next().map(|field| Authority::try_from(field.as_bytes()));
    if fields.next().is_some() {
        return None;
    }
    let field = field.transpose().ok()?;
    let seen = parts.uri.authority();
    let sent = original(parts).authority();
    let mut named = [seen, sent, field.as_ref()].into_iter().flatten();
    let host = named.next()?;
    let is_host = !host.host().is_empty() && !host.as_str().contains('@');
    // Authorities are compared without regard to case.
    (is_host && named.all(|other| other == host)).then(|| host.clone())
}

/// The scheme that the address has. In HTTP/1.1 most have none.
pub(crate) fn scheme(parts: &Parts) -> Option<&Scheme> {
    parts.uri.scheme().or_else(|| original(parts).scheme())
}

/// Whether a response sends the client to the address that it asked for, with no more than the scheme
/// changed, and might be served to a client that is there already. `known` is the scheme in the key.
pub(crate) fn sends_back(
    asked: &Parts,
    known: Option<&Scheme>,
    response: &response::Parts,
) -> bool {
    let location = response.headers.get(header::LOCATION);
    let Some(location) = location.filter(|_| response.status.is_redirection()) else {
        return false;
    };
    let Ok(target) = Uri::try_from(location.as_bytes()) else {
        // A relative reference keeps the scheme.
        return known.is_none() && location.as_bytes().windows(3).any(|part| part == b"://");
    };
    let (Some(scheme), Some(to)) = (target.scheme(), target.authority()) else {
        return false;
    };
    let sent = original(asked);
    let is_same_path = percent_decode_str(target.path()).eq(percent_decode_str(sent.path()));
    if !is_same_path || target.query().unwrap_or_default() != sent.query().unwrap_or_default() {
        return false;
    }
    let Some(known) = known else {
        // Of any host: a proxy may have put its own in place of the one that the client knows.
        return true;
    };
    let is_same = authority(asked).is_none_or(|from| from.host().eq_ignore_ascii_case(to.host()));
    is_same && scheme == known
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};

    /// An address, `Host` fields, and the host that they name.
    type Case = (&'static str, &'static [&'static [u8]], Option<&'static str>);

    fn parts(uri: &str, hosts: &[&[u8]]) -> Parts {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_host_is_the_one_that_every_reader_finds() {
        let cases: &[Case] = &[
            ("/p", &[b"shop.example"], Some("shop.example")),
            ("/p", &[b"Shop.Example:8080"], Some("shop.example:8080")),
            ("/p", &[b"[::1]:80"], Some("[::1]:80")),
            ("http://shop.example/p", &[], Some("shop.example")),
            ("http://Shop.example/p", &[b"shop.EXAMPLE"], Some("shop.example")),
            ("/p", &[], None),
            ("/p", &[b""], None),
            ("/p", &[b":80"], None),
            ("/p", &[b"a b"], None),
            ("/p", &[b"a/b"], None),
            ("/p", &[b"caf\xe9.example"], None),
            ("/p", &[b"a.example, b.example"], None),
            ("/p", &[b"user:pass@shop.example"], None),
            ("/p", &[b"a.example", b"a.example"], None),
            ("http://a.example/p", &[b"b.example"], None),
            ("http://a.example/p", &[b"a.example:80"], None),
            ("http://a.example/p", &[b""], None),
            ("http://user:pass@a.example/p", &[], None),
            ("http://user:pass@a.example/p", &[b"a.example"], None),
        ];
        for (uri, hosts, expected) in cases {
            assert_eq!(host(&parts(uri, hosts)).as_deref(), *expected, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn a_redirect_to_another_scheme_is_told_from_others() {
        let https = Some(Scheme::HTTPS);
        let http = Some(Scheme::HTTP);
        let cases: &[(&str, &Option<Scheme>, &str, bool)] = &[
            ("/p?a=1", &None, "https://shop.example/p?a=1", true),
            ("/p?a=1", &None, "https://shop.example:8443/p?a=1#top", true),
            ("/%7Eann", &None, "HTTPS://shop.example/~ann", true),
            ("/p", &None, "https://public.example/p", true),
            ("/p", &None, "https://shop .example/p", true),
            ("/", &None, "https://shop.example", true),
            ("/p", &None, "https://shop.example/q", false),
            ("/p", &None, "https://shop.example/p?a=1", false),
            ("/p", &None, "/p", false),
            ("/p", &None, "q r", false),
            ("/p", &http, "https://shop.example/p", false),
            ("/p", &https, "https://shop.example/p", true),
            ("/p", &https, "https://www.shop.example/p", false),
        ];
        for (asked, known, location, expected) in cases {
            let asked = parts(asked, &[b"shop.example"]);
            let mut response = Response::builder().status(308);
            response = response.header(header::LOCATION, location.as_bytes());
            let mut response = response.body(()).unwrap().into_parts().0;
            let found = sends_back(&asked, known.as_ref(), &response);
            assert_eq!(found, *expected, "{} {known:?} {location}", asked.uri);
            response.status = http::StatusCode::CREATED;
            assert!(!sends_back(&asked, known.as_ref(), &response), "no redirect");
        }
    }
}
