//! The I/O thread: it connects, sends what callers hand over as it comes, and connects anew after
//! any fault of the connection or a missed deadline. Callers wait in `link`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::call::Call;
use super::dial::{Dialer, Driver};
use super::fault;
use super::link::{LinkState, Status};
use crate::store::{Fault, StoreError};

type Calls = UnboundedReceiver<Call>;

/// What the I/O thread owns.
pub(super) struct Server {
    pub(super) dialer: Dialer,
    pub(super) state: Arc<LinkState>,
}

/// Why a connection ended.
enum End {
    /// Nobody can call any more.
    Closed,
    /// The other side hung up, talked nonsense, or is no master any more.
    HungUp,
    /// An answer did not come in time. The next connection must prove itself first.
    Late,
}

/// What came of one call.
enum Carried {
    Answered,
    Abandoned,
    Broken,
    Late,
}

/// Pauses between attempts to connect.
struct BackOff(Duration);

impl BackOff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LONGEST);
        // All processes lose a server at the same moment; they should not all come back at one.
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

impl Server {
    /// Starts the thread.
    pub(super) fn start(self, calls: Calls) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // They resolve names, which may hang.
            .max_blocking_threads(2)
            .build()?;
        let thread = std::thread::Builder::new().name("fragcache-redis".to_owned());
        thread.spawn(move || {
            runtime.block_on(self.run(calls));
            // Not waiting for names that are still being resolved.
            runtime.shutdown_background();
        })?;
        Ok(())
    }

    async fn run(self, mut calls: Calls) {
        let mut back_off = BackOff(BackOff::FIRST);
        loop {
            let mut held = Vec::new();
            let Some(dialed) = self.dial(&mut calls, &mut held).await else { return };
            match dialed {
                Ok((connection, driver)) => {
                    let since = Instant::now();
                    self.state.set(Status::Up);
                    self.state.counts.connections.fetch_add(1, Ordering::Relaxed);
                    let (end, answered) = self.serve(connection, driver, held, &mut calls).await;
                    let place = &self.dialer.place;
                    match end {
                        End::Closed => return,
                        End::HungUp => self.state.set(Status::Trying),
                        End::Late => self.state.set(Status::Down(StoreError::new(
                            Fault::Unreachable,
                            format!("{place} did not answer in time, and is being connected anew"),
                        ))),
                    }
                    // One that takes connections and is of no use is not tried without a pause.
                    if answered || since.elapsed() > BackOff::LONGEST {
                        back_off = BackOff(BackOff::FIRST);
                        continue;
                    }
                    if matches!(end, End::HungUp) {
                        self.state.set(Status::Down(StoreError::new(
                            Fault::Unreachable,
                            format!("{place} hung up"),
                        )));
                    }
                }
                Err(error) => {
                    self.state.set(Status::Down(error.clone()));
                    held.iter().for_each(|call| call.finish(Err(error.clone())));
                }
            }
            if self.pause(back_off.next(), &mut calls).await.is_none() {
                return;
            }
        }
    }

    /// An attempt to connect. Calls that come meanwhile are held, or refused while the server is
    /// known to be down. `None` when nobody can call any more.
    async fn dial(
        &self,
        calls: &mut Calls,
        held: &mut Vec<Call>,
    ) -> Option<Result<(MultiplexedConnection, Driver), StoreError>> {
        let mut dial = std::pin::pin!(self.dialer.dial());
        loop {
            let overdue = held.first().map(|call: &Call| Instant::from_std(call.deadline));
            tokio::select! {
                biased;
                dialed = &mut dial => return Some(dialed),
                call = calls.recv() => {
                    let call = call?;
                    match self.state.down() {
                        Some(error) => call.finish(Err(error)),
                        None => held.push(call),
                    }
                }
                () = at(overdue) => {
                    // One caller has waited in vain; the next ones need not.
                    let place = &self.dialer.place;
                    let message = format!("{place} is still being connected");
                    let error = StoreError::new(Fault::Unreachable, message);
                    self.state.set(Status::Down(error.clone()));
                    held.drain(..).for_each(|call| call.finish(Err(error.clone())));
                }
            }
        }
    }

    /// Answers calls for a while with why there is no connection. `None` when nobody can call any
    /// more.
    async fn pause(&self, pause: Duration, calls: &mut Calls) -> Option<()> {
        let mut over = std::pin::pin!(tokio::time::sleep(pause));
        loop {
            tokio::select! {
                biased;
                () = &mut over => return Some(()),
                call = calls.recv() => {
                    let call = call?;
                    if let Some(error) = self.state.down() {
                        call.finish(Err(error));
                    }
                }
            }
        }
    }

    /// Carries calls until the connection ends, and whether any was answered. All of this runs as
    /// one task, so that a call costs no hand-over between tasks: calls that are there at once are
    /// written at once.
    async fn serve(
        &self,
        connection: MultiplexedConnection,
        mut driver: Driver,
        held: Vec<Call>,
        calls: &mut Calls,
    ) -> (End, bool) {
        let carry = |call| self.carry(connection.clone(), call);
        let mut carried: FuturesUnordered<_> = held.into_iter().map(carry).collect();
        let mut answered = false;
        let end = loop {
            tokio::select! {
                biased;
                call = calls.recv() => match call {
                    Some(call) => carried.push(carry(call)),
                    None => break End::Closed,
                },
                Some(one) = carried.next() => match one {
                    Carried::Answered => answered = true,
                    Carried::Abandoned => {}
                    Carried::Broken => break End::HungUp,
                    Carried::Late => break End::Late,
                },
                () = &mut driver => break End::HungUp,
            }
        };
        // With the driver the socket is closed; with the rest, calls that are under way fail.
        drop(driver);
        (end, answered)
    }

    async fn carry(&self, mut connection: MultiplexedConnection, call: Call) -> Carried {
        if call.is_abandoned() {
            return Carried::Abandoned;
        }
        self.state.counts.round_trips.fetch_add(1, Ordering::Relaxed);
        let sent = connection.send_packed_commands(&call.commands, 0, call.commands.len());
        match timeout_at(Instant::from_std(call.deadline), sent).await {
            Ok(Ok(answers)) => {
                let is_demoted = answers.iter().any(fault::is_demotion);
                call.finish(Ok(answers));
                if is_demoted { Carried::Broken } else { Carried::Answered }
            }
            Ok(Err(error)) => {
                call.finish(Err(fault::broken(&self.dialer.place, &error)));
                Carried::Broken
            }
            Err(_) => {
                call.expire();
                Carried::Late
            }
        }
    }
}

/// At `moment`, or never.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
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
