//! When a call returns success, its work is done, in one process and between two; and a value that
//! is set reaches processes that have an older one.

use std::sync::Arc;

use super::many::{FRONTS, Shop, process, process_with, store, told};
use super::meanwhile::{Meanwhile, Step};
use super::whole;
use crate::events::EventKind;
use crate::memoize::Function;
use crate::protection::Protection;
use crate::store::{Fault, Store};
use crate::sync::Mutex;
use crate::testing::Recorder;
use crate::values::{SetOptions, SetReport, Values};
use crate::{ErrorKind, FarLevel, Fragment, FragmentCache, Invalidation, current, fragment_key};

const FAULTS: [Fault; 3] = [Fault::Unreachable, Fault::Deadline, Fault::Refused];

fn kind(outcome: Result<bool, crate::Error>) -> ErrorKind {
    outcome.unwrap_err().kind()
}

#[test]
fn i1_a_value_set_by_another_process_is_what_is_read() {
    for front in [FRONTS[0], FRONTS[2]] {
        let store = store();
        let processes = [(); 3].map(|()| process_with(&store, front, |builder| builder));
        let read = |value: Option<i32>| {
            for process in &processes {
                assert_eq!(process.get::<i32>("k"), value);
                assert_eq!(process.get::<i32>("k"), value);
            }
        };
        for (round, by) in processes.iter().chain(&processes).enumerate() {
            let value = i32::try_from(round).unwrap();
            assert!(by.set("k", &value).unwrap());
            read(Some(value));
            let set = by.set_many([("k", &-value), ("other", &1)], &SetOptions::new()).unwrap();
            assert_eq!(set, [SetReport::Stored; 2]);
            read(Some(-value));
        }
        processes[0].set("k", "of another type").unwrap();
        assert_eq!(processes[1].get::<i32>("k"), None);
        assert_eq!(processes[1].get::<String>("k").as_deref(), Some("of another type"));
    }
}

#[test]
fn i1_without_a_version_of_what_is_written_others_would_read_the_old_value() {
    let store = store();
    let without = |builder: crate::CacheBuilder| builder.without(Protection::Rewrite);
    let (here, there) = (process_with(&store, FRONTS[0], without), process(&store));
    here.set("k", &1).unwrap();
    assert_eq!(there.get("k"), Some(1));
    here.set("k", &2).unwrap();
    assert_eq!(there.get("k"), Some(1));
}

#[test]
fn i1_a_refresh_of_another_process_is_what_is_served() {
    let double = |cache: &FragmentCache, anew: bool, by: i32| {
        cache.memoize(&Function::new("tests::double").call().refresh(anew), || by)
    };
    let row = Fragment::new(fragment_key!("row"));
    let store = store();
    let (here, there) = (whole(&process(&store)), whole(&process(&store)));
    assert_eq!((double(&here, false, 1), double(&there, false, 2)), (1, 1));
    assert_eq!((double(&there, true, 3), double(&here, false, 4)), (3, 3));
    let print = |cache: &FragmentCache, row: &Fragment, body| cache.render(row, || body).unwrap();
    assert_eq!(&*print(&here, &row, "old"), "old");
    assert_eq!(&*print(&there, &row, "-"), "old");
    let anew = row.clone().refresh(true);
    assert_eq!(&*print(&here, &anew, "new"), "new");
    assert_eq!(&*print(&there, &row, "-"), "new");
}

/// As in one process: a refresh does not know the fragments around the entry.
#[test]
fn what_is_around_something_does_not_end_when_it_is_written_anew() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    let page = Fragment::new(fragment_key!("page"));
    let row = Fragment::new(fragment_key!("row"));
    here.set("k", &1).unwrap();
    let body = || {
        let row = whole(&here).render(&row, || "row").unwrap();
        format!("{row} {:?}", here.get::<i32>("k"))
    };
    let printed = whole(&here).render(&page, body).unwrap();
    assert_eq!(&*whole(&there).render(&page, || "-").unwrap(), &*printed);
    here.set("k", &2).unwrap();
    whole(&here).render(row.clone().refresh(true), || "row").unwrap();
    for process in [&here, &there] {
        assert_eq!(&*whole(process).render(&page, || "-").unwrap(), &*printed);
    }
    there.delete("k").eventually();
    for process in [&here, &there] {
        assert_eq!(&*whole(process).render(&page, || "new").unwrap(), "new");
    }
}

