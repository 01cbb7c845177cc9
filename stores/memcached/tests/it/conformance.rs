//! The conformance suite of stores, on one server, on several, and on each type of connection.

use fragcache::testing::conformance::{Report, Suite};
use fragcache_memcached::MemcachedOptions;
use fragcache_servers::{MemcachedServer, MemcachedSetup};

use super::support::patient;

#[track_caller]
fn kept(options: MemcachedOptions) {
    let store = options.clone().open().unwrap();
    let another = move || options.clone().open().unwrap();
    let report: Report = Suite::new(store).another(another).run();
    report.assert_passed();
    // Memcached cannot list its keys.
    assert!(report.absent().all(|(_, capability)| capability == "scans"), "{report}");
    assert!(report.passed().count() > 20, "{report}");
}

#[test]
fn a_server_keeps_the_contract() {
    kept(patient(MemcachedServer::start().url()));
}

#[test]
fn three_servers_keep_the_contract() {
    let servers: Vec<_> = (0..3).map(|_| MemcachedServer::start()).collect();
    let addresses: Vec<_> = servers.iter().map(MemcachedServer::address).collect();
    kept(patient(format!("memcached://{}", addresses.join(","))));
}

#[test]
fn a_server_with_small_items_keeps_the_contract() {
    let server = MemcachedSetup::new().arguments(["-I", "512k", "-m", "256"]).start();
    kept(patient(server.url()).max_value_bytes(3 << 20));
}

#[cfg(feature = "tls")]
#[test]
fn a_server_behind_tls_keeps_the_contract() {
    let server = MemcachedSetup::new().tls().start();
    kept(patient(server.url()).ca_file(&server.certificates().ca));
}

#[test]
fn a_server_behind_a_socket_keeps_the_contract() {
    kept(patient(MemcachedSetup::new().on_a_socket().start().url()));
}
