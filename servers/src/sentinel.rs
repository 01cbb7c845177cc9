//! A master and a replica, watched by three sentinels.

use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::ask::ask;
use crate::process::{Process, eventually, free_port};
use crate::program::Flavour;
use crate::redis::{RedisServer, Setup};

const SENTINELS: usize = 3;

/// The name of the master.
const MASTER: &str = "shop";

/// Servers on loopback whose master, called `shop`, is replaced half a second after it is silent.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    port: u16,
    process: Process,
    _folder: TempDir,
}

impl Sentinels {
    /// Starts the servers and the sentinels, and waits until these know each other.
    pub fn start(flavour: Flavour) -> Self {
        Self::with_password(flavour, None)
    }

    /// Like [`start`](Self::start). The sentinels, and not the servers, ask for this password.
    pub fn with_password(flavour: Flavour, password: Option<&str>) -> Self {
        let master = RedisServer::start(flavour);
        let replica = Setup::new(flavour).replica_of(&master).start();
        eventually("the replica is filled", || {
            replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
        });
        let ports: Vec<u16> = (0..SENTINELS).map(|_| free_port()).collect();
        let mut sentinels = Vec::new();
        for (index, &port) in ports.iter().enumerate() {
            // They know each other and the replica from the start, and need not find them.
            let others = ports.iter().enumerate().filter(|&(other, _)| other != index);
            let mut lines = vec![
                format!("port {port}"),
                "bind 127.0.0.1".to_owned(),
                format!("sentinel myid {:040x}", index + 1),
                format!("sentinel monitor {MASTER} 127.0.0.1 {} 2", master.port()),
                format!("sentinel down-after-milliseconds {MASTER} 500"),
                format!("sentinel failover-timeout {MASTER} 3000"),
                format!("sentinel known-replica {MASTER} 127.0.0.1 {}", replica.port()),
            ];
            lines.extend(others.map(|(other, port)| {
                format!("sentinel known-sentinel {MASTER} 127.0.0.1 {port} {:040x}", other + 1)
            }));
            if let Some(password) = password {
                lines.push(format!("requirepass {password}"));
                lines.push(format!("sentinel sentinel-pass {password}"));
            }
            sentinels.push(Sentinel::start(flavour, port, &lines.join("\n")));
        }
        let all = Self { servers: vec![master, replica], sentinels };
        if password.is_none() {
            eventually("the sentinels agree", || {
                all.sentinels.iter().all(|sentinel| {
                    let quorum = ask(sentinel.port, &["SENTINEL", "CKQUORUM", MASTER]);
                    let replicas = ask(sentinel.port, &["SENTINEL", "REPLICAS", MASTER]);
                    quorum.contains("OK 3 usable")
                        && replicas.contains("master-link-status\r\n$2\r\nok")
                })
            });
        }
        all
    }

    /// The servers. The first began as the master.
    pub fn server(&self, index: usize) -> &RedisServer {
        &self.servers[index]
    }

    /// Kills a server, like a crash.
    pub fn kill(&mut self, index: usize) {
        self.servers[index].kill();
    }

    /// Suspends a sentinel; its sockets stay open.
    pub fn stop_sentinel(&self, index: usize) {
        self.sentinels[index].process.signal(Signal::STOP);
    }

    /// Has the sentinels make the replica the master, and the master a replica.
    pub fn fail_over(&self) {
        eventually("a sentinel begins the failover", || {
            ask(self.sentinels[0].port, &["SENTINEL", "FAILOVER", MASTER]) == "+OK\r\n"
        });
    }

    /// The port of a sentinel.
    pub fn port(&self, index: usize) -> u16 {
        self.sentinels[index].port
    }

    /// The sentinels' addresses: `redis-sentinel://127.0.0.1:…,…/?master=shop`.
    pub fn url(&self) -> String {
        let hosts = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port));
        let hosts: Vec<String> = hosts.collect();
        format!("redis-sentinel://{}/?master={MASTER}", hosts.join(","))
    }
}

impl Sentinel {
    fn start(flavour: Flavour, port: u16, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, log) = (folder.path().join("sentinel.conf"), folder.path().join("log"));
        std::fs::write(&file, settings).expect("the folder is ours");
        // The server's program is the sentinel too.
        let mut command = Command::new(flavour.program());
        command.arg(&file).arg("--sentinel").arg("--dir").arg(folder.path());
        command.arg("--logfile").arg(&log);
        let mut process = Process::start(&mut command);
        eventually("the sentinel answers", || {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(!process.has_ended(), "the sentinel has ended: {}", said());
            matches!(ask(port, &["PING"]).as_str(), "+PONG\r\n")
                || ask(port, &["PING"]).starts_with("-NOAUTH")
        });
        Self { port, process, _folder: folder }
    }
}
