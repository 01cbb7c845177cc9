//! Unusable arguments and results; functions that call themselves, panic or never return.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Counted, ROLE};
use crate::events::{EventKind, RefusalReason};
use crate::memoize::{Call, Function};
use crate::testing::Recorder;
use crate::{ErrorKind, Fragment, FragmentCache, fragment_key};

#[test]
fn what_is_wrong_with_a_call_makes_it_go_by_the_cache() {
    struct Torn;
    impl Serialize for Torn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("torn"))
        }
    }
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    let f = Counted::default();
    let refused = |call: Call, reason| {
        recorder.reset();
        assert_ne!(f.run(&cache, &call), f.run(&cache, &call));
        assert_eq!(recorder.events()[0].kind, EventKind::Refused(reason));
    };
    refused(ROLE.call().arg(&Torn), RefusalReason::Key);
    refused(ROLE.call().expires_after(Duration::ZERO), RefusalReason::Timeout);
    refused(ROLE.call().tags([""]), RefusalReason::Tag);
    let giant = "x".repeat(100_000);
    assert_ne!(f.run(&cache, &ROLE.call().arg(&giant)), f.run(&cache, &ROLE.call().arg(&giant)));
    let error = cache.delete_memoized(ROLE.call().arg(&Torn)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
    // A fragment around it is not stored.
    let row = Fragment::new(fragment_key!("row"));
    cache.render(&row, || f.run(&cache, &ROLE.call().arg(&Torn)).to_string()).unwrap();
    assert!(!cache.contains(row.key()).unwrap());
}

#[test]
fn a_result_that_cannot_be_serialized_is_given_and_not_kept() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Handle(u32);
    impl Serialize for Handle {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("open"))
        }
    }
    let cache = FragmentCache::in_memory();
    assert_eq!(cache.memoize(&ROLE.call(), || Handle(1)), Handle(1));
    assert_eq!(cache.memoize(&ROLE.call(), || Handle(2)), Handle(2));
}

#[test]
fn a_function_may_call_itself_with_other_arguments_and_with_the_same() {
    fn fib(cache: &FragmentCache, ran: &Cell<u32>, n: u32) -> u64 {
        cache.memoize(&Function::new("tests::fib").call().arg(&n), || {
            ran.set(ran.get() + 1);
            if n < 2 { u64::from(n) } else { fib(cache, ran, n - 1) + fib(cache, ran, n - 2) }
        })
    }
    let (cache, ran) = (FragmentCache::in_memory(), Cell::new(0));
    assert_eq!(fib(&cache, &ran, 80), 23_416_728_348_467_685);
    assert_eq!(ran.get(), 81);
    fn depth(cache: &FragmentCache, left: u32) -> u32 {
        cache.memoize(&Function::new("tests::same").call(), || {
            if left == 0 { 0 } else { 1 + depth(cache, left - 1) }
        })
    }
    assert_eq!(depth(&cache, 20), 20);
    assert_eq!(cache.stats().flights, 0);
}

#[test]
fn a_giant_result_is_given_and_not_kept() {
    let recorder = Recorder::new();
    let builder = FragmentCache::builder().max_entry_bytes(1000);
    let cache = builder.observer(recorder.clone()).build().unwrap();
    let ran = Cell::new(0);
    let giant = || {
        ran.set(ran.get() + 1);
        "x".repeat(1_000_000)
    };
    for _ in 0..2 {
        assert_eq!(cache.memoize(&ROLE.call(), giant).len(), 1_000_000);
    }
    assert_eq!(ran.get(), 2);
    let refused = EventKind::Refused(RefusalReason::BodyTooLarge);
    assert!(recorder.events().iter().any(|event| event.kind == refused));
}

#[test]
fn an_argument_that_nests_without_end_makes_the_call_go_by_the_cache() {
    #[derive(Serialize)]
    struct Nested(Option<Box<Nested>>);
    let deep = (0..500).fold(Nested(None), |inner, _| Nested(Some(Box::new(inner))));
    let (cache, f) = (FragmentCache::in_memory(), Counted::default());
    let call = ROLE.call().arg(&deep);
    assert_ne!(f.run(&cache, &call), f.run(&cache, &call));
    assert_eq!(call.key().unwrap_err().kind(), ErrorKind::Key);
}

#[test]
fn a_result_that_would_be_read_as_another_is_computed_by_each_call() {
    // MessagePack writes `Some(None)` as it writes `None`.
    #[derive(Serialize, Deserialize)]
    struct Nested(Option<Box<Nested>>);
    let (cache, ran) = (FragmentCache::in_memory(), Cell::new(0));
    let deep = || {
        ran.set(ran.get() + 1);
        (0..3000).fold(Nested(None), |inner, _| Nested(Some(Box::new(inner))))
    };
    let depth = |nested: &Nested| std::iter::successors(Some(nested), |n| n.0.as_deref()).count();
    for _ in 0..2 {
        assert_eq!(depth(&cache.memoize(&ROLE.call(), deep)), 3001);
    }
    assert_eq!(ran.get(), 2);
    let of = |name: &str, value: Option<Option<u8>>| {
        let run = || {
            ran.set(ran.get() + 1);
            value
        };
        (0..2).for_each(|_| assert_eq!(cache.memoize(&ROLE.call().arg(name), run), value));
    };
    of("not kept", Some(None));
    assert_eq!(ran.get(), 4);
    of("kept", Some(Some(1)));
    of("kept too", None);
    assert_eq!(ran.get(), 6);
}

#[test]
fn i7_a_panic_gives_up_the_flight_wherever_it_is() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            std::panic::panic_any("while it is serialized")
        }
    }
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    let cache = FragmentCache::in_memory();
    let panics = |run: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    panics(&|| cache.memoize(&ROLE.call(), || std::panic::panic_any("in the function")));
    panics(&|| _ = cache.memoize(&ROLE.call(), || Panics));
    panics(&|| drop(ROLE.call().arg(&Panics)));
    assert_eq!(cache.stats().flights, 0);
    assert!(!crate::current::is_open());
    assert_eq!(cache.memoize(&ROLE.call(), || 2), 2);
    assert_eq!(cache.memoize(&ROLE.call(), || 3), 2);
}

#[test]
fn i7_nobody_waits_without_end_for_a_function_that_never_ends() {
    let limit = Duration::from_millis(20);
    let cache = FragmentCache::builder().wait_limit(limit).build().unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let cache = &cache;
        scope.spawn(move || {
            cache.memoize(&ROLE.call(), || {
                begun.send(()).unwrap();
                ends.recv().unwrap();
                1
            })
        });
        has_begun.recv().unwrap();
        assert_eq!(cache.memoize(&ROLE.call(), || 2), 2);
        end.send(()).unwrap();
    });
    assert_eq!(cache.stats().flights, 0);
}

#[test]
fn whoever_waits_for_a_function_that_panics_runs_it() {
    let cache = FragmentCache::in_memory();
    let (begun, has_begun) = mpsc::channel();
    std::thread::scope(|scope| {
        let cache = &cache;
        let leader = scope.spawn(move || {
            cache.memoize::<u32>(&ROLE.call(), || {
                begun.send(()).unwrap();
                while cache.handle.flights().waiting() == 0 {
                    std::thread::yield_now();
                }
                std::panic::panic_any("while another waits")
            })
        });
        has_begun.recv().unwrap();
        assert_eq!(cache.memoize(&ROLE.call(), || 2_u32), 2);
        assert!(leader.join().is_err());
    });
    assert_eq!(cache.handle.flights().waiting(), 0);
}
