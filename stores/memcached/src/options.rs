//! Settings of a [`MemcachedStore`], checked before it is opened.

use std::fmt;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

use fragcache::{Error, ErrorKind};

use super::MemcachedStore;
use super::address::{Address, Place};
use super::dial::Dialer;
use super::pool::Pool;
use super::ring::Ring;
#[cfg(feature = "tls")]
use super::tls::{Pem, Tls};

/// How a [`MemcachedStore`] connects, and how long it waits.
///
/// ```
/// use std::time::Duration;
/// use fragcache_memcached::MemcachedOptions;
///
/// let store = MemcachedOptions::new("memcached://127.0.0.1:1,127.0.0.1:2")
///     .user("shop")
///     .password("secret")
///     .operation_timeout(Duration::from_millis(20))
///     .open()?;
/// assert_eq!(format!("{store:?}"), "MemcachedStore(127.0.0.1:1, 127.0.0.1:2)");
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct MemcachedOptions {
    url: String,
    user: Option<String>,
    password: Option<String>,
    operation_timeout: Duration,
    connect_timeout: Duration,
    connections: usize,
    max_value_bytes: usize,
    #[cfg(feature = "tls")]
    ca: Option<Pem>,
    #[cfg(feature = "tls")]
    client: Option<(Pem, Pem)>,
}

/// Longest timeout; pages wait for it.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Most connections to one server.
const MAX_CONNECTIONS: usize = 1024;

