//! I4, no foreign content: what is served is identified by the key, the block's source and the
//! output mode together.

use super::{block, fragment, rig};
use crate::engine::{OutputMode, Scalar};
use crate::events::{EventKind, MissReason};
use crate::{Invalidation, fragment_key};

const ARGS: [Scalar<'static>; 2] = [Scalar::Int(60), Scalar::Str("row")];

#[test]
fn i4_another_source_or_output_mode_is_another_variant() {
    let rig = rig();
    let (one, two) = (block("one", "page.html", ""), block("two", "page.html", ""));
    let say = |block: &super::Block, mode, body: &str| {
        block.print(&rig.cache, mode, &ARGS, || body.to_owned())
    };
    assert_eq!(say(&one, OutputMode::HTML, "&lt;"), "&lt;");
    assert_eq!(say(&one, OutputMode::RAW, "<"), "<");
    assert_eq!(say(&two, OutputMode::HTML, "other source"), "other source");
    rig.cache.render(fragment("row"), || "from Rust").unwrap();

    assert_eq!(say(&one, OutputMode::HTML, ""), "&lt;");
    assert_eq!(say(&one, OutputMode::RAW, ""), "<");
    assert_eq!(say(&two, OutputMode::HTML, ""), "other source");
    let reasons: Vec<_> = rig.recorder.events().iter().map(|event| event.kind).collect();
    assert!(reasons.contains(&EventKind::Miss(MissReason::OutputMode)));
    assert!(reasons.contains(&EventKind::Miss(MissReason::SourceChanged)));
}

#[test]
fn i4_a_deleted_key_loses_every_variant() {
    let rig = rig();
    for source in ["one", "two", "three"] {
        block(source, "page.html", "").print(&rig.cache, OutputMode::HTML, &ARGS, || "x".into());
    }
    assert_eq!(rig.cache.stats().entries, 3);
    assert_eq!(rig.cache.delete(&fragment_key!("row")), Invalidation::Removed);
    assert_eq!((rig.cache.stats().entries, rig.cache.stats().bytes), (0, 0));
    assert_eq!(rig.get("row"), None);
}

#[test]
fn i4_a_key_holds_so_many_variants_and_the_oldest_goes_first() {
    let rig = rig();
    let say = |source: usize| {
        block(&source.to_string(), "page.html", "").print(
            &rig.cache,
            OutputMode::HTML,
            &ARGS,
            || source.to_string(),
        )
    };
    for source in 0..9 {
        say(source);
    }
    let stats = rig.cache.stats();
    assert_eq!((stats.entries, stats.evictions), (8, 1));
    assert_eq!(rig.get("row").as_deref(), Some("8"), "the newest is what Rust code sees");
    rig.recorder.reset();
    for source in (1..9).rev() {
        assert_eq!(say(source), source.to_string());
    }
    rig.recorder.assert_no_body_evaluated();
    say(0);
    rig.recorder.assert_rendered_once("row");
}

#[test]
fn i4_the_same_block_in_two_templates_shares_its_entry_only_by_name() {
    let rig = rig();
    let unnamed = |template: &str, body: &str| {
        block("same", template, "").print(&rig.cache, OutputMode::HTML, &ARGS[..1], || body.into())
    };
    assert_eq!(unnamed("a.html", "a"), "a");
    assert_eq!(unnamed("b.html", "b"), "b");
    assert_eq!(unnamed("a.html", ""), "a");
    assert_eq!(rig.cache.get(&crate::fragment_key_at("b.html", 1)).unwrap().as_deref(), Some("b"));
}
