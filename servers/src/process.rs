//! Server processes and waiting for conditions.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// A process that is killed when its value is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(started.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id().cast_signed()).expect("a process has a number");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Suspends the process, and waits until all its threads are.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let pid = Pid::from_raw(self.0.id().cast_signed());
        waitpid(pid, WaitOptions::UNTRACED).expect("the process is there");
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("the process is ours").is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This also ends a stopped process.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A loopback port that is free at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Waits until `met` returns true, polling every few milliseconds.
///
/// # Panics
///
/// Panics if `what` has not become true after 20 s.
#[allow(clippy::disallowed_methods, reason = "servers live in real time")]
pub fn eventually(what: &str, mut met: impl FnMut() -> bool) {
    let start = Instant::now();
    while !met() {
        assert!(start.elapsed() < Duration::from_secs(20), "in 20 s not so: {what}");
        std::thread::park_timeout(Duration::from_millis(3));
    }
}
