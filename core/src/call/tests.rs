//! Memoized functions: arguments by value, deletion by call, instance and function, single flight.
//! Bad input is in `hostile`.

mod hostile;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::testing::{ManualClock, MemoryStore};
use crate::{Call, FarLevel, Fragment, FragmentCache, Function, current, fragment_key};

const ROLE: Function = Function::new("tests::has_role");
const BALANCE: Function = Function::new("tests::Account::balance");

/// A function that counts its runs.
#[derive(Default)]
struct Counted(Cell<u32>);

impl Counted {
    fn run(&self, cache: &FragmentCache, call: &Call) -> u32 {
        cache.memoize(call, || {
            self.0.set(self.0.get() + 1);
            self.0.get()
        })
    }
}

#[test]
fn arguments_are_compared_by_value() {
    #[derive(Serialize)]
    struct Filter {
        words: Vec<&'static str>,
        most: Option<u32>,
        of: HashMap<&'static str, i32>,
    }
    let filter = |most| Filter {
        words: vec!["a", "b"],
        most,
        of: [("x", 1), ("y", 2), ("z", 3)].into_iter().collect(),
    };
    let (cache, f) = (FragmentCache::in_memory(), Counted::default());
    let ran = |call: Call| f.run(&cache, &call);
    let first = ran(ROLE.call().arg(&filter(None)).arg("admin"));
    assert_eq!(ran(ROLE.call().arg(&filter(None)).arg("admin")), first);
    assert_ne!(ran(ROLE.call().arg(&filter(Some(0))).arg("admin")), first);
    assert_ne!(ran(ROLE.call().arg(&filter(None)).arg("user")), first);
    assert_ne!(ran(ROLE.call()), ran(ROLE.call().arg(&())));
    assert_ne!(ran(ROLE.call().arg("a").arg("b")), ran(ROLE.call().arg(&["a", "b"])));
}

#[test]
fn calls_are_deleted_one_by_one_by_instance_and_by_function() {
    let (cache, f) = (FragmentCache::in_memory(), Counted::default());
    let calls = [
        BALANCE.of(&1).call().arg("eur"),
        BALANCE.of(&1).call().arg("usd"),
        BALANCE.of(&2).call().arg("eur"),
        ROLE.call().arg(&1),
    ];
    let kept = |wanted: [bool; 4]| {
        let found = calls.each_ref().map(|call| cache.contains(&call.key().unwrap()).unwrap());
        assert_eq!(found, wanted);
    };
    let fill = || calls.iter().for_each(|call| assert!(f.run(&cache, call) > 0));
    fill();
    kept([true; 4]);
    cache.delete_memoized(&calls[0]).unwrap();
    kept([false, true, true, true]);
    fill();
    cache.delete_memoized(BALANCE.of(&1)).unwrap();
    kept([false, false, true, true]);
    fill();
    cache.delete_memoized(BALANCE).unwrap();
    kept([false, false, false, true]);
    cache.delete_memoized(ROLE).unwrap();
    kept([false; 4]);
}

#[test]
fn errors_are_not_kept_and_stale_results_stand_in_for_them() {
    let clock = ManualClock::new();
    let cache = FragmentCache::builder().clock(clock.clone()).build().unwrap();
    let call = ROLE.call().expires_after(Duration::from_secs(10)).stale(Duration::from_secs(60));
    assert_eq!(cache.try_memoize(&call, || Err::<u32, _>("down")), Err("down"));
    assert_eq!(cache.try_memoize(&call, || Ok::<u32, &str>(1)), Ok(1));
    clock.advance(Duration::from_secs(20));
    assert_eq!(cache.try_memoize(&call, || Err::<u32, _>("down")), Ok(1));
    clock.advance(Duration::from_secs(100));
    assert_eq!(cache.try_memoize(&call, || Err::<u32, _>("down")), Err("down"));
}

