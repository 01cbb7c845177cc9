//! Deletion of memoized results.

use std::collections::BTreeSet;
use std::sync::Mutex;

use fragcache::Invalidation;
use fragcache::memoize::Function;
use serde_json::json;

use super::said::{Py, Said};
use super::stage::{Memo, Stage, Told};
use super::verdict::{Verdict, absent, different, fixed, same};

const F: Function = Function::new("f");
const ADD: Function = Function::new("Adder::add");
const COMPILED: &str = "what to delete is checked by the compiler";

pub(super) const CASES: &[Verdict] = &[
    same("delete-one-argument-list", param_func),
    same("delete-by-name-and-position", with_a_default),
    same("delete-all-of-a-function", membership),
    same("delete-one-membership", membership),
    same("delete-of-a-class-method", class_method),
    same("delete-of-a-bound-method", adders),
    same("delete-of-a-method-of-all-objects", adders),
    same("delete-of-one-result-of-a-method", adders),
    same("delete-of-a-method-without-the-object", adders),
    same("delete-by-an-equal-object", adders),
    fixed(
        "delete-reaches-objects-of-a-similar-repr",
        dashed,
        "an identity is compared whole",
        &[(4, r#"{"returned": 5, "computed": {}}"#)],
    ),
    different(
        "delete-returns-nothing",
        telling,
        "a deletion says whether there was a result",
        &[(2, r#"{"returned": false}"#), (4, r#"{"returned": true}"#)],
    ),
    same("delete-with-another-type", one),
    absent("delete-with-wrong-arguments", COMPILED),
    same("delete-with-ignored-arguments", ignoring),
    absent("delete-by-a-name", COMPILED),
    absent("delete-of-a-plain-function", COMPILED),
    same("delete-by-the-functions-own-method", one),
    fixed(
        "own-method-of-a-bound-method",
        adders,
        "an object's results are an object's",
        &[(4, r#"{"returned": 5, "computed": {}}"#)],
    ),
    same("delete-verhash", one),
    same("delete-verhash-of-methods", adders),
    different(
        "delete-verhash-with-arguments",
        one,
        "a deletion with arguments is of one result",
        &[(4, r#"{"returned": 2, "computed": {}}"#)],
    ),
    fixed(
        "delete-while-running",
        deleting_itself,
        "what is deleted while it is computed is not kept",
        &[
            (2, r#"{"returned": 2, "computed": {"f": 1}}"#),
            (3, r#"{"returned": 3}"#),
            (4, r#"{"returned": 4}"#),
        ],
    ),
];

fn one() -> Stage {
    Stage::new().memo("f", Memo::new(F))
}

fn param_func() -> Stage {
    Stage::new().memo("param_func", Memo::new(F))
}

fn membership() -> Stage {
    Stage::new().memo("user_has_membership", Memo::new(F))
}

fn with_a_default() -> Stage {
    Stage::new().memo("f", Memo::new(F).taking(&[("a", None), ("b", Some("2"))]))
}

fn class_method() -> Stage {
    let sum = |_: &Stage, runs: u64, args: &[Py]| {
        json!(u64::try_from(args[0].int() + args[1].int()).unwrap() + 100 * runs)
    };
    let big_foo = Memo::of(Function::new("Foobar::big_foo"), "Foobar").counted("big_foo");
    Stage::new().memo("Foobar.big_foo", big_foo.seconds(5).gives(sum))
}

/// A method that returns its argument plus the number of its runs.
fn adding(memo: Memo) -> Memo {
    memo.counted("add").gives(|_, runs, args| json!(u64::try_from(args[0].int()).unwrap() + runs))
}

fn adders() -> Stage {
    let of = |id: u32| adding(Memo::of(ADD, id));
    Stage::new()
        .memo("adder1.add", of(1))
        .memo("Adder(1).add", of(1))
        .memo("adder2.add", of(2))
        .memo("Adder.add", adding(Memo::new(ADD)))
}

fn dashed() -> Stage {
    let of = |id: &str| adding(Memo::of(ADD, id));
    Stage::new().memo("dashed.add", of("a-b")).memo("plain.add", of("ab"))
}

fn telling() -> Stage {
    one().says("cache.delete_memoized", |stage, call| -> Told {
        let done = stage.delete_memoized(&Said::read(call).unwrap());
        Ok(json!(done.map_err(|error| error.to_string())? == Invalidation::Removed))
    })
}

fn ignoring() -> Stage {
    Stage::new().memo("f", Memo::new(F).keyed(|args| vec![args[0].clone()]))
}

fn deleting_itself() -> Stage {
    let done = Mutex::new(BTreeSet::new());
    let body = move |stage: &Stage, runs, args: &[Py]| {
        let a = args[0].int();
        if done.lock().unwrap().insert(a) {
            let calls = if a == 1 {
                F.call().arg(&a).into()
            } else {
                fragcache::memoize::CallSelector::from(F)
            };
            stage.cache().delete_memoized(calls).unwrap().eventually();
        }
        json!(runs)
    };
    Stage::new().memo("f", Memo::new(F).gives(body))
}
