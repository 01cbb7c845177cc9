//! A faulty connection to a server: bytes are passed on late, slowly, changed or not
//! at all. It works on TCP connections and replies of the Redis protocol.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::answer;

/// Maximum number of bytes passed on in one write.
const CHUNK: usize = 16 << 10;

/// How far ahead of its bandwidth a connection may be, so that pauses are not shorter than this.
const BURST: Duration = Duration::from_millis(1);

/// How often waiting threads check whether the proxy still exists.
const LOOKS: Duration = Duration::from_millis(50);

/// A fault in one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// It arrives twice.
    Duplicated,
    /// It arrives after the one that follows it.
    Swapped,
    /// It does not arrive.
    Dropped,
    /// At most this many of its last bytes do not arrive.
    Cut(usize),
    /// The connection ends in the middle of it.
    Torn,
    /// A number replaces it.
    Replaced,
    /// One bit of its text is flipped. Replies without text are unchanged.
    Flipped,
}

/// How the proxy treats bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// Passes them on.
    Open,
    /// Holds them until the mode changes. Connections are accepted, and neither side sees an error.
    BlackHole,
    /// A black hole for replies only.
    HalfOpen,
    /// Refuses new connections and resets existing ones.
    Reset,
    /// Bytes per second, shared by both directions and all connections.
    Bandwidth(u64),
    /// Applies the fault to one of this many replies.
    Mutated(Mutation, u32),
}

/// A proxy on a loopback port. Dropping it ends the proxy.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    is_over: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    way: Way,
    /// A fault in one reply, and the number of replies before it.
    once: Option<(usize, Mutation)>,
    /// Number of changed replies.
    mutated: u64,
    connections: Vec<TcpStream>,
    /// When the next bytes may pass, at the current bandwidth.
    free_at: Instant,
    random: u64,
}

