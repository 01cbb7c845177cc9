//! What one shop stores the other serves, on every store; and what is asked of a store for it.

use fragcache_servers::{Flavour, RedisServer};

use crate::site::{FILM, Site, price};

/// Two shops with these options, on one database in this folder.
pub(crate) fn two(folder: &tempfile::TempDir, options: &[&str]) -> [Site; 2] {
    let database = folder.path().join("shop.sqlite");
    let options = [&["--database", database.to_str().unwrap()], options].concat();
    // Both find no database, and one of them makes it.
    let other = options.clone();
    std::thread::scope(|threads| {
        let first = threads.spawn(|| Site::start(&options));
        [Site::start(&other), first.join().unwrap()]
    })
}

/// A number of the page of numbers.
fn figure(site: &Site, name: &str) -> u64 {
    let page = site.page("/stats");
    let value = page.split(&format!("<th>{name}</th><td>")).nth(1).unwrap();
    value.split('<').next().unwrap().parse().unwrap()
}

fn what_one_stores_the_other_serves(options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let [here, there] = two(&folder, options);
    let page = here.page("/");
    let asked = figure(&there, "SQL statements run");
    assert_eq!(there.page("/"), page);
    assert_eq!(figure(&there, "SQL statements run"), asked, "all of it was stored");

    // A change there shows here. Of the 513 cards around it none is rendered, and they are asked for
    // together.
    assert!(there.set_price(&here.token(), 1234), "a form of one is accepted by the other");
    for path in ["/", FILM, "/search?q=dancer"] {
        assert_eq!(price(path, &here.page(path)), Some(1234), "{path}");
    }
    assert!(here.set_price(&there.token(), 1235));
    let (asked, trips) = (figure(&there, "SQL statements run"), there.count("round_trips"));
    assert_eq!(price("/", &there.page("/")), Some(1235));
    assert!(figure(&there, "SQL statements run") - asked <= 5, "the card and the grid");
    // One a second is the keeper's.
    let trips = there.count("round_trips") - trips;
    assert!(trips < 60, "{trips} round trips");

    let saved = here.post("/account", "name=Augusta").unwrap();
    assert_eq!(saved.status, 200);
    assert!(there.page("/").contains("<h2>Augusta</h2>"));
    assert_eq!(there.health("reachable"), "true");
}

#[test]
fn shops_share_a_redis() {
    let server = RedisServer::start(Flavour::Redis);
    for engine in ["minijinja", "tera"] {
        what_one_stores_the_other_serves(&["--store", &server.url(), "--engine", engine]);
    }
}

#[test]
fn shops_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file:{}", folder.path().join("fragments").display());
    what_one_stores_the_other_serves(&["--store", &store, "--engine", "tera"]);
}

#[test]
fn shops_share_what_a_config_names() {
    let server = RedisServer::start(Flavour::Redis);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cache.toml");
    let text =
        format!("type = 'redis'\n[far]\nprefix = 'films'\n[redis]\nurl = '{}'", server.url());
    std::fs::write(&config, text).unwrap();
    what_one_stores_the_other_serves(&["--config", config.to_str().unwrap()]);
}
