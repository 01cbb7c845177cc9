//! Several servers: each has its own keys.

use std::time::Duration;

use fragcache::store::{Fault, Operation, Reply, Store};
use fragcache_memcached::MemcachedStore;
use fragcache_servers::{MemcachedServer, eventually};

use super::support::{LONG, fault, gauge, get, patient, say};

fn three() -> (Vec<MemcachedServer>, String) {
    let servers: Vec<_> = (0..3).map(|_| MemcachedServer::start()).collect();
    let addresses: Vec<_> = servers.iter().map(MemcachedServer::address).collect();
    (servers, addresses.join(","))
}

/// Of each server, a key that it has.
fn keys(servers: &[MemcachedServer], store: &MemcachedStore) -> Vec<String> {
    let mut found = vec![None; servers.len()];
    for n in 0.. {
        let key = format!("key:{n}");
        store.set(&key, b"x", LONG).unwrap();
        let has = servers.iter().position(|server| say(server, &format!("mg {key}")) == "HD");
        found[has.unwrap()].get_or_insert(key);
        if let Some(keys) = found.iter().cloned().collect() {
            return keys;
        }
    }
    unreachable!()
}

#[test]
fn the_order_of_the_list_does_not_matter() {
    let (servers, addresses) = three();
    let store = patient(format!("memcached://{addresses}")).open().unwrap();
    let turned: Vec<_> = addresses.rsplit(',').collect();
    let other = patient(format!("memcached://{}", turned.join(","))).open().unwrap();
    for key in keys(&servers, &store) {
        assert_eq!(get(&other, &key).unwrap().unwrap(), b"x");
    }
}

#[test]
fn reads_are_sent_to_all_servers_and_changes_in_order() {
    let (servers, addresses) = three();
    let store = patient(format!("memcached://{addresses}")).open().unwrap();
    let keys = keys(&servers, &store);
    let [a, b, c] = keys.each_ref_of_three();
    let trips = |operations: &[Operation<'_>]| {
        let before = gauge(&store, "round_trips");
        let replies = store.run(operations).unwrap();
        (replies, gauge(&store, "round_trips") - before)
    };
    let get = |key| Operation::Get { key };
    let (replies, count) = trips(&[get(a), get(b), get(c), get(a), get(b), get(c)]);
    assert_eq!(replies, vec![Reply::Value(Some(b"x".to_vec())); 6]);
    assert_eq!(count, 3, "one for each server");
    let set = |key| Operation::Set { key, value: b"y", ttl: LONG };
    let (replies, count) = trips(&[set(a), get(a), set(b), set(b), get(c), get(a)]);
    assert_eq!(count, 4);
    assert_eq!(replies[1], Reply::Value(Some(b"y".to_vec())));
    assert_eq!(replies[4], Reply::Value(Some(b"x".to_vec())));
    // What fails stops what follows it on other servers.
    servers[1].stop();
    let hasty =
        patient(format!("memcached://{addresses}")).operation_timeout(Duration::from_millis(100));
    let hasty = hasty.open().unwrap();
    eventually("there are connections", || hasty.get_many(&[a, c]).is_ok());
    assert!(hasty.run(&[set(b), Operation::Delete { key: c }]).is_err());
    assert!(hasty.get_many(&[c]).unwrap()[0].is_some());
    servers[1].cont();
}

#[test]
fn a_server_that_is_away_keeps_its_keys() {
    let (mut servers, addresses) = three();
    let store = patient(format!("memcached://{addresses}")).open().unwrap();
    let keys = keys(&servers, &store);
    servers[0].kill();
    eventually(
        "it is known to be away",
        || matches!(get(&store, &keys[0]), Err(error) if error.to_string().contains("nothing listens")),
    );
    assert_eq!(fault(store.set(&keys[0], b"y", LONG)).0, Fault::Unreachable);
    assert_eq!(gauge(&store, "connected"), 0);
    for key in &keys[1..] {
        assert_eq!(get(&store, key).unwrap().unwrap(), b"x");
    }
    // A read of all fails as a whole, and the connections of the others stay in step.
    assert!(store.get_many(&[&keys[0], &keys[1], &keys[2]]).is_err());
    assert_eq!(get(&store, &keys[1]).unwrap().unwrap(), b"x");
    servers[0].restart();
    eventually("it is used again", || get(&store, &keys[0]).is_ok());
    assert_eq!(get(&store, &keys[0]).unwrap(), None, "it has lost all");
}

/// Three keys by name.
trait Three {
    fn each_ref_of_three(&self) -> [&str; 3];
}

impl Three for Vec<String> {
    fn each_ref_of_three(&self) -> [&str; 3] {
        [&self[0], &self[1], &self[2]]
    }
}
