//! Leases are returned and background work continues, regardless of failures of a store or a
//! process: no lease outlives its frame, the worker survives, and a page waits only once for a dead
//! process.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Gate, block, fragment, rig_with};
use super::outages::until;
use super::{FRONTS, Front, store};
use crate::engine::{Body, Opened, OutputMode, RenderContext, RenderMemo, Scalar};
use crate::events::{BypassReason, EventKind};
use crate::far::Far;
use crate::store::{Capabilities, Operation, Reply, Store, StoreError};
use crate::sync::Mutex;
use crate::testing::MemoryStore;
use crate::{FarLevel, Fragment, FragmentCache, Invalidation, fragment_key};

/// A store whose code panics at keys of some kinds.
#[derive(Debug, Clone, Default)]
struct Panics {
    store: MemoryStore,
    at: Arc<Mutex<HashSet<&'static str>>>,
}

impl Panics {
    fn at(&self, kinds: &[&'static str]) {
        *self.at.lock() = kinds.iter().copied().collect();
    }

    fn pass<'k>(&self, mut keys: impl Iterator<Item = &'k str>) -> &MemoryStore {
        let at = self.at.lock().clone();
        let panics = keys.any(|key| at.iter().any(|kind| key.contains(kind)));
        assert!(!panics, "the store has a bug, which a test asked for");
        &self.store
    }

    fn leases(&self) -> usize {
        self.store.keys().iter().filter(|key| key.contains(":l:")).count()
    }

    fn process(&self) -> super::Rig {
        let level = FarLevel::new(self.clone());
        rig_with(|builder| builder.jitter(0.0).far(level))
    }
}

impl Store for Panics {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        self.pass(operations.iter().map(Operation::key)).run(operations)
    }
}

#[test]
fn i3_a_store_that_panics_costs_no_page_and_leaves_no_lease() {
    // Variants are written, entries are read, leases are taken and returned.
    for kinds in [&[":n:"][..], &[":e:"], &[":l:"], &[":v:"], &[":e:", ":l:", ":n:", ":v:", ":m"]] {
        let store = Panics::default();
        let (one, other) = (store.process(), store.process());
        store.at(kinds);
        assert_eq!(&*one.say("row", "one"), "one", "{kinds:?}");
        assert_eq!(one.cache.health().last_fault.as_deref(), Some("the store panicked"));
        store.at(&[]);
        until("no lease is left", || store.leases() == 0 && one.cache.health().leases == 0);
        assert_eq!(&*other.say("row", "two"), "two", "{kinds:?}");
        assert_eq!(other.cache.stats().bypasses, 0, "nobody waits for what has ended: {kinds:?}");
    }
}

#[test]
fn i1_a_store_that_panics_when_it_is_told_is_told_later() {
    let store = Panics::default();
    let (one, other) = (store.process(), store.process());
    one.say("row", "old");
    store.at(&[":v:"]);
    assert_eq!(one.cache.delete(&fragment_key!("row")), Invalidation::Pending);
    store.at(&[]);
    until("it is told", || one.cache.health().pending_invalidations == 0);
    assert_eq!(&*other.say("row", "new"), "new");
}

#[test]
fn i3_the_worker_survives_a_store_that_panics_and_says_so() {
    let store = Panics::default();
    let one = store.process();
    store.at(&[":m"]);
    let panicked = || one.cache.health().last_fault.as_deref() == Some("the store panicked");
    until("the worker has met it", panicked);
    // Later runs of the worker succeed, and follow the mode of the fleet.
    store.at(&[]);
    let admin = crate::admin::Admin::new(&one.cache).unwrap();
    admin.set_fleet_mode(crate::CacheMode::Bypass, Duration::from_secs(60)).unwrap();
    until("it asks again", || one.cache.health().fleet_mode == crate::CacheMode::Bypass);
}

/// Renders nested fragments, with `innermost` as the innermost.
fn nest(cache: &FragmentCache, depth: usize, innermost: &dyn Fn() -> String) -> String {
    let inside = || match depth {
        1 => innermost(),
        _ => nest(cache, depth - 1, innermost),
    };
    cache.render(fragment(&format!("level {depth}")), inside).unwrap().to_string()
}

const DEPTH: usize = 6;

/// Round trips of a fragment without waiting: a lookup, the reads with the lease, and sometimes the
/// fences.
const UNWAITED: u64 = 4;

#[test]
fn i7_a_page_waits_once_for_a_process_that_died_inside_nested_fragments() {
    for &front in FRONTS {
        let store = store();
        let (dead, one) = (front.patient(&store), front.process(&store));
        let (begun, ends) = (Gate::default(), Gate::default());
        std::thread::scope(|threads| {
            // Simulates a killed process: it holds six leases and stops here.
            threads.spawn(|| {
                nest(&dead.cache, DEPTH, &|| {
                    begun.open();
                    ends.pass();
                    String::new()
                })
            });
            begun.pass();
            let printed = one.cache.render(fragment("level 6"), || {
                // It has waited up to its limit. No inner fragment waits again.
                store.reset_counts();
                nest(&one.cache, DEPTH - 1, &|| "page".to_owned())
            });
            let trips = store.round_trips();
            ends.open();
            assert_eq!(&*printed.unwrap(), "page", "{front:?}");
            assert!(trips <= DEPTH as u64 * UNWAITED, "{front:?}: {trips} round trips");
        });
        let waited = EventKind::Bypassed(BypassReason::WaitLimit);
        let events = one.recorder.events();
        assert_eq!(events.iter().filter(|event| event.kind == waited).count(), DEPTH, "{front:?}");
    }
}

