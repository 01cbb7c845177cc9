//! Functions of one name: each has its own results, and whoever wrote them is told.

use fragcache::testing::Recorder;
use fragcache::{EventKind, FragmentCache, RefusalReason, memoize};

/// Two functions of one name, signature and body, from one place in the source.
macro_rules! twins {
    ($cache:ident) => {{
        let one = {
            const PRICE: u32 = 1;
            #[memoize(cache = cache)]
            fn price(cache: &FragmentCache, id: u32) -> u32 {
                PRICE * id
            }
            price
        };
        let other = {
            const PRICE: u32 = 2;
            #[memoize(cache = cache)]
            fn price(cache: &FragmentCache, id: u32) -> u32 {
                PRICE * id
            }
            price
        };
        [one, other]
    }};
}

#[test]
fn functions_of_one_name_in_two_blocks_never_share_results() {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    let [one, other] = twins!(cache);
    for _ in 0..2 {
        assert_eq!((one(&cache, 7), other(&cache, 7)), (7, 14));
    }
    let told = |kind| recorder.events().into_iter().filter(|event| event.kind == kind).count();
    assert_eq!(told(EventKind::Refused(RefusalReason::SharedName)), 2);
    assert_eq!(told(EventKind::Warned), 1);
    assert_eq!(told(EventKind::Hit), 1);
}

#[test]
fn a_name_of_its_own_keeps_each_ones_results() {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    let film = {
        #[memoize(cache = cache)]
        fn rate(cache: &FragmentCache) -> u32 {
            1
        }
        rate
    };
    let book = {
        #[memoize(cache = cache, name = "books::rate")]
        fn rate(cache: &FragmentCache) -> u32 {
            2
        }
        rate
    };
    for _ in 0..2 {
        assert_eq!((film(&cache), book(&cache)), (1, 2));
    }
    assert_eq!(recorder.events().iter().filter(|event| event.kind == EventKind::Hit).count(), 2);
}

struct Of<T>(T);

impl<T: Copy + Into<u64>> Of<T> {
    #[memoize(cache = cache, of = Of, identity: u64 = self.0.into())]
    fn double(&self, cache: &FragmentCache) -> u64 {
        self.0.into() * 2
    }
}

#[test]
fn a_generic_type_is_one_site() {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    assert_eq!((Of(1_u8).double(&cache), Of(2_u32).double(&cache)), (2, 4));
    assert_eq!((Of(1_u8).double(&cache), Of(2_u32).double(&cache)), (2, 4));
    assert_eq!(recorder.events().iter().filter(|event| event.kind == EventKind::Hit).count(), 2);
}

#[test]
fn nested_errors_and_nones_are_not_kept() {
    #[memoize(cache = cache)]
    fn deep(cache: &FragmentCache, n: u32) -> Option<Result<Option<u32>, String>> {
        [None, Some(Err("away".to_owned())), Some(Ok(None)), Some(Ok(Some(1)))]
            .into_iter()
            .nth(n as usize)
            .flatten()
    }
    #[memoize(cache = cache)]
    fn twice(cache: &FragmentCache, n: u32) -> Result<Result<u32, String>, String> {
        if n == 0 { Ok(Err("away".to_owned())) } else { Ok(Ok(n)) }
    }
    let cache = FragmentCache::in_memory();
    let is_kept = |call: fragcache::Call| cache.contains(&call.key().unwrap()).unwrap();
    for n in 0..4 {
        deep(&cache, n);
        assert_eq!(is_kept(deep_memo(n)), n == 3, "{n}");
    }
    for n in 0..2 {
        twice(&cache, n).unwrap().ok();
        assert_eq!(is_kept(twice_memo(n)), n == 1, "{n}");
    }
}
