//! I3, the cache never breaks a page: a body's failure is passed on once and unchanged, and leaves
//! no state behind.

use std::cell::Cell;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{fragment, rig};

#[derive(Debug, PartialEq)]
struct OutOfStock(u32);

impl std::fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("out of stock")
    }
}

impl StdError for OutOfStock {}

#[test]
fn i3_an_error_of_the_body_passes_through_once_and_untouched() {
    let rig = rig();
    let runs = Cell::new(0);
    let failed: Result<_, Box<dyn StdError>> = rig.cache.try_render(fragment("row"), || {
        runs.set(runs.get() + 1);
        Err::<&str, _>(OutOfStock(7).into())
    });
    assert_eq!(failed.unwrap_err().downcast_ref(), Some(&OutOfStock(7)));
    assert_eq!(runs.get(), 1);
    assert_eq!(rig.get("row"), None);
    let stats = rig.cache.stats();
    assert_eq!((stats.flights, stats.errors, stats.stores), (0, 1, 0));
}

#[test]
fn i3_a_panic_of_the_body_passes_through_and_leaves_no_flight() {
    let rig = rig();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        rig.cache.render(fragment("outer"), || {
            rig.cache
                .render(fragment("inner"), || -> &str { resume_unwind(Box::new(OutOfStock(7))) })
                .unwrap()
        })
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&OutOfStock(7)));
    let stats = rig.cache.stats();
    assert_eq!((stats.flights, stats.errors, stats.entries), (0, 2, 0));
    assert_eq!(&*rig.say("inner", "works"), "works");
    assert!(rig.get("inner").is_some());
}

#[test]
fn i3_a_failed_inner_fragment_fails_the_outer_one() {
    let rig = rig();
    let failed: Result<_, Box<dyn StdError>> = rig.cache.try_render(fragment("outer"), || {
        rig.say("first", "stored");
        rig.cache.try_render(fragment("second"), || Err::<&str, _>(OutOfStock(1).into()))
    });
    failed.unwrap_err();
    assert!(rig.get("first").is_some());
    assert_eq!((rig.get("second"), rig.get("outer")), (None, None));
    assert_eq!(rig.cache.stats().flights, 0);
}
