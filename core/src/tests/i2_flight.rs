//! I2, single flight: one render per key at a time, and what followers do when the leader has no
//! result for them.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Gate, Rig, fragment, rig, rig_with, until_waiting, work_50_ms};
use crate::FragmentCache;
use crate::events::{BypassReason, EventKind};
use crate::protection::Protection;

const THREADS: usize = 16;

/// Renders `row` in 16 threads concurrently with a body of 50 ms. Returns how many bodies ran.
fn stampede(cache: &FragmentCache) -> usize {
    let (renders, start) = (AtomicUsize::new(0), Barrier::new(THREADS));
    let row = fragment("row").expires_after(Duration::from_secs(60));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                let markup = cache.render(&row, || {
                    renders.fetch_add(1, Ordering::SeqCst);
                    work_50_ms();
                    "body"
                });
                assert_eq!(&*markup.unwrap(), "body");
            });
        }
    });
    assert_eq!(cache.stats().flights, 0);
    renders.into_inner()
}

#[test]
fn i2_sixteen_threads_on_a_cold_key_render_once() {
    for round in 0..50 {
        let cache = FragmentCache::in_memory();
        assert_eq!(stampede(&cache), 1, "round {round}");
        let stats = cache.stats();
        assert_eq!((stats.stores, stats.waits + stats.hits, stats.bypasses), (1, 15, 0));
    }
}

#[test]
fn i2_sixteen_threads_on_an_expired_key_render_once() {
    let rig = rig();
    for round in 0..50 {
        assert_eq!(stampede(&rig.cache), 1, "round {round}");
        rig.clock.advance(Duration::from_secs(61));
    }
    assert_eq!(rig.cache.stats().stores, 50);
}

#[test]
fn i2_sixteen_pages_that_share_a_cold_inner_fragment_render_it_once() {
    for round in 0..10 {
        let rig = rig();
        let (renders, start) = (AtomicUsize::new(0), Barrier::new(THREADS));
        std::thread::scope(|scope| {
            for page in 0..THREADS {
                let (rig, renders, start) = (&rig, &renders, &start);
                scope.spawn(move || {
                    let outer = fragment(&format!("page {page}"));
                    let body = || {
                        start.wait();
                        rig.cache.render(fragment("inner"), || {
                            renders.fetch_add(1, Ordering::SeqCst);
                            work_50_ms();
                            "inner"
                        })
                    };
                    rig.cache.try_render(&outer, body).unwrap();
                });
            }
        });
        assert_eq!(renders.into_inner(), 1, "round {round}");
        let stats = rig.cache.stats();
        assert_eq!((stats.stores, stats.bypasses, stats.flights), (THREADS as u64 + 1, 0, 0));
    }
}

/// A leader whose body returns `ends`, with three followers. Returns the maximum number of
/// concurrent bodies among the followers, and the total number.
fn followers_of(
    rig: &Rig,
    ends: impl FnOnce() -> Result<&'static str, crate::Error> + Send,
) -> usize {
    let (runs, may_end) = (Gate::default(), Gate::default());
    let renders = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            rig.cache.try_render(fragment("row"), || {
                runs.open();
                may_end.pass();
                ends()
            })
        });
        runs.pass();
        for _ in 0..3 {
            scope.spawn(|| {
                let markup = rig.cache.render(fragment("row"), || {
                    renders.fetch_add(1, Ordering::SeqCst);
                    work_50_ms();
                    "follower's"
                });
                assert_eq!(&*markup.unwrap(), "follower's");
            });
        }
        until_waiting(&rig.cache, 3);
        may_end.open();
        // Some callers want the leader's body to panic.
        let _ = leader.join();
    });
    assert_eq!(rig.cache.stats().flights, 0);
    renders.into_inner()
}

fn failure() -> crate::Error {
    crate::Error::new(crate::ErrorKind::Config, "no database")
}

