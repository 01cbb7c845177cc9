//! The address of a server and the user, parsed from a URL. No error message repeats any part of
//! the URL, since a part that does not parse may be a password.

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;

use fragcache::{Error, ErrorKind};
use redis::{ConnectionAddr, IntoConnectionInfo};

/// Servers, and the other settings in their URL.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) kind: Kind,
    /// At least one. Several sentinels or nodes of a cluster.
    pub(super) places: Vec<Place>,
    pub(super) is_tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
    pub(super) master: Option<String>,
    pub(super) sentinel_user: Option<String>,
    pub(super) sentinel_password: Option<String>,
}

/// What a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The server itself.
    Single,
    /// Sentinels, which name the server.
    Sentinel,
    /// Nodes of a cluster, which name the others.
    Cluster,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

impl Kind {
    /// What to write.
    fn example(self) -> &'static str {
        match self {
            Self::Single => {
                "write redis://user:password@host:6379/0, or unix:///path/to/socket?db=0, with % \
                 codes for / ? # @ : in names and passwords"
            }
            Self::Sentinel => {
                "write redis-sentinel://user:password@host:26379,host:26379/0?master=name, with % \
                 codes for / ? # @ : in names and passwords"
            }
            Self::Cluster => {
                "write redis-cluster://user:password@host:6379,host:6379, with % codes for \
                 / ? # @ : in names and passwords"
            }
        }
    }

    /// The settings after the `?`.
    fn settings(self, scheme: &str) -> &'static [&'static str] {
        match self {
            Self::Single if scheme == "unix" => &["db", "user", "pass"],
            Self::Sentinel => &["master", "sentinel_user", "sentinel_password"],
            Self::Single | Self::Cluster => &[],
        }
    }
}

fn refused<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(ErrorKind::Config, message))
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = url.split_once("://") else {
            let example = Kind::Single.example();
            return refused(format!("the url of the Redis server has no scheme; {example}"));
        };
        let scheme = scheme.to_ascii_lowercase();
        let (base, kind) = match scheme.split_once('-') {
            Some((base, "sentinel")) => (base, Kind::Sentinel),
            Some((base, "cluster")) => (base, Kind::Cluster),
            _ => (scheme.as_str(), Kind::Single),
        };
        // The client's parser accepts `rediss` only with its own TLS, which is not used here.
        let (scheme, is_tls) = match (base, kind) {
            ("redis" | "valkey", _) => ("redis", false),
            ("rediss" | "valkeys", _) => ("redis", true),
            ("unix" | "redis+unix" | "valkey+unix", Kind::Single) => ("unix", false),
            _ => {
                return refused(
                    "the scheme of the Redis server's url is unknown; write redis://, rediss://, \
                     valkey://, valkeys://, unix://, redis+unix://, redis-sentinel:// or \
                     redis-cluster://",
                );
            }
        };
        let mut all: Option<Self> = None;
        for rest in each_host(rest) {
            let one = Self::parse_one(kind, scheme, is_tls, &rest)?;
            match &mut all {
                Some(all) if !all.places.contains(&one.places[0]) => all.places.extend(one.places),
                Some(_) => {}
                None => all = Some(one),
            }
        }
        let Some(all) = all else { return refused(kind.example()) };
        if kind == Kind::Single && all.places.len() > 1 {
            return refused(
                "the url of the Redis server names several servers; write redis-cluster:// for the \
                 nodes of a cluster, or redis-sentinel:// for sentinels",
            );
        }
        Ok(all)
    }

    /// Parses a URL with one host.
    fn parse_one(kind: Kind, scheme: &str, is_tls: bool, rest: &str) -> Result<Self, Error> {
        let example = kind.example();
        let Some(parsed) = redis::parse_redis_url(&format!("{scheme}://{rest}")) else {
            return refused(format!("the url of the Redis server does not parse; {example}"));
        };
        if parsed.fragment() == Some("insecure") {
            return refused(
                "the url of the Redis server ends in #insecure, and certificates are always \
                 checked; remove it and name the authority's certificate with ca_file",
            );
        }
        if parsed.fragment().is_some() {
            return refused(format!("the url of the Redis server contains a # ; {example}"));
        }
        let known = kind.settings(scheme);
        if parsed.query_pairs().any(|(name, _)| !known.contains(&name.as_ref())) {
            return refused(format!(
                "the url of the Redis server has unknown settings after the ?; {example}"
            ));
        }
        let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let setting = |name: &str| {
            let found = parsed.query_pairs().find(|(known, _)| known == name);
            some(found.as_ref().map(|(_, value)| value.as_ref()))
        };
        let of_sentinel = |name| if kind == Kind::Sentinel { setting(name) } else { None };
        let master = of_sentinel("master");
        let (sentinel_user, sentinel_password) =
            (of_sentinel("sentinel_user"), of_sentinel("sentinel_password"));
        let has_port = parsed.port().is_some();
        let Ok(info) = parsed.into_connection_info() else {
            return refused(format!(
                "the url of the Redis server names no server, or its database is not a number; \
                 {example}"
            ));
        };
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, _) if kind == Kind::Sentinel && !has_port => {
                Place::Tcp { host: host.clone(), port: 26_379 }
            }
            ConnectionAddr::Tcp(host, port) => Place::Tcp { host: host.clone(), port: *port },
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => return refused(format!("the url of the Redis server cannot be used; {example}")),
        };
        let settings = info.redis_settings();
        if settings.db() < 0 {
            return refused(format!("the database is a negative number; {example}"));
        }
        Ok(Self {
            kind,
            places: vec![place],
            is_tls,
            user: some(settings.username()),
            password: some(settings.password()),
            database: settings.db(),
            master,
            sentinel_user,
            sentinel_password,
        })
    }
}

