//! The store goes away under load and comes back: every page is served, and none is outdated.

use std::time::Duration;

use fragcache_servers::{Flavour, RedisServer};

use crate::rush::Rush;
use crate::sharing::two;
use crate::site::{Site, folder, price};

#[test]
fn a_server_that_stops_and_returns_costs_no_page() {
    let mut server = RedisServer::start(Flavour::Redis);
    let folder = folder();
    let rush = Rush::new(two(&folder, &["--store", &server.url()]), Duration::ZERO);
    rush.run(|rush| {
        rush.go_on_for(5, true);

        server.stop();
        rush.until("reachable", "false");
        rush.go_on_for(5, false);
        server.cont();
        rush.until("reachable", "true");
        rush.until("pending_invalidations", "0");
        rush.go_on_for(5, true);

        server.kill();
        rush.until("reachable", "false");
        rush.go_on_for(5, false);
        server.restart();
        rush.until("reachable", "true");
        rush.until("pending_invalidations", "0");
        rush.go_on_for(5, true);
    });
}

#[test]
fn a_shop_starts_without_its_server_and_finds_it_later() {
    let mut server = RedisServer::start(Flavour::Redis);
    server.kill();
    let site = Site::start(&["--store", &server.url()]);
    assert_eq!(price("/", &site.page("/")), Some(749));
    assert_eq!(site.health("reachable"), "false");
    server.restart();
    fragcache_servers::eventually("the server is found", || site.health("reachable") == "true");
    site.page("/");
    assert_eq!(price("/", &site.page("/")), Some(749));
    assert!(site.set_price(&site.token(), 750));
    assert_eq!(price("/", &site.page("/")), Some(750));
}
