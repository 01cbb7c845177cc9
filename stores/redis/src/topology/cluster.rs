//! What the nodes of a cluster say about it: which node owns which slots, and where a key is instead.
//! Independent of sockets.

use fragcache::store::StoreError;
use redis::{Pipeline, ServerError, Value};

use super::slots::{COUNT, NOBODY};
use crate::address::Place;
use crate::fault::{self, text};

/// What one node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The primaries, in order.
    pub(crate) nodes: Vec<Place>,
    /// The index of the node that owns each slot.
    pub(crate) owners: Vec<u16>,
    /// Whether the node says that the cluster works, and the number of its last change.
    rank: (bool, u64),
    pub(crate) replicas: Vec<Place>,
}

/// Where an operation is to be sent instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The slot belongs to another node now.
    Moved { slot: u16, place: Place },
    /// The key may have been moved to this node, and the slot is being moved.
    Ask { slot: u16, place: Place },
    /// Some keys of the command have been moved.
    Again,
}

/// The commands to ask a node.
pub(crate) fn question() -> Pipeline {
    let mut commands = redis::pipe();
    commands.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("INFO");
    commands
}

/// Decodes the answers of the node at `asked`.
pub(crate) fn layout(answers: &[Value], asked: &Place) -> Result<Layout, StoreError> {
    let nonsense = || fault::nonsense(asked);
    let (ranges, info) = match answers {
        [Value::ServerError(error), _] => {
            return Err(match error.code() {
                // "This instance has cluster support disabled".
                "ERR" => fault::no_cluster(asked),
                _ => fault::refusal(asked, error),
            });
        }
        [Value::Array(ranges), info] => (ranges, info),
        _ => return Err(nonsense()),
    };
    let mut found: Vec<(u16, u16, Place)> = Vec::new();
    let mut replicas = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { return Err(nonsense()) };
        let [Value::Int(first), Value::Int(last), primary, others @ ..] = range.as_slice() else {
            return Err(nonsense());
        };
        let slot =
            |number: i64| u16::try_from(number).ok().filter(|&slot| usize::from(slot) < COUNT);
        let (first, last) =
            slot(*first).zip(slot(*last)).filter(|(a, b)| a <= b).ok_or_else(nonsense)?;
        found.extend(node(primary, asked).map(|place| (first, last, place)));
        replicas.extend(others.iter().filter_map(|other| node(other, asked)));
    }
    let mut nodes: Vec<Place> = found.iter().map(|(.., place)| place.clone()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    replicas.sort_unstable();
    replicas.dedup();
    let mut owners = vec![NOBODY; COUNT];
    for (first, last, place) in found {
        let owner = nodes.binary_search(&place).ok().and_then(|at| u16::try_from(at).ok());
        owners[usize::from(first)..=usize::from(last)].fill(owner.ok_or_else(nonsense)?);
    }
    Ok(Layout { nodes, owners, rank: rank(info), replicas })
}

/// The address of a node in an answer to CLUSTER SLOTS.
fn node(node: &Value, asked: &Place) -> Option<Place> {
    let Value::Array(node) = node else { return None };
    let [host, Value::Int(port), rest @ ..] = node.as_slice() else { return None };
    let host = match text(host).unwrap_or_default() {
        // The node prefers names and has none.
        "?" => fault::told(rest.get(1)?, "ip")?,
        host => host,
    };
    place(host, u16::try_from(*port).ok()?, asked)
}

/// A node's address. Without a host, it is the one that was asked, at another port.
fn place(host: &str, port: u16, asked: &Place) -> Option<Place> {
    let host = match (host, asked) {
        ("", Place::Tcp { host, .. }) => host,
        #[cfg(unix)]
        ("", Place::Unix(_)) => return None,
        (host, _) => host,
    };
    (port != 0).then(|| Place::Tcp { host: host.to_owned(), port })
}

/// Whether the cluster works, and the number of its last change. A user without the right to CLUSTER
/// INFO gets no rank.
fn rank(info: &Value) -> (bool, u64) {
    let field = |name: &str| {
        let lines = text(info)?.lines();
        lines.filter_map(|line| line.split_once(':')).find(|(known, _)| *known == name)
    };
    let is_ok = field("cluster_state").is_none_or(|(_, state)| state == "ok");
    let epoch = field("cluster_current_epoch").and_then(|(_, epoch)| epoch.parse().ok());
    (is_ok, epoch.unwrap_or(0))
}

/// Of several nodes' layouts, the newest; of several such, the one that most nodes agree on.
pub(crate) fn newest(layouts: &[Layout]) -> Option<&Layout> {
    let votes = |one: &Layout| layouts.iter().filter(|other| other.owners == one.owners).count();
    layouts.iter().rev().max_by_key(|layout| (layout.rank, votes(layout)))
}

