//! The API for layers, without a layer: what is inside a response, wherever it was rendered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::time::Duration;

use super::*;
use crate::events::RefusalReason;
use crate::key::view_key;
use crate::render::StoreOutcome;
use crate::testing::ManualClock;
use crate::{Fragment, current, fragment_key};

fn rig() -> (FragmentCache, ManualClock) {
    let clock = ManualClock::new();
    (FragmentCache::builder().clock(clock.clone()).build().unwrap(), clock)
}

fn text(bytes: Vec<u8>) -> Option<Body> {
    Some(Body::opaque(bytes.into_boxed_slice()))
}

fn call(cache: &FragmentCache, path: &str) -> ViewRequest {
    ViewRequest::new(cache, &view_key("view", path), "test/1", text)
}

fn body(content: &str) -> Body {
    Body::opaque(content.as_bytes().to_vec().into_boxed_slice())
}

/// Runs a future that needs no runtime unless it waits for another one.
fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn opened(call: &ViewRequest, cache: &FragmentCache) -> OpenView {
    match now(call.open(cache.read_point())) {
        ViewOpened::Render(open) => open,
        other => panic!("nothing should be kept: {other:?}"),
    }
}

fn kept(call: &ViewRequest) -> Option<String> {
    call.look().map(|body| String::from_utf8(body.to_bytes().into_owned()).unwrap())
}

#[test]
fn i3_fragments_of_other_threads_in_scope_are_inside() {
    let (cache, _) = rig();
    let call = call(&cache, "/a");
    let open = opened(&call, &cache);
    let collector = open.collector();
    let row = Fragment::new(fragment_key!("row")).tags(["row"]);
    std::thread::scope(|scope| {
        scope.spawn(|| collector.scope(|| cache.render(&row, || "row").unwrap()));
    });
    assert_eq!(open.close(body("page")).outcome, StoreOutcome::Stored);
    assert_eq!(kept(&call).as_deref(), Some("page"));
    cache.invalidate_tags(["row"]).unwrap().eventually();
    assert_eq!(kept(&call), None);
}

#[test]
fn a_veto_or_a_panic_in_a_scope_keeps_the_response_from_being_kept() {
    let (cache, _) = rig();
    for panics in [false, true] {
        let call = call(&cache, "/a");
        let open = opened(&call, &cache);
        let collector = open.collector();
        let ended = std::thread::spawn(move || {
            collector.scope(|| {
                assert!(!panics, "as asked");
                current::veto();
            });
        });
        assert_eq!(ended.join().is_err(), panics);
        let refused = StoreOutcome::Refused(RefusalReason::Vetoed);
        assert_eq!(open.close(body("page")).outcome, refused);
        assert_eq!(kept(&call), None);
    }
}

#[test]
fn i1_a_response_is_kept_only_once_all_that_was_rendered_elsewhere_is_known() {
    let (cache, _) = rig();
    type Handler = fn(&Collector) -> Option<PendingCollection>;
    let handlers: [(&str, Handler, bool); 7] = [
        ("renders nowhere else", |_| None, true),
        (
            "opens a scope",
            |collector| {
                collector.expect();
                collector.scope(|| ());
                None
            },
            true,
        ),
        (
            "opens none",
            |collector| {
                collector.expect();
                None
            },
            false,
        ),
        (
            "drops one",
            |collector| {
                drop(collector.begin());
                None
            },
            true,
        ),
        ("ends too soon", |collector| Some(collector.begin()), false),
        (
            "waits for one of two",
            |collector| {
                collector.scope(|| ());
                Some(collector.begin())
            },
            false,
        ),
        (
            "waits for the first of two",
            |collector| {
                let (one, other) = (collector.begin(), collector.begin());
                one.run(|| ());
                Some(other)
            },
            false,
        ),
    ];
    for (what, handler, is_kept) in handlers {
        let call = call(&cache, what);
        let open = opened(&call, &cache);
        let late = handler(&open.collector());
        let outcome = open.close(body("page")).outcome;
        match is_kept {
            true => assert_eq!(outcome, StoreOutcome::Stored, "{what}"),
            false => assert_eq!(outcome, StoreOutcome::Refused(RefusalReason::Unscoped), "{what}"),
        }
        late.into_iter().for_each(|scope| scope.run(current::veto));
        assert_eq!(kept(&call).is_some(), is_kept, "{what}");
    }
}

#[test]
fn a_scope_that_ends_after_closing_changes_nothing() {
    let (cache, _) = rig();
    let call = call(&cache, "/a");
    let open = opened(&call, &cache);
    let collector = open.collector();
    open.close(body("page"));
    collector.scope(current::veto);
    assert_eq!(kept(&call).as_deref(), Some("page"));
}

