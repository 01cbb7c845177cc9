//! Memoized asynchronous functions: one flight for tasks, futures that are dropped, frames.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::{BALANCE, ROLE};
use crate::{Fragment, FragmentCache, current, fragment_key};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[allow(clippy::unwrap_used, reason = "a test that fails may panic")]
fn with_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Is pending once.
async fn pause() {
    let mut polled = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn i2_of_a_thousand_tasks_one_runs_the_function() {
    let cache = FragmentCache::in_memory();
    let ran = AtomicUsize::new(0);
    with_time(async {
        let call = ROLE.call();
        let tasks: Vec<_> = (0..1000)
            .map(|_| {
                is_send(cache.memoize_async(&call, async {
                    pause().await;
                    ran.fetch_add(1, Ordering::SeqCst)
                }))
            })
            .collect();
        let mut tasks: Vec<_> = tasks.into_iter().map(Box::pin).collect();
        let mut results = Vec::new();
        poll_fn(|context| {
            tasks.retain_mut(|task| match task.as_mut().poll(context) {
                Poll::Ready(value) => {
                    results.push(value);
                    false
                }
                Poll::Pending => true,
            });
            if tasks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(results, vec![0; 1000]);
    });
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    assert_eq!(cache.stats().flights, 0);
}

#[test]
fn i7_a_task_that_is_dropped_gives_up_its_flight_and_a_waiting_one_leads() {
    let cache = FragmentCache::in_memory();
    with_time(async {
        let call = ROLE.call();
        let leader = cache.memoize_async(&call, std::future::pending::<u32>());
        let mut leader = Box::pin(leader);
        assert!(poll(leader.as_mut()).is_pending());
        let mut follower = pin!(cache.memoize_async(&call, async { 2_u32 }));
        let mut gone = Box::pin(cache.memoize_async(&call, async { 3_u32 }));
        assert!(poll(gone.as_mut()).is_pending());
        assert!(poll(follower.as_mut()).is_pending());
        drop(leader);
        drop(gone);
        assert_eq!(poll(follower.as_mut()), Poll::Ready(2));
        assert_eq!(cache.stats().flights, 0);
        assert_eq!(cache.handle.flights().waiting(), 0);
    });
}

#[test]
fn frames_do_not_stay_on_the_thread_between_polls() {
    let cache = FragmentCache::in_memory();
    let call = ROLE.call();
    let mut one = Box::pin(cache.memoize_async(&call, async {
        assert!(current::is_open());
        pause().await;
        assert!(current::is_open());
        current::add_tags(["late"]).unwrap();
        1
    }));
    with_time(async {
        assert!(poll(one.as_mut()).is_pending());
        assert!(!current::is_open());
        // A fragment of this thread is not inside that render.
        cache.render(Fragment::new(fragment_key!("row")), || "<b>").unwrap();
        assert_eq!(poll(one.as_mut()), Poll::Ready(1));
    });
    cache.invalidate_tags(["late"]).unwrap().eventually();
    assert!(!cache.contains(&call.key().unwrap()).unwrap());
    assert!(cache.contains(&fragment_key!("row")).unwrap());
}

#[test]
fn a_result_depends_on_what_is_awaited_inside() {
    let cache = FragmentCache::in_memory();
    let inner = BALANCE.of(&1).call();
    let outer = ROLE.call();
    let compute = || {
        cache.memoize_async(&outer, async {
            pause().await;
            cache
                .memoize_async(&inner, async {
                    pause().await;
                    1
                })
                .await
                + 1
        })
    };
    with_time(async {
        assert_eq!(compute().await, 2);
        assert!(cache.contains(&outer.key().unwrap()).unwrap());
        cache.delete_memoized(BALANCE.of(&1)).unwrap().eventually();
        assert!(!cache.contains(&outer.key().unwrap()).unwrap());
    });
}

#[test]
fn i7_waits_of_tasks_that_would_close_a_cycle_are_not_begun() {
    let cache = FragmentCache::in_memory();
    let (a, b) = (ROLE.call().arg("a"), ROLE.call().arg("b"));
    let cache = &cache;
    let cross = |one, other| {
        cache.memoize_async(one, async move {
            pause().await;
            let inner = async {
                pause().await;
                1
            };
            cache.memoize_async(other, inner).await + 1
        })
    };
    with_time(async {
        let mut ab = Box::pin(cross(&a, &b));
        let mut ba = Box::pin(cross(&b, &a));
        let mut done = (None, None);
        poll_fn(|context| {
            if done.0.is_none()
                && let Poll::Ready(value) = ab.as_mut().poll(context)
            {
                done.0 = Some(value);
            }
            if done.1.is_none()
                && let Poll::Ready(value) = ba.as_mut().poll(context)
            {
                done.1 = Some(value);
            }
            if done.0.and(done.1).is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
    assert_eq!(cache.stats().flights, 0);
}

#[test]
fn two_parts_of_one_render_may_wait_for_each_other() {
    let cache = FragmentCache::in_memory();
    let ran = AtomicUsize::new(0);
    let (outer, inner) = (ROLE.call().arg("outer"), ROLE.call().arg("inner"));
    let part = || {
        cache.memoize_async(&inner, async {
            pause().await;
            ran.fetch_add(1, Ordering::SeqCst)
        })
    };
    with_time(async {
        let both = async {
            let (mut one, mut other) = (Box::pin(part()), Box::pin(part()));
            let mut done = (None, None);
            poll_fn(|context| {
                if done.0.is_none()
                    && let Poll::Ready(value) = one.as_mut().poll(context)
                {
                    done.0 = Some(value);
                }
                if done.1.is_none()
                    && let Poll::Ready(value) = other.as_mut().poll(context)
                {
                    done.1 = Some(value);
                }
                done.0.zip(done.1).map_or(Poll::Pending, Poll::Ready)
            })
            .await
        };
        assert_eq!(cache.memoize_async(&outer, both).await, (0, 0));
    });
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn i7_a_thread_that_polls_a_task_does_not_block_for_another_task() {
    let cache = FragmentCache::in_memory();
    let (leads, blocks) = (ROLE.call().arg("leads"), ROLE.call().arg("blocks"));
    with_time(async {
        let mut leader = Box::pin(cache.memoize_async(&leads, async {
            pause().await;
            1
        }));
        assert!(poll(leader.as_mut()).is_pending());
        let sync = async { cache.memoize(&leads, || 2) };
        assert_eq!(cache.memoize_async(&blocks, sync).await, 2);
        assert_eq!(leader.await, 1);
    });
}

#[test]
fn i7_a_task_waits_no_longer_than_the_limit() {
    let cache =
        FragmentCache::builder().wait_limit(std::time::Duration::from_millis(20)).build().unwrap();
    let call = ROLE.call();
    let mut leader = Box::pin(cache.memoize_async(&call, std::future::pending::<u32>()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        assert!(poll(leader.as_mut()).is_pending());
        assert_eq!(cache.memoize_async(&call, async { 2_u32 }).await, 2);
    });
    assert_eq!(cache.handle.flights().waiting(), 0);
}

#[test]
fn a_panic_gives_up_the_flight() {
    let cache = FragmentCache::in_memory();
    let call = ROLE.call();
    let mut panics = Box::pin(cache.memoize_async(&call, async {
        pause().await;
        assert!(current::is_open(), "inside");
        std::panic::panic_any("as told");
        #[allow(unreachable_code, reason = "it has a type")]
        1
    }));
    with_time(async {
        assert!(poll(panics.as_mut()).is_pending());
        let run = || poll(panics.as_mut());
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert!(unwound.is_err());
        assert!(!current::is_open());
    });
    drop(panics);
    assert_eq!(cache.stats().flights, 0);
    assert_eq!(cache.memoize(&call, || 2), 2);
}
