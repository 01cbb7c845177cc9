//! A cluster of three primaries and three replicas: the contract, slots that move, a primary that is
//! killed, and addresses of the wrong kind.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fragcache::store::{Fault, Operation, Reply, Store};
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{Cluster, Flavour, RedisServer, eventually};

use super::conformance::keeps_in_full;
use super::support::{LONG, SLACK, fault, gauge, get, patient, timed};

/// Waits until the store knows the cluster.
fn connected(store: &RedisStore) {
    eventually("the store is connected", || gauge(store, "connected") == 3);
}

fn open(cluster: &Cluster) -> RedisStore {
    let store = patient(cluster.url()).open().unwrap();
    connected(&store);
    store
}

#[test]
fn a_cluster_keeps_the_contract() {
    let cluster = Cluster::start(Flavour::Redis);
    let url = cluster.url();
    keeps_in_full(open(&cluster), move || patient(url.clone()).open().unwrap());

    // The same cluster, and what is different from one server.
    let store = open(&cluster);
    reads_go_to_all_nodes_in_one_wave(&store);
    keys_of_all_nodes_are_listed(&store);
    the_wrong_kind_of_address_is_named(&cluster);
    a_node_that_hangs_holds_up_its_own_keys_only(&cluster);
}

fn reads_go_to_all_nodes_in_one_wave(store: &RedisStore) {
    let keys: Vec<String> = (0..100).map(|n| format!("wave:{n}")).collect();
    for key in &keys {
        store.set(key, key.as_bytes(), LONG).unwrap();
    }
    let before = gauge(store, "round_trips");
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let values = store.get_many(&names).unwrap();
    assert!(keys.iter().zip(&values).all(|(key, value)| value.as_deref() == Some(key.as_bytes())));
    assert_eq!(gauge(store, "round_trips") - before, 3, "one for each node");
}

fn keys_of_all_nodes_are_listed(store: &RedisStore) {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.scan("wave:", cursor.as_deref()).unwrap();
        found.extend(page.keys);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 100);
    for cursor in ["0", "x", "1-2", "1-x-0"] {
        assert_eq!(fault(store.scan("wave:", Some(cursor))).0, Fault::Refused, "{cursor}");
    }
    assert!(fault(store.scan("wave:", Some("99-0-0"))).1.contains("begin again"));
}

fn the_wrong_kind_of_address_is_named(cluster: &Cluster) {
    let store = patient(cluster.node(0).url()).open().unwrap();
    let (kind, said) = fault(get(&store, "a"));
    assert_eq!(kind, Fault::Unusable);
    assert!(said.contains("write redis-cluster://"), "{said}");

    let server = RedisServer::start(Flavour::Redis);
    let url = server.url().replace("redis://", "redis-cluster://");
    let (kind, said) = fault(get(&patient(url).open().unwrap(), "a"));
    assert_eq!(kind, Fault::Unusable);
    assert!(said.contains("is a single server and no cluster: write redis://"), "{said}");
}

fn a_node_that_hangs_holds_up_its_own_keys_only(cluster: &Cluster) {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let store = RedisOptions::new(cluster.url()).operation_timeout(TIMEOUT).open().unwrap();
    connected(&store);
    let keys: Vec<String> = (0..12).map(|n| format!("key:{n}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (hung, fine): (Vec<&str>, Vec<&str>) =
        names.iter().copied().partition(|key| owner_of(slot_of(cluster, key)) == 0);
    assert!(!hung.is_empty() && !fine.is_empty());
    let callers = 4;
    let (start, waiting) = (Barrier::new(callers + 1), AtomicU64::new(callers as u64));
    cluster.node(0).stop();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                start.wait();
                let (read, took) = timed(|| store.get_many(&names));
                waiting.fetch_sub(1, Ordering::Relaxed);
                fault(read);
                assert!(took < TIMEOUT + SLACK, "{took:?}");
            });
        }
        start.wait();
        // These callers have sent to the other nodes too, and do not read there yet.
        while waiting.load(Ordering::Relaxed) > 0 {
            for key in &fine {
                get(&store, key).unwrap();
            }
        }
    });
    cluster.node(0).cont();
    eventually("all keys are read again", || store.get_many(&names).is_ok());
}

