//! Tests of the settings one by one. The tests package has those of the error messages.

use std::collections::BTreeMap;
use std::time::Duration;

use fragcache::store::{Capabilities, Operation, Reply, Store, StoreError};
use fragcache::testing::MemoryStore;
use fragcache::{CacheBuilder, ErrorKind, FarLevel, Fragment, FragmentCache, fragment_key};

use super::sections::{Settings, TABLES};
use super::value::{Above, Bytes, Life, Seconds};
use super::{Config, Stores, environment};

/// A store that stores nothing.
#[derive(Debug)]
struct Nowhere;

impl Store for Nowhere {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("nowhere")
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let reply = |one: &Operation<'_>| match one {
            Operation::Get { .. } => Reply::Value(None),
            Operation::Set { .. } | Operation::Add { .. } => Reply::Done(true),
            _ => Reply::Done(false),
        };
        Ok(operations.iter().map(reply).collect())
    }
}

fn stores() -> Stores {
    Stores::new().with("nowhere", |_| Ok(Nowhere))
}

/// A value other than the default for every setting that has one.
const VALUES: [(&str, &str); 69] = [
    ("type", "'nowhere'"),
    ("default_timeout", "'7m'"),
    ("max_bytes", "'7MiB'"),
    ("max_entries", "7"),
    ("max_entry_bytes", "'7KiB'"),
    ("max_labels", "7"),
    ("wait_limit", "7"),
    ("stale_window", "'7s'"),
    ("refresh_backoff", "7"),
    ("jitter", "0.25"),
    ("early_refresh", "1"),
    ("replica_lag", "0.5"),
    ("stats_by_name", "7"),
    ("opaque_keys", "'0123456789abcdef'"),
    ("opaque_keys_file", "'Cargo.toml'"),
    ("policy", ""),
    ("policy.bad_arguments", "'uncached'"),
    ("policy.repeated_unnamed_is_error", "true"),
    ("policy.annotations", "true"),
    ("policy.warnings_are_errors", "true"),
    ("far", ""),
    ("far.prefix", "'shop'"),
    ("far.near", "false"),
    ("far.near_ttl", "'1s'"),
    ("far.mac_key", "'0123456789abcdef'"),
    ("far.mac_key_file", "'Cargo.toml'"),
    ("far.compress_above", "'never'"),
    ("far.lease", "7"),
    ("far.max_ttl", "'7d'"),
    ("redis", ""),
    ("redis.url", "'redis://127.0.0.1:7'"),
    ("redis.user", "'shop'"),
    ("redis.password", "'0123'"),
    ("redis.password_file", "'Cargo.toml'"),
    ("redis.sentinel_master", "'shop'"),
    ("redis.sentinel_user", "'shop'"),
    ("redis.sentinel_password", "'0123'"),
    ("redis.sentinel_password_file", "'Cargo.toml'"),
    ("redis.database", "7"),
    ("redis.ca_file", "'ca.pem'"),
    ("redis.client_certificate_file", "'client.pem'"),
    ("redis.client_key_file", "'client.key'"),
    ("redis.operation_timeout", "'70ms'"),
    ("redis.connect_timeout", "'7s'"),
    ("redis.queue_length", "7"),
    ("redis.max_value_bytes", "'7MiB'"),
    ("memcached", ""),
    ("memcached.url", "'memcached://127.0.0.1:7'"),
    ("memcached.user", "'shop'"),
    ("memcached.password", "'0123'"),
    ("memcached.password_file", "'Cargo.toml'"),
    ("memcached.ca_file", "'ca.pem'"),
    ("memcached.client_certificate_file", "'client.pem'"),
    ("memcached.client_key_file", "'client.key'"),
    ("memcached.operation_timeout", "'70ms'"),
    ("memcached.connect_timeout", "'7s'"),
    ("memcached.connections", "7"),
    ("memcached.max_value_bytes", "'7MiB'"),
    ("file", ""),
    ("file.dir", "'pages'"),
    ("file.mode", "'640'"),
    ("file.deadline", "'70ms'"),
    ("file.durable", "true"),
    ("sqlite", ""),
    ("sqlite.path", "'cache.sqlite'"),
    ("sqlite.deadline", "'70ms'"),
    ("sqlite.readers", "7"),
    ("sqlite.durable", "true"),
    ("store", ""),
];

