//! Plain values: typed, separate from fragments, with the same guarantees as all entries.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod alike;
mod many;
mod meanwhile;
mod promised;
mod refused;
mod replaced;
mod shapes;
mod shared;

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Values, codec};
use crate::testing::{ManualClock, MemoryStore};
use crate::values::{SetOptions, SetReport};
use crate::{
    CacheMode, ErrorKind, FarLevel, Fragment, FragmentCache, Invalidation, Timeout, current,
    fragment_key,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Product {
    id: u32,
    name: String,
    price: Option<f64>,
    tags: Vec<String>,
}

/// The cache that these values are in.
fn whole(values: &Values) -> FragmentCache {
    FragmentCache { handle: values.cache.clone() }
}

fn film() -> Product {
    Product { id: 7, name: "Töné".to_owned(), price: None, tags: vec!["new".to_owned()] }
}

#[test]
fn what_was_set_is_read_and_deleted_by_its_key() {
    let values = FragmentCache::in_memory().values();
    assert!(values.set("film", &film()).unwrap());
    assert_eq!(values.get::<Product>("film"), Some(film()));
    assert!(values.contains("film").unwrap());
    assert_eq!(values.delete("film"), Invalidation::Removed);
    assert_eq!(values.delete("film"), Invalidation::Absent);
    assert_eq!(values.get::<Product>("film"), None);
}

#[test]
fn falsy_values_are_values() {
    let values = FragmentCache::in_memory().values();
    values.set("unit", &()).unwrap();
    values.set("none", &None::<u8>).unwrap();
    values.set("zero", &0).unwrap();
    values.set("empty", "").unwrap();
    values.set("list", &[] as &[u8]).unwrap();
    assert_eq!(values.get("unit"), Some(()));
    assert_eq!(values.get("none"), Some(None::<u8>));
    assert_eq!(values.get("zero"), Some(0));
    assert_eq!(values.get("empty"), Some(String::new()));
    assert_eq!(values.get("list"), Some(Vec::<u8>::new()));
}

#[test]
fn a_value_of_another_type_is_a_miss_and_stays_until_one_is_set() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Later {
        id: u32,
        name: String,
        price: Option<f64>,
        tags: Vec<String>,
        stock: Option<u32>,
    }
    let values = FragmentCache::in_memory().values();
    values.set("film", &film()).unwrap();
    assert_eq!(values.get::<Later>("film"), None);
    assert_eq!(values.get::<HashMap<String, String>>("film"), None);
    assert_eq!(values.get::<u64>("film"), None);
    assert_eq!(values.get::<Product>("film"), Some(film()));
    let later = Later { id: 7, name: String::new(), price: None, tags: Vec::new(), stock: Some(1) };
    values.set("film", &later).unwrap();
    assert_eq!(values.get::<Product>("film"), None);
    assert_eq!(values.get::<Later>("film"), Some(later));
    values.delete("film").eventually();
    assert_eq!(values.get::<Product>("film"), None);
    assert_eq!(values.get::<Later>("film"), None);
}

#[test]
fn markup_and_values_under_one_text_are_two_things() {
    let cache = FragmentCache::in_memory();
    let fragment = Fragment::new(fragment_key!("n"));
    cache.values().set("n", &1).unwrap();
    assert_eq!(cache.get(&fragment_key!("n")).unwrap(), None);
    assert_eq!(cache.get(&cache.values().key("n")).unwrap().as_deref(), None);
    assert_eq!(&*cache.render(&fragment, || "<b>").unwrap(), "<b>");
    assert_eq!(cache.values().get("n"), Some(1));
    cache.delete(&fragment_key!("n")).eventually();
    assert_eq!(cache.values().get("n"), Some(1));
    cache.clear().eventually();
    assert_eq!(cache.values().get::<i32>("n"), None);
}

