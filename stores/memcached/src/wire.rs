//! One connection as bytes: a socket with a deadline, and TLS on it. It knows nothing about the
//! protocol.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::clock::instant;
use super::limit::{Limit, left};
#[cfg(feature = "tls")]
use super::tls::Tls;

/// A blocking socket whose reads and writes end at a deadline with [`io::ErrorKind::TimedOut`].
pub(super) struct Socket {
    end: End,
    deadline: Instant,
}

enum End {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The bytes of a connection.
pub(super) struct Wire {
    stream: BufReader<Stream>,
}

enum Stream {
    Plain(Socket),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Socket>>),
}

/// How much is sent before the deadline moves.
const BYTES_OF_A_PIECE: usize = 256 << 10;

/// Size of the buffer for what arrives.
const BUFFER: usize = 16 << 10;

impl Socket {
    pub(super) fn tcp(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        // A connection is abandoned if an answer is late. Undelivered writes must not arrive after
        // those of the next connection.
        #[cfg(unix)]
        rustix::net::sockopt::set_socket_linger(&socket, Some(std::time::Duration::ZERO))?;
        Ok(Self { end: End::Tcp(socket), deadline: instant() })
    }

    #[cfg(unix)]
    pub(super) fn unix(socket: UnixStream) -> Self {
        Self { end: End::Unix(socket), deadline: instant() }
    }

    /// Whether an idle connection has ended, or has received bytes that nobody asked for. TLS
    /// receives such bytes from the server's own messages.
    #[cfg(unix)]
    fn is_disturbed(&self, is_tls: bool) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        // Other systems report the end only together with input.
        #[cfg(target_os = "linux")]
        let end = PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        let end = PollFlags::empty();
        let events = if is_tls { end } else { end | PollFlags::IN };
        let mut sockets = [match &self.end {
            End::Tcp(socket) => PollFd::new(socket, events),
            End::Unix(socket) => PollFd::new(socket, events),
        }];
        !matches!(poll(&mut sockets, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
    }

    /// Unknown on systems where a socket cannot be polled.
    #[cfg(not(unix))]
    fn is_disturbed(&self, _: bool) -> bool {
        false
    }
}

/// A timeout of a socket is reported as [`io::ErrorKind::WouldBlock`] on some systems.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = Some(left(self.deadline)?);
        let done = match &mut self.end {
            End::Tcp(socket) => socket.set_read_timeout(left).and_then(|()| socket.read(bytes)),
            #[cfg(unix)]
            End::Unix(socket) => socket.set_read_timeout(left).and_then(|()| socket.read(bytes)),
        };
        done.map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = Some(left(self.deadline)?);
        let done = match &mut self.end {
            End::Tcp(socket) => socket.set_write_timeout(left).and_then(|()| socket.write(bytes)),
            #[cfg(unix)]
            End::Unix(socket) => socket.set_write_timeout(left).and_then(|()| socket.write(bytes)),
        };
        done.map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(session) => &mut session.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(session) => session.read(bytes),
        }
    }
}

impl Wire {
    pub(super) fn plain(socket: Socket) -> Self {
        Self { stream: BufReader::with_capacity(BUFFER, Stream::Plain(socket)) }
    }

    /// Completes the TLS handshake on a socket.
    #[cfg(feature = "tls")]
    pub(super) fn tls(mut socket: Socket, tls: &Tls, limit: &Limit) -> io::Result<Self> {
        let session = rustls::ClientConnection::new(tls.config.clone(), tls.name.clone());
        let mut session = session.map_err(io::Error::other)?;
        session.set_buffer_limit(None);
        socket.deadline = limit.deadline();
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        let stream = Stream::Tls(Box::new(rustls::StreamOwned::new(session, socket)));
        Ok(Self { stream: BufReader::with_capacity(BUFFER, stream) })
    }

    /// Whether this idle connection must not be used again.
    pub(super) fn is_disturbed(&mut self) -> bool {
        let stream = self.stream.get_mut();
        let is_tls = !matches!(stream, Stream::Plain(_));
        stream.socket().is_disturbed(is_tls) || !self.stream.buffer().is_empty()
    }

    /// Sends all these bytes. `cuts` are the places between two of them where a record of TLS must
    /// end, in order: a server that has read a value does not look for what follows it in the same
    /// record until more arrives, and would wait for ever.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        cuts: &[usize],
        limit: &mut Limit,
    ) -> io::Result<()> {
        #[cfg(not(feature = "tls"))]
        let _ = cuts;
        let stream = self.stream.get_mut();
        let mut sent = 0;
        while sent < bytes.len() {
            // In pieces, so that the deadline moves while a large value leaves.
            let end = bytes.len().min(sent + BYTES_OF_A_PIECE);
            stream.socket().deadline = limit.deadline();
            match stream {
                Stream::Plain(socket) => socket.write_all(&bytes[sent..end])?,
                #[cfg(feature = "tls")]
                Stream::Tls(session) => {
                    let within = cuts.iter().copied().filter(|cut| (sent + 1..end).contains(cut));
                    let mut from = sent;
                    for cut in within.chain([end]) {
                        session.conn.writer().write_all(&bytes[from..cut])?;
                        from = cut;
                    }
                    session.flush()?;
                }
            }
            if end < bytes.len() {
                limit.note(end - sent);
            }
            sent = end;
        }
        Ok(())
    }

    /// What has arrived and is unread; waits if that is nothing. Empty at the end of the
    /// connection.
    fn fill(&mut self, limit: &mut Limit) -> io::Result<&[u8]> {
        if self.stream.buffer().is_empty() {
            self.stream.get_mut().socket().deadline = limit.deadline();
            loop {
                match self.stream.fill_buf() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                    Ok(bytes) => {
                        limit.note(bytes.len());
                        break;
                    }
                }
            }
        }
        Ok(self.stream.buffer())
    }

    /// Reads a line into `line`, without its end. Fails with [`io::ErrorKind::InvalidData`] if it
    /// is longer than `most`.
    pub(super) fn line(
        &mut self,
        line: &mut Vec<u8>,
        most: usize,
        limit: &mut Limit,
    ) -> io::Result<()> {
        line.clear();
        loop {
            let bytes = self.fill(limit)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let length = end.unwrap_or(bytes.len());
            if line.len() + length > most {
                return Err(io::ErrorKind::InvalidData.into());
            }
            line.extend_from_slice(&bytes[..length]);
            self.stream.consume(end.map_or(length, |end| end + 1));
            if end.is_some() {
                if line.pop() != Some(b'\r') {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                return Ok(());
            }
        }
    }

    /// Passes the next `length` bytes to `take`, in pieces.
    pub(super) fn bytes(
        &mut self,
        length: usize,
        limit: &mut Limit,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut missing = length;
        while missing > 0 {
            let bytes = self.fill(limit)?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = bytes.len().min(missing);
            take(&bytes[..count]);
            self.stream.consume(count);
            missing -= count;
        }
        Ok(())
    }
}