impl Proxy {
    /// Starts a proxy to the server at this loopback port.
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = State {
            way: Way::Open,
            once: None,
            mutated: 0,
            connections: Vec::new(),
            free_at: now(),
            random: 0x9e37_79b9_7f4a_7c15,
        };
        let shared = Arc::new(Shared {
            server: ([127, 0, 0, 1], port).into(),
            is_over: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let mine = Arc::clone(&shared);
        let listener = std::thread::spawn(move || mine.listen(&listener));
        Self { address, shared, listener: Some(listener) }
    }

    /// The server's address for clients: `redis://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Sets how bytes are treated from now on.
    pub fn set(&self, way: Way) {
        let mut state = self.shared.lock();
        state.way = way;
        state.free_at = now();
        if way == Way::Reset {
            state.reset();
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Resets all connections, like a server that crashes.
    pub fn reset(&self) {
        self.shared.lock().reset();
    }

    /// Applies a fault to one reply: the one that follows the next `after` replies.
    pub fn mutate_once(&self, after: usize, mutation: Mutation) {
        self.shared.lock().once = Some((after, mutation));
    }

    /// Cancels the fault of [`mutate_once`](Self::mutate_once). Returns whether it
    /// was still pending.
    pub fn forget_once(&self) -> bool {
        self.shared.lock().once.take().is_some()
    }

    /// Number of changed replies.
    pub fn mutated(&self) -> u64 {
        self.shared.lock().mutated
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.lock().reset();
        self.shared.changed.notify_all();
        // This connection wakes up the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl State {
    fn reset(&mut self) {
        for connection in self.connections.drain(..) {
            let _ = set_socket_linger(&connection, Some(Duration::ZERO));
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// A number below `bound` from a fixed pseudorandom sequence.
    fn random(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 16).unwrap_or_default() % bound.max(1)
    }

    /// Whether replies are examined one by one.
    fn changes(&self) -> bool {
        self.once.is_some() || matches!(self.way, Way::Mutated(..))
    }

    /// The fault of the next reply.
    fn mutation(&mut self) -> Option<Mutation> {
        match &mut self.once {
            Some((0, mutation)) => {
                let mutation = *mutation;
                self.once = None;
                return Some(mutation);
            }
            Some((after, _)) => *after -= 1,
            None => {}
        }
        let Way::Mutated(mutation, of) = self.way else { return None };
        (self.random(of as usize) == 0).then_some(mutation)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.is_over() {
                return;
            }
            let Ok(client) = client else { continue };
            if self.lock().way == Way::Reset {
                let _ = set_socket_linger(&client, Some(Duration::ZERO));
                continue;
            }
            // If the server is gone, the proxy refuses connections too.
            let Ok(server) = TcpStream::connect(self.server) else {
                let _ = set_socket_linger(&client, Some(Duration::ZERO));
                continue;
            };
            let _ = self.connect(client, server);
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream, server: TcpStream) -> io::Result<()> {
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        self.lock().connections.extend([client.try_clone()?, server.try_clone()?]);
        let (shared, from, to) = (Arc::clone(self), client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || {
            let _ = shared.requests(&from, &to);
            end(&from, &to);
        });
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            let _ = shared.answers(&server, &client);
            end(&server, &client);
        });
        Ok(())
    }

    fn requests(&self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = from.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            self.wait_for_way(count, false)?;
            to.write_all(&chunk[..count])?;
        }
    }

    /// Passes on bytes as they arrive, or reply by reply while replies are changed.
    fn answers(&self, mut from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        // The received bytes that are incomplete or not yet passed on, and the number passed on.
        let (mut come, mut passed) = (Vec::new(), 0);
        let mut held: Option<Vec<u8>> = None;
        loop {
            let count = from.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            come.extend_from_slice(&chunk[..count]);
            loop {
                let changes = held.is_some() || self.lock().changes();
                if passed > 0 || !changes {
                    // The rest of a reply that was begun is passed on as well.
                    let end = if changes { answer::length(&come) } else { come.len() };
                    let end = if end == 0 { come.len() } else { end };
                    self.pass(&come[passed..end], to)?;
                    let whole = answer::whole(&come[..end]);
                    come.drain(..whole);
                    passed = end - whole;
                    if passed == come.len() {
                        break;
                    }
                    continue;
                }
                let length = answer::length(&come);
                if length == 0 {
                    break;
                }
                let one: Vec<u8> = come.drain(..length).collect();
                let mutation = self.lock().mutation();
                let is_held = self.change(one, mutation, &mut held, to)?;
                if !is_held && let Some(late) = held.take() {
                    self.pass(&late, to)?;
                }
            }
        }
    }

    /// Passes on a reply with its fault. Returns whether it is held back until after the next one.
    fn change(
        &self,
        mut one: Vec<u8>,
        mutation: Option<Mutation>,
        held: &mut Option<Vec<u8>>,
        to: &TcpStream,
    ) -> io::Result<bool> {
        if mutation.is_some() {
            self.lock().mutated += 1;
        }
        match mutation {
            None => self.pass(&one, to)?,
            Some(Mutation::Duplicated) => self.pass(&one.repeat(2), to)?,
            Some(Mutation::Swapped) if held.is_none() => {
                *held = Some(one);
                return Ok(true);
            }
            Some(Mutation::Swapped) => self.pass(&one, to)?,
            Some(Mutation::Dropped) => {}
            Some(Mutation::Cut(most)) => {
                let most = most.min(one.len());
                let cut = 1 + self.lock().random(most);
                self.pass(&one[..one.len() - cut.min(one.len())], to)?;
            }
            Some(Mutation::Torn) => {
                let kept = self.lock().random(one.len());
                self.pass(&one[..kept], to)?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Some(Mutation::Replaced) => self.pass(b":7777\r\n", to)?,
            Some(Mutation::Flipped) => {
                if let Some(text) = answer::longest_text(&one) {
                    let mut state = self.lock();
                    let at = text.start + state.random(text.len());
                    one[at] ^= 1 << state.random(8);
                }
                self.pass(&one, to)?;
            }
        }
        Ok(false)
    }

    fn pass(&self, bytes: &[u8], mut to: &TcpStream) -> io::Result<()> {
        for part in bytes.chunks(CHUNK) {
            self.wait_for_way(part.len(), true)?;
            to.write_all(part)?;
        }
        Ok(())
    }

    /// Waits until `bytes` bytes may pass.
    fn wait_for_way(&self, bytes: usize, is_answer: bool) -> io::Result<()> {
        let mut state = self.lock();
        let mut due = None;
        while !self.is_over() {
            let left = match state.way {
                Way::Open | Way::Mutated(..) => break,
                Way::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
                Way::HalfOpen if !is_answer => break,
                Way::HalfOpen | Way::BlackHole => LOOKS,
                Way::Bandwidth(of_second) => {
                    let due = *due.get_or_insert_with(|| {
                        let takes = Duration::from_secs_f64(bytes as f64 / of_second as f64);
                        state.free_at = state.free_at.max(now()) + takes;
                        state.free_at
                    });
                    let left = due.saturating_duration_since(now());
                    if left < BURST {
                        break;
                    }
                    left.min(LOOKS)
                }
            };
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

fn end(one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

#[allow(clippy::disallowed_methods, reason = "a way has its bandwidth in real time")]
fn now() -> Instant {
    Instant::now()
}
