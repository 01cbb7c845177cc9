//! No error and no `Debug` output contains a secret, for any mistake near it.

use std::error::Error as _;

use fragcache::Error;
use fragcache_config::Config;

use super::stores;

const SECRET: &str = "hunter2hunter2hunter2";

/// Mistakes on the line of a secret, or next to it. `S` is the secret.
const FILES: [&str; 30] = [
    "redis.password = \"S",
    "redis.password = S",
    "redis.password = \"S\" \"S\"",
    "redis.password: \"S\"",
    "redis.password \"S\"",
    "redis.password = ['S']",
    "redis.password = { S = 1 }",
    "redis.password = \"S\\q\"",
    "redis.password = \"S\"\nredis.password = \"S\"",
    "redis.passwort = \"S\"",
    "redis.database = \"S\"",
    "redis.database = \"redis://:S@host/0\"",
    "redis.url = \"redis://:S@host\"\nredis.password = \"S\"",
    "redis.url = \"S://:S@host\"",
    "redis.url = \"redis://:S@host:none\"",
    "type = \"redis://:S@host\"",
    "type = [\"S\"]",
    "far.mac_key = 'S'\nfar.mac_key_file = 'S'",
    "far.mac_key = \"\"\"S\n",
    "opaque_keys = 'S'\nopaque_keys_file = 'S'\ntype = 'memory'",
    "opaque_keys = 'S",
    "opaque_keys = ['S']",
    "opaque_keys_ = 'S'",
    "far.near = 'S'",
    "far = 'S'",
    "store = 'S'",
    "store.place = 'S'\nstore.colour = 'S'\ntype = 'shelf'",
    "store.place = 'cellar'\nstore.height = 'S'\ntype = 'shelf'",
    "store.place = ['S']\ntype = 'shelf'",
    "jitter = 'S'",
];

const VARIABLES: [(&str, &str); 8] = [
    ("X_REDIS__PASSWORT", "S"),
    ("X_REDIS__PASSWORD__FILE", "S"),
    ("X_REDIS__DATABASE", "redis://:S@host"),
    ("X_REDIS", "redis://:S@host"),
    ("X_TYPE", "redis://:S@host"),
    ("X_FAR__NEAR", "S"),
    ("X_FAR__MAC_KEY_FILE__X", "S"),
    ("X_JITTER", "S"),
];

fn check(input: &str, error: &Error) {
    let mut told = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        told += &format!(" {cause} {cause:?}");
        source = cause.source();
    }
    assert!(!told.contains(SECRET) && !told.contains("hunter2"), "{input}: {told}");
}

#[test]
fn no_error_quotes_a_secret() {
    for input in FILES {
        let text = input.replace('S', SECRET);
        let done = Config::from_toml(&text).and_then(|config| config.build_with(&stores()));
        check(input, &done.expect_err(input));
    }
    for (name, value) in VARIABLES {
        let value = value.replace('S', SECRET);
        let config = Config::from_toml("far.prefix = 'shop'").unwrap();
        let done = config.with_variables("X_", [(name, value)]);
        check(name, &done.and_then(|config| config.build_with(&stores())).expect_err(name));
    }
}

#[test]
fn no_debug_text_shows_a_secret() {
    let text = "type = 'shelf'\nopaque_keys = 'S'\n[store]\nplace = 'S'\n[far]\nmac_key = 'S'\n[redis]\nurl = 'S'\n\
                password = 'S'"
        .replace('S', SECRET);
    let config = Config::from_toml(&text).unwrap();
    assert!(!format!("{config:?} {config:#?} {:?}", stores()).contains(SECRET));
    let config = Config::from_toml(&text.replace("[redis]\nurl", "[store.x]\na")).unwrap();
    let builder = config.into_builder_with(&stores_of_any()).unwrap();
    assert!(!format!("{builder:?} {builder:#?}").contains(SECRET));
}

/// The shelf, which accepts any table.
fn stores_of_any() -> fragcache_config::Stores {
    fragcache_config::Stores::new()
        .with("shelf", |_| Ok(super::Shelf { place: String::new(), height: 0 }))
}
