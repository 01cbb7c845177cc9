//! `unless`, `del`, `refresh`, the modes, and the behaviour of nested fragments.

use super::{block, fragment, rig, rig_with};
use crate::engine::{
    self, BlockOption, Body, Opened, OptionValue, OutputMode, Scalar, Scope, StoreOutcome,
};
use crate::events::{BypassReason, EventKind, MissReason, RefusalReason};
use crate::{CacheMode, ErrorKind, Fragment, FragmentCache, Invalidation, fragment_key};

#[test]
fn unless_renders_without_the_cache_and_keeps_the_outer_fragment_out_of_it() {
    let rig = rig();
    rig.say("inner", "stored");
    let page = |unless| {
        let inner = fragment("inner").unless(unless);
        rig.cache
            .render(fragment("outer"), || rig.cache.render(&inner, || "draft").unwrap())
            .unwrap()
    };
    assert_eq!(&*page(true), "draft");
    assert_eq!((rig.get("outer"), rig.get("inner").as_deref()), (None, Some("stored")));
    let refused = EventKind::Refused(RefusalReason::Vetoed);
    assert!(rig.recorder.events().iter().any(|event| event.kind == refused));
    assert_eq!(&*page(false), "stored");
    assert!(rig.get("outer").is_some(), "the first render that may be stored is");
}

#[test]
fn a_veto_reaches_every_fragment_around() {
    let rig = rig();
    let nest = |name: &str, body: &dyn Fn()| {
        rig.cache
            .render(fragment(name), || {
                body();
                ""
            })
            .unwrap();
    };
    let veto = || {
        rig.cache.render(fragment("d").unless(true), || "").unwrap();
    };
    nest("a", &|| nest("b", &|| nest("c", &veto)));
    for name in ["a", "b", "c"] {
        assert_eq!(rig.get(name), None, "{name}");
    }
    assert_eq!(rig.cache.stats().flights, 0);
}

#[test]
fn del_deletes_renders_and_keeps_the_outer_fragment_out_of_the_cache() {
    let rig = rig();
    rig.say("inner", "stored");
    rig.cache
        .render(fragment("outer"), || {
            let inner = fragment("inner").timeout(crate::Timeout::Delete);
            rig.cache.render(&inner, || "printed").unwrap()
        })
        .unwrap();
    assert_eq!((rig.get("outer"), rig.get("inner")), (None, None));
}

#[test]
fn refresh_replaces_and_an_older_render_does_not_replace_it() {
    let rig = rig();
    rig.say("row", "old");
    let refresh = fragment("row").refresh(true);
    assert_eq!(&*rig.cache.render(&refresh, || "new").unwrap(), "new");
    assert_eq!(rig.get("row").as_deref(), Some("new"));

    rig.delete("row");
    rig.recorder.reset();
    let older = rig.cache.render(fragment("row"), || {
        rig.cache.render(&refresh, || "newest").unwrap();
        "older"
    });
    assert_eq!(&*older.unwrap(), "older");
    assert_eq!(rig.get("row").as_deref(), Some("newest"));
    let superseded = EventKind::Refused(RefusalReason::Superseded);
    assert!(rig.recorder.events().iter().any(|event| event.kind == superseded));
    assert_eq!(rig.cache.stats().flights, 0);
}

#[test]
fn a_refresh_that_fails_keeps_the_stored_body() {
    let rig = rig();
    rig.say("row", "old");
    let failed: Result<_, Box<dyn std::error::Error>> =
        rig.cache.try_render(fragment("row").refresh(true), || Err::<&str, _>("no".into()));
    assert!(failed.is_err());
    assert_eq!(rig.get("row").as_deref(), Some("old"));
}

#[test]
fn read_only_serves_and_stores_nothing() {
    let rig = rig();
    rig.say("kept", "stored");
    rig.cache.set_mode(CacheMode::ReadOnly);
    assert_eq!(&*rig.say("kept", "new"), "stored");
    assert_eq!(&*rig.say("other", "printed"), "printed");
    assert_eq!(rig.get("other"), None);
    rig.delete("kept");
    rig.cache.set_mode(CacheMode::Normal);
    assert_eq!(rig.get("kept"), None, "invalidations count in every mode");
}

#[test]
fn bypass_reads_and_stores_nothing() {
    let rig = rig();
    rig.say("row", "stored");
    rig.cache.set_mode(CacheMode::Bypass);
    assert_eq!(&*rig.say("row", "printed"), "printed");
    let bypassed = rig.recorder.events().last().unwrap().kind;
    assert_eq!(bypassed, EventKind::Bypassed(BypassReason::Mode));
    rig.cache.set_mode(CacheMode::Normal);
    assert_eq!(&*rig.say("row", "new"), "stored");
}

#[test]
fn a_disabled_cache_stores_nothing_and_finds_nothing_to_delete() {
    let cache = FragmentCache::disabled();
    for body in ["one", "two"] {
        assert_eq!(&*cache.render(fragment("row"), || body).unwrap(), body);
    }
    assert_eq!(cache.delete(&fragment_key!("row")), Invalidation::Absent);
    assert_eq!((cache.stats().entries, cache.stats().flights), (0, 0));
}

#[test]
fn a_fragment_of_another_cache_inside_keeps_the_outer_one_out() {
    let (rig, other) = (rig(), rig());
    rig.cache.render(fragment("outer"), || other.say("inner", "")).unwrap();
    assert!(other.get("inner").is_some());
    assert_eq!(rig.get("outer"), None, "the other cache could not invalidate it");
}

