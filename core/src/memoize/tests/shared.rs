//! Results that their callers share.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Deserialize;

use super::*;
use crate::{CacheMode, Timeout};

const PRIMES: Function = Function::new("tests::primes");

#[derive(Default)]
struct Runs(Cell<u32>);

impl Runs {
    fn primes(&self, cache: &FragmentCache, call: &Call) -> Arc<Vec<u32>> {
        cache.memoize_shared(call, || {
            self.0.set(self.0.get() + 1);
            Arc::new(vec![2, 3, self.0.get()])
        })
    }
}

#[test]
fn callers_share_one_result_until_it_ends() {
    let (cache, f) = (FragmentCache::in_memory(), Runs::default());
    let call = PRIMES.call().arg(&10);
    let first = f.primes(&cache, &call);
    assert!(Arc::ptr_eq(&first, &f.primes(&cache, &call)));
    // A caller with a copy of its own reads the same entry, and so the other way round.
    let copy: Vec<u32> = cache.memoize(&call, || unreachable!("it is stored"));
    assert_eq!((&copy, f.0.get()), (&*first, 1));
    cache.memoize(&PRIMES.call().arg(&11), || vec![5_u32]);
    assert_eq!(*f.primes(&cache, &PRIMES.call().arg(&11)), [5]);

    assert_eq!(*f.primes(&cache, &call.clone().unless(true)), [2, 3, 2]);
    assert!(Arc::ptr_eq(&first, &f.primes(&cache, &call)));
    assert_eq!(*f.primes(&cache, &call.clone().refresh(true)), [2, 3, 3]);
    assert_eq!(*f.primes(&cache, &call), [2, 3, 3]);
    assert_eq!(*f.primes(&cache, &call.clone().version(1)), [2, 3, 4]);
    assert_eq!(*f.primes(&cache, &call.clone().type_version(1)), [2, 3, 5]);
    assert_eq!(*f.primes(&cache, &call.clone().path("another")), [2, 3, 6]);
    cache.delete_memoized(&call).unwrap().eventually();
    assert_eq!(*f.primes(&cache, &call), [2, 3, 7]);
    cache.set_mode(CacheMode::Bypass);
    assert_eq!(*f.primes(&cache, &call), [2, 3, 8]);
    assert_eq!(*first, [2, 3, 1]);
}

#[test]
fn a_stale_shared_result_stands_in_for_an_error() {
    let clock = ManualClock::new();
    let cache = FragmentCache::builder().clock(clock.clone()).build().unwrap();
    let call = PRIMES.call().expires_after(Duration::from_secs(60)).stale(Duration::from_secs(60));
    let first = cache.try_memoize_shared(&call, || Ok::<_, ()>(Arc::new(7))).unwrap();
    clock.advance(Duration::from_secs(61));
    let stale = cache.try_memoize_shared(&call, || Err::<Arc<i32>, _>(())).unwrap();
    assert!(Arc::ptr_eq(&first, &stale));
    clock.advance(Duration::from_secs(60));
    assert_eq!(cache.try_memoize_shared(&call, || Err::<Arc<i32>, _>("away")), Err("away"));
}

#[test]
fn a_shared_result_is_bounded_by_its_bytes_and_must_have_some() {
    let cache = FragmentCache::builder().max_entry_bytes(100).build().unwrap();
    let runs = Cell::new(0);
    let text = |len: usize| {
        let call = PRIMES.call().arg(&len);
        let run = || {
            runs.set(runs.get() + 1);
            Arc::new("x".repeat(len))
        };
        cache.memoize_shared(&call, run);
        cache.memoize_shared(&call, run);
        runs.take()
    };
    assert_eq!((text(98), text(99)), (1, 2), "a text has two bytes before it");
    assert_eq!(cache.stats().entries, 1);

    #[derive(Deserialize)]
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("refused"))
        }
    }
    for _ in 0..2 {
        cache.memoize_shared(&PRIMES.call(), || {
            runs.set(runs.get() + 1);
            Arc::new(Refuses)
        });
    }
    assert_eq!((runs.get(), cache.stats().entries), (2, 1));
}

#[test]
fn a_store_gets_the_bytes_of_a_shared_result() {
    let store = MemoryStore::new();
    let process = || {
        let level = FarLevel::new(store.clone()).near_ttl(Duration::from_secs(60));
        FragmentCache::builder().far(level).build().unwrap()
    };
    let (here, there, runs) = (process(), process(), Runs::default());
    let call = PRIMES.call().timeout(Timeout::Never);
    let first = runs.primes(&here, &call);
    assert!(Arc::ptr_eq(&first, &runs.primes(&here, &call)));
    let decoded = runs.primes(&there, &call);
    assert!(Arc::ptr_eq(&decoded, &runs.primes(&there, &call)));
    let copy: Vec<u32> = process().memoize(&call, || unreachable!("it is stored"));
    assert_eq!((&*first, &*decoded, runs.0.get()), (&copy, &copy, 1));
    there.delete_memoized(&call).unwrap().eventually();
    assert_eq!(*runs.primes(&there, &call), [2, 3, 2]);
}

#[cfg(feature = "async")]
#[test]
fn tasks_share_a_result() {
    use std::task::{Context, Poll, Waker};
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("nobody else runs"),
        }
    }
    let cache = FragmentCache::in_memory();
    let call = PRIMES.call();
    let first = at_once(cache.memoize_shared_async(&call, async { Arc::new(1) }));
    let run = async { unreachable!("it is stored") };
    let second: Result<_, Infallible> = at_once(cache.try_memoize_shared_async(&call, run));
    assert!(Arc::ptr_eq(&first, &second.unwrap()));
}
