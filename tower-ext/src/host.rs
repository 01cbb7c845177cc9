//! The host and the scheme of a request, as written in the key: RFC 9110, 7.1 and 7.2; RFC 9112,
//! 3.2 and 3.3; RFC 9113, 8.3.1.

use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{header, response};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::key::{Query, original, query_of};

/// The [`authority`] of a request, in lower case.
pub(crate) fn host(parts: &Parts) -> Option<String> {
    authority(parts).map(|host| host.as_str().to_ascii_lowercase())
}

/// The host of a request, with its port. `None` if the request names no host, or if a handler could
/// read a different one than the key has: two `Host` fields, an invalid host, or a contradiction
/// between field and address. Also `None` with user info, which is secret and not part of a host.
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
    // `Authority` compares without regard to case.
    (is_host && named.all(|other| other == host)).then(|| host.clone())
}

/// The scheme of the address. Most HTTP/1.1 addresses have none.
pub(crate) fn scheme(parts: &Parts) -> Option<&Scheme> {
    parts.uri.scheme().or_else(|| original(parts).scheme())
}

/// Whether a redirect leads back to the requested address, with at most the scheme changed, and
/// could be served to a client that is already there. `known` is the scheme in the key, `in_key`
/// the part of the query string in the key.
pub(crate) fn sends_back(
    asked: &Parts,
    known: Option<&Scheme>,
    in_key: &Query,
    response: &response::Parts,
) -> bool {
    if !response.status.is_redirection() {
        return false;
    }
    // The client may use either scheme, and a relative reference takes the scheme of its base.
    let schemes = match known {
        Some(scheme) => vec![scheme.as_str()],
        None => vec!["http", "https"],
    };
    response.headers.get_all(header::LOCATION).iter().any(|location| {
        let leads = |scheme: &&str| leads_back(asked, scheme, known, in_key, location.as_bytes());
        // A target that cannot be resolved may lead back too.
        schemes.iter().any(|scheme| leads(scheme).unwrap_or(true))
    })
}

