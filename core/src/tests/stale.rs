//! Stale windows, back-off, stale-if-error, jitter and early refresh.

use std::cell::Cell;
use std::time::Duration;

use super::{Gate, INVALIDATIONS, Rig, fragment, rig, rig_with};
use crate::events::{EventKind, MissReason};
use crate::protection::Protection;
use crate::{CacheMode, Fragment, current, fragment_key};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A fragment with a TTL of 10 s and a stale window of 30 s.
fn row() -> Fragment {
    fragment("row").expires_after(s(10)).stale(s(30))
}

fn print(rig: &Rig, body: &'static str) -> String {
    rig.cache.render(row(), || body).unwrap().to_string()
}

fn fail(rig: &Rig) -> Result<String, String> {
    struct Failed(String);
    impl From<crate::Error> for Failed {
        fn from(error: crate::Error) -> Self {
            Self(error.to_string())
        }
    }
    let outcome: Result<_, Failed> =
        rig.cache.try_render(row(), || Err::<String, _>(Failed("no database".into())));
    outcome.map(|markup| markup.to_string()).map_err(|error| error.0)
}

/// What other callers are served while one refreshes, and how many refresh.
fn others_during_a_refresh(rig: &Rig) -> (String, usize) {
    let (runs, may_end) = (Gate::default(), Gate::default());
    let refreshes = std::sync::atomic::AtomicUsize::new(0);
    let count = |text| {
        refreshes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        text
    };
    let served = std::thread::scope(|scope| {
        let refresher = scope.spawn(|| {
            let body = || {
                runs.open();
                may_end.pass();
                count("new")
            };
            rig.cache.render(row(), body).unwrap()
        });
        runs.pass();
        let other = scope.spawn(|| rig.cache.render(row(), || count("new")).unwrap());
        let served = other.join().unwrap().to_string();
        may_end.open();
        assert_eq!(&*refresher.join().unwrap(), "new");
        served
    });
    (served, refreshes.into_inner())
}

#[test]
fn within_the_window_one_caller_refreshes_and_the_others_are_served() {
    let rig = rig();
    print(&rig, "old");
    rig.clock.advance(s(10));
    assert_eq!(rig.get("row"), None, "it has expired");
    assert_eq!(others_during_a_refresh(&rig), ("old".into(), 1));
    assert_eq!(print(&rig, "newer"), "new");
    let kinds: Vec<_> = rig.recorder.events().iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&EventKind::Stale(Duration::ZERO)), "{kinds:?}");
    assert!(kinds.contains(&EventKind::Miss(MissReason::Expired)), "{kinds:?}");
    assert_eq!((rig.cache.stats().stale, rig.cache.stats().flights), (1, 0));
}

#[test]
fn these_tests_notice_a_second_refresher() {
    let rig = rig_with(|builder| builder.without(Protection::OneRefresher));
    print(&rig, "old");
    rig.clock.advance(s(10));
    assert_eq!(others_during_a_refresh(&rig), ("new".into(), 2));
}

#[test]
fn after_the_window_no_caller_is_served_stale() {
    let rig = rig();
    print(&rig, "old");
    rig.clock.advance(s(40));
    assert_eq!(fail(&rig), Err("no database".into()));
    assert_eq!(print(&rig, "new"), "new");
}

#[test]
fn i1_an_invalidated_entry_is_not_served_stale() {
    for act in INVALIDATIONS {
        let rig = rig();
        rig.cache.render(row().tags(["tag"]), || "old").unwrap();
        rig.clock.advance(s(10));
        act(&rig.cache);
        assert_eq!(fail(&rig), Err("no database".into()), "no stand-in either");
        assert_eq!(print(&rig, "new"), "new");
    }
}

#[test]
fn deleting_an_expired_entry_removes_it() {
    let rig = rig();
    print(&rig, "old");
    rig.clock.advance(s(10));
    assert_eq!(rig.cache.delete(&fragment_key!("row")), crate::Invalidation::Removed);
    rig.recorder.reset();
    print(&rig, "new");
    assert_eq!(rig.recorder.events()[0].kind, EventKind::Miss(MissReason::Deleted));
}

#[test]
fn another_version_is_not_served_stale() {
    let rig = rig();
    rig.cache.render(row().version(1), || "old").unwrap();
    rig.clock.advance(s(10));
    assert_eq!(&*rig.cache.render(row().version(2), || "new").unwrap(), "new");
}

