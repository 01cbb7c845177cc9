//! A shop's process, and a client for it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// The film whose price changes.
pub(crate) const FILM: &str = "/product/4";

/// The longest that a visitor waits, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder in memory if the machine has one, so that a busy disk does not affect the test.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// A shop that listens on loopback. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Site {
    process: Child,
    address: SocketAddr,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Site {
    /// Starts `shop --serve` with these additional options, and waits until it listens.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
        command.args(["--serve", "127.0.0.1:0"]).args(options).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next());
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let _ = process.kill();
            panic!("the shop does not say where it listens: {line:?}");
        };
        Self { process, address }
    }

    fn send(&self, request: &str) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    /// Requests `path`.
    pub(crate) fn get(&self, path: &str) -> std::io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"))
    }

    /// Requests `path` and fails unless the status is 200.
    pub(crate) fn page(&self, path: &str) -> String {
        let answer = self.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// The token of the first user's forms.
    pub(crate) fn token(&self) -> String {
        let page = self.page(FILM);
        let token = page.split(r#"name="token" value=""#).nth(1).unwrap();
        token.split('"').next().unwrap().to_owned()
    }

    /// Sends a form.
    pub(crate) fn post(&self, path: &str, fields: &str) -> std::io::Result<Answer> {
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{fields}",
            fields.len()
        ))
    }

    /// Changes the price of [`FILM`]. Returns whether all processes know.
    pub(crate) fn set_price(&self, token: &str, cents: u64) -> bool {
        let fields = format!("price={}.{:02}&token={token}", cents / 100, cents % 100);
        let answer = self.post(&format!("{FILM}/price"), &fields).unwrap();
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.head.contains("x-invalidation: done")
    }

    /// A line of `/health`.
    pub(crate) fn health(&self, name: &str) -> String {
        let report = self.page("/health");
        let line = report.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {report}")).to_owned()
    }

    /// Like [`health`](Self::health), for a number.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.health(name).parse().unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The price of [`FILM`] on a page, in cents.
pub(crate) fn price(path: &str, page: &str) -> Option<u64> {
    let card = match path {
        FILM => page,
        _ => page.split(&format!("href=\"{FILM}\"")).nth(1)?,
    };
    let price = card.split("class=\"price\">").nth(1)?.split(" €").next()?;
    price.replace('.', "").parse().ok()
}
