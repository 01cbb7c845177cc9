//! How results are cached: TTLs, filters, tags, versions.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use fragcache::testing::ManualClock;
use fragcache::{Fragment, FragmentCache, Timeout, fragment_key, memoize};

/// A cache with a manual clock, and a counter of runs.
struct Rig {
    cache: FragmentCache,
    clock: ManualClock,
    ran: Cell<u32>,
}

impl Rig {
    fn new() -> Self {
        let clock = ManualClock::new();
        let cache = FragmentCache::builder().clock(clock.clone()).build().unwrap();
        Self { cache, clock, ran: Cell::new(0) }
    }

    fn run(&self) -> u32 {
        self.ran.set(self.ran.get() + 1);
        self.ran.get()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[test]
fn timeouts_are_numbers_texts_and_expressions() {
    #[memoize(cache = rig.cache, ignore(rig), timeout = 60)]
    fn number(rig: &Rig) -> u32 {
        rig.run()
    }
    #[memoize(cache = rig.cache, ignore(rig), timeout = "1h 30m")]
    fn text(rig: &Rig) -> u32 {
        rig.run()
    }
    #[memoize(cache = rig.cache, ignore(rig), timeout = "never")]
    fn never(rig: &Rig) -> u32 {
        rig.run()
    }
    #[memoize(cache = rig.cache, ignore(rig, ttl), timeout = ttl)]
    fn of_argument(rig: &Rig, ttl: Duration) -> u32 {
        rig.run()
    }
    #[memoize(
        cache = rig.cache,
        ignore(rig),
        timeout = if n > 1 { Timeout::Never } else { Timeout::Default },
    )]
    fn of_timeout(rig: &Rig, n: u32) -> u32 {
        rig.run() + n
    }
    /// The number of seconds until the function runs again.
    fn ends(rig: &Rig, call: impl Fn() -> u32) -> Option<u64> {
        let first = call();
        let mut passed = 0;
        for until in [0, 59, 60, 299, 300, 5399, 5400, 100_000_000] {
            rig.pass(until - passed);
            passed = until;
            if call() != first {
                return Some(until);
            }
        }
        None
    }
    let rig = Rig::new();
    assert_eq!(ends(&rig, || number(&rig)), Some(60));
    assert_eq!(ends(&rig, || text(&rig)), Some(5400));
    assert_eq!(ends(&rig, || never(&rig)), None);
    assert_eq!(ends(&rig, || of_argument(&rig, Duration::from_secs(60))), Some(60));
    assert_eq!(ends(&rig, || of_timeout(&rig, 1)), Some(300));
    assert_eq!(ends(&rig, || of_timeout(&rig, 2)), None);
    // Zero bypasses the cache.
    assert_eq!(ends(&rig, || of_argument(&rig, Duration::ZERO)), Some(0));
}

#[test]
fn a_result_says_when_it_ends() {
    #[memoize(cache = rig.cache, ignore(rig), expires = |token| Duration::from_secs(token.1))]
    fn token(rig: &Rig, ttl: u64) -> (u32, u64) {
        (rig.run(), ttl)
    }
    #[memoize(
        cache = rig.cache,
        ignore(rig),
        timeout = 100,
        expires = |ttl| Duration::from_secs(*ttl),
    )]
    fn at_most(rig: &Rig, ttl: u64) -> Result<u64, u32> {
        rig.run();
        if ttl == 0 { Err(0) } else { Ok(ttl) }
    }
    let rig = Rig::new();
    let first = token(&rig, 100_000);
    rig.pass(99_999);
    assert_eq!(token(&rig, 100_000), first);
    rig.pass(1);
    assert_ne!(token(&rig, 100_000), first);

    let ran = rig.ran.get();
    at_most(&rig, 1000).unwrap();
    at_most(&rig, 10).unwrap();
    at_most(&rig, 0).unwrap_err();
    rig.pass(10);
    at_most(&rig, 1000).unwrap();
    assert_eq!(rig.ran.get(), ran + 3);
    at_most(&rig, 10).unwrap();
    assert_eq!(rig.ran.get(), ran + 4);
    rig.pass(90);
    at_most(&rig, 1000).unwrap();
    assert_eq!(rig.ran.get(), ran + 5);
}

#[test]
fn none_is_kept_on_request_only() {
    #[memoize(cache = rig.cache, ignore(rig))]
    fn film(rig: &Rig, id: u32) -> Option<u32> {
        rig.run();
        (id > 0).then_some(id)
    }
    #[memoize(cache = rig.cache, ignore(rig), cache_none)]
    fn kept(rig: &Rig, id: u32) -> Option<u32> {
        rig.run();
        (id > 0).then_some(id)
    }
    #[memoize(cache = rig.cache, ignore(rig))]
    fn tried(rig: &Rig, id: u32) -> Result<Option<u32>, String> {
        rig.run();
        Ok((id > 0).then_some(id))
    }
    let rig = Rig::new();
    let runs = |call: &dyn Fn()| {
        let before = rig.ran.get();
        (0..3).for_each(|_| call());
        rig.ran.get() - before
    };
    assert_eq!(runs(&|| assert_eq!(film(&rig, 0), None)), 3);
    assert_eq!(runs(&|| assert_eq!(film(&rig, 7), Some(7))), 1);
    assert_eq!(runs(&|| assert_eq!(kept(&rig, 0), None)), 1);
    assert_eq!(runs(&|| assert_eq!(tried(&rig, 0), Ok(None))), 3);
    assert_eq!(runs(&|| assert_eq!(tried(&rig, 7), Ok(Some(7)))), 1);
}

