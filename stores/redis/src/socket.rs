//! One socket whose operations never exceed a deadline. It knows nothing about the protocol.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::clock::instant;

/// A connected socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The socket with a deadline, after which operations fail with [`io::ErrorKind::TimedOut`].
pub(super) struct Until<'a> {
    socket: &'a Socket,
    deadline: Instant,
}

#[derive(Clone, Copy)]
enum Wait {
    Readable,
    Writable,
}

/// The time left until a deadline.
pub(super) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(instant());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Socket {
    pub(super) fn tcp(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        #[cfg(unix)]
        {
            socket.set_nonblocking(true)?;
            // A connection is abandoned if an answer is late. Undelivered writes must not arrive
            // after those of the next connection.
            rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        }
        Ok(Self::Tcp(socket))
    }

    #[cfg(unix)]
    pub(super) fn unix(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self::Unix(socket))
    }

    pub(super) fn until(&self, deadline: Instant) -> Until<'_> {
        Until { socket: self, deadline }
    }

    /// Ends all waits on this socket, in all threads.
    pub(super) fn shut_down(&self) {
        // Fails if the other side closed first.
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
            #[cfg(unix)]
            Self::Unix(socket) => socket.shutdown(Shutdown::Both),
        };
    }

    /// Waits until either side closes the connection. Arriving bytes do not end the wait.
    #[cfg(unix)]
    pub(super) fn hung_up(&self) {
        use rustix::event::PollFlags;

        // Other systems report the end only when both directions are closed.
        #[cfg(target_os = "linux")]
        let end = PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        let end = PollFlags::empty();
        while matches!(self.poll(end, None), Err(rustix::io::Errno::INTR)) {}
    }

    /// Whether a read would not block.
    #[cfg(unix)]
    pub(super) fn has_input(&self) -> bool {
        !matches!(self.poll(rustix::event::PollFlags::IN, Some(Duration::ZERO)), Ok(0))
    }

    /// Unknown on systems where a socket cannot be polled.
    #[cfg(not(unix))]
    pub(super) fn has_input(&self) -> bool {
        false
    }

    #[cfg(unix)]
    fn poll(
        &self,
        events: rustix::event::PollFlags,
        left: Option<Duration>,
    ) -> rustix::io::Result<usize> {
        use rustix::event::{PollFd, Timespec, poll};

        let mut sockets = [match self {
            Self::Tcp(socket) => PollFd::new(socket, events),
            Self::Unix(socket) => PollFd::new(socket, events),
        }];
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        poll(&mut sockets, left.as_ref())
    }

    #[cfg(unix)]
    fn wait(&self, wait: Wait, deadline: Instant) -> io::Result<()> {
        let events = match wait {
            Wait::Readable => rustix::event::PollFlags::IN,
            Wait::Writable => rustix::event::PollFlags::OUT,
        };
        loop {
            // Bytes that are there are read even after the deadline.
            let left = deadline.saturating_duration_since(instant());
            match self.poll(events, Some(left)) {
                Ok(0) if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Where a socket cannot be polled, reads and writes themselves wait.
    #[cfg(not(unix))]
    fn wait(&self, wait: Wait, deadline: Instant) -> io::Result<()> {
        let Self::Tcp(socket) = self;
        match wait {
            Wait::Readable => socket.set_read_timeout(Some(left(deadline)?)),
            Wait::Writable => socket.set_write_timeout(Some(left(deadline)?)),
        }
    }

    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => (&mut &*socket).read(bytes),
            #[cfg(unix)]
            Self::Unix(socket) => (&mut &*socket).read(bytes),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => (&mut &*socket).write(bytes),
            #[cfg(unix)]
            Self::Unix(socket) => (&mut &*socket).write(bytes),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl Read for Until<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            // An answer is never there at the first look, so wait first.
            self.socket.wait(Wait::Readable, self.deadline)?;
            match self.socket.read(bytes) {
                Err(error) if is_passing(&error) => {}
                done => return done,
            }
        }
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if cfg!(not(unix)) {
            self.socket.wait(Wait::Writable, self.deadline)?;
        }
        loop {
            match self.socket.write(bytes) {
                Err(error) if is_passing(&error) => {
                    self.socket.wait(Wait::Writable, self.deadline)?;
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn soon() -> Instant {
        instant() + Duration::from_millis(5)
    }

    #[test]
    fn reading_and_writing_end_at_the_deadline() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let socket = Socket::unix(ours).unwrap();
        let late = socket.until(soon()).read(&mut [0; 8]).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        // The other side reads nothing.
        let late = socket.until(soon()).write_all(&vec![0; 8 << 20]).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        // The watcher notices, or this would hang.
        drop(theirs);
        socket.hung_up();
    }

    #[test]
    fn shutting_down_ends_what_waits() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let socket = Socket::unix(ours).unwrap();
        let far = instant() + Duration::from_secs(60);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| socket.until(far).read(&mut [0; 8]));
            let watcher = scope.spawn(|| socket.hung_up());
            socket.shut_down();
            assert_eq!(reader.join().unwrap().unwrap(), 0);
            watcher.join().unwrap();
        });
    }
}
