//! Concurrent callers: threads and tasks, panics, dropped futures, recursion.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};

use fragcache::{FragmentCache, memoize};
use tokio::sync::Semaphore;

fn with_time<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn i2_of_several_threads_one_runs_the_function() {
    struct Shared {
        cache: FragmentCache,
        all: Barrier,
        ran: AtomicU32,
    }
    #[memoize(cache = shared.cache, ignore(shared))]
    fn slow(shared: &Shared, id: u32) -> u32 {
        // Long enough for another caller to follow; the counter shows if two run it.
        (0..1000).for_each(|_| std::thread::yield_now());
        shared.ran.fetch_add(1, SeqCst) + id
    }
    let shared =
        Shared { cache: FragmentCache::in_memory(), all: Barrier::new(8), ran: AtomicU32::new(0) };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                shared.all.wait();
                assert_eq!(slow(&shared, 7), 7);
            });
        }
    });
    assert_eq!(shared.ran.load(SeqCst), 1);
}

#[test]
fn i2_of_a_thousand_tasks_one_runs_the_function() {
    struct Shared {
        cache: FragmentCache,
        gate: Semaphore,
        ran: AtomicU32,
    }
    /// The text is borrowed across the await.
    #[memoize(cache = shared.cache, ignore(shared))]
    async fn slow(shared: &Shared, text: &str) -> String {
        shared.gate.acquire().await.unwrap().forget();
        shared.ran.fetch_add(1, SeqCst);
        text.to_uppercase()
    }
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let shared = Arc::new(Shared {
        cache: FragmentCache::in_memory(),
        gate: Semaphore::new(0),
        ran: AtomicU32::new(0),
    });
    with_time(async {
        let tasks: Vec<_> = (0..1000)
            .map(|_| {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { is_send(slow(&shared, &String::from("a"))).await })
            })
            .collect();
        tokio::task::yield_now().await;
        shared.gate.add_permits(1000);
        for task in tasks {
            assert_eq!(task.await.unwrap(), "A");
        }
    });
    assert_eq!(shared.ran.load(SeqCst), 1);
    assert_eq!(shared.cache.stats().flights, 0);
}

#[test]
fn i7_a_future_that_is_dropped_gives_up_its_flight() {
    #[memoize(cache = cache, ignore(ends))]
    async fn slow(cache: &FragmentCache, ends: bool) -> u32 {
        if !ends {
            std::future::pending::<()>().await;
        }
        7
    }
    let cache = FragmentCache::in_memory();
    with_time(async {
        let mut leader = Box::pin(slow(&cache, false));
        let mut follower = Box::pin(slow(&cache, true));
        assert!(poll(&mut leader).is_pending());
        assert!(poll(&mut follower).is_pending());
        assert_eq!(cache.stats().flights, 1);
        drop(leader);
        assert_eq!(poll(&mut follower), Poll::Ready(7));
    });
    assert_eq!(cache.stats().flights, 0);
    assert!(cache.contains(&slow_memo().key().unwrap()).unwrap());
}

#[test]
fn i7_a_panic_passes_and_gives_up_the_flight() {
    #[memoize(cache = cache, ignore(ran))]
    fn fails_once(cache: &FragmentCache, ran: &Cell<u32>) -> u32 {
        ran.set(ran.get() + 1);
        assert!(ran.get() > 1, "the first time");
        ran.get()
    }
    let (cache, ran) = (FragmentCache::in_memory(), Cell::new(0));
    assert!(catch_unwind(AssertUnwindSafe(|| fails_once(&cache, &ran))).is_err());
    assert_eq!(cache.stats().flights, 0);
    assert_eq!((fails_once(&cache, &ran), fails_once(&cache, &ran)), (2, 2));
}

#[test]
fn i7_a_function_calls_itself_with_other_arguments_and_with_the_same() {
    #[memoize(cache = cache, ignore(ran))]
    fn fib(cache: &FragmentCache, ran: &Cell<u32>, n: u32) -> u64 {
        ran.set(ran.get() + 1);
        if n < 2 { u64::from(n) } else { fib(cache, ran, n - 1) + fib(cache, ran, n - 2) }
    }
    #[memoize(cache = cache, ignore(left))]
    fn depth(cache: &FragmentCache, left: u32) -> u32 {
        if left == 0 { 0 } else { 1 + depth(cache, left - 1) }
    }
    let (cache, ran) = (FragmentCache::in_memory(), Cell::new(0));
    assert_eq!(fib(&cache, &ran, 80), 23_416_728_348_467_685);
    assert_eq!(ran.get(), 81);
    assert_eq!(depth(&cache, 20), 20);
    assert_eq!(cache.stats().flights, 0);
}

#[test]
fn i7_an_asynchronous_function_calls_itself() {
    #[memoize(cache = cache)]
    async fn fib(cache: &FragmentCache, n: u32) -> u64 {
        if n < 2 {
            return u64::from(n);
        }
        let [one, two] = [n - 1, n - 2].map(|n| Box::pin(fib(cache, n)));
        one.await + two.await
    }
    #[memoize(cache = cache, ignore(left))]
    async fn depth(cache: &FragmentCache, left: u32) -> u32 {
        if left == 0 { 0 } else { 1 + Box::pin(depth(cache, left - 1)).await }
    }
    let cache = FragmentCache::in_memory();
    with_time(async {
        assert_eq!(fib(&cache, 40).await, 102_334_155);
        assert_eq!(depth(&cache, 20).await, 20);
    });
    assert_eq!(cache.stats().flights, 0);
}
