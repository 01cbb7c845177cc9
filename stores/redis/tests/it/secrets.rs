//! Secrets that must not appear anywhere: passwords, private keys, values.

use fragcache::ErrorKind;
use fragcache::store::Store;
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer, Setup};

use super::support::{LONG, get, patient};

const SECRET: &str = "hunter2";

#[track_caller]
fn silent(said: &str) {
    assert!(!said.contains("hunter") && !said.contains("ter2"), "{said}");
}

#[test]
fn passwords_are_in_no_error_and_no_debug() {
    let server = Setup::new(Flavour::Redis).user("me", "on >other ~* +@all").start();
    let (port, socket) = (server.port(), server.unix_url());
    let options = [
        patient(format!("redis://me:{SECRET}@127.0.0.1:{port}")),
        patient(format!("redis://:{SECRET}@127.0.0.1:{port}/3")),
        patient(format!("redis://:{SECRET}@127.0.0.1:1")),
        patient(format!("redis://me:{SECRET}@no-such-host.invalid")),
        patient(format!("{socket}?user=me&pass={SECRET}")),
        patient(server.url()).user("me").password(SECRET),
        patient(server.url()).user(SECRET).password(SECRET),
    ];
    for options in options {
        silent(&format!("{options:?}"));
        let store = options.open().unwrap();
        silent(&format!("{store:?} {:?}", store.gauges()));
        let error = get(&store, "a").unwrap_err();
        silent(&format!("{error} {error:?}"));
    }
}

#[test]
fn what_a_broken_url_holds_is_in_no_error_and_no_debug() {
    for url in [
        "hunter2",
        "redis:hunter2",
        "http://:hunter2@localhost",
        "redis://:hun/ter2@localhost",
        "redis://me:hunter2#@localhost",
        "redis://me:hunter2?@localhost",
        "redis://me:hunter2@localhost:port",
        "redis://me:hunter2@local host",
        "redis://me:hunter2@localhost/zero",
        "redis://me:hunter2%ff@localhost",
        "redis://localhost?password=hunter2",
        "redis://hunter2@localhost",
    ] {
        let options = RedisOptions::new(url);
        silent(&format!("{options:?}"));
        let error = options.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        silent(&format!("{error} {error:?}"));
        assert!(
            !error.to_string().contains('\n') && error.to_string().contains("write"),
            "{error}"
        );
    }
}

#[test]
fn values_are_in_no_error() {
    let server = RedisServer::start(Flavour::Redis);
    // For an unknown command, a server quotes its arguments.
    let server_without_set =
        Setup::new(Flavour::Redis).setting(["rename-command", "SET", "other"]).start();
    drop(server);
    let store = patient(server_without_set.url()).open().unwrap();
    let error = store.set("a", SECRET.as_bytes(), LONG).unwrap_err();
    silent(&format!("{error} {error:?}"));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_to_write() {
    use std::time::Duration;
    let url = "redis://localhost";
    let refused = [
        RedisOptions::new(url).operation_timeout(Duration::ZERO),
        RedisOptions::new(url).operation_timeout(Duration::from_secs(61)),
        RedisOptions::new(url).connect_timeout(Duration::MAX),
        RedisOptions::new(url).queue_length(0),
        RedisOptions::new(url).queue_length(1 << 20),
        RedisOptions::new(url).user("me"),
        RedisOptions::new(url).ca_file("ca.pem"),
        RedisOptions::new(url).client_certificate_files("a.pem", "a.key"),
        RedisOptions::new("unix:///run/redis.sock").ca_file("ca.pem"),
        RedisOptions::new("rediss://localhost").ca_file("/nowhere/ca.pem"),
        RedisOptions::new("rediss://localhost").ca_pem("hunter2"),
        RedisOptions::new("rediss://localhost").client_certificate_pem("hunter2", "hunter2"),
        RedisOptions::new("rediss://local_host/").ca_pem("hunter2"),
    ];
    for options in refused {
        let error = options.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("write"), "{error}");
        silent(&format!("{error} {error:?}"));
    }
}
