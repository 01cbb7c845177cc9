//! What one process stores is served by another, until any of them invalidates it.

use std::time::Duration;

use super::super::{Behind, INVALIDATIONS, fragment};
use super::{FRONTS, Front, NEAR_TTL};
use crate::clock::Clock;
use crate::events::MissReason;
use crate::testing::{ManualClock, MemoryStore};
use crate::{Fragment, fragment_key};

#[test]
fn what_one_process_stores_another_is_served() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        one.say("row", "one");
        assert_eq!(&*other.say("row", "other"), "one", "{front:?}");
        other.recorder.assert_hit("row");
        other.recorder.assert_no_body_evaluated();
        assert_eq!(other.get("row").as_deref(), Some("one"));
        assert!(other.cache.contains(&fragment_key!("row")).unwrap());
    }
}

#[test]
fn i1_what_another_process_invalidates_is_not_served_again() {
    for &front in FRONTS {
        for invalidate in INVALIDATIONS {
            let (one, other, _) = front.two();
            let row = fragment("row").tags(["tag"]);
            one.cache.render(&row, || "old").unwrap();
            assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "old");
            invalidate(&one.cache);
            if front == Front::Bounded {
                other.distrust();
            }
            assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "new", "{front:?}");
            assert_eq!(&*one.cache.render(&row, || "newer").unwrap(), "new", "{front:?}");
        }
    }
}

#[test]
fn i1_a_bounded_near_level_serves_for_its_life_and_no_longer() {
    let (one, other, _) = Front::Bounded.two();
    one.say("row", "old");
    other.say("row", "unused");
    one.cache.delete(&fragment_key!("row")).eventually();
    assert_eq!(&*other.say("row", "new"), "old", "within its life");
    other.distrust();
    assert_eq!(&*other.say("row", "new"), "new");
    assert_eq!(other.cache.stats().misses.of(MissReason::Deleted), 1);
}

#[test]
fn i1_an_outer_fragment_falls_with_what_another_process_invalidates_inside() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let page = |rig: &super::Rig, inner: &'static str| {
            let card = Fragment::new(fragment_key!("card")).tags(["tag"]);
            let body = || format!("[{}]", rig.cache.render(&card, || inner).unwrap());
            rig.cache.render(fragment("page"), body).unwrap()
        };
        assert_eq!(&*page(&one, "old"), "[old]");
        assert_eq!(&*page(&other, "new"), "[old]", "{front:?}");
        other.recorder.assert_no_body_evaluated();
        one.cache.invalidate_tags(["tag"]).unwrap().eventually();
        if front == Front::Bounded {
            other.distrust();
        }
        assert_eq!(&*page(&other, "new"), "[new]", "{front:?}");
    }
}

#[test]
fn expiry_counts_from_the_render_in_every_process() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let row = fragment("row").expires_after(Duration::from_secs(60));
        one.cache.render(&row, || "old").unwrap();
        other.clock.advance(Duration::from_secs(59));
        assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "old", "{front:?}");
        other.clock.advance(Duration::from_secs(1));
        assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "new", "{front:?}");
    }
}

#[test]
fn a_far_hit_is_one_round_trip_once_its_labels_are_remembered() {
    let first_and_second = || {
        let (one, other, _store) = Front::None.two();
        let row = fragment("row").tags(["tag", "another"]);
        one.cache.render(&row, || "markup").unwrap();
        [(); 2].map(|()| {
            let before = other.cache.health().round_trips;
            other.cache.render(&row, || "unused").unwrap();
            other.cache.health().round_trips - before
        })
    };
    // A run of the worker may fall into one of them.
    let runs: Vec<_> = (0..5).map(|_| first_and_second()).collect();
    let least = |at: usize| runs.iter().map(|run| run[at]).min();
    assert_eq!(least(0), Some(2), "the tags are found in the entry: {runs:?}");
    assert_eq!(least(1), Some(1), "{runs:?}");
}

#[test]
fn a_bounded_near_level_asks_nobody_within_its_life() {
    let (one, other, _) = Front::Bounded.two();
    one.say("row", "markup");
    other.say("row", "unused");
    let before = other.cache.health().round_trips;
    for _ in 0..100 {
        other.say("row", "unused");
    }
    // Only the worker's runs remain.
    assert!(other.cache.health().round_trips <= before + 1);
}

#[test]
fn a_delete_tells_whether_there_was_something_in_the_store() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let key = fragment_key!("row");
        assert_eq!(other.cache.delete(&key), crate::Invalidation::Absent);
        one.say("row", "markup");
        assert_eq!(other.cache.delete(&key), crate::Invalidation::Removed, "{front:?}");
        assert_eq!(other.cache.delete(&key), crate::Invalidation::Absent);
        assert_eq!(other.get("row"), None);
    }
}