#[test]
fn a_stale_entry_replaces_an_error_and_refreshes_back_off() {
    let rig = rig_with(|builder| builder.refresh_backoff(s(5)));
    print(&rig, "old");
    rig.clock.advance(s(10));
    assert_eq!(fail(&rig), Ok("old".into()));
    assert_eq!(rig.recorder.events().last().unwrap().kind, EventKind::StaleIfError);
    rig.clock.advance(s(4));
    assert_eq!(print(&rig, "not evaluated"), "old");
    assert_eq!(rig.recorder.events().last().unwrap().kind, EventKind::Stale(s(4)));
    rig.clock.advance(s(1));
    assert_eq!(print(&rig, "new"), "new");
    assert_eq!(rig.cache.stats().flights, 0);
}

#[test]
fn a_refresh_that_fails_on_demand_is_an_error_and_leaves_the_old_entry() {
    let rig = rig();
    print(&rig, "old");
    let refresh = row().refresh(true);
    let failed = rig.cache.try_render(&refresh, || {
        Err::<String, _>(crate::Error::new(crate::ErrorKind::Config, "no database"))
    });
    assert!(failed.is_err());
    assert_eq!(rig.get("row").as_deref(), Some("old"));
}

#[test]
fn a_refresh_that_is_vetoed_does_not_rest_as_one_that_failed() {
    let rig = rig();
    print(&rig, "old");
    rig.clock.advance(s(10));
    let body = || {
        current::veto();
        "for one visitor"
    };
    assert_eq!(&*rig.cache.render(row(), body).unwrap(), "for one visitor");
    assert_eq!(print(&rig, "new"), "new");
    assert_eq!(print(&rig, "not evaluated"), "new");
}

#[test]
fn a_read_only_cache_serves_stale_and_refreshes_nothing() {
    let rig = rig();
    print(&rig, "old");
    rig.clock.advance(s(10));
    rig.cache.set_mode(CacheMode::ReadOnly);
    assert_eq!(print(&rig, "not evaluated"), "old");
}

#[test]
fn the_caches_window_counts_where_a_fragment_says_nothing() {
    let rig = rig_with(|builder| builder.stale_window(s(30)));
    let plain = |window: Option<u64>| {
        let fragment = fragment("row").expires_after(s(10));
        window.map_or(fragment.clone(), |window| fragment.stale(s(window)))
    };
    rig.cache.render(plain(None), || "old").unwrap();
    rig.clock.advance(s(10));
    rig.cache.set_mode(CacheMode::ReadOnly);
    assert_eq!(&*rig.cache.render(plain(None), || "new").unwrap(), "old");
    rig.cache.set_mode(CacheMode::Normal);
    rig.delete("row");
    rig.cache.render(plain(Some(0)), || "old").unwrap();
    rig.clock.advance(s(10));
    assert_eq!(&*rig.cache.render(plain(Some(0)), || "new").unwrap(), "new");
}

#[test]
fn a_fragment_around_a_stale_one_is_not_served_after_it() {
    let rig = rig();
    let page = fragment("page").expires_after(s(300)).stale(s(300));
    print(&rig, "old");
    rig.clock.advance(s(10));
    fail(&rig).unwrap();
    // The back-off serves the row stale inside the page.
    let renders = Cell::new(0);
    let print_page = || {
        let body = || {
            renders.set(renders.get() + 1);
            print(&rig, "not evaluated")
        };
        rig.cache.render(&page, body).unwrap().to_string()
    };
    assert_eq!(print_page(), "old");
    assert_eq!(rig.get("page").as_deref(), Some("old"), "as long as nobody may try");
    rig.clock.advance(s(5));
    assert_eq!(rig.get("page"), None);
    rig.clock.advance(s(25));
    rig.cache.set_mode(CacheMode::ReadOnly);
    let body = || "rendered";
    assert_eq!(&*rig.cache.render(&page, body).unwrap(), "rendered", "past the row's last moment");
}

#[test]
fn a_fragment_around_one_that_is_being_refreshed_is_born_expired() {
    let rig = rig();
    print(&rig, "old");
    rig.clock.advance(s(10));
    let page = fragment("page").expires_after(s(300));
    let body = || {
        let other = || rig.cache.render(&page, || print(&rig, "not evaluated")).unwrap();
        let printed = std::thread::scope(|scope| scope.spawn(other).join().unwrap());
        assert_eq!(&*printed, "old");
        assert_eq!(rig.get("page"), None);
        "new"
    };
    rig.cache.render(row(), body).unwrap();
    assert_eq!(rig.get("row").as_deref(), Some("new"));
}

#[test]
fn an_outer_window_does_not_stretch_an_inner_life() {
    let rig = rig();
    let page = fragment("page").expires_after(s(300)).stale(s(300));
    let ticker = fragment("ticker").expires_after(s(10));
    rig.cache.render(&page, || rig.cache.render(&ticker, || "old").unwrap()).unwrap();
    rig.clock.advance(s(10));
    assert_eq!(&*rig.cache.render(&page, || "new").unwrap(), "new");
}

