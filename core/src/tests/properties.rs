//! Properties over generated input: the near level against a naive model, keys, durations.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{Rig, rig, rig_with};
use crate::engine::Scalar;
use crate::key::KeyEncoder;
use crate::key::name_bytes;
use crate::{Fragment, FragmentKey, KeyPart, Timeout, fragment_key, fragment_key_at};

#[derive(Debug, Clone)]
enum Op {
    Render { name: u8, part: u8, ttl: Option<u8>, length: u8 },
    Refresh { name: u8, part: u8 },
    Nest { outer: u8, name: u8, part: u8 },
    Delete { name: u8, part: u8 },
    DeleteName { name: u8 },
    Clear,
    Advance { seconds: u8 },
    Look { name: u8, part: u8 },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let (name, part) = (0..3_u8, 0..4_u8);
    let key = (name.clone(), part);
    let op = prop_oneof![
        5 => (key.clone(), proptest::option::of(1..20_u8), any::<u8>()).prop_map(
            |((name, part), ttl, length)| Op::Render { name, part, ttl, length }),
        1 => key.clone().prop_map(|(name, part)| Op::Refresh { name, part }),
        2 => (0..2_u8, key.clone()).prop_map(
            |(outer, (name, part))| Op::Nest { outer, name, part }),
        2 => key.clone().prop_map(|(name, part)| Op::Delete { name, part }),
        1 => name.prop_map(|name| Op::DeleteName { name }),
        1 => Just(Op::Clear),
        3 => (1..12_u8).prop_map(|seconds| Op::Advance { seconds }),
        3 => key.prop_map(|(name, part)| Op::Look { name, part }),
    ];
    proptest::collection::vec(op, 1..80)
}

/// A fragment in the naive model: name and part, or an outer fragment's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Id {
    Row(u8, u8),
    Outer(u8),
}

#[derive(Debug, Clone)]
struct Stored {
    text: String,
    expires: Option<u64>,
    inside: Option<Id>,
}

#[derive(Debug, Default)]
struct Model {
    stored: HashMap<Id, Stored>,
    now: u64,
}

impl Model {
    fn get(&self, id: Id) -> Option<&Stored> {
        self.stored.get(&id).filter(|entry| entry.expires.is_none_or(|at| at > self.now))
    }

    fn delete(&mut self, is: impl Fn(Id) -> bool) {
        self.stored.retain(|id, entry| !is(*id) && !entry.inside.is_some_and(&is));
    }

    /// What is printed for `id`; `text` and `ttl` belong to its body.
    fn render(&mut self, id: Id, text: &str, ttl: Option<u8>) -> Stored {
        if let Some(entry) = self.get(id) {
            return entry.clone();
        }
        let expires = ttl.map(|ttl| self.now + u64::from(ttl));
        let entry = Stored { text: text.to_owned(), expires, inside: None };
        self.stored.insert(id, entry.clone());
        entry
    }
}

fn key(id: Id) -> FragmentKey {
    match id {
        Id::Row(name, part) => fragment_key!(format!("row{name}"), part),
        Id::Outer(number) => fragment_key!("outer", number),
    }
}

fn row(id: Id, ttl: Option<u8>) -> Fragment {
    let fragment = Fragment::new(key(id));
    match ttl {
        Some(seconds) => fragment.expires_after(Duration::from_secs(seconds.into())),
        None => fragment.never_expires(),
    }
}

