//! Values and functions on a server and in files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fragcache::memoize::Function;
use fragcache::values::{SetOptions, SetReport};
use fragcache::{FarLevel, FragmentCache};
use fragcache_file::{FileOptions, FileStore};
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer};
use redis::Commands;
use serde_json::json;

use super::said::{Py, Said};
use super::stage::{Memo, Stage, Told};
use super::verdict::{Verdict, absent, different, fixed, same};

pub(super) const CASES: &[Verdict] = &[
    same("redis-values", redis),
    fixed(
        "delete-many-with-a-glob",
        tagged_users,
        "tags say what belongs together; a key with a star is a key",
        &[
            (2, r#"{"returned": ["tag"]}"#),
            (6, r#"{"returned": ["tag"]}"#),
            (10, r#"{"returned": ["tag"]}"#),
        ],
    ),
    same("delete-with-a-glob", redis),
    different(
        "redis-unlink",
        redis,
        "`delete_many` is the same on every store",
        &[(2, r#"{"returned": ["a", "missing"]}"#), (3, r#"{"returned": []}"#)],
    ),
    different(
        "redis-clear-with-prefix",
        with_a_stranger,
        "no key is searched for, so that nobody counts them",
        &[(4, r#"{"returned": true}"#)],
    ),
    different(
        "redis-clear-without-prefix",
        with_a_stranger,
        "there is always a prefix, and never a flush",
        &[(3, r#"{"returned": 1}"#)],
    ),
    fixed(
        "redis-clear-of-a-shorter-prefix",
        of_prefixes,
        "a prefix is compared whole",
        &[(3, r#"{"returned": 1}"#)],
    ),
    fixed(
        "redis-clear-with-a-pattern-as-prefix",
        of_a_pattern,
        "a prefix that is a pattern is an error",
        &[(2, r#"{"raised": "prefix"}"#), (3, r#"{"returned": 1}"#)],
    ),
    absent("prefix-in-memory", "keys in memory are not texts; a prefix is a setting of `[far]`"),
    different(
        "redis-timeouts",
        redis,
        "a timeout of zero is an error",
        &[(1, r#"{"raised": "write none for no expiry"}"#), (2, r#"{"returned": null}"#)],
    ),
    absent("redis-inc", "a counter in a cache is lost with its entry"),
    same("redis-memoize", redis),
    different(
        "file-values",
        files,
        "a deletion says whether there was a value; a number is a key",
        &[(6, r#"{"returned": false}"#), (8, r#"{"returned": true}"#)],
    ),
    fixed(
        "file-timeouts",
        files,
        "what has expired is gone when it has, and may be added",
        &[
            (3, r#"{"returned": null}"#),
            (6, r#"{"returned": true}"#),
            (7, r#"{"returned": 2}"#),
            (8, r#"{"raised": "negative"}"#),
        ],
    ),
    absent(
        "file-threshold",
        "files are bounded by bytes and records, and what was not used for longest goes first",
    ),
    same("file-mode", files),
];

/// A server with a deadline that only a failing test reaches.
fn patient(url: String) -> RedisOptions {
    let patience = Duration::from_secs(10);
    RedisOptions::new(url).operation_timeout(patience).connect_timeout(patience)
}

/// Without jitter, which would shorten TTLs by an unknown share.
fn on(stage: &Stage, far: FarLevel) -> FragmentCache {
    let builder = FragmentCache::builder().clock(stage.clock.clone());
    builder.far(far).jitter(0.0).build().unwrap()
}

/// A cache on a server, which is dropped with the stage.
pub(super) fn redis_on(server: RedisServer) -> Stage {
    let stage = Stage::empty();
    let cache = on(&stage, FarLevel::new(patient(server.url()).open().unwrap()));
    let url = server.url();
    let stage = stage.cached("cache", cache).holding(server);
    // The requests that Python sends to the server directly.
    let asked = move |_: &Stage, call: &str| -> Told {
        let mut server = redis::Client::open(&*url).unwrap().get_connection().unwrap();
        if call.contains("exists('other')") {
            return Ok(json!(i32::from(server.exists::<_, bool>("other").unwrap())));
        }
        let keys: Vec<String> = server.keys("*:e:*").unwrap();
        let lives = keys.iter().map(|key| server.ttl::<_, i64>(key).unwrap());
        Ok(json!(lives.max()))
    };
    stage.says("cache.cache._read_client", asked)
}

fn redis() -> Stage {
    redis_on(RedisServer::start(Flavour::Redis)).memo("f", Memo::new(Function::new("f")))
}

fn with_a_stranger() -> Stage {
    let server = RedisServer::start(Flavour::Redis);
    let mut plain = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    plain.set::<_, _, ()>("other", "x").unwrap();
    redis_on(server)
}

fn of_prefixes() -> Stage {
    let server = RedisServer::start(Flavour::Redis);
    let stage = Stage::empty();
    let of =
        |prefix| on(&stage, FarLevel::new(patient(server.url()).open().unwrap()).prefix(prefix));
    let (first, second) = (of("app"), of("app2"));
    stage.cached("first", first).cached("second", second).holding(server)
}

fn of_a_pattern() -> Stage {
    let server = RedisServer::start(Flavour::Redis);
    let stage = Stage::empty();
    let far = |prefix| FarLevel::new(patient(server.url()).open().unwrap()).prefix(prefix);
    let second = on(&stage, far("shop1"));
    let first = FragmentCache::builder().far(far("shop?")).build();
    let refused = first.map(|_| ()).map_err(|error| error.to_string());
    stage
        .cached("second", second)
        .holding(server)
        .says("first.clear()", move |_, _| refused.clone().map(|()| json!(true)))
}

fn open(stage: &Stage, folder: &Path, settings: impl FnOnce(FileOptions) -> FileOptions) {
    let options = settings(FileStore::options().clock(stage.clock.clone()));
    let store = options.open(folder).unwrap();
    stage.set_cache("cache", on(stage, FarLevel::new(store)));
}

fn files() -> Stage {
    let stage = Stage::empty();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    open(&stage, &first, |options| options);
    let (before, after) = (first, second.clone());
    stage
        .holding(folder)
        .acts("from here on", move |stage| open(stage, &second, |options| options.mode(0o640)))
        .says("oct(", move |_, _| {
            let folder = if after.exists() { &after } else { &before };
            Ok(json!(format!("0o{:o}", mode_of_a_file(folder))))
        })
}

/// The file mode of the first file found, at any depth.
fn mode_of_a_file(folder: &Path) -> u32 {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let paths: Vec<PathBuf> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        if let Some(file) = paths.iter().find(|path| path.is_file()) {
            return file.metadata().unwrap().permissions().mode() & 0o777;
        }
        folders.extend(paths);
    }
    panic!("no file in {}", folder.display())
}

/// Entries of users under the users' tags, on a server, in files and in memory.
fn tagged_users() -> Stage {
    let stage = redis_on(RedisServer::start(Flavour::Redis));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("files");
    stage
        .holding(folder)
        .acts("from here on", move |stage| {
            if path.exists() {
                stage.set_cache("cache", FragmentCache::in_memory());
            } else {
                open(stage, &path, |options| options);
            }
        })
        .says("cache.set_many(", |stage, call| -> Told {
            let said = Said::read(call).unwrap();
            let Py::Dict(pairs) = &said.args[0] else { panic!("{call} without pairs") };
            let values: Vec<_> = pairs.iter().map(|(key, value)| (key, value.json())).collect();
            let keep = SetOptions::new().tags(["users"]);
            let pairs = values.iter().map(|(key, value)| (*key, value));
            let reports = stage.cache().values().set_many(pairs, &keep).unwrap();
            let set = values.iter().zip(reports).filter(|(_, report)| *report == SetReport::Stored);
            Ok(set.map(|((key, _), _)| key.json()).collect())
        })
        .says("cache.delete_many('user_*')", |stage, _| {
            stage.cache().invalidate_tags(["users"]).unwrap().eventually();
            Ok(json!(["tag"]))
        })
}
