//! The addresses of servers and the user, parsed from a URL. No error message repeats any part of
//! the URL, since a part that does not parse may be a password.

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;

use fragcache::{Error, ErrorKind};
use percent_encoding::percent_decode_str;

/// The servers, and the other settings in a URL.
pub(super) struct Address {
    /// At least one, none twice.
    pub(super) places: Vec<Place>,
    pub(super) is_tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp {
        host: String,
        port: u16,
    },
    #[cfg(unix)]
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The port of a server whose address has none.
const PORT: u16 = 11_211;

/// Most servers of one store.
const MAX_SERVERS: usize = 256;

const EXAMPLE: &str = "write memcached://user:password@host:11211,host2:11211, or \
                       memcached+unix:///path/to/socket, with % codes for / ? # @ : , in names \
                       and passwords";

fn refused<T>(reason: &str) -> Result<T, Error> {
    Err(Error::new(ErrorKind::Config, format!("the url of Memcached {reason}; {EXAMPLE}")))
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return refused("has no scheme");
        };
        let scheme = scheme.to_ascii_lowercase();
        let is_tls = match scheme.as_str() {
            "memcached" => false,
            "memcacheds" => true,
            "memcached+unix" => return Self::parse_socket(rest),
            _ => {
                return Err(Error::new(
                    ErrorKind::Config,
                    "the scheme of the Memcached url is unknown; write memcached://, \
                     memcacheds:// or memcached+unix://",
                ));
            }
        };
        if rest.contains(['?', '#']) {
            return refused("has settings after a ? or #, and there are none");
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('/') {
            return refused("has a path, and Memcached has no databases");
        }
        let (user, password, hosts) = match rest.rsplit_once('@') {
            None => (None, None, rest),
            Some((login, hosts)) => {
                let (user, password) = Self::parse_login(login)?;
                (user, password, hosts)
            }
        };
        let mut places = Vec::new();
        for host in hosts.split(',') {
            let place = Self::parse_host(host)?;
            if places.contains(&place) {
                return refused("names a server twice");
            }
            places.push(place);
        }
        if places.len() > MAX_SERVERS {
            return refused("names more than 256 servers");
        }
        Ok(Self { places, is_tls, user, password })
    }

    #[cfg(unix)]
    fn parse_socket(path: &str) -> Result<Self, Error> {
        if !path.starts_with('/') || path.contains(['?', '#', '@']) {
            return refused("names no socket");
        }
        let path = PathBuf::from(decoded(path)?);
        let places = vec![Place::Unix(path)];
        Ok(Self { places, is_tls: false, user: None, password: None })
    }

    #[cfg(not(unix))]
    fn parse_socket(_: &str) -> Result<Self, Error> {
        refused("names a socket, and this system has none")
    }

    fn parse_login(login: &str) -> Result<(Option<String>, Option<String>), Error> {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        if password.contains(':') || login.contains('@') {
            return refused("has more than one : or @ before the server");
        }
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok((some(decoded(user)?), some(decoded(password)?)))
    }

    fn parse_host(text: &str) -> Result<Place, Error> {
        let (host, port) = match text.strip_prefix('[') {
            Some(v6) => match v6.split_once(']') {
                Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                    (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
                }
                _ => return refused("names a server whose address does not parse"),
            },
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, Some("")),
            },
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !text.starts_with('[') && !host.chars().all(is_name) {
            return refused("names no server, or one with characters that no name has");
        }
        let port = match port {
            Some("") => Some(PORT),
            Some(port) => port.parse().ok().filter(|&port| port > 0),
            None => None,
        };
        let Some(port) = port else {
            return refused("has a port that is no number from 1 to 65535");
        };
        // The place of a record depends on the text of the address.
        Ok(Place::Tcp { host: host.to_ascii_lowercase(), port })
    }
}

fn decoded(text: &str) -> Result<String, Error> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => refused("has % codes that are no text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(url: &str) -> Vec<String> {
        Address::parse(url).unwrap().places.iter().map(Place::to_string).collect()
    }

    #[test]
    fn urls_name_servers_user_and_password() {
        let address = Address::parse("memcacheds://me:s%40c%2Cret@a,B.example:7000,[::1]:9/");
        let address = address.unwrap();
        let named: Vec<_> = address.places.iter().map(Place::to_string).collect();
        assert_eq!(named, ["a:11211", "b.example:7000", "[::1]:9"]);
        assert_eq!(address.user.as_deref(), Some("me"));
        assert_eq!(address.password.as_deref(), Some("s@c,ret"));
        assert!(address.is_tls);
        assert_eq!(places("MEMCACHED://[::1]"), ["[::1]:11211"]);
        assert!(!Address::parse("memcached://a").unwrap().is_tls);
    }

    #[cfg(unix)]
    #[test]
    fn urls_name_sockets() {
        assert_eq!(places("memcached+unix:///run/a%20b.sock"), ["/run/a b.sock"]);
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        let urls = [
            "hunter2",
            "hunter2://localhost",
            "redis://:hunter2@localhost",
            "memcached://:hunter2",
            "memcached://:hun/ter2@localhost",
            "memcached://me:hunter2#x@localhost",
            "memcached://me:hunter2?x@localhost",
            "memcached://me:hun@ter2@localhost",
            "memcached://me:hun:ter2@localhost",
            "memcached://localhost/hunter2",
            "memcached://localhost:hunter2",
            "memcached://localhost:0,hunter2",
            "memcached://hunter2,hunter2:11211",
            "memcached://hunter2,,b",
            "memcached://hun ter2",
            "memcached://[hunter2]:1",
            "memcached://[::1]hunter2",
            "memcached://me:hunter2%ff@localhost",
            "memcached+unix://hunter2",
        ];
        for url in urls {
            let Err(error) = Address::parse(url) else { panic!("{url} is taken") };
            assert_eq!(error.kind(), ErrorKind::Config);
            let said = format!("{error} {error:?}");
            assert!(!said.contains("hun") && !said.contains("ter2"), "{url}: {said}");
            assert!(said.contains("write"), "{url}: {said}");
        }
    }
}
