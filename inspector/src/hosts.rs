//! The hosts that the page is served under. Any other name may belong to a site that
//! points it at this machine (DNS rebinding). Its scripts could then read the page and
//! press its buttons through the browser of a visitor whom the guard admits by IP address.

use std::net::Ipv6Addr;

use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::Authority;

/// Hosts without ports, in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Hosts(Vec<String>);

impl Default for Hosts {
    /// The loopback names, which no public name server can redirect.
    fn default() -> Self {
        Self::of(["localhost", "127.0.0.1", "[::1]"])
    }
}

impl Hosts {
    /// Parses a list of hosts. Invalid ones are dropped.
    pub(crate) fn of<H: AsRef<str>>(listed: impl IntoIterator<Item = H>) -> Self {
        let read = |text: H| match text.as_ref().parse::<Ipv6Addr>() {
            Ok(address) => Some(format!("[{address}]")),
            Err(_) => host(text.as_ref()),
        };
        Self(listed.into_iter().filter_map(read).collect())
    }

    /// Whether a request names a host, with at most one `Host` header, and every host it names is
    /// listed. HTTP/2 names the host in the address; a request to a proxy names it in both places.
    pub(crate) fn serve(&self, parts: &Parts) -> bool {
        let lines = parts.headers.get_all(header::HOST).into_iter();
        let lines: Vec<_> = lines.map(|line| line.to_str().ok().and_then(host)).collect();
        let in_address = parts.uri.authority().map(|authority| host(authority.as_str()));
        let is_named = !lines.is_empty() || in_address.is_some();
        let is_listed = |host: Option<String>| host.is_some_and(|host| self.0.contains(&host));
        is_named && lines.len() < 2 && lines.into_iter().chain(in_address).all(is_listed)
    }
}

/// The host in a `Host` header or an address, without its port.
fn host(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let is_host = !text.contains('@') && !authority.host().is_empty();
    is_host.then(|| authority.host().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Request};

    use super::*;

    fn parts(address: &str, hosts: &[&[u8]]) -> Parts {
        let mut request = Request::get(address);
        for host in hosts {
            request = request.header(header::HOST, HeaderValue::from_bytes(host).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_listed_host_is_served_in_any_case_and_port() {
        let local = Hosts::default();
        for host in ["localhost", "LocalHost:3000", "127.0.0.1", "127.0.0.1:80", "[::1]:3000"] {
            assert!(local.serve(&parts("/", &[host.as_bytes()])), "{host}");
            assert!(local.serve(&parts(&format!("http://{host}/"), &[])), "{host}");
        }
        let listed = Hosts::of(["Shop.Example", "admin.example:8080", "::2", "http://no/", ""]);
        for host in ["shop.example:443", "admin.example", "[::2]"] {
            assert!(listed.serve(&parts("/", &[host.as_bytes()])), "{host}");
        }
        for host in ["localhost", "example", "evil.shop.example", "shop.example.evil.test", "no"] {
            assert!(!listed.serve(&parts("/", &[host.as_bytes()])), "{host}");
        }
    }

    #[test]
    fn a_request_that_names_no_host_or_several_or_nonsense_is_refused() {
        let local = Hosts::default();
        assert!(!local.serve(&parts("/", &[])));
        assert!(!local.serve(&parts("/", &[b"localhost", b"localhost"])));
        let bad: [&[u8]; 8] = [
            b"",
            b":80",
            b"evil@localhost",
            b"localhost, localhost",
            b"localhost/",
            b"localhost\xff",
            b"::1",
            b"localhost.",
        ];
        for host in bad {
            assert!(!local.serve(&parts("/", &[host])), "{}", String::from_utf8_lossy(host));
        }
        assert!(local.serve(&parts("http://localhost/", &[b"127.0.0.1"])));
        assert!(!local.serve(&parts("http://evil.test/", &[b"localhost"])));
        assert!(!local.serve(&parts("http://localhost/", &[b"evil.test"])));
        assert!(!local.serve(&parts("http://evil@localhost/", &[])));
    }
}
