//! Renders that race with invalidations of other processes, and with each other's.

use std::time::Duration;

use super::super::{INVALIDATIONS, fragment};
use super::{FRONTS, Front, elsewhere, store};
use crate::events::RefusalReason;
use crate::protection::Protection;
use crate::{CacheBuilder, Fragment, current, fragment_key};

#[test]
fn i1_a_render_that_another_process_invalidates_is_not_served_later() {
    for &front in FRONTS {
        for invalidate in INVALIDATIONS {
            let (one, other, _) = front.two();
            let row = fragment("row").tags(["tag"]);
            let body = || {
                invalidate(&other.cache);
                "old"
            };
            assert_eq!(&*one.cache.render(&row, body).unwrap(), "old", "its own page");
            if front == Front::Bounded {
                one.distrust();
            }
            assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "new", "{front:?}");
            assert_eq!(&*one.cache.render(&row, || "newer").unwrap(), "new", "{front:?}");
        }
    }
}

/// What another process gets of a page around a row that is rendered under an older read point, if
/// it has deleted one of the two in between.
fn around_what_is_older(
    front: Front,
    deleted: &str,
    is_same_snapshot: bool,
    with: fn(CacheBuilder) -> CacheBuilder,
) -> String {
    let store = store();
    let (one, other) = (front.with(&store, with), front.process(&store));
    let (page, row) = (fragment("page"), fragment("row"));
    let point = one.cache.read_point();
    other.cache.delete_name(deleted).eventually();
    if !is_same_snapshot {
        // The next render takes its own snapshot of the fences.
        one.cache.delete_name("another").eventually();
    }
    let body = || point.scope(|| one.cache.render(&row, || "old").unwrap());
    assert_eq!(&*one.cache.render(&page, body).unwrap(), "old", "its own page");
    if front == Front::Bounded {
        one.distrust();
    }
    let read = other.say("page", "new").to_string();
    assert_eq!(*one.say("page", "newer"), *read);
    read
}

#[test]
fn i1_a_fragment_is_as_old_as_what_is_rendered_inside_under_an_older_read_point() {
    for &front in FRONTS {
        for (deleted, is_same) in [("row", false), ("row", true), ("page", false), ("page", true)] {
            let read = around_what_is_older(front, deleted, is_same, |builder| builder);
            assert_eq!(read, "new", "{front:?}, {deleted}, {is_same}");
        }
    }
    for (deleted, is_same) in [("row", false), ("page", false), ("page", true)] {
        let without = |builder: CacheBuilder| builder.without(Protection::OlderInside);
        let read = around_what_is_older(Front::Strict, deleted, is_same, without);
        assert_eq!(read, "old", "without, {deleted}, {is_same}");
    }
}

#[test]
fn i1_a_tag_learnt_late_counts_from_the_read_point_on() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let body = || {
            other.cache.invalidate_tags(["late"]).unwrap().eventually();
            current::add_tags(["late"]).unwrap();
            "old"
        };
        one.cache.render(fragment("row"), body).unwrap();
        assert_eq!(&*other.say("row", "new"), "new", "{front:?}");
    }
}

/// The clock shows the same time throughout, so it cannot tell what was read first.
#[test]
fn i1_a_newer_fragment_inside_does_not_make_the_body_around_it_newer() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let row = fragment("row").tags(["tag"]);
        let body = || {
            other.cache.invalidate_tags(["tag"]).unwrap().eventually();
            elsewhere(|| other.cache.render(&row, || "newer").unwrap());
            assert_eq!(&*one.cache.render(&row, || "unused").unwrap(), "newer", "{front:?}");
            "old"
        };
        let page = fragment("page");
        one.cache.render(&page, body).unwrap();
        assert_eq!(&*other.cache.render(&page, || "new").unwrap(), "new", "{front:?}");
    }
}

#[test]
fn a_tag_learnt_late_is_stored_at_once_if_nothing_has_happened() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let body = || {
            current::add_tags(["late"]).unwrap();
            "markup"
        };
        one.cache.render(fragment("row"), body).unwrap();
        assert_eq!(&*other.say("row", "new"), "markup", "{front:?}");
        one.cache.invalidate_tags(["late"]).unwrap().eventually();
        if front == Front::Bounded {
            other.distrust();
        }
        assert_eq!(&*other.say("row", "new"), "new", "{front:?}");
    }
}

