//! I1 for data that was read before the fragment started: read points.

use std::sync::Arc;

use super::{Args, INVALIDATIONS, block, fragment, rig, rig_with};
use crate::engine::{Body, Opened, OutputMode, RenderContext, RenderMemo, Scalar};
use crate::events::{BypassReason, EventKind, MissReason, RefusalReason};
use crate::protection::Protection;
use crate::{FragmentCache, ReadPoint, fragment_key};

/// A handler that loads data, and renders it after an invalidation.
fn handler(cache: &FragmentCache, invalidate: impl Fn(), body: impl Fn() -> String) -> String {
    let point = cache.read_point();
    invalidate();
    point.scope(|| cache.render(fragment("row").tags(["tag"]), body).unwrap().to_string())
}

#[test]
fn i1_a_body_older_than_an_invalidation_is_printed_not_stored() {
    for act in INVALIDATIONS {
        let rig = rig();
        assert_eq!(handler(&rig.cache, || act(&rig.cache), || "old".into()), "old");
        assert_eq!(rig.get("row"), None);
        assert_eq!(rig.cache.stats().flights, 0);
        handler(&rig.cache, || {}, || "new".into());
        assert_eq!(rig.get("row").as_deref(), Some("new"));
    }
}

#[test]
fn i1_these_tests_notice_when_the_read_point_is_ignored() {
    let rig = rig_with(|builder| builder.without(Protection::ReadPoint));
    handler(&rig.cache, || rig.delete("row"), || "old".into());
    assert_eq!(rig.get("row").as_deref(), Some("old"));
}

#[test]
fn a_late_render_is_reported_and_has_no_followers() {
    let rig = rig();
    handler(&rig.cache, || rig.delete("row"), || "old".into());
    let kinds: Vec<_> = rig.recorder.events().iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&EventKind::Bypassed(BypassReason::ReadPoint)), "{kinds:?}");
    rig.recorder.reset();
    // The tag is known only in the body, so this render starts and is refused at its end.
    handler(&rig.cache, || drop(rig.cache.invalidate_tags(["tag"])), || "old".into());
    let last = rig.recorder.events().last().unwrap().kind;
    assert_eq!(last, EventKind::Refused(RefusalReason::Invalidated));
}

#[test]
fn a_hit_under_an_old_read_point_is_a_hit() {
    let rig = rig();
    let point = rig.cache.read_point();
    rig.delete("row");
    rig.say("row", "new");
    assert_eq!(&*point.scope(|| rig.say("row", "old")), "new");
}

#[test]
fn i1_a_fragment_around_one_of_an_older_read_point_is_as_old() {
    let rig = rig();
    let point = rig.cache.read_point();
    rig.delete("inner");
    // The function that renders the inner fragment has data from before the outer one started.
    rig.cache.render(fragment("outer"), || point.scope(|| rig.say("inner", "old"))).unwrap();
    assert_eq!((rig.get("inner"), rig.get("outer")), (None, None));
}

#[test]
fn i1_data_of_the_outer_body_is_as_old_as_it() {
    let rig = rig();
    rig.cache
        .render(fragment("outer"), || {
            let loaded = "old";
            rig.delete("inner");
            rig.say("inner", loaded)
        })
        .unwrap();
    assert_eq!((rig.get("inner"), rig.get("outer")), (None, None));
}

/// A render with a point in its context.
struct InContext {
    point: ReadPoint,
    bounded: bool,
}

impl RenderContext for InContext {
    fn mode(&self) -> OutputMode {
        OutputMode::HTML
    }

    fn is_bounded(&self) -> bool {
        self.bounded
    }

    fn memo(&mut self) -> Option<Arc<RenderMemo>> {
        None
    }

    fn read_point(&mut self) -> Option<ReadPoint> {
        Some(self.point)
    }
}

#[test]
fn i1_a_read_point_in_the_context_covers_rust_fragments() {
    for bounded in [true, false] {
        let rig = rig();
        let point = rig.cache.read_point();
        rig.delete("row");
        let page = block("page", "page.html", "");
        let args = [Scalar::Int(60), Scalar::Str("page")];
        let mut render = InContext { point, bounded };
        let opened = rig.cache.open(&page.site, &Args(&args), &mut render, |_| ()).unwrap();
        let Opened::Render(ticket) = opened else { panic!("a hit of nothing") };
        rig.say("row", "loaded at the point");
        ticket.close(Body::from("page"));
        assert_eq!((rig.get("row"), rig.get("page")), (None, None));
    }
}

#[test]
fn of_nested_scopes_the_oldest_point_counts() {
    let rig = rig();
    let old = rig.cache.read_point();
    rig.delete("row");
    let new = rig.cache.read_point();
    old.scope(|| new.scope(|| rig.say("row", "old")));
    assert_eq!(rig.get("row"), None);
    new.scope(|| rig.say("row", "new"));
    assert_eq!(rig.get("row").as_deref(), Some("new"));
}

#[test]
fn a_scope_ends_with_a_panic_too() {
    let rig = rig();
    let point = rig.cache.read_point();
    rig.delete("row");
    let panics = std::panic::catch_unwind(|| point.scope(|| panic!("the render failed")));
    assert!(panics.is_err());
    rig.say("row", "new");
    assert!(rig.get("row").is_some());
}

#[test]
fn a_point_of_another_cache_means_nothing_here() {
    let (rig, other) = (rig(), FragmentCache::in_memory());
    let point = other.read_point();
    rig.delete("row");
    point.scope(|| rig.say("row", "row"));
    assert!(rig.get("row").is_some());
    assert_eq!(ReadPoint::from_token(&format!("{}0", point.to_token())).map(|_| ()), Some(()));
    for token in ["", ".", "x.1", "1.x", "1"] {
        assert_eq!(ReadPoint::from_token(token), None);
    }
}

#[test]
fn i1_a_point_kept_past_all_rows_or_a_clear_stores_nothing() {
    let rig = rig_with(|builder| builder.max_labels(2));
    for lose in [
        (|cache| {
            (0..9).for_each(|n| cache.delete(&fragment_key!("other", n)).eventually());
        }) as fn(&FragmentCache),
        |cache| cache.clear().eventually(),
    ] {
        let point = rig.cache.read_point();
        lose(&rig.cache);
        point.scope(|| rig.say("row", "old"));
        assert_eq!(rig.get("row"), None);
    }
}

#[test]
fn i1_refresh_under_an_old_read_point_keeps_newer_entries() {
    let rig = rig();
    let point = rig.cache.read_point();
    rig.delete("row");
    rig.say("row", "new");
    let refresh = fragment("row").refresh(true);
    point.scope(|| rig.cache.render(&refresh, || "old").unwrap());
    assert_eq!(rig.get("row").as_deref(), Some("new"));
}

#[test]
fn a_version_is_an_entry_of_its_own_and_replaces_the_others() {
    let rig = rig();
    let row = |version: u32| fragment("row").version(version);
    assert_eq!(&*rig.cache.render(row(1), || "one").unwrap(), "one");
    assert_eq!(&*rig.cache.render(row(1), || "again").unwrap(), "one");
    rig.recorder.reset();
    assert_eq!(&*rig.cache.render(row(2), || "two").unwrap(), "two");
    assert_eq!(rig.recorder.events()[0].kind, EventKind::Miss(MissReason::Version));
    assert_eq!(rig.cache.stats().entries, 1);
    assert_eq!(&*rig.cache.render(row(1), || "one").unwrap(), "one", "not the other's");
    rig.delete("row");
    assert_eq!(&*rig.cache.render(row(1), || "new").unwrap(), "new");
}
