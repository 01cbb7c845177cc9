//! Several caches: how a block selects one, and what nesting means across two caches.

use std::sync::Arc;
use std::time::Duration;

use super::far::{elsewhere, store};
use super::{Args, Block, Gate, Plain, Rig, block, fragment, rig, rig_with, until_waiting};
use crate::engine::{Body, Opened, OutputMode, Scalar, StoreOutcome};
use crate::events::{BypassReason, EventKind, MissReason, RefusalReason};
use crate::{
    Caches, Error, ErrorKind, ErrorPolicy, FarLevel, FragmentCache, Policy, current, fragment_key,
};

const SPANS: RefusalReason = RefusalReason::SpansCaches;

fn two() -> (Rig, Rig, Caches) {
    let (one, other) = (rig(), rig());
    let caches = Caches::new(one.cache.clone()).with("pages", other.cache.clone()).unwrap();
    (one, other, caches)
}

fn html() -> Plain {
    Plain { mode: OutputMode::HTML, bounded: true, point: None }
}

/// Opens a block that selects one of several caches, as an engine does.
fn open(caches: &Caches, block: &Block, args: &[Scalar<'_>]) -> Result<Opened<String>, Error> {
    caches.open(&block.site, &Args(args), &mut html(), |body| body.as_str().to_owned())
}

/// What a page prints if the body prints `body`, and whether it was a hit.
fn print(caches: &Caches, block: &Block, args: &[Scalar<'_>], body: &str) -> (String, bool) {
    match open(caches, block, args).unwrap() {
        Opened::Hit(text) => (text, true),
        Opened::Render(ticket) => {
            ticket.close(Body::from(body));
            (body.to_owned(), false)
        }
    }
}

const ROW: [Scalar<'static>; 2] = [Scalar::Int(60), Scalar::Str("row")];

#[test]
fn a_block_is_in_the_cache_that_it_names() {
    let (one, other, caches) = two();
    let args = |using| [ROW[0], ROW[1], Scalar::Str(using)];
    let row = block("row", "page.html", "c");
    assert_eq!(print(&caches, &row, &args("pages"), "1"), ("1".into(), false));
    assert_eq!(print(&caches, &row, &args("pages"), "2"), ("1".into(), true));
    assert_eq!((one.cache.stats().entries, other.cache.stats().entries), (0, 1));
    assert_eq!(print(&caches, &row, &args("default"), "3"), ("3".into(), false));
    // A block that names no cache uses the default.
    let plain = block("row", "page.html", "");
    assert_eq!(print(&caches, &plain, &ROW, "4"), ("3".into(), true));
    assert_eq!((one.cache.stats().entries, other.cache.stats().entries), (1, 1));
}

#[test]
fn the_name_is_found_among_other_options() {
    let (one, other, caches) = two();
    let (yes, no, pages) = (Scalar::Bool(true), Scalar::Bool(false), Scalar::Str("pages"));
    let version = Scalar::Int(7);
    for (options, values) in [
        ("cu", vec![pages, no]),
        ("uc", vec![no, pages]),
        ("vcur", vec![version, pages, no, yes]),
        ("urvc", vec![no, yes, version, pages]),
        ("c", vec![pages]),
    ] {
        let args = [&ROW[..], &values].concat();
        print(&caches, &block("row", "page.html", options), &args, "x");
        let stats = other.cache.stats();
        assert_eq!((stats.entries, stats.flights, stats.refusals), (1, 0, 0), "{options}");
        assert!(other.get("row").is_some(), "{options}");
        other.delete("row");
    }
    let unless = [ROW[0], ROW[1], pages, yes];
    print(&caches, &block("row", "page.html", "cu"), &unless, "x");
    assert!(other.get("row").is_none());
    // Also without other arguments, where the key is the block's place.
    print(&caches, &block("row", "page.html", "c"), &[pages], "x");
    assert!(other.cache.contains(&crate::fragment_key_at("page.html", 1)).unwrap());
    assert_eq!(one.recorder.events().len(), 0, "the default was never asked");
}

#[test]
fn del_deletes_in_the_cache_that_is_named() {
    let (one, other, caches) = two();
    one.say("row", "default's");
    other.say("row", "pages'");
    let del = [Scalar::Str("del"), Scalar::Str("row"), Scalar::Str("pages")];
    print(&caches, &block("row", "page.html", "c"), &del, "x");
    assert!(other.get("row").is_none());
    assert!(one.get("row").is_some());
}

#[test]
fn a_name_of_no_cache_is_an_error_that_lists_the_names() {
    let (one, other, caches) = two();
    let row = block("row", "page.html", "c");
    let told = |using| {
        let error = open(&caches, &row, &[ROW[0], ROW[1], using]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Using);
        error.to_string()
    };
    let rest = "which names no cache: write one of \"default\" and \"pages\", or add one of that \
                name (in page.html:1:1)";
    assert_eq!(told(Scalar::Str("pags")), format!("`using` is the text \"pags\", {rest}"));
    assert_eq!(told(Scalar::Str("a\n\"b")), format!("`using` is the text \"a\\n\\\"b\", {rest}"));
    assert_eq!(told(Scalar::Undefined), format!("`using` is undefined, {rest}"));
    assert_eq!(told(Scalar::None), format!("`using` is none, {rest}"));
    assert_eq!(told(Scalar::Int(7)), format!("`using` is the number 7, {rest}"));
    let long = told(Scalar::Str(&"p".repeat(10_000)));
    assert!(long.len() < 200, "{long}");
    let stats = one.cache.stats();
    assert_eq!((stats.refusals, stats.flights, stats.entries), (6, 0, 0));
    let event = &one.recorder.events()[0];
    assert_eq!(event.kind, EventKind::Refused(RefusalReason::Using));
    assert_eq!((event.template.as_deref(), event.line), (Some("page.html"), 1));
    assert!(other.recorder.events().is_empty());
}

#[test]
fn an_error_lists_a_dozen_of_many_names() {
    let mut caches = Caches::new(FragmentCache::in_memory());
    for number in 10..60 {
        caches = caches.with(&format!("c{number}"), FragmentCache::in_memory()).unwrap();
    }
    let row = block("row", "page.html", "c");
    let error = open(&caches, &row, &[Scalar::Str("x")]).unwrap_err();
    assert!(error.message().contains("\"c10\", "), "{error}");
    assert!(error.message().contains("\"c20\" and 39 others, or add one"), "{error}");
}

#[test]
fn a_name_of_no_cache_is_rendered_uncached_where_the_policy_says_so() {
    let policy = Policy::default().bad_arguments(ErrorPolicy::Uncached);
    let (one, other) = (rig_with(|builder| builder.policy(policy)), rig());
    let caches = Caches::new(one.cache.clone()).with("pages", other.cache.clone()).unwrap();
    let row = block("row", "page.html", "c");
    let outer = one.cache.render(fragment("outer"), || {
        print(&caches, &row, &[ROW[0], ROW[1], Scalar::Str("pags")], "x").0
    });
    assert_eq!(&*outer.unwrap(), "x");
    let kinds: Vec<EventKind> = one.recorder.events().into_iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [
            EventKind::Miss(MissReason::Cold),
            EventKind::Refused(RefusalReason::Using),
            EventKind::Bypassed(BypassReason::Refused),
            EventKind::Refused(RefusalReason::Vetoed),
        ]
    );
    assert_eq!((one.cache.stats().entries, other.cache.stats().entries), (0, 0));
}

/// Renders a fragment around the output of `inside`. Returns the store outcome.
fn around(rig: &Rig, inside: impl FnOnce()) -> StoreOutcome {
    let args = [Scalar::Int(60), Scalar::Str("outer")];
    match block("outer", "outer.html", "").open(&rig.cache, OutputMode::HTML, &args) {
        Opened::Hit(_) => panic!("it was stored"),
        Opened::Render(ticket) => {
            inside();
            ticket.close(Body::from("x")).outcome
        }
    }
}

#[test]
fn a_fragment_that_spans_caches_is_not_stored() {
    let window = Duration::from_secs(60);
    let (outer, inner) = (rig(), rig_with(|builder| builder.stale_window(window)));
    let say = || drop(inner.say("row", "one"));
    assert_eq!(around(&outer, say), StoreOutcome::Refused(SPANS), "rendered");
    inner.recorder.reset();
    assert_eq!(around(&outer, say), StoreOutcome::Refused(SPANS), "a hit");
    inner.recorder.assert_hit("row");
    // Stale: another thread refreshes it meanwhile.
    inner.clock.advance(Duration::from_secs(310));
    inner.recorder.reset();
    let refreshing = inner.cache.render(fragment("row"), || {
        elsewhere(|| assert_eq!(around(&outer, say), StoreOutcome::Refused(SPANS), "stale"));
        "two"
    });
    refreshing.unwrap();
    let told = inner.recorder.events();
    assert!(told.iter().any(|event| matches!(event.kind, EventKind::Stale(_))), "{told:?}");
    // A follower.
    let (gate, held) = (Gate::default(), fragment("held"));
    std::thread::scope(|threads| {
        let leader = threads.spawn(|| {
            inner.cache.render(&held, || {
                gate.pass();
                "led"
            })
        });
        while inner.cache.stats().flights == 0 {
            std::thread::yield_now();
        }
        let follower = threads.spawn(|| {
            around(&outer, || {
                assert_eq!(&*inner.cache.render(&held, || "rendered again").unwrap(), "led");
            })
        });
        until_waiting(&inner.cache, 1);
        gate.open();
        leader.join().unwrap().unwrap();
        assert_eq!(follower.join().unwrap(), StoreOutcome::Refused(SPANS), "followed");
    });
    // In a cache that stores nothing.
    let none = FragmentCache::disabled();
    let say = || drop(none.render(fragment("row"), || "none").unwrap());
    assert_eq!(around(&outer, say), StoreOutcome::Refused(SPANS), "of the null cache");
    // Abandoned: the outer fragment's replacement may depend on it.
    let failed = || Err::<&str, _>(Error::new(ErrorKind::Io, "failed"));
    let fail = || drop(inner.cache.try_render(fragment("fails"), failed));
    assert_eq!(around(&outer, fail), StoreOutcome::Refused(SPANS), "given up");

    let stats = outer.cache.stats();
    assert_eq!((stats.refusals, stats.entries, stats.flights), (6, 0, 0));
    let told = outer.recorder.events();
    let refused: Vec<_> =
        told.iter().filter(|event| event.kind == EventKind::Refused(SPANS)).collect();
    assert_eq!(refused.len(), 6);
    for event in refused {
        assert_eq!((event.template.as_deref(), event.line), (Some("outer.html"), 1));
        assert_eq!(event.key, Some(fragment_key!("outer")));
    }
}

#[test]
fn a_fragment_around_a_prefetched_one_of_another_cache_is_not_stored() {
    let store = store();
    let far = || rig_with(|builder| builder.far(FarLevel::new(store.clone())));
    let (outer, writer, reader) = (rig(), far(), far());
    writer.say("row", "one");
    let key = fragment_key!("row");
    let outcome = around(&outer, || {
        reader.cache.prefetch([&key], || assert_eq!(&*reader.say("row", "two"), "one"));
    });
    assert_eq!(outcome, StoreOutcome::Refused(SPANS));
    // The same if the outer fragment holds a lease. It returns the lease, so the next process need
    // not wait.
    let outcome = around(&writer, || drop(outer.say("row", "near")));
    assert_eq!(outcome, StoreOutcome::Refused(SPANS));
    assert_eq!(around(&reader, || {}), StoreOutcome::Printed, "the last one could not be shared");
}

#[test]
fn a_fragment_that_spans_caches_deeper_is_not_stored() {
    let (one, other) = (rig(), rig());
    let outcome = around(&one, || {
        one.cache
            .render(fragment("middle"), || {
                other.say("inner", "x");
                ""
            })
            .unwrap();
    });
    assert_eq!(outcome, StoreOutcome::Refused(SPANS));
    assert_eq!(one.get("middle"), None);
    // Through the other cache and back into the first: the middle and the outer fragment are not
    // stored, the innermost is.
    let outcome = around(&one, || {
        other
            .cache
            .render(fragment("between"), || {
                one.say("innermost", "x");
                ""
            })
            .unwrap();
    });
    assert_eq!(outcome, StoreOutcome::Refused(SPANS));
    assert_eq!(other.get("between"), None);
    assert_eq!(one.get("innermost").as_deref(), Some("x"));
}

#[test]
fn an_annotated_page_shows_that_a_fragment_spans_caches() {
    let (one, other) = (rig(), rig());
    one.cache.annotate(true).unwrap();
    let args = [Scalar::Int(60), Scalar::Str("outer")];
    let Opened::Render(ticket) =
        block("outer", "page.html", "").open(&one.cache, OutputMode::HTML, &args)
    else {
        panic!("it was stored");
    };
    other.say("row", "one");
    let instead = ticket.close(Body::from("x")).instead.unwrap();
    let comment = "<!-- fragcache outer: miss: cold; not stored: spans_caches -->x";
    assert!(instead.as_str().starts_with(comment), "{}", instead.as_str());
}

#[test]
fn namespaces_of_one_cache_are_one_cache_to_each_other() {
    let one = rig();
    let spanned = one.cache.namespace("pages");
    let outcome = around(&one, || drop(spanned.render(fragment("row"), || "x").unwrap()));
    assert_eq!(outcome, StoreOutcome::Stored);
    spanned.delete(&fragment_key!("row")).eventually();
    assert!(!one.cache.contains(&fragment_key!("outer")).unwrap());
}

#[test]
fn a_read_point_counts_in_its_own_cache_only() {
    let (one, other, _) = two();
    let (first, second) = (one.cache.read_point(), other.cache.read_point());
    one.delete("row");
    other.delete("row");
    let stored = |rig: &Rig| {
        rig.say("row", "x");
        rig.get("row").is_some()
    };
    second.scope(|| assert!(stored(&one), "it is another's point"));
    first.scope(|| assert!(stored(&other), "it is another's point"));
    one.delete("row");
    other.delete("row");
    first.scope(|| second.scope(|| assert!(!stored(&one) && !stored(&other), "each its own")));
}

#[test]
fn a_tag_from_the_inner_body_is_of_the_inner_cache() {
    let (one, other) = (rig(), rig());
    around(&one, || {
        let body = || current::add_tags(["post:7"]).map(|()| "x");
        other.cache.try_render(fragment("row"), body).unwrap();
    });
    one.cache.invalidate_tags(["post:7"]).unwrap().eventually();
    assert!(other.get("row").is_some(), "what the one forgets is nothing to the other");
    other.cache.invalidate_tags(["post:7"]).unwrap().eventually();
    assert!(other.get("row").is_none());
}

#[test]
fn two_threads_that_nest_two_caches_the_other_way_round_do_not_wait_for_each_other() {
    let (one, other) = (rig(), rig());
    let both = Arc::new(std::sync::Barrier::new(2));
    let render = |outer: &Rig, inner: &Rig| {
        let page = outer.cache.render(fragment("row"), || {
            both.wait();
            inner.say("row", "inner").to_string()
        });
        page.unwrap()
    };
    // The wait limit is a minute, so it is not the reason why one of them renders alone.
    std::thread::scope(|threads| {
        let first = threads.spawn(|| render(&one, &other));
        let second = threads.spawn(|| render(&other, &one));
        assert_eq!(&*first.join().unwrap(), "inner");
        assert_eq!(&*second.join().unwrap(), "inner");
    });
    let waited = |rig: &Rig| rig.cache.stats().flights;
    assert_eq!((waited(&one), waited(&other)), (0, 0));
}
