//! What each operation sends, and in how many round trips.

use std::time::Duration;

use fragcache::store::{Fault, Operation, Reply, Store};
use fragcache_servers::MemcachedServer;

use super::support::{LONG, fault, gauge, get, open, say};

#[test]
fn a_batch_is_one_round_trip_and_a_comparison_one_more() {
    let server = MemcachedServer::start();
    let store = open(&server);
    store.set("lease", b"mine", LONG).unwrap();
    let trips = |operations: &[Operation<'_>]| {
        let before = gauge(&store, "round_trips");
        let replies = store.run(operations).unwrap();
        (replies, gauge(&store, "round_trips") - before)
    };
    let keys: Vec<String> = (0..100).map(|n| format!("key:{n}")).collect();
    let sets: Vec<_> =
        keys.iter().map(|key| Operation::Set { key, value: b"x", ttl: LONG }).collect();
    assert_eq!(trips(&sets).1, 1);
    let gets: Vec<_> = keys.iter().map(|key| Operation::Get { key }).collect();
    let (replies, count) = trips(&gets);
    assert_eq!(count, 1);
    assert_eq!(replies, vec![Reply::Value(Some(b"x".to_vec())); 100]);

    let release = Operation::CompareAndDelete { key: "lease", expected: b"mine" };
    let (replies, count) = trips(&[gets[0], release, Operation::Get { key: "lease" }]);
    assert_eq!(count, 2);
    assert_eq!(replies[1..], [Reply::Done(true), Reply::Value(None)]);
    // One that does not hold needs no second, unless something follows.
    let (replies, count) = trips(&[release]);
    assert_eq!((replies, count), (vec![Reply::Done(false)], 1));
}

#[test]
fn a_comparison_sees_what_comes_before_it_and_is_done_before_what_follows() {
    let server = MemcachedServer::start();
    let store = open(&server);
    let (key, ttl) = ("k", LONG);
    let replies = store.run(&[
        Operation::Set { key, value: b"1", ttl },
        Operation::CompareAndSet { key, expected: b"1", value: b"2", ttl },
        Operation::Get { key },
        Operation::CompareAndSet { key, expected: b"1", value: b"3", ttl },
        Operation::CompareAndDelete { key, expected: b"2" },
        Operation::Add { key, value: b"4", ttl },
    ]);
    let done = Reply::Done(true);
    assert_eq!(
        replies.unwrap(),
        [
            done.clone(),
            done.clone(),
            Reply::Value(Some(b"2".to_vec())),
            Reply::Done(false),
            done.clone(),
            done
        ]
    );
    assert_eq!(get(&store, key).unwrap().unwrap(), b"4");
}

#[test]
fn ttls_are_those_that_the_server_shows() {
    let server = MemcachedServer::start();
    let store = open(&server);
    let left = |key: &str| -> u64 {
        let said = say(&server, &format!("mg {key} t"));
        said.strip_prefix("HD t").unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    };
    let day = 24 * 3600;
    for days in [1, 29, 30, 31, 365, 4000] {
        let seconds = days * day;
        store.set("k", b"x", Duration::from_secs(seconds)).unwrap();
        assert!((seconds - 2..=seconds + 1).contains(&left("k")), "{days} days: {}", left("k"));
        assert!(store.touch("k", Duration::from_secs(seconds + day)).unwrap());
        let wanted = seconds + day;
        assert!((wanted - 2..=wanted + 1).contains(&left("k")), "{days} days: {}", left("k"));
    }
    store.set("k", b"x", Duration::MAX).unwrap();
    assert!(left("k") > 4000 * day);
}

#[test]
fn keys_that_would_be_commands_are_not_sent() {
    let server = MemcachedServer::start();
    let store = open(&server);
    let long = "k".repeat(201);
    for key in ["", "a b", "a\r\nflush_all", "a\0", "ä", &long] {
        assert_eq!(fault(store.set(key, b"x", LONG)).0, Fault::Refused, "{key:?}");
        assert_eq!(fault(get(&store, key)).0, Fault::Refused, "{key:?}");
    }
    assert!(!fault(get(&store, "secret key")).1.contains("secret"));
}

#[test]
fn records_of_other_clients_are_read_as_they_are() {
    let server = MemcachedServer::start();
    let store = open(&server);
    assert_eq!(say(&server, "ms other 3 F77 T100\r\nabc"), "HD");
    assert_eq!(get(&store, "other").unwrap().unwrap(), b"abc");
    // One that says to be the head of a large value, and is none: a miss, and the key is free.
    assert_eq!(say(&server, "ms other 3 F1 T100\r\nabc"), "HD");
    assert_eq!(get(&store, "other").unwrap(), None);
    assert!(store.add("other", b"mine", LONG).unwrap());
}
