//! I1 for read points, tags and batches.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

use super::{World, finds, fragment, holds, join};
use crate::protection::Protection;
use crate::{FragmentCache, current, fragment_key};

/// A handler loads data and renders it. A change and its deletion come in between.
fn read_point_against_delete(without: Option<Protection>) {
    let world = World::new(without);
    let handler = world.spawn(|world| {
        let point = world.cache.read_point();
        let loaded = world.read();
        point.scope(|| world.cache.render(&fragment("row"), || loaded)).unwrap();
    });
    let change = world.spawn(|world| {
        world.change();
        world.delete();
        assert_eq!(world.row(), "1", "stale after its own delete");
    });
    join([handler, change]);
    world.check_quiet();
}

/// The same for a nested fragment.
fn read_point_around_two_fragments(without: Option<Protection>) {
    let world = World::new(without);
    let handler = world.spawn(|world| {
        let point = world.cache.read_point();
        let loaded = world.read();
        let row = || world.cache.render(&fragment("row"), || loaded).unwrap();
        point.scope(|| world.cache.render(&fragment("page"), row)).unwrap();
    });
    let change = world.spawn(|world| {
        world.change();
        world.delete();
        assert_eq!(world.page(), "1", "stale after its own delete");
    });
    join([handler, change]);
    world.check_quiet();
}

impl World {
    /// The row. It adds its tag after it has read the data.
    fn tagged_row(&self) -> String {
        let body = || {
            let text = self.read();
            current::add_tags(["product"]).unwrap();
            text
        };
        self.cache.render(&fragment("row"), body).unwrap().to_string()
    }
}

fn late_tag_against_invalidation(without: Option<Protection>) {
    let world = World::new(without);
    let fill = world.spawn(|world| drop(world.tagged_row()));
    let change = world.spawn(|world| {
        world.change();
        world.cache.invalidate_tags(["product"]).unwrap().eventually();
        assert_eq!(world.tagged_row(), "1", "stale after its own invalidation");
    });
    join([fill, change]);
    world.check_quiet();
}

/// A page that contains the row, whose tag is added late.
fn late_tag_inside_a_page(without: Option<Protection>) {
    let world = World::new(without);
    let page = |world: &World| {
        world.cache.render(&fragment("page"), || world.tagged_row()).unwrap().to_string()
    };
    let fill = world.spawn(move |world| drop(page(world)));
    let change = world.spawn(move |world| {
        world.change();
        world.cache.invalidate_tags(["product"]).unwrap().eventually();
        assert_eq!(page(world), "1", "stale after its own invalidation");
    });
    join([fill, change]);
    world.check_quiet();
}

/// A page of two rows with separate data.
fn page_of_two(cache: &FragmentCache, truths: &[AtomicU64; 2]) -> String {
    let row = |number: usize| {
        let body = || {
            let value = truths[number].load(Ordering::SeqCst).to_string();
            thread::yield_now();
            value
        };
        cache.render(&fragment(["left", "right"][number]), body).unwrap().to_string()
    };
    cache.render(&fragment("page"), || row(0) + &row(1)).unwrap().to_string()
}

fn batch_against_fill(without: Option<Protection>) {
    let world = World::new(without);
    let truths = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let fill = {
        let truths = Arc::clone(&truths);
        world.spawn(move |world| drop(page_of_two(&world.cache, &truths)))
    };
    let change = {
        let truths = Arc::clone(&truths);
        world.spawn(move |world| {
            let mut batch = world.cache.batch();
            for (name, truth) in ["left", "right"].into_iter().zip(&*truths) {
                truth.store(1, Ordering::SeqCst);
                batch.delete(&fragment_key!(name));
            }
            batch.apply().eventually();
            assert_eq!(page_of_two(&world.cache, &truths), "11", "stale after its own batch");
        })
    };
    join([fill, change]);
    assert_eq!(page_of_two(&world.cache, &truths), "11", "stale page");
    for name in ["left", "right"] {
        assert!(world.get(name).is_none_or(|stored| stored == "1"), "stale {name}");
    }
    assert_eq!(world.cache.stats().flights, 0, "a flight is left");
}

#[test]
fn model_i1_what_was_loaded_before_a_delete_is_not_stored() {
    holds(read_point_against_delete);
    holds(read_point_around_two_fragments);
}

#[test]
fn model_finds_what_was_loaded_before_a_delete_when_read_points_are_ignored() {
    finds(read_point_against_delete, Protection::ReadPoint, "stale");
    finds(read_point_around_two_fragments, Protection::ReadPoint, "stale");
}

#[test]
fn model_i1_a_late_tag_counts_from_the_read_point_on() {
    holds(late_tag_against_invalidation);
    holds(late_tag_inside_a_page);
}

#[test]
fn model_finds_the_stale_fill_when_a_late_tag_is_trusted() {
    finds(late_tag_against_invalidation, Protection::LateLabels, "stale");
    finds(late_tag_inside_a_page, Protection::LateLabels, "stale");
}

#[test]
fn model_i1_no_stale_page_of_two_against_a_batch() {
    holds(batch_against_fill);
}

#[test]
fn model_finds_the_stale_page_of_two_when_a_batch_does_not_fence() {
    finds(batch_against_fill, Protection::Fence, "stale");
}
