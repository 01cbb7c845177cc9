//! Tests of arguments and identities: keys are equal exactly if values are equal by kind and value.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::memoize::{Function, Unordered};
use crate::{FragmentCache, FragmentKey};

const FUNCTION: Function = Function::new("tests::typed");

fn key<T: Serialize + ?Sized>(value: &T) -> FragmentKey {
    // The next argument starts where this one ends.
    let next = FUNCTION.call().arg(value).arg("next").key().unwrap().to_string();
    assert!(next.ends_with(", next)"), "{next}");
    FUNCTION.call().arg(value).key().unwrap()
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Wide(u64),
    Name(String),
    Letter(char),
    Pair(u8, u8),
    Point { x: i8, y: Option<i8> },
    Nothing,
}

impl Id {
    /// The value that serde sees. Two variants may have the same.
    fn model(&self) -> String {
        match self {
            Self::Number(n) => format!("int {n}"),
            Self::Wide(n) => format!("int {n}"),
            Self::Name(text) => format!("text {text}"),
            Self::Letter(letter) => format!("text {letter}"),
            other => format!("{other:?}"),
        }
    }
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        (-3_i64..12).prop_map(Id::Number),
        (0_u64..12).prop_map(Id::Wide),
        "[0-3a]{0,2}".prop_map(Id::Name),
        proptest::char::range('0', '3').prop_map(Id::Letter),
        (0_u8..3, 0_u8..3).prop_map(|(a, b)| Id::Pair(a, b)),
        (0_i8..3, proptest::option::of(0_i8..3)).prop_map(|(x, y)| Id::Point { x, y }),
        Just(Id::Nothing),
    ]
}

/// A small domain, so that equal and nearly equal values are common.
fn json_value() -> impl Strategy<Value = Value> {
    let float = prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(1.5)];
    let text = prop_oneof![Just(""), Just("1"), Just("true"), Just("null"), Just("0.0"), Just("a")];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        float.prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let entries = proptest::collection::vec(("[ab1]{0,1}", inner.clone()), 0..3);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(Value::from),
            entries.prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The equality of `Value`, except that it distinguishes the sign of zero.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| same(a, b)))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            a.as_f64().map(f64::to_bits) == b.as_f64().map(f64::to_bits)
        }
        _ => one == other,
    }
}

proptest! {
    #[test]
    fn json_values_share_a_key_exactly_when_equal(a in json_value(), b in json_value()) {
        let equal = same(&a, &b);
        prop_assert_eq!(key(&a) == key(&b), equal, "{} {}", a, b);
        prop_assert_eq!(key(&a).to_string() == key(&b).to_string(), equal, "{} {}", a, b);
        let (of_a, of_b) = (FUNCTION.of(&a).call().key(), FUNCTION.of(&b).call().key());
        prop_assert_eq!(of_a.unwrap() == of_b.unwrap(), equal);
    }

    #[test]
    fn untagged_variants_share_a_key_exactly_when_serde_sees_one_value(a in id(), b in id()) {
        prop_assert_eq!(key(&a) == key(&b), a.model() == b.model(), "{:?} {:?}", a, b);
    }

    #[test]
    fn maps_count_without_their_order(
        a in proptest::collection::btree_map(0_u8..4, proptest::option::of(0_u8..2), 0..4),
        b in proptest::collection::btree_map(0_u8..4, proptest::option::of(0_u8..2), 0..4),
    ) {
        let hashed: HashMap<_, _> = a.iter().rev().collect();
        prop_assert_eq!(key(&a), key(&hashed));
        prop_assert_eq!(key(&a) == key(&b), a == b);
    }

    #[test]
    fn nested_options_share_a_key_exactly_when_equal(
        a in proptest::option::of(proptest::option::of(proptest::option::of(0_u8..2))),
        b in proptest::option::of(proptest::option::of(proptest::option::of(0_u8..2))),
    ) {
        prop_assert_eq!(key(&a) == key(&b), a == b);
    }

    #[test]
    fn bytes_that_are_no_key_are_shown_without_a_panic(
        bytes in proptest::collection::vec(prop_oneof![
            proptest::sample::select(b"UNO01IFTBLCMPSVW.tnlf\x00\x01\x02\xff".to_vec()),
            any::<u8>(),
        ], 0..40),
    ) {
        let key = FragmentKey::from_encoded(&[b"ft\x01k".as_slice(), &bytes].concat());
        prop_assert!(key.to_string().starts_with('k'));
    }
}

#[test]
fn values_of_different_kinds_never_share_a_key() {
    #[derive(Serialize)]
    struct UserId(u32);
    #[derive(Serialize)]
    struct TeamId(u32);
    #[derive(Serialize)]
    struct User {
        id: u32,
    }
    #[derive(Serialize)]
    enum Kind {
        Unit,
        One(u32),
        Two(u32, u32),
        Named { id: u32 },
    }
    struct Bytes(&'static [u8]);
    impl Serialize for Bytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    let keys = [
        key(&()),
        key(&None::<()>),
        key(&Some(())),
        key(&false),
        key("false"),
        key(&1),
        key("1"),
        key(&Some(1)),
        key(&1.0),
        key(&-0.0),
        key(&0.0),
        key(&f64::INFINITY),
        key(&f64::NAN),
        key("NaN"),
        key(""),
        key(&Bytes(b"1")),
        key(&Bytes(b"")),
        key(&[0_u8; 0]),
        key(&[1]),
        key(&["1"]),
        key(&Unordered([0_u8; 0])),
        key(&Unordered([1])),
        key(&Unordered([1, 1])),
        key(&Unordered(Some([1]))),
        key(&json!({})),
        key(&json!({"id": 1})),
        key(&json!(["One", 1])),
        key(&json!({"One": 1})),
        key(&UserId(1)),
        key(&TeamId(1)),
        key(&User { id: 1 }),
        key(&Kind::Unit),
        key("Unit"),
        key("Kind::Unit()"),
        key(&Kind::One(1)),
        key(&Kind::Two(1, 1)),
        key(&Kind::Named { id: 1 }),
        key(&BTreeMap::from([(1, 1)])),
        key(&BTreeMap::from([("1", 1)])),
    ];
    let distinct: HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "{keys:#?}");
    let shown: HashSet<_> = keys.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), keys.len(), "{shown:#?}");
}