/// Applies one operation to both. `exact` is false if the cache is so small that it may evict.
fn step(rig: &Rig, model: &mut Model, number: usize, op: &Op, exact: bool) {
    let same = |real: Option<&str>, expected: Option<&str>| match (real, expected) {
        (None, Some(_)) if !exact => {}
        _ => assert_eq!(real, expected, "{op:?}"),
    };
    match *op {
        Op::Render { name, part, ttl, length } => {
            let (id, text) = (Id::Row(name, part), format!("{number}").repeat(length.into()));
            let before = model.get(id).map(|entry| entry.text.clone());
            let mut rendered = false;
            let body = || {
                rendered = true;
                text.as_str()
            };
            let printed = rig.cache.render(row(id, ttl), body).unwrap();
            if rendered {
                assert!(!exact || before.is_none(), "{op:?} rendered what was stored");
                model.stored.remove(&id);
            }
            assert_eq!(*printed, model.render(id, &text, ttl).text);
        }
        Op::Refresh { name, part } => {
            let (id, text) = (Id::Row(name, part), format!("refreshed {number}"));
            rig.cache.render(row(id, None).refresh(true), || text.as_str()).unwrap();
            model.stored.remove(&id);
            model.render(id, &text, None);
        }
        Op::Nest { outer, name, part } => {
            let (outer, id, text) = (Id::Outer(outer), Id::Row(name, part), format!("in {number}"));
            let mut rendered = (false, false);
            let printed = rig.cache.render(row(outer, None), || {
                rendered.0 = true;
                let inner = || {
                    rendered.1 = true;
                    text.as_str()
                };
                rig.cache.render(row(id, Some(5)), inner).unwrap()
            });
            assert!(!exact || rendered.0 == model.get(outer).is_none(), "{op:?}");
            if rendered.0 {
                if rendered.1 {
                    assert!(!exact || model.get(id).is_none(), "{op:?}");
                    model.stored.remove(&id);
                }
                let inner = model.render(id, &text, Some(5));
                model.stored.insert(outer, Stored { inside: Some(id), ..inner });
            }
            assert_eq!(*printed.unwrap(), model.stored[&outer].text);
        }
        Op::Delete { name, part } => {
            let id = Id::Row(name, part);
            rig.cache.delete(&key(id)).eventually();
            model.delete(|other| other == id);
        }
        Op::DeleteName { name } => {
            rig.cache.delete_name(format!("row{name}")).eventually();
            model.delete(|other| matches!(other, Id::Row(its, _) if its == name));
        }
        Op::Clear => {
            rig.cache.clear().eventually();
            model.stored.clear();
        }
        Op::Advance { seconds } => {
            rig.clock.advance(Duration::from_secs(seconds.into()));
            model.now += u64::from(seconds);
        }
        Op::Look { name, part } => {
            let id = Id::Row(name, part);
            let real = rig.cache.get(&key(id)).unwrap();
            same(real.as_deref(), model.get(id).map(|entry| entry.text.as_str()));
            assert_eq!(rig.cache.contains(&key(id)).unwrap(), real.is_some());
        }
    }
    assert_eq!(rig.cache.stats().flights, 0);
}

/// Any value that a key can contain, with its canonical form, which determines whether keys are
/// equal.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Int(i128),
    Float(f64),
    Bool(bool),
    None,
    List(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq)]
enum Canonical {
    Text(String),
    None,
    NotFinite(String),
    List(Vec<Canonical>),
}

impl Part {
    fn canonical(&self) -> Canonical {
        match self {
            Self::Text(text) => Canonical::Text(text.clone()),
            Self::Int(number) => Canonical::Text(number.to_string()),
            Self::Float(number) if !number.is_finite() => Canonical::NotFinite(number.to_string()),
            Self::Float(number) if *number == 0.0 => Canonical::Text("0".to_owned()),
            // Rust prints an integral float without a point and without an exponent.
            Self::Float(number) => Canonical::Text(number.to_string()),
            Self::Bool(value) => Canonical::Text(value.to_string()),
            Self::None => Canonical::None,
            Self::List(parts) => Canonical::List(parts.iter().map(Self::canonical).collect()),
        }
    }
}

impl KeyPart for Part {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        match self {
            Self::Text(text) => text.encode(key),
            Self::Int(number) => number.encode(key),
            Self::Float(number) => number.encode(key),
            Self::Bool(value) => value.encode(key),
            Self::None => key.none(),
            Self::List(parts) => parts.encode(key),
        }
    }
}

fn part() -> impl Strategy<Value = Part> {
    let leaf = prop_oneof![
        // Few distinct texts and numbers, so that equal parts are frequent.
        4 => "[0-2tnle(,]{0,2}".prop_map(Part::Text),
        1 => any::<String>().prop_map(Part::Text),
        3 => (-2..12_i128).prop_map(Part::Int),
        1 => any::<i128>().prop_map(Part::Int),
        2 => (-4..12_i32).prop_map(|number| Part::Float(f64::from(number) / 2.0)),
        1 => any::<f64>().prop_map(Part::Float),
        1 => any::<bool>().prop_map(Part::Bool),
        2 => Just(Part::None),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(Part::List)
    })
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    proptest::collection::vec(part(), 1..4)
}

