//! Examples about values and functions from the manual, the tutorial and the guide to pitfalls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fragcache::memoize::Function;
use fragcache::testing::MemoryStore;
use fragcache::values::SetOptions;
use fragcache::{FarLevel, FragmentCache};
use fragcache_config::{Config, Stores};
use fragcache_servers::{Flavour, RedisServer};
use serde_json::json;

use super::case::Asked;
use super::said::{Py, Said};
use super::stage::{Answered, Memo, Stage, Told};
use super::stores::redis_on;
use super::verdict::{Verdict, absent, as_recorded, different, fixed, same};

const GET_NUMBER: Function = Function::new("Calc::get_number");
const TAGGED: &str = "tags say what belongs together; a key with a star is a key";
const TAGGED_INSTEAD: &[(usize, &str)] = &[(8, r#"{"returned": ["tag"]}"#)];

pub(super) const CASES: &[Verdict] = &[
    // The manual.
    same("two-caches", two_caches),
    different(
        "old-names-of-types",
        by_old_names,
        "`null` and `redis` are names of types here; the others are errors that say what to write",
        &[
            (1, r#"{"raised": "write \"memory\""}"#),
            (2, r#"{"returned": "made"}"#),
            (3, r#"{"raised": "write \"file\""}"#),
            (4, r#"{"returned": "made"}"#),
        ],
    ),
    different(
        "function-with-key-prefix",
        all_comments,
        "a result is no value: the function's own deletion deletes it",
        &[(3, r#"{"returned": null}"#)],
    ),
    fixed(
        "function-with-key-prefix-and-argument",
        double,
        "arguments are part of the key",
        &[(2, r#"{"returned": 4, "computed": {"double": 1}}"#)],
    ),
    fixed(
        "clear-script-of-another-cache",
        two_processes,
        "a script shares a store with the server, never its memory",
        &[],
    ),
    same("explicit-values", set_by_a_page),
    fixed(
        "custom-backend-example",
        a_store_of_ones_own,
        "a store is given by code, and has a name",
        &[],
    ),
    // The tutorial.
    same("profile-forgets-memoized-results", profiles),
    fixed("profile-pattern-deletes-nothing", tagged_profiles, TAGGED, TAGGED_INSTEAD),
    fixed(
        "profile-pattern-deletes-nothing-on-redis",
        tagged_profiles_on_redis,
        TAGGED,
        TAGGED_INSTEAD,
    ),
    absent(
        "has-delete-many-is-always-true",
        "there are no patterns, so that nothing tells who has them",
    ),
    // The guide to pitfalls.
    fixed("delete-memoize-does-not-exist", get_number, "there is one verb, `delete_memoized`", &[]),
    same("delete-memoized-of-a-function", get_number),
    same("delete-memoized-of-one-argument", get_number),
    as_recorded(
        "class-function-as-printed",
        printed,
        "the guide is wrong about what does not delete",
    ),
    different(
        "class-method-deleted-without-class",
        class_method,
        "the class is said where the method is",
        &[(2, r#"{"returned": null}"#), (3, r#"{"computed": {"get_number": 1}}"#)],
    ),
    as_recorded(
        "class-method-deleted-by-function",
        class_method,
        "the guide is wrong about what does not delete",
    ),
    same("class-method-deleted-with-class-and-argument", class_method),
    fixed(
        "class-method-deleted-with-class-alone",
        by_class,
        "a class without arguments is all of its results",
        &[],
    ),
];

fn two_caches() -> Stage {
    Stage::empty()
        .cached("first", FragmentCache::in_memory())
        .cached("second", FragmentCache::in_memory())
}

fn by_old_names() -> Stage {
    Stage::empty().says("make(", |_, call| -> Told {
        let said = Said::read(call).unwrap();
        let mut text = format!("type = {:?}\n", said.args[0].text());
        if call.contains("redis") {
            text.push_str("[redis]\nurl = \"redis://127.0.0.1:1\"\n");
        }
        let built = Config::from_toml(&text).and_then(|config| config.build());
        built.map(|_| json!("made")).map_err(|error| error.to_string())
    })
}

fn all_comments() -> Stage {
    let comments = Memo::new(Function::new("get_all_comments")).counted("get_all_comments");
    let authors = |_: &Stage, runs, _: &[Py]| json!([format!("author {runs}")]);
    Stage::new().memo("get_all_comments", comments.seconds(50).gives(authors)).says(
        "cache.delete('all_comments')",
        |stage, _| {
            let calls = Function::new("get_all_comments").call();
            let done = stage.cache().delete_memoized(calls).unwrap();
            Ok(json!(done == fragcache::Invalidation::Removed))
        },
    )
}

fn double() -> Stage {
    let double = Memo::new(Function::new("double")).counted("double");
    Stage::new().memo("double", double.gives(|_, _, args| json!(2 * args[0].int())))
}

fn two_processes() -> Stage {
    let store = MemoryStore::new();
    let process = || {
        let far = FarLevel::new(store.clone());
        FragmentCache::builder().far(far).build().unwrap()
    };
    Stage::empty().cached("cache", process()).cached("script", process())
}

fn set_by_a_page() -> Stage {
    Stage::new().asked(|stage, asked| {
        let values = stage.cache().values();
        if let Some(text) = asked.path.strip_prefix("/html/") {
            values.set("foo", text).unwrap();
        }
        let found = values.get::<String>("foo");
        let found = found.unwrap_or_else(|| "None".to_owned());
        Answered::text(format!("<html><body>foo cache: {found}</body></html>"))
    })
}

fn a_store_of_ones_own() -> Stage {
    Stage::empty().says("make()", |_, _| -> Told {
        let stores = Stores::new().with("mine", |_| Ok(MemoryStore::new()));
        let config = Config::from_toml("type = \"mine\"");
        let built = config.and_then(|config| config.build_with(&stores));
        built.map(|_| json!("made")).map_err(|error| error.to_string())
    })
}

/// Users whose results are memoized, and a page that changes one.
fn profiles_on(stage: Stage) -> Stage {
    type Users = Arc<Mutex<BTreeMap<i64, String>>>;
    const OF_USER: Function = Function::new("get_user_data");
    const POSTS: Function = Function::new("get_user_posts");
    let users: Users = Arc::new(Mutex::new([(1, "ann".to_owned()), (2, "bob".to_owned())].into()));
    let (for_data, for_posts) = (Arc::clone(&users), Arc::clone(&users));
    let name = |users: &Users, args: &[Py]| users.lock().unwrap()[&args[0].int()].clone();
    let data = Memo::new(OF_USER).counted("get_user_data").seconds(300);
    let posts = Memo::new(POSTS).counted("get_user_posts").seconds(600);
    stage
        .memo("get_user_data", data.gives(move |_, _, args| json!({"name": name(&for_data, args)})))
        .memo(
            "get_user_posts",
            posts.gives(move |_, _, args| json!([format!("a post of {}", name(&for_posts, args))])),
        )
        .asked(move |stage, asked: &Asked| {
            let id = asked.path.split('/').nth(2).unwrap().parse::<i64>().unwrap();
            let name = asked.data["name"].as_str().unwrap().to_owned();
            users.lock().unwrap().insert(id, name);
            let cache = stage.cache();
            cache.delete_memoized(OF_USER.call().arg(&id)).unwrap().eventually();
            cache.delete_memoized(POSTS.call().arg(&id)).unwrap().eventually();
            cache.invalidate_tags([format!("user:{id}")]).unwrap().eventually();
            Answered::text("{\"success\":true}\n")
        })
}

fn profiles() -> Stage {
    profiles_on(Stage::new())
}

/// Like `profiles`, with a tag per user on everything that belongs to the user.
fn tagged(stage: Stage) -> Stage {
    profiles_on(stage)
        .says("cache.set('user_", |stage, call| -> Told {
            let said = Said::read(call).unwrap();
            let (key, value) = (said.args[0].text(), said.args[1].text());
            let id = key.split('_').nth(1).unwrap();
            let keep = SetOptions::new().tags([format!("user:{id}")]);
            Ok(json!(stage.cache().values().set_with(key, value, &keep).unwrap()))
        })
        .says("cache.get('user_", |stage, call| {
            let said = Said::read(call).unwrap();
            Ok(json!(stage.cache().values().get::<String>(&said.args[0])))
        })
        .says("cache.delete_many('user_1*')", |stage, _| {
            stage.cache().invalidate_tags(["user:1"]).unwrap().eventually();
            Ok(json!(["tag"]))
        })
}

fn tagged_profiles() -> Stage {
    tagged(Stage::new())
}

fn tagged_profiles_on_redis() -> Stage {
    tagged(redis_on(RedisServer::start(Flavour::Redis)))
}

fn get_number_of(memo: Memo) -> Memo {
    let number = |_: &Stage, _, args: &[Py]| json!(5 + args.first().map_or(0, Py::int));
    memo.counted("get_number").seconds(600).gives(number)
}

fn get_number() -> Stage {
    Stage::new().memo("get_number", get_number_of(Memo::new(GET_NUMBER))).says(
        "cache.delete_memoize(",
        |stage, _| {
            stage.cache().delete_memoized(GET_NUMBER).unwrap().eventually();
            Ok(json!(null))
        },
    )
}

fn printed() -> Stage {
    Stage::new().memo("Calc.get_number", get_number_of(Memo::new(GET_NUMBER))).says(
        "cache.delete_memoized(Calc.get_number, Calc, 5)",
        |stage, _| {
            stage
                .cache()
                .delete_memoized(GET_NUMBER.call().arg("Calc").arg(&5))
                .unwrap()
                .eventually();
            Ok(json!(null))
        },
    )
}

fn class_method() -> Stage {
    let of_class = get_number_of(Memo::of(GET_NUMBER, "Calc"));
    Stage::new().memo("Calc.get_number", of_class.taking(&[("x", Some("0"))]))
}

fn by_class() -> Stage {
    class_method().says("cache.delete_memoized(Calc.get_number, Calc)", |stage, _| {
        stage.cache().delete_memoized(GET_NUMBER.of("Calc")).unwrap().eventually();
        Ok(json!(null))
    })
}
