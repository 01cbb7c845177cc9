//! I1 with a store: the real cache, in two processes on one store that runs each operation
//! separately.

use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use shuttle::thread;

use super::{Model, World, finds, fragment, join, run_in};
use crate::protection::Protection;
use crate::store::{Capabilities, Fault, Operation, Reply, Store, StoreError};
use crate::testing::MemoryStore;
use crate::{FarLevel, FragmentCache, ReadPoint, current};

/// A store that runs each operation under a separate lock, so anything may happen between
/// operations. One process may lose its connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    store: MemoryStore,
    lost: Arc<AtomicBool>,
}

impl Steps {
    /// A handle of another process to the same records.
    fn another(&self) -> Self {
        Self { store: self.store.clone(), lost: Arc::default() }
    }

    fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<&MemoryStore, StoreError> {
        match self.lost.load(Ordering::SeqCst) {
            true => Err(StoreError::new(Fault::Unreachable, "it is lost")),
            false => Ok(&self.store),
        }
    }

    /// Ends all leases, as if their TTL had passed.
    pub(super) fn end_leases(&self) {
        for key in self.store.keys().iter().filter(|key| key.contains(":l:")) {
            self.store.delete(key).unwrap();
        }
    }
}

impl Store for Steps {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    /// Each change is a step, and so are up to 32 adjacent reads.
    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let mut replies = Vec::new();
        for alike in operations.chunk_by(|one, next| one.is_read() && next.is_read()) {
            for step in alike.chunks(32) {
                replies.extend(self.reach()?.run(step)?);
            }
        }
        Ok(replies)
    }
}

/// Two processes on one store, with common data.
fn processes(without: Option<Protection>, near_ttl: Duration) -> (World, World) {
    let (one, other, _) = losing(without, near_ttl);
    (one, other)
}

/// Like [`processes`]; also returns the store handle of the first one.
fn losing(without: Option<Protection>, near_ttl: Duration) -> (World, World, Steps) {
    let store = Steps::default();
    let truth = Arc::new(AtomicU64::new(0));
    let process = |store: &Steps| {
        let level = FarLevel::new(store.clone()).near_ttl(near_ttl);
        let world = World::with(without, |builder| builder.far(level));
        // As in any store in use, the fences exist before the model starts.
        world.cache.read_point();
        World { truth: Arc::clone(&truth), ..world }
    };
    (process(&store), process(&store.another()), store)
}

/// The model holds for the unmodified cache. Runs fewer schedules than other models, because each
/// takes hundreds of steps.
fn holds(model: Model) {
    run_in(600, model, None);
}

const STRICT: Duration = Duration::ZERO;

/// One process renders a page while another changes its data.
fn fill_against_delete(without: Option<Protection>) {
    let (one, other) = processes(without, STRICT);
    let fill = one.spawn(|world| drop(world.row()));
    let change = other.spawn(|world| {
        world.change();
        world.delete();
        assert_eq!(world.row(), "1", "stale after its own delete");
    });
    join([fill, change]);
    assert_eq!(one.row(), "1", "stale in the other process");
}

fn tagged(cache: &FragmentCache, read: impl FnOnce() -> String) -> String {
    let body = || {
        let text = read();
        current::add_tags(["product"]).unwrap();
        text
    };
    cache.render(&fragment("row"), body).unwrap().to_string()
}

/// The same with a tag that is added after the data was read.
fn late_tag_against_invalidation(without: Option<Protection>) {
    let (one, other) = processes(without, STRICT);
    let fill = one.spawn(|world| drop(tagged(&world.cache, || world.read())));
    let change = other.spawn(|world| {
        world.change();
        world.cache.invalidate_tags(["product"]).unwrap().eventually();
        assert_eq!(tagged(&world.cache, || world.read()), "1", "stale after its invalidation");
    });
    join([fill, change]);
    assert_eq!(tagged(&one.cache, || one.read()), "1", "stale in the other process");
}

/// The same with data that a handler loads before it renders.
fn read_point_against_delete(without: Option<Protection>) {
    let (one, other) = processes(without, STRICT);
    let handler = one.spawn(|world| {
        let point: ReadPoint = world.cache.read_point();
        let loaded = world.read();
        drop(point.scope(|| world.cache.render(&fragment("row"), || loaded)));
    });
    let change = other.spawn(|world| {
        world.change();
        world.delete();
        assert_eq!(world.row(), "1", "stale after its own delete");
    });
    join([handler, change]);
    assert_eq!(one.row(), "1", "stale in the other process");
}

