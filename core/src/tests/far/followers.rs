//! A follower prints only results that were validated since it came: nothing that another process
//! had invalidated before, even if the store is unavailable by then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::{Gate, INVALIDATIONS, fragment, rig_with, until_waiting};
use super::{FRONTS, Front, Store};
use crate::store::Fault;
use crate::testing::{FaultyStore, MemoryStore};
use crate::{Fragment, FragmentCache};

/// Two processes on one store, each with its own connection.
fn two(front: Front) -> ([super::Rig; 2], Store) {
    let memory = MemoryStore::new();
    let way = || FaultyStore::new(memory.clone());
    let lost = way();
    ([front.patient(&lost), front.patient(&way())], lost)
}

/// Every way to lose a store while a body renders.
const LOSSES: [fn(&Store); 4] = [
    |store| store.fail(Fault::Unreachable),
    |store| store.fail(Fault::Deadline),
    |store| store.fail_after_effect(Fault::Deadline),
    |store| store.fail_writes(Fault::Refused),
];

/// Renders `row` in one caller. While its body runs, `between` is called and another caller
/// follows, whose body would print "new". Returns what the follower prints.
fn follow(
    cache: &FragmentCache,
    row: &Fragment,
    between: impl FnOnce(),
    before_landing: impl FnOnce(),
) -> String {
    let (begun, ends) = (Gate::default(), Gate::default());
    std::thread::scope(|threads| {
        let leader = threads.spawn(|| {
            let body = || {
                begun.open();
                ends.pass();
                "old"
            };
            cache.render(row, body).unwrap()
        });
        begun.pass();
        between();
        let follower = threads.spawn(|| cache.render(row, || "new").unwrap());
        until_waiting(cache, 1);
        before_landing();
        ends.open();
        assert_eq!(&*leader.join().unwrap(), "old", "it began before");
        follower.join().unwrap().to_string()
    })
}

#[test]
fn i1_a_follower_who_came_after_an_invalidation_prints_nothing_older_though_the_store_is_lost() {
    for &front in FRONTS {
        for (number, invalidate) in INVALIDATIONS.iter().enumerate() {
            for (loss, lose) in LOSSES.iter().enumerate() {
                let ([one, other], store) = two(front);
                let row = fragment("row").tags(["tag"]);
                let before_landing = || {
                    lose(&store);
                    if front == Front::Bounded {
                        one.distrust();
                    }
                };
                let printed = follow(&one.cache, &row, || invalidate(&other.cache), before_landing);
                assert_eq!(printed, "new", "{front:?}, invalidation {number}, loss {loss}");
            }
        }
    }
}

#[test]
fn i1_a_follower_prints_nothing_older_that_holds_what_was_invalidated() {
    for &front in FRONTS {
        let ([one, other], store) = two(front);
        one.cache.render(fragment("inner").tags(["tag"]), || "old").unwrap();
        let (begun, ends) = (Gate::default(), Gate::default());
        let page = fragment("page");
        let inner = |text: &'static str| {
            one.cache.render(fragment("inner").tags(["tag"]), || text).unwrap()
        };
        std::thread::scope(|threads| {
            let leader = threads.spawn(|| {
                let body = || {
                    let inner = inner("unused");
                    begun.open();
                    ends.pass();
                    inner
                };
                one.cache.render(&page, body).unwrap()
            });
            begun.pass();
            other.cache.invalidate_tags(["tag"]).unwrap().eventually();
            let follower = threads.spawn(|| one.cache.render(&page, || inner("new")).unwrap());
            until_waiting(&one.cache, 1);
            store.fail(Fault::Unreachable);
            one.distrust();
            ends.open();
            assert_eq!(&*leader.join().unwrap(), "old", "{front:?}");
            assert_eq!(&*follower.join().unwrap(), "new", "{front:?}");
        });
    }
}

/// The data of a handler's page is older than the start of its fragment.
#[test]
fn i1_a_follower_prints_nothing_that_is_older_than_the_flight_it_follows() {
    for &front in FRONTS {
        let ([one, other], store) = two(front);
        let row = fragment("row").tags(["tag"]);
        let point = one.cache.read_point();
        other.cache.invalidate_tags(["tag"]).unwrap().eventually();
        one.distrust();
        let (first, second) = (Gate::default(), Gate::default());
        let (begun, ends) = (Gate::default(), Gate::default());
        std::thread::scope(|threads| {
            // The others first follow this caller, which fails.
            let failing = threads.spawn(|| {
                let body = || {
                    first.open();
                    second.pass();
                    Err::<&str, _>(crate::Error::new(crate::ErrorKind::Io, "no database"))
                };
                one.cache.try_render(&row, body).unwrap_err();
            });
            first.pass();
            let handler = threads.spawn(|| {
                let body = || {
                    begun.open();
                    ends.pass();
                    "old"
                };
                point.scope(|| one.cache.render(&row, body).unwrap())
            });
            until_waiting(&one.cache, 1);
            store.fail(Fault::Unreachable);
            second.open();
            failing.join().unwrap();
            begun.pass();
            let follower = threads.spawn(|| one.cache.render(&row, || "new").unwrap());
            until_waiting(&one.cache, 1);
            ends.open();
            assert_eq!(&*handler.join().unwrap(), "old", "{front:?}");
            assert_eq!(&*follower.join().unwrap(), "new", "{front:?}");
        });
    }
}

/// Of the followers that may not take the first render, one renders for all the others.
#[test]
fn i2_followers_who_may_not_take_a_render_share_the_next() {
    const FOLLOWERS: usize = 8;
    let store = super::store();
    let level = crate::FarLevel::new(store.clone());
    let one = rig_with(|builder| builder.far(level));
    let renders = AtomicUsize::new(0);
    let row = fragment("row");
    let (begun, ends) = (Gate::default(), Gate::default());
    std::thread::scope(|threads| {
        let leader = threads.spawn(|| {
            let body = || {
                begun.open();
                ends.pass();
                "old"
            };
            one.cache.render(&row, body).unwrap()
        });
        begun.pass();
        let follower = || {
            let body = || {
                renders.fetch_add(1, Ordering::SeqCst);
                until_waiting(&one.cache, FOLLOWERS - 1);
                "new"
            };
            one.cache.render(&row, body).unwrap()
        };
        let followers: Vec<_> = (0..FOLLOWERS).map(|_| threads.spawn(follower)).collect();
        until_waiting(&one.cache, FOLLOWERS);
        store.fail(Fault::Unreachable);
        one.clock.advance(Duration::from_millis(1));
        ends.open();
        leader.join().unwrap();
        for follower in followers {
            assert_eq!(&*follower.join().unwrap(), "new");
        }
    });
    assert_eq!(renders.into_inner(), 1);
}
