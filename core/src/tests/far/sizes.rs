//! Large fragments do not affect others: deletions read no bodies, and large bodies are read
//! separately.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::fragment;
use super::{FRONTS, Front};
use crate::store::{self, Fault};
use crate::{Fragment, Invalidation, fragment_key};

#[test]
fn a_deletion_reads_no_bodies_and_takes_two_round_trips() {
    const MANY: u32 = 128;
    for &front in FRONTS {
        let (one, other, store) = front.two();
        let keys: Vec<_> = (0..MANY).map(|id| fragment_key!("row", id)).collect();
        for key in &keys[1..] {
            one.cache.render(Fragment::new(key.clone()), || "markup").unwrap();
        }
        // Simulates bodies that are too large for one deadline.
        store.fail_keys(Fault::Refused, |key| key.contains(":e:"));
        let trips = || {
            let before = other.cache.health().round_trips;
            let done = other.cache.delete_many(&keys);
            (done, other.cache.health().round_trips - before)
        };
        let (done, first) = trips();
        assert_eq!(done[0], Invalidation::Absent);
        assert!(done[1..].iter().all(|&done| done == Invalidation::Removed), "{front:?}: {done:?}");
        let (again, second) = trips();
        assert!(again.iter().all(|&done| done == Invalidation::Absent), "{front:?}: {again:?}");
        // The worker may have queried once in between.
        assert!(first.min(second) == 2, "{front:?}: {first} and {second} round trips");
    }
}

#[test]
fn a_deletion_tells_what_could_be_served_as_far_as_the_key_tells() {
    for &front in FRONTS {
        let endings: [fn(&super::Rig); 4] = [
            |rig| rig.cache.clear().eventually(),
            |rig| rig.cache.delete_name("row").eventually(),
            |rig| rig.cache.delete(&fragment_key!("row")).eventually(),
            |rig| rig.clock.advance(Duration::from_secs(61)),
        ];
        for (number, end) in endings.iter().enumerate() {
            let (one, other, _) = front.two();
            let row = fragment("row").expires_after(Duration::from_secs(60));
            one.cache.render(&row, || "markup").unwrap();
            end(&other);
            let done = other.cache.delete(row.key());
            assert_eq!(done, Invalidation::Absent, "{front:?}, ending {number}");
        }
    }
}

#[test]
fn a_prefetch_of_large_fragments_is_read_in_parts() {
    const ROWS: u32 = 200;
    let (one, _, store) = Front::None.two();
    let rows: Vec<_> = (0..ROWS).map(|id| Fragment::new(fragment_key!("row", id))).collect();
    // Random letters, because repetitions would be compressed.
    let mut random = fastrand::Rng::with_seed(7);
    let body: String = (0..16 << 10).map(|_| random.alphanumeric()).collect();
    for row in &rows {
        one.cache.render(row, || body.as_str()).unwrap();
    }
    let largest = Largest { store, bytes: std::sync::Arc::default() };
    let process = || {
        let level = crate::FarLevel::new(largest.clone()).without_near();
        super::super::rig_with(|builder| builder.jitter(0.0).far(level))
    };
    let other = process();
    for _ in 0..2 {
        // First by the lists of variants, then by the known block.
        let hits = other.cache.stats().hits;
        other.cache.prefetch(rows.iter().map(Fragment::key), || {
            for row in &rows {
                assert_eq!(&*other.cache.render(row, || "unused").unwrap(), body.as_str());
            }
        });
        assert_eq!(other.cache.stats().hits - hits, u64::from(ROWS));
        let bytes = largest.bytes.swap(0, Ordering::SeqCst);
        assert!(bytes < 3 << 19, "{bytes} bytes came in one call");
    }
}

/// Records the maximum number of bytes that a call returns.
#[derive(Debug, Clone)]
struct Largest {
    store: super::Store,
    bytes: std::sync::Arc<AtomicUsize>,
}

impl store::Store for Largest {
    fn capabilities(&self) -> store::Capabilities {
        self.store.capabilities()
    }

    fn run(
        &self,
        operations: &[store::Operation<'_>],
    ) -> Result<Vec<store::Reply>, store::StoreError> {
        let replies = self.store.run(operations)?;
        let bytes = replies.iter().map(|reply| match reply {
            store::Reply::Value(Some(value)) => value.len(),
            _ => 0,
        });
        self.bytes.fetch_max(bytes.sum(), Ordering::SeqCst);
        Ok(replies)
    }
}
