//! Failures: unavailable servers, invalid settings, secrets.

use std::fs;
use std::time::Duration;

use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
use fragcache_servers::{Flavour, RedisServer, Setup};

use crate::place::{Place, UNCOUNTED, put, run_with};

fn row() -> Fragment {
    Fragment::new(fragment_key!("row", 1)).tags(["prices"])
}

#[test]
fn an_unpublished_deletion_is_pending() {
    let mut gone = RedisServer::start(Flavour::Redis);
    let url = gone.url();
    gone.kill();
    let hung = RedisServer::start(Flavour::Redis);
    hung.stop();
    for url in [url, hung.url()] {
        let run = |arguments: &[&str]| {
            run_with(&[], &[&["--store", &url, "--deadline", "200ms"], arguments].concat())
        };
        for arguments in [
            &["delete", "row", "1"][..],
            &["delete", "--name", "row"],
            &["delete", "--template", "page.html", "--json"],
            &["invalidate", "prices", "--json"],
            &["clear", "--yes"],
            &["clear", "--namespace", "tenant"],
            &["mode", "bypass"],
        ] {
            let said = run(arguments).stopped(3);
            assert!(said.starts_with("pending: the store "), "{said}");
            assert!(said.ends_with("repeat the command\n"), "{said}");
        }
        for arguments in [
            &["stats"][..],
            &["get", "row", "1"],
            &["scan"],
            &["check"],
            &["mode"],
            &["delete", "--matching", "row*"],
        ] {
            let said = run(arguments).stopped(1);
            assert!(said.starts_with("error: the store "), "{said}");
        }
    }
    hung.cont();
}

#[test]
fn a_store_that_refuses_writes_is_an_error() {
    let master = RedisServer::start(Flavour::Redis);
    let replica = Setup::new(Flavour::Redis).replica_of(&master).start();
    let url = replica.url();
    let run = |arguments: &[&str]| {
        run_with(&[], &[&["--store", &url, "--deadline", "300ms"], arguments].concat())
    };
    run(&["invalidate", "prices"]).stopped(3);
    run(&["mode", "bypass"]).stopped(3);
    run(&["check"]).stopped(1);
}

#[test]
fn unusable_settings_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.toml");
    let file = path.to_str().unwrap();
    for (text, expected) in [
        ("type = 'file'\nfile.dirr = 'x'", "did you mean dir?"),
        ("type = 'file'\nfile.dir = 'no/such/folder'", "there is no folder no/such/folder"),
        ("type = 'memory'", "memory of one process"),
        ("type = 'null'", "memory of one process"),
        ("max_bytes = '1MiB'", "type is missing"),
        ("type = ", "cache.toml:1"),
    ] {
        fs::write(&path, text).unwrap();
        let said = run_with(&[], &["stats", "--config", file]).stopped(1);
        assert!(said.contains(expected), "{text}: {said}");
    }
    let said = run_with(&[], &["stats"]).stopped(1);
    assert!(said.contains("there is no config; write --config FILE"), "{said}");
    let said = run_with(&[], &["stats", "--config", "no-such-file"]).stopped(1);
    assert!(said.contains("no-such-file cannot be read"), "{said}");
    let both = ["stats", "--config", file, "--store", "file:x"];
    assert_eq!(run_with(&[], &both).code, 2);
    let said = run_with(&[], &["stats", "--store", "file:no-such-folder"]).stopped(1);
    assert!(said.contains("there is no folder no-such-folder"), "{said}");
}

#[test]
fn settings_come_from_the_file_then_variables_then_options() {
    let (place, folder) = (Place::folder(), tempfile::tempdir().unwrap());
    let dir = place.address.strip_prefix("file:").unwrap();
    let cache =
        |prefix: &str| FragmentCache::builder().far(place.level().prefix(prefix)).build().unwrap();
    for prefix in ["one", "two", "three"] {
        put(&cache(prefix), &row(), prefix);
    }
    let path = folder.path().join("cache.toml");
    let text = format!("type = 'file'\nfile.dir = '{dir}'\nfar.prefix = 'one'\n");
    fs::write(&path, text).unwrap();
    let named = ("FRAGCACHE_CONFIG", path.to_str().unwrap());
    let get = ["get", "row", "1"];
    assert_eq!(run_with(&[named], &get).done(), "one");
    let over = ("FRAGCACHE_FAR__PREFIX", "two");
    assert_eq!(run_with(&[named, over], &get).done(), "two");
    let option = ["get", "row", "1", "--prefix", "three"];
    assert_eq!(run_with(&[named, over], &option).done(), "three");
    let shop = [named, ("SHOP_FAR__PREFIX", "two")];
    assert_eq!(run_with(&shop, &["get", "row", "1", "--env-prefix", "SHOP_"]).done(), "two");
}