#[test]
fn an_abandoned_inner_fragment_passes_on_its_dependencies() {
    let rig = rig();
    let inner = || -> Result<_, Box<dyn std::error::Error>> {
        rig.cache.try_render(fragment("inner"), || {
            rig.say("innermost", "");
            Err::<&str, _>("no database".into())
        })
    };
    for deleted in ["inner", "innermost"] {
        let outer = || {
            rig.cache.render(fragment("outer"), || {
                inner().unwrap_err();
                "a fallback"
            })
        };
        outer().unwrap();
        assert!(rig.get("outer").is_some());
        rig.delete(deleted);
        assert_eq!(rig.get("outer"), None, "{deleted} was deleted");
    }
}

#[test]
fn a_ticket_closed_or_dropped_on_another_thread_touches_no_fragment_there() {
    let rig = rig();
    let args = [Scalar::Int(60), Scalar::Str("ours")];
    let ours = block("source", "page.html", "");
    let Opened::Render(ticket) = ours.open(&rig.cache, OutputMode::HTML, &args) else { panic!() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            rig.cache
                .render(fragment("theirs"), move || {
                    ticket.close(Body::from("ours"));
                    "theirs"
                })
                .unwrap();
        });
    });
    assert_eq!(rig.get("theirs").as_deref(), Some("theirs"));
    assert_eq!(rig.get("ours"), None);
}

#[test]
fn an_outer_ticket_dropped_before_its_inner_ones_gives_all_of_them_up() {
    let rig = rig();
    let open = |name: &str| {
        let args = [Scalar::Int(60), Scalar::Str(name)];
        let opened = block("source", "page.html", "").open(&rig.cache, OutputMode::HTML, &args);
        let Opened::Render(ticket) = opened else { panic!("{name} is stored") };
        ticket
    };
    let (outer, middle, inner) = (open("outer"), open("middle"), open("inner"));
    assert_eq!(rig.cache.stats().flights, 3);
    drop(outer);
    assert_eq!(rig.cache.stats().flights, 0);
    inner.close(Body::from("late"));
    drop(middle);
    assert_eq!((rig.get("inner"), rig.cache.stats().errors), (None, 3));
}

#[test]
fn a_scope_abandons_open_fragments_at_any_depth() {
    let rig = rig();
    let open = |name: i128| {
        let args = [Scalar::Int(60), Scalar::Int(name)];
        match block("source", "page.html", "").open(&rig.cache, OutputMode::HTML, &args) {
            Opened::Render(ticket) => ticket.into_id(),
            Opened::Hit(_) => panic!("{name} is stored"),
        }
    };
    let _outer = Scope::begin();
    for name in 0..200 {
        open(name);
    }
    let inner = Scope::begin();
    for name in 200..300 {
        open(name);
    }
    // At most 256 frames are open: 44 outer ones were abandoned and the inner ones moved down.
    drop(inner);
    assert_eq!(rig.cache.stats().flights, 200 - 44);
}

#[test]
fn a_deleted_template_or_name_takes_its_fragments_and_those_around_them() {
    let rig = rig_with(|builder| builder);
    let args = [Scalar::Int(60), Scalar::Str("row"), Scalar::Int(1)];
    let row = block("row", "row.html", "");
    let page = || {
        rig.cache
            .render(Fragment::new(fragment_key!("page")), || {
                row.print(&rig.cache, OutputMode::HTML, &args, || "<td>".to_owned())
            })
            .unwrap();
    };
    page();
    rig.cache.delete_template("other.html").eventually();
    rig.cache.delete_name("ro").eventually();
    assert!(rig.get("page").is_some());
    rig.cache.delete_template("row.html").eventually();
    assert_eq!(rig.get("page"), None);
    assert_eq!(rig.cache.get(&fragment_key!("row", 1)).unwrap(), None);
    page();
    rig.cache.delete_name("row").eventually();
    rig.recorder.reset();
    page();
    let misses: Vec<_> = rig.recorder.events().iter().map(|event| event.kind).collect();
    assert!(misses.contains(&EventKind::Miss(MissReason::InnerDeleted)), "{misses:?}");
    assert!(misses.contains(&EventKind::Miss(MissReason::NameDeleted)), "{misses:?}");
}

#[test]
fn an_option_that_no_miss_declares_is_an_error() {
    let rig = rig();
    let args = [Scalar::Int(60), Scalar::Str("row")];
    let opened = block("source", "page.html", "").open(&rig.cache, OutputMode::HTML, &args);
    let Opened::Render(ticket) = opened else { panic!("a hit") };
    let id = ticket.into_id();
    let tags = (BlockOption::Tags, OptionValue::List(vec![Scalar::Str("nav")]));
    let unless = (BlockOption::Unless, OptionValue::Scalar(Scalar::Bool(true)));
    let error = engine::declare(id, &[tags, unless]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Option);
    assert!(error.to_string().starts_with("`unless` is not declared by a miss"), "{error}");
    assert!(error.to_string().contains("page.html"), "{error}");
    let outcome = engine::close(id, Body::from("x")).outcome;
    assert_eq!(outcome, StoreOutcome::Refused(RefusalReason::Option));
    assert_eq!(rig.get("row"), None);
}
