//! A value that is set leaves no other under its key, not even one of another type; on every kind of
//! store.

use std::time::Duration;

use fragcache::memoize::Function;
use fragcache::testing::MemoryStore;
use fragcache::values::{SetOptions, SetReport, Values};
use fragcache::{CacheBuilder, FarLevel, Fragment, FragmentCache, fragment_key};
use fragcache_file::FileStore;

/// The variants of the near level in front of the store.
const FRONTS: [fn(FarLevel) -> FarLevel; 3] =
    [|level| level, |level| level.near_ttl(Duration::from_secs(2)), |level| level.without_near()];

/// Two processes with this far level each, or two handles to one cache without it.
fn pair(
    level: Option<&dyn Fn() -> FarLevel>,
    with: fn(CacheBuilder) -> CacheBuilder,
) -> [FragmentCache; 2] {
    let cache = |level: Option<FarLevel>| {
        let builder = with(FragmentCache::builder().jitter(0.0));
        let builder = level.into_iter().fold(builder, CacheBuilder::far);
        builder.build().unwrap()
    };
    match level {
        Some(level) => [cache(Some(level())), cache(Some(level()))],
        None => {
            let alone = cache(None);
            [alone.clone(), alone]
        }
    }
}

/// Runs the test in memory, and on a store with each front, including a store of files.
fn everywhere(test: impl Fn(Option<&dyn Fn() -> FarLevel>)) {
    test(None);
    for front in FRONTS {
        let store = MemoryStore::new();
        test(Some(&|| front(FarLevel::new(store.clone()))));
    }
    #[cfg(unix)]
    {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        test(Some(&|| FarLevel::new(store.clone())));
    }
}

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

fn is_added_after_what_was_too_large(caches: &[FragmentCache; 2]) {
    let [here, there] = caches.each_ref().map(FragmentCache::values);
    for (number, too_large) in TOO_LARGE.iter().enumerate() {
        for (by, other) in [(&here, &there), (&there, &here)] {
            let key = format!("{number}, {}", std::ptr::eq(by, &here));
            too_large(&here, &key);
            assert!(by.add(&key, "small").unwrap(), "{key}");
            assert!(!other.add(&key, "another").unwrap(), "{key}");
            assert_eq!(other.get::<String>(&key).as_deref(), Some("small"), "{key}");
        }
    }
    let page = Fragment::new(fragment_key!("page"));
    let body = || {
        assert!(!here.add("inside", &*large()).unwrap());
        here.add("inside", "small").unwrap().to_string()
    };
    assert_eq!(&*caches[0].render(&page, body).unwrap(), "true");
}

#[test]
fn a_value_is_added_after_one_that_was_too_large() {
    everywhere(|level| {
        is_added_after_what_was_too_large(&pair(level, |builder| builder.max_entry_bytes(100)));
    });
    // Too large for the store only.
    let store = MemoryStore::new().max_value_bytes(600);
    let level = || FarLevel::new(store.clone());
    is_added_after_what_was_too_large(&pair(Some(&level), |builder| builder));
}

#[test]
fn i1_a_value_that_is_set_ends_those_of_other_types() {
    everywhere(|level| {
        let [here, there] = pair(level, |builder| builder).map(|cache| cache.values());
        let set_many = |key: &str| {
            let set = here.set_many([(key, "later"), ("other", "-")], &SetOptions::new()).unwrap();
            assert_eq!(set, [SetReport::Stored; 2]);
        };
        for is_one in [true, false] {
            let key = if is_one { "one" } else { "one of several" };
            here.set(key, &1).unwrap();
            assert!(here.add(key, &2_u64).unwrap(), "nothing of this type is there");
            assert_eq!((here.get(key), here.get(key)), (Some(1), Some(2_u64)));
            match is_one {
                true => assert!(here.set(key, "later").unwrap()),
                false => set_many(key),
            }
            for values in [&here, &there] {
                assert_eq!(values.get::<i32>(key), None);
                assert_eq!(values.get::<u64>(key), None);
                assert_eq!(values.get::<String>(key).as_deref(), Some("later"));
            }
        }
    });
}

/// A render of one release ends nothing of the other, even in its place.
#[test]
fn results_and_values_that_are_added_end_none_of_another_type() {
    everywhere(|level| {
        let [here, there] = pair(level, |builder| builder);
        let call = |version| Function::new("tests::kept").call().type_version(version);
        let kept =
            |cache: &FragmentCache, version, made: i32| cache.memoize(&call(version), || made);
        assert_eq!((kept(&here, 1, 1), kept(&there, 2, 2)), (1, 2));
        let [first, second] = [1, 2].map(|version| here.values().type_version(version));
        assert!(first.add("lock", &1).unwrap() && second.add("lock", &2).unwrap());
        assert_eq!((first.get("lock"), second.get("lock")), (Some(1), Some(2)));
        assert_eq!((kept(&here, 1, 3), kept(&there, 2, 4)), (1, 2));
    });
}