#[test]
fn false_results_are_results() {
    #[memoize(cache = rig.cache, ignore(rig))]
    fn empty(rig: &Rig) -> Vec<u32> {
        rig.run();
        Vec::new()
    }
    let rig = Rig::new();
    assert_eq!((empty(&rig), empty(&rig), rig.ran.get()), (vec![], vec![], 1));
}

#[test]
fn errors_are_kept_on_request_only() {
    #[memoize(cache = rig.cache, ignore(rig))]
    fn parse(rig: &Rig, text: &str) -> Result<u32, std::num::ParseIntError> {
        rig.run();
        text.parse()
    }
    #[memoize(cache = rig.cache, ignore(rig), cache_err)]
    fn kept(rig: &Rig, text: &str) -> Result<u32, String> {
        rig.run();
        let number = text.parse::<u32>().map_err(|error| error.to_string())?;
        Ok(number)
    }
    let rig = Rig::new();
    assert!(parse(&rig, "x").is_err() && parse(&rig, "x").is_err());
    assert_eq!((parse(&rig, "7"), parse(&rig, "7"), rig.ran.get()), (Ok(7), Ok(7), 3));
    assert_eq!(kept(&rig, "x"), kept(&rig, "x"));
    assert_eq!(rig.ran.get(), 4);
}

#[test]
fn a_filter_decides_which_results_are_stored() {
    #[memoize(cache = rig.cache, ignore(rig), filter = |rows| !rows.is_empty())]
    fn rows(rig: &Rig, n: u32) -> Vec<u32> {
        rig.run();
        (0..n).collect()
    }
    #[memoize(cache = rig.cache, ignore(rig), filter = |n| *n > 1)]
    async fn number(rig: &Rig, n: u32) -> Result<u32, String> {
        rig.run();
        Ok(n)
    }
    let rig = Rig::new();
    assert_eq!((rows(&rig, 0), rows(&rig, 0), rig.ran.get()), (vec![], vec![], 2));
    assert_eq!((rows(&rig, 1), rows(&rig, 1), rig.ran.get()), (vec![0], vec![0], 3));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        assert_eq!((number(&rig, 1).await, number(&rig, 1).await), (Ok(1), Ok(1)));
        assert_eq!((number(&rig, 2).await, number(&rig, 2).await), (Ok(2), Ok(2)));
    });
    assert_eq!(rig.ran.get(), 6);
}

#[test]
fn a_fragment_with_an_unstored_result_depends_on_the_call() {
    #[memoize(cache = rig.cache, ignore(rig), tags = [format!("film:{id}")])]
    fn film(rig: &Rig, id: u32) -> Option<u32> {
        rig.run();
        (rig.ran.get() > 1).then_some(id)
    }
    let rig = Rig::new();
    let page = Fragment::new(fragment_key!("page"));
    let show = || rig.cache.render(&page, || format!("{:?}", film(&rig, 7))).unwrap();
    assert_eq!(&*show(), "None");
    assert_eq!(&*show(), "None");
    rig.cache.invalidate_tags(["film:7"]).unwrap().eventually();
    assert_eq!(&*show(), "Some(7)");
    rig.cache.delete_memoized(film_memo(7)).unwrap().eventually();
    assert!(!rig.cache.contains(page.key()).unwrap());
}

#[test]
fn an_unstored_refresh_deletes_the_entry() {
    #[memoize(cache = rig.cache, ignore(rig, anew), refresh = anew)]
    fn film(rig: &Rig, anew: bool) -> Option<u32> {
        Some(rig.run()).filter(|ran| *ran != 2)
    }
    let rig = Rig::new();
    assert_eq!((film(&rig, false), film(&rig, false)), (Some(1), Some(1)));
    assert_eq!((film(&rig, true), film(&rig, false)), (None, Some(3)));
    assert_eq!((film(&rig, true), film(&rig, false)), (Some(4), Some(4)));
}

#[test]
fn unless_bypasses_the_cache() {
    #[memoize(cache = rig.cache, ignore(rig, is_admin), unless = is_admin)]
    fn dashboard(rig: &Rig, is_admin: bool) -> u32 {
        rig.run()
    }
    let rig = Rig::new();
    assert_eq!((dashboard(&rig, false), dashboard(&rig, true), dashboard(&rig, false)), (1, 2, 1));
}

