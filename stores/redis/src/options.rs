//! Settings of a [`RedisStore`], checked before it is opened.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fragcache::{Error, ErrorKind};

use super::RedisStore;
use super::address::{Address, Kind, Place};
use super::dial::Dialer;
use super::fault::one_line;
use super::sizes::Sizes;
use super::tls::{Pem, Tls};
use super::topology::{Nodes, Source};

/// How a [`RedisStore`] connects, and how long it waits.
///
/// ```
/// use std::time::Duration;
/// use fragcache_redis::RedisOptions;
///
/// let store = RedisOptions::new("redis://127.0.0.1:6379")
///     .user("shop")
///     .password("secret")
///     .database(3)
///     .operation_timeout(Duration::from_millis(20))
///     .open()?;
/// assert_eq!(format!("{store:?}"), "RedisStore(127.0.0.1:6379/3)");
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisOptions {
    url: String,
    user: Option<String>,
    password: Option<String>,
    sentinel_master: Option<String>,
    sentinel_user: Option<String>,
    sentinel_password: Option<String>,
    database: Option<u32>,
    operation_timeout: Duration,
    connect_timeout: Duration,
    queue_length: usize,
    max_value_bytes: usize,
    ca: Option<Pem>,
    client: Option<(Pem, Pem)>,
}

/// Longest timeout; pages wait for it.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Most calls in progress at a time.
const MAX_QUEUE_LENGTH: usize = 65_536;

