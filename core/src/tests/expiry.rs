//! Expiry by the manual clock: exact, and inherited by enclosing fragments.

use std::time::Duration;

use super::{Behind, fragment, rig, rig_with};
use crate::engine::Scalar;
use crate::events::{EventKind, MissReason, RefusalReason};
use crate::testing::{ManualClock, MemoryStore, Recorder};
use crate::{CacheMode, FarLevel, Fragment, FragmentCache, Timeout};
use crate::{current, fragment_key};

#[test]
fn a_fragment_lives_exactly_as_long_as_its_timeout() {
    let rig = rig();
    let row = fragment("row").expires_after(Duration::from_secs(60));
    rig.cache.render(&row, || "old").unwrap();
    rig.clock.advance(Duration::from_secs(60) - Duration::from_nanos(1));
    assert_eq!(&*rig.cache.render(&row, || "new").unwrap(), "old");
    rig.clock.advance(Duration::from_nanos(1));
    assert_eq!(rig.get("row"), None);
    assert_eq!(&*rig.cache.render(&row, || "new").unwrap(), "new");
    let last = rig.recorder.events()[3].kind;
    assert_eq!(last, EventKind::Miss(MissReason::Expired));
}

#[test]
fn a_life_begins_when_the_body_is_finished() {
    let rig = rig();
    let row = fragment("row").expires_after(Duration::from_secs(10));
    let slow = || {
        rig.clock.advance(Duration::from_secs(30));
        "slow"
    };
    rig.cache.render(&row, slow).unwrap();
    rig.clock.advance(Duration::from_secs(9));
    assert!(rig.get("row").is_some());
}

#[test]
fn the_default_life_is_the_caches_and_never_means_never() {
    let rig = rig_with(|builder| builder.default_timeout(Some(Duration::from_secs(5))));
    rig.say("default", "");
    rig.cache.render(fragment("never").never_expires(), || "").unwrap();
    rig.clock.advance(Duration::from_secs(5));
    assert_eq!(rig.get("default"), None);
    rig.clock.advance(Duration::from_secs(100 * 365 * 86_400));
    assert!(rig.get("never").is_some());
}

#[test]
fn a_timeout_of_zero_is_refused_before_the_body_runs() {
    let rig = rig();
    let row = fragment("row").timeout(Timeout::After(Duration::ZERO));
    let refused = rig.cache.render(&row, || -> &str { unreachable!() });
    assert!(refused.is_err());
    assert_eq!(rig.cache.stats().flights, 0);
}

#[test]
fn an_outer_fragment_lives_no_longer_than_its_soonest_inner_one() {
    let rig = rig();
    let inner = fragment("inner").expires_after(Duration::from_secs(10));
    let outer = |name: &str| Fragment::new(fragment_key!(name)).never_expires();
    let page =
        |name: &str| rig.cache.render(outer(name), || rig.cache.render(&inner, || "").unwrap());
    page("first").unwrap();
    rig.clock.advance(Duration::from_secs(6));
    // The inner fragment is a hit here, with 4 s left.
    page("second").unwrap();
    rig.clock.advance(Duration::from_secs(4));
    assert_eq!((rig.get("first"), rig.get("second")), (None, None));
}

#[test]
fn an_inner_fragment_that_is_only_printed_bounds_the_outer_one_too() {
    let rig = rig();
    let inner = fragment("inner").expires_after(Duration::from_secs(10));
    let outer = fragment("outer").never_expires();
    let body = || {
        rig.cache.set_mode(CacheMode::ReadOnly);
        let inner = rig.cache.render(&inner, || "").unwrap();
        rig.cache.set_mode(CacheMode::Normal);
        inner
    };
    rig.cache.render(&outer, body).unwrap();
    assert!(rig.get("outer").is_some() && rig.get("inner").is_none());
    rig.clock.advance(Duration::from_secs(10));
    assert_eq!(rig.get("outer"), None);
}

#[test]
fn an_expired_body_is_no_hit_by_a_lagging_clock() {
    type Ending = fn(&ManualClock);
    let endings: [Ending; 3] = [
        |_| current::expire_after(Duration::ZERO),
        |_| crate::engine::expire_after(Scalar::Int(0)).unwrap(),
        |clock| {
            current::expire_after(Duration::from_millis(1));
            clock.advance(Duration::from_millis(2));
        },
    ];
    let window = Duration::from_secs(60);
    let fronts = [("near", None), ("far", Some(Duration::ZERO)), ("bounded", Some(window))];
    for (front, near_ttl) in fronts {
        for (ending, stale) in endings.iter().flat_map(|end| [(end, None), (end, Some(window))]) {
            let (clock, recorder) = (ManualClock::new(), Recorder::new());
            let behind = Behind(clock.clone());
            let builder = FragmentCache::builder().clock(behind).observer(recorder.clone());
            let builder = match near_ttl {
                Some(ttl) => builder.far(FarLevel::new(MemoryStore::new()).near_ttl(ttl)),
                None => builder,
            };
            let cache = builder.build().unwrap();
            let row = stale.map_or(fragment("row"), |window| fragment("row").stale(window));
            let page = || {
                let row = || {
                    cache.render(&row, || {
                        ending(&clock);
                        "row"
                    })
                };
                cache.try_render(fragment("page"), row).unwrap();
            };
            for round in 0..3 {
                recorder.reset();
                page();
                let hits = recorder.events().into_iter().filter(|seen| seen.kind == EventKind::Hit);
                assert_eq!(hits.count(), 0, "{front}, {stale:?}, round {round}");
            }
            if stale.is_none() {
                let last = recorder.events().pop().unwrap();
                assert_eq!(last.kind, EventKind::Refused(RefusalReason::Expired), "{front}");
            }
        }
    }
}
