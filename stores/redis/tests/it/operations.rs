//! Each operation, alone and in batches, on both servers.

use std::time::Duration;

use fragcache::store::{Fault, Operation, Reply, Store};
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer};

use super::support::{LONG, fault, gauge, get, open, patient, plain};

#[test]
fn every_operation_does_what_the_contract_says() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        assert_eq!(get(&store, "a").unwrap(), None);
        store.set("a", b"one", LONG).unwrap();
        store.set("a", b"two", LONG).unwrap();
        assert_eq!(get(&store, "a").unwrap().unwrap(), b"two");
        assert!(!store.add("a", b"three", LONG).unwrap());
        assert!(store.add("b", b"", LONG).unwrap());
        let read = store.get_many(&["b", "missing", "a", "a"]).unwrap();
        let two = Some(b"two".to_vec());
        assert_eq!(read, [Some(Vec::new()), None, two.clone(), two]);
        assert!(!store.compare_and_delete("a", b"one").unwrap());
        assert!(store.compare_and_delete("a", b"two").unwrap());
        assert!(!store.compare_and_delete("a", b"two").unwrap());
        assert!(store.delete("b").unwrap());
        assert!(!store.delete("b").unwrap());
        assert!(!store.touch("b", LONG).unwrap());
        assert!(store.get_many(&[]).unwrap().is_empty());
    }
}

#[test]
fn lives_are_set_touched_and_over() {
    let server = RedisServer::start(Flavour::Redis);
    let store = open(&server);
    let mut beside = plain(&server);
    let mut left = |key: &str| -> i64 { redis::cmd("PTTL").arg(key).query(&mut beside).unwrap() };
    store.set("a", b"x", Duration::from_secs(100)).unwrap();
    assert!((90_000..=100_000).contains(&left("a")));
    assert!(store.touch("a", Duration::from_secs(1000)).unwrap());
    assert!((990_000..=1_000_000).contains(&left("a")));
    store.add("b", b"x", Duration::from_secs(50)).unwrap();
    assert!((40_000..=50_000).contains(&left("b")));
    store.set("c", b"x", Duration::MAX).unwrap();
    assert!(left("c") > 0);
    store.set("d", b"x", Duration::from_millis(1)).unwrap();
    fragcache_servers::eventually("the record is over", || get(&store, "d").unwrap().is_none());
}

#[test]
fn a_batch_is_one_round_trip_and_in_order() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        let before = gauge(&store, "round_trips");
        let replies = store.run(&[
            Operation::Get { key: "a" },
            Operation::Set { key: "a", value: b"1", ttl: LONG },
            Operation::Get { key: "a" },
            Operation::Get { key: "b" },
            Operation::Add { key: "a", value: b"2", ttl: LONG },
            Operation::Add { key: "b", value: b"3", ttl: LONG },
            Operation::CompareAndDelete { key: "b", expected: b"3" },
            Operation::Touch { key: "a", ttl: LONG },
            Operation::Delete { key: "a" },
            Operation::Get { key: "a" },
        ]);
        let expected = [
            Reply::Value(None),
            Reply::Done(true),
            Reply::Value(Some(b"1".to_vec())),
            Reply::Value(None),
            Reply::Done(false),
            Reply::Done(true),
            Reply::Done(true),
            Reply::Done(true),
            Reply::Done(true),
            Reply::Value(None),
        ];
        assert_eq!(replies.unwrap(), expected);
        assert_eq!(gauge(&store, "round_trips") - before, 1);
    }
}

#[test]
fn a_thousand_keys_are_read_in_one_round_trip() {
    let server = RedisServer::start(Flavour::Redis);
    let store = open(&server);
    let keys: Vec<_> = (0..1000).map(|n| format!("key:{n}")).collect();
    let sets: Vec<_> =
        keys.iter().map(|key| Operation::Set { key, value: key.as_bytes(), ttl: LONG }).collect();
    store.run(&sets).unwrap();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let values = store.get_many(&keys).unwrap();
    assert!(keys.iter().zip(&values).all(|(key, value)| value.as_deref() == Some(key.as_bytes())));
    assert_eq!(gauge(&store, "round_trips"), 2);
}

