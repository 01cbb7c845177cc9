//! The parts of a call that make up its key.

use std::sync::Mutex;

use fragcache::memoize::Function;
use serde_json::{Value as Json, json};

use super::said::Py;
use super::stage::{Memo, Stage};
use super::verdict::{Verdict, absent, different, fixed, same};

const F: Function = Function::new("f");
const BY_VALUE: &str = "arguments are compared by value, not by repr";

pub(super) const CASES: &[Verdict] = &[
    same("arguments-are-the-key", big_foo),
    same("arguments-by-name-and-position", with_a_default),
    same("arguments-by-repr", of_one),
    fixed(
        "arguments-dict-order",
        of_one,
        BY_VALUE,
        &[
            (2, r#"{"returned": 1, "computed": {}}"#),
            (3, r#"{"returned": 2}"#),
            (4, r#"{"returned": 2, "computed": {}}"#),
        ],
    ),
    same("arguments-none-and-missing", with_none_as_default),
    absent("arguments-variadic", "a Rust function has no such parameters; a list or a map is one"),
    same("arguments-mutable", of_a_list),
    different(
        "arguments-objects-without-repr",
        of_equal_objects,
        BY_VALUE,
        &[(2, r#"{"returned": 1, "computed": {}}"#)],
    ),
    same("arguments-objects-with-repr", of_persons),
    different(
        "caching-id",
        with_identities,
        BY_VALUE,
        &[(4, r#"{"returned": 1, "computed": {}}"#)],
    ),
    same("method-by-repr-of-self", memberships),
    same("method-without-repr", counters),
    same("class-method-by-class", class_methods),
    fixed(
        "functions-of-one-name",
        of_one_name,
        "two functions have two names",
        &[(2, r#"{"returned": "second 1", "computed": {"second": 1}}"#)],
    ),
    same("args-to-ignore", ignoring_the_connection),
    same("args-to-ignore-self", ignoring_self),
    same("args-to-ignore-by-name", ignoring_the_first),
    fixed(
        "arguments-of-one-repr-collide",
        of_looks,
        BY_VALUE,
        &[(2, r#"{"returned": "int", "computed": {"f": 1}}"#)],
    ),
];

fn big_foo() -> Stage {
    let sum = |_: &Stage, _, args: &[Py]| json!(args[0].int() + args[1].int());
    Stage::new().memo("big_foo", Memo::new(F).seconds(50).gives(sum))
}

fn with_a_default() -> Stage {
    Stage::new().memo("f", Memo::new(F).taking(&[("a", None), ("b", Some("2"))]))
}

fn of_one() -> Stage {
    Stage::new().memo("f", Memo::new(F))
}

fn with_none_as_default() -> Stage {
    Stage::new().memo("f", Memo::new(F).taking(&[("a", Some("None")), ("b", Some("0"))]))
}

fn of_a_list() -> Stage {
    static NUMBERS: Mutex<Vec<i64>> = Mutex::new(Vec::new());
    *NUMBERS.lock().unwrap() = vec![1, 2];
    let sum = |_: &Stage, _, args: &[Py]| {
        let Py::List(numbers) = &args[0] else { panic!("no list") };
        json!(numbers.iter().map(Py::int).sum::<i64>())
    };
    Stage::new()
        .memo("f", Memo::new(F).gives(sum))
        .says("f(numbers)", |stage, _| {
            let numbers = NUMBERS.lock().unwrap().iter().copied().map(Py::Int).collect();
            stage.run("f", &[Py::List(numbers)])
        })
        .acts("numbers.append(3)", |_| NUMBERS.lock().unwrap().push(3))
        .acts("numbers.pop()", |_| assert_eq!(NUMBERS.lock().unwrap().pop(), Some(3)))
}

fn of_equal_objects() -> Stage {
    of_one().object("x", Py::Tuple(Vec::new())).object("y", Py::Tuple(Vec::new()))
}

fn person(id: i64, name: &str) -> Py {
    Py::Tuple(vec![Py::Int(id), Py::Text(name.to_owned())])
}

fn parts(of: &Py) -> &[Py] {
    let Py::Tuple(parts) = of else { panic!("{of:?} is no object") };
    parts
}

fn of_persons() -> Stage {
    let name = |_: &Stage, _, args: &[Py]| parts(&args[0])[1].json();
    Stage::new()
        .memo("f", Memo::new(F).keyed(|args| vec![parts(&args[0])[0].clone()]).gives(name))
        .object("Person(1, 'ann')", person(1, "ann"))
        .object("Person(1, 'bob')", person(1, "bob"))
        .object("Person(2, 'bob')", person(2, "bob"))
}

fn with_identities() -> Stage {
    let own = || Memo::of(Function::new("Own::g"), 1).counted("g");
    of_one()
        .memo("a.g", own())
        .memo("b.g", own())
        .object("a", Py::Tuple(vec![Py::Int(1)]))
        .object("b", Py::Tuple(vec![Py::Int(1)]))
}

fn memberships() -> Stage {
    let of = |id: u32| {
        let member = Memo::of(Function::new("Member::has_membership"), id);
        member.counted("has_membership").seconds(50).gives(move |_, _, _| json!(id == 1))
    };
    Stage::new().memo("Member(1).has_membership", of(1)).memo("Member(2).has_membership", of(2))
}

fn counters() -> Stage {
    let of = |id: u32| Memo::of(Function::new("Counter::count"), id).counted("count");
    Stage::new().memo("x.count", of(1)).memo("y.count", of(2))
}

fn class_methods() -> Stage {
    let of = |class: &'static str| {
        let method = Memo::of(Function::new("Base::f"), class).counted("f");
        method.gives(move |_, _, args| json!(format!("{class} {}", args[0].int())))
    };
    Stage::new()
        .memo("Base.f", of("Base"))
        .memo("Child.f", of("Child"))
        .memo("Base().f", of("Base"))
}

/// `name` and the number of its runs.
pub(super) fn named(name: &'static str) -> impl Fn(&Stage, u64, &[Py]) -> Json + Send + Sync {
    move |_, runs, _| json!(format!("{name} {runs}"))
}

fn of_one_name() -> Stage {
    Stage::new()
        .memo("first", Memo::new(Function::new("first")).counted("first").gives(named("first")))
        .memo("second", Memo::new(Function::new("second")).counted("second").gives(named("second")))
}

fn ignoring_the_connection() -> Stage {
    let by = |_: &Stage, runs, args: &[Py]| {
        json!(format!("{} by {} {runs}", args[0].int(), args[1].text()))
    };
    let parameters = &[("a", None), ("connection", None)];
    Stage::new()
        .memo("f", Memo::new(F).taking(parameters).keyed(|args| vec![args[0].clone()]).gives(by))
}

fn ignoring_self() -> Stage {
    let count = || Memo::new(Function::new("Counter::count")).counted("count");
    Stage::new().memo("x.count", count()).memo("y.count", count())
}

fn ignoring_the_first() -> Stage {
    let all = |_: &Stage, runs, args: &[Py]| {
        let args: Vec<_> = args.iter().map(|arg| arg.json().to_string()).collect();
        json!(format!("{} {runs}", args.join(" ")))
    };
    let parameters = &[("a", Some("None")), ("b", Some("0")), ("c", Some("0"))];
    Stage::new()
        .memo("f", Memo::new(F).taking(parameters).keyed(|args| args[1..].to_vec()).gives(all))
}

fn of_looks() -> Stage {
    let kind = |_: &Stage, _, args: &[Py]| match &args[0] {
        Py::Int(_) => json!("int"),
        _ => json!("Looks"),
    };
    Stage::new().memo("f", Memo::new(F).gives(kind)).object("Looks()", Py::Tuple(vec![Py::Int(1)]))
}
