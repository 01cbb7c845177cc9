//! Opaque keys on a real server: processes share entries, and the server learns no key.

use std::time::Duration;

use fragcache::{FarLevel, Fragment, FragmentCache, FragmentKey, fragment_key};
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer};

use super::play;
use super::process::{answer, orders};

/// Part of all words that the server must not learn.
const PLANTED: &str = "planted";

fn row() -> Fragment {
    Fragment::new(fragment_key!("planted-name", "planted-vary")).tags(["planted-tag"])
}

/// A process with opaque keys, or without them if it gets no secret.
pub(super) fn share(given: &[String]) {
    let [url, secret] = given else { panic!("given {given:?}") };
    let patience = Duration::from_secs(30);
    let options = RedisOptions::new(url).operation_timeout(patience).connect_timeout(patience);
    let builder = FragmentCache::builder().far(FarLevel::new(options.open().unwrap()));
    let builder = match secret.as_str() {
        "none" => builder,
        secret => builder.opaque_keys(secret),
    };
    let cache = builder.build().unwrap().namespace("planted-space");
    for order in orders() {
        let done = match order.split_once(' ').unwrap_or((&order, "")) {
            ("say", body) => cache.render(row(), || body).unwrap().to_string(),
            ("shown", _) => cache.shown_key(row().key()).to_hex(),
            ("delete", hex) => {
                let key = FragmentKey::from_hex(hex).unwrap_or_else(|| row().key().clone());
                format!("{:?}", cache.delete(&key))
            }
            ("invalidate", _) => format!("{:?}", cache.invalidate_tags(["planted-tag"]).unwrap()),
            ("name", _) => format!("{:?}", cache.delete_name("planted-name")),
            ("clear", _) => format!("{:?}", cache.clear()),
            order => panic!("{order:?}"),
        };
        answer(&done);
    }
}

/// All keys and values on the server.
fn everything(server: &RedisServer) -> Vec<(String, Vec<u8>)> {
    let mut beside = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let (mut cursor, mut found) = (0_u64, Vec::new());
    loop {
        let (next, names): (u64, Vec<String>) =
            redis::cmd("SCAN").arg(cursor).query(&mut beside).unwrap();
        for name in names {
            // A record that has expired in the meantime has no value.
            let value: Option<Vec<u8>> = redis::cmd("GET").arg(&name).query(&mut beside).unwrap();
            found.push((name, value.unwrap_or_default()));
        }
        if next == 0 {
            return found;
        }
        cursor = next;
    }
}

fn tells(server: &RedisServer) -> bool {
    let all = everything(server);
    assert!(all.iter().any(|(name, _)| name.contains(":e:")));
    assert!(all.iter().any(|(name, _)| name.contains(":v:")));
    all.iter().any(|(name, bytes)| {
        name.contains(PLANTED)
            || bytes.windows(PLANTED.len()).any(|part| part == PLANTED.as_bytes())
    })
}

#[test]
fn i1_processes_share_opaque_records() {
    let server = RedisServer::start(Flavour::Redis);
    let process = |secret| play("opaque", &[&server.url(), secret]);
    let secret = "a secret that both processes have";
    let (mut one, mut other) = (process(secret), process(secret));
    assert_eq!(one.ask("say first"), "first");
    assert_eq!(other.ask("say not evaluated"), "first");
    assert!(!tells(&server));
    let shown = other.ask("shown");
    assert_eq!(one.ask("shown"), shown);
    let ways = ["delete", "invalidate", "name", "clear", &format!("delete {shown}")];
    for (round, way) in ways.into_iter().enumerate() {
        other.ask(way);
        assert_eq!(one.ask(&format!("say {round}")), round.to_string(), "{way}");
        assert_eq!(other.ask("say not evaluated"), round.to_string(), "{way}");
    }
    assert!(!tells(&server));

    let mut stranger = process("a secret that another fleet has");
    assert_eq!(stranger.ask("say theirs"), "theirs");
    stranger.ask("clear");
    assert_eq!(one.ask("say not evaluated"), "4");
    assert!(!tells(&server));

    let mut plain = process("none");
    assert_eq!(plain.ask("say plain"), "plain");
    assert!(tells(&server), "or nothing would be found above");
}