/// Like [`sends_back`], for a client that uses `scheme`. Resolves the reference as RFC 9110,
/// 10.2.2, and RFC 3986, 5, specify and browsers do. `None` if it cannot be resolved.
fn leads_back(
    asked: &Parts,
    scheme: &str,
    known: Option<&Scheme>,
    in_key: &Query,
    location: &[u8],
) -> Option<bool> {
    let sent = original(asked);
    // An unknown host is ignored.
    let host = authority(asked);
    let host = host.as_ref().map_or("host.invalid", Authority::as_str);
    let query = sent.query().map(|query| format!("?{query}")).unwrap_or_default();
    let base = Url::parse(&format!("{scheme}://{host}{}{query}", sent.path())).ok()?;
    let target = base.join(std::str::from_utf8(location).ok()?).ok()?;
    let is_web = matches!(target.scheme(), "http" | "https");
    let is_same_path = percent_decode_str(target.path()).eq(percent_decode_str(sent.path()));
    let of_key = |query| query_of(query, in_key).unwrap_or_default();
    let (to, from) = (of_key(target.query()), of_key(sent.query()));
    if !is_web || !is_same_path || !percent_decode_str(&to).eq(percent_decode_str(&from)) {
        return Some(false);
    }
    // Without a scheme in the key, any host counts: a proxy may have replaced the host that the
    // client knows.
    let is_same_host = authority(asked).is_none() || base.host() == target.host();
    Some(known.is_none_or(|known| is_same_host && target.scheme() == known.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};

    /// An address, `Host` fields, and the expected host.
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
    fn a_redirect_to_another_scheme_is_recognized() {
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
            ("/p", &None, "https://shop.example/", false),
            ("/p", &None, "ftp://shop.example/p", false),
            ("/p", &None, "mailto:ann@shop.example", false),
            ("/p", &http, "https://shop.example/p", false),
            ("/p", &https, "https://shop.example/p", true),
            ("/p", &https, "https://www.shop.example/p", false),
        ];
        for (asked, known, location, expected) in cases {
            let asked = parts(asked, &[b"shop.example"]);
            let mut response = Response::builder().status(308);
            response = response.header(header::LOCATION, location.as_bytes());
            let mut response = response.body(()).unwrap().into_parts().0;
            let found = sends_back(&asked, known.as_ref(), &Query::All, &response);
            assert_eq!(found, *expected, "{} {known:?} {location}", asked.uri);
            response.status = http::StatusCode::CREATED;
            let found = sends_back(&asked, known.as_ref(), &Query::All, &response);
            assert!(!found, "no redirect");
        }
    }

    fn redirects(asked: &str, known: Option<&Scheme>, in_key: &Query, locations: &[&[u8]]) -> bool {
        let mut response = Response::builder().status(301);
        for location in locations {
            response = response.header(header::LOCATION, *location);
        }
        let response = response.body(()).unwrap().into_parts().0;
        sends_back(&parts(asked, &[b"shop.example"]), known, in_key, &response)
    }

    #[test]
    fn a_relative_redirect_is_resolved_against_the_address() {
        let cases: &[(&str, &str, bool)] = &[
            // The same path, in every form of RFC 3986, 4.2.
            ("/a", "/a", true),
            ("/a", "a", true),
            ("/a", "./a", true),
            ("/a", "../a", true),
            ("/a", "/b/../a", true),
            ("/a/b", "b", true),
            ("/a/b", "../a/b", true),
            ("/a/", ".", true),
            ("/a", "", true),
            ("/a", "#top", true),
            ("/a", "?", true),
            ("/a", "//shop.example/a", true),
            ("/a?x=1", "?x=1", true),
            ("/a?x=1", "", true),
            ("/a?x=1", "a?x=1#top", true),
            ("/a?x=%27y%27", "?x='y'", true),
            ("/%7Eann", "~ann", true),
            // As browsers read what RFC 3986 does not allow.
            ("/a", "\\a", true),
            ("/a", "/\ta", true),
            ("/a", "/%2e/a", true),
            ("/a", "http:a", true),
            ("/a", "https:a", true),
            // Others.
            ("/a", "/b", false),
            ("/a", "/a/", false),
            ("/a/", "/a", false),
            ("/a", "a b", false),
            ("/a/b", "a/b", false),
            ("/a?x=1", "a", false),
            ("/a?x=1", "?x=2", false),
            ("/a/../b", "/b", false),
            ("//a/b", "/a/b", false),
        ];
        for (asked, location, expected) in cases {
            for known in [None, Some(Scheme::HTTP), Some(Scheme::HTTPS)] {
                let known = known.as_ref();
                let is_of_other = location
                    .strip_suffix(":a")
                    .is_some_and(|scheme| known.is_some_and(|known| known.as_str() != scheme));
                let found = redirects(asked, known, &Query::All, &[location.as_bytes()]);
                assert_eq!(found, *expected && !is_of_other, "{asked} {known:?} {location}");
            }
        }
        let https = Some(&Scheme::HTTPS);
        assert!(redirects("/a", None, &Query::All, &[b"//other.example/a"]), "may be a proxy's");
        assert!(!redirects("/a", https, &Query::All, &[b"//other.example/a"]));
        assert!(redirects("/a", https, &Query::All, &[b"//SHOP.example/a"]));
        assert!(redirects("/a", https, &Query::All, &[b"/b", b"/a"]), "clients follow one of them");
        assert!(redirects("/a", https, &Query::All, &[b"/b\xff"]), "nobody knows where to");
        assert!(!redirects("/a", https, &Query::All, &[]));
    }

    #[test]
    fn a_redirect_to_the_same_key_is_one_to_the_same_address() {
        let page = Query::Only(["page".into()].into());
        let cases: &[(&Query, &str, &str, bool)] = &[
            (&Query::All, "/a?b=1&a=2", "/a?a=2&b=1", true),
            (&Query::All, "/a?x=1", "/a", false),
            (&Query::None, "/a?x=1", "/a", true),
            (&Query::None, "/a?x=1", "/b?x=1", false),
            (&page, "/a?page=1&x=1", "/a?page=1", true),
            (&page, "/a?page=1", "/a?page=2", false),
        ];
        for (in_key, asked, location, expected) in cases {
            let found = redirects(asked, None, in_key, &[location.as_bytes()]);
            assert_eq!(found, *expected, "{in_key:?} {asked} {location}");
        }
    }
}