#[test]
fn i3_a_value_that_the_store_does_not_take_is_an_error_and_is_kept_nowhere() {
    for (front, fault) in FRONTS.iter().flat_map(|&front| FAULTS.map(|fault| (front, fault))) {
        let store = store();
        let here = process_with(&store, front, |builder| builder);
        let there = process(&store);
        store.fail_writes(fault);
        assert_eq!(kind(here.set("k", &2)), ErrorKind::Store);
        assert_eq!(kind(here.add("k", &3)), ErrorKind::Store);
        assert_eq!(kind(here.set_with("k", &4, &SetOptions::new().tags(["t"]))), ErrorKind::Store);
        let set = here.set_many([("k", &5), ("l", &6)], &SetOptions::new()).unwrap();
        assert_eq!(set, [SetReport::Unconfirmed; 2]);
        store.heal();
        assert_eq!((here.get::<i32>("k"), there.get::<i32>("k")), (None, None));
        let health = here.cache.health();
        assert_eq!((health.pending_invalidations, here.cache.stats().flights), (0, 0));
    }
}

#[test]
fn an_error_of_the_store_says_what_the_store_said() {
    let store = store();
    let here = process(&store);
    here.set("k", &1).unwrap();
    store.fail_writes(Fault::Refused);
    let error = here.set("k", &2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the store has not confirmed the value; whether it is stored is not known: a test injected \
         this fault: refused"
    );
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(here.get("k"), Some(1));
}

#[test]
fn i3_without_the_store_nobody_obtains_what_two_could_hold() {
    for (front, fault) in FRONTS.iter().flat_map(|&front| FAULTS.map(|fault| (front, fault))) {
        let store = store();
        let processes = [(); 2].map(|()| process_with(&store, front, |builder| builder));
        store.fail(fault);
        for process in processes.iter().chain(&processes) {
            assert_eq!(kind(process.add("lock", &1)), ErrorKind::Store);
        }
    }
}

/// The answer is lost: the outcome is unknown, and no other caller obtains the lock.
#[test]
fn i3_an_answer_that_is_lost_is_an_error_whatever_was_done() {
    let far = store();
    let slow = Meanwhile::new(&far);
    let (here, there) = (of(&slow, None), process(&far));
    slow.lose();
    assert_eq!(kind(here.add("lock", &1)), ErrorKind::Store);
    assert!(!there.add("lock", &2).unwrap(), "it was kept");
    assert_eq!((here.get("lock"), there.get("lock")), (Some(1), Some(1)));
    slow.lose();
    assert_eq!(kind(here.set("lock", &3)), ErrorKind::Store);
    assert_eq!((here.get("lock"), there.get("lock")), (Some(3), Some(3)));
}

/// The refusals that this recorder saw.
fn refusals(recorder: &Recorder) -> Vec<EventKind> {
    let events = recorder.events().into_iter().map(|event| event.kind);
    events.filter(|kind| matches!(kind, EventKind::Refused(_))).collect()
}

#[test]
fn i1_sets_of_other_keys_cost_no_fill() {
    let store = store();
    let recorder = Recorder::new();
    let here = process_with(&store, FRONTS[0], |builder| builder.observer(recorder.clone()));
    let there = process(&store);
    let rows = here.cache.fresh().rows();
    let page = Fragment::new(fragment_key!("page"));
    let body = || {
        // Like another process, independent of what is open on this thread.
        let sets = || (0..1_000).all(|key| there.set(key, &key).unwrap());
        assert!(std::thread::scope(|scope| scope.spawn(sets).join().unwrap()));
        current::add_tags(["late"]).unwrap();
        "page"
    };
    whole(&here).render(&page, body).unwrap();
    assert_eq!(refusals(&recorder), []);
    for key in 0..1_000 {
        assert!(here.set(format!("ours {key}"), &key).unwrap());
    }
    assert_eq!(here.cache.fresh().rows(), rows, "the table of labels does not grow");
    assert_eq!(&*whole(&there).render(&page, || "again").unwrap(), "page");
    store.fail_writes(Fault::Refused);
    for key in 0..100 {
        there.set(key, &key).unwrap_err();
    }
    store.heal();
    assert_eq!(there.cache.health().pending_invalidations, 0);
}

/// Independent of what was set in between, and by which process.
#[test]
fn a_fill_takes_the_same_round_trips_after_a_thousand_sets() {
    let store = store();
    let (here, there) = (process_with(&store, FRONTS[0], |builder| builder), process(&store));
    let mut names = 0..;
    let mut fill = || {
        let page = Fragment::new(fragment_key!(names.next().unwrap()));
        store.reset_counts();
        whole(&here).render(&page, || "page").unwrap();
        store.round_trips()
    };
    fill();
    // The worker also calls the store during a few of them.
    let mut fills = || {
        let mut trips = (0..20).map(|_| fill()).collect::<Vec<_>>();
        trips.sort_unstable();
        trips[10]
    };
    let alone = fills();
    for process in [&there, &here] {
        for key in 0..1_000 {
            assert!(process.set(key, &key).unwrap());
        }
        assert_eq!(fills(), alone);
    }
}

