//! The connecting thread: it connects, waits until the connection is abandoned, and connects again.
//! Calls do not pass through it; see `connection`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fragcache::store::{Fault, StoreError};

use super::clock::instant;
use super::connection::Gone;
use super::dial::Dialer;
use super::link::{LinkState, Status};

/// The state of the thread.
pub(super) struct Reconnect {
    pub(super) dialer: Dialer,
    pub(super) state: Arc<LinkState>,
}

/// Pauses between attempts to connect.
struct BackOff(Duration);

impl BackOff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LONGEST);
        // All processes lose a server at the same time; jitter spreads their reconnects.
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

impl Reconnect {
    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("fragcache-redis".to_owned());
        thread.spawn(move || self.run())?;
        Ok(())
    }

    fn run(self) {
        let place = &self.dialer.place;
        let mut back_off = BackOff(BackOff::FIRST);
        while !self.state.is_closed() {
            match self.dialer.dial() {
                Ok(connection) => {
                    let since = instant();
                    let connection = Arc::new(connection);
                    self.state.counts.connections.fetch_add(1, Ordering::Relaxed);
                    if !self.state.set(Status::Up(Arc::clone(&connection))) {
                        return;
                    }
                    let gone = connection.watch();
                    if !matches!(gone, Gone::Closed | Gone::TooLarge) {
                        (self.state.lost)();
                    }
                    let down =
                        |what| StoreError::new(Fault::Unreachable, format!("{place} {what}"));
                    self.state.set(match gone {
                        Gone::Closed => return,
                        Gone::HungUp | Gone::Demoted | Gone::TooLarge => Status::Trying,
                        Gone::Late => Status::Down(down("did not answer in time; reconnecting")),
                    });
                    // Pause before retrying a server that accepts connections but answers no calls.
                    if connection.has_answered() || since.elapsed() > BackOff::LONGEST {
                        back_off = BackOff(BackOff::FIRST);
                        continue;
                    }
                    if gone != Gone::Late {
                        self.state.set(Status::Down(down("closed the connection")));
                    }
                }
                Err(error) => {
                    self.state.set(Status::Down(error));
                    (self.state.lost)();
                }
            }
            self.state.pause(back_off.next());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_below_two_seconds() {
        let mut back_off = BackOff(BackOff::FIRST);
        let pauses: Vec<_> = (0..10).map(|_| back_off.next()).collect();
        assert!(pauses[0] >= BackOff::FIRST / 2 && pauses[0] <= BackOff::FIRST);
        assert!(pauses.iter().all(|&pause| pause <= BackOff::LONGEST));
        assert!(pauses[9] >= BackOff::LONGEST / 2);
    }
}
