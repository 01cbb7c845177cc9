//! A Redis or Valkey server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::ask::ask;
use crate::certificates::Certificates;
use crate::process::{Process, eventually, free_port};
use crate::program::Flavour;

/// The settings of a server.
#[derive(Debug, Clone)]
#[must_use]
pub struct Setup {
    flavour: Flavour,
    tls: Option<&'static str>,
    arguments: Vec<String>,
}

impl Setup {
    /// The defaults of [`RedisServer::start`].
    pub fn new(flavour: Flavour) -> Self {
        Self { flavour, tls: None, arguments: Vec::new() }
    }

    /// Adds a line to the server's settings: `setting(["maxmemory", "3mb"])`.
    pub fn setting<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut words = words.into_iter();
        self.arguments.extend(words.next().map(|name| format!("--{name}")));
        self.arguments.extend(words.map(str::to_owned));
        self
    }

    /// Sets a password for the default user.
    pub fn password(self, password: &str) -> Self {
        self.setting(["requirepass", password])
    }

    /// Adds a user with ACL rules: `user("me", "on >secret ~* +@all")`.
    pub fn user(self, name: &str, rules: &str) -> Self {
        let words = ["user", name].into_iter().chain(rules.split(' '));
        self.setting(words)
    }

    /// Sets the server's memory limit and its eviction policy.
    pub fn maxmemory(self, bytes: &str, policy: &str) -> Self {
        self.setting(["maxmemory", bytes]).setting(["maxmemory-policy", policy])
    }

    /// Makes this a replica of another server.
    pub fn replica_of(self, master: &RedisServer) -> Self {
        self.setting(["replicaof", "127.0.0.1", &master.port.to_string()])
    }

    /// Enables TLS on a separate port, beside the plain one.
    pub fn tls(mut self) -> Self {
        self.tls = Some("no");
        self
    }

    /// Like [`tls`](Self::tls), but accepts only clients with a certificate.
    pub fn tls_with_client_certificates(mut self) -> Self {
        self.tls = Some("yes");
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> RedisServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificates = self.tls.map(|_| Certificates::in_folder(folder.path()));
        let mut server =
            RedisServer { setup: self, folder, certificates, port: 0, tls_port: 0, process: None };
        // Another process may take a port that was free a moment ago.
        for _ in 0..10 {
            server.port = free_port();
            server.tls_port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("no server after ten attempts; its log: {}", server.log());
    }
}

/// A server on loopback. Dropping it ends the process.
#[derive(Debug)]
pub struct RedisServer {
    setup: Setup,
    folder: TempDir,
    certificates: Option<Certificates>,
    port: u16,
    tls_port: u16,
    process: Option<Process>,
}

impl RedisServer {
    /// Starts a server that stores nothing on disk, with 16 databases and no password.
    pub fn start(flavour: Flavour) -> Self {
        Setup::new(flavour).start()
    }

    /// Starts the process. Returns whether it answers; false if it has ended.
    fn launch(&mut self) -> bool {
        let socket = self.socket();
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new(self.setup.flavour.program());
        let port = self.port.to_string();
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(self.folder.path()).arg("--unixsocket").arg(&socket);
        command.arg("--logfile").arg(self.folder.path().join("log"));
        command.args(["--repl-diskless-sync-delay", "0"]);
        if let (Some(clients), Some(files)) = (self.setup.tls, &self.certificates) {
            command.args(["--tls-port", &self.tls_port.to_string(), "--tls-auth-clients", clients]);
            command.arg("--tls-ca-cert-file").arg(&files.ca);
            command.arg("--tls-cert-file").arg(&files.server);
            command.arg("--tls-key-file").arg(&files.server_key);
        }
        command.args(&self.setup.arguments);
        let mut process = Process::start(&mut command);
        let mut ended = false;
        eventually("the server answers", || {
            ended = process.has_ended();
            ended || answers(&socket)
        });
        self.process = Some(process);
        !ended
    }

    /// The server's reply to a command, as it travels; empty if there is none.
    pub fn ask(&self, words: &[&str]) -> String {
        ask(self.port, words)
    }

    /// The value of a setting that was given.
    pub(crate) fn setting(&self, name: &str) -> String {
        let mut words =
            self.setup.arguments.iter().skip_while(|word| **word != format!("--{name}"));
        words.nth(1).expect("the setting was given").clone()
    }

    /// The port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port with TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The server's TCP address: `redis://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The server's TLS address: `rediss://localhost:…`.
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.tls_port)
    }

    /// The server's Unix socket address: `unix:///…`.
    pub fn unix_url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The certificates of a server with TLS.
    ///
    /// # Panics
    ///
    /// Panics without TLS.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("a server with TLS")
    }

    /// The server's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Kills the process immediately, like a crash.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Suspends the process; its sockets stay open.
    pub fn stop(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Resumes a suspended process.
    pub fn cont(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::CONT);
    }

    /// Kills the process if it runs, and starts an empty server on the same port.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.launch(), "the server does not come back: {}", self.log());
    }
}

/// Whether a server answers on this socket. A request for a password counts as an answer.
fn answers(socket: &Path) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    matches!(ask().as_ref(), Ok(b"+PONG\r\n" | b"-NOAUTH"))
}