#[test]
fn a_response_adopts_dependencies_of_its_run() {
    let (cache, clock) = rig();
    let (short, long) = (call(&cache, "/a"), call(&cache, "/a?x"));
    let mut outer = opened(&short, &cache);
    outer.add_tags(&["tag"]).unwrap();
    outer.expire_after(Duration::from_secs(5));
    let mut inner = match now(outer.run(long.open(cache.read_point()))) {
        ViewOpened::Render(inner) => inner,
        other => panic!("nothing should be kept: {other:?}"),
    };
    inner.adopt(&mut outer);
    assert_eq!(inner.close_within(&mut outer, body("page")).outcome, StoreOutcome::Stored);
    assert_eq!(outer.close(body("note")).outcome, StoreOutcome::Stored);
    assert_eq!((kept(&short).as_deref(), kept(&long).as_deref()), (Some("note"), Some("page")));
    clock.advance(Duration::from_secs(5));
    assert_eq!((kept(&short), kept(&long)), (None, None));
}

#[test]
fn a_response_under_a_key_is_deleted_with_it() {
    let (cache, _) = rig();
    let key = view_key("view", "/a");
    let call = call(&cache, "/b").under(&key);
    opened(&call, &cache).close(body("page"));
    assert_eq!(kept(&call).as_deref(), Some("page"));
    cache.delete(&key).eventually();
    assert_eq!(kept(&call), None);
}

#[test]
fn unusable_timeouts_and_tags_keep_nothing() {
    let (cache, _) = rig();
    let zero = call(&cache, "/a").timeout(Timeout::After(Duration::ZERO));
    assert!(matches!(now(zero.open(cache.read_point())), ViewOpened::Pass));
    let call = call(&cache, "/a");
    let mut open = opened(&call, &cache);
    open.set_timeout(Timeout::After(Duration::ZERO));
    let refused = StoreOutcome::Refused(RefusalReason::Timeout);
    assert_eq!(open.close(body("page")).outcome, refused);
    let mut open = opened(&call, &cache);
    open.add_tags(&[""]).unwrap_err();
    assert_eq!(open.close(body("page")).outcome, StoreOutcome::Refused(RefusalReason::Tag));
    let many: Vec<String> = (0..=crate::tag::MAX_TAGS).map(|n| n.to_string()).collect();
    let mut open = opened(&call, &cache);
    open.add_tags(&many).unwrap_err();
    assert_eq!(open.close(body("page")).outcome, StoreOutcome::Refused(RefusalReason::Tag));
}

#[test]
fn a_view_given_up_leaves_it_to_the_next() {
    let (cache, _) = rig();
    let call = call(&cache, "/a");
    drop(opened(&call, &cache));
    opened(&call, &cache).close(body("page"));
    assert_eq!(kept(&call).as_deref(), Some("page"));
}

/// A shared cache must not serve a response stale if the response says so (RFC 9111, 5.2.2.10).
#[test]
fn a_response_without_a_stale_window_of_its_own_is_served_to_its_end_alone() {
    let (cache, clock) = rig();
    let minute = Duration::from_secs(60);
    let call = call(&cache, "/a").timeout(Timeout::After(minute)).stale(Some(minute));
    let mut open = opened(&call, &cache);
    open.expire_after(Duration::from_secs(2));
    open.set_stale(Duration::ZERO);
    open.close(body("page"));
    clock.advance(Duration::from_secs(1));
    assert_eq!(kept(&call).as_deref(), Some("page"));
    clock.advance(Duration::from_secs(1));
    assert!(kept(&call).is_none() && call.stale_if_error().is_none());
    drop(opened(&call, &cache));
    assert!(call.stale_if_error().is_none());
}

#[test]
fn a_failed_handler_keeps_the_entry() {
    let (cache, _) = rig();
    let call = call(&cache, "/a");
    let refresh =
        || ViewRequest::new(&cache, &view_key("view", "/a"), "test/1", text).refresh(true);
    opened(&call, &cache).close(body("page"));
    let mut open = opened(&refresh(), &cache);
    open.fail();
    assert_eq!(open.close(body("")).outcome, StoreOutcome::Refused(RefusalReason::Vetoed));
    assert_eq!(kept(&call).as_deref(), Some("page"));
    let mut open = opened(&refresh(), &cache);
    open.veto();
    open.close(body(""));
    assert_eq!(kept(&call), None);
}
