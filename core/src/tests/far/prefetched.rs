//! Many fragments in few round trips, without serving staler output.

use super::{FRONTS, Front};
use crate::{Fragment, fragment_key};

fn rows() -> Vec<Fragment> {
    (0..100).map(|id| Fragment::new(fragment_key!("row", id)).tags([format!("row:{id}")])).collect()
}

fn keys(rows: &[Fragment]) -> impl Iterator<Item = &crate::FragmentKey> {
    rows.iter().map(Fragment::key)
}

#[test]
fn a_hundred_prefetched_fragments_take_three_round_trips() {
    for &front in FRONTS {
        let (one, other, store) = front.two();
        let rows = rows();
        for row in &rows {
            one.cache.render(row, || "markup").unwrap();
        }
        for _ in 0..2 {
            store.reset_counts();
            other.cache.prefetch(keys(&rows), || {
                for row in &rows {
                    assert_eq!(&*other.cache.render(row, || "again").unwrap(), "markup");
                }
            });
            // Both workers query once a second.
            assert!(store.round_trips() <= 3 + 7, "{front:?}: {}", store.round_trips());
        }
        other.recorder.assert_no_body_evaluated();
    }
}

/// The minimum of several runs, because the workers query once a second.
fn trips(page: impl Fn(), store: &super::Store) -> u64 {
    let trips = (0..8).map(|_| {
        store.reset_counts();
        page();
        store.round_trips()
    });
    trips.min().unwrap()
}

#[test]
fn a_prefetched_page_takes_one_round_trip_once_its_blocks_are_known() {
    for (front, expected) in [(Front::None, 1), (Front::Strict, 1), (Front::Bounded, 0)] {
        let (one, other, store) = front.two();
        let rows = rows();
        for row in &rows {
            one.cache.render(row, || "markup").unwrap();
        }
        let page = || {
            other.cache.prefetch(keys(&rows), || {
                for row in &rows {
                    assert_eq!(&*other.cache.render(row, || "again").unwrap(), "markup");
                }
            });
        };
        assert_eq!(trips(page, &store), expected, "{front:?}");
        other.recorder.assert_no_body_evaluated();
        // Other fragments with the same name.
        let more: Vec<_> =
            (0..8).map(|id| Fragment::new(fragment_key!("row", "more", id))).collect();
        for row in &more {
            one.cache.render(row, || "more").unwrap();
        }
        let least = more.iter().map(|row| {
            store.reset_counts();
            other.cache.prefetch([row.key()], || {
                assert_eq!(&*other.cache.render(row, || "again").unwrap(), "more");
            });
            store.round_trips()
        });
        assert_eq!(least.min(), Some(1), "{front:?}");
        other.recorder.assert_no_body_evaluated();
    }
}

#[test]
fn what_others_rendered_since_is_read_ahead() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let rows = rows();
        let page = |expected: &str| {
            other.cache.prefetch(keys(&rows), || {
                for row in &rows {
                    assert_eq!(&*other.cache.render(row, || "other").unwrap(), expected);
                }
            });
        };
        for markup in ["first", "second", "third"] {
            for row in &rows {
                one.cache.render(row, || markup).unwrap();
            }
            page(markup);
            for id in 0..100 {
                one.cache.invalidate_tags([format!("row:{id}")]).unwrap().eventually();
            }
            if front == Front::Bounded {
                other.distrust();
            }
        }
        other.recorder.assert_no_body_evaluated();
        page("other");
    }
}

#[test]
fn i1_what_was_invalidated_before_the_prefetch_is_not_served() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let rows = rows();
        for row in &rows {
            one.cache.render(row, || "old").unwrap();
            other.cache.render(row, || "unused").unwrap();
        }
        // The blocks are known the second time.
        one.cache.invalidate_tags(["row:7"]).unwrap().eventually();
        for (id, expected) in [(8, &[7][..]), (9, &[7, 8])] {
            if front == Front::Bounded {
                other.distrust();
            }
            let page = other.cache.prefetch(keys(&rows), || {
                let render = |row| other.cache.render(row, || "new").unwrap();
                rows.iter().map(render).collect::<Vec<_>>()
            });
            let news: Vec<_> = (0..100).filter(|&id| &*page[id] == "new").collect();
            assert_eq!(news, expected, "{front:?}");
            one.cache.invalidate_tags([format!("row:{id}")]).unwrap().eventually();
        }
    }
}

#[test]
fn i1_what_its_own_render_invalidates_is_not_served_from_a_prefetch() {
    for &front in FRONTS {
        let (one, other, _) = front.two();
        let rows = rows();
        for row in &rows {
            one.cache.render(row, || "old").unwrap();
        }
        other.cache.prefetch(keys(&rows), || {
            other.cache.invalidate_tags(["row:7"]).unwrap().eventually();
            assert_eq!(&*other.cache.render(&rows[7], || "new").unwrap(), "new", "{front:?}");
            assert_eq!(&*other.cache.render(&rows[8], || "new").unwrap(), "old", "{front:?}");
        });
    }
}

#[test]
fn a_prefetch_ends_with_its_closure() {
    let (one, other, store) = Front::None.two();
    let rows = rows();
    one.cache.render(&rows[0], || "old").unwrap();
    other.cache.prefetch(keys(&rows), || {});
    one.cache.delete(rows[0].key()).eventually();
    assert_eq!(&*other.cache.render(&rows[0], || "new").unwrap(), "new");
    drop(store);
}

#[test]
fn i3_a_prefetch_without_a_store_is_none() {
    let (one, _, store) = Front::Strict.two();
    store.fail(crate::store::Fault::Unreachable);
    let rows = rows();
    one.cache.prefetch(keys(&rows), || {
        assert_eq!(&*one.cache.render(&rows[0], || "new").unwrap(), "new");
    });
}
