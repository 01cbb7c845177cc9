//! Bad input with a real server: names, bodies, foreign records in the store, and settings.

use std::time::Duration;

use fragcache::events::RefusalReason;
use fragcache::testing::Recorder;
use fragcache::{ErrorKind, FarLevel, Fragment, FragmentCache, fragment_key};
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{Flavour, RedisServer, Setup};

fn open(url: &str) -> RedisStore {
    let patience = Duration::from_secs(30);
    let options = RedisOptions::new(url).operation_timeout(patience);
    options.connect_timeout(patience).open().unwrap()
}

/// A process without a near level: it serves from the store, or renders.
fn process(server: &RedisServer) -> FragmentCache {
    let level = FarLevel::new(open(&server.url())).without_near();
    FragmentCache::builder().far(level).build().unwrap()
}

fn plain(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

fn say(cache: &FragmentCache, fragment: &Fragment, text: &str) -> String {
    cache.render(fragment, || text).unwrap().to_string()
}

fn keys(beside: &mut redis::Connection, pattern: &str) -> Vec<String> {
    redis::cmd("KEYS").arg(pattern).query(beside).unwrap()
}

#[test]
fn names_of_any_bytes_are_distinct() {
    let server = RedisServer::start(Flavour::Redis);
    let (one, other) = (process(&server), process(&server));
    let long = "n".repeat(300);
    let names = ["a\nb", "a\r\nDEL x\r\n", "a\0b", "a b", "a*", "{a}", "", "ä€𝄞", &long];
    let fragments: Vec<Fragment> =
        names.iter().map(|&name| Fragment::new(fragment_key!(name)).tags(["a\nb"])).collect();
    for (n, fragment) in fragments.iter().enumerate() {
        assert_eq!(say(&one, fragment, &n.to_string()), n.to_string());
    }
    for (n, fragment) in fragments.iter().enumerate() {
        assert_eq!(say(&other, fragment, "unused"), n.to_string(), "{:?}", names[n]);
    }
    let plain_text = |key: &String| key.bytes().all(|b| b.is_ascii_graphic()) && key.len() <= 200;
    assert!(keys(&mut plain(&server), "*").iter().all(plain_text));
    other.invalidate_tags(["a\nb"]).unwrap().eventually();
    for fragment in &fragments {
        assert_eq!(say(&one, fragment, "new"), "new");
    }
}

#[test]
fn an_oversized_body_is_printed_and_not_stored() {
    let (server, recorder) = (RedisServer::start(Flavour::Redis), Recorder::new());
    let level = FarLevel::new(open(&server.url()));
    let cache = FragmentCache::builder().observer(recorder.clone()).far(level).build().unwrap();
    let name = "n".repeat(10_240);
    let named = Fragment::new(fragment_key!(name.as_str()));
    let (row, huge) = (Fragment::new(fragment_key!("row")), "x".repeat(2 << 20));
    for text in ["one", "two"] {
        assert_eq!(say(&cache, &named, text), text);
        let body = format!("{text}{huge}");
        assert_eq!(say(&cache, &row, &body), body);
    }
    let refused = |why| fragcache::events::EventKind::Refused(why);
    let told = |why| recorder.events().iter().filter(|event| event.kind == refused(why)).count();
    assert_eq!(told(RefusalReason::KeyTooLong), 2);
    assert!(told(RefusalReason::BodyTooLarge) >= 1);
    assert_eq!(keys(&mut plain(&server), "*:e:*"), Vec::<String>::new());
}

#[test]
fn entries_that_were_tampered_with_are_misses() {
    let server = RedisServer::start(Flavour::Redis);
    let mut beside = plain(&server);
    let row = Fragment::new(fragment_key!("row"));
    let another = Fragment::new(fragment_key!("another"));
    let writer = process(&server);
    say(&writer, &row, "markup");
    say(&writer, &another, "another's");
    let find = |beside: &mut redis::Connection, name: &str| -> (String, Vec<u8>) {
        let key = keys(beside, &format!("*:e:{name}:*")).pop().unwrap();
        let bytes = redis::cmd("GET").arg(&key).query(beside).unwrap();
        (key, bytes)
    };
    let (key, good) = find(&mut beside, "row");
    let (_, others) = find(&mut beside, "another");
    let mut bad: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"<script>".to_vec(),
        good[..good.len() / 2].to_vec(),
        good[..good.len() - 1].to_vec(),
        [&good[..], b"x"].concat(),
        vec![0; 8 << 20],
        [&good[..6], &[255; 64]].concat(),
        others,
    ];
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        bad.push(flipped);
    }
    let reader = process(&server);
    for (n, bad) in bad.iter().enumerate() {
        redis::cmd("SET").arg(&key).arg(bad).arg(&["PX", "60000"]).exec(&mut beside).unwrap();
        assert_eq!(say(&reader, &row, "new"), "new", "record {n}");
        assert_eq!(say(&reader, &row, "newer"), "new", "stored again after record {n}");
    }
    let health = reader.health();
    // The entry of another key can be read, but does not match the lookup.
    assert!(health.unreadable >= bad.len() as u64 - 1, "{health:?}");
    assert!(health.last_fault.is_some_and(|told| told.contains("cannot be read")));
    assert!(health.is_reachable);
}