/// The settings of a table are tested together with those of the same name elsewhere.
const SHARED_NAMES: [(&str, &str); 3] =
    [("file.max_bytes", "'7MiB'"), ("file.max_records", "7"), ("sqlite.max_bytes", "'7MiB'")];

fn values() -> BTreeMap<&'static str, &'static str> {
    VALUES.into_iter().chain(SHARED_NAMES).collect()
}

/// All settings except tables.
fn settings() -> Vec<String> {
    let mut all = Vec::new();
    for (table, names) in TABLES {
        for name in names {
            let name = name.trim_start_matches("r#");
            let is_table = table.is_empty()
                && (["store", "caches"].contains(&name) || TABLES.iter().any(|t| t.0 == name));
            if !is_table {
                all.push(if table.is_empty() {
                    name.to_owned()
                } else {
                    format!("{table}.{name}")
                });
            }
        }
    }
    all
}

fn with(setting: &str, value: &str) -> Config {
    Config::from_toml(&format!("{setting} = {value}")).unwrap()
}

/// All settings of a builder, as text. The system clock shows an instant, so it is replaced.
fn told(builder: CacheBuilder) -> String {
    format!("{:?}", builder.clock(Still))
}

#[derive(Debug)]
struct Still;

impl fragcache::Clock for Still {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn every_setting_reaches_the_builder() {
    let values = values();
    let base = Config::from_toml("type = 'nowhere'").unwrap();
    let plain = told(base.clone().into_builder_with(&stores()).unwrap());
    for setting in settings() {
        let value = values.get(&*setting).unwrap_or_else(|| panic!("no value for {setting}"));
        let config = with(&setting, value);
        let table = setting.split('.').next();
        if setting == "type" || matches!(table, Some("redis" | "file" | "sqlite" | "memcached")) {
            assert_ne!(config, Config::default(), "{setting}");
            continue;
        }
        let variables = [(environment::variable("X_", &setting), value.trim_matches('\''))];
        let config = base.clone().with_variables("X_", variables).unwrap();
        let reached = told(config.into_builder_with(&stores()).unwrap());
        assert_ne!(reached, plain, "{setting} does nothing");
    }
}

#[test]
fn a_variable_is_read_as_the_file_is() {
    for (setting, value) in values() {
        if value.is_empty() {
            continue;
        }
        let variables = [(environment::variable("X_", setting), value.trim_matches('\''))];
        let config = Config::default().with_variables("X_", variables).unwrap();
        assert_eq!(config.0.settings, with(setting, value).0.settings, "{setting}");
    }
}

#[test]
fn durations_are_seconds_or_texts() {
    let span = |text: &str| with("wait_limit", text).0.settings.wait_limit;
    for (text, millis) in
        [("2", 2000), ("0.5", 500), ("'2'", 2000), ("'1m 1s'", 61_000), ("'0s'", 0), ("0", 0)]
    {
        assert_eq!(span(text), Some(Seconds(Duration::from_millis(millis))), "{text}");
    }
    let ttl = |text: &str| with("default_timeout", text).0.settings.default_timeout;
    assert_eq!(ttl("'never'"), Some(Life(None)));
    assert_eq!(ttl("90"), Some(Life(Some(Duration::from_secs(90)))));
}

#[test]
fn sizes_are_bytes_or_texts() {
    let size = |text: &str| with("max_bytes", text).0.settings.max_bytes;
    for (text, bytes) in [
        ("7", 7),
        ("'7'", 7),
        ("'7B'", 7),
        ("'7KiB'", 7 << 10),
        ("'64 MiB'", 64 << 20),
        ("'1GiB'", 1 << 30),
    ] {
        assert_eq!(size(text), Some(Bytes(bytes)), "{text}");
    }
    let above =
        |text: &str| with("far.compress_above", text).0.settings.far.unwrap().compress_above;
    assert_eq!(above("'never'"), Some(Above(None)));
    assert_eq!(above("0"), Some(Above(Some(0))));
}

#[test]
fn secrets_are_not_shown() {
    let secrets = "type = 'redis'\nredis.url = 'redis://me:hunter2@h'\nredis.password = 'hunter2'\n\
                   far.mac_key = 'hunter2hunter2hunter2'\n\
                   opaque_keys = 'hunter2hunter2hunter2'\nstore.token = 'hunter2'";
    let config = Config::from_toml(secrets).unwrap();
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains("hunter2") && shown.contains("token"), "{shown}");
}

