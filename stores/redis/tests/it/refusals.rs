//! Servers that answer with a refusal.

use fragcache::store::{Fault, Store};
use fragcache::{FarLevel, FragmentCache};
use fragcache_redis::RedisStore;
use fragcache_servers::{Flavour, RedisServer, Setup, eventually};
use fragcache_tower::CacheLayer;
use tower::ServiceExt;

use super::support::{LONG, SLACK, fault, get, open, patient, plain, timed};

#[track_caller]
fn refused_for(store: &RedisStore, expected: Fault, reason: &str) {
    for outcome in [get(store, "a").map(drop), store.set("a", b"x", LONG)] {
        let (kind, said) = fault(outcome);
        assert_eq!(kind, expected, "{said}");
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn passwords_are_checked() {
    for flavour in Flavour::ALL {
        let server = Setup::new(flavour).password("s@cret/ word").start();
        let by_setting = patient(server.url()).password("s@cret/ word").open().unwrap();
        by_setting.set("a", b"x", LONG).unwrap();
        let url = format!("redis://:s%40cret%2F%20word@127.0.0.1:{}", server.port());
        assert_eq!(get(&patient(url).open().unwrap(), "a").unwrap().unwrap(), b"x");

        refused_for(&open(&server), Fault::Unusable, "requires a password");
        let wrong = patient(server.url()).password("hunter2").open().unwrap();
        refused_for(&wrong, Fault::Unusable, "does not know this user, or the password is wrong");
    }
}

#[test]
fn a_password_that_the_server_does_not_want_is_refused_too() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = patient(server.url()).password("hunter2").open().unwrap();
        refused_for(&store, Fault::Unusable, "does not know this user, or the password is wrong");
    }
}

#[test]
fn a_user_may_do_what_the_server_lets_it() {
    for flavour in Flavour::ALL {
        let rules = "on >secret ~mine:* +mget +set +del +eval +echo";
        let server = Setup::new(flavour).user("me", rules).start();
        let store = patient(server.url()).user("me").password("secret").open().unwrap();
        store.set("mine:a", b"x", LONG).unwrap();
        assert_eq!(get(&store, "mine:a").unwrap().unwrap(), b"x");
        assert!(store.compare_and_delete("mine:a", b"x").unwrap());
        refused_for(&store, Fault::Refused, "does not permit this user");
        assert_eq!(fault(store.touch("mine:a", LONG)).0, Fault::Refused);
        // The connection is still usable.
        store.set("mine:a", b"x", LONG).unwrap();
    }
}

#[test]
fn replicas_are_not_asked() {
    for flavour in Flavour::ALL {
        let master = RedisServer::start(flavour);
        let replica = Setup::new(flavour).replica_of(&master).start();
        refused_for(&open(&replica), Fault::Unusable, "replica");
    }
}

#[test]
fn a_master_that_becomes_a_replica_takes_no_more_writes() {
    for flavour in Flavour::ALL {
        let master = RedisServer::start(flavour);
        let server = RedisServer::start(flavour);
        let store = open(&server);
        store.set("a", b"x", LONG).unwrap();
        let port = master.port().to_string();
        let _: () =
            redis::cmd("REPLICAOF").arg("127.0.0.1").arg(&port).query(&mut plain(&server)).unwrap();
        assert_eq!(fault(store.set("a", b"y", LONG)).0, Fault::Unusable);
        // Reads fail too: the connection on which a write was refused is discarded.
        eventually(
            "reads are refused",
            || matches!(get(&store, "a"), Err(e) if e.fault() == Fault::Unusable),
        );
        let _: () =
            redis::cmd("REPLICAOF").arg("NO").arg("ONE").query(&mut plain(&server)).unwrap();
        eventually("writes are taken again", || store.set("a", b"z", LONG).is_ok());
    }
}

