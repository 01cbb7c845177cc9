//! Several values at a time: the same results as one by one, in fewer round trips.

use std::time::Duration;

use super::meanwhile::{Meanwhile, Step};
use super::whole;
use crate::events::{Event, EventKind, Observer, RefusalReason};
use crate::protection::Protection;
use crate::store::Fault;
use crate::sync::{AtomicU8, Ordering};
use crate::testing::{FaultyStore, MemoryStore, Recorder};
use crate::values::{SetOptions, SetReport, Values};
use crate::{CacheBuilder, ErrorKind, FarLevel, FragmentCache, FragmentKey, Invalidation};

pub(super) type Shop = FaultyStore<MemoryStore>;

pub(super) fn store() -> Shop {
    FaultyStore::new(MemoryStore::new())
}

/// The variants of the near level in front of the store.
pub(super) const FRONTS: [fn(FarLevel) -> FarLevel; 3] =
    [|level| level, |level| level.near_ttl(Duration::from_secs(2)), |level| level.without_near()];

/// A process on this store.
pub(super) fn process(store: &Shop) -> Values {
    process_with(store, FRONTS[0], |builder| builder)
}

pub(super) fn process_with(
    store: &Shop,
    front: fn(FarLevel) -> FarLevel,
    with: impl FnOnce(CacheBuilder) -> CacheBuilder,
) -> Values {
    let builder = FragmentCache::builder().jitter(0.0).far(front(FarLevel::new(store.clone())));
    with(builder).build().unwrap().values()
}

/// Round trips of the background workers of two processes meanwhile, one per second each.
const WORKER_TRIPS: u64 = 12;

/// Waits until everything is published to the store.
pub(super) fn told(values: &Values) {
    let begun = crate::clock::instant();
    while values.cache.health().pending_invalidations > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the worker tells nothing");
        std::thread::yield_now();
    }
}

#[test]
fn several_values_take_a_known_number_of_round_trips() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    let trips = |run: &dyn Fn()| {
        store.reset_counts();
        run();
        store.round_trips()
    };
    for count in [1, 100, 128] {
        let keys: Vec<u32> = (1000 * count..1000 * count + count).collect();
        let all = usize::try_from(count).unwrap();
        let options = SetOptions::new().tags([format!("tag:{count}")]);
        let set = |values: &Values| {
            let pairs = keys.iter().map(|key| (key, key));
            assert_eq!(values.set_many(pairs, &options).unwrap(), vec![SetReport::Stored; all]);
        };
        let first = trips(&|| set(&here));
        let again = trips(&|| set(&there));
        let get = trips(&|| {
            let got = there.get_many::<u32, _>(&keys);
            assert!(got.iter().all(Option::is_some));
        });
        let delete = trips(&|| {
            assert_eq!(there.delete_many(&keys), vec![Invalidation::Removed; all]);
        });
        let absent = trips(&|| {
            assert_eq!(there.delete_many(&keys), vec![Invalidation::Absent; all]);
        });
        // One round trip if no results per key are needed.
        let mut batch = there.cache.batch();
        keys.iter().for_each(|key| _ = batch.delete(&there.key(key)));
        let batch = trips(&|| assert!(!batch.clone().apply().is_pending()));
        let found = [first, again, get, delete, absent, batch];
        let most = [7, 4, 1, 4, 4, 1];
        let is_known = |(found, most): (&u64, u64)| *found <= most + WORKER_TRIPS;
        assert!(found.iter().zip(most).all(is_known), "{count}: {found:?}");
    }
    let keys: Vec<u32> = (0..2560).collect();
    // Now and then the worker extends the TTL of labels.
    let set = trips(&|| {
        let pairs = keys.iter().map(|key| (key, key));
        assert!(
            here.set_many(pairs, &SetOptions::new())
                .unwrap()
                .iter()
                .all(|set| *set == SetReport::Stored)
        );
    });
    let delete = trips(&|| drop(here.delete_many(&keys)));
    assert!(
        set <= 10 * 8 + WORKER_TRIPS && delete <= 20 * 4 + WORKER_TRIPS,
        "{set} to set, {delete} to delete"
    );
}

#[test]
fn large_values_go_some_at_a_time() {
    let store = store();
    let values = process(&store);
    let large = vec![7_u8; 300_000];
    let pairs = (0..12).map(|key| (key, &large));
    store.reset_counts();
    assert_eq!(values.set_many(pairs, &SetOptions::new()).unwrap(), [SetReport::Stored; 12]);
    // Three of them make a megabyte.
    assert!(
        (4 * 3..=4 * 6 + WORKER_TRIPS).contains(&store.round_trips()),
        "{}",
        store.round_trips()
    );
    assert_eq!(process(&store).get::<Vec<u8>>(11), Some(large));
}

