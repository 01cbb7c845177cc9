//! Functions that invalidate: when they do, what, and when they do not.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use fragcache::{Fragment, FragmentCache, FragmentKey, fragment_key, invalidates, memoize};
use serde::Serialize;

fn fill(cache: &FragmentCache) {
    for (name, tag) in [("one", "film:1"), ("two", "film:2"), ("list", "films")] {
        cache.render(Fragment::new(fragment_key!(name)).tags([tag]), || "").unwrap();
    }
    assert_eq!(kept(cache), "one two list");
}

/// The names of the cached entries.
fn kept(cache: &FragmentCache) -> String {
    let names = ["one", "two", "list"];
    let is_kept = |name: &&str| cache.contains(&fragment_key!(name)).unwrap();
    names.into_iter().filter(is_kept).collect::<Vec<_>>().join(" ")
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Well,
    Badly,
    Panics,
}

#[invalidates(cache = cache, tags = ["films", format!("film:{}", film.0)])]
fn write(cache: &FragmentCache, film: (u32, String), how: How) -> Result<u32, String> {
    let film = film;
    assert_eq!(kept(cache), "one two list", "nothing is invalidated yet");
    if how == How::Badly {
        return Err(film.1);
    }
    let number = film.1.parse::<u32>().map_err(|error| error.to_string())?;
    assert!(how != How::Panics);
    Ok(number)
}

fn film() -> (u32, String) {
    (1, "7".to_owned())
}

#[test]
fn a_write_that_succeeds_invalidates_and_one_that_fails_does_not() {
    let cache = FragmentCache::in_memory();
    fill(&cache);
    assert_eq!(write(&cache, film(), How::Badly), Err("7".to_owned()));
    assert!(write(&cache, (1, "x".to_owned()), How::Well).is_err());
    assert_eq!(kept(&cache), "one two list");
    assert_eq!(write(&cache, film(), How::Well), Ok(7));
    assert_eq!(kept(&cache), "two");
}

#[test]
fn a_write_that_panics_invalidates() {
    let cache = FragmentCache::in_memory();
    fill(&cache);
    assert!(catch_unwind(AssertUnwindSafe(|| write(&cache, film(), How::Panics))).is_err());
    assert_eq!(kept(&cache), "two");
}

#[test]
fn a_future_that_is_dropped_invalidates_once_it_has_begun() {
    #[invalidates(cache = cache, tags = tags)]
    async fn write(cache: &FragmentCache, tags: Vec<&str>, fails: Option<bool>) -> Result<(), u32> {
        match fails {
            None => std::future::pending().await,
            Some(true) => Err(1_u32)?,
            Some(false) => {}
        }
        Ok(())
    }
    let cache = FragmentCache::in_memory();
    let poll = |fails| {
        fill(&cache);
        let mut future = pin!(write(&cache, vec!["films"], fails));
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    drop(write(&cache, vec!["films"], None));
    assert!(poll(Some(true)).is_ready());
    assert_eq!(kept(&cache), "one two list");
    assert!(poll(Some(false)).is_ready());
    assert_eq!(kept(&cache), "one two");
    assert!(poll(None).is_pending());
    assert_eq!(kept(&cache), "one two");
    fill(&cache);
    let never_polled = write(&cache, vec!["films"], Some(false));
    drop(never_polled);
    assert_eq!(kept(&cache), "one two list");
}

#[memoize(cache = cache)]
fn title(cache: &FragmentCache, id: u32) -> String {
    format!("film {id}")
}

#[memoize(cache = cache)]
fn count(cache: &FragmentCache) -> u32 {
    3
}

#[test]
fn keys_names_and_memoized_calls_are_invalidated() {
    #[invalidates(
        cache = cache,
        keys = [fragment_key!("one"), &cache.values().key("greeting")],
        names = ["two"],
        memoized = [title_memo(id), COUNT_MEMO],
    )]
    fn write(cache: &FragmentCache, id: u32) {
        assert!(id > 0);
    }
    let has = |cache: &FragmentCache| {
        [title_memo(1), title_memo(2), count_memo()]
            .map(|call| cache.contains(&call.key().unwrap()).unwrap())
    };
    let cache = FragmentCache::in_memory();
    fill(&cache);
    cache.values().set("greeting", "hello").unwrap();
    assert_eq!(title(&cache, 2), title_uncached(&cache, 2));
    assert_eq!((title(&cache, 1).as_str(), count(&cache)), ("film 1", 3));
    assert_eq!(has(&cache), [true; 3]);
    write(&cache, 1);
    assert_eq!(has(&cache), [false, true, false]);
    assert_eq!(kept(&cache), "list");
    assert!(!cache.values().contains("greeting").unwrap());
}

