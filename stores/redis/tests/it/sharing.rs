//! Many callers on one store: threads, runtimes, and the drop of the store.

use std::sync::Arc;

use fragcache::store::Store;
use fragcache_redis::RedisStore;
use fragcache_servers::{Flavour, RedisServer, eventually};

use super::support::{LONG, gauge, get, open, plain};

#[test]
fn calls_of_many_threads_are_each_answered_their_own() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..200 {
                        let key = format!("{thread}:{n}");
                        store.set(&key, key.as_bytes(), LONG).unwrap();
                        let values = store.get_many(&[&key, "absent", &key]).unwrap();
                        let mine = Some(key.into_bytes());
                        assert_eq!(values, [mine.clone(), None, mine]);
                    }
                });
            }
        });
        assert_eq!(gauge(&store, "round_trips"), 8 * 400);
        assert_eq!(gauge(&store, "reconnects"), 0);
    }
}

#[test]
fn calls_that_wait_together_are_sent_together() {
    let server = RedisServer::start(Flavour::Redis);
    let store = open(&server);
    store.set("a", b"x", LONG).unwrap();
    server.stop();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| get(&store, "a"))).collect();
        // All of them are sent, although none is answered.
        eventually("all are sent", || gauge(&store, "round_trips") == 9);
        server.cont();
        for caller in callers {
            assert_eq!(caller.join().unwrap().unwrap().unwrap(), b"x");
        }
    });
}

#[test]
fn a_runtime_is_no_obstacle() {
    let server = RedisServer::start(Flavour::Redis);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = runtime.block_on(async {
        let store = open(&server);
        store.set("a", b"x", LONG).unwrap();
        assert_eq!(get(&store, "a").unwrap().unwrap(), b"x");
        let store = Arc::new(store);
        let same = Arc::clone(&store);
        let spawned = tokio::spawn(async move { get(&same, "a") });
        assert_eq!(spawned.await.unwrap().unwrap().unwrap(), b"x");
        store
    });
    drop(runtime);
    assert_eq!(get(&store, "a").unwrap().unwrap(), b"x");
    // Dropped within another runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async move { drop(store) });
}

#[test]
fn a_dropped_store_leaves_no_connection() {
    let server = RedisServer::start(Flavour::Redis);
    let mut beside = plain(&server);
    let mut clients = || -> usize {
        let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut beside).unwrap();
        list.lines().count()
    };
    let stores: Vec<RedisStore> = (0..3).map(|_| open(&server)).collect();
    stores.iter().for_each(|store| store.set("a", b"x", LONG).unwrap());
    assert_eq!(clients(), 4);
    drop(stores);
    eventually("only this connection is left", || clients() == 1);
}
