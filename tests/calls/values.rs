//! Plain values in memory.

use std::sync::{Arc, Mutex};

use fragcache::store::Fault;
use fragcache::testing::{FaultyStore, MemoryStore};
use fragcache::{FarLevel, FragmentCache, Invalidation};
use fragcache_config::Config;
use serde_json::{Value as Json, json};

use super::stage::{Stage, Told};
use super::verdict::{Verdict, absent, different, fixed, same};

pub(super) const CASES: &[Verdict] = &[
    same("set-get-has-delete", Stage::new),
    same("add", Stage::new),
    same("false-values", Stage::new),
    same("many", Stage::new),
    absent("many-given-a-list", "`get_many` and `delete_many` take a list and nothing else"),
    same("delete-many", Stage::new),
    fixed(
        "delete-many-with-errors",
        stops_at_the_first,
        "`delete_each` stops with whoever takes its reports; this process does not serve what it \
         could not delete in the store",
        &[(2, r#"{"raised": "stuck"}"#), (3, r#"{"returned": [null, null, 3]}"#)],
    ),
    different(
        "delete-many-ignoring-errors",
        goes_on,
        "this process does not serve what it could not delete in the store",
        &[(3, r#"{"returned": [null, null, null]}"#)],
    ),
    fixed(
        "delete-many-with-an-exception",
        goes_on_at_broken,
        "`delete_many` goes on whatever the store does",
        &[(3, r#"{"returned": [null, null, null]}"#)],
    ),
    same("clear", Stage::new),
    absent("inc-and-dec", "a counter in a cache is lost with its entry; `Cache` has none either"),
    same("unlink", Stage::new),
    different(
        "timeouts-of-values",
        Stage::new,
        "zero and negative timeouts are errors; `never_expires` says what 0 says there",
        &[
            (2, r#"{"raised": "write none for no expiry"}"#),
            (3, r#"{"raised": "negative"}"#),
            (13, r#"{"returned": null}"#),
        ],
    ),
    same("default-timeout-of-zero", never_by_default),
    absent(
        "threshold",
        "the bound holds at every moment; what is dropped is what is seldom asked for, which no \
         order of expiry foretells",
    ),
    different(
        "threshold-of-zero",
        at_most_none,
        "a bound of zero is an error, not the default",
        &[(2, r#"{"raised": "holds nothing"}"#)],
    ),
    fixed(
        "values-that-cannot-be-stored",
        Stage::new,
        "`set` says that the value cannot be serialized, and what was there stays",
        &[(2, r#"{"raised": "cannot be serialized"}"#), (3, r#"{"returned": 1}"#)],
    ),
    different(
        "keys-of-any-kind",
        Stage::new,
        "1 and \"1\" are one key, as parts of all keys are",
        &[(2, r#"{"returned": "int"}"#)],
    ),
    fixed(
        "values-and-views-share-keys",
        || super::views::index(|view| view),
        "a value, a page and a result are three things",
        &[(2, r#"{"returned": null}"#), (4, r#"{"body": "index 1"}"#)],
    ),
    different(
        "null-cache",
        disabled,
        "a disabled cache says that it kept nothing and deleted nothing",
        &[
            (1, r#"{"returned": false}"#),
            (4, r#"{"returned": false}"#),
            (5, r#"{"returned": false}"#),
        ],
    ),
];

type Flaky = FaultyStore<MemoryStore>;

/// A cache on a store that can refuse all changes to one key's records.
fn flaky() -> (Stage, Flaky) {
    let store = FaultyStore::new(MemoryStore::new());
    let far = FarLevel::new(store.clone());
    (Stage::with(|builder| builder.far(far)), store)
}

/// From now on, refuses to write the version of this key's label, which is the last
/// write of a delete.
fn refuse(store: &Flaky, stage: &Stage, key: &str) {
    let values = stage.cache().values();
    let written = Arc::new(Mutex::new(String::new()));
    store.fail_keys(Fault::Refused, {
        let written = Arc::clone(&written);
        move |key| {
            key.clone_into(&mut written.lock().unwrap());
            false
        }
    });
    values.set(key, &2).unwrap();
    values.delete(key).eventually();
    let label = written.lock().unwrap().clone();
    values.set(key, &2).unwrap();
    store.fail_keys(Fault::Refused, move |key| key == label);
}

fn stops_at_the_first() -> Stage {
    let (stage, store) = flaky();
    stage.says("cache.delete_many", move |stage, _| -> Told {
        refuse(&store, stage, "stuck");
        let values = stage.cache().values();
        let keys = || ["a", "stuck", "b"];
        for (key, done) in keys().into_iter().zip(values.delete_each(keys())) {
            if done == Invalidation::Pending {
                store.heal();
                return Err(format!("the store was not told of {key}"));
            }
        }
        Ok(json!(keys()))
    })
}

fn goes_on() -> Stage {
    reporting("stuck")
}

fn goes_on_at_broken() -> Stage {
    reporting("broken")
}

fn reporting(refused: &'static str) -> Stage {
    let (stage, store) = flaky();
    stage.says("cache.delete_many", move |stage, _| {
        refuse(&store, stage, refused);
        let keys = ["a", refused, "b"];
        let done = stage.cache().values().delete_many(keys);
        store.heal();
        let reports = keys.into_iter().zip(done);
        let gone = reports.filter(|(_, done)| *done != Invalidation::Pending).map(|(key, _)| key);
        Ok(gone.collect::<Json>())
    })
}

fn never_by_default() -> Stage {
    let stage = Stage::empty();
    let config = Config::from_toml("type = \"memory\"\ndefault_timeout = \"never\"").unwrap();
    let cache = config.into_builder().unwrap().clock(stage.clock.clone()).build().unwrap();
    stage.cached("cache", cache)
}

fn at_most_none() -> Stage {
    Stage::empty().acts("values 0 to 501", |_| {}).says("len(", |_, _| {
        let built = FragmentCache::builder().max_entries(0).build();
        built.map(|cache| cache.stats().entries.into()).map_err(|error| error.to_string())
    })
}

fn disabled() -> Stage {
    Stage::empty().cached("cache", FragmentCache::disabled())
}
