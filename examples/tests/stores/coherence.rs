//! Prices change through two shops while both are visited. After the response to a change, no page
//! shows the old price, or only one within the near TTL.

use std::time::Duration;

use fragcache_servers::{Flavour, RedisServer};

use crate::rush::Rush;
use crate::sharing::two;
use crate::site::folder;

fn stay_coherent(options: &[&str], near_ttl: Duration) {
    let folder = folder();
    let rush = Rush::new(two(&folder, options), near_ttl);
    rush.run(|rush| {
        rush.go_on_for(20, true);
        for site in rush.sites() {
            assert!(site.count("found") > 0, "the store was of use");
            assert_eq!(site.count("pending_invalidations"), 0);
        }
    });
}

#[test]
fn two_shops_on_one_redis_show_each_change_at_once() {
    let server = RedisServer::start(Flavour::Redis);
    stay_coherent(&["--store", &server.url()], Duration::ZERO);
}

#[test]
fn two_shops_in_one_folder_show_each_change_at_once() {
    let folder = folder();
    let store = format!("file:{}", folder.path().join("fragments").display());
    stay_coherent(&["--store", &store], Duration::ZERO);
}

#[test]
fn two_shops_with_a_near_ttl_show_each_change_within_it() {
    let server = RedisServer::start(Flavour::Redis);
    let options = ["--store", &server.url(), "--near-ttl", "300ms", "--engine", "tera"];
    stay_coherent(&options, Duration::from_millis(300));
}
