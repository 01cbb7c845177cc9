//! I2 and I7: leaders, followers, and waits.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicU64, Ordering};

use super::{World, failure, finds, fragment, holds, join};
use crate::Error;
use crate::protection::Protection;

/// A caller whose body counts its runs, and fails on request.
fn caller(world: &World, renders: &AtomicU64, fails: bool) -> Result<Arc<str>, Error> {
    world.cache.try_render(&fragment("row"), || {
        renders.fetch_add(1, Ordering::SeqCst);
        let text = world.read();
        if fails { Err(failure()) } else { Ok(text) }
    })
}

fn callers(without: Option<Protection>, fail: &'static [bool]) {
    let world = World::new(without);
    let renders = Arc::new(AtomicU64::new(0));
    let threads = fail.iter().map(|&fails| {
        let renders = Arc::clone(&renders);
        world.spawn(move |world| assert_eq!(caller(world, &renders, fails).is_err(), fails))
    });
    join(threads.collect::<Vec<_>>());
    world.check_quiet();
}

/// Some of the callers fail. A failing body that comes after the stored one does not run, so
/// failing callers are checked only if they run.
fn render_counts(without: Option<Protection>, failing: usize, working: usize) {
    let world = World::new(without);
    let (good, bad) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let threads = (0..failing + working).map(|number| {
        let fails = number < failing;
        let renders = Arc::clone(if fails { &bad } else { &good });
        world.spawn(move |world| {
            let outcome = caller(world, &renders, fails);
            assert!(fails || outcome.is_ok());
        })
    });
    join(threads.collect::<Vec<_>>());
    let good = good.load(Ordering::SeqCst);
    assert!(good <= 1, "rendered {good} times");
    assert!(bad.load(Ordering::SeqCst) <= failing as u64);
    assert_eq!(world.get("row").as_deref(), Some("0"), "the one good render is stored");
    world.check_quiet();
}

fn two_callers(without: Option<Protection>) {
    render_counts(without, 0, 2);
}

fn hand_over(without: Option<Protection>) {
    render_counts(without, 1, 2);
}

fn hand_over_twice(without: Option<Protection>) {
    render_counts(without, 2, 2);
}

/// Every body fails: each caller gets its own error, and no flight is left.
fn all_fail(without: Option<Protection>) {
    callers(without, &[true, true, true]);
}

/// The leader fails while a deletion comes between it and its followers.
fn hand_over_against_delete(without: Option<Protection>) {
    let world = World::new(without);
    let renders = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&renders);
    let leader = world.spawn(move |world| drop(caller(world, &counted, true)));
    let followers =
        [world.spawn(|world| drop(world.row())), world.spawn(|world| drop(world.row()))];
    let change = world.spawn(|world| {
        world.change();
        world.delete();
        assert_eq!(world.row(), "1", "stale after its own delete");
    });
    join([leader, change]);
    join(followers);
    world.check_quiet();
}

fn cycle_of_waits(without: Option<Protection>) {
    let world = World::new(without);
    let around = |outer: &'static str, inner: &'static str| {
        world.spawn(move |world| {
            let body = || world.cache.render(&fragment(inner), || world.read()).unwrap();
            world.cache.render(&fragment(outer), body).unwrap();
        })
    };
    join([around("row", "page"), around("page", "row")]);
    world.check_quiet();
}

fn cycle_of_three(without: Option<Protection>) {
    let world = World::new(without);
    let around = |outer: &'static str, inner: &'static str| {
        world.spawn(move |world| {
            let body = || world.cache.render(&fragment(inner), || world.read()).unwrap();
            world.cache.render(&fragment(outer), body).unwrap();
        })
    };
    join([around("row", "page"), around("page", "foot"), around("foot", "row")]);
    world.check_quiet();
}

/// The leader's result may not be stored. Its followers render for themselves.
fn unstorable(without: Option<Protection>) {
    let world = World::new(without);
    let veto = world.spawn(|world| {
        let body = || {
            let draft = fragment("draft").unless(true);
            world.cache.render(&draft, || world.read()).unwrap()
        };
        world.cache.render(&fragment("row"), body).unwrap();
    });
    let others = [world.spawn(|world| drop(world.row())), world.spawn(|world| drop(world.row()))];
    join([veto]);
    join(others);
    world.check_quiet();
}

#[test]
fn model_i2_two_callers_render_once() {
    holds(two_callers);
}

#[test]
fn model_finds_the_second_render_after_a_landing_when_leaders_do_not_look_again() {
    finds(two_callers, Protection::SecondLook, "rendered 2 times");
}

#[test]
fn model_i2_a_leader_that_fails_hands_over_to_one() {
    holds(hand_over);
}

#[test]
fn model_i2_two_leaders_that_fail_hand_over_to_one() {
    holds(hand_over_twice);
}

#[test]
fn model_i2_callers_that_all_fail_leave_nothing() {
    holds(all_fail);
}

#[test]
fn model_finds_the_deadlock_when_a_failed_leader_wakes_nobody() {
    finds(hand_over, Protection::HandOver, "deadlock");
}

#[test]
fn model_i1_a_hand_over_across_a_delete_is_not_stale() {
    holds(hand_over_against_delete);
}

#[test]
fn model_finds_the_stale_hand_over_when_a_delete_does_not_fence() {
    finds(hand_over_against_delete, Protection::Fence, "stale");
}

#[test]
fn model_i7_two_fragments_around_each_other_end() {
    holds(cycle_of_waits);
}

#[test]
fn model_finds_the_deadlock_when_a_cycle_of_waits_is_begun() {
    finds(cycle_of_waits, Protection::CycleCheck, "deadlock");
}

#[test]
fn model_i7_three_fragments_around_each_other_end() {
    holds(cycle_of_three);
}

#[test]
fn model_finds_the_deadlock_of_three_when_a_cycle_of_waits_is_begun() {
    finds(cycle_of_three, Protection::CycleCheck, "deadlock");
}

#[test]
fn model_i2_an_unstorable_result_leaves_nobody_waiting() {
    holds(unstorable);
}
