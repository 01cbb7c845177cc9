//! I6, bounded memory: bytes and entries stay within their bounds, and oversized entries have no
//! effect on others.

use super::{Rig, block, fragment, rig_with};
use crate::engine::{OutputMode, Scalar};
use crate::events::{EventKind, RefusalReason};
use crate::key::MAX_KEY_BYTES;
use crate::{Fragment, FragmentKey, fragment_key};

fn row(number: usize) -> Fragment {
    Fragment::new(fragment_key!("row", number))
}

fn fill(rig: &Rig, numbers: std::ops::Range<usize>, body: &str) {
    for number in numbers {
        rig.cache.render(row(number), || body).unwrap();
        let stats = rig.cache.stats();
        assert!(stats.bytes <= 64 << 20 && stats.entries <= 100_000);
    }
}

#[test]
fn i6_the_bound_of_entries_holds_and_the_least_recently_used_goes() {
    let rig = rig_with(|builder| builder.max_entries(10));
    fill(&rig, 0..10, "");
    rig.cache.render(row(0), || "used again").unwrap();
    fill(&rig, 10..11, "");
    let stats = rig.cache.stats();
    assert_eq!((stats.entries, stats.evictions), (10, 1));
    assert!(rig.cache.contains(row(0).key()).unwrap());
    assert!(!rig.cache.contains(row(1).key()).unwrap());
}

#[test]
fn i6_the_bound_of_entries_holds_for_any_shards() {
    for bound in [1, 63, 64, 1_000, 1_030, 2_047] {
        let rig = rig_with(|builder| builder.max_entries(bound));
        fill(&rig, 0..2 * bound, "");
        let entries = rig.cache.stats().entries;
        assert!(entries <= bound as u64, "{entries} of {bound}");
        assert!(entries * 10 >= bound as u64 * 7, "{entries} of {bound}: the room is used");
    }
}

#[test]
fn i6_the_bound_of_bytes_holds_with_keys_and_overhead_counted() {
    let rig = rig_with(|builder| builder.max_bytes(20_000));
    let body = "x".repeat(100);
    for number in 0..500 {
        let key = fragment_key!("row", number, "k".repeat(200));
        rig.cache.render(Fragment::new(key), || body.as_str()).unwrap();
        assert!(rig.cache.stats().bytes <= 20_000);
    }
    let stats = rig.cache.stats();
    assert!(stats.bytes / stats.entries > 300 && stats.entries >= 30, "{stats:?}");
}

#[test]
fn i6_the_dependencies_of_an_entry_are_counted() {
    let bytes = |inner: usize| {
        let rig = rig_with(|builder| builder);
        fill(&rig, 0..inner, "");
        let before = rig.cache.stats().bytes;
        rig.cache
            .render(fragment("page"), || {
                fill(&rig, 0..inner, "");
                ""
            })
            .unwrap();
        rig.cache.stats().bytes - before
    };
    assert!(bytes(200) >= bytes(0) + 200 * 8);
}

#[test]
fn i6_a_body_over_the_limit_is_rendered_counted_and_not_stored() {
    let rig = rig_with(|builder| builder.max_entry_bytes(100));
    rig.say("small", "kept");
    let large = "x".repeat(101);
    assert_eq!(&*rig.say("row", &large), large);
    assert_eq!(rig.get("row"), None);
    let last = rig.recorder.events().last().unwrap().kind;
    assert_eq!(last, EventKind::Refused(RefusalReason::BodyTooLarge));
    assert!(rig.get("small").is_some());
    rig.say("page", &"x".repeat(100));
    assert!(rig.get("page").is_some(), "the limit itself fits");
}

#[test]
fn i6_a_body_as_large_as_the_level_evicts_nothing() {
    let rig = rig_with(|builder| builder.max_bytes(10_000).max_entry_bytes(10_000));
    rig.say("small", "kept");
    rig.say("huge", &"x".repeat(10_000));
    assert_eq!(rig.get("huge"), None, "with its overhead it does not fit");
    let last = rig.recorder.events().last().unwrap().kind;
    assert_eq!(last, EventKind::Refused(RefusalReason::BodyTooLarge));
    assert!(rig.get("small").is_some());
}

#[test]
fn i6_many_large_variants_of_one_key_push_each_other_out_and_stay_servable() {
    let rig = rig_with(|builder| builder.max_bytes(10_000).max_entry_bytes(4_000));
    let body = "x".repeat(4_000);
    for source in ["one", "two", "three"] {
        let args = [Scalar::Int(60), Scalar::Str("row")];
        let block = block(source, "page.html", "");
        block.print(&rig.cache, OutputMode::HTML, &args, || body.clone());
        assert_eq!(rig.get("row").as_deref(), Some(body.as_str()), "{source}");
    }
    assert_eq!(rig.cache.stats().entries, 2);
}

#[test]
fn i6_entries_that_never_expire_are_not_evicted_first() {
    let rig = rig_with(|builder| builder.max_entries(10));
    let never = Fragment::new(fragment_key!("never")).never_expires();
    fill(&rig, 0..5, "");
    rig.cache.render(&never, || "kept").unwrap();
    fill(&rig, 5..14, "");
    assert!(rig.get("never").is_some(), "ten were stored since the oldest");
    assert!(!rig.cache.contains(row(4).key()).unwrap(), "though it expires");
}

#[test]
fn i6_a_key_over_the_limit_is_rendered_counted_and_not_stored() {
    let rig = rig_with(|builder| builder);
    let key = FragmentKey::new("k".repeat(MAX_KEY_BYTES));
    for _ in 0..2 {
        rig.recorder.reset();
        rig.cache.render(Fragment::new(key.clone()), || "body").unwrap();
        assert_eq!(rig.recorder.events()[0].kind, EventKind::Refused(RefusalReason::KeyTooLong));
        assert_eq!(rig.recorder.events().len(), 1);
    }
    assert!(!rig.cache.contains(&key).unwrap());
}

#[test]
fn i6_sizes_return_to_zero() {
    let rig = rig_with(|builder| builder);
    fill(&rig, 0..100, "body");
    for number in 0..100 {
        rig.cache.delete(row(number).key()).eventually();
    }
    let stats = rig.cache.stats();
    assert_eq!((stats.entries, stats.bytes), (0, 0));
}
