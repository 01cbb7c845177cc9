//! Values larger than the server's items, and servers without room.

use std::time::Duration;

use fragcache::store::{Fault, Operation, Reply, Store};
use fragcache_servers::{MemcachedServer, MemcachedSetup, eventually, memcached_keys};

use super::support::{LONG, fault, gauge, get, open, say};

fn value(bytes: usize, salt: usize) -> Vec<u8> {
    (0..bytes).map(|n| u8::try_from((n + salt) % 251).unwrap()).collect()
}

/// The keys of the parts in the server, of which there must be this many. Its listing skips what it
/// is busy with.
fn parts(server: &MemcachedServer, count: usize) -> Vec<String> {
    let mut parts = Vec::new();
    eventually("the parts are listed", || {
        let keys = memcached_keys(&server.address()).into_iter();
        parts = keys.filter(|key| key.starts_with("fragcache.part:")).collect();
        parts.len() == count
    });
    parts
}

#[test]
fn large_values_are_whole_or_absent() {
    let server = MemcachedServer::start();
    let store = open(&server);
    let (first, second) = (value(3 << 20, 0), value((3 << 20) + 1, 7));
    store.set("k", &first, LONG).unwrap();
    assert!(get(&store, "k").unwrap().unwrap() == first);
    // A little more than 3 MiB with the overhead of items.
    parts(&server, 4);
    assert!(!store.add("k", &second, LONG).unwrap());
    assert!(get(&store, "k").unwrap().unwrap() == first);
    assert!(!store.compare_and_set("k", &second, b"x", LONG).unwrap());
    assert!(store.compare_and_set("k", &first, &second, LONG).unwrap());
    assert!(get(&store, "k").unwrap().unwrap() == second);

    // The values of a batch are those of their moment.
    let replies = store.run(&[
        Operation::Get { key: "k" },
        Operation::Set { key: "k", value: b"small", ttl: LONG },
        Operation::Get { key: "k" },
    ]);
    let replies = replies.unwrap();
    assert!(replies[0] == Reply::Value(Some(second)));
    assert_eq!(replies[2], Reply::Value(Some(b"small".to_vec())));

    store.set("k", &first, LONG).unwrap();
    assert!(store.compare_and_delete("k", &first).unwrap());
    assert_eq!(get(&store, "k").unwrap(), None);
}

#[test]
fn a_value_with_a_missing_or_foreign_part_is_a_miss() {
    let large = value(2 << 20, 3);
    for spoil in ["md {}", "ms {} 3 F2 T100\r\nabc", "ms {} 3 F0 T100\r\nabc"] {
        let server = MemcachedServer::start();
        let store = open(&server);
        store.set("k", &large, LONG).unwrap();
        let known = parts(&server, 3);
        assert!(get(&store, "k").unwrap().unwrap() == large);
        for part in &known {
            say(&server, &spoil.replace("{}", part));
        }
        assert_eq!(get(&store, "k").unwrap(), None, "{spoil}");
        // The key is free for others.
        assert!(store.add("k", b"new", LONG).unwrap(), "{spoil}");
        assert!(!store.compare_and_delete("k", &large).unwrap());
    }
}

#[test]
fn touching_a_large_value_extends_all_of_it() {
    let server = MemcachedServer::start();
    let store = open(&server);
    store.set("k", &value(2 << 20, 3), Duration::from_secs(5)).unwrap();
    assert!(store.touch("k", LONG).unwrap());
    let parts = parts(&server, 3);
    for key in parts.iter().map(String::as_str).chain(["k"]) {
        let left = say(&server, &format!("mg {key} t"));
        let left: u64 = left.strip_prefix("HD t").unwrap().parse().unwrap();
        assert!(left > 590, "{key}: {left}");
    }
}

#[test]
fn many_reads_and_large_writes_do_not_wait_for_each_other() {
    let server = MemcachedSetup::new().arguments(["-m", "256"]).start();
    let store = open(&server);
    let large = value(400 << 10, 1);
    let keys: Vec<String> = (0..30).map(|n| format!("k:{n}")).collect();
    let pairs = keys
        .iter()
        .flat_map(|key| [Operation::Get { key }, Operation::Set { key, value: &large, ttl: LONG }]);
    let operations: Vec<_> = pairs.collect();
    for round in 0..2 {
        let replies = store.run(&operations).unwrap();
        let found = replies.iter().filter(|reply| matches!(reply, Reply::Value(Some(_)))).count();
        assert_eq!(found, if round == 0 { 0 } else { 30 });
    }
}

#[test]
fn a_full_server_that_evicts_nothing_refuses_and_the_connection_stays() {
    let server = MemcachedSetup::new().arguments(["-m", "8", "-M"]).start();
    let store = open(&server);
    store.set("small", b"x", LONG).unwrap();
    let large = value(900 << 10, 1);
    let refused = (0..20).find_map(|n| store.set(&format!("k:{n}"), &large, LONG).err());
    let (kind, said) = fault(refused.map_or(Ok(()), Err));
    assert_eq!(kind, Fault::Refused);
    assert!(said.contains("write") || said.contains("more memory (-m)"), "{said}");
    assert_eq!(get(&store, "small").unwrap().unwrap(), b"x");
    assert_eq!(gauge(&store, "connects"), 1);
}

#[test]
fn a_full_server_that_evicts_takes_all_writes() {
    let server = MemcachedSetup::new().arguments(["-m", "8"]).start();
    let store = open(&server);
    let value = value(100_000, 0);
    for n in 0..200 {
        store.set(&format!("k:{n}"), &value, LONG).unwrap();
    }
    assert_eq!(get(&store, "k:0").unwrap(), None);
    assert!(get(&store, "k:199").unwrap().unwrap() == value);
}
