//! Edge cases: interactions between two rules.

use std::sync::Arc;
use std::time::Duration;

use super::{Gate, block, fragment, rig, rig_with};
use crate::engine::{Body, Opened, OutputMode, RenderContext, RenderMemo, Scalar};
use crate::{ErrorPolicy, FragmentCache, Policy, ReadPoint, current};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A render without an enclosing scope.
struct Bare;

impl RenderContext for Bare {
    fn mode(&self) -> OutputMode {
        OutputMode::HTML
    }
    fn is_bounded(&self) -> bool {
        false
    }
    fn memo(&mut self) -> Option<Arc<RenderMemo>> {
        None
    }
    fn read_point(&mut self) -> Option<ReadPoint> {
        None
    }
}

fn bare(cache: &FragmentCache, name: &str) -> Option<u64> {
    let args = [Scalar::Int(60), Scalar::Str(name)];
    let text = |body: &Body| body.as_str().to_owned();
    match cache.open(&block(name, "t", "").site, &super::Args(&args), &mut Bare, text).unwrap() {
        Opened::Hit(_) => None,
        Opened::Render(ticket) => Some(ticket.into_id()),
    }
}

#[test]
fn annotations_switched_on_inside_a_plain_body_are_not_stored_with_it() {
    let rig = rig();
    let inner = || match block("row", "t", "").open(
        &rig.cache,
        OutputMode::HTML,
        &[Scalar::Int(60), Scalar::Str("row")],
    ) {
        Opened::Hit(text) => text,
        Opened::Render(ticket) => {
            let closed = ticket.close(Body::from("<p>"));
            closed.instead.map_or("<p>".to_owned(), |body| body.as_str().to_owned())
        }
    };
    for _ in 0..2 {
        rig.cache.annotate(false).unwrap();
        let body = || {
            rig.cache.annotate(true).unwrap();
            inner()
        };
        let page = rig.cache.render(fragment("page"), body).unwrap();
        assert!(page.contains("<!--"));
        rig.cache.annotate(false).unwrap();
        assert_eq!(&*rig.cache.render(fragment("page"), || "plain").unwrap(), "plain");
        rig.delete("page");
    }
}

#[test]
fn get_gives_no_annotated_body_once_they_are_off() {
    let rig = rig();
    rig.cache.annotate(true).unwrap();
    rig.say("page", "<!-- -->");
    rig.cache.annotate(false).unwrap();
    assert_eq!(rig.get("page"), None);
}

#[test]
fn i1_an_abandoned_leftover_passes_on_its_dependencies() {
    let rig = rig();
    let body = || {
        bare(&rig.cache, "x").unwrap(); // fails
        rig.say("g", "g"); // stands above the leftover
        let again = bare(&rig.cache, "x").unwrap();
        crate::engine::close(again, Body::from("x"));
        "x g"
    };
    rig.cache.render(fragment("page"), body).unwrap();
    rig.delete("g");
    assert_eq!(rig.get("page"), None);
}

#[test]
fn i1_a_live_frame_given_up_with_a_leftover_binds_the_one_around() {
    let rig = rig();
    let body = || {
        bare(&rig.cache, "x").unwrap(); // fails
        let w = bare(&rig.cache, "w").unwrap();
        current::add_tags(["t"]).unwrap();
        let again = bare(&rig.cache, "x").unwrap();
        crate::engine::close(again, Body::from("x"));
        crate::engine::close(w, Body::from("x"));
        "x"
    };
    let page = fragment("page").expires_after(s(600));
    rig.cache.render(&page, body).unwrap();
    rig.clock.advance(s(59));
    assert!(rig.get("page").is_some());
    rig.clock.advance(s(1));
    assert_eq!(rig.get("page"), None, "as long as what is in it");
    rig.cache.clear().eventually();
    rig.cache.render(&page, body).unwrap();
    rig.cache.invalidate_tags(["t"]).unwrap().eventually();
    assert_eq!(rig.get("page"), None);
}