/// A price change is usually followed by the page that shows the new price.
#[test]
fn what_is_rendered_right_after_an_invalidation_is_stored() {
    for &front in FRONTS {
        let (one, _, _) = front.two();
        let render = |name: &str| {
            let body = || current::add_tags(["tag"]).map(|()| "body").unwrap();
            one.cache.render(fragment(name), body).unwrap();
        };
        render("before");
        one.cache.invalidate_tags(["tag"]).unwrap().eventually();
        render("after");
        assert_eq!(one.refusals(), [], "{front:?}");
    }
}

#[test]
fn i1_a_read_point_before_another_process_s_invalidation_is_not_stored() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let row = fragment("row").tags(["tag"]);
        let point = one.cache.read_point();
        other.cache.invalidate_tags(["tag"]).unwrap().eventually();
        point.scope(|| one.cache.render(&row, || "old").unwrap());
        assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "new", "{front:?}");
        let reasons = one.refusals();
        assert_eq!(reasons, [RefusalReason::Invalidated], "{front:?}");
    }
}

#[test]
fn a_read_point_after_which_nothing_happened_is_stored() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let row = fragment("row").tags(["tag"]);
        let point = one.cache.read_point();
        point.scope(|| one.cache.render(&row, || "markup").unwrap());
        assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "markup", "{front:?}");
    }
}

#[test]
fn i1_data_loaded_around_a_fragment_is_as_old_as_the_body_around_it() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let card = Fragment::new(fragment_key!("card")).tags(["tag"]);
        let page = || {
            let loaded = "old";
            other.cache.invalidate_tags(["tag"]).unwrap().eventually();
            one.cache.render(&card, || loaded).unwrap()
        };
        one.cache.render(fragment("page"), page).unwrap();
        assert_eq!(&*other.cache.render(&card, || "new").unwrap(), "new", "{front:?}");
    }
}

#[test]
fn i2_while_another_process_renders_callers_wait_and_are_served_what_it_stores() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        std::thread::scope(|threads| {
            let body = || {
                let waits = threads.spawn(|| other.say("row", "other"));
                // The other process fails to get the lease before it waits.
                while other.cache.stats().flights == 0 {
                    std::thread::yield_now();
                }
                drop(waits);
                "one"
            };
            one.cache.render(fragment("row"), body).unwrap();
        });
        assert_eq!(&*other.say("row", "again"), "one", "{front:?}");
        other.recorder.assert_no_body_evaluated();
    }
}

#[test]
fn i2_who_has_waited_long_enough_renders_and_stores_nothing() {
    let (one, other, _) = Front::Strict.two();
    let body = || {
        assert_eq!(&*elsewhere(|| other.say("row", "other")), "other");
        "one"
    };
    one.cache.render(fragment("row"), body).unwrap();
    assert_eq!(other.cache.stats().bypasses, 1);
    assert_eq!(&*other.say("row", "again"), "one");
}

#[test]
fn a_render_that_fails_gives_its_lease_back() {
    let (one, other, _) = Front::Strict.two();
    let failed: Result<_, crate::Error> = one.cache.try_render(fragment("row"), || {
        Err::<String, _>(crate::Error::new(crate::ErrorKind::Io, "no database"))
    });
    failed.unwrap_err();
    // The worker returns the lease within the time for which others wait.
    assert_eq!(&*other.say("row", "other"), "other");
    assert_eq!(other.cache.stats().bypasses, 0);
    assert_eq!(&*one.say("row", "one"), "other");
}

#[test]
fn a_refresh_replaces_what_another_process_stored() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        one.say("row", "old");
        other.say("row", "unused");
        one.cache.render(fragment("row").refresh(true), || "new").unwrap();
        if front == Front::Bounded {
            other.clock.advance(Duration::from_secs(301));
        }
        assert_eq!(&*one.say("row", "unused"), "new", "{front:?}");
    }
}

#[test]
fn a_refresh_is_not_replaced_by_what_another_process_began_before() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let body = || {
            let refresh = fragment("row").refresh(true);
            elsewhere(|| other.cache.render(&refresh, || "refreshed").unwrap());
            "begun before"
        };
        one.cache.render(fragment("row"), body).unwrap();
        assert_eq!(&*other.say("row", "unused"), "refreshed", "{front:?}");
        assert_eq!(one.refusals(), [RefusalReason::Superseded], "{front:?}");
    }
}

#[test]
fn stale_fragments_are_served_while_another_process_refreshes() {
    let (one, other, _) = Front::Strict.two();
    let row = fragment("row").expires_after(Duration::from_secs(60)).stale(Duration::from_secs(60));
    one.cache.render(&row, || "old").unwrap();
    for rig in [&one, &other] {
        rig.clock.advance(Duration::from_secs(61));
    }
    let body = || {
        assert_eq!(&*elsewhere(|| other.cache.render(&row, || "other").unwrap()), "old");
        "new"
    };
    assert_eq!(&*one.cache.render(&row, body).unwrap(), "new");
    assert_eq!(&*other.cache.render(&row, || "other").unwrap(), "new");
    other.recorder.assert_no_body_evaluated();
}

