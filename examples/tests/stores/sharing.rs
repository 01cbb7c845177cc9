//! One shop serves what the other stores, on every store; and the number of store calls it takes.

use fragcache_servers::{Flavour, RedisServer};

use crate::site::{FILM, Site, folder, price};

/// Two shops with these options, on one database in this folder.
pub(crate) fn two(folder: &tempfile::TempDir, options: &[&str]) -> [Site; 2] {
    let database = folder.path().join("shop.sqlite");
    let options = [&["--database", database.to_str().unwrap()], options].concat();
    // Both find no database, and one of them creates it.
    let other = options.clone();
    std::thread::scope(|threads| {
        let first = threads.spawn(|| Site::start(&options));
        [Site::start(&other), first.join().unwrap()]
    })
}

/// A figure of the statistics page.
fn figure(site: &Site, name: &str) -> u64 {
    let page = site.page("/stats");
    let value = page.split(&format!("<th>{name}</th><td>")).nth(1).unwrap();
    value.split('<').next().unwrap().parse().unwrap()
}

fn what_one_stores_the_other_serves(options: &[&str]) {
    let folder = folder();
    let [here, there] = two(&folder, options);
    let page = here.page("/");
    let asked = figure(&there, "SQL statements run");
    assert_eq!(there.page("/"), page);
    assert_eq!(figure(&there, "SQL statements run"), asked, "all of it was stored");

    // A change there shows here. None of the 513 cards around it is rendered, and they are looked
    // up in one batch.
    assert!(there.set_price(&here.token(), 1234), "a form of one is accepted by the other");
    for path in ["/", FILM, "/search?q=dancer"] {
        assert_eq!(price(path, &here.page(path)), Some(1234), "{path}");
    }
    assert!(here.set_price(&there.token(), 1235));
    let (asked, trips) = (figure(&there, "SQL statements run"), there.count("round_trips"));
    assert_eq!(price("/", &there.page("/")), Some(1235));
    assert!(figure(&there, "SQL statements run") - asked <= 5, "the card and the grid");
    // One call per second is the background worker's.
    let trips = there.count("round_trips") - trips;
    assert!(trips < 60, "{trips} round trips");

    let saved = here.post("/account", "name=Augusta").unwrap();
    assert_eq!(saved.status, 200);
    assert!(there.page("/").contains("<h2>Augusta</h2>"));
    assert_eq!(there.health("reachable"), "true");
}

/// Uses a config with a store timeout long enough for a busy machine: this counts hits.
fn by_config(engine: &str, text: &str) {
    let folder = folder();
    let config = folder.path().join("cache.toml");
    std::fs::write(&config, text).unwrap();
    let options = ["--config", config.to_str().unwrap(), "--engine", engine];
    what_one_stores_the_other_serves(&options);
}

#[test]
fn shops_share_a_redis() {
    let server = RedisServer::start(Flavour::Redis);
    for engine in ["minijinja", "tera"] {
        let redis = format!("[redis]\nurl = '{}'\noperation_timeout = '10s'", server.url());
        by_config(engine, &format!("type = 'redis'\n[far]\nprefix = '{engine}'\n{redis}"));
    }
}

#[test]
fn shops_share_a_folder() {
    let folder = folder();
    let dir = folder.path().join("fragments");
    by_config(
        "tera",
        &format!("type = 'file'\n[file]\ndir = '{}'\ndeadline = '10s'", dir.display()),
    );
}
