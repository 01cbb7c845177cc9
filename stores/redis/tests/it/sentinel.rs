//! A master that three sentinels watch: the contract, a failover while one sentinel hangs, one on
//! request, passwords, and addresses of the wrong kind.

use std::time::Duration;

use fragcache::store::{Fault, Store};
use fragcache::{FarLevel, FragmentCache};
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{Flavour, RedisServer, Sentinels, eventually};

use super::conformance::keeps_in_full;
use super::support::{LONG, connected, fault, get, patient, timed};

#[test]
fn a_master_that_sentinels_name_keeps_the_contract() {
    let sentinels = Sentinels::start(Flavour::Redis);
    let url = sentinels.url();
    let open = move || patient(url.clone()).open().unwrap();
    keeps_in_full(open(), open);
    wrong_names_and_addresses_are_told(&sentinels);
}

fn wrong_names_and_addresses_are_told(sentinels: &Sentinels) {
    let url = sentinels.url();
    let wrong = patient(&url).sentinel_master("ship").open().unwrap();
    let (kind, said) = fault(get(&wrong, "a"));
    assert_eq!(kind, Fault::Unusable);
    assert_eq!(said, "the sentinels know no master `ship`: write shop");
    let cache = FragmentCache::builder().far(FarLevel::new(wrong)).build().unwrap();
    assert!(cache.check_store().unwrap_err().to_string().contains("write shop"));

    let without = url.replace("?master=shop", "");
    let said = RedisOptions::new(without).open().unwrap_err().to_string();
    assert!(said.contains("write ?master=name"), "{said}");

    let port = format!("redis://127.0.0.1:{}", sentinels.port(0));
    let (kind, said) = fault(get(&patient(port).open().unwrap(), "a"));
    assert_eq!(kind, Fault::Unusable);
    assert!(said.contains("is a Sentinel") && said.contains("redis-sentinel://"), "{said}");

    let server = format!("redis-sentinel://127.0.0.1:{}?master=shop", sentinels.server(0).port());
    let (kind, said) = fault(get(&patient(server).open().unwrap(), "a"));
    assert_eq!(kind, Fault::Unusable);
    assert!(said.contains("is no Sentinel: write redis://"), "{said}");
}

/// Opens a store with a deadline, and waits until it has found the master.
fn open(sentinels: &Sentinels) -> RedisStore {
    let options = RedisOptions::new(sentinels.url()).operation_timeout(Duration::from_millis(500));
    let store = options.open().unwrap();
    connected(&store);
    store
}

/// Waits until the store writes to this server.
fn writes_to(store: &RedisStore, server: &RedisServer) {
    eventually("the store writes to the new master", || {
        server.ask(&["ROLE"]).contains("master")
            && store.set("a", b"after", LONG).is_ok()
            && server.ask(&["GET", "a"]).contains("after")
    });
    assert_eq!(get(store, "a").unwrap().unwrap(), b"after");
}

#[test]
fn a_killed_master_is_replaced_while_a_sentinel_hangs() {
    for flavour in Flavour::ALL {
        let mut sentinels = Sentinels::start(flavour);
        sentinels.stop_sentinel(0);
        // The sentinel that hangs costs a new store no more than a moment.
        let (store, took) = timed(|| open(&sentinels));
        assert!(took < Duration::from_secs(1), "{took:?}");
        store.set("a", b"before", LONG).unwrap();
        sentinels.kill(0);
        let ((), took) = timed(|| writes_to(&store, sentinels.server(1)));
        assert!(took < Duration::from_secs(12), "{took:?}");
    }
}

#[test]
fn a_failover_on_request_moves_the_store() {
    let sentinels = Sentinels::start(Flavour::Redis);
    let store = open(&sentinels);
    store.set("a", b"before", LONG).unwrap();
    sentinels.fail_over();
    writes_to(&store, sentinels.server(1));
    // The former master lives, as a replica, and is not read.
    eventually("the former master is a replica", || {
        sentinels.server(0).ask(&["ROLE"]).contains("slave")
    });
    assert_eq!(get(&store, "a").unwrap().unwrap(), b"after");
}

#[test]
fn sentinels_have_a_password_of_their_own() {
    let sentinels = Sentinels::with_password(Flavour::Redis, Some("s3ntinel"));
    let store = patient(sentinels.url()).sentinel_password("s3ntinel").open().unwrap();
    store.set("a", b"x", LONG).unwrap();

    let without = patient(sentinels.url()).open().unwrap();
    let (kind, said) = fault(get(&without, "a"));
    assert_eq!(kind, Fault::Unusable);
    assert!(said.contains("requires a password"), "{said}");
    let wrong = patient(sentinels.url()).sentinel_password("hunter2").open().unwrap();
    let (kind, said) = fault(get(&wrong, "a"));
    assert_eq!(kind, Fault::Unusable);
    assert!(said.contains("the password is wrong") && !said.contains("hunter2"), "{said}");
}
