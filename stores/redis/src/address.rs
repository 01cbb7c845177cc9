//! The address of a server and the user, parsed from a URL. No error message repeats any part of
//! the URL, since a part that does not parse may be a password.

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;

use fragcache::{Error, ErrorKind};
use redis::{ConnectionAddr, IntoConnectionInfo};

/// A server, and the other settings in its URL.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) is_tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
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

const EXAMPLE: &str = "write redis://user:password@host:6379/0, or unix:///path/to/socket?db=0, \
                       with % codes for / ? # @ : in names and passwords";

fn refused<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(ErrorKind::Config, message))
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return refused(format!("the url of the Redis server has no scheme; {EXAMPLE}"));
        };
        // The client's parser accepts `rediss` only with its own TLS, which is not used here.
        let (scheme, is_tls) = match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => ("redis", false),
            "rediss" | "valkeys" => ("redis", true),
            "unix" | "redis+unix" | "valkey+unix" => ("unix", false),
            _ => {
                return refused(
                    "the scheme of the Redis server's url is unknown; write redis://, rediss://, \
                     valkey://, valkeys://, unix:// or redis+unix://",
                );
            }
        };
        let Some(parsed) = redis::parse_redis_url(&format!("{scheme}://{rest}")) else {
            return refused(format!("the url of the Redis server does not parse; {EXAMPLE}"));
        };
        if parsed.fragment() == Some("insecure") {
            return refused(
                "the url of the Redis server ends in #insecure, and certificates are always \
                 checked; remove it and name the authority's certificate with ca_file",
            );
        }
        if parsed.fragment().is_some() {
            return refused(format!("the url of the Redis server contains a # ; {EXAMPLE}"));
        }
        let known: &[&str] = if scheme == "unix" { &["db", "user", "pass"] } else { &[] };
        if parsed.query_pairs().any(|(name, _)| !known.contains(&name.as_ref())) {
            return refused(format!(
                "the url of the Redis server has unknown settings after the ?; {EXAMPLE}"
            ));
        }
        let Ok(info) = parsed.into_connection_info() else {
            return refused(format!(
                "the url of the Redis server names no server, or its database is not a number; \
                 {EXAMPLE}"
            ));
        };
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp { host: host.clone(), port: *port },
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => return refused(format!("the url of the Redis server cannot be used; {EXAMPLE}")),
        };
        let settings = info.redis_settings();
        if settings.db() < 0 {
            return refused(format!("the database is a negative number; {EXAMPLE}"));
        }
        let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Self {
            place,
            is_tls,
            user: some(settings.username()),
            password: some(settings.password()),
            database: settings.db(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_server_user_password_and_database() {
        let address = Address::parse("rediss://me:s%40cret@[::1]:7000/3").unwrap();
        assert_eq!(address.place.to_string(), "[::1]:7000");
        assert_eq!(address.user.as_deref(), Some("me"));
        assert_eq!(address.password.as_deref(), Some("s@cret"));
        assert_eq!((address.database, address.is_tls), (3, true));

        let address = Address::parse("VALKEY://example.com").unwrap();
        assert_eq!(address.place.to_string(), "example.com:6379");
        assert_eq!((address.user, address.password, address.database), (None, None, 0));
        assert!(!address.is_tls);
        assert!(Address::parse("valkeys://example.com").unwrap().is_tls);
    }

    #[cfg(unix)]
    #[test]
    fn urls_name_sockets() {
        for scheme in ["unix", "redis+unix", "valkey+unix"] {
            let url = format!("{scheme}:///run/redis.sock?db=2&user=me&pass=secret");
            let address = Address::parse(&url).unwrap();
            assert_eq!(address.place, Place::Unix("/run/redis.sock".into()));
            assert_eq!(address.password.as_deref(), Some("secret"));
            assert_eq!(address.database, 2);
        }
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        let urls = [
            "hunter2",
            "hunter2://localhost",
            "http://:hunter2@localhost",
            "redis://:hunter2",
            "redis://:hun/ter2@localhost",
            "redis://me:hunter2#x@localhost",
            "redis://me:hunter2?x@localhost",
            "redis://localhost/hunter2",
            "redis://localhost/0?password=hunter2",
            "redis://localhost/0#hunter2",
            "redis://localhost:hunter2/0",
            "rediss://:hunter2@localhost#insecure",
            "redis://:hunter2@0.0.0.0",
            "redis://:hunter2@localhost/-1",
            "unix://?pass=hunter2",
            "unix:///run/redis.sock?db=hunter2",
            "unix:///run/redis.sock?password=hunter2",
        ];
        for url in urls {
            let Err(error) = Address::parse(url) else { panic!("{url} is taken") };
            assert_eq!(error.kind(), ErrorKind::Config);
            let said = format!("{error} {error:?}");
            assert!(!said.contains("hun") && !said.contains("ter2"), "{url}: {said}");
            assert!(said.contains("write") || said.contains("remove"), "{url}: {said}");
        }
    }
}