#[test]
fn a_variable_replaces_the_other_way_to_say_the_same() {
    let file = "type = 'redis'\nopaque_keys = 'c'\n[far]\nnear_ttl = 1\nmac_key = 'a'\n[redis]\nurl = 'redis://h'\n\
                password = 'b'";
    let variables = [
        ("X_FAR__NEAR", "false"),
        ("X_FAR__MAC_KEY_FILE", "key"),
        ("X_REDIS__PASSWORD_FILE", "password"),
        ("X_OPAQUE_KEYS_FILE", "opaque"),
    ];
    let config = Config::from_toml(file).unwrap().with_variables("X_", variables).unwrap();
    assert_eq!(config.0.settings.opaque_keys, None);
    assert!(config.0.settings.opaque_keys_file.is_some());
    let Settings { far: Some(far), redis: Some(redis), .. } = config.0.settings else {
        panic!("a table is gone")
    };
    assert_eq!((far.near, far.near_ttl), (Some(false), None));
    assert_eq!((far.mac_key, redis.password), (None, None));
    assert!(far.mac_key_file.is_some() && redis.password_file.is_some() && redis.url.is_some());
}

#[test]
fn a_variable_that_chooses_another_type_puts_tables_aside() {
    let file =
        "type = 'redis'\nmax_entries = 7\n[far]\nprefix = 'shop'\n[redis]\nurl = 'redis://h'";
    let config = Config::from_toml(file).unwrap();
    let chosen = |kind| config.clone().with_variables("X_", [("X_TYPE", kind)]).unwrap();
    let builder = told(chosen("memory").into_builder().unwrap());
    assert!(builder.contains("far: None") && builder.contains("max_entries: 7"), "{builder}");
    assert_eq!(chosen("nowhere").0.settings.far.unwrap().prefix.as_deref(), Some("shop"));
    assert!(chosen("redis").0.settings.redis.is_some());
}

#[test]
fn the_null_cache_stores_nothing_under_any_settings() {
    let file = "type = 'null'\n[redis]\nurl = 'redis://h'\n[file]\ndir = 'x'";
    let cache = Config::from_toml(file).unwrap().build().unwrap();
    let fragment = Fragment::new(fragment_key!("row"));
    cache.render(&fragment, || "once").unwrap();
    assert_eq!(&*cache.render(&fragment, || "twice").unwrap(), "twice");
}