/// What is left of three values that are set while another process invalidates them.
fn invalidated_between(
    front: fn(FarLevel) -> FarLevel,
    invalidate: fn(&Values),
    without: Option<Protection>,
) -> (Vec<SetReport>, Vec<Option<i32>>) {
    let store = store();
    let there = process(&store);
    // Existing versions are what a naive order would take for those of the values.
    there.set_many([("a", &0), ("b", &0), ("c", &0)], &SetOptions::new().tags(["tag"])).unwrap();
    let between = Meanwhile::new(&store);
    between.act(Step::ReadBack, {
        let there = there.clone();
        move || invalidate(&there)
    });
    let builder = FragmentCache::builder().jitter(0.0).far(front(FarLevel::new(between)));
    let builder = match without {
        Some(protection) => builder.without(protection),
        None => builder,
    };
    let here = builder.build().unwrap().values();
    let old = [("a", &1), ("b", &1), ("c", &1)];
    let kept = here.set_many(old, &SetOptions::new().tags(["tag"])).unwrap();
    (kept, there.get_many(["a", "b", "c"]))
}

const INVALIDATIONS: [fn(&Values); 3] = [
    |there| drop(there.delete_many(["a", "b", "c"])),
    |there| _ = there.cache.invalidate_tags(["tag"]).unwrap(),
    |there| _ = there.clear(),
];

#[test]
fn i1_what_is_invalidated_while_it_is_set_is_not_served_afterwards() {
    for front in FRONTS {
        for invalidate in &INVALIDATIONS[1..] {
            let done = invalidated_between(front, *invalidate, None);
            assert_eq!(done, (vec![SetReport::NotStored; 3], vec![None; 3]));
        }
        // A value is set after its own deletion.
        let done = invalidated_between(front, INVALIDATIONS[0], None);
        assert_eq!(done, (vec![SetReport::Stored; 3], vec![Some(1); 3]));
    }
}

#[test]
fn i1_without_the_versions_of_the_read_point_it_would_be() {
    let naive = Some(Protection::VersionsAtReadPoint);
    for invalidate in &INVALIDATIONS[1..] {
        let (kept, got) = invalidated_between(FRONTS[0], *invalidate, naive);
        assert_eq!((kept, got), (vec![SetReport::Stored; 3], vec![Some(1); 3]));
    }
    // The fences vouch for tags that were never read before.
    let (_, got) = invalidated_between(FRONTS[0], INVALIDATIONS[1], Some(Protection::LateFences));
    assert_eq!(got, [Some(1); 3]);
}

#[test]
fn what_is_set_after_an_invalidation_is_served() {
    for front in FRONTS {
        for invalidate in INVALIDATIONS {
            let store = store();
            let here = process_with(&store, front, |builder| builder);
            let there = process_with(&store, front, |builder| builder);
            let set = |to: i32| {
                let values = [("a", &to), ("b", &to), ("c", &to)];
                here.set_many(values, &SetOptions::new().tags(["tag"])).unwrap()
            };
            assert_eq!(set(1), [SetReport::Stored; 3]);
            for by in [&here, &there] {
                invalidate(by);
                assert_eq!(set(2), [SetReport::Stored; 3]);
                assert_eq!(there.get_many(["a", "b", "c"]), [Some(2); 3]);
                assert_eq!(here.get_many(["a", "b", "c"]), [Some(2); 3]);
            }
        }
    }
}

#[test]
fn the_last_of_several_under_one_key_is_kept() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    let values = [("a", &1), ("b", &2), ("a", &3), ("a", &4), ("b", &5)];
    assert_eq!(here.set_many(values, &SetOptions::new()).unwrap(), [SetReport::Stored; 5]);
    assert_eq!(there.get_many(["a", "b"]), [Some(4), Some(5)]);
    let done = there.delete_many(["a", "b", "a", "c"]);
    use Invalidation::{Absent, Removed};
    assert_eq!(done, [Removed, Removed, Absent, Absent]);
    assert_eq!(here.get_many::<i32, _>(["a", "b"]), [None; 2]);
}

#[test]
fn what_is_before_an_unusable_value_is_set() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    let unusable = [Some(None), Some(Some(2))];
    let values = [("a", &unusable[1]), ("b", &unusable[0]), ("c", &unusable[1])];
    let error = here.set_many(values, &SetOptions::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    let got = there.get_many::<Option<Option<i32>>, _>(["a", "b", "c"]);
    assert_eq!(got, [Some(Some(Some(2))), None, None]);
    let error = here.set_many([("d", &1)], &SetOptions::new().tags([""])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tag);
    assert_eq!(
        here.set_many([("d", &1); 0], &SetOptions::new().tags([""])).unwrap(),
        [SetReport::Stored; 0]
    );
}

