//! Replies that do not match the request: duplicated, swapped, lost, cut, torn,
//! replaced. A call gets its own reply or an error, and the next call is right.

use std::collections::BTreeMap;
use std::time::Duration;

use fragcache::store::{Fault, Operation, Reply, Store};
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{Flavour, Mutation, Proxy, RedisServer, eventually};

use super::support::{LONG, connected, fault, gauge, get, patient};

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_millis(500);

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// The possible values of each key: several after a write with an unknown outcome.
type Model = BTreeMap<&'static str, Vec<Option<Vec<u8>>>>;

/// An operation of a batch on a key.
#[derive(Debug, Clone, Copy)]
enum Act {
    Get,
    Set,
    Add,
    Delete,
}

fn operation<'a>(act: Act, key: &'a str, value: &'a [u8]) -> Operation<'a> {
    match act {
        Act::Get => Operation::Get { key },
        Act::Set => Operation::Set { key, value, ttl: LONG },
        Act::Add => Operation::Add { key, value, ttl: LONG },
        Act::Delete => Operation::Delete { key },
    }
}

/// The value of a key and the reply after this operation, given its value before.
fn after(act: Act, before: &Option<Vec<u8>>, value: &[u8]) -> (Option<Vec<u8>>, Reply) {
    match act {
        Act::Get => (before.clone(), Reply::Value(before.clone())),
        Act::Set => (Some(value.to_vec()), Reply::Done(true)),
        Act::Add => match before {
            None => (Some(value.to_vec()), Reply::Done(true)),
            Some(_) => (before.clone(), Reply::Done(false)),
        },
        Act::Delete => (None, Reply::Done(before.is_some())),
    }
}

/// Runs a batch with one operation per key. Its replies must be possible.
fn run(
    store: &RedisStore,
    model: &mut Model,
    acts: &[(Act, &'static str, Vec<u8>)],
) -> Result<(), Fault> {
    let operations: Vec<_> =
        acts.iter().map(|(act, key, value)| operation(*act, key, value)).collect();
    match store.run(&operations) {
        Ok(replies) => {
            for ((act, key, value), reply) in acts.iter().zip(replies) {
                let known = model.entry(key).or_insert_with(|| vec![None]);
                let possible = known.iter().map(|before| after(*act, before, value));
                let held: Vec<_> =
                    possible.filter(|(_, said)| *said == reply).map(|(held, _)| held).collect();
                assert!(!held.is_empty(), "{act:?} {key}: {reply:?} of {known:?}");
                *known = held;
            }
            Ok(())
        }
        Err(error) => {
            for (act, key, value) in acts {
                let known = model.entry(key).or_insert_with(|| vec![None]);
                let done: Vec<_> =
                    known.iter().map(|before| after(*act, before, value).0).collect();
                known.extend(done);
                known.dedup();
            }
            Err(error.fault())
        }
    }
}

fn any_batch(random: &mut fastrand::Rng) -> Vec<(Act, &'static str, Vec<u8>)> {
    let mut keys = KEYS.to_vec();
    random.shuffle(&mut keys);
    keys.truncate(random.usize(1..=KEYS.len()));
    let only_reads = random.bool();
    let act = |random: &mut fastrand::Rng| match random.usize(..4) {
        _ if only_reads => Act::Get,
        0 => Act::Get,
        1 => Act::Set,
        2 => Act::Add,
        _ => Act::Delete,
    };
    keys.into_iter()
        .map(|key| {
            let value = vec![random.u8(b'a'..=b'z'); random.usize(0..200)];
            (act(random), key, value)
        })
        .collect()
}

#[test]
fn after_an_answer_that_does_not_fit_the_next_call_is_right() {
    let mutations = [
        Mutation::Duplicated,
        Mutation::Swapped,
        Mutation::Dropped,
        Mutation::Cut(40),
        Mutation::Torn,
        Mutation::Replaced,
    ];
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let proxy = Proxy::start(server.port());
        let store = RedisOptions::new(proxy.url()).operation_timeout(DEADLINE).open().unwrap();
        connected(&store);
        let mut model = Model::new();
        let mut random = fastrand::Rng::with_seed(7);
        let (mut mutated, mut late) = (0, 0);
        for round in 0..300 {
            let batch = any_batch(&mut random);
            // The last reply ends the call; if it is missing, the call waits until the deadline.
            let mutation = random.choice(mutations).unwrap();
            let (before, connections) = (proxy.mutated(), gauge(&store, "reconnects"));
            proxy.mutate_once(random.usize(..3), mutation);
            let first = run(&store, &mut model, &batch);
            proxy.forget_once();
            mutated += proxy.mutated() - before;
            match first {
                // The call waits for the missing reply, as with a server that does not answer.
                Err(Fault::Deadline) => {
                    late += 1;
                    eventually("it has connected anew", || {
                        gauge(&store, "reconnects") > connections
                    });
                }
                Err(fault) => {
                    assert!(matches!(fault, Fault::Protocol | Fault::Unreachable), "{fault:?}");
                }
                Ok(()) => {}
            }
            let next = run(&store, &mut model, &any_batch(&mut random));
            assert_eq!(next, Ok(()), "round {round}, after {mutation:?}: {first:?}");
        }
        assert!(mutated > 150, "{mutated} answers were changed");
        assert!(late < 40, "{late} calls have waited in vain");
    }
}

#[test]
fn a_duplicated_answer_of_the_same_shape_is_noticed() {
    let server = RedisServer::start(Flavour::Redis);
    let proxy = Proxy::start(server.port());
    let store = patient(proxy.url()).open().unwrap();
    store.set("a", b"of a", LONG).unwrap();
    store.set("b", b"of b", LONG).unwrap();
    for _ in 0..20 {
        proxy.mutate_once(0, Mutation::Duplicated);
        assert_eq!(get(&store, "a").unwrap().unwrap(), b"of a");
        assert_eq!(get(&store, "b").unwrap().unwrap(), b"of b");
    }
    assert!(gauge(&store, "reconnects") >= 20);
}

#[test]
fn what_nobody_asked_for_ends_an_idle_connection() {
    // The echo arrives twice, and the call does not wait for the second one.
    let server = RedisServer::start(Flavour::Redis);
    let proxy = Proxy::start(server.port());
    let store = patient(proxy.url()).open().unwrap();
    store.set("a", b"x", LONG).unwrap();
    for _ in 0..20 {
        let before = gauge(&store, "reconnects");
        proxy.mutate_once(1, Mutation::Duplicated);
        get(&store, "a").unwrap();
        // A write is not retried, so it needs a connection that is in step.
        store.set("a", b"x", LONG).unwrap();
        eventually("it has connected anew", || gauge(&store, "reconnects") > before);
    }
}

#[test]
fn reads_outlive_their_connection() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let proxy = Proxy::start(server.port());
        let store = patient(proxy.url()).open().unwrap();
        store.set("a", b"x", LONG).unwrap();
        for _ in 0..20 {
            proxy.mutate_once(0, Mutation::Torn);
            assert_eq!(get(&store, "a").unwrap().unwrap(), b"x");
        }
        // The write may have been executed, so it is not retried.
        proxy.mutate_once(0, Mutation::Torn);
        assert_eq!(fault(store.set("a", b"y", LONG)).0, Fault::Unreachable);
    }
}
