//! Several values at a time, and a store that refuses some of them or is away.

use std::time::Duration;

use super::many::{FRONTS, Shop, process, process_with, store, told};
use crate::store::Fault;
use crate::{Deletion, Keep, Values};

/// The key of the last record that deleting this key writes: its label's version.
fn version_of(store: &Shop, values: &Values, key: &str) -> String {
    let before = store.inner().keys();
    values.delete(key).unwrap();
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
    let set = here.set_many([("a", &1), ("b", &2), ("c", &3)], &Keep::new()).unwrap();
    assert_eq!(set, [true, false, true]);
    assert_eq!(here.get::<i32>("b").unwrap(), None);
    store.heal();
    assert_eq!(there.get_many(["a", "b", "c"]).unwrap(), [Some(1), None, Some(3)]);

    assert_eq!(here.set_many([("b", &2)], &Keep::new()).unwrap(), [true]);
    store.fail_keys(Fault::Refused, move |key| key == refused);
    let done = here.delete_many(["a", "b", "c", "d"]).unwrap();
    use Deletion::{Absent, Pending, Removed};
    assert_eq!(done, [Removed, Pending, Removed, Absent]);
    assert_eq!(here.cache.health().pending_invalidations, 1);
    store.heal();
    told(&here);
    assert_eq!(there.get_many::<i32, _>(["a", "b", "c"]).unwrap(), [None; 3]);
}

#[test]
fn i3_an_entry_that_the_store_refuses_is_not_lost_of_the_others() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    here.set("b", &0).unwrap();
    let entry = store.inner().keys().into_iter().find(|key| key.contains(":e:")).unwrap();
    store.fail_keys(Fault::Refused, move |key| key == entry);
    let set = here.set_many([("a", &1), ("b", &2), ("c", &3)], &Keep::new()).unwrap();
    assert_eq!(set, [true, false, true]);
    assert!(here.cache.stats().faults >= 1);
    store.heal();
    assert_eq!(there.get_many(["a", "b", "c"]).unwrap(), [Some(1), None, Some(3)]);
}

#[test]
fn i3_without_the_store_no_value_is_kept_and_deletions_are_told_later() {
    for fault in [Fault::Unreachable, Fault::Deadline] {
        let store = store();
        let near = FRONTS[1];
        let here = process_with(&store, near, |builder| builder);
        let there = process(&store);
        there.set_many([("a", &1), ("b", &2)], &Keep::new()).unwrap();
        store.fail(fault);
        assert_eq!(here.set_many([("c", &3), ("d", &4)], &Keep::new()).unwrap(), [false; 2]);
        assert_eq!(here.get_many::<i32, _>(["c", "d"]).unwrap(), [None; 2]);
        assert_eq!(here.delete_many(["a", "b"]).unwrap(), [Deletion::Pending; 2]);
        assert!(here.cache.stats().faults <= 1, "the others are left alone");
        store.heal();
        told(&here);
        assert_eq!(there.get_many::<i32, _>(["a", "b"]).unwrap(), [None; 2]);
    }
}

/// What is set by an answer that is lost on its way: it may be there, and nobody waits for it.
#[test]
fn i3_an_answer_that_is_lost_leaves_no_lease_behind() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    store.fail_after_effect(Fault::Deadline);
    assert_eq!(here.set_many([("a", &1), ("b", &2)], &Keep::new()).unwrap(), [false; 2]);
    store.heal();
    let begun = crate::clock::instant();
    while store.inner().keys().iter().any(|key| key.contains(":l:")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the keeper gives nothing back");
        std::thread::yield_now();
    }
    // Its keeper may have met the fault, and asks again in a moment.
    while !there.cache.health().is_reachable {
        assert!(begun.elapsed() < Duration::from_secs(20), "the keeper asks nothing");
        std::thread::yield_now();
    }
    assert!(there.add("a", &5).unwrap());
    assert_eq!(there.cache.health().leases, 0);
}
