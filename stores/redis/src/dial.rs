//! Makes an address into a verified connection: socket, TLS, user, database, and a check that the
//! server can be used.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use fragcache::store::{Fault, StoreError};
use redis::{Pipeline, ServerError, Value};

use super::address::{Kind, Place};
use super::answers::Unread;
use super::clock::instant;
use super::connection::{Connection, Received, Sending};
use super::fault;
use super::pace::Limit;
use super::socket::{Socket, left};
use super::tls::Tls;
use super::wire::Wire;

/// The parameters of a connection.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) place: Place,
    pub(super) tls: Option<Tls>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
    pub(super) connect_timeout: Duration,
    pub(super) max_value_bytes: usize,
    pub(super) kind: Kind,
}

impl Dialer {
    /// The same parameters for another node.
    pub(super) fn at(&self, place: &Place) -> Result<Self, StoreError> {
        let mut dialer = self.clone();
        dialer.place = place.clone();
        if let (Some(tls), Place::Tcp { host, .. }) = (&self.tls, place) {
            dialer.tls = Some(tls.of(host).map_err(|error| {
                StoreError::new(Fault::Unusable, format!("no TLS with {place}: {error}"))
            })?);
        }
        Ok(dialer)
    }

    /// Sends these commands on a connection of their own and returns their answers.
    pub(super) fn query(&self, commands: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let deadline = instant() + self.connect_timeout;
        let connection =
            Connection::new(self.place.clone(), self.wire(deadline)?, self.max_value_bytes);
        let mut all = redis::pipe();
        if let Some(password) = &self.password {
            all.cmd("AUTH").arg(self.user.as_deref()).arg(password);
        }
        for command in commands.cmd_iter() {
            all.add_command(command.clone());
        }
        let mut answers = self.answers(&connection, &all, deadline)?;
        let rest = answers.split_off(all.len() - commands.len());
        match answers.first() {
            Some(Value::ServerError(error)) => Err(self.wrong_password(error)),
            _ => Ok(rest),
        }
    }

    /// Connects to the server and verifies it. Name resolution may exceed the connect timeout; only
    /// the connecting thread waits for that.
    pub(super) fn dial(&self) -> Result<Connection, StoreError> {
        let deadline = instant() + self.connect_timeout;
        self.greet(self.wire(deadline)?, deadline)
    }

    fn wire(&self, deadline: Instant) -> Result<Wire, StoreError> {
        match self.connect(deadline) {
            Ok(socket) => match &self.tls {
                None => Ok(Wire::plain(socket)),
                Some(tls) => Wire::tls(socket, tls, deadline).map_err(|error| self.no_tls(&error)),
            },
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(self.too_late()),
            Err(error) => Err(fault::unreachable(&self.place, &error)),
        }
    }

    /// Sends the first commands of a connection and returns their answers.
    fn answers(
        &self,
        connection: &Connection,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, StoreError> {
        let limit = Limit::fixed(deadline, self.connect_timeout);
        connection.greet(commands, limit).map_err(|unread| match unread {
            Unread::Late => self.too_late(),
            Unread::HungUp => self.unlike(&fault::hung_up(&self.place)),
            Unread::Nonsense | Unread::TooLarge => self.unlike(&fault::no_redis(&self.place)),
        })
    }

    fn wrong_password(&self, error: &ServerError) -> StoreError {
        match error.code() {
            "WRONGPASS" | "ERR" => StoreError::new(
                Fault::Unusable,
                format!("{} does not know this user, or the password is wrong", self.place),
            ),
            _ => fault::refusal(&self.place, error),
        }
    }

    fn too_late(&self) -> StoreError {
        let Self { place, connect_timeout, .. } = self;
        let message = format!("no connection to {place} within {connect_timeout:?}{}", self.hint());
        StoreError::new(Fault::Unreachable, message)
    }

    fn no_tls(&self, error: &io::Error) -> StoreError {
        if error.kind() == io::ErrorKind::TimedOut {
            return self.too_late();
        }
        let (what, hint) = (fault::one_line(error), self.hint());
        let message = format!("no TLS with {}: {what}{hint}", self.place);
        StoreError::new(Fault::Unreachable, message)
    }

    /// A hint for the case that the server does not answer as expected.
    fn hint(&self) -> &'static str {
        match (&self.tls, &self.place) {
            (Some(_), _) => "; if the server does not speak TLS there, write redis://",
            (None, Place::Tcp { .. }) => "; if the server speaks TLS there, write rediss://",
            #[cfg(unix)]
            (None, Place::Unix(_)) => "",
        }
    }

