//! TLS: authorities, client certificates, and ports with the other protocol.

use fragcache::store::{Fault, Store};
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer, Setup};

use super::support::{LONG, fault, get, patient};

fn server() -> RedisServer {
    Setup::new(Flavour::Redis).tls().start()
}

#[test]
fn a_server_with_a_known_authority_is_trusted() {
    let server = server();
    let files = server.certificates();
    let by_address = format!("rediss://127.0.0.1:{}", server.tls_port());
    let pem = std::fs::read(&files.ca).unwrap();
    for options in [
        patient(server.tls_url()).ca_file(&files.ca),
        patient(by_address).ca_file(&files.ca),
        patient(server.tls_url().replace("rediss", "valkeys")).ca_pem(pem),
    ] {
        let store = options.open().unwrap();
        store.set("a", b"x", LONG).unwrap();
        assert_eq!(get(&store, "a").unwrap().unwrap(), b"x");
    }
}

#[test]
fn a_server_with_another_authority_or_name_is_not_trusted() {
    let server =
        Setup::new(Flavour::Redis).setting(["bind", "127.0.0.1", "127.0.0.2"]).tls().start();
    let files = server.certificates();
    let other_name = format!("rediss://127.0.0.2:{}", server.tls_port());
    for (options, reason) in [
        (patient(server.tls_url()).ca_file(&files.other_ca), "UnknownIssuer"),
        (patient(other_name).ca_file(&files.ca), "not valid for name"),
    ] {
        let store = options.open().unwrap();
        let (kind, said) = fault(get(&store, "a"));
        assert_eq!(kind, Fault::Unreachable);
        assert!(said.contains("certificate") && said.contains(reason), "{said}");
    }
    // The machine does not trust the tests' authority; a machine that trusts none says so.
    match patient(server.tls_url()).open() {
        Ok(store) => assert!(fault(get(&store, "a")).1.contains("UnknownIssuer")),
        Err(error) => assert!(error.to_string().contains("ca_file"), "{error}"),
    }
}

#[test]
fn a_clients_certificate_is_shown_where_one_is_wanted() {
    let server = Setup::new(Flavour::Redis).tls_with_client_certificates().start();
    let files = server.certificates();
    let with = patient(server.tls_url())
        .ca_file(&files.ca)
        .client_certificate_files(&files.client, &files.client_key);
    with.open().unwrap().set("a", b"x", LONG).unwrap();

    let (certificate, key) =
        (std::fs::read(&files.client).unwrap(), std::fs::read(&files.client_key).unwrap());
    let with =
        patient(server.tls_url()).ca_file(&files.ca).client_certificate_pem(certificate, key);
    with.open().unwrap().set("a", b"x", LONG).unwrap();

    let without = patient(server.tls_url()).ca_file(&files.ca).open().unwrap();
    assert_eq!(fault(get(&without, "a")).0, Fault::Unreachable);

    let crossed = patient(server.tls_url())
        .ca_file(&files.ca)
        .client_certificate_files(&files.client, &files.server_key);
    let error = crossed.open().unwrap_err();
    assert!(error.to_string().contains("certificate and key"), "{error}");
}

#[test]
fn ports_that_speak_the_other_thing_say_what_to_write() {
    let server = server();
    let files = server.certificates();
    let options = |url: String| {
        RedisOptions::new(url)
            .operation_timeout(std::time::Duration::from_secs(10))
            .connect_timeout(std::time::Duration::from_millis(500))
    };
    let plain_to_tls = format!("redis://127.0.0.1:{}", server.tls_port());
    let (kind, said) = fault(get(&options(plain_to_tls).open().unwrap(), "a"));
    assert!(matches!(kind, Fault::Unreachable | Fault::Protocol), "{said}");
    assert!(said.contains("write rediss://"), "{said}");

    let tls_to_plain = options(format!("rediss://127.0.0.1:{}", server.port())).ca_file(&files.ca);
    let (kind, said) = fault(get(&tls_to_plain.open().unwrap(), "a"));
    assert_eq!(kind, Fault::Unreachable, "{said}");
    assert!(said.contains("write redis://"), "{said}");
}
