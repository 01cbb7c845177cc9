//! Functions: which arguments make which call, and the handles of a function.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use fragcache::{FragmentCache, memoize};
use serde::{Deserialize, Serialize};

static CACHE: LazyLock<FragmentCache> = LazyLock::new(FragmentCache::in_memory);

/// The next number; one counter for each test.
fn next(counter: &AtomicU32) -> u32 {
    counter.fetch_add(1, SeqCst) + 1
}

#[test]
fn a_function_has_its_handles() {
    static RAN: AtomicU32 = AtomicU32::new(0);

    /// Its square.
    #[memoize(cache = CACHE)]
    fn square(n: u64) -> u64 {
        next(&RAN);
        n * n
    }

    assert_eq!((square(3), square(3), square(4)), (9, 9, 16));
    assert_eq!(RAN.load(SeqCst), 2);
    assert_eq!(square_uncached(3), 9);
    assert_eq!(RAN.load(SeqCst), 3);

    CACHE.delete_memoized(square_memo(3)).unwrap().eventually();
    assert!(!CACHE.contains(&square_memo(3).key().unwrap()).unwrap());
    assert!(CACHE.contains(&square_memo(4).key().unwrap()).unwrap());
    CACHE.delete_memoized(SQUARE_MEMO).unwrap().eventually();
    assert!(!CACHE.contains(&square_memo(4).key().unwrap()).unwrap());
    assert_eq!(SQUARE_MEMO.name(), "it::calls::square");
}

mod film {
    #[fragcache::memoize(cache = super::CACHE)]
    pub(super) fn load(id: u32) -> String {
        format!("film {id}")
    }
}

mod user {
    #[fragcache::memoize(cache = super::CACHE)]
    pub(super) fn load(id: u32) -> String {
        format!("user {id}")
    }
}

#[test]
fn functions_of_one_name_in_two_modules_are_two() {
    assert_eq!((film::load(1), user::load(1)), ("film 1".to_owned(), "user 1".to_owned()));
    CACHE.delete_memoized(film::LOAD_MEMO).unwrap().eventually();
    assert!(!CACHE.contains(&film::load_memo(1).key().unwrap()).unwrap());
    assert!(CACHE.contains(&user::load_memo(1).key().unwrap()).unwrap());
}

#[test]
fn functions_of_one_name_in_one_module_never_have_each_others_results() {
    fn first() -> String {
        #[memoize(cache = CACHE)]
        fn counterpart(id: u32) -> String {
            format!("first {id}")
        }
        counterpart(1)
    }
    fn second() -> String {
        #[memoize(cache = CACHE)]
        fn counterpart(id: u32) -> String {
            format!("second {id}")
        }
        counterpart(1)
    }
    for _ in 0..2 {
        assert_eq!((first(), second()), ("first 1".to_owned(), "second 1".to_owned()));
    }
}

#[derive(Clone, Serialize)]
struct Filter {
    words: Vec<String>,
    most: Option<u32>,
    of: BTreeMap<&'static str, i32>,
}

#[test]
fn arguments_count_by_value() {
    static RAN: AtomicU32 = AtomicU32::new(0);

    #[memoize(cache = CACHE)]
    fn by_text(text: &str) -> u32 {
        assert!(text.len() < 9);
        next(&RAN)
    }
    #[memoize(cache = CACHE, name = "it::by_text_or_string")]
    fn by_reference(text: &str) -> u32 {
        by_text(text)
    }
    #[memoize(cache = CACHE)]
    fn by_string(text: String) -> u32 {
        assert!(!text.into_bytes().is_empty());
        next(&RAN)
    }
    #[memoize(cache = CACHE)]
    fn by_filter(filter: &Filter, page: u32) -> u32 {
        assert!(filter.most.is_none_or(|most| most < 9) && page > 0);
        next(&RAN)
    }

    assert_eq!(by_text("a"), by_text(&String::from("a")));
    assert_ne!(by_text("a"), by_text("b"));
    assert_eq!(by_reference("a"), by_text("a"));
    assert_eq!(by_string("42".to_owned()), by_string(42.to_string()));
    assert_ne!(by_string("42".to_owned()), by_string("42.0".to_owned()));
    assert_eq!(by_text_memo("a").key().unwrap().to_string(), "it::calls::by_text(a)");

    let filter = Filter { words: vec!["a".into()], most: None, of: BTreeMap::from([("x", 1)]) };
    let first = by_filter(&filter, 1);
    let words = vec![String::from("a")];
    assert_eq!(by_filter(&Filter { words, of: filter.of.clone(), ..filter }, 1), first);
    assert_ne!(by_filter(&filter, 2), first);
    assert_ne!(by_filter(&Filter { most: Some(0), ..filter }, 1), first);
}

#[test]
fn two_lists_of_arguments_are_never_one() {
    #[memoize(cache = CACHE)]
    fn joined(a: &str, b: Option<&str>, c: &[&str]) -> String {
        format!("{a}|{b:?}|{c:?}")
    }
    let calls = [
        ("a", None, &["b"][..]),
        ("a", Some("b"), &[]),
        ("ab", None, &[]),
        ("a", Some("None"), &["b"]),
        ("a", None, &["b", ""]),
    ];
    for _ in 0..2 {
        for (a, b, c) in calls {
            assert_eq!(joined(a, b, c), joined_uncached(a, b, c));
        }
    }
}

