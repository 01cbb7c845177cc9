//! The results of a memoized function, and when it runs.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragcache::events::EventKind;
use fragcache::memoize::Function;
use fragcache::testing::Recorder;
use fragcache::{FarLevel, Invalidation, current};
use fragcache_redis::RedisOptions;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::functions::named;
use super::said::{Py, Said};
use super::stage::{Answered, Memo, Stage};
use super::verdict::{Verdict, absent, different, fixed, same};

const F: Function = Function::new("f");

pub(super) const CASES: &[Verdict] = &[
    same("memoize-unless", unless_negative),
    same("memoize-forced-update", refreshing_one),
    absent("memoize-is-stale", "no function is given what a hit found; a version is compared"),
    same("memoize-response-filter", vetoing_none_found),
    different(
        "none-is-computed-again",
        of_none,
        "none is a result; a veto keeps it out",
        &[(2, r#"{"computed": {}}"#)],
    ),
    same("none-is-cached-on-request", of_none),
    same("false-results", of_the_argument),
    same("exceptions-are-not-stored", failing_once),
    same("results-that-cannot-be-stored", of_a_lock),
    same("results-are-copies", of_a_list),
    same("results-keep-their-types", of_a_set),
    absent("generators-are-read", "a function returns what it has collected"),
    same("recursion", fibonacci),
    absent(
        "recursion-into-itself",
        "a recursion without end ends the stack; one that ends is computed, and waits for nothing",
    ),
    different(
        "memoize-timeouts",
        of_odd_timeouts,
        "a timeout of zero goes by the cache, and there is none below it",
        &[(6, r#"{"returned": 2, "computed": {"forever": 1}}"#)],
    ),
    fixed(
        "version-lives-as-long-as-the-latest-result",
        of_two_timeouts,
        "each result has a life of its own",
        &[(5, r#"{"returned": 1, "computed": {}}"#)],
    ),
    same("make-name", of_names_of_their_own),
    absent("hash-method-of-functions", "the whole key is compared, so that no hash is chosen"),
    same("source-check-of-functions", of_two_sources),
    same("memoize-and-cached", two_without_arguments),
    fixed(
        "stampede-of-functions",
        crowded,
        "of several callers one runs the function",
        &[(2, r#"{"computed": {"f": 1}}"#)],
    ),
    different(
        "memoize-while-the-store-is-down",
        without_a_store,
        "a deletion is no error; it is pending until the store has been told",
        &[(3, r#"{"returned": "pending"}"#), (4, r#"{"returned": "pending"}"#)],
    ),
    absent("source-check-as-setting", "a digest is given by the function that wants one"),
    different(
        "none-under-cached",
        plain_and_kept,
        "none is a result; a veto keeps it out",
        &[(3, r#"{"computed": {}}"#)],
    ),
    same("signals", observed),
];

fn unless_negative() -> Stage {
    let memo = Memo::new(F).with(|call, args| call.unless(args[0].int() < 0));
    Stage::new().memo("f", memo)
}

fn refreshing_one() -> Stage {
    let memo = Memo::new(F).with(|call, args| call.refresh(args[0].int() == 1));
    Stage::new().memo("f", memo)
}

fn vetoing_none_found() -> Stage {
    let found = |_: &Stage, _, args: &[Py]| match args[0].int() {
        0 => {
            current::veto();
            json!([])
        }
        n => json!([n]),
    };
    Stage::new().memo("f", Memo::new(F).gives(found))
}

fn of_none() -> Stage {
    Stage::new().memo("f", Memo::new(F).gives(|_, _, _| Json::Null))
}

fn of_the_argument() -> Stage {
    Stage::new().memo("f", Memo::new(F).gives(|_, _, args| args[0].json()))
}

fn failing_once() -> Stage {
    let fails = |_: &Stage, runs, _: &[Py]| match runs {
        1 => Err("division by zero".to_owned()),
        _ => Ok(json!(1)),
    };
    Stage::new().memo("f", Memo::new(F).tries(fails))
}

#[derive(Deserialize)]
struct Lock;

impl Serialize for Lock {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("a lock is no value"))
    }
}

fn of_a_lock() -> Stage {
    Stage::new().says("kind(f())", |stage, _| {
        let Lock = stage.cache().memoize(&F.call(), || {
            stage.tick("f");
            Lock
        });
        Ok(json!("lock"))
    })
}

fn of_a_list() -> Stage {
    fn list(stage: &Stage) -> Vec<u32> {
        stage.cache().memoize(&F.call(), || {
            stage.tick("f");
            vec![1]
        })
    }
    Stage::new()
        .says("f().append(2)", |stage, _| {
            list(stage).push(2);
            Ok(Json::Null)
        })
        .says("f()", |stage, _| Ok(json!(list(stage))))
}

fn of_a_set() -> Stage {
    Stage::new().says("repr(f())", |stage, _| {
        let pair: (u32, BTreeSet<u32>) = stage.cache().memoize(&F.call(), || {
            stage.tick("f");
            (1, BTreeSet::from([2]))
        });
        Ok(json!(format!("{pair:?}")))
    })
}

fn fibonacci() -> Stage {
    let fib = Memo::new(Function::new("fib")).counted("fib").tries(|stage, _, args| {
        let n = args[0].int();
        if n < 2 {
            return Ok(json!(n));
        }
        let part = |n| stage.run("fib", &[Py::Int(n)]).map(|value| value.as_i64().unwrap());
        Ok(json!(part(n - 1)? + part(n - 2)?))
    });
    Stage::new().memo("fib", fib)
}

fn of_odd_timeouts() -> Stage {
    let zero = |name| Memo::new(Function::new(name)).counted(name).seconds(0);
    let default = Memo::new(Function::new("default")).counted("default");
    Stage::new()
        .memo("forever", zero("forever"))
        .memo("default", default)
        .memo("never", zero("never"))
}

fn of_two_timeouts() -> Stage {
    static SECONDS: AtomicU64 = AtomicU64::new(0);
    SECONDS.store(100, Ordering::SeqCst);
    let memo = Memo::new(F)
        .with(|call, _| call.expires_after(Duration::from_secs(SECONDS.load(Ordering::SeqCst))));
    Stage::new().memo("f", memo).acts("f.cache_timeout = 10", |_| {
        SECONDS.store(10, Ordering::SeqCst);
    })
}

fn of_names_of_their_own() -> Stage {
    let of = |name| Memo::new(Function::new(name)).counted(name).gives(named(name));
    Stage::new().memo("first", of("first")).memo("second", of("second"))
}

fn of_two_sources() -> Stage {
    let of = |name: &'static str, source: Option<u64>| {
        let memo = Memo::new(F).counted(name).gives(named(name));
        memo.with(move |call, _| match source {
            Some(source) => call.source(source),
            None => call,
        })
    };
    Stage::new()
        .memo("checked_old", of("old", Some(1)))
        .memo("checked_new", of("new", Some(2)))
        .memo("unchecked_old", of("old", None))
        .memo("unchecked_new", of("new", None))
}

fn two_without_arguments() -> Stage {
    Stage::new().memo("f", Memo::new(F)).memo("g", Memo::new(Function::new("g")).counted("g"))
}

fn crowded() -> Stage {
    Stage::new().memo("f", Memo::new(F)).asked(|stage, _| {
        let done = stage.run("f", &[]);
        Answered { status: if done.is_ok() { 200 } else { 500 }, ..Answered::default() }
    })
}

fn without_a_store() -> Stage {
    let store = RedisOptions::new("redis://127.0.0.1:1").open().unwrap();
    let pending = |stage: &Stage, call: &str| {
        let done = stage.delete_memoized(&Said::read(call).unwrap());
        let done = done.map_err(|error| error.to_string())?;
        Ok(json!(if done == Invalidation::Pending { "pending" } else { "told" }))
    };
    Stage::with(|builder| builder.far(FarLevel::new(store)))
        .memo("f", Memo::new(F))
        .says("cache.delete_memoized", pending)
}

fn plain_and_kept() -> Stage {
    let of = |name| Memo::new(Function::new(name)).counted(name).gives(|_, _, _| Json::Null);
    Stage::new().memo("plain", of("plain")).memo("kept", of("kept"))
}

fn observed() -> Stage {
    let recorder = Recorder::new();
    let heard = Mutex::new(recorder.clone());
    let stage = Stage::with(|builder| builder.observer(recorder));
    stage.memo("f", Memo::new(F)).says("heard", move |_, _| {
        let events = heard.lock().unwrap().events();
        let words = events.iter().filter_map(|event| match event.kind {
            EventKind::Hit => Some("hit"),
            EventKind::Miss(_) => Some("miss"),
            _ => None,
        });
        Ok(words.collect())
    })
}