#[test]
fn i2_a_leader_that_fails_is_followed_by_exactly_one() {
    let rig = rig();
    assert_eq!(followers_of(&rig, || Err(failure())), 1);
    assert_eq!(rig.cache.stats().errors, 1);
    assert!(rig.get("row").is_some());
}

#[test]
fn i2_a_leader_that_panics_is_followed_by_exactly_one() {
    let rig = rig();
    assert_eq!(followers_of(&rig, || std::panic::resume_unwind(Box::new("body"))), 1);
    assert_eq!(rig.cache.stats().errors, 1);
}

#[test]
fn i2_after_a_delete_the_followers_of_a_failed_leader_render_once() {
    let rig = rig();
    let ends = || {
        rig.delete("row");
        Err(failure())
    };
    assert_eq!(followers_of(&rig, ends), 1);
    assert!(rig.get("row").is_some());
}

#[test]
fn i2_an_unstorable_result_sends_the_followers_off_until_one_can_be_stored() {
    let rig = rig();
    let ends = || {
        rig.cache.render(fragment("veto").unless(true), || "").unwrap();
        Ok("leader's")
    };
    let renders = followers_of(&rig, ends);
    assert!((1..=3).contains(&renders), "{renders}");
    let unshared = EventKind::Bypassed(BypassReason::Unshared);
    let events = rig.recorder.events();
    assert_eq!(events.iter().filter(|event| event.kind == unshared).count(), renders);
    assert_eq!(rig.get("row").as_deref(), Some("follower's"));
    rig.delete("row");
    rig.recorder.reset();
    rig.say("row", "");
    assert_eq!(rig.recorder.events().len(), 2, "a miss and a store: the key is shared again");
}

#[test]
fn i2_an_unstorable_key_makes_no_caller_wait() {
    let rig = rig_with(|builder| builder.max_entry_bytes(4));
    rig.say("row", "too large");
    for _ in 0..3 {
        assert_eq!(&*rig.say("row", "too large"), "too large");
        let events = rig.recorder.events();
        let bypassed = EventKind::Bypassed(BypassReason::Unshared);
        assert_eq!(events[events.len() - 2].kind, bypassed);
        assert_eq!(rig.cache.stats().flights, 0);
    }
    rig.clock.advance(Duration::from_secs(60));
    rig.recorder.reset();
    rig.say("row", "tiny");
    assert!(rig.get("row").is_some());
    assert_eq!(rig.recorder.events().len(), 2, "a miss and a store, and nobody passed");
}

#[test]
fn i2_an_observer_that_panics_leaves_no_flight_open() {
    #[derive(Debug)]
    struct Panics;
    impl crate::events::Observer for Panics {
        fn on_event(&self, event: &crate::events::Event<'_>) {
            if matches!(event.kind, EventKind::Miss(_)) {
                std::panic::resume_unwind(Box::new("observer"));
            }
        }
    }
    let cache = FragmentCache::builder().observer(Panics).build().unwrap();
    let render = || cache.render(fragment("row"), || "body");
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(render)).is_err());
    assert_eq!(cache.stats().flights, 0);
}

#[test]
fn i2_these_tests_notice_when_followers_of_an_outdated_flight_lead_it() {
    let rig = rig_with(|builder| builder.without(Protection::Rejoin));
    let (runs, may_fail, has_failed) = (Gate::default(), Gate::default(), Gate::default());
    let both_render = Barrier::new(2);
    let body = || {
        // Passed only if two bodies run concurrently.
        both_render.wait();
        // Otherwise their stored result would replace the failed one.
        has_failed.pass();
        "body"
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let failed: Result<_, crate::Error> = rig.cache.try_render(fragment("row"), || {
                runs.open();
                may_fail.pass();
                Err::<&str, _>(failure())
            });
            has_failed.open();
            failed.unwrap_err();
        });
        runs.pass();
        scope.spawn(|| rig.cache.render(fragment("row"), body).unwrap());
        until_waiting(&rig.cache, 1);
        rig.delete("row");
        may_fail.open();
        scope.spawn(|| rig.cache.render(fragment("row"), body).unwrap());
    });
}