/// Panics at the first fault of the store, or when the first body is stored.
#[derive(Debug)]
struct Panics(AtomicU8);

impl Observer for Panics {
    fn on_event(&self, event: &Event<'_>) {
        let place = match event.kind {
            EventKind::Fault(_) => 1,
            EventKind::Stored { .. } => 2,
            _ => return,
        };
        if self.0.fetch_or(place, Ordering::SeqCst) & place == 0 {
            std::panic::panic_any("observing");
        }
    }
}

#[test]
fn an_observer_that_panics_leaves_no_lease_and_no_flight_behind() {
    let store = store();
    let panics = Panics(AtomicU8::new(0));
    let here = process_with(&store, FRONTS[0], |builder| builder.observer(panics));
    let set = || here.set_many([("a", &1), ("b", &2), ("c", &3)], &SetOptions::new());
    for kind in [":n:", "nothing"] {
        store.fail_keys(Fault::Refused, move |key| key.contains(kind));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(set)).is_err(), "{kind}");
        assert_eq!((here.cache.health().leases, here.cache.stats().flights), (0, 0));
    }
    assert_eq!(set().unwrap(), [SetReport::Stored; 3]);
}

#[test]
fn what_another_process_sets_meanwhile_is_set_before() {
    let store = store();
    let there = process(&store);
    let recorder = Recorder::new();
    let between = Meanwhile::new(&store);
    between.act(Step::ReadBack, {
        let there = there.clone();
        move || _ = there.set("b", &9).unwrap()
    });
    let builder = FragmentCache::builder().observer(recorder.clone());
    let here = builder.far(FarLevel::new(between)).build().unwrap().values();
    let kept = here.set_many([("a", &1), ("b", &2), ("c", &3)], &SetOptions::new()).unwrap();
    assert_eq!(kept, [SetReport::Stored; 3]);
    assert_eq!(there.get_many(["a", "b", "c"]), [Some(1), Some(2), Some(3)]);
    let refused = EventKind::Refused(RefusalReason::Superseded);
    let refused: Vec<FragmentKey> = recorder
        .events()
        .into_iter()
        .filter(|event| event.kind == refused)
        .filter_map(|event| event.key)
        .collect();
    assert_eq!(refused, [here.key("b")], "once");
}

#[test]
fn what_is_set_right_after_what_is_too_large_is_kept() {
    let store = store();
    let here = process_with(&store, FRONTS[0], |builder| builder.max_entry_bytes(100));
    let there = process_with(&store, FRONTS[2], |builder| builder);
    for round in 0..200 {
        let small = format!("{round}");
        let values = [("a", &"x".repeat(200)), ("a", &small)];
        let set = here.set_many(values, &SetOptions::new()).unwrap();
        assert_eq!(set, [SetReport::NotStored, SetReport::Stored]);
        assert_eq!(there.get("a"), Some(small));
    }
}

/// As one by one. Whether a fragment around one that was deleted before it counts as stored depends
/// on the level that has it: the store is not asked what is inside.
#[test]
fn a_fragment_and_what_is_around_it_are_told_of_as_if_they_were_deleted_one_by_one() {
    use crate::{Fragment, fragment_key};
    for front in FRONTS {
        let done = [false, true].map(|at_once| {
            let store = store();
            let cache = whole(&process_with(&store, front, |builder| builder));
            let (card, page) = (fragment_key!("card"), fragment_key!("page"));
            let body = || cache.render(Fragment::new(card.clone()), || "card").unwrap();
            cache.render(Fragment::new(page.clone()), body).unwrap();
            match at_once {
                true => cache.delete_many([&card, &page]),
                false => vec![cache.delete(&card), cache.delete(&page)],
            }
        });
        assert_eq!(done[0], done[1], "{front:?}");
        assert_eq!(done[0][0], Invalidation::Removed, "{front:?}");
    }
}

#[test]
fn a_fragment_depends_on_all_values_that_are_set_in_it() {
    let store = store();
    let (here, there) = (process(&store), process(&store));
    let page = crate::Fragment::new(crate::fragment_key!("page"));
    let body =
        || here.set_many([("a", &1), ("b", &2)], &SetOptions::new()).map(|_| "page").unwrap();
    whole(&here).render(&page, body).unwrap();
    assert_eq!(&*whole(&there).render(&page, || "again").unwrap(), "page");
    there.delete_many(["b"]);
    assert_eq!(&*whole(&there).render(&page, || "again").unwrap(), "again");
}