/// A page may set its own values while it renders.
#[test]
fn a_fragment_around_many_sets_is_stored() {
    let store = store();
    let recorder = Recorder::new();
    let here = process_with(&store, FRONTS[0], |builder| builder.observer(recorder.clone()));
    let page = Fragment::new(fragment_key!("page"));
    let body = || {
        for key in 0..200 {
            assert!(here.set(key, &key).unwrap());
        }
        current::add_tags(["late"]).unwrap();
        "page"
    };
    whole(&here).render(&page, body).unwrap();
    assert_eq!(refusals(&recorder), []);
    assert_eq!(&*whole(&process(&store)).render(&page, || "again").unwrap(), "page");
}

#[test]
fn a_set_takes_three_round_trips() {
    let store = store();
    let here = process(&store);
    here.set("k", &0).unwrap();
    store.reset_counts();
    for value in 0..100 {
        here.set("k", &value).unwrap();
    }
    let trips = store.round_trips();
    assert!((300..=330).contains(&trips), "with a snapshot of the fences now and then: {trips}");
}

#[test]
fn setting_a_value_looks_nothing_up() {
    let recorder = Recorder::new();
    let store = store();
    for is_far in [false, true] {
        let builder = FragmentCache::builder().observer(recorder.clone());
        let builder = match is_far {
            true => builder.far(FarLevel::new(store.clone())),
            false => builder,
        };
        let cache = builder.build().unwrap();
        let values = cache.values();
        values.set("k", &1).unwrap();
        values.set("k", &2).unwrap();
        values.set_many([("a", &1), ("b", &2)], &SetOptions::new()).unwrap();
        cache.set_mode(crate::CacheMode::ReadOnly);
        assert!(!values.set("k", &3).unwrap());
        let is_lookup = |event: &crate::testing::Recorded| {
            matches!(event.kind, EventKind::Hit | EventKind::Miss(_) | EventKind::Stale(_))
        };
        assert!(!recorder.events().iter().any(is_lookup), "{:?}", recorder.events());
        assert_eq!(
            (cache.stats().misses.iter().map(|(_, n)| n).sum::<u64>(), cache.stats().hits),
            (0, 0)
        );
        recorder.reset();
    }
}

fn of(store: &Meanwhile, without: Option<Protection>) -> Values {
    let builder = FragmentCache::builder().jitter(0.0).far(FarLevel::new(store.clone()));
    let builder = match without {
        Some(protection) => builder.without(protection),
        None => builder,
    };
    builder.build().unwrap().values()
}

/// Two processes. The first runs `act` between its look and its write.
fn between(
    act: impl FnOnce(&Values, &Shop) + Send + 'static,
    without: Option<Protection>,
) -> [Values; 2] {
    let far = store();
    let (slow, other) = (Meanwhile::new(&far), process(&far));
    // The fences exist before.
    other.set("warm", &0).unwrap();
    let there = other.clone();
    slow.act(Step::Write, move || act(&there, &far));
    [of(&slow, without), other]
}

/// Simulates that the first process was stopped for longer than its lease.
fn lease_ends(_: &Values, store: &Shop) {
    let leases: Vec<String> = store.inner().keys();
    for key in leases.iter().filter(|key| key.contains(":l:")) {
        store.inner().delete(key).unwrap();
    }
}

fn add_twice(without: Option<Protection>) -> [bool; 2] {
    let second = Arc::new(Mutex::new(false));
    let result = Arc::clone(&second);
    let act = move |there: &Values, store: &Shop| {
        lease_ends(there, store);
        *result.lock() = there.add("lock", &2).unwrap();
    };
    let [here, there] = between(act, without);
    // The stored value may no longer be served.
    there.set("lock", &0).unwrap();
    there.delete("lock").eventually();
    let first = here.add("lock", &1).unwrap();
    let second = *second.lock();
    if without.is_none() {
        assert_eq!((here.get("lock"), there.get("lock")), (Some(2), Some(2)));
    }
    [first, second]
}

#[test]
fn of_two_that_add_one_does_though_its_lease_has_ended() {
    assert_eq!(add_twice(None), [false, true]);
    assert_eq!(add_twice(Some(Protection::AddOnce)), [true, true], "without, both do");
}