/// One process whose near level answers alone: a read of the store, and an invalidation.
fn near_fill_against_delete(without: Option<Protection>) {
    let (one, other) = processes(without, Duration::from_secs(3600));
    other.row();
    let read = one.spawn(|world| drop(world.row()));
    let change = one.spawn(|world| {
        world.change();
        world.delete();
        assert_eq!(world.row(), "1", "stale after its own delete");
    });
    join([read, change]);
    assert_eq!(one.row(), "1", "stale in the near level");
}

/// A process loses the store while it renders. The other process has published a deletion before a
/// caller joins that render.
fn follower_after_loss(without: Option<Protection>, page: fn(&World) -> String) {
    let (one, other, store) = losing(without, STRICT);
    let fill = one.spawn(move |world| drop(page(world)));
    let loss = thread::spawn(move || store.lose());
    let change = one.spawn(move |world| {
        world.change();
        other.delete();
        assert_eq!(page(world), "1", "stale in a follower");
    });
    join([fill, loss, change]);
    assert_eq!(page(&one), "1", "stale without the store");
}

fn row_after_loss(without: Option<Protection>) {
    follower_after_loss(without, World::row);
}

fn page_after_loss(without: Option<Protection>) {
    follower_after_loss(without, World::page);
}

#[test]
fn model_i1_a_follower_in_a_process_that_loses_the_store_after_a_deletion() {
    holds(row_after_loss);
}

#[test]
fn model_i1_a_follower_of_a_page_in_a_process_that_loses_the_store_after_a_deletion() {
    holds(page_after_loss);
}

#[test]
fn model_finds_the_stale_follower_when_it_takes_what_cannot_be_asked_about() {
    finds(row_after_loss, Protection::FollowerProof, "stale in a follower");
}

#[test]
fn model_finds_the_stale_follower_of_a_page_when_it_takes_what_cannot_be_asked_about() {
    finds(page_after_loss, Protection::FollowerProof, "stale in a follower");
}

/// One process refreshes a page while another changes its data.
fn refresh_against_delete(without: Option<Protection>) {
    let (one, other) = processes(without, STRICT);
    other.row();
    let refresh = one.spawn(|world| {
        let row = fragment("row").refresh(true);
        drop(world.cache.render(&row, || world.read()));
    });
    let change = other.spawn(|world| {
        world.change();
        world.delete();
    });
    join([refresh, change]);
    assert_eq!(other.row(), "1", "stale in the process that deleted it");
    assert_eq!(one.row(), "1", "stale in the other process");
}

#[test]
fn model_i1_a_refresh_of_one_process_against_a_delete_of_another() {
    holds(refresh_against_delete);
}

#[test]
fn model_finds_the_stale_refresh_when_it_writes_over_the_version_of_a_delete() {
    finds(refresh_against_delete, Protection::RewriteAsRead, "stale");
}

#[test]
fn model_i1_a_fill_of_one_process_against_a_delete_of_another() {
    holds(fill_against_delete);
}

#[test]
fn model_finds_the_stale_fill_when_versions_are_read_when_storing() {
    finds(fill_against_delete, Protection::VersionsAtReadPoint, "stale");
}

#[test]
fn model_i1_a_late_tag_against_an_invalidation_of_another_process() {
    holds(late_tag_against_invalidation);
}

#[test]
fn model_finds_the_stale_fill_when_no_fence_vouches_for_a_late_tag() {
    finds(late_tag_against_invalidation, Protection::LateFences, "stale");
}

#[test]
fn model_finds_the_stale_fill_when_a_fence_is_written_after_its_label() {
    finds(late_tag_against_invalidation, Protection::FenceFirst, "stale");
}

#[test]
fn model_i1_a_read_point_against_a_delete_of_another_process() {
    holds(read_point_against_delete);
}

#[test]
fn model_i1_a_read_of_the_store_against_a_delete_of_its_process() {
    holds(near_fill_against_delete);
}

#[test]
fn model_finds_the_stale_near_entry_when_the_cache_does_not_raise_again() {
    finds(near_fill_against_delete, Protection::RaiseAgain, "stale");
}

#[test]
fn model_finds_the_stale_near_entry_when_the_cache_marks_a_read_afterwards() {
    finds(near_fill_against_delete, Protection::MarkFill, "stale");
}