#[test]
fn i1_data_of_a_bare_body_is_as_old_as_that_body() {
    let rig = rig();
    let outer = bare(&rig.cache, "outer").unwrap();
    rig.delete("inner");
    rig.say("inner", "old");
    crate::engine::close(outer, Body::from("old"));
    assert_eq!(rig.get("inner"), None);
}

/// A render with a read point in its context.
struct Under(ReadPoint);

impl RenderContext for Under {
    fn mode(&self) -> OutputMode {
        OutputMode::HTML
    }
    fn is_bounded(&self) -> bool {
        true
    }
    fn memo(&mut self) -> Option<Arc<RenderMemo>> {
        None
    }
    fn read_point(&mut self) -> Option<ReadPoint> {
        Some(self.0)
    }
}

#[test]
fn i1_inside_a_refused_block_the_read_point_counts() {
    let rig = rig_with(|b| b.policy(Policy::default().bad_arguments(ErrorPolicy::Uncached)));
    for timeout in [60, 0] {
        let point = rig.cache.read_point();
        rig.delete("inner");
        let args = [Scalar::Int(timeout), Scalar::Str("outer")];
        let text = |body: &Body| body.as_str().to_owned();
        let opened =
            rig.cache.open(&block("o", "t", "").site, &super::Args(&args), &mut Under(point), text);
        let Opened::Render(ticket) = opened.unwrap() else { panic!() };
        rig.say("inner", "old");
        ticket.close(Body::from("old"));
        assert_eq!(rig.get("inner"), None, "{timeout}");
    }
}

#[test]
fn i6_empty_batches_leave_nothing_behind() {
    let rig = rig_with(|builder| builder.replica_lag(s(3600)));
    rig.cache.invalidate_tags::<&str>([]).unwrap().eventually();
    assert!(rig.cache.handle.fresh().look().1, "nothing is to be repeated");
}

#[test]
fn a_tag_whose_text_renders_is_no_panic() {
    let rig = rig();
    struct Renders(FragmentCache);
    impl AsRef<str> for Renders {
        fn as_ref(&self) -> &str {
            self.0.render(fragment("inner"), || "x").unwrap();
            "tag"
        }
    }
    let body = || {
        current::add_tags([Renders(rig.cache.clone())]).unwrap();
        "body"
    };
    rig.cache.render(fragment("row"), body).unwrap();
    assert!(rig.get("row").is_some());
}

#[test]
fn i2_a_refresh_that_fails_gives_the_flight_back_to_the_leader_before_it() {
    let rig = rig();
    let (runs, may_end) = (Gate::default(), Gate::default());
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            rig.cache
                .render(fragment("row"), || {
                    runs.open();
                    may_end.pass();
                    "first"
                })
                .unwrap()
        });
        runs.pass();
        let failed = rig.cache.try_render(fragment("row").refresh(true), || {
            Err::<String, _>(crate::Error::new(crate::ErrorKind::Config, "no"))
        });
        assert!(failed.is_err());
        let (sent, got) = std::sync::mpsc::channel();
        let rig = &rig;
        scope.spawn(move || {
            let body = || {
                sent.send("rendered").ok();
                "second"
            };
            rig.cache.render(fragment("row"), body).unwrap();
        });
        let outcome = got.recv_timeout(Duration::from_millis(300));
        may_end.open();
        leader.join().unwrap();
        assert!(outcome.is_err(), "two renders at a time");
    });
}

#[test]
fn an_early_refresher_that_rests_is_a_hit_for_the_others() {
    let rig = rig_with(|b| b.early_refresh(1000.0).refresh_backoff(s(1000)));
    let row = fragment("row").expires_after(s(100));
    rig.cache
        .render(&row, || {
            rig.clock.advance(s(50));
            "x"
        })
        .unwrap();
    let _ = rig
        .cache
        .try_render(&row, || Err::<String, _>(crate::Error::new(crate::ErrorKind::Config, "no")));
    let before = rig.cache.stats();
    rig.cache.render(&row, || "y").unwrap();
    assert_eq!(rig.cache.stats().hits, before.hits + 1);
}