#[test]
fn secrets_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let config = |path: &std::path::Path| {
        let file = path.display();
        Config::from_toml(&format!("type = 'nowhere'\nfar.mac_key_file = '{file}'")).unwrap()
    };
    std::fs::write(&path, "0123456789abcdef\r\n").unwrap();
    // Only processes with the same secret read each other's records.
    let store = MemoryStore::new();
    let shared = store.clone();
    let stores_of_one = Stores::new().with("nowhere", move |_| Ok(shared.clone()));
    let row = Fragment::new(fragment_key!("row"));
    let cache = config(&path).build_with(&stores_of_one).unwrap();
    cache.render(&row, || "once").unwrap();
    let process = |key: &str| {
        let level = FarLevel::new(store.clone()).mac_key(key);
        FragmentCache::builder().far(level).build().unwrap().get(row.key()).unwrap()
    };
    assert_eq!(process("0123456789abcdef").as_deref(), Some("once"));
    assert_eq!(process("0123456789abcdef\r"), None);

    std::fs::write(&path, "\n").unwrap();
    let empty = config(&path).into_builder_with(&stores()).unwrap_err();
    assert!(empty.message().contains("is empty") && empty.location().unwrap().line == 2, "{empty}");
    let gone = config(&folder.path().join("gone")).into_builder_with(&stores()).unwrap_err();
    assert!(gone.message().contains("cannot be read"), "{gone}");
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_its_own_kind() {
    let error = Config::from_file("no/such/cache.toml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.message().contains("no/such/cache.toml"), "{error}");
}

/// The settings of a store that another crate declares.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Shelf {
    #[allow(dead_code, reason = "only its presence counts")]
    path: String,
    wait: Option<Seconds>,
    size: Option<Bytes>,
}

fn open_shelf(config: &Config) -> Result<(Duration, usize), String> {
    let read = std::sync::Arc::new(std::sync::Mutex::new((Duration::ZERO, 0)));
    let seen = std::sync::Arc::clone(&read);
    let stores = Stores::new().with("shelf", move |settings| {
        let Shelf { wait, size, .. } = settings.read()?;
        *seen.lock().unwrap() = (wait.unwrap().0, size.unwrap().0);
        Ok(Nowhere)
    });
    config.build_with(&stores).map_err(|error| error.to_string())?;
    let read = *read.lock().unwrap();
    Ok(read)
}

#[test]
fn another_crates_settings_may_use_the_notations() {
    let expected = Ok((Duration::from_millis(1500), 64 << 10));
    let text = "type = 'shelf'\n[store]\npath = 'x'\nwait = 1.5\nsize = '64KiB'";
    assert_eq!(open_shelf(&Config::from_toml(text).unwrap()), expected);
    let variables = [
        ("X_TYPE", "shelf"),
        ("X_STORE__PATH", "x"),
        ("X_STORE__WAIT", "1s 500ms"),
        ("X_STORE__SIZE", "65536"),
    ];
    assert_eq!(open_shelf(&Config::default().with_variables("X_", variables).unwrap()), expected);
    let text = "type = 'shelf'\nstore.path = 'x'\nstore.wait = 'soon'";
    let error = open_shelf(&Config::from_toml(text).unwrap()).unwrap_err();
    let expected = "store.wait: \"soon\" is not a duration; write seconds (300) or a duration \
                    (\"90s\", \"1h 30m\") (in config:3:7)";
    assert_eq!(error, expected);
}

#[test]
fn a_missing_or_misspelt_setting_of_another_crate_says_what_to_write() {
    let of_file = |text| open_shelf(&Config::from_toml(text).unwrap()).unwrap_err();
    let missing = "store.path is missing; write path in the table [store]";
    assert_eq!(of_file("type = 'shelf'"), format!("{missing} (in config:1:1)"));
    assert_eq!(of_file("type = 'shelf'\n[store]\nsize = 1"), format!("{missing} (in config:2:2)"));
    assert_eq!(
        of_file("type = 'shelf'\nstore.paht = 'x'"),
        "unknown setting store.paht; did you mean path? (in config:2:7)"
    );
    let of_variables = |variables: &[(&str, &str)]| {
        let config = Config::default().with_variables("X_", variables.iter().copied()).unwrap();
        open_shelf(&config).unwrap_err()
    };
    let missing = "X_STORE__PATH is missing; set this variable";
    assert_eq!(of_variables(&[("X_TYPE", "shelf")]), missing);
    assert_eq!(
        of_variables(&[("X_TYPE", "shelf"), ("X_STORE__PAHT", "x")]),
        "unknown setting X_STORE__PAHT; did you mean X_STORE__PATH?"
    );
}
