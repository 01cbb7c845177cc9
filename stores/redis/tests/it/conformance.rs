//! The conformance suite of stores, on each server and each type of connection.

use fragcache::testing::conformance::{Report, Suite};
use fragcache_redis::RedisStore;
use fragcache_servers::{Flavour, RedisServer, Setup};

use super::support::{open, patient};

/// A store and another handle to its records keep the whole contract.
#[track_caller]
pub(crate) fn keeps_in_full(
    store: RedisStore,
    another: impl Fn() -> RedisStore + Send + Sync + 'static,
) {
    kept_in_full(&Suite::new(store).another(another).run());
}

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
    keeps_in_full(open(&server), another);
}

#[test]
fn a_server_behind_tls_keeps_the_contract() {
    let server = Setup::new(Flavour::Redis).tls().start();
    let options = patient(server.tls_url()).ca_file(&server.certificates().ca);
    let store = options.clone().open().unwrap();
    keeps_in_full(store, move || options.clone().open().unwrap());
}

#[test]
fn a_server_behind_a_socket_keeps_the_contract() {
    let server = RedisServer::start(Flavour::Redis);
    let options = patient(server.unix_url()).database(7);
    let store = options.clone().open().unwrap();
    keeps_in_full(store, move || options.clone().open().unwrap());
}
