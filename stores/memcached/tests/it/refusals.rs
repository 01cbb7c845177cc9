//! Servers that refuse, are something else, or are set up so that they cannot be used.

use fragcache::store::{Fault, Store};
use fragcache::{FarLevel, FragmentCache};
use fragcache_memcached::MemcachedStore;
use fragcache_servers::{Flavour, MemcachedServer, MemcachedSetup, RedisServer, eventually};

use super::support::{LONG, fault, get, open, patient};

#[track_caller]
fn refused_for(store: &MemcachedStore, expected: Fault, reason: &str) {
    for outcome in [get(store, "a").map(drop), store.set("a", b"x", LONG)] {
        let (kind, said) = fault(outcome);
        assert_eq!(kind, expected, "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn users_and_passwords_are_checked() {
    let server = MemcachedSetup::new().user("me", "s@cret/word").start();
    let by_setting = patient(server.url()).user("me").password("s@cret/word").open().unwrap();
    by_setting.set("a", b"x", LONG).unwrap();
    let url = format!("memcached://me:s%40cret%2Fword@{}", server.address());
    assert_eq!(get(&patient(url).open().unwrap(), "a").unwrap().unwrap(), b"x");

    refused_for(&open(&server), Fault::Unusable, "requires a password: write user and password");
    for user in ["me", "you"] {
        let wrong = patient(server.url()).user(user).password("hunter2").open().unwrap();
        refused_for(&wrong, Fault::Unusable, "does not know this user, or the password is wrong");
    }
}

#[test]
fn a_password_that_the_server_does_not_want_is_not_sent() {
    let server = MemcachedServer::start();
    let store = patient(server.url()).user("me").password("hunter2").open().unwrap();
    refused_for(&store, Fault::Unusable, "wants no password");
    // It would have become a record.
    assert_eq!(get(&open(&server), "fragcache").unwrap(), None);
}

#[test]
fn a_user_without_a_password_is_refused_when_opening() {
    for options in [patient("memcached://me@a"), patient("memcached://a").password("hunter2")] {
        let error = options.open().unwrap_err().to_string();
        assert!(error.contains("write one") && !error.contains("hunter2"), "{error}");
    }
    let options = patient("memcached://a").user("me\r\nflush_all").password("x");
    assert!(options.open().unwrap_err().to_string().contains("characters"));
}

#[test]
fn a_server_whose_items_are_too_small_says_what_to_write() {
    let server = MemcachedSetup::new().item_size(8).start();
    refused_for(&open(&server), Fault::Unusable, "-I 1m");
}

#[test]
fn a_server_without_numbers_to_compare_says_what_to_write() {
    let server = MemcachedSetup::new().arguments(["-C"]).start();
    refused_for(&open(&server), Fault::Unusable, "start it without -C");
}

#[test]
fn a_server_that_is_not_memcached_says_what_it_is() {
    let server = RedisServer::start(Flavour::Redis);
    let store = patient(format!("memcached://127.0.0.1:{}", server.port())).open().unwrap();
    refused_for(&store, Fault::Protocol, "speaks the Redis protocol");
}

#[test]
fn nothing_listens_and_the_check_of_the_store_says_so() {
    let store = patient("memcached://127.0.0.1:1").open().unwrap();
    let cache = FragmentCache::builder().far(FarLevel::new(store)).build().unwrap();
    eventually("the attempt has failed", || cache.check_store().is_err());
    let error = cache.check_store().unwrap_err().to_string();
    assert!(error.contains("nothing listens at 127.0.0.1:1"), "{error}");
}

#[test]
fn debug_texts_have_no_secrets() {
    let options = patient("memcached://me:hunter2@127.0.0.1:1");
    let said = format!("{options:?} {:?}", options.clone().open().unwrap());
    assert!(!said.contains("hunter2") && said.contains("127.0.0.1:1"), "{said}");
}
