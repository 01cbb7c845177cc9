//! Child processes of the running program, controlled over a pipe. What they do is
//! in the modules that start them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// The variable with the child's arguments, one per line.
const GIVEN: &str = "FRAGCACHE_PROCESS";

/// Prefix of a child's answers, because its program may print other lines too.
const MARK: &str = "told: ";

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A child process. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    to: ChildStdin,
    from: Receiver<String>,
}

impl Process {
    /// Starts this program with `arguments`, which must lead it to [`given`].
    pub(crate) fn start(arguments: &[&str], given: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).env(GIVEN, given.join("\n"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, from) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some((_, told)) = line.split_once(MARK) {
                    let _ = send.send(told.to_owned());
                }
            }
        });
        Self { child, to, from }
    }

    pub(crate) fn tell(&mut self, order: &str) {
        writeln!(self.to, "{order}").unwrap();
    }

    pub(crate) fn hear(&mut self) -> String {
        self.from.recv_timeout(PATIENCE).expect("the process tells something")
    }

    /// The child's next answer, if there is one.
    #[allow(dead_code, reason = "the bench waits for each answer")]
    pub(crate) fn heard(&mut self) -> Option<String> {
        match self.from.try_recv() {
            Ok(told) => Some(told),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("the process has ended"),
        }
    }

    #[allow(dead_code, reason = "the bench tells and hears by itself")]
    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.hear()
    }

    /// Sends a signal by name.
    #[allow(dead_code, reason = "the bench stops nobody")]
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Kills it immediately.
    #[allow(dead_code, reason = "the bench kills nobody")]
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child process: its arguments.
pub(crate) fn given() -> Option<Vec<String>> {
    let given = std::env::var(GIVEN).ok()?;
    Some(given.lines().map(str::to_owned).collect())
}

/// In a child process: the commands, until the parent closes the pipe.
pub(crate) fn orders() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map_while(Result::ok)
}

/// In a child process: sends an answer to the parent.
#[allow(clippy::print_stdout, reason = "the other process reads it")]
pub(crate) fn answer(told: &str) {
    println!("{MARK}{told}");
    std::io::stdout().flush().unwrap();
}