impl MemcachedOptions {
    /// Options for the servers at `url`: `memcached://user:password@host:11211,host2:11211`,
    /// `memcacheds://…` with TLS, or `memcached+unix:///path/to/socket`. In a user, a password or a
    /// path, write `/ ? # @ : , %` as `%` codes.
    ///
    /// All processes must name the same servers in the same words, in any order: the words decide
    /// which server has which key. After a change of the list, empty the servers, or give the cache
    /// another prefix: a server that left and comes back has old records.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            operation_timeout: Duration::from_millis(50),
            connect_timeout: Duration::from_secs(1),
            connections: 8,
            max_value_bytes: 8 << 20,
            #[cfg(feature = "tls")]
            ca: None,
            #[cfg(feature = "tls")]
            client: None,
        }
    }

    /// Sets the user, overriding the URL. The servers must have a list of users (`-Y`).
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the user's password, overriding the URL.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// How long a call may take if no bytes move: 50 ms by default, 1 ms to a minute. Pages wait
    /// this long if a server does not answer. A large value may take longer while it moves: an
    /// eighth of a second for each MiB, and in all at most 20 times this limit.
    pub fn operation_timeout(mut self, limit: Duration) -> Self {
        self.operation_timeout = limit;
        self
    }

    /// How long connecting may take, including TLS and the password: 1 s by default, 1 ms to a
    /// minute. Calls wait for it no longer than their own limit.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Most connections to each server: 8 by default, 1 to 1,024. A call uses one by itself;
    /// further calls wait for one.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Largest value to write or read, in bytes: 8 MiB by default, 64 KiB to 512 MiB. A value
    /// larger than the item size of its server (`-I`, 1 MiB by default) becomes several items.
    ///
    /// ```
    /// use fragcache::store::Store;
    /// use fragcache_memcached::MemcachedOptions;
    ///
    /// let store = MemcachedOptions::new("memcached://127.0.0.1:1").max_value_bytes(1 << 20).open()?;
    /// assert_eq!(store.capabilities().max_value_bytes, 1 << 20);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Trusts the certificate authorities in this PEM file instead of those that the machine
    /// trusts.
    #[cfg(feature = "tls")]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(Pem::File(path.into()));
        self
    }

    /// Like [`ca_file`](Self::ca_file), with the PEM text itself.
    #[cfg(feature = "tls")]
    pub fn ca_pem(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(Pem::Text(certificates.into()));
        self
    }

    /// Presents this client certificate (and its chain) to the servers, with its private key. Both
    /// are PEM files.
    #[cfg(feature = "tls")]
    pub fn client_certificate_files(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client = Some((Pem::File(certificate.into()), Pem::File(key.into())));
        self
    }

    /// Like [`client_certificate_files`](Self::client_certificate_files), with the PEM texts
    /// themselves.
    #[cfg(feature = "tls")]
    pub fn client_certificate_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((Pem::Text(certificate.into()), Pem::Text(key.into())));
        self
    }

    /// Opens the store and starts connecting. An unreachable server is not an error here: calls
    /// fail until it can be reached.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the URL, a certificate or a setting is unusable, or if two settings
    /// contradict each other.
    pub fn open(self) -> Result<MemcachedStore, Error> {
        let address = Address::parse(&self.url)?;
        for (what, given) in [
            ("operation_timeout", self.operation_timeout),
            ("connect_timeout", self.connect_timeout),
        ] {
            if given < Duration::from_millis(1) || given > LONGEST_TIMEOUT {
                return Err(refused(format!("{what} is {given:?}; write 1ms to 60s")));
            }
        }
        if self.connections == 0 || self.connections > MAX_CONNECTIONS {
            let given = self.connections;
            return Err(refused(format!("connections is {given}; write 1 to {MAX_CONNECTIONS}")));
        }
        if !(64 << 10..=512 << 20).contains(&self.max_value_bytes) {
            let given = self.max_value_bytes;
            return Err(refused(format!("max_value_bytes is {given}; write 65536 to 536870912")));
        }
        let login = self.login(&address)?;
        let ring = Ring::new(address.places.iter().map(Place::to_string));
        let dialers: Result<Vec<_>, Error> = address
            .places
            .iter()
            .map(|place| {
                Ok(Dialer {
                    place: place.clone(),
                    #[cfg(feature = "tls")]
                    tls: self.tls(place, address.is_tls)?,
                    login: login.clone(),
                    connect_timeout: self.connect_timeout,
                    max_value_bytes: self.max_value_bytes,
                })
            })
            .collect();
        #[cfg(not(feature = "tls"))]
        if address.is_tls {
            return Err(refused(
                "the url asks for TLS, which is not built in; write memcached://, or enable the \
                 feature `tls` of fragcache-memcached",
            ));
        }
        let pools = dialers?.into_iter().map(|dialer| Pool::new(dialer, self.connections));
        let pools: Vec<_> = pools.collect();
        Ok(MemcachedStore::new(pools, ring, self.operation_timeout, self.max_value_bytes))
    }

    fn login(&self, address: &Address) -> Result<Option<(String, String)>, Error> {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let user = self.user.as_ref().or(address.user.as_ref()).and_then(some);
        let password = self.password.as_ref().or(address.password.as_ref()).and_then(some);
        let (user, password) = match (user, password) {
            (None, None) => return Ok(None),
            (Some(user), Some(password)) => (user, password),
            (Some(_), None) => {
                return Err(refused(
                    "the user of Memcached has no password; write one, or leave out the user",
                ));
            }
            (None, Some(_)) => {
                return Err(refused(
                    "the password of Memcached belongs to no user; write one, or leave out the \
                     password",
                ));
            }
        };
        // The command is a line with both, separated by a space.
        if user.contains(|c: char| c == ' ' || c.is_control())
            || password.contains(char::is_control)
        {
            return Err(refused(
                "the user or the password of Memcached has characters that its list of users \
                 cannot have; write names without spaces, and no control characters",
            ));
        }
        Ok(Some((user, password)))
    }

    #[cfg(feature = "tls")]
    fn tls(&self, place: &Place, is_tls: bool) -> Result<Option<Tls>, Error> {
        match place {
            Place::Tcp { host, .. } if is_tls => {
                Tls::new(host, self.ca.as_ref(), self.client.as_ref()).map(Some)
            }
            _ if self.ca.is_some() || self.client.is_some() => Err(refused(
                "there are certificates, but the url does not use TLS; write memcacheds://, or \
                 leave them out",
            )),
            _ => Ok(None),
        }
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

impl fmt::Debug for MemcachedOptions {
    /// Leaves out the URL, the user, the password and the certificates.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = Address::parse(&self.url).map_or_else(
            |_| vec!["…".to_owned()],
            |address| address.places.iter().map(Place::to_string).collect(),
        );
        f.debug_struct("MemcachedOptions")
            .field("servers", &servers)
            .field("operation_timeout", &self.operation_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("connections", &self.connections)
            .field("max_value_bytes", &self.max_value_bytes)
            .finish_non_exhaustive()
    }
}
