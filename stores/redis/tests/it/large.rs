//! Large values: foreign ones, and ones that are slow to transfer. The fault of one
//! key affects only that key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fragcache::store::{Fault, Operation, Store};
use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{Flavour, Proxy, RedisServer, Way, eventually};

use super::support::{LONG, connected, fault, gauge, get, open, patient, plain};

/// A link of 100 Mb/s, in bytes per second.
const LINK: u64 = 12_500_000;

/// A store whose deadline is shorter than a large answer takes over [`LINK`]. Link and deadline are
/// ten times slower than usual, so that a busy machine does not miss the deadline.
fn behind(proxy: &Proxy) -> RedisStore {
    RedisOptions::new(proxy.url()).operation_timeout(Duration::from_millis(500)).open().unwrap()
}

/// A large value that the server creates itself.
fn plant(server: &RedisServer, key: &str, bytes: usize) {
    let mut command = redis::cmd("SETRANGE");
    let _: u64 = command.arg(key).arg(bytes - 1).arg("x").query(&mut plain(server)).unwrap();
}

#[test]
fn a_value_that_is_too_large_is_absent_and_no_other_key_is_hurt() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        let keys: Vec<String> = (0..10).map(|n| format!("key:{n}")).collect();
        keys.iter().for_each(|key| store.set(key, key.as_bytes(), LONG).unwrap());
        for large in ["large:1", "large:2"] {
            plant(&server, large, 20 << 20);
        }
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..4)
                .map(|n| {
                    let (store, is_over, key) = (&store, &is_over, &keys[n]);
                    scope.spawn(move || {
                        while !is_over.load(Ordering::SeqCst) {
                            assert_eq!(get(store, key).unwrap().unwrap(), key.as_bytes());
                        }
                    })
                })
                .collect();
            let end = End(&is_over);
            let mut asked: Vec<&str> = keys.iter().map(String::as_str).collect();
            asked.insert(3, "large:1");
            asked.insert(7, "large:2");
            for _ in 0..20 {
                let values = store.get_many(&asked).unwrap();
                for (key, value) in asked.iter().zip(values) {
                    let expected = (!key.starts_with("large")).then_some(key.as_bytes());
                    assert_eq!(value.as_deref(), expected, "{key}");
                }
            }
            drop(end);
            others.into_iter().for_each(|other| other.join().unwrap());
        });
        assert!(gauge(&store, "reconnects") <= 2, "each was begun to be read once");
        // A key known to be too large is measured first, also before a write.
        assert!(!store.add("large:1", b"new", LONG).unwrap());
        store.set("large:1", b"new", LONG).unwrap();
        assert_eq!(get(&store, "large:1").unwrap().unwrap(), b"new");
        // A value that another client made small is found.
        let mut beside = plain(&server);
        let _: () = redis::cmd("SET").arg("large:2").arg("small").query(&mut beside).unwrap();
        eventually("it is read", || get(&store, "large:2").unwrap().is_some());
    }
}

/// Ends a loop on drop, also after a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_batch_that_writes_fails_once_for_what_is_too_large() {
    let server = RedisServer::start(Flavour::Redis);
    let store = open(&server);
    plant(&server, "large", 20 << 20);
    let batch = [
        Operation::Add { key: "lease", value: b"mine", ttl: LONG },
        Operation::Get { key: "large" },
    ];
    let (kind, said) = fault(store.run(&batch));
    assert_eq!(kind, Fault::Protocol, "{said}");
    store.run(&batch).unwrap();
    assert_eq!(gauge(&store, "reconnects"), 1);
}

#[test]
fn a_record_that_is_too_large_is_replaced() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        // With the default deadline.
        let store = Arc::new(RedisStore::connect(&server.url()).unwrap());
        connected(&store);
        let cache = || {
            let level = FarLevel::shared(store.clone()).without_near();
            FragmentCache::builder().far(level).build().unwrap()
        };
        let renders = AtomicU64::new(0);
        let row = |cache: &FragmentCache, n: usize| {
            let body = || {
                renders.fetch_add(1, Ordering::SeqCst);
                format!("row {n}")
            };
            let row = Fragment::new(fragment_key!("row", n));
            assert_eq!(cache.render(&row, body).unwrap().to_string(), format!("row {n}"));
        };
        let first = cache();
        (0..20).for_each(|n| row(&first, n));
        eventually("all are stored", || {
            let before = renders.load(Ordering::SeqCst);
            (0..20).for_each(|n| row(&first, n));
            renders.load(Ordering::SeqCst) == before
        });
        let mut entries = store.scan("", None).unwrap().keys;
        entries.retain(|key| key.contains(":e:"));
        // The server itself takes longer than the deadline to report the length.
        plant(&server, &entries[0], 400 << 20);
        let whole_round = || {
            let before = renders.load(Ordering::SeqCst);
            (0..20).for_each(|n| row(&first, n));
            renders.load(Ordering::SeqCst) == before
        };
        eventually("everything is served from the store again", whole_round);
        let server_has = store.get_many(&[&entries[0]]).unwrap().remove(0);
        assert!(server_has.is_some_and(|record| record.len() < 1000));
    }
}

