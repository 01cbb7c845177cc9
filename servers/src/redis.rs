//! One Redis or Valkey server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{Process, eventually, free_port};
use crate::program::Flavour;

/// How a server is set up.
#[derive(Debug, Clone)]
#[must_use]
pub struct Setup {
    flavour: Flavour,
    tls: Option<&'static str>,
    arguments: Vec<String>,
}

impl Setup {
    /// As [`RedisServer::start`] has it.
    pub fn new(flavour: Flavour) -> Self {
        Self { flavour, tls: None, arguments: Vec::new() }
    }

    /// A line of the server's settings: `setting(["maxmemory", "3mb"])`.
    pub fn setting<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut words = words.into_iter();
        self.arguments.extend(words.next().map(|name| format!("--{name}")));
        self.arguments.extend(words.map(str::to_owned));
        self
    }

    /// A password for the default user.
    pub fn password(self, password: &str) -> Self {
        self.setting(["requirepass", password])
    }

    /// A user, with the words of an ACL: `user("me", "on >secret ~* +@all")`.
    pub fn user(self, name: &str, rules: &str) -> Self {
        let words = ["user", name].into_iter().chain(rules.split(' '));
        self.setting(words)
    }

    /// Bytes that the server holds at most, and what it does about it.
    pub fn maxmemory(self, bytes: &str, policy: &str) -> Self {
        self.setting(["maxmemory", bytes]).setting(["maxmemory-policy", policy])
    }

    /// A replica of another server.
    pub fn replica_of(self, master: &RedisServer) -> Self {
        self.setting(["replicaof", "127.0.0.1", &master.port.to_string()])
    }

    /// With TLS on a port of its own, beside the plain one.
    pub fn tls(mut self) -> Self {
        self.tls = Some("no");
        self
    }

    /// As [`tls`](Self::tls), for clients with a certificate only.
    pub fn tls_with_client_certificates(mut self) -> Self {
        self.tls = Some("yes");
        self
    }

    /// Starts it, and waits until it answers.
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

/// A server on loopback. It ends with its value.
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
    /// One that keeps nothing on disk, with 16 databases and no password.
    pub fn start(flavour: Flavour) -> Self {
        Setup::new(flavour).start()
    }

    /// Whether it answers; not if it has ended.
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

    /// The port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port with TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The server by TCP: `redis://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The server by TLS: `rediss://localhost:…`.
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.tls_port)
    }

    /// The server by its socket in the file system: `unix:///…`.
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
    /// Without TLS.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("a server with TLS")
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops its process in its tracks; its sockets stay.
    pub fn stop(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Lets a stopped process go on.
    pub fn cont(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::CONT);
    }

    /// Ends it if it runs, and starts it anew on the same port, empty.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.launch(), "the server does not come back: {}", self.log());
    }
}

/// Whether a server answers on this socket. That it wants a password is an answer.
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
