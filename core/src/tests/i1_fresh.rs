//! I1, no stale fill: what was read before an invalidation is not served after it.

use super::{Gate, fragment, rig, rig_with, until_waiting};
use crate::events::{EventKind, RefusalReason};
use crate::protection::Protection;
use crate::{FragmentCache, fragment_key};

/// A way to invalidate the fragment `inner`.
type Invalidation = fn(&FragmentCache);

const INVALIDATIONS: [(&str, Invalidation); 4] = [
    ("delete", |cache| cache.delete(&fragment_key!("inner")).eventually()),
    ("delete_many", |cache| _ = cache.delete_many([&fragment_key!("inner")])),
    ("delete_name", |cache| cache.delete_name("inner").eventually()),
    ("clear", |cache| cache.clear().eventually()),
];

#[test]
fn i1_no_stale_fill_of_a_render_under_way() {
    for (how, invalidate) in INVALIDATIONS {
        let rig = rig();
        let render = || {
            let body = || {
                invalidate(&rig.cache);
                "read before"
            };
            rig.cache.render(fragment("inner"), body).unwrap();
        };
        render();
        assert_eq!(rig.get("inner"), None, "{how}");
        let last = rig.recorder.events().last().unwrap().kind;
        assert_eq!(last, EventKind::Refused(RefusalReason::Invalidated), "{how}");
        assert_eq!(rig.cache.stats().flights, 0);
    }
}

#[test]
fn i1_no_stale_fill_of_a_fragment_around_an_inner_one() {
    for (how, invalidate) in INVALIDATIONS {
        let rig = rig();
        let outer = |meanwhile: &dyn Fn()| {
            rig.cache
                .render(fragment("outer"), || {
                    let inner = rig.say("inner", "");
                    meanwhile();
                    inner
                })
                .unwrap();
        };
        outer(&|| invalidate(&rig.cache));
        assert_eq!(rig.get("outer"), None, "{how} while the outer one was rendered");
        outer(&|| {});
        assert!(rig.get("outer").is_some());
        invalidate(&rig.cache);
        assert_eq!(rig.get("outer"), None, "{how} after it was stored");
    }
}

#[test]
fn i1_an_inner_hit_binds_the_outer_one_like_an_inner_render() {
    let rig = rig();
    rig.say("inner", "old");
    let outer = fragment("outer");
    rig.cache.render(&outer, || rig.say("inner", "new")).unwrap();
    // Three levels: the dependencies of the middle one reach the outermost through a hit.
    rig.cache.render(fragment("outermost"), || rig.cache.render(&outer, || "").unwrap()).unwrap();
    assert_eq!(rig.get("outermost").as_deref(), Some("old"));
    rig.delete("inner");
    assert_eq!((rig.get("outer"), rig.get("outermost")), (None, None));
}

#[test]
fn i1_a_loop_of_many_inner_fragments_is_held_by_each() {
    let rig = rig();
    let row = |row: u32| crate::Fragment::new(fragment_key!("row", row));
    let page = || {
        rig.cache
            .render(fragment("page"), || {
                for number in 0..2_000 {
                    rig.cache.render(row(number), || "").unwrap();
                }
                ""
            })
            .unwrap();
    };
    for number in [0, 255, 256, 1_999] {
        page();
        assert!(rig.get("page").is_some());
        rig.cache.delete(row(number).key()).eventually();
        assert_eq!(rig.get("page"), None, "row {number}");
    }
}

#[test]
fn i1_a_full_label_table_costs_misses_and_no_stale_hit() {
    let rig = rig_with(|builder| builder.max_labels(4));
    rig.say("early", "early");
    rig.cache
        .render(fragment("row"), || {
            rig.delete("row");
            for other in 0..10 {
                rig.cache.delete(&fragment_key!("other", other)).eventually();
            }
            "stale"
        })
        .unwrap();
    assert_eq!(rig.get("row"), None, "its row was pushed out of the table");
    assert_eq!(rig.get("early"), None, "an extra miss");
    rig.say("late", "late");
    assert!(rig.get("late").is_some());
}

#[test]
fn i1_deletion_detaches_the_flight() {
    let rig = rig();
    let (old_runs, old_may_end) = (Gate::default(), Gate::default());
    std::thread::scope(|scope| {
        let old = scope.spawn(|| {
            let body = || {
                old_runs.open();
                old_may_end.pass();
                "old"
            };
            rig.cache.render(fragment("row"), body).unwrap()
        });
        old_runs.pass();
        rig.delete("row");
        // If it followed the old render, this would never return.
        assert_eq!(&*rig.say("row", "new"), "new");
        old_may_end.open();
        assert_eq!(&*old.join().unwrap(), "old");
    });
    assert_eq!(rig.get("row").as_deref(), Some("new"));
    assert_eq!(rig.cache.stats().flights, 0);
}

/// Two callers miss, the leader's body reads, the key is deleted, the leader ends. Returns what its
/// follower and a later reader get.
fn a_delete_between_leader_and_follower(cache: &FragmentCache) -> [String; 2] {
    let (runs, may_end) = (Gate::default(), Gate::default());
    let followed = std::thread::scope(|scope| {
        scope.spawn(|| {
            let body = || {
                runs.open();
                may_end.pass();
                "old"
            };
            cache.render(fragment("row"), body).unwrap();
        });
        runs.pass();
        let follower = scope.spawn(|| cache.render(fragment("row"), || "new").unwrap());
        until_waiting(cache, 1);
        cache.delete(&fragment_key!("row")).eventually();
        may_end.open();
        follower.join().unwrap()
    });
    let later = cache.render(fragment("row"), || "new").unwrap();
    [followed.to_string(), later.to_string()]
}

#[test]
fn i1_a_follower_gets_nothing_that_was_deleted_while_it_waited() {
    assert_eq!(a_delete_between_leader_and_follower(&rig().cache), ["new", "new"]);
}

#[test]
fn i1_these_tests_notice_when_the_follower_does_not_look() {
    let rig = rig_with(|builder| builder.without(Protection::FollowerCheck));
    assert_eq!(a_delete_between_leader_and_follower(&rig.cache), ["old", "new"]);
}

#[test]
fn i1_these_tests_notice_when_the_fence_is_off() {
    let rig = rig_with(|builder| builder.without(Protection::Fence));
    assert_eq!(a_delete_between_leader_and_follower(&rig.cache), ["old", "old"]);
}

#[test]
fn i1_a_body_that_deletes_its_own_key_is_never_served_again() {
    let rig = rig();
    for body in ["one", "two"] {
        let printed = rig.cache.render(fragment("row"), || {
            rig.delete("row");
            body
        });
        assert_eq!(&*printed.unwrap(), body);
        assert_eq!(rig.get("row"), None);
    }
}

#[test]
fn i1_clear_drops_stored_entries_and_no_later_ones() {
    let rig = rig();
    rig.say("row", "old");
    rig.cache.clear().eventually();
    assert_eq!((rig.cache.stats().entries, rig.cache.stats().bytes), (0, 0));
    assert_eq!(&*rig.say("row", "new"), "new");
    assert_eq!(rig.get("row").as_deref(), Some("new"));
}