#[test]
fn an_inner_window_reaches_the_outer_fragment() {
    let rig = rig();
    let page = fragment("page").expires_after(s(300)).stale(s(20));
    rig.cache.render(&page, || print(&rig, "old")).unwrap();
    rig.cache.set_mode(CacheMode::ReadOnly);
    rig.clock.advance(s(10) + s(19));
    assert_eq!(&*rig.cache.render(&page, || "new").unwrap(), "old");
    rig.clock.advance(s(1));
    assert_eq!(&*rig.cache.render(&page, || "new").unwrap(), "new", "the page's own window");
}

#[test]
fn jitter_shortens_lives_within_its_share() {
    let rig = rig_with(|builder| builder.jitter(0.5));
    fastrand::seed(7);
    let held = || {
        let held = |n: &u32| rig.cache.contains(&fragment_key!("row", n)).unwrap();
        (0..100).filter(held).count()
    };
    for n in 0..100_u32 {
        let row = Fragment::new(fragment_key!("row", n)).expires_after(s(100));
        rig.cache.render(&row, || "").unwrap();
    }
    rig.clock.advance(s(50));
    assert_eq!(held(), 100);
    rig.clock.advance(s(25));
    assert!((30..70).contains(&held()), "{} of 100 after three quarters", held());
    rig.clock.advance(s(25));
    assert_eq!(held(), 0);
}

/// How many of 1,000 lookups, this long before the end, lead to an early refresh of a fragment that
/// took `took` to render.
fn early(beta: f64, took: Duration, before: Duration) -> usize {
    let rig = rig_with(|builder| builder.early_refresh(beta));
    fastrand::seed(7);
    let row = fragment("row").expires_after(s(100));
    let slow = || {
        rig.clock.advance(took);
        "slow"
    };
    rig.cache.render(&row, slow).unwrap();
    rig.clock.advance(s(100) - before);
    let mut refreshes = 0;
    for _ in 0..1_000 {
        // A failing body is not stored, so every lookup sees the same entry; a back-off follows.
        let failing = rig.cache.try_render(&row, || {
            refreshes += 1;
            Err::<String, _>(crate::Error::new(crate::ErrorKind::Config, "counted"))
        });
        assert_eq!(failing.ok().as_deref(), Some("slow"), "it stands in, as it has not expired");
    }
    refreshes
}

#[test]
fn early_refreshes_are_the_more_probable_the_slower_the_render_and_the_nearer_the_end() {
    let of =
        |beta, took, before| (0..20).map(|_| early(beta, s(took), s(before)).min(1)).sum::<usize>();
    assert_eq!(early(0.0, s(10), s(1)), 0, "off by default");
    assert_eq!(early(1.0, s(1), s(90)), 0, "far from its end");
    assert!(of(1.0, 10, 1) > 15);
    // The share of refreshes at one lookup is e^(-before / (took · β)): 37 % here.
    let one = |_| {
        let rig = rig_with(|builder| builder.early_refresh(2.0));
        let row = fragment("row").expires_after(s(100));
        let slow = || {
            rig.clock.advance(s(5));
            "slow"
        };
        rig.cache.render(&row, slow).unwrap();
        rig.clock.advance(s(90));
        let refreshed = Cell::new(false);
        rig.cache
            .render(&row, || {
                refreshed.set(true);
                "new"
            })
            .unwrap();
        refreshed.get()
    };
    fastrand::seed(11);
    let refreshed = (0..1_000).map(one).filter(|&yes| yes).count();
    assert!((310..430).contains(&refreshed), "{refreshed} of 1,000");
}

#[test]
fn a_lifetime_of_zero_expires_at_once() {
    use crate::engine::{Scalar, expire_after};
    let rig = rig();
    let texts = ["0", "00", " 0s ", "0h 0m"].map(Scalar::Str);
    for over in [Scalar::Int(0), Scalar::Int(-5), Scalar::Float(-0.5)].into_iter().chain(texts) {
        rig.say("row", "");
        rig.delete("row");
        let body = || {
            expire_after(over).unwrap();
            "over"
        };
        rig.cache.render(fragment("row"), body).unwrap();
        assert_eq!(rig.get("row"), None, "{over:?}");
    }
}

#[test]
fn a_body_that_expires_its_fragment_at_once_is_not_served_again() {
    let rig = rig();
    let body = || {
        current::expire_after(Duration::ZERO);
        "now"
    };
    rig.cache.render(fragment("row"), body).unwrap();
    assert_eq!(rig.get("row"), None);
    rig.cache
        .render(fragment("page"), || rig.cache.render(fragment("row"), body).unwrap())
        .unwrap();
    assert_eq!(rig.get("page"), None, "nor is what is around it");
}