#[test]
fn entries_of_another_secret_are_listed_as_unreadable_and_the_secret_is_not_shown() {
    const SECRET: &str = "correct horse battery";
    for place in Place::each() {
        let level: FarLevel = place.level().mac_key(SECRET);
        let signed = FragmentCache::builder().far(level).build().unwrap();
        put(&signed, &row(), "signed");
        let run = |key: Option<&str>, arguments: &[&str]| {
            let variables: Vec<_> =
                key.map(|key| ("FRAGCACHE_FAR__MAC_KEY", key)).into_iter().collect();
            run_with(&variables, &[&["--store", &place.address], arguments].concat())
        };
        assert_eq!(run(Some(SECRET), &["get", "row", "1"]).done(), "signed");
        let wrong = Some("another secret of some length");
        for key in [None, wrong] {
            let out = run(key, &["scan"]).done();
            assert!(out.starts_with("unreadable:mac\t-\t-\t"), "{out}");
            assert_eq!(run(key, &["stats"]).value("unreadable"), "1");
            for change in
                [&["clear", "--yes"][..], &["invalidate", "prices"], &["delete", "row", "1"]]
            {
                let said = run(key, change).stopped(1);
                assert!(said.contains("use the mac_key"), "{said}");
            }
            assert!(signed.contains(row().key()).unwrap());
        }
        let short = run(Some("hunter2"), &["stats"]).stopped(1);
        assert!(short.contains("16 bytes") && !short.contains("hunter2"), "{short}");
        assert_eq!(run(Some(SECRET), &["invalidate", "prices"]).code, 0);
        assert!(!signed.contains(row().key()).unwrap());
        assert_eq!(run(Some(SECRET), &["mode", "bypass", "--for", "1m"]).code, 0);
        for key in [None, wrong] {
            for change in [&["mode", "read-only"][..], &["mode", "normal"]] {
                let said = run(key, change).stopped(1);
                assert!(said.contains("no process would follow; use the mac_key"), "{said}");
            }
            let said = run(key, &["mode"]);
            assert_eq!(said.code, 0, "{said:?}");
            assert!(said.err.contains("note: the mode in the store is ignored"), "{said:?}");
        }
        assert_eq!(run(Some(SECRET), &["mode"]).done(), "bypass\n");
        assert_eq!(run(Some(SECRET), &["mode", "normal"]).code, 0);
    }
}

#[test]
fn a_store_without_entries_of_the_cache_is_reported() {
    for place in Place::each() {
        put(&place.cache(), &row(), "row");
        for change in [&["mode", "bypass", "--for", "1s"][..], &["clear", "--yes"]] {
            let said = place.run(&[change, &["--prefix", "other"]].concat());
            let note = "note: no cache of this prefix has stored anything here\n";
            assert_eq!((said.code, said.err.as_str()), (0, note), "{said:?}");
            assert_eq!(place.run(change).err, "");
        }
    }
}

#[test]
fn passwords_are_never_shown() {
    let server = Setup::new(Flavour::Redis).password("right-secret").start();
    let address = format!("127.0.0.1:{}", server.port());
    let right = format!("redis://:right-secret@{address}");
    run_with(&[], &["stats", "--store", &right]).done();
    let beside = [("FRAGCACHE_REDIS__PASSWORD", "right-secret")];
    let plain = format!("redis://{address}");
    // The environment of an application that uses another store.
    let elsewhere = [
        ("FRAGCACHE_TYPE", "file"),
        ("FRAGCACHE_FILE__DIR", "/nowhere"),
        ("FRAGCACHE_REDIS__URL", "redis://127.0.0.1:1"),
        beside[0],
    ];
    run_with(&elsewhere, &["stats", "--store", &plain]).done();
    run_with(&beside, &["stats", "--store", &plain]).done();

    for store in [
        format!("redis://:wrong-secret@{address}"),
        format!("rediss://:wrong-secret@{address}"),
        "redis://:wrong-secret@127.0.0.1:port".to_owned(),
        "http://:wrong-secret@127.0.0.1".to_owned(),
    ] {
        for command in ["stats", "check", "mode"] {
            let said = run_with(&[], &[command, "--store", &store, "--deadline", "1s"]);
            assert!(matches!(said.code, 1 | 2), "{said:?}");
            assert!(!format!("{said:?}").contains("wrong-secret"), "{said:?}");
        }
        let said = run_with(&[], &["clear", "--yes", "--store", &store, "--deadline", "1s"]);
        assert_ne!(said.code, 0);
        assert!(!format!("{said:?}").contains("wrong-secret"), "{said:?}");
    }
}

#[test]
fn a_server_back_in_time_gets_the_deletion() {
    let mut server = RedisServer::start(Flavour::Redis);
    let url = server.url();
    let open = || {
        let options = fragcache_redis::RedisOptions::new(url.as_str());
        options.operation_timeout(Duration::from_secs(10)).open().unwrap()
    };
    server.kill();
    let waiting = std::thread::spawn({
        let url = url.clone();
        move || run_with(&[], &["invalidate", "prices", "--store", &url, "--deadline", "20s"])
    });
    server.restart();
    let said = waiting.join().unwrap();
    assert_eq!(said.done(), format!("invalidated tags prices{UNCOUNTED}"));
    let cache = FragmentCache::builder().far(FarLevel::new(open())).build().unwrap();
    let page = fragcache::admin::Admin::new(&cache).unwrap().records(None).unwrap();
    assert!(page.versions >= 2, "the tag's and its fence's: {page:?}");
}