#[test]
fn a_demoted_master_is_no_longer_read() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        store.set("a", b"old", LONG).unwrap();
        assert_eq!(get(&store, "a").unwrap().unwrap(), b"old");
        // Its new master cannot be reached. It has no newer data, and continues to answer.
        let mut beside = plain(&server);
        let mut answer_all = redis::cmd("CONFIG");
        let _: () = answer_all
            .arg("SET")
            .arg("replica-serve-stale-data")
            .arg("yes")
            .query(&mut beside)
            .unwrap();
        let _: () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").query(&mut beside).unwrap();
        let (reads, took) = timed(|| {
            let mut reads = 0;
            eventually("reads are refused", || {
                reads += 1;
                matches!(get(&store, "a"), Err(error) if error.fault() == Fault::Unusable)
            });
            reads
        });
        assert!(took < SLACK, "{reads} reads in {took:?}");
        let (kind, said) = fault(get(&store, "a"));
        assert_eq!(kind, Fault::Unusable);
        assert!(said.contains("is a replica"), "{said}");

        let _: () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query(&mut beside).unwrap();
        eventually("it is read again", || get(&store, "a").is_ok());
    }
}

#[test]
fn a_user_without_the_right_to_the_echo_is_told() {
    let rules = "on >secret ~* +mget +set +del +eval";
    let server = Setup::new(Flavour::Redis).user("me", rules).start();
    let store = patient(server.url()).user("me").password("secret").open().unwrap();
    refused_for(&store, Fault::Unusable, "does not permit this user");
}

#[test]
fn a_full_server_refuses_writes_and_still_reads() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        store.set("a", b"x", LONG).unwrap();
        let mut beside = plain(&server);
        let full: [&str; 6] = ["CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1"];
        let _: () = redis::cmd(full[0]).arg(&full[1..]).query(&mut beside).unwrap();
        for outcome in [store.set("b", b"x", LONG), store.add("b", b"x", LONG).map(drop)] {
            let (kind, said) = fault(outcome);
            assert_eq!(kind, Fault::Refused);
            assert!(said.contains("is full"), "{said}");
        }
        assert_eq!(get(&store, "a").unwrap().unwrap(), b"x");
        assert!(store.delete("a").unwrap());
    }
}

#[test]
fn a_server_that_evicts_takes_all_writes() {
    for flavour in Flavour::ALL {
        let server = Setup::new(flavour).maxmemory("3mb", "allkeys-lru").start();
        let store = open(&server);
        let value = vec![1; 50_000];
        for n in 0..200 {
            store.set(&format!("key:{n}"), &value, LONG).unwrap();
        }
        // The server selects the keys to evict from samples.
        let left = (0..200).filter(|n| get(&store, &format!("key:{n}")).unwrap().is_some());
        assert!(left.count() < 100);
        assert_eq!(get(&store, "key:199").unwrap().unwrap(), value);
    }
}

/// A store that refuses the login is reported as unavailable everywhere.
#[test]
fn a_store_that_takes_nobody_is_away_and_all_say_so() {
    for flavour in Flavour::ALL {
        let server = Setup::new(flavour).password("right").start();
        let store = patient(server.url()).password("wrong").open().unwrap();
        let cache = FragmentCache::builder().far(FarLevel::new(store)).build().unwrap();
        let error = cache.check_store().unwrap_err().to_string();
        assert!(error.contains("the password is wrong"), "{error}");
        eventually("it is left alone", || !cache.health().is_reachable);
        let said = cache.health().last_fault.unwrap();
        assert!(said.contains("the password is wrong"), "{said}");

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let layer = CacheLayer::new(&cache, "page").cache_status();
        let status = |path: &str| {
            let pages = axum::Router::new()
                .route("/{page}", axum::routing::get(|| async { "page" }))
                .layer(layer.clone());
            let request = http::Request::get(path).header("host", "localhost").body(String::new());
            let answer = runtime.block_on(pages.oneshot(request.unwrap())).unwrap();
            answer.headers()["cache-status"].to_str().unwrap().to_owned()
        };
        assert_eq!(status("/a"), "fragcache; fwd=miss; stored; detail=store");

        // Set the server's password to the configured one.
        let client = redis::Client::open(format!("redis://:right@127.0.0.1:{}", server.port()));
        let mut beside = client.unwrap().get_connection().unwrap();
        let mut change = redis::cmd("CONFIG");
        let _: () = change.arg("SET").arg("requirepass").arg("wrong").query(&mut beside).unwrap();
        eventually("it is asked again", || cache.health().is_reachable);
        cache.check_store().unwrap();
        assert_eq!(status("/b"), "fragcache; fwd=miss; stored");
    }
}
