//! What a value leaves behind that was not kept: nothing that another would wait for.

use super::many::{FRONTS, Shop, process_with, store};
use crate::testing::{MemoryStore, Recorder};
use crate::{Builder, FarLevel, Fragment, FragmentCache, Keep, SetReport, Values, fragment_key};

/// Two processes with this far level each, or two handles without one.
fn pair(level: Option<&dyn Fn() -> FarLevel>, with: fn(Builder) -> Builder) -> [Values; 2] {
    let cache = |level: Option<FarLevel>| {
        let builder = with(FragmentCache::builder().jitter(0.0));
        let builder = level.into_iter().fold(builder, Builder::far);
        builder.build().unwrap().values()
    };
    match level {
        Some(level) => [cache(Some(level())), cache(Some(level()))],
        None => {
            let alone = cache(None);
            [alone.clone(), alone]
        }
    }
}

/// Does this in memory, and on a store in each way, which may be of files.
fn everywhere(test: impl Fn(Option<&dyn Fn() -> FarLevel>)) {
    test(None);
    for front in FRONTS {
        let store = store();
        test(Some(&|| front(FarLevel::new(store.clone()))));
    }
    #[cfg(all(feature = "file", unix))]
    {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::FileStore::open(folder.path()).unwrap();
        test(Some(&|| FarLevel::new(store.clone())));
    }
}

/// Longer than what the entries of a test may take.
fn large() -> String {
    "x".repeat(1000)
}

/// The ways to bring a value that is too large.
const TOO_LARGE: [fn(&Values, &str); 3] = [
    |values, key| assert!(!values.set(key, &*large()).unwrap()),
    |values, key| assert!(!values.add(key, &*large()).unwrap()),
    |values, key| {
        let set = values.set_many([(key, &*large()), ("other", "small")], &Keep::new()).unwrap();
        assert_eq!(set, [SetReport::NotKept, SetReport::Kept]);
    },
];

fn is_added_after_what_was_too_large([here, there]: [Values; 2]) {
    for (number, too_large) in TOO_LARGE.iter().enumerate() {
        for (by, other) in [(&here, &there), (&there, &here)] {
            let key = format!("{number}, {}", std::ptr::eq(by, &here));
            too_large(&here, &key);
            assert!(by.add(&key, "small").unwrap(), "{key}");
            assert!(!other.add(&key, "another").unwrap(), "{key}");
            assert_eq!(other.get::<String>(&key).unwrap().as_deref(), Some("small"), "{key}");
        }
    }
    let page = Fragment::new(fragment_key!("page"));
    let body = || {
        assert!(!here.add("inside", &*large()).unwrap());
        here.add("inside", "small").unwrap().to_string()
    };
    assert_eq!(&*here.cache.render(&page, body).unwrap(), "true");
}

#[test]
fn a_value_is_added_after_one_that_was_too_large() {
    everywhere(|level| {
        is_added_after_what_was_too_large(pair(level, |builder| builder.max_entry_bytes(100)));
    });
    // Too large for the store alone.
    let store = MemoryStore::new().max_value_bytes(600);
    let level = || FarLevel::new(store.clone());
    is_added_after_what_was_too_large(pair(Some(&level), |builder| builder));
}

#[test]
fn a_value_that_is_not_kept_leaves_no_lease_and_no_mark_behind() {
    let store = store();
    let recorder = Recorder::new();
    let with = |builder: Builder| builder.max_entry_bytes(100).observer(recorder.clone());
    let here = process_with(&store, FRONTS[0], with);
    for too_large in TOO_LARGE {
        too_large(&here, "k");
        let leases = |store: &Shop| store.inner().keys().into_iter().any(|key| key.contains(":l:"));
        assert!(!leases(&store));
        assert_eq!((here.cache.health().leases, here.cache.stats().flights), (0, 0));
    }
    let point = here.cache.begin();
    here.cache.clear().unwrap();
    recorder.reset();
    assert!(!point.scope(|| here.set("k", "older").unwrap()));
    assert!(here.add("k", "small").unwrap());
    let bypassed =
        |event: &crate::testing::Recorded| matches!(event.kind, crate::EventKind::Bypassed(_));
    assert!(!recorder.events().iter().any(bypassed), "{:?}", recorder.events());
}