#[test]
fn versions_that_were_tampered_with_are_none() {
    let server = RedisServer::start(Flavour::Redis);
    let (mut beside, cache) = (plain(&server), process(&server));
    let row = Fragment::new(fragment_key!("row")).tags(["tag"]);
    for bad in [&b""[..], b"0", &[0; 23], &[0; 25], &[7; 100_000]] {
        say(&cache, &row, "old");
        for key in keys(&mut beside, "*:v:*") {
            redis::cmd("SET").arg(&key).arg(bad).exec(&mut beside).unwrap();
        }
        assert_eq!(say(&cache, &row, "new"), "new");
        cache.invalidate_tags(["tag"]).unwrap().eventually();
        assert_eq!(say(&process(&server), &row, "newer"), "newer");
        cache.clear().eventually();
    }
}

#[test]
fn records_of_another_application_stay() {
    let server = RedisServer::start(Flavour::Redis);
    let (mut beside, cache) = (plain(&server), process(&server));
    let theirs = ["fragcache", "fragcache:", "fragcache:config", "fragcache:e:theirs"];
    for key in theirs {
        redis::cmd("SET").arg(&[key, "theirs"]).exec(&mut beside).unwrap();
    }
    redis::cmd("RPUSH").arg(&["fragcache:e:list", "theirs"]).exec(&mut beside).unwrap();
    // Also for the record of the fleet mode.
    redis::cmd("SET").arg(&["fragcache:m", "theirs"]).exec(&mut beside).unwrap();
    let row = Fragment::new(fragment_key!("row"));
    say(&cache, &row, "markup");
    assert_eq!(say(&cache, &row, "unused"), "markup");
    cache.clear().eventually();
    assert_eq!(say(&cache, &row, "new"), "new");
    for key in theirs {
        let kept: String = redis::cmd("GET").arg(key).query(&mut beside).unwrap();
        assert_eq!(kept, "theirs");
    }
    let list: i64 = redis::cmd("LLEN").arg("fragcache:e:list").query(&mut beside).unwrap();
    assert_eq!(list, 1);
}

#[test]
fn a_prefix_that_means_something_to_a_store_is_refused() {
    let server = RedisServer::start(Flavour::Redis);
    for prefix in ["a*", "a?", "[a]", "a\nb", "a b", "{a}", "", &"a".repeat(41)] {
        let level = FarLevel::new(open(&server.url())).prefix(prefix);
        let error = FragmentCache::builder().far(level).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{prefix:?}");
        assert!(error.to_string().contains("the prefix"), "{error}");
    }
}

#[test]
fn missing_servers_cost_no_page_and_leak_no_secret() {
    let server = Setup::new(Flavour::Redis).tls().start();
    let nobody = {
        let mut gone = RedisServer::start(Flavour::Redis);
        gone.kill();
        gone.port()
    };
    let urls = [
        format!("redis://:hunter2@127.0.0.1:{nobody}"),
        "redis://:hunter2@no-such-host.invalid".to_owned(),
        format!("redis://:hunter2@127.0.0.1:{}", server.tls_port()),
        format!("rediss://:hunter2@localhost:{}", server.port()),
        // Its certificate is not signed by a trusted authority.
        format!("rediss://:hunter2@localhost:{}", server.tls_port()),
        "unix:///no/such/socket?pass=hunter2".to_owned(),
    ];
    for (n, url) in urls.iter().enumerate() {
        let store = RedisOptions::new(url).open().unwrap();
        let told = format!("{store:?}");
        let cache = FragmentCache::builder().far(FarLevel::new(store)).build().unwrap();
        let row = Fragment::new(fragment_key!("row"));
        for text in ["one", "two"] {
            assert_eq!(say(&cache, &row, text), text, "url {n}");
        }
        cache.clear().eventually();
        let health = cache.health();
        assert!(health.faults > 0 && health.last_fault.is_some(), "url {n}: {health:?}");
        let told = format!("{told} {health:?} {cache:?}");
        assert!(!told.contains("hunter2"), "url {n}");
    }
}