#[test]
fn ignored_arguments_may_differ() {
    struct Connection(u32);

    #[memoize(cache = cache, ignore(connection, buffer))]
    fn read(cache: &FragmentCache, connection: &Connection, buffer: &mut String, id: u32) -> u32 {
        buffer.push('x');
        connection.0 + id
    }
    let (cache, mut buffer) = (FragmentCache::in_memory(), String::new());
    assert_eq!(read(&cache, &Connection(10), &mut buffer, 1), 11);
    assert_eq!(read(&cache, &Connection(20), &mut buffer, 1), 11);
    assert_eq!(read(&cache, &Connection(20), &mut buffer, 2), 22);
    assert_eq!(buffer, "xx");
    cache.delete_memoized(read_memo(1)).unwrap().eventually();
    assert_eq!(read(&cache, &Connection(20), &mut buffer, 1), 21);
}

#[test]
fn arguments_may_be_mut_or_of_a_trait_or_borrow() {
    #[memoize(cache = cache)]
    fn padded(cache: &FragmentCache, mut text: String, mut by: u32) -> String {
        while by > 0 {
            text.push('.');
            by -= 1;
        }
        text
    }
    #[memoize(cache = cache)]
    fn shown(cache: &FragmentCache, it: impl Serialize + std::fmt::Display) -> String {
        it.to_string()
    }
    #[memoize(cache = cache)]
    fn longest<'a>(cache: &FragmentCache, a: &'a str, b: &'a str) -> String {
        let longer: &'a str = if a.len() < b.len() { b } else { a };
        longer.to_owned()
    }
    #[memoize(cache = cache)]
    fn r#match(cache: &FragmentCache, r#in: u32) -> u32 {
        r#in + 1
    }
    let cache = FragmentCache::in_memory();
    for _ in 0..2 {
        assert_eq!(padded(&cache, "a".to_owned(), 2), "a..");
        assert_eq!(shown(&cache, 1.5), "1.5");
        // The same value in the key, but two functions.
        assert_eq!((shown(&cache, 7), shown(&cache, "7")), ("7".to_owned(), "7".to_owned()));
        assert_eq!(longest(&cache, "a", "bb"), "bb");
        assert_eq!(r#match(&cache, 1), 2);
    }
    assert_eq!(cache.stats().hits, 6);
    cache.delete_memoized(longest_memo("a", "bb")).unwrap().eventually();
    cache.delete_memoized(match_memo(1)).unwrap().eventually();
    cache.delete_memoized(MATCH_MEMO).unwrap().eventually();
    assert!(!cache.contains(&longest_memo("a", "bb").key().unwrap()).unwrap());
}

#[test]
fn the_users_names_and_those_of_the_attributes_are_apart() {
    fn ttl(kept: &u32) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(*kept))
    }
    fn run(n: u32) -> u32 {
        n + 1
    }
    #[memoize(
        cache = cache,
        identity: u32 = identity + call,
        ignore(identity),
        tags = [format!("{result}{call}")],
        filter = |kept| *kept > result,
        expires = |result| ttl(&(*result + 1)),
    )]
    fn sum(cache: &FragmentCache, identity: u32, call: u32, result: u32, kept: u32) -> u32 {
        run(identity + call + result + kept) - 1
    }
    #[fragcache::invalidates(cache = batch, tags = [format!("{one}{result}")])]
    fn write(batch: &FragmentCache, one: u32, result: u32) -> u32 {
        run(one + result)
    }
    #[memoize(cache = cache, name = "it::inner", no_handles)]
    fn inner(cache: &FragmentCache, call: u32, result: u32) -> u32 {
        run(call + result)
    }
    let cache = FragmentCache::in_memory();
    assert_eq!((sum(&cache, 1, 2, 3, 4), sum(&cache, 1, 2, 3, 4)), (10, 10));
    assert_eq!((inner(&cache, 1, 2), inner(&cache, 1, 2)), (4, 4));
    assert_eq!(cache.stats().hits, 2);
    let call = sum_memo(3, 2, 3, 4);
    assert!(cache.contains(&call.key().unwrap()).unwrap());
    assert_eq!(write(&cache, 3, 2), 6);
    assert!(!cache.contains(&call.key().unwrap()).unwrap());
}

#[test]
fn handles_are_seen_as_the_function_is() {
    mod shop {
        use std::sync::LazyLock;

        use fragcache::FragmentCache;

        pub(super) static CACHE: LazyLock<FragmentCache> = LazyLock::new(FragmentCache::in_memory);

        #[fragcache::memoize(cache = CACHE)]
        pub(in super::super) fn price(product: u32) -> u32 {
            product * 10
        }
    }
    assert_eq!(shop::price(7), 70);
    shop::CACHE.delete_memoized(shop::price_memo(7)).unwrap().eventually();
    shop::CACHE.delete_memoized(shop::PRICE_MEMO).unwrap().eventually();
    assert_eq!(shop::price_uncached(8), 80);
}

#[test]
fn results_of_any_owned_type_are_kept() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Film {
        id: u32,
        names: Vec<(String, Option<f64>)>,
    }
    #[memoize(cache = cache)]
    fn film(cache: &FragmentCache, id: u32) -> Film {
        Film { id, names: vec![("a".to_owned(), Some(0.5)), ("b".to_owned(), None)] }
    }
    let cache = FragmentCache::in_memory();
    assert_eq!(film(&cache, 7), film(&cache, 7));
    assert_eq!(cache.stats().hits, 1);
}
