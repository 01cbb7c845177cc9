//! Memoized functions: arguments by value, deletion by call, instance and function, single flight.
//! Bad input is in `hostile`.

mod hostile;
mod shared;

#[cfg(feature = "async")]
mod tasks;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::memoize::{Call, Function};
use crate::testing::{ManualClock, MemoryStore};
use crate::{FarLevel, Fragment, FragmentCache, current, fragment_key};

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
    cache.delete_memoized(&calls[0]).unwrap().eventually();
    kept([false, true, true, true]);
    fill();
    cache.delete_memoized(BALANCE.of(&1)).unwrap().eventually();
    kept([false, false, true, true]);
    fill();
    cache.delete_memoized(BALANCE).unwrap().eventually();
    kept([false, false, false, true]);
    cache.delete_memoized(ROLE).unwrap().eventually();
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
    assert_ne!(f.run(&cache, &call.clone().source(1)), f.run(&cache, &call.source(2)));
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
    for calls in [
        crate::memoize::CallSelector::from(BALANCE.of(&1).call()),
        BALANCE.of(&1).into(),
        BALANCE.into(),
    ] {
        let call = BALANCE.of(&1).call();
        cache.memoize(&call, || {
            cache.delete_memoized(calls.clone()).unwrap().eventually();
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
                    while cache.handle.flights().waiting() < 7 {
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
    cache.delete_memoized(BALANCE.of(&1)).unwrap().eventually();
    assert_eq!(&*cache.render(&row, body).unwrap(), "2");
    cache.delete_memoized(BALANCE).unwrap().eventually();
    assert_eq!(&*cache.render(&row, body).unwrap(), "3");
}

#[test]
fn two_processes_share_results_and_every_way_to_delete_them() {
    let store = MemoryStore::new();
    let cache = || FragmentCache::builder().far(FarLevel::new(store.clone())).build().unwrap();
    let (here, there, f) = (cache(), cache(), Counted::default());
    let call = BALANCE.of(&1).call().arg("eur");
    for calls in [crate::memoize::CallSelector::from(&call), BALANCE.of(&1).into(), BALANCE.into()]
    {
        let first = f.run(&here, &call);
        assert_eq!(f.run(&there, &call), first);
        there.delete_memoized(calls).unwrap().eventually();
        assert_ne!(f.run(&here, &call), first);
    }
}

#[test]
fn functions_of_one_name_and_other_paths_share_deletion_and_nothing_else() {
    let (cache, f) = (FragmentCache::in_memory(), Counted::default());
    let [one, other] = ["film", "user"].map(|path| ROLE.call().arg(&7).path(path));
    let first = f.run(&cache, &one);
    assert_ne!(f.run(&cache, &other), first);
    assert_eq!(f.run(&cache, &one), first);
    assert_ne!(f.run(&cache, &one.clone().source(1)), first);
    cache.delete_memoized(&one).unwrap().eventually();
    assert_ne!(f.run(&cache, &other), first + 1);
}

#[test]
fn a_result_that_is_vetoed_alone_is_not_kept_and_what_is_around_it_is() {
    let cache = FragmentCache::in_memory();
    let call = ROLE.call().tags(["role"]);
    let row = Fragment::new(fragment_key!("row"));
    let none = || {
        cache.memoize(&call, || {
            current::veto_here();
            None::<u32>
        })
    };
    cache.render(&row, || format!("{:?}", none())).unwrap();
    assert!(!cache.contains(&call.key().unwrap()).unwrap());
    assert!(cache.contains(row.key()).unwrap());
    cache.invalidate_tags(["role"]).unwrap().eventually();
    assert!(!cache.contains(row.key()).unwrap());
    // A refresh whose result is not stored deletes the stored one.
    let anew = call.clone().refresh(true);
    assert_eq!(cache.memoize(&call, || Some(1)), Some(1));
    let refreshed = cache.memoize(&anew, || {
        current::veto_here();
        None::<u32>
    });
    assert_eq!(refreshed, None);
    assert!(!cache.contains(&call.key().unwrap()).unwrap());
}

#[test]
fn a_batch_deletes_calls_when_it_is_applied() {
    let (cache, f) = (FragmentCache::in_memory(), Counted::default());
    let calls = [BALANCE.of(&1).call(), BALANCE.of(&2).call(), ROLE.call().arg(&1)];
    calls.iter().for_each(|call| _ = f.run(&cache, call));
    let mut batch = cache.batch();
    batch.delete_memoized(BALANCE.of(&1)).unwrap().delete_memoized(ROLE).unwrap();
    let kept = || calls.each_ref().map(|call| cache.contains(&call.key().unwrap()).unwrap());
    assert_eq!(kept(), [true; 3]);
    let failed = batch.clone().apply_after(|| Err::<(), _>("rolled back"));
    assert_eq!((failed, kept()), (Err("rolled back"), [true; 3]));
    batch.apply_after(|| Ok::<_, ()>(())).unwrap();
    assert_eq!(kept(), [false, true, false]);
}