    fn connect(&self, deadline: Instant) -> io::Result<Socket> {
        match &self.place {
            Place::Tcp { host, port } => {
                let mut fault = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, left(deadline)?) {
                        Ok(socket) => return Socket::tcp(socket),
                        Err(error) => fault = error,
                    }
                }
                Err(fault)
            }
            #[cfg(unix)]
            Place::Unix(path) => Socket::unix(UnixStream::connect(path)?),
        }
    }

    fn greet(&self, wire: Wire, deadline: Instant) -> Result<Connection, StoreError> {
        let connection = Connection::new(self.place.clone(), wire, self.max_value_bytes);
        let mut greeting = redis::pipe();
        if let Some(password) = &self.password {
            greeting.cmd("AUTH").arg(self.user.as_deref()).arg(password);
        }
        if self.database != 0 {
            greeting.cmd("SELECT").arg(self.database);
        }
        // The answer shows that this is a Redis server, and of which kind.
        greeting.cmd("HELLO");
        let answers = self.answers(&connection, &greeting, deadline)?;
        self.judge(&answers).map_err(unusable)?;
        // Sends only the echo that ends every call, since the user may lack the permission for it.
        let limit = Limit::fixed(deadline, self.connect_timeout);
        let received = match connection.send(&redis::pipe(), limit, &AtomicU64::new(0)) {
            Sending::Sent(sent) => connection.receive(sent, limit),
            Sending::Failed(failure) => Received::Failed(failure),
            Sending::NotSent => return Err(self.unlike(&fault::nonsense(&self.place))),
        };
        match received {
            Received::Answered(_) => {
                connection.greeted();
                Ok(connection)
            }
            Received::Failed(failure) => Err(match failure.error.fault() {
                Fault::Refused | Fault::Unusable => unusable(failure.error),
                Fault::Deadline => self.too_late(),
                _ => self.unlike(&failure.error),
            }),
        }
    }

    /// The error for a server that closes the connection or sends a malformed answer during the
    /// greeting.
    fn unlike(&self, error: &StoreError) -> StoreError {
        let message = format!("{error} during the handshake{}", self.hint());
        StoreError::new(error.fault(), message)
    }

    fn judge(&self, answers: &[Value]) -> Result<(), StoreError> {
        let refused = |reason: String| Err(StoreError::new(Fault::Unusable, reason));
        let Some((hello, before)) = answers.split_last() else {
            return Err(fault::nonsense(&self.place));
        };
        let mut before = before.iter();
        if self.password.is_some()
            && let Some(Value::ServerError(error)) = before.next()
        {
            return Err(self.wrong_password(error));
        }
        match hello {
            Value::ServerError(error) => match error.code() {
                // The user lacks the permission for HELLO, or the server is too old for it.
                "NOPERM" | "ERR" => {}
                _ => return Err(fault::refusal(&self.place, error)),
            },
            hello if fault::is_replica(hello) => return Err(fault::replica(&self.place)),
            hello => match (fault::told(hello, "mode"), self.kind) {
                (Some("sentinel"), _) => {
                    return refused(format!(
                        "{} is a Sentinel, which stores nothing: write \
                         redis-sentinel://host:port/?master=name",
                        self.place
                    ));
                }
                (Some("cluster"), Kind::Single | Kind::Sentinel) => {
                    return Err(fault::cluster(&self.place));
                }
                (Some("standalone"), Kind::Cluster) => {
                    return Err(fault::no_cluster(&self.place));
                }
                _ => {}
            },
        }
        if let Some(Value::ServerError(error)) = before.next() {
            return match error.code() {
                "ERR" => refused(format!("{} has no database {}", self.place, self.database)),
                _ => Err(fault::refusal(&self.place, error)),
            };
        }
        Ok(())
    }
}

/// What a server refuses during the greeting, it would refuse to every call.
fn unusable(error: StoreError) -> StoreError {
    match error.fault() {
        Fault::Refused => StoreError::new(Fault::Unusable, error.to_string()),
        _ => error,
    }
}