fn key_of(parts: &[Part]) -> FragmentKey {
    parts[1..].iter().fold(FragmentKey::new(&parts[0]), FragmentKey::vary_on)
}

proptest! {
    #[test]
    fn the_near_level_agrees_with_a_naive_model(ops in ops()) {
        let (rig, mut model) = (rig(), Model::default());
        for (number, op) in ops.iter().enumerate() {
            step(&rig, &mut model, number, op, true);
        }
    }

    #[test]
    fn a_small_near_level_forgets_and_never_errs(ops in ops(), entries in 1..6_usize) {
        let rig = rig_with(|builder| builder.max_entries(entries).max_bytes(2_000).max_labels(2));
        let mut model = Model::default();
        for (number, op) in ops.iter().enumerate() {
            step(&rig, &mut model, number, op, false);
            let stats = rig.cache.stats();
            prop_assert!(stats.entries <= entries as u64 && stats.bytes <= 2_000);
        }
        rig.cache.clear().eventually();
        prop_assert_eq!(rig.cache.stats().bytes, 0);
    }

    #[test]
    fn i4_keys_are_equal_exactly_when_their_canonical_parts_are(one in parts(), two in parts()) {
        let canonical = |parts: &[Part]| parts.iter().map(Part::canonical).collect::<Vec<_>>();
        prop_assert_eq!(key_of(&one) == key_of(&two), canonical(&one) == canonical(&two));
    }

    #[test]
    fn i4_neither_splitting_nor_joining_parts_makes_an_equal_key(one in part(), two in part()) {
        let apart = key_of(&[Part::None, one.clone(), two.clone()]);
        let together = key_of(&[Part::None, Part::List(vec![one, two])]);
        prop_assert_ne!(apart, together);
    }

    #[test]
    fn the_name_of_a_key_ends_where_its_vary_parts_begin(parts in parts()) {
        let (whole, name) = (key_of(&parts), FragmentKey::new(&parts[0]));
        prop_assert_eq!(name_bytes(whole.as_bytes()), Some(name.as_bytes()));
        prop_assert_eq!(whole.name(), name.name());
    }

    #[test]
    fn a_key_is_shown_on_one_line(parts in parts(), template in any::<String>(), line: u32) {
        for key in [key_of(&parts), fragment_key_at(&template, line).nth(line)] {
            let shown = key.to_string();
            let breaks = |c: char| c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c);
            prop_assert!(!shown.contains(breaks));
        }
        let unnamed = fragment_key_at(&template, line);
        prop_assert_eq!(unnamed.template(), Some(template.as_str()));
    }

    #[test]
    fn any_bytes_are_shown_as_a_key_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let key = FragmentKey::from_encoded(&bytes);
        let _ = (key.to_string(), key.name(), key.template(), name_bytes(&bytes));
    }

    #[test]
    fn any_text_is_a_timeout_or_an_error_that_says_what_to_write(text in any::<String>()) {
        if let Err(error) = Timeout::parse(&text) {
            prop_assert!(error.message().contains("write "));
        }
    }

    #[test]
    fn any_number_is_a_timeout_or_an_error(int: i128, big: u128, float: f64) {
        for scalar in [Scalar::Int(int), Scalar::BigInt(big), Scalar::Float(float)] {
            match Timeout::from_scalar(scalar) {
                Ok(timeout) => prop_assert!(matches!(timeout, Timeout::After(ttl) if !ttl.is_zero())),
                Err(error) => prop_assert!(error.message().contains("write ")),
            }
        }
    }

    #[test]
    fn a_duration_reads_back_as_it_is_written(seconds in 0..9_000_000_000_u64, nanos in 1..1_000_000_000_u32) {
        let ttl = Duration::new(seconds, nanos);
        let text = humantime::format_duration(ttl).to_string();
        prop_assert_eq!(Timeout::parse(&text).unwrap(), Timeout::After(ttl));
        if seconds > 0 {
            let whole = Timeout::After(Duration::from_secs(seconds));
            prop_assert_eq!(Timeout::parse(&seconds.to_string()).unwrap(), whole);
        }
    }
}
