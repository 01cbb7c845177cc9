//! TLS: authorities, client certificates, and ports with the other protocol.

use std::time::Duration;

use fragcache::store::{Fault, Store};
use fragcache_servers::{MemcachedServer, MemcachedSetup};

use super::support::{LONG, fault, get, patient};

#[test]
fn a_server_with_a_known_authority_is_trusted_and_others_are_not() {
    let server = MemcachedSetup::new().tls().start();
    let files = server.certificates();
    let pem = std::fs::read(&files.ca).unwrap();
    for options in [patient(server.url()).ca_file(&files.ca), patient(server.url()).ca_pem(pem)] {
        let store = options.open().unwrap();
        store.set("a", &vec![7; 2 << 20], LONG).unwrap();
        assert_eq!(get(&store, "a").unwrap().unwrap().len(), 2 << 20);
    }
    let store = patient(server.url()).ca_file(&files.other_ca).open().unwrap();
    let (kind, said) = fault(get(&store, "a"));
    assert_eq!(kind, Fault::Unreachable);
    assert!(said.contains("UnknownIssuer"), "{said}");
}

#[test]
fn a_clients_certificate_is_shown_where_one_is_wanted() {
    let server = MemcachedSetup::new().tls_with_client_certificates().start();
    let files = server.certificates();
    let with = patient(server.url())
        .ca_file(&files.ca)
        .client_certificate_files(&files.client, &files.client_key);
    with.open().unwrap().set("a", b"x", LONG).unwrap();
    let without = patient(server.url()).ca_file(&files.ca).open().unwrap();
    assert_eq!(fault(get(&without, "a")).0, Fault::Unreachable);
}

#[test]
fn ports_that_speak_the_other_thing_say_what_to_write() {
    let (plain, tls) = (MemcachedServer::start(), MemcachedSetup::new().tls().start());
    let files = tls.certificates();
    let hasty = Duration::from_millis(500);
    let to_tls = format!("memcached://{}", tls.address());
    let to_tls = patient(to_tls).connect_timeout(hasty).open().unwrap();
    let (_, said) = fault(get(&to_tls, "a"));
    assert!(said.contains("write memcacheds://"), "{said}");
    let to_plain = plain.url().replace("memcached://", "memcacheds://");
    let to_plain = patient(to_plain).connect_timeout(hasty).ca_file(&files.ca).open().unwrap();
    let (_, said) = fault(get(&to_plain, "a"));
    assert!(said.contains("write memcached://"), "{said}");

    let error = patient("memcached://a").ca_file(&files.ca).open().unwrap_err().to_string();
    assert!(error.contains("write memcacheds://"), "{error}");
}