#[test]
fn slots_move_under_load() {
    for flavour in Flavour::ALL {
        let cluster = Cluster::start(flavour);
        let store = open(&cluster);
        let (slot, ended, rounds) =
            (slot_of(&cluster, "{m}"), AtomicBool::new(false), AtomicU64::new(0));
        for n in 0..40 {
            store.set(&format!("{{m}}rest:{n}"), b"x", LONG).unwrap();
        }
        let from = owner_of(slot);
        let others: Vec<usize> = (0..3).filter(|&node| node != from).collect();
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (store, ended, rounds) = (&store, &ended, &rounds);
                scope.spawn(move || {
                    let keys = [format!("{{m}}a:{thread}"), format!("{{m}}b:{thread}")];
                    let other = format!("o:{thread}");
                    for n in 0_u64.. {
                        if ended.load(Ordering::Relaxed) {
                            break;
                        }
                        let value = n.to_be_bytes();
                        let expected = Some(value.to_vec());
                        for key in &keys {
                            store.set(key, &value, LONG).unwrap();
                        }
                        let read = store.get_many(&[&keys[0], &other, &keys[1]]).unwrap();
                        assert_eq!((&read[0], &read[2]), (&expected, &expected), "round {n}");
                        let later = (n + 1).to_be_bytes();
                        assert!(store.compare_and_set(&keys[0], &value, &later, LONG).unwrap());
                        assert!(store.delete(&keys[0]).unwrap());
                        assert!(store.add(&keys[0], &value, LONG).unwrap());
                        // The moving slot comes last, so no write can overtake it.
                        let batch = [
                            Operation::Set { key: &other, value: &value, ttl: LONG },
                            Operation::Set { key: &keys[1], value: &later, ttl: LONG },
                        ];
                        assert_eq!(store.run(&batch).unwrap(), vec![Reply::Done(true); 2]);
                        assert_eq!(get(store, &keys[1]).unwrap().unwrap(), later);
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let seen = || {
                // Each thread sees the slot half-way at least once.
                let before = rounds.load(Ordering::Relaxed);
                eventually("the load goes on", || rounds.load(Ordering::Relaxed) > before + 6);
            };
            let mut at = from;
            for to in [others[0], others[1], from] {
                let mut steps = 0;
                cluster.move_slot(slot, at, to, || {
                    steps += 1;
                    if steps < 4 {
                        seen();
                    }
                });
                seen();
                at = to;
            }
            ended.store(true, Ordering::Relaxed);
        });
        assert_eq!(gauge(&store, "reconnects"), 0);
    }
}

/// The slot of a key, as a node says.
fn slot_of(cluster: &Cluster, key: &str) -> u16 {
    let reply = cluster.ask(0, &["CLUSTER", "KEYSLOT", key]);
    reply.trim_start_matches(':').trim().parse().unwrap()
}

/// The primary that began with this slot.
fn owner_of(slot: u16) -> usize {
    usize::from(slot) * 3 / 16_384
}

#[test]
fn a_killed_primary_is_replaced_under_load() {
    for flavour in Flavour::ALL {
        let mut cluster = Cluster::start(flavour);
        let options = || {
            RedisOptions::new(cluster.url())
                .operation_timeout(Duration::from_millis(500))
                .connect_timeout(Duration::from_secs(2))
        };
        // The seed that is killed is the only one of the second store.
        let seed = cluster.node(0).url().replace("redis://", "redis-cluster://");
        let stores = [options().open().unwrap(), RedisOptions::new(seed).open().unwrap()];
        stores.iter().for_each(connected);
        let keys: Vec<String> = (0..12).map(|n| format!("key:{n}")).collect();
        let safe: Vec<&String> =
            keys.iter().filter(|key| owner_of(slot_of(&cluster, key)) != 0).collect();
        assert!((2..11).contains(&safe.len()), "{safe:?}");
        let ended = AtomicBool::new(false);
        let ((), took) = std::thread::scope(|scope| {
            // Keys of living nodes lose no acknowledged write.
            let load = scope.spawn(|| {
                let (store, mut failed) = (&stores[0], 0_u64);
                for n in 0_u64.. {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let value = n.to_be_bytes();
                    for key in &safe {
                        match store.set(key, &value, LONG).and_then(|()| get(store, key)) {
                            Ok(read) => assert_eq!(read, Some(value.to_vec()), "{key}"),
                            Err(_) => failed += 1,
                        }
                    }
                }
                failed
            });
            cluster.kill(0);
            let back = timed(|| {
                for store in &stores {
                    eventually("all keys can be written", || {
                        keys.iter()
                            .filter(|key| !safe.contains(key))
                            .all(|key| store.set(key, b"after", LONG).is_ok())
                    });
                }
            });
            ended.store(true, Ordering::Relaxed);
            load.join().unwrap();
            back
        });
        assert!(took < Duration::from_secs(12), "{took:?}");
        for store in &stores {
            connected(store);
            for key in keys.iter().filter(|key| !safe.contains(key)) {
                assert_eq!(get(store, key).unwrap().unwrap(), b"after");
            }
        }
    }
}
