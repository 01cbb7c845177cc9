//! A value that is set leaves no other under its key, not even one that is read meanwhile. A value
//! that is not stored leaves nothing that others would wait for. What holds on every store is tested
//! in the tests package.

use std::time::Duration;

use super::many::{FRONTS, Shop, process_with, store};
use super::meanwhile::{Meanwhile, Step};
use crate::testing::Recorder;
use crate::values::{SetOptions, SetReport, Values};
use crate::{CacheBuilder, FarLevel, FragmentCache};

/// Longer than an entry of a test may be.
fn large() -> String {
    "x".repeat(1000)
}

/// The ways to set a value that is too large.
const TOO_LARGE: [fn(&Values, &str); 3] = [
    |values, key| assert!(!values.set(key, &*large()).unwrap()),
    |values, key| assert!(!values.add(key, &*large()).unwrap()),
    |values, key| {
        let set =
            values.set_many([(key, &*large()), ("other", "small")], &SetOptions::new()).unwrap();
        assert_eq!(set, [SetReport::NotStored, SetReport::Stored]);
    },
];

#[test]
fn a_value_that_is_not_kept_leaves_no_lease_and_no_mark_behind() {
    let store = store();
    let recorder = Recorder::new();
    let with = |builder: CacheBuilder| builder.max_entry_bytes(100).observer(recorder.clone());
    let here = process_with(&store, FRONTS[0], with);
    for too_large in TOO_LARGE {
        too_large(&here, "k");
        let leases = |store: &Shop| store.inner().keys().into_iter().any(|key| key.contains(":l:"));
        assert!(!leases(&store));
        assert_eq!((here.cache.health().leases, here.cache.stats().flights), (0, 0));
    }
    let point = here.cache.read_point();
    here.cache.clear().eventually();
    recorder.reset();
    assert!(!point.scope(|| here.set("k", "older").unwrap()));
    assert!(here.add("k", "small").unwrap());
    let bypassed = |event: &crate::testing::Recorded| {
        matches!(event.kind, crate::events::EventKind::Bypassed(_))
    };
    assert!(!recorder.events().iter().any(bypassed), "{:?}", recorder.events());
}

/// Otherwise the near level would go on serving it for its `near_ttl`.
#[test]
fn what_was_read_before_a_value_of_another_type_is_set_is_not_held() {
    let store = store();
    let other = process_with(&store, FRONTS[0], |builder| builder);
    other.set("k", &1).unwrap();
    let slow = Meanwhile::new(&store);
    let level = FarLevel::new(slow.clone()).near_ttl(Duration::from_secs(60));
    let here = FragmentCache::builder().far(level).build().unwrap().values();
    slow.act(Step::Looked, {
        let here = here.clone();
        move || assert!(here.set("k", "later").unwrap())
    });
    assert_eq!(here.get("k"), Some(1), "it was there when this began");
    assert_eq!(here.get::<i32>("k"), None);
    assert_eq!(here.get::<String>("k").as_deref(), Some("later"));
}
