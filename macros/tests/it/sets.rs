//! Unordered arguments: equal sets are one call, regardless of how they were built.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

use fragcache::memoize::Unordered;
use fragcache::{FragmentCache, Invalidation, memoize};
use serde::Serialize;

/// Unlike the default hasher, the same order for the same insertions.
type Other = BuildHasherDefault<DefaultHasher>;

/// The same elements, inserted from each starting position, forwards and backwards.
fn orders(of: u32) -> impl Iterator<Item = Vec<u32>> {
    (0..of).flat_map(move |first| {
        let forwards: Vec<_> = (first..of).chain(0..first).collect();
        [forwards.iter().rev().copied().collect(), forwards]
    })
}

#[test]
fn equal_sets_are_one_call_which_each_of_them_deletes() {
    #[memoize(cache = cache, ignore(ran), unordered(ids))]
    fn sum(cache: &FragmentCache, ran: &Cell<u32>, ids: &HashSet<u32>) -> u32 {
        ran.set(ran.get() + 1);
        ids.iter().sum()
    }
    #[memoize(cache = cache, ignore(ran), unordered(ids))]
    fn count(cache: &FragmentCache, ran: &Cell<u32>, ids: Option<HashSet<u32, Other>>) -> usize {
        ran.set(ran.get() + 1);
        ids.map_or(0, |ids| ids.len())
    }
    let (cache, ran) = (FragmentCache::in_memory(), Cell::new(0));
    for (round, order) in (1..).zip(orders(12)) {
        let set: HashSet<_> = order.iter().copied().collect();
        let other: HashSet<_, Other> = order.into_iter().collect();
        assert_eq!((sum(&cache, &ran, &set), sum(&cache, &ran, &set.clone())), (66, 66));
        assert_eq!(count(&cache, &ran, Some(other.clone())), 12);
        assert_eq!(ran.get(), 2 * round);
        let equal: HashSet<_> = (0..12).rev().collect();
        assert_eq!(cache.delete_memoized(sum_memo(&equal)).unwrap(), Invalidation::Removed);
        let equal = (0..12).rev().collect();
        assert_eq!(cache.delete_memoized(count_memo(Some(equal))).unwrap(), Invalidation::Removed);
    }
    sum(&cache, &ran, &HashSet::from([1, 2]));
    sum(&cache, &ran, &HashSet::from([3]));
    count(&cache, &ran, None);
    count(&cache, &ran, Some(HashSet::default()));
    assert_eq!(ran.get(), 48 + 4);
}

#[test]
fn a_list_is_unordered_as_a_multiset_and_an_identity_as_a_set() {
    struct Basket {
        cache: FragmentCache,
        items: HashSet<u32>,
        ran: Cell<u32>,
    }

    #[derive(Serialize)]
    struct Filter {
        #[serde(serialize_with = "Unordered::serialize_field")]
        tags: HashSet<&'static str>,
    }

    impl Basket {
        #[memoize(
            cache = self.cache,
            of = Basket,
            identity: Unordered<&HashSet<u32>> = Unordered(&self.items),
            unordered(prices),
        )]
        fn total(&self, prices: &[u32], filter: &Filter) -> u32 {
            self.ran.set(self.ran.get() + 1);
            prices.iter().sum::<u32>() + u32::try_from(filter.tags.len()).unwrap()
        }
    }

    let cache = FragmentCache::in_memory();
    let filter = |tags| Filter { tags: HashSet::from(tags) };
    let basket = |items: Vec<u32>| Basket {
        cache: cache.clone(),
        items: items.into_iter().collect(),
        ran: 0.into(),
    };
    let first = basket((0..12).collect());
    first.total(&[1, 1, 2], &filter(["a", "b", "c"]));
    assert_eq!(first.ran.get(), 1);
    for order in orders(12) {
        let equal = basket(order);
        assert_eq!(equal.total(&[2, 1, 1], &filter(["c", "a", "b"])), 7);
        assert_eq!(equal.ran.get(), 0);
        assert_eq!(equal.total(&[2, 1], &filter(["c", "a", "b"])), 6);
        cache
            .delete_memoized(Basket::total_memo(
                Unordered(&equal.items),
                &[1, 2],
                &filter(["b", "c", "a"]),
            ))
            .unwrap()
            .eventually();
        assert_eq!(equal.ran.get(), 1);
    }
    let equal = (0..12).rev().collect();
    cache.delete_memoized(Basket::total_memo_of(Unordered(&equal))).unwrap().eventually();
    first.total(&[1, 1, 2], &filter(["a", "b", "c"]));
    assert_eq!(first.ran.get(), 2);
}