/// The part of a URL after `://`, once for each of its hosts, which commas separate.
fn each_host(rest: &str) -> Vec<String> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
    let (before, hosts, after) = (&rest[..start], &rest[start..end], &rest[end..]);
    hosts.split(',').map(|host| format!("{before}{host}{after}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_server_user_password_and_database() {
        let address = Address::parse("rediss://me:s%40cret@[::1]:7000/3").unwrap();
        assert_eq!(address.places[0].to_string(), "[::1]:7000");
        assert_eq!(address.user.as_deref(), Some("me"));
        assert_eq!(address.password.as_deref(), Some("s@cret"));
        assert_eq!((address.database, address.is_tls), (3, true));

        let address = Address::parse("VALKEY://example.com").unwrap();
        assert_eq!(address.places[0].to_string(), "example.com:6379");
        assert_eq!(address.kind, Kind::Single);
        assert_eq!((address.user, address.password, address.database), (None, None, 0));
        assert!(!address.is_tls);
        assert!(Address::parse("valkeys://example.com").unwrap().is_tls);
    }

    fn places(address: &Address) -> Vec<String> {
        address.places.iter().map(Place::to_string).collect()
    }

    #[test]
    fn urls_name_sentinels_and_their_master() {
        let url =
            "redis-sentinel://me:s%40cret@a,b:7,[::1],a/3?master=shop&sentinel_password=x%26y";
        let address = Address::parse(url).unwrap();
        assert_eq!(address.kind, Kind::Sentinel);
        assert_eq!(places(&address), ["a:26379", "b:7", "[::1]:26379"]);
        assert_eq!((address.master.as_deref(), address.database), (Some("shop"), 3));
        assert_eq!(
            (address.user.as_deref(), address.password.as_deref()),
            (Some("me"), Some("s@cret"))
        );
        assert_eq!(
            (address.sentinel_user, address.sentinel_password.as_deref()),
            (None, Some("x&y"))
        );
        assert!(Address::parse("rediss-sentinel://a").unwrap().is_tls);
    }

    #[test]
    fn urls_name_nodes_of_a_cluster() {
        let address = Address::parse("valkeys-cluster://:secret@a:7000,b").unwrap();
        assert_eq!((address.kind, address.is_tls), (Kind::Cluster, true));
        assert_eq!(places(&address), ["a:7000", "b:6379"]);
        assert_eq!(address.password.as_deref(), Some("secret"));
    }

    #[cfg(unix)]
    #[test]
    fn urls_name_sockets() {
        for scheme in ["unix", "redis+unix", "valkey+unix"] {
            let url = format!("{scheme}:///run/redis.sock?db=2&user=me&pass=secret");
            let address = Address::parse(&url).unwrap();
            assert_eq!(address.places, [Place::Unix("/run/redis.sock".into())]);
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
            "redis://:hunter2@a,b",
            "redis-cluster://:hunter2@a,,b",
            "redis-cluster://:hunter2@a?master=b",
            "redis-sentinel://:hunter2@a,b:hunter2",
            "redis-sentinel://a?password=hunter2",
            "unix-cluster://:hunter2@a",
            "redis-ring://:hunter2@a",
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
