//! Values that their readers share: decoded once, and otherwise like all values.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use super::*;

thread_local! {
    static DECODED: Cell<u32> = const { Cell::new(0) };
}

/// Counts how often it is decoded.
#[derive(Debug, PartialEq, Serialize)]
struct Counted(Vec<u32>);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.set(DECODED.get() + 1);
        Vec::deserialize(deserializer).map(Self)
    }
}

fn shared(values: &Values, key: &str) -> Arc<Counted> {
    values.get_shared(key).unwrap()
}

/// The bytes of all entries, as they are listed.
fn listed(cache: &FragmentCache) -> usize {
    let pages = std::iter::successors(Some(cache.entries(None)), |page| {
        Some(cache.entries(Some(page.next?)))
    });
    pages.flat_map(|page| page.entries).map(|entry| entry.bytes).sum()
}

#[test]
fn a_shared_value_is_decoded_once_and_weighs_what_its_bytes_did() {
    let cache = FragmentCache::in_memory();
    let values = cache.values();
    values.set("primes", &Counted(vec![2, 3, 500])).unwrap();
    // The shape of its type is made of it once.
    assert!(values.get::<Counted>("primes").is_some());
    let (bytes, weighs, decoded) = (cache.stats().bytes, listed(&cache), DECODED.get());
    let first = shared(&values, "primes");
    assert_eq!(*first, Counted(vec![2, 3, 500]));
    assert!((0..3).all(|_| Arc::ptr_eq(&first, &shared(&values, "primes"))));
    assert_eq!(DECODED.get(), decoded + 1);
    assert_eq!(cache.stats().bytes, bytes);
    assert_eq!(listed(&cache), weighs);
    assert!(weighs > 0);

    // Readers of the value itself, and of another type of the same shape.
    assert_eq!(values.get::<Counted>("primes").as_ref(), Some(&*first));
    values.set("numbers", &vec![7_u32, 8]).unwrap();
    assert_eq!(values.get_shared::<Vec<u32>>("numbers").as_deref(), Some(&vec![7, 8]));
    assert_eq!(values.get_shared::<Box<[u32]>>("numbers").as_deref(), Some(&Box::from([7, 8])));
    assert_eq!(values.get::<Vec<u32>>("numbers"), Some(vec![7, 8]));
    assert_eq!(values.get_shared::<String>("numbers"), None);
}

#[test]
fn a_shared_value_is_replaced_deleted_and_expires_like_any_other() {
    let clock = ManualClock::new();
    let cache = FragmentCache::builder().clock(clock.clone()).build().unwrap();
    let values = cache.values();
    values.set("n", &Counted(vec![1])).unwrap();
    let old = shared(&values, "n");
    values.set("n", &Counted(vec![2])).unwrap();
    assert_eq!((&old.0[..], &shared(&values, "n").0[..]), (&[1][..], &[2][..]));
    values.delete("n").eventually();
    assert_eq!(values.get_shared::<Counted>("n"), None);

    let options = SetOptions::new().expires_after(Duration::from_secs(60)).tags(["t"]).version(3);
    values.set_with("n", &Counted(vec![3]), &options).unwrap();
    assert_eq!(values.get_shared::<Counted>("n"), None, "of another version");
    assert!(values.get_shared_version::<Counted>("n", 3).is_some());
    assert!(values.clone().type_version(1).get_shared_version::<Counted>("n", 3).is_none());
    cache.invalidate_tags(["t"]).unwrap().eventually();
    assert!(values.get_shared_version::<Counted>("n", 3).is_none());
    values.set_with("n", &Counted(vec![3]), &options).unwrap();
    assert!(values.get_shared_version::<Counted>("n", 3).is_some());
    clock.advance(Duration::from_secs(61));
    assert!(values.get_shared_version::<Counted>("n", 3).is_none());
}

#[test]
fn a_fragment_depends_on_a_value_that_it_shares() {
    let cache = FragmentCache::in_memory();
    cache.values().set("motto", "early").unwrap();
    let page = Fragment::new(fragment_key!("page"));
    let show = || cache.values().get_shared::<String>("motto").unwrap().to_string();
    assert_eq!(&*cache.render(&page, show).unwrap(), "early");
    assert_eq!(&*cache.render(fragment_key!("other"), show).unwrap(), "early");
    cache.values().delete("motto").eventually();
    assert!(
        !cache.contains(page.key()).unwrap() && !cache.contains(&fragment_key!("other")).unwrap()
    );
}

#[test]
fn a_store_has_the_bytes_and_each_process_decodes_them_once() {
    let store = MemoryStore::new();
    let process = || {
        let level = FarLevel::new(store.clone());
        FragmentCache::builder().far(level).build().unwrap().values()
    };
    let (here, there) = (process(), process());
    here.set("n", &Counted(vec![1])).unwrap();
    assert!(Arc::ptr_eq(&shared(&here, "n"), &shared(&here, "n")));
    let first = shared(&there, "n");
    let decoded = DECODED.get();
    assert!(Arc::ptr_eq(&first, &shared(&there, "n")));
    assert_eq!(DECODED.get(), decoded);
    there.set("n", &Counted(vec![2])).unwrap();
    assert_eq!(shared(&here, "n").0, [2]);
    assert_eq!(here.get::<Counted>("n"), Some(Counted(vec![2])));
    there.delete("n").eventually();
    assert_eq!(here.get_shared::<Counted>("n"), None);
}

#[test]
fn dropping_a_shared_value_may_use_the_cache() {
    /// One shard, so that all keys have one lock.
    static CACHE: LazyLock<FragmentCache> =
        LazyLock::new(|| FragmentCache::builder().max_bytes(4096).build().unwrap());

    #[derive(Serialize, Deserialize)]
    struct Uses(String);
    impl Drop for Uses {
        fn drop(&mut self) {
            assert!(!CACHE.values().contains("nothing").unwrap());
        }
    }

    let values = CACHE.values();
    let shared = |key: u32| {
        values.set(key, &Uses("x".repeat(200))).unwrap();
        drop(values.get_shared::<Uses>(key).unwrap());
    };
    shared(1);
    shared(1);
    values.delete(1).eventually();
    (0..40).for_each(shared);
    assert!(CACHE.stats().bytes <= 4096);
    values.set_with(1, &Uses(String::new()), &SetOptions::new().tags(["t"])).unwrap();
    drop(values.get_shared::<Uses>(1).unwrap());
    CACHE.invalidate_tags(["t"]).unwrap().eventually();
    assert!(values.get_shared::<Uses>(1).is_none());
    CACHE.clear().eventually();
    assert_eq!(CACHE.stats().entries, 0);
}
