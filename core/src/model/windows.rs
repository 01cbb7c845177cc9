//! Stale windows: an expired entry is served while one caller refreshes it; an invalidated entry is
//! not.

use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::atomic::{AtomicU64, Ordering};

use super::{World, finds, fragment, holds, join};
use crate::Fragment;
use crate::protection::Protection;
use crate::testing::ManualClock;

/// The row, with a short TTL and a long stale window.
fn row() -> Fragment {
    fragment("row").expires_after(Duration::from_secs(1)).stale(Duration::from_secs(60))
}

/// A world in which an old row has just expired.
fn world(without: Option<Protection>) -> World {
    let clock = ManualClock::new();
    let world = World::with(without, |builder| builder.clock(clock.clone()));
    world.cache.render(&row(), || world.read()).unwrap();
    clock.advance(Duration::from_secs(2));
    world
}

fn refresh_against_delete(without: Option<Protection>) {
    let world = world(without);
    let read = |world: &World| world.cache.render(&row(), || world.read()).unwrap().to_string();
    let readers = [(); 2].map(|()| world.spawn(move |world| drop(read(world))));
    let change = world.spawn(move |world| {
        world.change();
        world.delete();
        assert_eq!(read(world), "1", "stale after its own delete");
    });
    join(readers);
    join([change]);
    world.check_quiet();
}

fn refreshers(without: Option<Protection>) {
    let world = world(without);
    let renders = Arc::new(AtomicU64::new(0));
    let readers = [(); 2].map(|()| {
        let renders = Arc::clone(&renders);
        world.spawn(move |world| {
            let body = || {
                renders.fetch_add(1, Ordering::SeqCst);
                world.read()
            };
            world.cache.render(&row(), body).unwrap();
        })
    });
    join(readers);
    let renders = renders.load(Ordering::SeqCst);
    assert!(renders == 1, "refreshed {renders} times");
    world.check_quiet();
}

#[test]
fn model_i1_what_was_deleted_is_not_served_in_its_stale_window() {
    holds(refresh_against_delete);
}

#[test]
fn model_finds_what_is_served_in_its_stale_window_when_a_delete_does_not_fence() {
    finds(refresh_against_delete, Protection::Fence, "stale");
}

#[test]
fn model_i2_one_caller_refreshes_what_has_expired() {
    holds(refreshers);
}

#[test]
fn model_finds_the_second_refresh_when_every_caller_refreshes() {
    finds(refreshers, Protection::OneRefresher, "refreshed 2 times");
}