#[test]
fn i1_what_a_near_level_serves_for_its_life_is_not_stored_for_all_within_another_fragment() {
    let (one, other, store) = Front::Bounded.two();
    let card = Fragment::new(fragment_key!("card")).tags(["tag"]);
    one.cache.render(&card, || "old").unwrap();
    other.cache.render(&card, || "unused").unwrap();
    one.cache.invalidate_tags(["tag"]).unwrap().eventually();
    let page = |rig: &super::Rig| {
        let body = || format!("[{}]", rig.cache.render(&card, || "new").unwrap());
        rig.cache.render(fragment("page"), body).unwrap()
    };
    assert_eq!(&*page(&other), "[old]", "within its life");
    assert_eq!(&*page(&Front::Strict.process(&store)), "[new]");
    other.distrust();
    assert_eq!(&*page(&other), "[new]");
}

#[test]
fn i1_what_is_around_a_fragment_is_trusted_no_longer_than_that() {
    let (one, other, _) = Front::Bounded.two();
    let card = Fragment::new(fragment_key!("card")).tags(["tag"]);
    one.cache.render(&card, || "old").unwrap();
    other.cache.render(&card, || "unused").unwrap();
    one.cache.invalidate_tags(["tag"]).unwrap().eventually();
    other.clock.advance(NEAR_TTL / 2);
    let page = || {
        let body = || format!("[{}]", other.cache.render(&card, || "new").unwrap());
        other.cache.render(fragment("page"), body).unwrap()
    };
    assert_eq!(&*page(), "[old]");
    other.clock.advance(NEAR_TTL / 2);
    assert_eq!(&*page(), "[new]", "its life counts from when the card was asked about");
}

#[test]
fn i1_a_strict_near_level_asks_also_by_a_clock_that_is_behind() {
    let store = super::store();
    let level = || crate::FarLevel::new(store.clone());
    let cache = || crate::FragmentCache::builder().clock(Behind::default()).far(level());
    let (one, other) = (cache().build().unwrap(), cache().build().unwrap());
    let row = fragment("row");
    one.render(&row, || "old").unwrap();
    assert_eq!(&*one.render(&row, || "unused").unwrap(), "old");
    other.delete(&fragment_key!("row")).eventually();
    assert_eq!(&*one.render(&row, || "new").unwrap(), "new");
}

/// A host's clock, off by this many seconds.
#[derive(Debug)]
struct Wrong(ManualClock, i64);

impl Clock for Wrong {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn unix_time(&self) -> Duration {
        let off = Duration::from_secs(self.1.unsigned_abs());
        let time = self.0.unix_time();
        if self.1 < 0 { time - off } else { time + off }
    }
}

#[test]
fn a_fragment_lives_no_longer_than_it_may_where_the_clocks_of_hosts_differ() {
    const LIFE: u64 = 60;
    for &front in FRONTS {
        for off in [0, 1, 10, 30, 59, 60, 61, 600, 3600] {
            for (writer, reader) in [(off, 0), (-off, 0), (0, off), (0, -off)] {
                // The age at which a reader first comes; then it comes every second.
                for first in [0, 1, 30, 45, 59] {
                    let clock = ManualClock::new();
                    let store = super::Store::new(MemoryStore::with_clock(clock.clone()));
                    let process = |off| front.process_by(&store, Wrong(clock.clone(), off));
                    let (one, other) = (process(writer), process(reader));
                    let row = fragment("row").expires_after(Duration::from_secs(LIFE));
                    one.cache.render(&row, || "old").unwrap();
                    clock.advance(Duration::from_secs(first));
                    let mut age = first;
                    while &*other.cache.render(&row, || "new").unwrap() == "old" {
                        clock.advance(Duration::from_secs(1));
                        age += 1;
                    }
                    // An entry that does not appear to be from the future may be older than it
                    // appears, by the difference of the clocks.
                    let ahead = u64::try_from(writer - reader).unwrap_or_default();
                    let longer = if ahead > first + 1 { 0 } else { ahead };
                    let told = format!("{front:?}, {writer} and {reader} s, first at {first}");
                    assert!(age <= LIFE + longer + 1, "{told}: served for {age} s");
                    if off <= 1 {
                        assert!(age + 1 >= LIFE, "{told}: served for {age} s only");
                    }
                }
            }
        }
    }
}

#[test]
fn what_may_be_stale_by_another_host_s_clock_is_refreshed() {
    for &front in FRONTS {
        let clock = ManualClock::new();
        let store = super::Store::new(MemoryStore::with_clock(clock.clone()));
        let process = |off| front.process_by(&store, Wrong(clock.clone(), off));
        let (one, other) = (process(3600), process(0));
        let row =
            fragment("row").expires_after(Duration::from_secs(60)).stale(Duration::from_secs(60));
        one.cache.render(&row, || "old").unwrap();
        clock.advance(Duration::from_secs(90));
        assert_eq!(other.get("row"), None, "{front:?}: it may have expired");
        assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "new", "{front:?}");
    }
}