#[test]
fn all_widths_of_a_kind_share_a_key() {
    assert_eq!(key(&1_u8), key(&1_i128));
    assert_eq!(key(&1_u128), key(&1_i64));
    assert_eq!(key(&1.5_f32), key(&1.5_f64));
    assert_eq!(key(&f64::NAN), key(&-f64::NAN));
    assert_eq!(key("a"), key(&'a'));
    assert_eq!(key(&vec![1, 2]), key(&(1, 2)));
}

#[test]
fn an_argument_of_another_kind_has_its_own_result() {
    let cache = FragmentCache::in_memory();
    for value in [json!({"zip": 1234}), json!({"zip": "1234"}), json!(null), json!([]), json!({})] {
        let text = value.to_string();
        assert_eq!(cache.memoize(&FUNCTION.call().arg(&value), || text.clone()), text);
        assert_eq!(cache.memoize(&FUNCTION.of(&value).call(), || text.clone()), text);
    }
    let atan2 = |y: f64| cache.memoize(&FUNCTION.call().arg(&y), || y.atan2(-1.0));
    assert!(atan2(0.0) > 3.0 && atan2(-0.0) < -3.0);
}

#[test]
fn a_key_shows_the_kinds_of_its_arguments() {
    #[derive(Serialize)]
    struct User {
        id: u32,
        name: Option<&'static str>,
    }
    let user = User { id: 7, name: Some("Ann") };
    let call = FUNCTION.call().arg(&42).arg("42").arg("demo").arg(&user).arg(&2.0).arg(&());
    assert_eq!(
        call.arg(&json!({"b": [true, "true"], "a": null})).key().unwrap().to_string(),
        "tests::typed(42, \"42\", demo, User{id: 7, name: some(Ann)}, 2.0, (), \
         {a: (), b: [true, \"true\"]})"
    );
}

/// A hasher other than the default, for another iteration order.
type Other = std::hash::BuildHasherDefault<xxhash_rust::xxh3::Xxh3Default>;

proptest! {
    #[test]
    fn unordered_sets_share_a_key_exactly_when_equal(
        a in proptest::collection::vec(0_u8..6, 0..6),
        b in proptest::collection::vec(0_u8..6, 0..6),
        is_inside in any::<bool>(),
    ) {
        let sets = [&a, &b].map(|list| list.iter().copied().collect::<HashSet<_>>());
        let others = [&a, &b].map(|list| list.iter().rev().copied().collect::<HashSet<_, Other>>());
        let equal = sets[0] == sets[1];
        let [one, other] = [0, 1].map(|at| {
            if is_inside {
                let inside = [Unordered(&sets[at]), Unordered(&sets[0])];
                let others = [Unordered(&others[0]), Unordered(&others[at])];
                // The order of the inner ones does not matter, nor the order of the two.
                assert_eq!(key(&Unordered(inside)), key(&Unordered(others)));
                key(&BTreeMap::from([(1, inside)]))
            } else {
                assert_eq!(key(&Unordered(&sets[at])), key(&Unordered(others[at].clone())));
                key(&Unordered(&sets[at]))
            }
        });
        prop_assert_eq!(one == other, equal);

        // A list counts as a multiset.
        let sorted = |list: &[u8]| {
            let mut list = list.to_vec();
            list.sort_unstable();
            list
        };
        let equal = sorted(&a) == sorted(&b);
        prop_assert_eq!(key(&Unordered(&a)) == key(&Unordered(&b)), equal);
        prop_assert_eq!(key(&Unordered(&a)).to_string() == key(&Unordered(&b)).to_string(), equal);
    }
}

#[test]
fn unordered_is_about_one_sequence() {
    #[derive(Serialize)]
    struct Ids(Vec<u32>);
    #[derive(Serialize)]
    struct Filter {
        #[serde(serialize_with = "Unordered::serialize_field")]
        ids: Option<Vec<u32>>,
        page: Vec<u32>,
    }
    let lists = [vec![1, 2], vec![2, 1]];
    let [one, other] = lists.clone().map(|list| key(&Unordered(Some(Ids(list)))));
    assert_eq!(one, other);
    let [one, other] = lists.clone().map(|list| key(&Filter { ids: Some(list), page: vec![1, 2] }));
    assert_eq!(one, other);
    assert_eq!(one.to_string(), "tests::typed(Filter{ids: some(#{1, 2}), page: [1, 2]})");
    let [one, other] = lists.clone().map(|list| key(&Filter { ids: None, page: list }));
    assert_ne!(one, other);
    // The order inside an element matters.
    let [one, other] = lists.map(|list| key(&Unordered([list, vec![3]])));
    assert_ne!(one, other);

    fn refused(value: impl Serialize) {
        let error = FUNCTION.call().arg(&value).key().unwrap_err();
        assert!(error.to_string().contains("Unordered wraps a value"), "{error}");
    }
    refused(Unordered(HashMap::from([(1, 1)])));
    refused(Unordered(json!({})));
    refused(Unordered(Some(7)));
    refused(Unordered("text"));
    refused(Unordered(()));
    refused(Unordered(Filter { ids: None, page: Vec::new() }));
    refused([Unordered(1.5)]);
}