#[test]
fn of_two_that_set_at_a_time_one_is_read_everywhere() {
    let [here, there] = between(|there, _| assert!(there.set("k", &2).unwrap()), None);
    assert!(here.set("k", &1).unwrap());
    assert_eq!((here.get("k"), there.get("k")), (Some(1), Some(1)));
    let [here, there] = between(|there, _| assert!(there.set("k", &2).unwrap()), None);
    let set = here.set_many([("j", &1), ("k", &1)], &SetOptions::new()).unwrap();
    assert_eq!(set, [SetReport::Stored; 2]);
    assert_eq!((here.get("k"), there.get("k")), (Some(1), Some(1)));
}

#[test]
fn a_value_set_while_another_process_deletes_is_set_after_it() {
    let act = |there: &Values, _: &Shop| assert_eq!(there.delete("k"), Invalidation::Removed);
    let [here, there] = between(act, None);
    there.set("k", &0).unwrap();
    assert!(here.set("k", &1).unwrap());
    assert_eq!((here.get("k"), there.get("k")), (Some(1), Some(1)));
}

#[test]
fn i1_a_refresh_that_another_process_invalidates_before_it_is_written_is_not_served() {
    let act = |there: &Values, _: &Shop| _ = there.cache.delete(&fragment_key!("row"));
    let [here, there] = between(act, None);
    let row = Fragment::new(fragment_key!("row"));
    whole(&there).render(&row, || "first").unwrap();
    whole(&here).render(row.clone().refresh(true), || "old").unwrap();
    assert_eq!(&*whole(&there).render(&row, || "new").unwrap(), "new");
    assert_eq!(&*whole(&here).render(&row, || "newer").unwrap(), "new");
}

/// A version that the store has dropped is invalid and stays so: a refresh must not write back what
/// it read.
#[test]
fn i1_a_version_that_the_store_forgets_is_not_brought_back_by_a_refresh() {
    let act = |there: &Values, store: &Shop| {
        let row = fragment_key!("row");
        there.cache.delete(&row).eventually();
        let version = format!("{:016x}", there.cache.key_label(&row).to_bits());
        let named = |name: &&String| name.contains(":v:") && name.ends_with(&version);
        let records = store.inner().keys();
        assert!(store.inner().delete(records.iter().find(named).unwrap()).unwrap());
    };
    let [here, there] = between(act, None);
    let (row, page) = (Fragment::new(fragment_key!("row")), Fragment::new(fragment_key!("page")));
    let body = || whole(&there).render(&row, || "old").unwrap();
    whole(&there).render(&page, body).unwrap();
    whole(&here).render(row.clone().refresh(true), || "new").unwrap();
    assert_eq!(&*whole(&there).render(&page, || "new").unwrap(), "new");
}

/// A function that begins before a refresh of another process and is stored after it.
#[test]
fn i1_what_began_before_a_refresh_is_not_served_after_it() {
    fn load(values: &Values, anew: bool, result: &'static str) -> String {
        let call = Function::new("tests::load").call().refresh(anew);
        whole(values).memoize(&call, || result.to_owned())
    }
    let act = |there: &Values, _: &Shop| assert_eq!(load(there, true, "new"), "new");
    let [here, there] = between(act, None);
    assert_eq!(load(&here, false, "old"), "old");
    for process in [&there, &here] {
        assert_ne!(load(process, false, "newer"), "old");
    }
}

#[test]
fn a_value_too_large_to_be_set_ends_the_one_before_it() {
    let store = store();
    let here = process_with(&store, FRONTS[0], |builder| builder.max_entry_bytes(100));
    let there = process(&store);
    here.set("k", "small").unwrap();
    assert_eq!(there.get::<String>("k").as_deref(), Some("small"));
    assert!(!here.set("k", &*"x".repeat(200)).unwrap());
    assert_eq!((here.get::<String>("k"), there.get::<String>("k")), (None, None));
    told(&here);
    assert!(here.set("k", "small").unwrap());
}

#[test]
fn in_one_process_an_absent_value_is_added_once_also_after_one_that_was_too_large() {
    let cache = FragmentCache::builder().max_entry_bytes(100).build().unwrap();
    let values = cache.values();
    for round in 0..20 {
        // For a while, callers do not wait for each other under this key.
        assert!(!values.set(round, &*"x".repeat(200)).unwrap());
        let add = || values.add(round, "small").unwrap();
        let added = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(add));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(added.iter().filter(|&&added| added).count(), 1, "{added:?}");
    }
}
