//! I7, no unbounded wait and no deadlock.

use std::sync::Barrier;
use std::time::Duration;

use super::{Gate, fragment, rig, rig_with};
use crate::clock::Deadline;
use crate::events::{BypassReason, EventKind};
use crate::flight::Joined;
use crate::fragment_key;
use crate::hash::HashedKey;
use crate::hash::Version;
use crate::lookup::{Lookup, Request};
use crate::options::Options;

fn bypasses(rig: &super::Rig, reason: BypassReason) -> usize {
    let kind = EventKind::Bypassed(reason);
    rig.recorder.events().iter().filter(|event| event.kind == kind).count()
}

#[test]
fn i7_a_wait_ends_at_its_limit_and_the_caller_renders_without_storing() {
    let rig = rig_with(|builder| builder.wait_limit(Duration::from_millis(20)));
    let (runs, may_end) = (Gate::default(), Gate::default());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let body = || {
                runs.open();
                may_end.pass();
                "leader's"
            };
            rig.cache.render(fragment("row"), body).unwrap();
        });
        runs.pass();
        assert_eq!(&*rig.say("row", "impatient"), "impatient");
        assert_eq!(rig.get("row"), None);
        assert_eq!(bypasses(&rig, BypassReason::WaitLimit), 1);
        may_end.open();
    });
    assert_eq!(rig.get("row").as_deref(), Some("leader's"));
}

#[test]
fn i7_callers_behind_leaders_that_keep_failing_give_up_at_the_limit() {
    // Each leader fails after 30 ms, and their times add up to more than the limit.
    let rig = rig_with(|builder| builder.wait_limit(Duration::from_millis(100)));
    let start = Barrier::new(12);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                start.wait();
                let failed: Result<_, crate::Error> = rig.cache.try_render(fragment("row"), || {
                    super::work(Duration::from_millis(30));
                    Err::<&str, _>(crate::Error::new(crate::ErrorKind::Config, "no"))
                });
                failed.unwrap_err();
            });
        }
    });
    let impatient = bypasses(&rig, BypassReason::WaitLimit);
    assert!(impatient >= 5, "{impatient} of 12 gave up waiting");
    assert_eq!(rig.cache.stats().flights, 0);
}

#[test]
fn i7_the_limit_is_one_for_all_waits_of_a_lookup() {
    // If each wait started a new limit, this one would never end.
    let rig = rig_with(|builder| builder.wait_limit(Duration::MAX));
    let cache = &rig.cache;
    let key = fragment_key!("row");
    let hashed = HashedKey { hash: cache.handle.hasher().key(key.as_bytes()), key: key.as_bytes() };
    let source = cache.handle.sources().rust();
    let labels = cache.handle.hasher().labels(hashed.key, None);
    rig.cache
        .render(fragment("row"), || {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let over = Deadline::after(Duration::ZERO);
                    let now = cache.handle.moment();
                    let (version, options) = (Version::default(), Options::default());
                    let request = Request { hashed, source, version, options };
                    let lookup = Lookup { request, labels: &labels, body: &|_| None };
                    let joined = cache.handle.flights().join(&lookup, cache.handle.fresh(), now);
                    let Joined::Wait(waiting) = joined else {
                        panic!("there is a leader");
                    };
                    let joined = waiting.block(over);
                    assert!(matches!(joined, Joined::Alone(BypassReason::WaitLimit)));
                });
            });
            "body"
        })
        .unwrap();
}

#[test]
fn i7_a_fragment_inside_itself_renders_inline() {
    let rig = rig();
    let printed =
        rig.cache.render(fragment("a"), || format!("[{}]", rig.say("a", "inner"))).unwrap();
    assert_eq!(&*printed, "[inner]");
    assert_eq!(rig.get("a").as_deref(), Some("[inner]"), "the outer one is stored");
    assert_eq!(bypasses(&rig, BypassReason::Cycle), 1);
    assert_eq!(rig.cache.stats().flights, 0);
}

#[test]
fn i7_a_around_b_and_b_around_a_end() {
    for _ in 0..50 {
        let rig = rig();
        let both_lead = Barrier::new(2);
        std::thread::scope(|scope| {
            for (outer, inner) in [("a", "b"), ("b", "a")] {
                let (rig, both_lead) = (&rig, &both_lead);
                scope.spawn(move || {
                    let body = || {
                        both_lead.wait();
                        rig.say(inner, "inner")
                    };
                    assert_eq!(&*rig.cache.render(fragment(outer), body).unwrap(), "inner");
                });
            }
        });
        assert_eq!(bypasses(&rig, BypassReason::Cycle), 1, "one of the two does not wait");
        assert_eq!(rig.cache.stats().flights, 0);
    }
}

#[test]
fn i7_a_cycle_through_three_threads_and_two_caches_ends() {
    let (one, two) = (rig(), rig());
    let all_lead = Barrier::new(3);
    std::thread::scope(|scope| {
        for (cache, outer, inner_cache, inner) in [
            (&one.cache, "a", &one.cache, "b"),
            (&one.cache, "b", &two.cache, "c"),
            (&two.cache, "c", &one.cache, "a"),
        ] {
            let all_lead = &all_lead;
            scope.spawn(move || {
                let body = || {
                    all_lead.wait();
                    inner_cache.render(fragment(inner), || "inner").unwrap()
                };
                cache.render(fragment(outer), body).unwrap();
            });
        }
    });
    let cycles = [&one, &two].map(|rig| bypasses(rig, BypassReason::Cycle));
    assert_eq!(cycles.iter().sum::<usize>(), 1);
}