/// Stores values of this size under the keys.
fn fill(store: &RedisStore, keys: &[String], bytes: usize) {
    for key in keys {
        let value = [key.as_bytes(), &vec![b'.'; bytes - key.len()]].concat();
        store.set(key, &value, LONG).unwrap();
    }
}

#[track_caller]
fn assert_whole(keys: &[&str], values: &[Option<Vec<u8>>], bytes: usize) {
    assert_eq!(keys.len(), values.len());
    for (key, value) in keys.iter().zip(values) {
        let value = value.as_ref().unwrap();
        assert!(value.starts_with(key.as_bytes()) && value.len() == bytes, "{key}");
    }
}

#[test]
fn what_takes_longer_than_the_deadline_arrives_while_it_is_coming() {
    let server = RedisServer::start(Flavour::Redis);
    let patient = open(&server);
    let keys: Vec<String> = (0..513).map(|n| format!("page:{n}:")).collect();
    fill(&patient, &keys, 16 << 10);
    let large: Vec<String> = (0..64).map(|n| format!("large:{n}:")).collect();
    fill(&patient, &large, 400 << 10);
    let proxy = Proxy::start(server.port());
    let store = behind(&proxy);
    connected(&store);
    proxy.set(Way::Bandwidth(LINK));
    for (keys, bytes) in [(&keys, 16 << 10), (&large, 400 << 10)] {
        let asked: Vec<&str> = keys.iter().map(String::as_str).collect();
        let trips = gauge(&store, "round_trips");
        assert_whole(&asked, &store.get_many(&asked).unwrap(), bytes);
        let cold = gauge(&store, "round_trips") - trips;
        // After the sizes are known, other calls get their turn in between.
        assert_whole(&asked, &store.get_many(&asked).unwrap(), bytes);
        let warm = gauge(&store, "round_trips") - trips - cold;
        let parts = (keys.len() * bytes) as u64 >> 20;
        assert!(cold == 1 && warm >= parts, "{cold}, then {warm} round trips");
    }
    assert_eq!(gauge(&store, "deadlines_missed"), 0);
    assert_eq!(gauge(&store, "reconnects"), 0);
}

#[test]
fn small_values_arrive_beside_large_ones() {
    let server = RedisServer::start(Flavour::Redis);
    let keys: Vec<String> = (0..8).map(|n| format!("large:{n}:")).collect();
    let before = open(&server);
    fill(&before, &keys, 900 << 10);
    before.set("small", b"x", LONG).unwrap();
    let proxy = Proxy::start(server.port());
    let store = behind(&proxy);
    connected(&store);
    proxy.set(Way::Bandwidth(LINK));
    std::thread::scope(|scope| {
        let readers: Vec<_> = keys
            .iter()
            .map(|key| {
                let store = &store;
                scope.spawn(move || {
                    (0..5).for_each(|_| {
                        assert_whole(&[key], &store.get_many(&[key]).unwrap(), 900 << 10);
                    });
                })
            })
            .collect();
        for _ in 0..50 {
            assert_eq!(get(&store, "small").unwrap().unwrap(), b"x");
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_eq!(gauge(&store, "reconnects"), 0);
}

#[test]
fn what_arrives_too_slowly_is_no_outage() {
    let server = RedisServer::start(Flavour::Redis);
    let keys = ["large:".to_owned()];
    fill(&open(&server), &keys, 4 << 20);
    let proxy = Proxy::start(server.port());
    let limit = Duration::from_millis(200);
    let store = RedisOptions::new(proxy.url()).operation_timeout(limit).open().unwrap();
    connected(&store);
    proxy.set(Way::Bandwidth(1 << 20));
    let (kind, said) = fault(get(&store, &keys[0]));
    assert_eq!(kind, Fault::Slow, "{said}");
    // Other calls open a new connection.
    proxy.set(Way::Open);
    assert_eq!(get(&store, "absent").unwrap(), None);
    assert_eq!(get(&store, &keys[0]).unwrap().unwrap().len(), 4 << 20);
}

#[test]
fn values_may_be_bounded_closer() {
    let server = RedisServer::start(Flavour::Redis);
    let store = patient(server.url()).max_value_bytes(64 << 10).open().unwrap();
    store.set("a", &vec![1; 64 << 10], LONG).unwrap();
    assert_eq!(get(&store, "a").unwrap().unwrap().len(), 64 << 10);
    assert_eq!(fault(store.set("a", &vec![1; (64 << 10) + 1], LONG)).0, Fault::Refused);
    open(&server).set("a", &vec![1; (64 << 10) + 1], LONG).unwrap();
    assert!(get(&store, "a").unwrap().is_none());
    // Together they exceed the limit of one read, so they are read in parts.
    let keys: Vec<String> = (0..40).map(|n| format!("key:{n}:")).collect();
    fill(&open(&server), &keys, 60 << 10);
    let asked: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_whole(&asked, &store.get_many(&asked).unwrap(), 60 << 10);
    for bytes in [0, 1 << 10, 1 << 30] {
        assert!(RedisOptions::new("redis://localhost").max_value_bytes(bytes).open().is_err());
    }
}
