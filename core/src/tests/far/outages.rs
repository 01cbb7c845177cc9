//! The store is unavailable: pages still render, nothing stale is served afterwards, and missed
//! invalidations are published later.

use std::time::Duration;

use super::super::fragment;
use super::{FRONTS, Front};
use crate::store::Fault;
use crate::{ErrorKind, Invalidation, fragment_key};

/// Waits for the worker.
pub(super) fn until(what: &str, done: impl Fn() -> bool) {
    let begun = crate::clock::instant();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the worker did not see to it: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn i3_pages_go_on_without_the_store() {
    for &front in FRONTS {
        let (one, _, store) = front.two();
        one.say("row", "old");
        store.fail(Fault::Unreachable);
        for round in ["a", "b", "c"] {
            let page = one.say("cold", round);
            assert!(["a", "b", "c"].contains(&&*page), "{front:?}");
        }
        assert!(!one.cache.health().is_reachable);
        // The worker may have noticed first, before any page.
        assert!(one.cache.health().faults >= 1);
        let error = one.cache.get(&fragment_key!("elsewhere")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        store.heal();
        until("it is well again", || one.cache.health().is_reachable);
        one.say("cold again", "stored");
        assert_eq!(one.get("cold again").as_deref(), Some("stored"));
    }
}

#[test]
fn i3_the_store_is_left_alone_after_an_outage() {
    let (one, _, store) = Front::Strict.two();
    store.fail(Fault::Deadline);
    one.say("row", "a");
    let calls = store.round_trips();
    for _ in 0..1000 {
        one.say("row", "b");
    }
    assert!(store.round_trips() - calls < 20, "only the worker tries it");
}

#[test]
fn i1_an_invalidation_that_the_store_missed_is_pending_and_hides_at_once() {
    for &front in FRONTS {
        let (one, other, store) = front.two();
        let row = fragment("row").tags(["tag"]);
        one.cache.render(&row, || "old").unwrap();
        store.fail(Fault::Unreachable);
        assert_eq!(one.cache.invalidate_tags(["tag"]).unwrap(), Invalidation::Pending);
        assert_eq!(&*one.cache.render(&row, || "new").unwrap(), "new", "{front:?}");
        store.heal();
        until("it is told", || one.cache.health().pending_invalidations == 0);
        assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "new", "{front:?}");
        assert_eq!(&*one.cache.render(&row, || "newer").unwrap(), "new", "{front:?}");
    }
}

#[test]
fn i1_a_clear_that_the_store_missed_hides_everything() {
    for &front in FRONTS {
        let (one, _, store) = front.two();
        one.say("row", "old");
        store.fail_writes(Fault::Refused);
        assert_eq!(one.cache.clear(), Invalidation::Pending);
        assert_eq!(one.get("row"), None, "{front:?}");
        assert_eq!(&*one.say("row", "new"), "new", "{front:?}");
        store.heal();
        until("it is told", || one.cache.health().pending_invalidations == 0);
    }
}

#[test]
fn i1_a_write_that_failed_after_it_took_effect_does_no_harm() {
    for &front in FRONTS {
        let (one, other, store) = front.two();
        store.fail_after_effect(Fault::Deadline);
        one.say("row", "old");
        one.cache.delete(&fragment_key!("row")).eventually();
        store.heal();
        until("it is told", || one.cache.health().pending_invalidations == 0);
        until("it is well again", || one.cache.health().is_reachable);
        assert_eq!(&*other.say("row", "new"), "new", "{front:?}");
    }
}

#[test]
fn i1_metadata_that_the_store_forgot_is_a_miss() {
    for &front in FRONTS {
        let (one, other, store) = front.two();
        one.say("row", "old");
        store.forget(1, 1.0, |key| key.contains(":v:"));
        assert_eq!(other.get("row"), None, "{front:?}");
        store.heal();
        assert_eq!(&*other.say("row", "new"), "new", "{front:?}");
        one.distrust();
        assert_eq!(one.get("row").as_deref(), Some("new"), "stored again with new versions");
    }
}

#[test]
fn i1_what_was_rendered_without_the_store_is_asked_for_once_it_is_back() {
    for &front in FRONTS {
        let (one, other, store) = front.two();
        store.fail(Fault::Unreachable);
        one.say("row", "old");
        store.heal();
        until("it is well again", || one.cache.health().is_reachable);
        other.cache.delete(&fragment_key!("row")).eventually();
        if front == Front::Bounded {
            one.distrust();
        }
        assert_eq!(&*one.say("row", "new"), "new", "{front:?}");
    }
}

#[test]
fn a_lease_that_was_taken_by_a_call_that_failed_is_given_back() {
    let (one, other, store) = Front::Strict.two();
    one.say("another", "so that only the lease is missing");
    store.fail_after_effect(Fault::Deadline);
    one.say("row", "old");
    store.heal();
    until("it is well again", || one.cache.health().is_reachable);
    until("no lease is left", || !store.inner().keys().iter().any(|key| key.contains(":l:")));
    assert_eq!(&*other.say("row", "new"), "new");
    assert_eq!(other.cache.stats().bypasses, 0);
}

#[test]
fn what_is_pending_is_told_however_busy_the_worker_is() {
    let (one, _, store) = Front::Strict.two();
    one.say("row", "old");
    store.fail_writes(Fault::Refused);
    assert_eq!(one.cache.clear(), Invalidation::Pending);
    store.heal();
    until("it is told", || {
        // Returning a lease wakes the worker.
        let failed: Result<_, crate::Error> = one.cache.try_render(fragment("fails"), || {
            Err::<String, _>(crate::Error::new(ErrorKind::Io, "no database"))
        });
        failed.unwrap_err();
        one.cache.health().pending_invalidations == 0
    });
}
