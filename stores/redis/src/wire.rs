//! Carries bytes to and from the server, with or without TLS. The caller decides who may write and
//! read.

use std::io::{self, Read, Write};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use rustls::ClientConnection;

use super::pace::{Limit, Pace};
use super::socket::Socket;
use super::tls::Tls;

/// Bytes of TLS to read at a time.
const TLS_BUFFER: usize = 16 << 10;

/// A socket, with or without TLS, until it is closed.
pub(super) struct Wire {
    socket: RwLock<Option<Socket>>,
    tls: Option<Mutex<Tunnel>>,
}

struct Tunnel {
    session: ClientConnection,
    /// Bytes that are not decrypted yet, since the session accepts only a limited amount at a time.
    unread: Vec<u8>,
}

/// The reading side, with a deadline that moves while bytes arrive. At most one at a time.
pub(super) struct Reader<'a> {
    wire: &'a Wire,
    pace: &'a Pace,
    limit: Limit,
    /// Bytes that had arrived when the call was sent.
    before: u64,
}

impl Wire {
    pub(super) fn plain(socket: Socket) -> Self {
        Self { socket: RwLock::new(Some(socket)), tls: None }
    }

    /// Completes the TLS handshake on a socket.
    pub(super) fn tls(socket: Socket, tls: &Tls, deadline: Instant) -> io::Result<Self> {
        let mut session = ClientConnection::new(tls.config.clone(), tls.name.clone())
            .map_err(io::Error::other)?;
        session.set_buffer_limit(None);
        while session.is_handshaking() {
            session.complete_io(&mut socket.until(deadline))?;
        }
        let tunnel = Tunnel { session, unread: Vec::new() };
        Ok(Self { socket: RwLock::new(Some(socket)), tls: Some(Mutex::new(tunnel)) })
    }

    /// Sends all these bytes. At most one caller at a time.
    pub(super) fn send(&self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let Some(tunnel) = &self.tls else {
            return self.on_socket(|socket| socket.until(deadline).write_all(bytes));
        };
        let mut encrypted = Vec::with_capacity(bytes.len() + 64);
        {
            // The session is unlocked while the socket is written, since the reader needs it.
            let session = &mut tunnel.lock().session;
            session.writer().write_all(bytes)?;
            while session.wants_write() {
                session.write_tls(&mut encrypted)?;
            }
        }
        self.on_socket(|socket| socket.until(deadline).write_all(&encrypted))
    }

    pub(super) fn reader<'a>(&'a self, pace: &'a Pace, limit: Limit, before: u64) -> Reader<'a> {
        Reader { wire: self, pace, limit, before }
    }

    /// Whether unread bytes have arrived or the other side closed the connection. Always false with
    /// TLS, whose own messages arrive unrequested.
    pub(super) fn has_input(&self) -> bool {
        self.tls.is_none() && self.on_socket(|socket| Ok(socket.has_input())).unwrap_or(true)
    }

    /// Ends all waits on the wire.
    pub(super) fn shut_down(&self) {
        if let Some(socket) = &*self.socket.read() {
            socket.shut_down();
        }
    }

    /// Waits until either side closes the connection.
    #[cfg(unix)]
    pub(super) fn hung_up(&self) {
        if let Some(socket) = &*self.socket.read() {
            socket.hung_up();
        }
    }

    /// Closes the socket, even if other threads still have the wire. Call it only after
    /// [`shut_down`](Self::shut_down): it waits for the threads that use the socket.
    pub(super) fn close(&self) {
        drop(self.socket.write().take());
    }

    fn on_socket<T>(&self, act: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        match &*self.socket.read() {
            Some(socket) => act(socket),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn read(&self, bytes: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.on_socket(|socket| socket.until(deadline).read(bytes))
    }
}

impl Tunnel {
    /// Returns decrypted bytes; [`io::ErrorKind::WouldBlock`] if there are none.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.unread.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = self.session.read_tls(&mut self.unread.as_slice())?;
            self.unread.drain(..taken);
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Marks the end of the stream.
    fn end(&mut self) -> io::Result<()> {
        self.session.read_tls(&mut io::empty())?;
        self.session.process_new_packets().map_err(io::Error::other)?;
        Ok(())
    }
}

impl Reader<'_> {
    fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let deadline = self.pace.due(self.limit, self.before);
        self.wire.read(bytes, deadline).inspect(|&count| self.pace.note(count))
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(tunnel) = &self.wire.tls else { return self.receive(bytes) };
        loop {
            match tunnel.lock().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            // The session is unlocked meanwhile, since the writer needs it.
            let mut buffer = [0; TLS_BUFFER];
            match self.receive(&mut buffer)? {
                0 => tunnel.lock().end()?,
                count => tunnel.lock().unread.extend_from_slice(&buffer[..count]),
            }
        }
    }
}
