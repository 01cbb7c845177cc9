//! The conformance suite of stores, on each server and each type of connection.

use fragcache::testing::conformance::{Report, Suite};
use fragcache_servers::{Flavour, RedisServer, Setup};

use super::support::{open, patient};

/// No check is skipped: this store has all capabilities.
#[track_caller]
fn kept_in_full(report: &Report) {
    report.assert_passed();
    assert_eq!(report.absent().collect::<Vec<_>>(), [], "{report}");
    assert!(report.passed().count() > 20, "{report}");
}

#[test]
fn a_redis_server_keeps_the_contract() {
    by_tcp(Flavour::Redis);
}

#[test]
fn a_valkey_server_keeps_the_contract() {
    by_tcp(Flavour::Valkey);
}

fn by_tcp(flavour: Flavour) {
    let server = RedisServer::start(flavour);
    let url = server.url();
    let another = move || patient(url.clone()).open().unwrap();
    kept_in_full(&Suite::new(open(&server)).another(another).run());
}

#[test]
fn a_server_behind_tls_keeps_the_contract() {
    let server = Setup::new(Flavour::Redis).tls().start();
    let options = patient(server.tls_url()).ca_file(&server.certificates().ca);
    let store = options.clone().open().unwrap();
    kept_in_full(&Suite::new(store).another(move || options.clone().open().unwrap()).run());
}

#[test]
fn a_server_behind_a_socket_keeps_the_contract() {
    let server = RedisServer::start(Flavour::Redis);
    let options = patient(server.unix_url()).database(7);
    let store = options.clone().open().unwrap();
    kept_in_full(&Suite::new(store).another(move || options.clone().open().unwrap()).run());
}