#[test]
fn an_absent_value_is_added_once() {
    let values = FragmentCache::in_memory().values();
    assert!(values.add("n", &1).unwrap());
    assert!(!values.add("n", &2).unwrap());
    assert_eq!(values.get("n"), Some(1));
    values.delete("n").eventually();
    assert!(values.add("n", &3).unwrap());
    let kept: usize = std::thread::scope(|scope| {
        let adders: Vec<_> = (0..8)
            .map(|n| {
                scope.spawn({
                    let values = values.clone();
                    move || values.add("m", &n).unwrap()
                })
            })
            .collect();
        adders.into_iter().map(|adder| usize::from(adder.join().unwrap())).sum()
    });
    assert_eq!(kept, 1);
}

#[test]
fn values_expire_and_fall_with_their_tags_and_versions() {
    let clock = ManualClock::new();
    let cache = FragmentCache::builder().clock(clock.clone()).build().unwrap();
    let values = cache.values();
    let minute = SetOptions::new().expires_after(Duration::from_secs(60));
    values.set_with("short", &1, &minute).unwrap();
    values.set_with("ever", &1, &SetOptions::new().never_expires()).unwrap();
    values.set("plain", &1).unwrap();
    clock.advance(Duration::from_secs(60));
    assert_eq!(values.get::<i32>("short"), None);
    assert_eq!(values.get("plain"), Some(1));
    clock.advance(Duration::from_secs(240));
    assert_eq!(values.get::<i32>("plain"), None);
    assert_eq!(values.get("ever"), Some(1));
    values.set_with("ever", &2, &SetOptions::new().timeout(Timeout::Delete)).unwrap();
    assert_eq!(values.get::<i32>("ever"), None);

    values.set_with("tagged", &1, &SetOptions::new().tags(["stock"])).unwrap();
    cache.invalidate_tags(["stock"]).unwrap().eventually();
    assert_eq!(values.get::<i32>("tagged"), None);
    values.set_with("v", &1, &SetOptions::new().version("a")).unwrap();
    assert_eq!(values.get_version::<i32>("v", "b"), None);
    assert_eq!(values.get_version("v", "a"), Some(1));
}

#[test]
fn unusable_settings_are_errors_and_change_nothing() {
    let values = FragmentCache::in_memory().values();
    values.set("n", &1).unwrap();
    let kind = |options: SetOptions| values.set_with("n", &2, &options).unwrap_err().kind();
    assert_eq!(kind(SetOptions::new().expires_after(Duration::ZERO)), ErrorKind::Timeout);
    assert_eq!(kind(SetOptions::new().tags([""])), ErrorKind::Tag);
    struct Torn;
    impl Serialize for Torn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no page left"))
        }
    }
    impl<'de> Deserialize<'de> for Torn {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    let error = values.set("n", &Torn).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    assert_eq!(error.to_string(), "the value cannot be serialized: no page left");
    assert_eq!(values.get("n"), Some(1));
}

#[test]
fn a_value_too_large_is_not_kept_and_says_so() {
    let cache = FragmentCache::builder().max_entry_bytes(100).build().unwrap();
    assert!(!cache.values().set("n", &"x".repeat(200)).unwrap());
    assert!(!cache.values().contains("n").unwrap());
    assert!(!FragmentCache::disabled().values().set("n", &1).unwrap());
    let cache = FragmentCache::in_memory();
    cache.set_mode(CacheMode::ReadOnly);
    assert!(!cache.values().set("n", &1).unwrap());
}

#[test]
fn a_fragment_depends_on_the_values_that_it_reads() {
    let cache = FragmentCache::in_memory();
    let values = cache.values();
    values.set("price", &10).unwrap();
    let row = Fragment::new(fragment_key!("row"));
    let body = || format!("{:?}", values.get::<i32>("price"));
    assert_eq!(&*cache.render(&row, body).unwrap(), "Some(10)");
    values.delete("price").eventually();
    assert_eq!(&*cache.render(&row, body).unwrap(), "None");
}