#[test]
fn tags_and_versions_are_of_arguments() {
    #[memoize(cache = rig.cache, ignore(rig), tags = ["films", &format!("film:{id}")])]
    fn listed(rig: &Rig, id: u32) -> u32 {
        rig.run() + id
    }
    #[memoize(cache = rig.cache, ignore(rig), tags = ids.iter().map(|id| format!("film:{id}")))]
    fn many(rig: &Rig, ids: Vec<u32>) -> u32 {
        drop(ids);
        rig.run()
    }
    #[memoize(cache = rig.cache, ignore(rig, revision), version = revision)]
    fn versioned(rig: &Rig, revision: u32) -> u32 {
        rig.run()
    }
    let rig = Rig::new();
    let first = listed(&rig, 7);
    let of_many = many(&rig, vec![7, 8]);
    assert_eq!((listed(&rig, 7), many(&rig, vec![7, 8])), (first, of_many));
    rig.cache.invalidate_tags(["film:8"]).unwrap().eventually();
    assert_eq!(listed(&rig, 7), first);
    assert_ne!(many(&rig, vec![7, 8]), of_many);
    rig.cache.invalidate_tags(["films"]).unwrap().eventually();
    assert_ne!(listed(&rig, 7), first);

    let old = versioned(&rig, 1);
    assert_eq!(versioned(&rig, 1), old);
    assert_ne!(versioned(&rig, 2), old);
}

#[test]
fn a_stale_result_replaces_an_error() {
    #[memoize(cache = rig.cache, ignore(rig), timeout = 10, stale = "1m")]
    fn weather(rig: &Rig) -> Result<u32, &'static str> {
        if rig.run() == 1 { Ok(21) } else { Err("down") }
    }
    let rig = Rig::new();
    assert_eq!(weather(&rig), Ok(21));
    rig.pass(20);
    assert_eq!(weather(&rig), Ok(21));
    rig.pass(100);
    assert_eq!(weather(&rig), Err("down"));
}

#[test]
fn another_source_is_another_result_on_request() {
    /// Two editions of one function, which differ only in their source.
    macro_rules! edition {
        ($result:literal $(, $check:ident)?) => {{
            #[memoize(cache = cache, name = "it::edition" $(, $check)?)]
            fn answer(cache: &FragmentCache) -> u32 {
                $result
            }
            answer as fn(&FragmentCache) -> u32
        }};
    }
    let cache = FragmentCache::in_memory();
    let [one, two] = [edition!(1, source_check), edition!(2, source_check)];
    assert_eq!((one(&cache), two(&cache), one(&cache)), (1, 2, 1));
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
    let is_kept = |call: memoize::Call| cache.contains(&call.key().unwrap()).unwrap();
    for n in 0..4 {
        deep(&cache, n);
        assert_eq!(is_kept(deep_memo(n)), n == 3, "{n}");
    }
    for n in 0..2 {
        twice(&cache, n).unwrap().ok();
        assert_eq!(is_kept(twice_memo(n)), n == 1, "{n}");
    }
}

#[test]
fn a_result_of_another_type_version_is_a_miss() {
    mod first {
        use super::{Cell, FragmentCache, memoize};

        #[memoize(cache = cache, ignore(ran), name = "tests::price", type_version = 1)]
        pub(super) fn price(cache: &FragmentCache, ran: &Cell<u32>) -> u32 {
            ran.set(ran.get() + 1);
            10
        }
    }
    #[memoize(cache = cache, ignore(ran, version), type_version = version)]
    fn price(cache: &FragmentCache, ran: &Cell<u32>, version: u32) -> u32 {
        ran.set(ran.get() + 1);
        10 * version
    }
    let (cache, ran) = (FragmentCache::in_memory(), Cell::new(0));
    assert_eq!((first::price(&cache, &ran), first::price(&cache, &ran)), (10, 10));
    assert_eq!((price(&cache, &ran, 1), price(&cache, &ran, 1)), (10, 10));
    assert_eq!((price(&cache, &ran, 2), price(&cache, &ran, 2)), (20, 20));
    assert_eq!(ran.get(), 3);
}

#[test]
fn an_arc_is_shared_by_all_callers() {
    #[memoize(cache = rig.cache, ignore(rig), filter = |rows| !rows.is_empty())]
    fn rows(rig: &Rig, id: u32) -> Arc<Vec<u32>> {
        rig.run();
        Arc::new(vec![id; id as usize])
    }
    #[memoize(cache = rig.cache, ignore(rig))]
    fn tried(rig: &Rig, id: u32) -> Result<Arc<String>, String> {
        rig.run();
        if id == 0 { Err("none".into()) } else { Ok(Arc::new(id.to_string())) }
    }
    let rig = Rig::new();
    assert!(Arc::ptr_eq(&rows(&rig, 2), &rows(&rig, 2)));
    assert_eq!((rows(&rig, 0).len(), rows(&rig, 0).len(), rig.ran.take()), (0, 0, 3));
    assert!(Arc::ptr_eq(&tried(&rig, 7).unwrap(), &tried(&rig, 7).unwrap()));
    assert!(tried(&rig, 0).is_err() && tried(&rig, 0).is_err());
    assert_eq!(rig.ran.take(), 3);
}
