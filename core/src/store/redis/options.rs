//! Settings of a [`RedisStore`], checked before there is one.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::RedisStore;
use super::address::{Address, Place};
use super::dial::Dialer;
use super::fault::one_line;
use super::link::Link;
use super::sizes::Sizes;
use super::tls::{Pem, Tls};
use crate::error::{Error, ErrorKind};

/// How a [`RedisStore`] connects, and for how long it waits.
///
/// ```
/// use std::time::Duration;
/// use fragcache::store::RedisOptions;
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
    database: Option<u32>,
    operation_timeout: Duration,
    connect_timeout: Duration,
    queue_length: usize,
    max_value_bytes: usize,
    ca: Option<Pem>,
    client: Option<(Pem, Pem)>,
}

/// Longest deadline: pages wait for it.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Most calls that may be under way at once.
const MAX_QUEUE_LENGTH: usize = 65_536;

impl RedisOptions {
    /// The server at `url`: `redis://user:password@host:port/database`, `rediss://…` with TLS,
    /// `unix:///path/to/socket?db=…&user=…&pass=…`; also `valkey://`, `valkeys://` and
    /// `redis+unix://`. What a user, a password or a path holds of `/ ? # @ : %` is written with `%`
    /// codes.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            database: None,
            operation_timeout: Duration::from_millis(50),
            connect_timeout: Duration::from_secs(1),
            queue_length: 1024,
            max_value_bytes: 8 << 20,
            ca: None,
            client: None,
        }
    }

    /// Who asks, whatever the URL says. Without one, the server's default user.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The user's password, whatever the URL says.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The number of the database, whatever the URL says; 0 if neither says one.
    pub fn database(mut self, number: u32) -> Self {
        self.database = Some(number);
        self
    }

    /// For how long a call may take when nothing comes: 50 ms by default, 1 ms to a minute. Pages
    /// wait as long when the server does not answer. What is large may take longer while it arrives:
    /// an eighth of a second for each MiB, at most 20 times this limit in all.
    pub fn operation_timeout(mut self, limit: Duration) -> Self {
        self.operation_timeout = limit;
        self
    }

    /// For how long a connection may take to be made, TLS and password included: 1 s by default,
    /// 1 ms to a minute. Calls do not wait for it longer than for anything else.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How many calls may be under way at once; those beyond fail. 1,024 by default, 1 to 65,536.
    pub fn queue_length(mut self, calls: usize) -> Self {
        self.queue_length = calls;
        self
    }

    /// Largest value that is written or read, in bytes: 8 MiB by default, 64 KiB to 512 MiB. What is
    /// larger in the server is absent, and is not read. All answers to a batch may have 8 times as
    /// much; larger batches are split.
    ///
    /// ```
    /// use fragcache::store::{RedisOptions, Store};
    ///
    /// let store = RedisOptions::new("redis://127.0.0.1:1").max_value_bytes(1 << 20).open()?;
    /// assert_eq!(store.capabilities().max_value_bytes, 1 << 20);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// Trusts the certificate authorities of this PEM file, instead of those that the machine
    /// trusts.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(Pem::File(path.into()));
        self
    }

    /// As [`ca_file`](Self::ca_file), with the text itself.
    pub fn ca_pem(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(Pem::Text(certificates.into()));
        self
    }

    /// Shows the server this certificate (and the chain behind it), with the private key for it,
    /// both PEM files.
    pub fn client_certificate_files(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client = Some((Pem::File(certificate.into()), Pem::File(key.into())));
        self
    }

    /// As [`client_certificate_files`](Self::client_certificate_files), with the texts themselves.
    pub fn client_certificate_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((Pem::Text(certificate.into()), Pem::Text(key.into())));
        self
    }

    /// Opens the store, which begins to connect. That the server cannot be reached is no error
    /// here: calls fail until it can.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the URL, a certificate or a setting is unusable, or two contradict
    /// each other.
    pub fn open(self) -> Result<RedisStore, Error> {
        let address = Address::parse(&self.url)?;
        let user = self.user.or(address.user).filter(|user| !user.is_empty());
        let password = self.password.or(address.password).filter(|password| !password.is_empty());
        if user.is_some() && password.is_none() {
            return Err(refused(
                "the Redis server's user has no password; write one, or leave out the user",
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
        let tls = match &address.place {
            Place::Tcp { host, .. } if address.is_tls => {
                Some(Tls::new(host, self.ca.as_ref(), self.client.as_ref())?)
            }
            _ if self.ca.is_some() || self.client.is_some() => {
                return Err(refused(
                    "there are certificates, and the url is without TLS; write rediss://, or leave \
                     them out",
                ));
            }
            _ => None,
        };
        let dialer = Dialer {
            place: address.place.clone(),
            tls,
            user,
            password,
            database: self.database.map_or(address.database, i64::from),
            connect_timeout: self.connect_timeout,
            max_value_bytes: self.max_value_bytes,
        };
        let database = dialer.database;
        let link =
            Link::new(dialer, self.operation_timeout, self.queue_length).map_err(|error| {
                Error::new(
                    ErrorKind::Io,
                    format!("the thread that speaks to Redis does not start: {}", one_line(&error)),
                )
            })?;
        let (max_value_bytes, sizes) = (self.max_value_bytes, Sizes::new());
        Ok(RedisStore { link, place: address.place, database, max_value_bytes, sizes })
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

impl fmt::Debug for RedisOptions {
    /// Everything but the URL, the user, the password and the certificates.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = Address::parse(&self.url)
            .map_or_else(|_| "…".to_owned(), |address| address.place.to_string());
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