#[test]
fn any_bytes_come_back_and_what_is_too_large_is_refused() {
    let server = RedisServer::start(Flavour::Redis);
    let store = open(&server);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    store.set("a", &bytes, LONG).unwrap();
    assert_eq!(get(&store, "a").unwrap().unwrap(), bytes);
    assert!(store.compare_and_delete("a", &bytes).unwrap());

    let most = store.capabilities().max_value_bytes;
    store.set("a", &vec![7; most], LONG).unwrap();
    assert_eq!(get(&store, "a").unwrap().unwrap().len(), most);
    let (kind, said) = fault(store.set("a", &vec![7; most + 1], LONG));
    assert_eq!(kind, Fault::Refused, "{said}");
}

#[test]
fn scanning_finds_what_begins_with_the_prefix_and_nothing_else() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        let mut beside = plain(&server);
        for n in 0..1200 {
            store.set(&format!("mine:{n}"), b"x", LONG).unwrap();
        }
        for prefix in ["mine", "a*", "a?", "[a-b]", r"a\", "a^"] {
            let key = format!("{prefix}-1");
            let _: () = redis::cmd("SET").arg(key).arg("x").query(&mut beside).unwrap();
        }
        let _: () = redis::cmd("SET").arg(b"mine:\xff").arg("x").query(&mut beside).unwrap();
        let all = |prefix: &str| {
            let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = store.scan(prefix, cursor.as_deref()).unwrap();
                found.extend(page.keys);
                pages += 1;
                cursor = page.next;
                if cursor.is_none() {
                    found.sort();
                    found.dedup();
                    return (found, pages);
                }
            }
        };
        let (mine, pages) = all("mine:");
        assert_eq!(mine.len(), 1200);
        assert!(pages > 1);
        for prefix in ["a*", "a?", "[a-b]", r"a\", "a^"] {
            assert_eq!(all(prefix).0, [format!("{prefix}-1")]);
        }
        assert_eq!(fault(store.scan("mine:", Some("nonsense"))).0, Fault::Refused);
    }
}

#[test]
fn databases_are_apart() {
    let server = RedisServer::start(Flavour::Redis);
    let first = open(&server);
    let by_url = patient(format!("{}/3", server.url())).open().unwrap();
    let by_setting = patient(format!("{}/9", server.url())).database(3).open().unwrap();
    by_url.set("a", b"x", LONG).unwrap();
    assert_eq!(get(&first, "a").unwrap(), None);
    assert_eq!(get(&by_setting, "a").unwrap().unwrap(), b"x");

    let none = patient(server.url()).database(99).open().unwrap();
    let (kind, said) = fault(get(&none, "a"));
    assert_eq!(kind, Fault::Unusable);
    assert!(said.contains("no database 99"), "{said}");
}

#[test]
fn a_socket_in_the_file_system_is_a_server() {
    let server = RedisServer::start(Flavour::Redis);
    let url = server.unix_url();
    let store = patient(url.clone()).open().unwrap();
    store.set("a", b"x", LONG).unwrap();
    assert_eq!(get(&open(&server), "a").unwrap().unwrap(), b"x");
    let other = patient(format!("redis+{url}?db=5")).open().unwrap();
    assert_eq!(get(&other, "a").unwrap(), None);

    let absent = RedisOptions::new("unix:///nowhere/at/all").open().unwrap();
    assert_eq!(fault(get(&absent, "a")).0, Fault::Unreachable);
}

#[test]
fn a_key_of_another_type_is_absent_and_can_be_set() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        let mut beside = plain(&server);
        let _: () = redis::cmd("LPUSH").arg("list").arg("x").query(&mut beside).unwrap();
        assert_eq!(get(&store, "list").unwrap(), None);
        assert!(!store.compare_and_delete("list", b"x").unwrap());
        assert!(!store.add("list", b"y", LONG).unwrap());
        assert_eq!(get(&store, "list").unwrap(), None);
        store.set("list", b"y", LONG).unwrap();
        assert_eq!(get(&store, "list").unwrap().unwrap(), b"y");
    }
}

#[test]
fn everything_may_vanish() {
    let server = RedisServer::start(Flavour::Redis);
    let store = open(&server);
    store.set("a", b"x", LONG).unwrap();
    let mut beside = plain(&server);
    let _: () = redis::cmd("FLUSHALL").query(&mut beside).unwrap();
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut beside).unwrap();
    assert_eq!(get(&store, "a").unwrap(), None);
    store.set("a", b"x", LONG).unwrap();
    assert!(store.compare_and_delete("a", b"x").unwrap());
}