/// Where a node that refused an operation sends it, if it does. `asked` is that node.
pub(crate) fn redirect(error: &ServerError, asked: &Place) -> Option<Redirect> {
    if error.code() == "TRYAGAIN" {
        return Some(Redirect::Again);
    }
    let (slot, address) = error.details()?.split_once(' ')?;
    let slot: u16 = slot.parse().ok().filter(|&slot| usize::from(slot) < COUNT)?;
    let (host, port) = address.split_whitespace().next()?.rsplit_once(':')?;
    let place = place(host.trim_matches(['[', ']']), port.parse().ok()?, asked)?;
    match error.code() {
        "MOVED" => Some(Redirect::Moved { slot, place }),
        "ASK" => Some(Redirect::Ask { slot, place }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use fragcache::store::Fault;

    use super::*;

    fn at(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.into(), port }
    }

    fn string(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), string("id")])
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        let mut range = vec![Value::Int(first), Value::Int(last)];
        range.extend(nodes);
        Value::Array(range)
    }

    fn info(state: &str, epoch: u64) -> Value {
        string(&format!("cluster_state:{state}\r\ncluster_current_epoch:{epoch}\r\nx:1\r\n"))
    }

    #[test]
    fn a_layout_is_read_with_all_kinds_of_addresses() {
        let meta = Value::Array(vec![string("ip"), string("10.0.0.9")]);
        let nameless = Value::Array(vec![string("?"), Value::Int(4), string("id"), meta]);
        let slots = Value::Array(vec![
            range(0, 99, vec![node(string("b.example"), 1), node(string("10.0.0.1"), 2)]),
            range(100, 199, vec![node(Value::Nil, 3)]),
            range(200, 299, vec![nameless]),
            range(300, 399, vec![node(string("::1"), 5)]),
            range(400, 16_000, vec![node(string("b.example"), 1)]),
            range(16_001, 16_383, vec![node(string("?"), 6)]),
        ]);
        let layout = layout(&[slots, info("ok", 7)], &at("seed", 9)).unwrap();
        let nodes = [at("10.0.0.9", 4), at("::1", 5), at("b.example", 1), at("seed", 3)];
        assert_eq!(layout.nodes, nodes);
        assert_eq!(layout.replicas, [at("10.0.0.1", 2)]);
        let owners = [0, 100, 200, 300, 16_000, 16_001].map(|slot| layout.owners[slot]);
        assert_eq!(owners, [2, 3, 0, 1, 2, NOBODY]);
        assert_eq!(layout.rank, (true, 7));
    }

    #[test]
    fn what_is_no_layout_is_refused() {
        let asked = at("seed", 9);
        let wrong = [
            vec![],
            vec![Value::Okay, Value::Okay],
            vec![Value::Array(vec![Value::Int(1)]), Value::Nil],
            vec![Value::Array(vec![range(5, 4, vec![node(string("a"), 1)])]), Value::Nil],
            vec![Value::Array(vec![range(0, 16_384, vec![node(string("a"), 1)])]), Value::Nil],
            vec![Value::Array(vec![range(-1, 4, vec![node(string("a"), 1)])]), Value::Nil],
        ];
        for answers in wrong {
            let error = layout(&answers, &asked).unwrap_err();
            assert_eq!(error.fault(), Fault::Protocol, "{answers:?}");
        }
        let disabled = redis::parse_redis_value(b"-ERR cluster support disabled\r\n").unwrap();
        let error = layout(&[disabled, Value::Nil], &asked).unwrap_err();
        assert_eq!(error.fault(), Fault::Unusable);
        assert!(error.to_string().contains("write redis://"), "{error}");
    }

    #[test]
    fn the_newest_layout_wins_then_the_one_of_most() {
        let of = |host: &str, state, epoch| {
            let slots = Value::Array(vec![range(0, 16_383, vec![node(string(host), 1)])]);
            let mut found = layout(&[slots, info(state, epoch)], &at("seed", 9)).unwrap();
            // Tells the layouts apart by their owners too.
            found.owners.fill(u16::from(host.as_bytes()[0]));
            found
        };
        let chosen = |layouts: &[Layout]| newest(layouts).map(|layout| layout.nodes[0].clone());
        assert_eq!(chosen(&[]), None);
        let (a, b) = (of("a", "ok", 2), of("b", "ok", 3));
        assert_eq!(chosen(&[a.clone(), a.clone(), b.clone()]), Some(at("b", 1)));
        assert_eq!(chosen(&[of("c", "fail", 9), a]), Some(at("a", 1)));
        let c = of("c", "ok", 3);
        assert_eq!(chosen(&[b.clone(), c.clone(), c.clone()]), Some(at("c", 1)));
        assert_eq!(chosen(&[b, c]), Some(at("b", 1)));
    }

    #[test]
    fn redirects_name_a_node() {
        let asked = at("10.0.0.1", 1);
        let redirect = |line: &str| {
            let Value::ServerError(error) =
                redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap()
            else {
                panic!("{line} is no error")
            };
            redirect(&error, &asked)
        };
        let moved = |place| Some(Redirect::Moved { slot: 3999, place });
        assert_eq!(redirect("MOVED 3999 10.0.0.2:6381"), moved(at("10.0.0.2", 6381)));
        assert_eq!(redirect("MOVED 3999 ::1:6381"), moved(at("::1", 6381)));
        assert_eq!(redirect("MOVED 3999 [::1]:6381"), moved(at("::1", 6381)));
        assert_eq!(redirect("MOVED 3999 :6381"), moved(at("10.0.0.1", 6381)));
        let ask = Redirect::Ask { slot: 1, place: at("b.example", 2) };
        assert_eq!(redirect("ASK 1 b.example:2"), Some(ask));
        assert_eq!(redirect("TRYAGAIN Multiple keys request"), Some(Redirect::Again));
        for line in ["MOVED", "MOVED 1", "MOVED 16384 a:1", "MOVED 1 a:0", "ASK x a:1", "ERR 1 a:1"]
        {
            assert_eq!(redirect(line), None, "{line}");
        }
    }
}