impl RedisOptions {
    /// Options for the server at `url`: `redis://user:password@host:port/database`, `rediss://…`
    /// with TLS, `unix:///path/to/socket?db=…&user=…&pass=…`; also `valkey://`, `valkeys://` and
    /// `redis+unix://`. In a user, a password or a path, write `/ ? # @ : %` as `%` codes.
    ///
    /// For the master that sentinels name:
    /// `redis-sentinel://user:password@host:port,host:port/database?master=name`, with the addresses
    /// of all sentinels, and the user and password of the server. Those of the sentinels, if they
    /// have one, are `sentinel_user=…&sentinel_password=…` after the `?`.
    ///
    /// For a cluster: `redis-cluster://user:password@host:port,host:port`, with some of its nodes.
    ///
    /// `rediss-sentinel://` and `rediss-cluster://` use TLS for all connections.
    ///
    /// ```
    /// use fragcache_redis::RedisOptions;
    ///
    /// let master = RedisOptions::new("redis-sentinel://10.0.0.1,10.0.0.2,10.0.0.3/0?master=shop");
    /// let store = master.password("secret").sentinel_password("other").open()?;
    /// let name = "RedisStore(master shop of 10.0.0.1:26379,10.0.0.2:26379,10.0.0.3:26379/0)";
    /// assert_eq!(format!("{store:?}"), name);
    ///
    /// let store = RedisOptions::new("redis-cluster://a.example:7000,b.example:7000").open()?;
    /// assert_eq!(format!("{store:?}"), "RedisStore(cluster of a.example:7000,b.example:7000)");
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            sentinel_master: None,
            sentinel_user: None,
            sentinel_password: None,
            database: None,
            operation_timeout: Duration::from_millis(50),
            connect_timeout: Duration::from_secs(1),
            queue_length: 1024,
            max_value_bytes: 8 << 20,
            ca: None,
            client: None,
        }
    }

    /// Sets the user, overriding the URL. Without one, the server's default user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the user's password, overriding the URL.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the name of the master to ask the sentinels for, overriding the URL.
    pub fn sentinel_master(mut self, name: impl Into<String>) -> Self {
        self.sentinel_master = Some(name.into());
        self
    }

    /// Sets the user of the sentinels, overriding the URL. It is not that of the server.
    pub fn sentinel_user(mut self, user: impl Into<String>) -> Self {
        self.sentinel_user = Some(user.into());
        self
    }

    /// Sets the password of the sentinels, overriding the URL. It is not that of the server.
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Self {
        self.sentinel_password = Some(password.into());
        self
    }

    /// Sets the number of the database, overriding the URL. 0 by default.
    pub fn database(mut self, number: u32) -> Self {
        self.database = Some(number);
        self
    }

    /// How long a call may take if no bytes arrive: 50 ms by default, 1 ms to a minute. Pages wait
    /// this long if the server does not answer. A large answer may take longer while it arrives: an
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

    /// How many calls may be in progress at a time; further ones fail. 1,024 by default, 1 to
    /// 65,536.
    pub fn queue_length(mut self, calls: usize) -> Self {
        self.queue_length = calls;
        self
    }

    /// Largest value to write or read, in bytes: 8 MiB by default, 64 KiB to 512 MiB. A larger
    /// value in the server counts as absent and is not read. All answers to a batch may have 8
    /// times as much; larger batches are split.
    ///
    /// ```
    /// use fragcache::store::Store;
    /// use fragcache_redis::RedisOptions;
    ///
    /// let store = RedisOptions::new("redis://127.0.0.1:1").max_value_bytes(1 << 20).open()?;
    /// assert_eq!(store.capabilities().max_value_bytes, 1 << 20);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Trusts the certificate authorities in this PEM file instead of those that the machine
    /// trusts.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(Pem::File(path.into()));
        self
    }

    /// Like [`ca_file`](Self::ca_file), with the PEM text itself.
    pub fn ca_pem(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(Pem::Text(certificates.into()));
        self
    }

    /// Presents this client certificate (and its chain) to the server, with its private key. Both
    /// are PEM files.
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
    pub fn open(self) -> Result<RedisStore, Error> {
        let address = Address::parse(&self.url)?;
        let given = |setting: Option<String>, in_url: Option<String>| {
            setting.or(in_url).filter(|text| !text.is_empty())
        };
        let user = given(self.user, address.user);
        let password = given(self.password, address.password);
        let sentinel_user = given(self.sentinel_user, address.sentinel_user);
        let sentinel_password = given(self.sentinel_password, address.sentinel_password);
        let master = given(self.sentinel_master, address.master);
        for (whose, user, password) in [
            ("the Redis server's user", &user, &password),
            ("the sentinels' user", &sentinel_user, &sentinel_password),
        ] {
            if user.is_some() && password.is_none() {
                return Err(refused(format!(
                    "{whose} has no password; write one, or leave out the user"
                )));
            }
        }
        if address.kind == Kind::Sentinel && master.is_none() {
            return Err(refused(
                "the url names sentinels, but no master to ask them for; write ?master=name at its \
                 end",
            ));
        }
        if address.kind != Kind::Sentinel && (master.is_some() || sentinel_password.is_some()) {
            return Err(refused(
                "there are settings for sentinels, but the url names none; write \
                 redis-sentinel://, or leave them out",
            ));
        }
        for (what, given) in [
            ("operation_timeout", self.operation_timeout),
            ("connect_timeout", self.connect_timeout),
        ] {
            if given < Duration::from_millis(1) || given > LONGEST_TIMEOUT {
                return Err(refused(format!("{what} is {given:?}; write 1ms to 60s")));
            }
        }
        if self.queue_length == 0 || self.queue_length > MAX_QUEUE_LENGTH {
            let given = self.queue_length;
            return Err(refused(format!("queue_length is {given}; write 1 to {MAX_QUEUE_LENGTH}")));
        }
        if !(64 << 10..=512 << 20).contains(&self.max_value_bytes) {
            let given = self.max_value_bytes;
            return Err(refused(format!("max_value_bytes is {given}; write 65536 to 536870912")));
        }
        let place = address.places[0].clone();
        let tls = match &place {
            Place::Tcp { host, .. } if address.is_tls => {
                Some(Tls::new(host, self.ca.as_ref(), self.client.as_ref())?)
            }
            _ if self.ca.is_some() || self.client.is_some() => {
                return Err(refused(
                    "there are certificates, but the url does not use TLS; write rediss://, or \
                     leave them out",
                ));
            }
            _ => None,
        };
        let dialer = Dialer {
            place,
            tls,
            user,
            password,
            database: self.database.map_or(address.database, i64::from),
            connect_timeout: self.connect_timeout,
            max_value_bytes: self.max_value_bytes,
            kind: address.kind,
        };
        let (seeds, database) = (address.places, dialer.database);
        let places = list(&seeds);
        let (name, nodes) = match (address.kind, master) {
            (Kind::Sentinel, Some(master)) => {
                let mut sentinel = dialer.clone();
                (sentinel.user, sentinel.password) = (sentinel_user, sentinel_password);
                let name = format!("master {master} of {places}/{database}");
                let source = Source::Sentinels { dialer: sentinel, master, seeds };
                (name, Nodes::of(source, dialer))
            }
            (Kind::Cluster, _) => {
                (format!("cluster of {places}"), Nodes::of(Source::Cluster { seeds }, dialer))
            }
            _ => (format!("{places}/{database}"), Nodes::server(dialer)),
        };
        let nodes = nodes.map_err(|error| {
            Error::new(
                ErrorKind::Io,
                format!("the thread for Redis cannot be started: {}", one_line(&error)),
            )
        })?;
        Ok(RedisStore {
            nodes,
            name,
            operation_timeout: self.operation_timeout,
            queue_length: self.queue_length,
            max_value_bytes: self.max_value_bytes,
            sizes: Sizes::new(),
        })
    }
}

/// The addresses, separated by commas.
fn list(places: &[Place]) -> String {
    places.iter().map(Place::to_string).collect::<Vec<_>>().join(",")
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

impl fmt::Debug for RedisOptions {
    /// Leaves out the URL, the user, the password and the certificates.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = Address::parse(&self.url)
            .map_or_else(|_| "…".to_owned(), |address| list(&address.places));
        f.debug_struct("RedisOptions")
            .field("server", &server)
            .field("database", &self.database)
            .field("operation_timeout", &self.operation_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("queue_length", &self.queue_length)
            .field("max_value_bytes", &self.max_value_bytes)
            .finish_non_exhaustive()
    }
}
