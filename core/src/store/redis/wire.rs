//! Bytes to and from the server, in TLS or plain. Who may write and who may read is not here.

use std::io::{self, Read, Write};
use std::time::Instant;

use rustls::ClientConnection;

use super::socket::Socket;
use super::tls::Tls;
use crate::sync::{Mutex, RwLock};

/// How much of TLS is read at once.
const TLS_BUFFER: usize = 16 << 10;

/// A socket, with or without TLS on it, until it is closed.
pub(super) struct Wire {
    socket: RwLock<Option<Socket>>,
    tls: Option<Mutex<ClientConnection>>,
}

/// The reading side until a deadline. One at a time.
pub(super) struct Reader<'a> {
    wire: &'a Wire,
    deadline: Instant,
}

impl Wire {
    pub(super) fn plain(socket: Socket) -> Self {
        Self { socket: RwLock::new(Some(socket)), tls: None }
    }

    /// With TLS, after both sides have proved themselves.
    pub(super) fn tls(socket: Socket, tls: &Tls, deadline: Instant) -> io::Result<Self> {
        let mut session = ClientConnection::new(tls.config.clone(), tls.name.clone())
            .map_err(io::Error::other)?;
        session.set_buffer_limit(None);
        while session.is_handshaking() {
            session.complete_io(&mut socket.until(deadline))?;
        }
        Ok(Self { socket: RwLock::new(Some(socket)), tls: Some(Mutex::new(session)) })
    }

    /// Sends all of this. One at a time.
    pub(super) fn send(&self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let Some(session) = &self.tls else {
            return self.on_socket(|socket| socket.until(deadline).write_all(bytes));
        };
        let mut encrypted = Vec::with_capacity(bytes.len() + 64);
        {
            // Not held while the socket is waited for, since who reads needs it.
            let mut session = session.lock();
            session.writer().write_all(bytes)?;
            while session.wants_write() {
                session.write_tls(&mut encrypted)?;
            }
        }
        self.on_socket(|socket| socket.until(deadline).write_all(&encrypted))
    }

    pub(super) fn reader(&self, deadline: Instant) -> Reader<'_> {
        Reader { wire: self, deadline }
    }

    /// Ends whatever waits for the wire.
    pub(super) fn shut_down(&self) {
        if let Some(socket) = &*self.socket.read() {
            socket.shut_down();
        }
    }

    /// Waits until either side hangs up.
    #[cfg(unix)]
    pub(super) fn hung_up(&self) {
        if let Some(socket) = &*self.socket.read() {
            socket.hung_up();
        }
    }

    /// Closes the socket, however many threads know the wire. Only after [`shut_down`](Self::shut_down):
    /// it waits for those that use it.
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

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &self.wire.tls else {
            return self.wire.read(bytes, self.deadline);
        };
        loop {
            match session.lock().reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            let mut buffer = [0; TLS_BUFFER];
            let count = self.wire.read(&mut buffer, self.deadline)?;
            let mut encrypted = &buffer[..count];
            let mut session = session.lock();
            loop {
                // Also when there is nothing, which tells the session of the end.
                session.read_tls(&mut encrypted)?;
                session.process_new_packets().map_err(io::Error::other)?;
                if encrypted.is_empty() {
                    break;
                }
            }
        }
    }
}
