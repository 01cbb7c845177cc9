//! Makes an address into a verified connection: socket, TLS, password, and a check that the server
//! can be used.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fragcache::store::{Fault, StoreError};

use super::address::Place;
use super::clock::instant;
use super::connection::{Connection, ServerClock, Sizes};
use super::fault::{self, Broken, one_line, wants_password};
use super::limit::{Limit, left};
use super::protocol;
#[cfg(feature = "tls")]
use super::tls::Tls;
use super::wire::{Socket, Wire};

/// The parameters of a connection.
pub(super) struct Dialer {
    pub(super) place: Place,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
    /// User and password.
    pub(super) login: Option<(String, String)>,
    pub(super) connect_timeout: Duration,
    pub(super) max_value_bytes: usize,
}

/// What an item needs besides its value, at most: its header, its key, and what slabs lose.
const ITEM_OVERHEAD: usize = 1024;

/// Smallest item size that is of use.
const SMALLEST_ITEM: usize = 16 << 10;

/// Most lines of statistics of a server.
const MAX_STATISTICS: usize = 1000;

/// The first version whose meta commands are those that are used here.
const FIRST_VERSION: [u32; 3] = [1, 6, 13];

impl Dialer {
    /// Connects to the server and verifies it. Name resolution may exceed the connect timeout; no
    /// call waits for that.
    pub(super) fn dial(&self) -> Result<Connection, StoreError> {
        let mut limit = Limit::fixed(self.connect_timeout);
        let socket = self.connect(&limit).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => self.too_late(),
            _ => fault::unreachable(&self.place, &error),
        })?;
        let wire = self.wire(socket, &limit)?;
        self.greet(wire, &mut limit)
    }

    fn connect(&self, limit: &Limit) -> io::Result<Socket> {
        match &self.place {
            Place::Tcp { host, port } => {
                let mut fault = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, left(limit.deadline())?) {
                        Ok(socket) => return Socket::tcp(socket),
                        Err(error) => fault = error,
                    }
                }
                Err(fault)
            }
            #[cfg(unix)]
            Place::Unix(path) => Ok(Socket::unix(UnixStream::connect(path)?)),
        }
    }

    #[cfg(feature = "tls")]
    fn wire(&self, socket: Socket, limit: &Limit) -> Result<Wire, StoreError> {
        let Some(tls) = &self.tls else { return Ok(Wire::plain(socket)) };
        Wire::tls(socket, tls, limit).map_err(|error| {
            if error.kind() == io::ErrorKind::TimedOut {
                return self.too_late();
            }
            let (what, hint) = (one_line(&error), self.hint());
            let message = format!("no TLS with {}: {what}{hint}", self.place);
            StoreError::new(Fault::Unreachable, message)
        })
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unnecessary_wraps, reason = "TLS can fail")]
    fn wire(&self, socket: Socket, _: &Limit) -> Result<Wire, StoreError> {
        Ok(Wire::plain(socket))
    }

    fn too_late(&self) -> StoreError {
        let Self { place, connect_timeout, .. } = self;
        let message = format!("no connection to {place} within {connect_timeout:?}{}", self.hint());
        StoreError::new(Fault::Unreachable, message)
    }

    /// A hint for the case that the server does not answer as expected.
    fn hint(&self) -> &'static str {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return "; if the server does not speak TLS there, write memcached://";
        }
        match &self.place {
            Place::Tcp { .. } => "; if the server speaks TLS there, write memcacheds://",
            #[cfg(unix)]
            Place::Unix(_) => "",
        }
    }

    fn unusable(&self, reason: &str) -> StoreError {
        StoreError::new(Fault::Unusable, format!("{} {reason}", self.place))
    }

    fn greet(&self, mut wire: Wire, limit: &mut Limit) -> Result<Connection, StoreError> {
        let unlike = |broken: Broken, limit: &Limit| match broken {
            Broken::Late | Broken::Slow => self.too_late(),
            Broken::Unauthenticated => self.unusable("does not accept this user and password"),
            _ => {
                let error = broken.error(&self.place, limit);
                let message = format!("{error} during the handshake{}", self.hint());
                StoreError::new(error.fault(), message)
            }
        };
        // A server without a list of users would store the password as a record, so it is asked
        // first whether it wants one.
        let first = send(&mut wire, b"mn\r\n", limit)
            .and_then(|()| protocol::line(&mut wire, limit))
            .map_err(|broken| unlike(broken, limit))?;
        match (first.as_str(), &self.login) {
            ("MN", None) => {}
            ("MN", Some(_)) => {
                return Err(self.unusable(
                    "wants no password: leave out user and password, or start it with a list of \
                     users (-Y)",
                ));
            }
            (said, login) if said.starts_with("CLIENT_ERROR unauthenticated") => {
                let Some((user, password)) = login else {
                    return Err(StoreError::new(Fault::Unusable, wants_password(&self.place)));
                };
                let login = format!("{user} {password}");
                let command = format!("set fragcache 0 0 {}\r\n{login}\r\n", login.len());
                let said = send(&mut wire, command.as_bytes(), limit)
                    .and_then(|()| protocol::line(&mut wire, limit))
                    .map_err(|broken| unlike(broken, limit))?;
                if said != "STORED" {
                    return Err(self.unusable(
                        "does not know this user, or the password is wrong; write those \
                                   of its list of users (-Y)",
                    ));
                }
            }
            ("ERROR", _) => {
                return Err(self.unusable(
                    "does not know the meta commands: name a Memcached of version 1.6.13 or newer",
                ));
            }
            (said, _) => {
                let what = if said.starts_with("-") || said.starts_with('+') {
                    "speaks the Redis protocol: name a Memcached, or a store of type \"redis\""
                } else {
                    "is not a Memcached that speaks its text protocol; with SASL (-S) it speaks \
                     the binary one, which is not supported: use a list of users (-Y)"
                };
                return Err(StoreError::new(
                    Fault::Protocol,
                    format!("{} {what}{}", self.place, self.hint()),
                ));
            }
        }
        let at = instant();
        let (statistics, settings) = send(&mut wire, b"stats\r\nstats settings\r\n", limit)
            .and_then(|()| Ok((statistics(&mut wire, limit)?, statistics(&mut wire, limit)?)))
            .map_err(|broken| unlike(broken, limit))?;
        let clock = self.clock(&statistics, at)?;
        let sizes = self.sizes(&settings)?;
        Ok(Connection { wire, sizes, clock, next: 1, generation: 0 })
    }

    /// Checks the version and returns the server's clock.
    fn clock(
        &self,
        statistics: &[(String, String)],
        at: std::time::Instant,
    ) -> Result<ServerClock, StoreError> {
        let version = told(statistics, "version").unwrap_or_default();
        if parsed(version).is_some_and(|version| version < FIRST_VERSION) {
            return Err(self.unusable("is older than version 1.6.13: use a newer Memcached"));
        }
        let time = told(statistics, "time").and_then(|time| time.parse().ok());
        let time = time.ok_or_else(|| self.unusable("does not say its time in its statistics"))?;
        Ok(ServerClock { time, at })
    }

    fn sizes(&self, settings: &[(String, String)]) -> Result<Sizes, StoreError> {
        if told(settings, "cas_enabled") == Some("no") {
            return Err(self.unusable("has no CAS numbers: start it without -C"));
        }
        let item = told(settings, "item_size_max").and_then(|size| size.parse::<usize>().ok());
        let item = item.ok_or_else(|| self.unusable("does not say its largest item"))?;
        if item < SMALLEST_ITEM {
            return Err(self.unusable(&format!(
                "takes records of {item} bytes only: start it with an item size of at least 16k \
                 (-I 1m)"
            )));
        }
        Ok(Sizes { value: self.max_value_bytes, item: item - ITEM_OVERHEAD })
    }
}

