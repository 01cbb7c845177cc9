//! From an address to a connection that has proved itself: socket, TLS, who asks, which database,
//! and that the server is one that may be asked.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::address::Place;
use super::fault;
use super::tls::Tls;
use crate::store::{Fault, StoreError};

/// Moves bytes between the socket and the calls. Dropping it closes the socket.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All that it takes to connect.
pub(super) struct Dialer {
    pub(super) place: Place,
    pub(super) tls: Option<Tls>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: i64,
    pub(super) connect_timeout: Duration,
    pub(super) queue_length: usize,
}

impl Dialer {
    pub(super) async fn dial(&self) -> Result<(MultiplexedConnection, Driver), StoreError> {
        match tokio::time::timeout(self.connect_timeout, self.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(StoreError::new(
                Fault::Unreachable,
                format!(
                    "no connection to {} within {:?}{}",
                    self.place,
                    self.connect_timeout,
                    self.hint()
                ),
            )),
        }
    }

    /// What to look at when the server does not speak as expected.
    fn hint(&self) -> &'static str {
        match (&self.tls, &self.place) {
            (Some(_), _) => "; if the server does not speak TLS there, write redis://",
            (None, Place::Tcp { .. }) => "; if the server speaks TLS there, write rediss://",
            #[cfg(unix)]
            (None, Place::Unix(_)) => "",
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, Driver), StoreError> {
        let unreachable = |error: io::Error| fault::unreachable(&self.place, &error);
        match &self.place {
            Place::Tcp { host, port } => {
                let socket = TcpStream::connect((host.as_str(), *port)).await;
                let socket = socket.map_err(unreachable)?;
                socket.set_nodelay(true).map_err(unreachable)?;
                // A connection is given up when an answer is late. What was written and not
                // delivered must not arrive after the next connection's writes.
                socket.set_zero_linger().map_err(unreachable)?;
                let Some(tls) = &self.tls else { return self.greet(socket).await };
                match tls.connector.connect(tls.name.clone(), socket).await {
                    Ok(socket) => self.greet(socket).await,
                    Err(error) => Err(StoreError::new(
                        Fault::Unreachable,
                        format!(
                            "no TLS with {}: {}{}",
                            self.place,
                            fault::one_line(&error),
                            self.hint()
                        ),
                    )),
                }
            }
            #[cfg(unix)]
            Place::Unix(path) => {
                let socket = tokio::net::UnixStream::connect(path).await.map_err(unreachable)?;
                self.greet(socket).await
            }
        }
    }

    async fn greet<S>(&self, socket: S) -> Result<(MultiplexedConnection, Driver), StoreError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // The client would authenticate by itself, but tells less of what came of it.
        let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(self.queue_length);
        let (mut connection, driver) =
            MultiplexedConnection::new_with_config(&nobody, socket, config)
                .await
                .map_err(|error| self.rude(&error))?;
        let mut driver: Driver = Box::pin(driver);

        let mut greeting = redis::pipe();
        if let Some(password) = &self.password {
            greeting.cmd("AUTH").arg(self.user.as_deref()).arg(password);
        }
        if self.database != 0 {
            greeting.cmd("SELECT").arg(self.database);
        }
        // The answer proves that there is a Redis server, and tells what it is.
        greeting.cmd("HELLO");
        let answers = tokio::select! {
            biased;
            answers = connection.send_packed_commands(&greeting, 0, greeting.len()) => answers,
            () = &mut driver => return Err(self.rude(&hung_up())),
        };
        let answers = answers.map_err(|error| self.rude(&error))?;
        self.judge(&answers)?;
        Ok((connection, driver))
    }

    /// A server that hangs up, or talks nonsense, in the middle of a greeting.
    fn rude(&self, error: &RedisError) -> StoreError {
        let broken = fault::broken(&self.place, error);
        StoreError::new(broken.fault(), format!("{broken} when greeted{}", self.hint()))
    }

    fn judge(&self, answers: &[Value]) -> Result<(), StoreError> {
        let refused = |reason: String| Err(StoreError::new(Fault::Refused, reason));
        let Some((hello, before)) = answers.split_last() else {
            return Err(fault::nonsense(&self.place));
        };
        let mut before = before.iter();
        if self.password.is_some()
            && let Some(Value::ServerError(error)) = before.next()
        {
            return match error.code() {
                "WRONGPASS" | "ERR" => refused(format!(
                    "{} does not know this user, or the password is another",
                    self.place
                )),
                _ => Err(fault::refusal(&self.place, error)),
            };
        }
        match hello {
            Value::ServerError(error) => match error.code() {
                // A user without the right to HELLO, or a server older than it.
                "NOPERM" | "ERR" => {}
                _ => return Err(fault::refusal(&self.place, error)),
            },
            hello => match (told(hello, "role"), told(hello, "mode")) {
                (Some("replica" | "slave"), _) => {
                    return refused(format!(
                        "{} is a replica, and replicas are behind: name its master instead",
                        self.place
                    ));
                }
                (_, Some("sentinel")) => {
                    return refused(format!(
                        "{} is a Sentinel and keeps nothing: name the server itself",
                        self.place
                    ));
                }
                (_, Some("cluster")) => {
                    return refused(format!(
                        "{} is a node of a cluster, and this store is for one server",
                        self.place
                    ));
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

fn hung_up() -> RedisError {
    RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset))
}

/// What a server's answer to HELLO says of `name`.
fn told<'a>(hello: &'a Value, name: &str) -> Option<&'a str> {
    fn text(value: &Value) -> Option<&str> {
        match value {
            Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
            Value::SimpleString(text) => Some(text),
            _ => None,
        }
    }
    let Value::Array(pairs) = hello else { return None };
    pairs.chunks_exact(2).find(|pair| text(&pair[0]) == Some(name)).and_then(|pair| text(&pair[1]))
}
