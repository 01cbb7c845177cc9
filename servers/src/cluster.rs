//! A cluster of three primaries and three replicas.

use crate::process::{eventually, free_port};
use crate::program::Flavour;
use crate::redis::{RedisServer, Setup};

/// Number of primaries, and of replicas.
const PRIMARIES: usize = 3;

const SLOTS: usize = 16_384;

/// How long a node may be silent before the others replace it, in milliseconds.
const NODE_TIMEOUT: &str = "1000";

/// A cluster on loopback. Each primary has a third of the slots and one replica.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Starts the nodes, and waits until the cluster works and the replicas are filled.
    pub fn start(flavour: Flavour) -> Self {
        Self::with(flavour, |setup| setup)
    }

    /// Like [`start`](Self::start), with further settings for each node.
    pub fn with(flavour: Flavour, settings: impl Fn(Setup) -> Setup) -> Self {
        let start = |_| {
            let setup = Setup::new(flavour)
                .setting(["cluster-enabled", "yes"])
                .setting(["cluster-port", &free_port().to_string()])
                .setting(["cluster-node-timeout", NODE_TIMEOUT])
                .setting(["cluster-replica-validity-factor", "0"]);
            settings(setup).start()
        };
        let cluster = Self { nodes: (0..2 * PRIMARIES).map(start).collect() };
        for index in 0..2 * PRIMARIES {
            cluster.done(index, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
        }
        for index in 0..PRIMARIES {
            let first = (SLOTS * index / PRIMARIES).to_string();
            let last = (SLOTS * (index + 1) / PRIMARIES - 1).to_string();
            cluster.done(index, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        for node in &cluster.nodes[1..] {
            let (port, bus) = (node.port().to_string(), node.setting("cluster-port"));
            cluster.done(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        cluster.await_all(|info| {
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6")
        });
        for index in 0..PRIMARIES {
            let id = cluster.id(index);
            // A node replicates only a primary that it knows to be one.
            eventually("the replica takes its primary", || {
                cluster.ask(index + PRIMARIES, &["CLUSTER", "REPLICATE", &id]) == "+OK\r\n"
            });
        }
        for index in PRIMARIES..2 * PRIMARIES {
            eventually("the replica is filled", || {
                let info = cluster.ask(index, &["INFO", "replication"]);
                info.contains("master_link_status:up")
            });
        }
        cluster.await_all(|info| info.contains("cluster_state:ok"));
        eventually("all know the replicas", || {
            (0..2 * PRIMARIES).all(|index| {
                let nodes = cluster.ask(index, &["CLUSTER", "NODES"]);
                nodes.matches("slave").count() == PRIMARIES
            })
        });
        cluster
    }

    fn await_all(&self, met: impl Fn(&str) -> bool) {
        eventually("all nodes agree", || {
            (0..self.nodes.len()).all(|index| met(&self.ask(index, &["CLUSTER", "INFO"])))
        });
    }

    /// The reply of a node to a command, as it travels.
    pub fn ask(&self, index: usize, words: &[&str]) -> String {
        self.nodes[index].ask(words)
    }

    fn done(&self, index: usize, words: &[&str]) {
        let reply = self.ask(index, words);
        assert_eq!(reply, "+OK\r\n", "{words:?}");
    }

    /// The name of a node in the cluster.
    pub fn id(&self, index: usize) -> String {
        let reply = self.ask(index, &["CLUSTER", "MYID"]);
        reply.lines().nth(1).expect("a node has a name").to_owned()
    }

    /// A node. The first three began as primaries; the replica of each is three further on.
    pub fn node(&self, index: usize) -> &RedisServer {
        &self.nodes[index]
    }

    /// Kills a node, like a crash.
    pub fn kill(&mut self, index: usize) {
        self.nodes[index].kill();
    }

    /// The addresses of the primaries: `redis-cluster://127.0.0.1:…,…`.
    pub fn url(&self) -> String {
        let hosts = self.nodes[..PRIMARIES].iter().map(|node| format!("127.0.0.1:{}", node.port()));
        format!("redis-cluster://{}", hosts.collect::<Vec<_>>().join(","))
    }

    /// Moves a slot with its keys between two primaries, a few keys at a time. Calls `half_way`
    /// while some keys have moved and others have not.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize, mut half_way: impl FnMut()) {
        let (slot, port) = (slot.to_string(), self.nodes[to].port().to_string());
        let (source, target) = (self.id(from), self.id(to));
        self.done(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        self.done(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        loop {
            let keys = self.ask(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "2"]);
            let keys: Vec<&str> = keys.lines().skip(2).step_by(2).collect();
            if keys.is_empty() {
                break;
            }
            for key in keys {
                let reply = self.ask(from, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
                assert!(reply == "+OK\r\n" || reply == "+NOKEY\r\n", "{reply}");
            }
            half_way();
        }
        for index in [to, from] {
            self.done(index, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
    }
}
