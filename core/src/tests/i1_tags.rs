//! I1 for tags, namespaces, batches and repeats: every kind of invalidation fences.

use std::time::Duration;

use super::{INVALIDATIONS, Rig, fragment, rig, rig_with};
use crate::events::{EventKind, MissReason, RefusalReason};
use crate::tag::{MAX_TAG_BYTES, MAX_TAGS};
use crate::{ErrorKind, Invalidation, current, fragment_key};

fn missed(rig: &Rig, name: &str) -> MissReason {
    rig.recorder.reset();
    rig.say(name, "again");
    match rig.recorder.events()[0].kind {
        EventKind::Miss(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn i1_a_tag_deletes_its_fragments_and_those_around_them() {
    let rig = rig();
    let row = |n: u32| crate::Fragment::new(fragment_key!("row", n)).tags([format!("post:{n}")]);
    let page = |rows: &[u32]| {
        let rows = || rows.iter().map(|&n| rig.cache.render(row(n), || "row").unwrap());
        rig.cache
            .render(fragment("page"), || rows().map(|row| row.to_string()).collect::<String>())
            .unwrap();
    };
    page(&[1, 2]);
    assert_eq!(rig.cache.invalidate_tags(["post:3"]).unwrap(), Invalidation::Invalidated);
    assert!(rig.get("page").is_some());
    rig.cache.invalidate_tags(["post:2"]).unwrap().eventually();
    assert_eq!(rig.get("page"), None);
    assert!(rig.cache.contains(row(1).key()).unwrap());
    assert!(!rig.cache.contains(row(2).key()).unwrap());
    assert_eq!(missed(&rig, "page"), MissReason::TagInvalidated);
    assert_eq!(rig.recorder.events()[0].tag.as_deref(), Some("post:2"));
}

#[test]
fn i1_a_tag_that_is_learnt_late_counts_from_the_read_point_on() {
    let rig = rig();
    let body = || {
        rig.cache.invalidate_tags(["late"]).unwrap().eventually();
        current::add_tags(["late"]).unwrap();
        "read before"
    };
    rig.cache.render(fragment("row"), body).unwrap();
    assert_eq!(rig.get("row"), None);
    assert_eq!(
        rig.recorder.events().last().unwrap().kind,
        EventKind::Refused(RefusalReason::Invalidated)
    );
}

#[test]
fn a_function_outside_of_any_fragment_may_speak_to_the_current_one() {
    current::add_tags(["nobody"]).unwrap();
    assert_eq!(current::add_tags([""]).unwrap_err().kind(), ErrorKind::Tag);
    current::expire_after(Duration::ZERO);
    current::veto();
}

#[test]
fn a_veto_inside_keeps_everything_around_from_being_stored() {
    let rig = rig();
    let inner = || {
        current::veto();
        "token"
    };
    rig.cache
        .render(fragment("page"), || rig.cache.render(fragment("form"), inner).unwrap())
        .unwrap();
    assert_eq!((rig.get("form"), rig.get("page")), (None, None));
    assert_eq!(missed(&rig, "page"), MissReason::Vetoed);
}

#[test]
fn an_unusable_tag_in_the_body_is_an_error_and_nothing_is_stored() {
    let rig = rig();
    let body = || {
        let long = "x".repeat(MAX_TAG_BYTES + 1);
        assert_eq!(current::add_tags([&long]).unwrap_err().kind(), ErrorKind::Tag);
        "kept going"
    };
    rig.cache.render(fragment("row"), body).unwrap();
    assert_eq!(rig.get("row"), None);
}

#[test]
fn unusable_tags_are_errors_that_change_nothing() {
    let rig = rig();
    rig.say("row", "row");
    let long = "x".repeat(MAX_TAG_BYTES + 1);
    for tags in [vec![""], vec!["row", ""], vec![long.as_str()]] {
        let tagged = fragment("other").tags(&tags);
        let error = rig.cache.render(&tagged, || "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tag, "{error}");
        assert_eq!(rig.cache.invalidate_tags(&tags).unwrap_err().kind(), ErrorKind::Tag);
        let mut batch = rig.cache.batch();
        assert!(batch.invalidate_tags(&tags).is_err() && batch.is_empty());
    }
    let longest = "x".repeat(MAX_TAG_BYTES);
    let many = (0..MAX_TAGS).map(|n| n.to_string()).chain([longest]);
    let tagged = fragment("other").tags(many.clone().take(MAX_TAGS));
    rig.cache.render(&tagged, || "").unwrap();
    let error = rig.cache.render(fragment("more").tags(many), || "").unwrap_err();
    assert!(error.to_string().contains("65 tags"), "{error}");
    assert_eq!(rig.cache.stats().flights, 0);
}

#[test]
fn i1_invalidating_the_own_tag_inside_the_body_keeps_it_from_being_stored() {
    let rig = rig();
    let row = fragment("row").tags(["row"]);
    for text in ["one", "two"] {
        let body = || {
            rig.cache.invalidate_tags(["row"]).unwrap().eventually();
            text
        };
        assert_eq!(&*rig.cache.render(&row, body).unwrap(), text);
        assert_eq!(rig.get("row"), None);
    }
}

#[test]
fn a_namespace_has_keys_names_templates_and_tags_of_its_own() {
    let rig = rig();
    let (a, b) = (rig.cache.namespace("a"), rig.cache.namespace("b"));
    let fill = || {
        for cache in [&rig.cache, &a, &b] {
            cache.render(fragment("row").tags(["tag"]), || "row").unwrap();
        }
    };
    let held = || [&rig.cache, &a, &b].map(|cache| cache.contains(&fragment_key!("row")).unwrap());
    for act in INVALIDATIONS {
        fill();
        assert_eq!(held(), [true; 3]);
        act(&a);
        assert_eq!(held(), [true, false, true]);
    }
    fill();
    rig.cache.invalidate_tags(["tag"]).unwrap().eventually();
    assert_eq!(held(), [false, true, true]);
    rig.cache.clear().eventually();
    assert_eq!(held(), [false; 3]);
}

#[test]
fn a_namespace_within_a_namespace_is_cleared_with_it() {
    let rig = rig();
    let outer = rig.cache.namespace("tenant:7");
    let inner = outer.namespace("eu");
    let row = fragment("row");
    inner.render(&row, || "eu").unwrap();
    assert_ne!(&*rig.cache.namespace("eu").render(&row, || "root").unwrap(), "eu");
    assert_eq!(rig.recorder.events()[0].namespace, "tenant:7/eu");
    outer.clear().eventually();
    assert!(!inner.contains(row.key()).unwrap());
    assert!(rig.cache.namespace("eu").contains(row.key()).unwrap());
    rig.recorder.reset();
    inner.render(&row, || "eu").unwrap();
    assert_eq!(rig.recorder.events()[0].kind, EventKind::Miss(MissReason::NamespaceCleared));
}

#[test]
fn i1_a_fragment_of_one_namespace_inside_another_binds_it() {
    let rig = rig();
    let (a, b) = (rig.cache.namespace("a"), rig.cache.namespace("b"));
    for act in INVALIDATIONS {
        let row = fragment("row").tags(["tag"]);
        a.render(fragment("page"), || b.render(&row, || "row").unwrap()).unwrap();
        assert!(a.contains(&fragment_key!("page")).unwrap());
        act(&b);
        assert!(!a.contains(&fragment_key!("page")).unwrap());
    }
}

#[test]
fn i1_a_batch_that_outlives_a_clear_invalidates_later_entries() {
    let rig = rig();
    let row = fragment("row").tags(["row"]);
    rig.cache.render(&row, || "before").unwrap();
    let mut batch = rig.cache.batch();
    batch.invalidate_tags(["row"]).unwrap();
    rig.cache.clear().eventually();
    rig.cache.render(&row, || "of the old data, read before the commit").unwrap();
    assert!(rig.cache.contains(row.key()).unwrap());
    batch.apply_after(|| Ok::<_, ()>(())).unwrap();
    assert!(!rig.cache.contains(row.key()).unwrap());
}

#[test]
fn a_batch_does_nothing_until_it_is_applied_and_then_all_of_it() {
    let rig = rig();
    let fill = || {
        for name in ["one", "two", "three"] {
            rig.cache.render(fragment(name).tags([name]), || "").unwrap();
        }
    };
    let held = || ["one", "two", "three"].map(|name| rig.get(name).is_some());
    fill();
    let mut batch = rig.cache.batch();
    batch.delete(&fragment_key!("one")).delete_name("two").invalidate_tags(["three"]).unwrap();
    assert_eq!(held(), [true; 3]);
    let counterpart = batch.clone();
    drop(batch);
    assert_eq!(held(), [true; 3], "as on a rollback");
    let transaction = || {
        let _batch = counterpart.clone();
        panic!("the transaction failed");
    };
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(transaction));
    assert!(panics.is_err());
    assert_eq!(held(), [true; 3], "as after a panic");
    counterpart.apply().eventually();
    assert_eq!(held(), [false; 3]);
    assert_eq!(missed(&rig, "one"), MissReason::Deleted);
    assert_eq!(missed(&rig, "two"), MissReason::NameDeleted);
}

#[test]
fn i1_a_repeat_drops_entries_of_a_lagging_replica() {
    let rig = rig_with(|builder| builder.replica_lag(Duration::from_secs(2)));
    let row = fragment("row").tags(["tag"]).stale(Duration::from_secs(60));
    for act in INVALIDATIONS {
        act(&rig.cache);
        rig.clock.advance(Duration::from_secs(1));
        rig.cache.render(&row, || "old").unwrap();
        assert_eq!(rig.get("row").as_deref(), Some("old"));
        rig.clock.advance(Duration::from_secs(1));
        assert_eq!(rig.get("row"), None);
        assert_eq!(&*rig.cache.render(&row, || "new").unwrap(), "new");
        rig.clock.advance(Duration::from_secs(2));
        assert!(rig.get("row").is_some(), "once is enough");
    }
}

#[test]
fn i6_a_million_tags_take_no_more_rows_than_the_table_has() {
    let rig = rig_with(|builder| builder.max_labels(1_000));
    for number in 0..20_000 {
        rig.cache.invalidate_tags([format!("tag:{number}")]).unwrap().eventually();
    }
    assert_eq!(rig.cache.handle.fresh().rows(), 1_000);
}

#[test]
fn an_unusable_tag_is_an_error_on_a_hit_as_on_a_miss() {
    let rig = rig();
    let row = fragment("row");
    for _ in ["miss", "hit"] {
        let error = rig.cache.render(row.clone().tags([""]), || "row").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tag);
        rig.cache.render(&row, || "row").unwrap();
    }
    // A key alone has the default options.
    assert_eq!(&*rig.cache.render(row.key().clone(), || "not evaluated").unwrap(), "row");
}