#[test]
fn i1_what_is_around_a_fragment_that_was_served_unasked_is_not_stored_as_if_it_were_new() {
    let (one, other, _) = Front::Bounded.two();
    let card = Fragment::new(fragment_key!("card")).tags(["tag"]);
    let page = |rig: &super::super::Rig, row: &'static str| {
        let middle = || rig.cache.render(&card, || row).unwrap();
        let body = || rig.cache.render(fragment("middle"), middle).unwrap();
        rig.cache.render(fragment("page"), body).unwrap()
    };
    other.cache.render(&card, || "old").unwrap();
    one.cache.invalidate_tags(["tag"]).unwrap().eventually();
    assert_eq!(&*page(&other, "new"), "old", "within the life of its near level");
    assert_eq!(&*page(&one, "new"), "new");
    other.distrust();
    assert_eq!(&*page(&other, "newer"), "new");
}

#[test]
fn what_is_around_a_fragment_that_was_served_unasked_is_stored_if_nothing_has_happened() {
    let (one, other, _) = Front::Bounded.two();
    let card = Fragment::new(fragment_key!("card")).tags(["tag"]);
    other.cache.render(&card, || "markup").unwrap();
    let body = || other.cache.render(&card, || "unused").unwrap();
    other.cache.render(fragment("page"), body).unwrap();
    assert_eq!(&*one.say("page", "unused"), "markup");
}

#[test]
fn a_foreign_record_in_the_place_of_a_lease_keeps_nobody_from_storing() {
    let (one, other, store) = Front::Strict.two();
    let mut lease = None;
    let body = || {
        lease = store.inner().keys().into_iter().find(|key| key.contains(":l:"));
        "old"
    };
    one.cache.render(fragment("row"), body).unwrap();
    crate::store::Store::set(&store, &lease.unwrap(), b"somebody's", Duration::from_secs(3600))
        .unwrap();
    one.cache.delete(&fragment_key!("row")).eventually();
    assert_eq!(&*other.say("row", "new"), "new");
    assert_eq!(&*one.say("row", "newer"), "new");
    assert_eq!(other.cache.stats().bypasses, 0);
}

/// Nothing in this process indicates that its snapshot of the fences is older than the
/// invalidation. The first render finds out.
#[test]
fn a_snapshot_that_kept_one_fragment_from_the_store_keeps_no_other_from_it() {
    for &front in FRONTS {
        for is_declared in [true, false] {
            let (one, other, _) = front.two();
            let tag = if is_declared { &["tag"][..] } else { &[] };
            let render = |name: &str| {
                let body = || current::add_tags(["tag"]).map(|()| "body").unwrap();
                one.cache.render(fragment(name).tags(tag.iter().copied()), body).unwrap();
            };
            one.say("before", "takes the snapshot");
            // A slow machine already takes a new snapshot here.
            other.cache.invalidate_tags(["tag"]).unwrap().eventually();
            render("first");
            one.recorder.reset();
            for name in ["first", "second"] {
                render(name);
                assert_eq!(one.refusals(), [], "{front:?}, {is_declared}, {name}");
                assert_eq!(&*other.say(name, "unused"), "body");
            }
        }
    }
}

/// The snapshot of the fences may be older than the deletion.
#[test]
fn the_first_page_after_a_deletion_of_another_process_is_stored() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let page = || {
            let inner = fragment("inner").tags(["inner"]);
            one.cache.render(&inner, || "inner").unwrap();
            current::add_tags(["late"]).unwrap();
            "page"
        };
        let print = || one.cache.render(fragment("page").tags(["tag"]), page).unwrap();
        for delete in [
            |cache: &crate::FragmentCache| cache.invalidate_tags(["late"]).unwrap(),
            |cache: &crate::FragmentCache| cache.invalidate_tags(["tag", "inner"]).unwrap(),
            |cache: &crate::FragmentCache| cache.delete_name("inner"),
            |cache: &crate::FragmentCache| cache.delete(&fragment_key!("page")),
        ] {
            print();
            delete(&other.cache).eventually();
            if front == Front::Bounded {
                one.distrust();
            }
            one.recorder.reset();
            print();
            assert_eq!(one.refusals(), [], "{front:?}");
        }
    }
}
