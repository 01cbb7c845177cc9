//! I1: a fill races with an invalidation.

use super::{World, finds, fragment, holds, join};
use crate::protection::Protection;

fn fill_against_delete(without: Option<Protection>) {
    let world = World::new(without);
    let fill = world.spawn(|world| drop(world.row()));
    let change = world.spawn(|world| {
        world.change();
        world.delete();
        assert_eq!(world.row(), "1", "stale after its own delete");
    });
    join([fill, change]);
    world.check_quiet();
}

fn fill_against_clear(without: Option<Protection>) {
    let world = World::new(without);
    let fill = world.spawn(|world| drop(world.page()));
    let change = world.spawn(|world| {
        world.change();
        world.cache.clear().eventually();
    });
    join([fill, change]);
    world.check_quiet();
}

fn page_against_delete_of_its_row(without: Option<Protection>) {
    let world = World::new(without);
    let fill = world.spawn(|world| drop(world.page()));
    let other = world.spawn(|world| drop(world.row()));
    let change = world.spawn(|world| {
        world.change();
        world.delete();
    });
    join([fill, other, change]);
    world.check_quiet();
}

/// The caller that deleted the row joins the flight of a page that contains the old one.
fn follower_against_delete(without: Option<Protection>) {
    let world = World::new(without);
    let leader = world.spawn(|world| drop(world.page()));
    let follower = world.spawn(|world| {
        world.change();
        world.delete();
        assert_eq!(world.page(), "1", "the follower got what it had deleted");
    });
    join([leader, follower]);
    world.check_quiet();
}

fn refresh_against_older_render(without: Option<Protection>) {
    let world = World::new(without);
    let older = world.spawn(|world| drop(world.row()));
    let refresh = world.spawn(|world| {
        world.change();
        let refresh = fragment("row").refresh(true);
        world.cache.render(&refresh, || world.read()).unwrap();
    });
    join([older, refresh]);
    world.check_quiet();
}

#[test]
fn model_i1_no_stale_fill_against_delete() {
    holds(fill_against_delete);
}

#[test]
fn model_finds_the_stale_fill_when_a_delete_does_not_fence() {
    finds(fill_against_delete, Protection::Fence, "stale");
}

#[test]
fn model_i1_no_stale_fill_against_clear() {
    holds(fill_against_clear);
}

#[test]
fn model_finds_the_stale_fill_when_a_clear_does_not_fence() {
    finds(fill_against_clear, Protection::Fence, "stale");
}

#[test]
fn model_i1_no_stale_page_around_a_deleted_row() {
    holds(page_against_delete_of_its_row);
}

#[test]
fn model_finds_the_stale_page_when_a_delete_does_not_fence() {
    finds(page_against_delete_of_its_row, Protection::Fence, "stale");
}

#[test]
fn model_i1_no_follower_gets_what_was_deleted_before_it_came() {
    holds(follower_against_delete);
}

#[test]
fn model_finds_the_stale_follower_when_it_does_not_look() {
    finds(follower_against_delete, Protection::FollowerCheck, "the follower got");
}

#[test]
fn model_a_refresh_is_not_replaced_by_an_older_render() {
    holds(refresh_against_older_render);
}

#[test]
fn model_finds_the_replaced_refresh_when_fills_have_no_order() {
    finds(refresh_against_older_render, Protection::Order, "stale");
}