#[test]
fn i1_a_value_set_under_an_old_read_point_is_not_kept() {
    let cache = FragmentCache::in_memory();
    let point = cache.read_point();
    cache.values().delete("stock").eventually();
    assert!(!point.scope(|| cache.values().set("stock", &3).unwrap()));
    assert!(cache.values().set("stock", &4).unwrap());
}

#[test]
fn setting_within_a_body_says_nothing_about_the_fragment_but_a_dependency() {
    let cache = FragmentCache::in_memory();
    let row = Fragment::new(fragment_key!("row"));
    cache
        .render(&row, || {
            cache.values().set("seen", &1).unwrap();
            current::add_tags(["t"]).unwrap();
            "<b>"
        })
        .unwrap();
    assert!(cache.contains(row.key()).unwrap());
    assert_eq!(cache.values().get("seen"), Some(1));
}

#[test]
fn two_processes_share_values_and_their_deletion() {
    let store = MemoryStore::new();
    let cache =
        || FragmentCache::builder().far(FarLevel::new(store.clone())).build().unwrap().values();
    let (here, there) = (cache(), cache());
    here.set("film", &film()).unwrap();
    assert_eq!(there.get::<Product>("film"), Some(film()));
    assert_eq!(there.get::<u32>("film"), None);
    let set = here.set_many([("a", &1), ("b", &2)], &SetOptions::new()).unwrap();
    assert_eq!(set, [SetReport::Stored; 2]);
    assert_eq!(there.get_many(["a", "b", "c"]), [Some(1), Some(2), None]);
    assert_eq!(there.get::<Vec<u8>>("bytes"), None);
    here.set("bytes", &vec![0xff_u8; 5000]).unwrap();
    assert_eq!(there.get("bytes"), Some(vec![0xff_u8; 5000]));
    there.delete("film").eventually();
    assert_eq!(here.get::<Product>("film"), None);
    assert!(!there.add("a", &9).unwrap());
    here.clear().eventually();
    assert_eq!(there.get_many::<i32, _>(["a", "b"]), [None, None]);
}

#[test]
fn hostile_bytes_are_no_value_and_take_no_room() {
    let decode =
        |bytes: &[u8]| codec::decode::<Vec<u64>>(&codec::of_bytes(bytes.to_vec()).unwrap());
    assert_eq!(decode(&[0x92, 1, 2]), Some(vec![1, 2]));
    // Lists that claim four thousand million numbers, or that continue after their end.
    assert_eq!(decode(&[0xdd, 0xff, 0xff, 0xff, 0xff, 1]), None);
    assert_eq!(decode(&[0x91, 1, 2]), None);
    assert_eq!(decode(&[]), None);
    // Nested lists, deeper than any stack.
    assert_eq!(decode(&vec![0x91; 1_000_000]), None);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Nested(Vec<Nested>);
    let nested = |depth| {
        let bytes = [vec![0x91; depth], vec![0x90]].concat();
        codec::decode::<Nested>(&codec::of_bytes(bytes).unwrap())
    };
    assert!(nested(100).is_some());
    assert_eq!(nested(1_000_000), None);
}

#[test]
fn a_giant_key_is_not_kept_and_says_so() {
    let values = FragmentCache::in_memory().values();
    let giant = "k".repeat(1 << 20);
    assert!(!values.set(&giant, &1).unwrap());
    assert_eq!(values.get::<i32>(&giant), None);
    assert_eq!(values.delete(&giant), Invalidation::Absent);
}

#[test]
fn a_value_that_panics_while_it_is_serialized_leaves_nothing_behind() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            std::panic::panic_any("while it is serialized")
        }
    }
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    let cache = FragmentCache::in_memory();
    let values = cache.values();
    values.set("n", &1).unwrap();
    let set = std::panic::AssertUnwindSafe(|| values.set("n", &Panics));
    assert!(std::panic::catch_unwind(set).is_err());
    assert_eq!(cache.stats().flights, 0);
    assert_eq!(values.get("n"), Some(1));
}