#[test]
fn unless_refresh_version_source_and_veto_do_what_they_say() {
    let (cache, f) = (FragmentCache::in_memory(), Counted::default());
    let call = ROLE.call().arg(&7);
    let first = f.run(&cache, &call);
    assert_ne!(f.run(&cache, &call.clone().unless(true)), first);
    assert_eq!(f.run(&cache, &call), first);
    let second = f.run(&cache, &call.clone().refresh(true));
    assert_eq!(f.run(&cache, &call), second);
    assert_ne!(f.run(&cache, &call.clone().version(2)), second);
    assert_ne!(f.run(&cache, &call.clone().source(1)), f.run(&cache, &call.clone().source(2)));
    let vetoed = ROLE.call().arg("vetoed");
    let run = || {
        cache.memoize(&vetoed, || {
            current::veto();
            1
        })
    };
    assert_eq!((run(), run()), (1, 1));
    assert!(!cache.contains(&vetoed.key().unwrap()).unwrap());
}

#[test]
fn i1_a_result_computed_of_what_was_deleted_meanwhile_is_not_kept() {
    let cache = FragmentCache::in_memory();
    for calls in [crate::Calls::from(BALANCE.of(&1).call()), BALANCE.of(&1).into(), BALANCE.into()]
    {
        let call = BALANCE.of(&1).call();
        cache.memoize(&call, || {
            cache.delete_memoized(calls.clone()).unwrap();
            1
        });
        assert!(!cache.contains(&call.key().unwrap()).unwrap(), "{calls:?}");
    }
}

#[test]
fn i2_of_several_callers_one_runs_the_function() {
    let cache = FragmentCache::in_memory();
    let ran = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let value = cache.memoize(&ROLE.call(), || {
                    while cache.flights().waiting() < 7 {
                        std::thread::yield_now();
                    }
                    ran.fetch_add(1, Ordering::SeqCst)
                });
                assert_eq!(value, 0);
            });
        }
    });
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn a_fragment_depends_on_the_calls_in_its_body() {
    let (cache, f) = (FragmentCache::in_memory(), Counted::default());
    let row = Fragment::new(fragment_key!("row"));
    let body = || f.run(&cache, &BALANCE.of(&1).call()).to_string();
    assert_eq!(&*cache.render(&row, body).unwrap(), "1");
    assert_eq!(&*cache.render(&row, body).unwrap(), "1");
    cache.delete_memoized(BALANCE.of(&1)).unwrap();
    assert_eq!(&*cache.render(&row, body).unwrap(), "2");
    cache.delete_memoized(BALANCE).unwrap();
    assert_eq!(&*cache.render(&row, body).unwrap(), "3");
}

#[test]
fn two_processes_share_results_and_every_way_to_delete_them() {
    let store = MemoryStore::new();
    let cache = || FragmentCache::builder().far(FarLevel::new(store.clone())).build().unwrap();
    let (here, there, f) = (cache(), cache(), Counted::default());
    let call = BALANCE.of(&1).call().arg("eur");
    for calls in [crate::Calls::from(&call), BALANCE.of(&1).into(), BALANCE.into()] {
        let first = f.run(&here, &call);
        assert_eq!(f.run(&there, &call), first);
        there.delete_memoized(calls).unwrap();
        assert_ne!(f.run(&here, &call), first);
    }
}

#[cfg(feature = "async")]
mod tasks {
    use std::future::{Future, poll_fn};
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::{BALANCE, ROLE};
    use crate::{Fragment, FragmentCache, current, fragment_key};

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn with_time<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(future)
    }

    /// Pending once.
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
            assert_eq!(cache.flights().waiting(), 0);
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
            cache.render(&Fragment::new(fragment_key!("row")), || "<b>").unwrap();
            assert_eq!(poll(one.as_mut()), Poll::Ready(1));
        });
        cache.invalidate_tags(["late"]).unwrap();
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
            cache.delete_memoized(BALANCE.of(&1)).unwrap();
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
        let cache = FragmentCache::builder()
            .wait_limit(std::time::Duration::from_millis(20))
            .build()
            .unwrap();
        let call = ROLE.call();
        let mut leader = Box::pin(cache.memoize_async(&call, std::future::pending::<u32>()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            assert!(poll(leader.as_mut()).is_pending());
            assert_eq!(cache.memoize_async(&call, async { 2_u32 }).await, 2);
        });
        assert_eq!(cache.flights().waiting(), 0);
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
}