#[test]
fn lists_may_be_expressions_and_functions_anything() {
    struct Shop {
        cache: FragmentCache,
        films: Vec<u32>,
    }
    impl Shop {
        fn keys() -> Vec<FragmentKey> {
            vec![fragment_key!("one"), fragment_key!("two")]
        }

        #[invalidates(cache = self.cache, keys = Self::keys(), memoized = TITLE_MEMO)]
        fn add(&mut self, (film, times): (u32, usize)) -> &mut Vec<u32> {
            self.films.extend(std::iter::repeat_n(film, times));
            &mut self.films
        }

        #[invalidates(cache = self.cache, names = ["list"])]
        fn close(self) -> Option<u32> {
            self.films.into_iter().next()
        }

        #[invalidates(cache = self.cache, names = ["one"])]
        fn films<T: From<u32>>(&self) -> impl Iterator<Item = T> {
            let films: Vec<T> = self.films.iter().map(|film| T::from(*film)).collect();
            films.into_iter()
        }
    }
    let cache = FragmentCache::in_memory();
    let mut shop = Shop { cache: cache.clone(), films: Vec::new() };
    fill(&cache);
    title(&cache, 1);
    assert_eq!(shop.add((7, 2)).len(), 2);
    assert_eq!(kept(&cache), "list");
    assert!(!cache.contains(&title_memo(1).key().unwrap()).unwrap());
    fill(&cache);
    assert_eq!(shop.films::<u64>().sum::<u64>(), 14);
    assert_eq!(kept(&cache), "two list");
    assert_eq!(shop.close(), Some(7));
    assert_eq!(kept(&cache), "two");
}

#[test]
fn on_err_invalidates_for_any_result() {
    #[invalidates(cache = cache, tags = ["films"], on_err)]
    fn write(cache: &FragmentCache, fails: bool) -> Result<(), String> {
        assert!(cache.stats().flights == 0);
        if fails { Err("timed out: who knows".to_owned()) } else { Ok(()) }
    }
    let cache = FragmentCache::in_memory();
    for fails in [true, false] {
        fill(&cache);
        assert_eq!(write(&cache, fails).is_err(), fails);
        assert_eq!(kept(&cache), "one two");
    }
}

#[test]
fn what_is_unusable_is_on_nothing_and_the_rest_is_invalidated() {
    struct Torn;
    impl Serialize for Torn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("torn"))
        }
    }
    #[memoize(cache = cache)]
    fn of_torn(cache: &FragmentCache, torn: &Torn) -> u32 {
        let Torn = torn;
        1
    }
    #[invalidates(cache = cache, tags = ["", "films"], memoized = [of_torn_memo(&Torn)])]
    fn write(cache: &FragmentCache) -> u32 {
        of_torn(cache, &Torn)
    }
    let cache = FragmentCache::in_memory();
    fill(&cache);
    assert_eq!(write(&cache), 1);
    assert_eq!(kept(&cache), "one two");
}

#[test]
fn a_result_computed_while_the_write_runs_is_not_kept() {
    #[memoize(cache = cache, ignore(stock), tags = ["stock"])]
    fn shown(cache: &FragmentCache, stock: u32) -> u32 {
        stock
    }
    #[invalidates(cache = cache, tags = ["stock"])]
    fn write(cache: &FragmentCache) {
        // Another request, before the commit.
        assert_eq!(shown(cache, 1), 1);
    }
    let cache = FragmentCache::in_memory();
    write(&cache);
    assert_eq!(shown(&cache, 0), 0);
}

#[test]
fn a_batch_from_before_a_clear_invalidates_once_more_and_harms_nothing() {
    let cache = FragmentCache::in_memory();
    let mut batch = cache.batch();
    batch.invalidate_tags(["films"]).unwrap().delete_memoized(title_memo(1)).unwrap();
    cache.clear().eventually();
    fill(&cache);
    title(&cache, 2);
    assert_eq!(batch.apply_after(|| Ok::<_, ()>(7)), Ok(7));
    assert_eq!(kept(&cache), "one two");
    assert!(cache.contains(&title_memo(2).key().unwrap()).unwrap());
    fill(&cache);
    assert_eq!(kept(&cache), "one two list");
}

#[test]
fn a_body_of_one_line_has_no_braces_too_many() {
    #[deny(unused_braces)]
    #[invalidates(cache = cache, tags = ["halves"])]
    #[rustfmt::skip]
    async fn half(cache: &FragmentCache, n: u32) -> u32 { n / 2 }

    let cache = FragmentCache::in_memory();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(runtime.block_on(half(&cache, 8)), 4);
}
