//! A Memcached server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{Process, eventually, free_port};
use crate::program;

/// The settings of a Memcached server.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct MemcachedSetup {
    arguments: Vec<String>,
    users: Option<String>,
    is_on_a_socket: bool,
    is_tls: bool,
}

impl MemcachedSetup {
    /// The defaults of [`MemcachedServer::start`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds arguments: `arguments(["-m", "8"])`.
    pub fn arguments<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(words.into_iter().map(str::to_owned));
        self
    }

    /// Sets the size of the largest item in KiB; also below the default size of chunks.
    pub fn item_size(self, kib: u32) -> Self {
        let chunk = format!("slab_chunk_max={}", kib / 2);
        self.arguments(["-I", &format!("{kib}k"), "-o", &chunk])
    }

    /// Lets in only this user, with the text protocol.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users = Some(format!("{name}:{password}\n"));
        self
    }

    /// Listens on a Unix socket only.
    pub fn on_a_socket(mut self) -> Self {
        self.is_on_a_socket = true;
        self
    }

    /// Speaks TLS only.
    pub fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Speaks TLS, and accepts only clients with a certificate.
    pub fn tls_with_client_certificates(self) -> Self {
        self.tls().arguments(["-o", "ssl_verify_mode=2"])
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> MemcachedServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificates = self.is_tls.then(|| Certificates::in_folder(folder.path()));
        if let Some(users) = &self.users {
            std::fs::write(folder.path().join("users"), users).expect("the folder can be written");
        }
        let mut server =
            MemcachedServer { setup: self, folder, certificates, port: 0, process: None };
        // Another process may take a port that was free a moment ago.
        for _ in 0..10 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("no memcached after ten attempts");
    }
}

/// The keys in the Memcached at this address, which a client cannot list: from its debugging
/// commands, without TLS and passwords. Those that are changed meanwhile may be missing.
pub fn memcached_keys(address: &str) -> Vec<String> {
    let mut stream = TcpStream::connect(address).expect("memcached is there");
    let mut lines = BufReader::new(stream.try_clone().expect("a socket has copies")).lines();
    loop {
        stream.write_all(b"lru_crawler metadump all\r\n").expect("memcached takes commands");
        let mut keys = Vec::new();
        loop {
            let line = lines.next().expect("memcached answers").expect("it answers text");
            match line.strip_prefix("key=") {
                Some(rest) => keys.push(decoded(rest.split(' ').next().unwrap_or_default())),
                // Its own sweeping comes first.
                None if line.starts_with("BUSY") => break,
                None => return keys,
            }
        }
        std::thread::yield_now();
    }
}

/// A key, in which the listing writes most characters as `%` codes.
fn decoded(key: &str) -> String {
    let mut parts = key.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        text.push(u8::from_str_radix(code, 16).expect("two digits").into());
        text.push_str(rest);
    }
    text
}

/// A Memcached server on loopback. Dropping it ends the process.
#[derive(Debug)]
pub struct MemcachedServer {
    setup: MemcachedSetup,
    folder: TempDir,
    certificates: Option<Certificates>,
    port: u16,
    process: Option<Process>,
}

impl MemcachedServer {
    /// Starts a server with 64 MiB and no password.
    pub fn start() -> Self {
        MemcachedSetup::new().start()
    }

    /// Starts the process. Returns whether it answers; false if it has ended.
    fn launch(&mut self) -> bool {
        let socket = self.socket();
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new(program::memcached());
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "root"]);
        }
        if self.setup.is_on_a_socket {
            command.arg("-s").arg(&socket);
        } else {
            command.args(["-l", "127.0.0.1", "-U", "0", "-p", &self.port.to_string()]);
        }
        if self.setup.users.is_some() {
            command.arg("-Y").arg(self.folder.path().join("users"));
        }
        if let Some(files) = &self.certificates {
            command.arg("-Z");
            for (name, file) in [
                ("ssl_chain_cert", &files.server),
                ("ssl_key", &files.server_key),
                ("ssl_ca_cert", &files.ca),
            ] {
                command.arg("-o").arg(format!("{name}={}", file.display()));
            }
        }
        command.args(&self.setup.arguments);
        let mut process = Process::start(&mut command);
        let mut ended = false;
        eventually("memcached answers", || {
            ended = process.has_ended();
            ended || self.answers()
        });
        self.process = Some(process);
        !ended
    }

    /// Whether the server answers. With TLS, it accepts.
    fn answers(&self) -> bool {
        if self.setup.is_on_a_socket {
            return std::os::unix::net::UnixStream::connect(self.socket()).is_ok();
        }
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            if self.setup.is_tls {
                return Ok(());
            }
            stream.write_all(b"mn\r\n")?;
            stream.read_exact(&mut [0; 2])
        };
        // One that speaks the binary protocol only closes the connection, and has answered too.
        match ask() {
            Ok(()) => true,
            Err(error) => error.kind() == std::io::ErrorKind::UnexpectedEof,
        }
    }

    /// The port, unless it listens on a socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's address without the scheme: `127.0.0.1:…`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server's address: `memcached://127.0.0.1:…`, `memcacheds://localhost:…` with TLS, or
    /// `memcached+unix://…`.
    pub fn url(&self) -> String {
        if self.setup.is_on_a_socket {
            return format!("memcached+unix://{}", self.socket().display());
        }
        if self.setup.is_tls {
            return format!("memcacheds://localhost:{}", self.port);
        }
        format!("memcached://{}", self.address())
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

    /// Kills the process immediately, like a crash.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Suspends the process; its sockets stay open.
    pub fn stop(&self) {
        self.process.as_ref().expect("it runs").stop();
    }

    /// Resumes a suspended process.
    pub fn cont(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::CONT);
    }

    /// Kills the process if it runs, and starts an empty server on the same port.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.launch(), "memcached does not come back");
    }
}