/// Sibling blocks in one render of an engine.
#[test]
fn i7_a_page_waits_once_for_a_process_that_died_inside_one_of_many_blocks() {
    struct Render(Arc<RenderMemo>);
    impl RenderContext for Render {
        fn mode(&self) -> OutputMode {
            OutputMode::HTML
        }

        fn is_bounded(&self) -> bool {
            true
        }

        fn memo(&mut self) -> Option<Arc<RenderMemo>> {
            Some(Arc::clone(&self.0))
        }

        fn read_point(&mut self) -> Option<crate::ReadPoint> {
            None
        }
    }
    let store = store();
    let (dead, one) = (Front::Strict.patient(&store), Front::Strict.process(&store));
    let blocks: Vec<_> = (0..DEPTH).map(|n| block(&format!("block{n}"), "page.html", "")).collect();
    let name = |number: usize| format!("block {number}");
    let (begun, ends) = (Gate::default(), Gate::default());
    std::thread::scope(|threads| {
        // Simulates a killed process: it holds a lease of each block and stops here.
        threads.spawn(|| {
            let open = |(number, block): (usize, &super::super::Block)| {
                let name = name(number);
                block.open(&dead.cache, OutputMode::HTML, &[Scalar::Int(60), Scalar::Str(&name)])
            };
            let held: Vec<_> = blocks.iter().enumerate().map(open).collect();
            begun.open();
            ends.pass();
            drop(held);
        });
        begun.pass();
        let mut render = Render(Arc::default());
        for (number, block) in blocks.iter().enumerate() {
            let name = name(number);
            let args = [Scalar::Int(60), Scalar::Str(&name)];
            let Opened::Render(ticket) = block.open_as(&one.cache, &args, &mut render) else {
                panic!("nothing is stored");
            };
            drop(ticket.close(Body::from("page")));
            if number == 0 {
                store.reset_counts();
            }
        }
        let trips = store.round_trips();
        ends.open();
        assert!(trips <= DEPTH as u64 * UNWAITED, "{trips} round trips");
    });
}

/// A process reads from a lagging replica and stores outdated data meanwhile. The repeated
/// invalidation removes it.
#[test]
fn i1_repeats_are_told_together_and_reach_what_was_stored_meanwhile() {
    const MANY: usize = 2_000;
    let store = store();
    let one = Front::Strict.with(&store, |builder| builder.replica_lag(Duration::from_secs(1)));
    let other = Front::Strict.process(&store);
    for n in 0..MANY {
        one.cache.invalidate_tags([format!("tag {n}")]).unwrap().eventually();
    }
    let row = fragment("row").tags([format!("tag {}", MANY - 1)]);
    other.cache.render(&row, || "old").unwrap();
    assert!(one.cache.health().waiting_repeats > 0);
    store.reset_counts();
    until("all are told", || one.cache.health().waiting_repeats == 0);
    // A few calls for thousands of labels, plus the workers' own calls.
    assert!(store.round_trips() < 100, "{} round trips", store.round_trips());
    assert_eq!(&*other.cache.render(&row, || "new").unwrap(), "new");
}

#[test]
fn what_a_cache_would_have_told_is_told_when_it_ends() {
    for &front in FRONTS {
        let store = store();
        let other = front.process(&store);
        let row = fragment("row").tags(["tag"]);
        let one = front.with(&store, |builder| builder.replica_lag(Duration::from_secs(3600)));
        one.cache.invalidate_tags(["tag"]).unwrap().eventually();
        other.cache.render(&row, || "old").unwrap();
        drop(one);
        // The worker may hold the last handle of the cache, and publishes a moment later.
        let prints = |text: &'static str| {
            other.distrust();
            &*other.cache.render(&row, || text).unwrap() == text
        };
        until("it falls", || prints("new"));
        // Also the invalidations that it could not publish before.
        let one = front.process(&store);
        store.fail_writes(crate::store::Fault::Refused);
        assert_eq!(one.cache.invalidate_tags(["tag"]).unwrap(), Invalidation::Pending);
        store.heal();
        drop(one);
        until("it falls", || prints("newer"));
    }
}

#[test]
fn i2_a_lease_is_renewed_after_a_third_of_its_ttl() {
    const LEASE: Duration = Duration::from_secs(30);
    let level = FarLevel::new(MemoryStore::new()).lease(LEASE);
    let rig = rig_with(|builder| builder.far(level));
    let row = Fragment::new(fragment_key!("row"));
    rig.cache
        .render(&row, || {
            let renewed = rig.cache.handle.far().and_then(Far::next_renewal).expect("a lease");
            assert!(renewed <= crate::clock::instant() + LEASE / 3, "the lease ends before that");
            "row"
        })
        .unwrap();
}
