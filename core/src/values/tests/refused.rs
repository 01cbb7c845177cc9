//! Several values at a time, with a store that refuses some of them or is unavailable.

use std::time::Duration;

use super::many::{FRONTS, Shop, process, process_with, store, told};
use crate::store::Fault;
use crate::testing::{FaultyStore, MemoryStore};
use crate::values::SetReport::{NotStored, Stored, Unconfirmed};
use crate::values::{SetOptions, Values};
use crate::{FragmentCache, Invalidation};

/// The key of the last record that deleting this key writes: the version of its label.
fn version_of(store: &Shop, values: &Values, key: &str) -> String {
    let before = store.inner().keys();
    values.delete(key).eventually();
    let mut new = store.inner().keys();
    new.retain(|key| !before.contains(key) && key.contains(":v:"));
    assert_eq!(new.len(), 1, "the fences are there already: {new:?}");
    new.remove(0)
}

#[test]
fn i3_what_the_store_refuses_of_one_value_is_not_lost_of_the_others() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    here.set("warm", &0).unwrap();
    let refused = version_of(&store, &here, "b");
    store.fail_keys(Fault::Refused, {
        let refused = refused.clone();
        move |key| key == refused
    });
    let set = here.set_many([("a", &1), ("b", &2), ("c", &3)], &SetOptions::new()).unwrap();
    assert_eq!(set, [Stored, Unconfirmed, Stored]);
    assert_eq!(here.get::<i32>("b"), None);
    store.heal();
    assert_eq!(there.get_many(["a", "b", "c"]), [Some(1), None, Some(3)]);

    assert_eq!(here.set_many([("b", &2)], &SetOptions::new()).unwrap(), [Stored]);
    store.fail_keys(Fault::Refused, move |key| key == refused);
    let done = here.delete_many(["a", "b", "c", "d"]);
    use Invalidation::{Absent, Pending, Removed};
    assert_eq!(done, [Removed, Pending, Removed, Absent]);
    assert_eq!(here.cache.health().pending_invalidations, 1);
    store.heal();
    told(&here);
    assert_eq!(there.get_many::<i32, _>(["a", "b", "c"]), [None; 3]);
}

#[test]
fn i3_an_entry_that_the_store_refuses_is_not_lost_of_the_others() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    here.set("b", &0).unwrap();
    let entry = store.inner().keys().into_iter().find(|key| key.contains(":e:")).unwrap();
    store.fail_keys(Fault::Refused, move |key| key == entry);
    let set = here.set_many([("a", &1), ("b", &2), ("c", &3)], &SetOptions::new()).unwrap();
    assert_eq!(set, [Stored, Unconfirmed, Stored]);
    assert!(here.cache.stats().faults >= 1);
    store.heal();
    assert_eq!(there.get_many(["a", "b", "c"]), [Some(1), None, Some(3)]);
}

#[test]
fn what_is_refused_is_told_from_what_the_store_did_not_take() {
    let large = ["x".repeat(200), "x".repeat(2000)];
    let long = "k".repeat(10_000);
    for front in FRONTS {
        let store = FaultyStore::new(MemoryStore::new().max_value_bytes(1000));
        let here = process_with(&store, front, |builder| builder.max_entry_bytes(100));
        // Here a value is too large for the store only.
        let there = process_with(&store, front, |builder| builder);
        let pairs = |large| [("a", "1"), ("b", large), ("c", "3"), (&*long, "4"), ("e", "5")];
        for (values, large) in [&here, &there].into_iter().zip(&large) {
            let set = || values.set_many(pairs(large), &SetOptions::new()).unwrap();
            assert_eq!(set(), [Stored, NotStored, Stored, NotStored, Stored]);
            let (lost, before) = (format!("lost of {} bytes", large.len()), store.inner().keys());
            values.set(&lost, "0").unwrap();
            let mut entry = store.inner().keys();
            entry.retain(|key| !before.contains(key) && key.contains(":e:"));
            let [entry] = &entry[..] else { panic!("one entry: {entry:?}") };
            let entry = entry.clone();
            store.fail_keys(Fault::Refused, move |key| key == entry);
            let with_lost = pairs(large).into_iter().chain([(&*lost, "6"), ("g", "7")]);
            let set = values.set_many(with_lost, &SetOptions::new()).unwrap();
            assert_eq!(set, [Stored, NotStored, Stored, NotStored, Stored, Unconfirmed, Stored]);
            store.heal();
            values.cache.set_mode(crate::CacheMode::ReadOnly);
            assert_eq!(values.set_many([("a", "1")], &SetOptions::new()).unwrap(), [NotStored]);
            values.cache.set_mode(crate::CacheMode::Normal);
        }
    }
    let alone = FragmentCache::builder().max_entry_bytes(100).build().unwrap().values();
    let set = alone.set_many([("a", "1"), ("b", &*large[0])], &SetOptions::new()).unwrap();
    assert_eq!(set, [Stored, NotStored]);
}

#[test]
fn i3_without_the_store_no_value_is_kept_and_deletions_are_told_later() {
    for fault in [Fault::Unreachable, Fault::Deadline] {
        let store = store();
        let near = FRONTS[1];
        let here = process_with(&store, near, |builder| builder);
        let there = process(&store);
        there.set_many([("a", &1), ("b", &2)], &SetOptions::new()).unwrap();
        store.fail(fault);
        let set = here.set_many([("c", &3), ("d", &4)], &SetOptions::new()).unwrap();
        assert_eq!(set, [Unconfirmed; 2]);
        assert_eq!(here.get_many::<i32, _>(["c", "d"]), [None; 2]);
        assert_eq!(here.delete_many(["a", "b"]), [Invalidation::Pending; 2]);
        assert!(here.cache.stats().faults <= 1, "the others are left alone");
        store.heal();
        told(&here);
        assert_eq!(there.get_many::<i32, _>(["a", "b"]), [None; 2]);
    }
}

/// A value set with a lost answer: it may be stored, and callers do not wait for it.
#[test]
fn i3_an_answer_that_is_lost_leaves_no_lease_behind() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    store.fail_after_effect(Fault::Deadline);
    let set = here.set_many([("a", &1), ("b", &2)], &SetOptions::new()).unwrap();
    assert_eq!(set, [Unconfirmed; 2]);
    store.heal();
    let begun = crate::clock::instant();
    while store.inner().keys().iter().any(|key| key.contains(":l:")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the worker gives nothing back");
        std::thread::yield_now();
    }
    // Its worker may have seen the fault and retries in a moment.
    while !there.cache.health().is_reachable {
        assert!(begun.elapsed() < Duration::from_secs(20), "the worker asks nothing");
        std::thread::yield_now();
    }
    assert!(there.add("a", &5).unwrap());
    assert_eq!(there.cache.health().leases, 0);
}