fn send(wire: &mut Wire, bytes: &[u8], limit: &mut Limit) -> Result<(), Broken> {
    wire.send(bytes, &[], limit).map_err(|error| Broken::new(error, limit))
}

/// Reads a list of statistics: names and values.
fn statistics(wire: &mut Wire, limit: &mut Limit) -> Result<Vec<(String, String)>, Broken> {
    let mut found = Vec::new();
    while found.len() < MAX_STATISTICS {
        let line = protocol::line(wire, limit)?;
        if line == "END" {
            return Ok(found);
        }
        let pair = line.strip_prefix("STAT ").ok_or(Broken::Nonsense)?;
        let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
        found.push((name.to_owned(), value.to_owned()));
    }
    Err(Broken::Nonsense)
}

fn told<'a>(statistics: &'a [(String, String)], name: &str) -> Option<&'a str> {
    statistics.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A version such as `1.6.18` or `1.6.18-beta1`.
fn parsed(version: &str) -> Option<[u32; 3]> {
    let mut numbers = version.split('.').map(|number| {
        let digits = number.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().ok()
    });
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert_eq!(parsed("1.6.18"), Some([1, 6, 18]));
        assert_eq!(parsed("1.6.40-beta2"), Some([1, 6, 40]));
        assert!(parsed("1.5.22") < Some(FIRST_VERSION));
        assert_eq!(parsed("fast"), None);
    }
}
