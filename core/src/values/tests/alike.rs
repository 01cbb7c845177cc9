//! Operations on several values against the same operations one by one, at random: their results,
//! the events of each key, and what every process reads afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use super::many::{FRONTS, Shop, process_with, store, told};
use crate::events::EventKind;
use crate::store::Fault;
use crate::testing::{ManualClock, Recorder};
use crate::tests::random::Random;
use crate::values::{SetOptions, SetReport, Values};
use crate::{ErrorKind, FarLevel, Invalidation, Timeout};

/// Two processes on one store, and the events of each by key.
struct World {
    store: Shop,
    clocks: [ManualClock; 2],
    recorders: [Recorder; 2],
    processes: [Values; 2],
    is_one_by_one: bool,
}

impl World {
    fn new(front: fn(FarLevel) -> FarLevel, is_one_by_one: bool) -> Self {
        let store = store();
        let clocks = [ManualClock::new(), ManualClock::new()];
        let recorders = [Recorder::new(), Recorder::new()];
        let process = |of: usize| {
            process_with(&store, front, |builder| {
                let builder = builder.clock(clocks[of].clone()).observer(recorders[of].clone());
                builder.max_entry_bytes(1000)
            })
        };
        let processes = [process(0), process(1)];
        Self { store, clocks, recorders, processes, is_one_by_one }
    }

    fn set(&self, of: usize, pairs: &[(usize, String)], options: &SetOptions) -> Vec<SetReport> {
        let values = &self.processes[of];
        match self.is_one_by_one {
            true => pairs
                .iter()
                .map(|(key, value)| match values.set_with(key, value, options) {
                    Err(error) if error.kind() == ErrorKind::Store => SetReport::Unconfirmed,
                    done => {
                        if done.unwrap() {
                            SetReport::Stored
                        } else {
                            SetReport::NotStored
                        }
                    }
                })
                .collect(),
            false => {
                values.set_many(pairs.iter().map(|(key, value)| (key, value)), options).unwrap()
            }
        }
    }

    fn delete(&self, of: usize, keys: &[usize]) -> Vec<Invalidation> {
        let values = &self.processes[of];
        match self.is_one_by_one {
            true => keys.iter().map(|key| values.delete(key)).collect(),
            false => values.delete_many(keys),
        }
    }

    /// What every process reads.
    fn seen(&self) -> Vec<Option<String>> {
        let keys = (0..KEYS).flat_map(|key| [(0, key), (1, key)]);
        keys.map(|(of, key)| self.processes[of].get::<String>(key)).collect()
    }

    /// The events of each process by key since the last call, in order.
    fn events(&self) -> BTreeMap<(usize, String), Vec<EventKind>> {
        let mut told: BTreeMap<_, Vec<EventKind>> = BTreeMap::new();
        for (of, recorder) in self.recorders.iter().enumerate() {
            for event in recorder.events() {
                if let Some(key) = event.key {
                    told.entry((of, key.to_string())).or_default().push(event.kind);
                }
            }
            recorder.reset();
        }
        told
    }
}

const KEYS: usize = 12;

#[test]
fn several_at_a_time_are_the_same_as_one_by_one() {
    for seed in 0..40 {
        let front = FRONTS[seed % FRONTS.len()];
        let worlds = [World::new(front, true), World::new(front, false)];
        let mut random = Random::new(seed as u64);
        for step in 0..30 {
            let of = random.below(2);
            let count = random.below(20);
            let keys: Vec<usize> = (0..count).map(|_| random.below(KEYS)).collect();
            let what = random.below(10);
            let length = if random.one_in(4) { 990 } else { 3 };
            let pairs: Vec<(usize, String)> = keys
                .iter()
                .map(|&key| (key, "x".repeat(random.below(20) + length) + &step.to_string()))
                .collect();
            let options = match random.below(6) {
                0 => SetOptions::new().timeout(Timeout::Delete),
                1 => SetOptions::new().tags(["a", "b"]),
                2 => SetOptions::new().expires_after(Duration::from_secs(3)),
                _ => SetOptions::new().tags([format!("tag:{step}")]),
            };
            // The worker retries after a quarter of a second.
            let is_refusing = seed % 4 == 0 && random.one_in(10);
            let said = worlds.each_ref().map(|world| {
                // An outdated snapshot of the fences costs a fill now and then.
                let values = &world.processes[of];
                values.cache.invalidate_tags(["nobody's"]).unwrap().eventually();
                if is_refusing {
                    world.store.fail_writes(Fault::Refused);
                }
                let done = match what {
                    0..5 => format!("{:?}", world.set(of, &pairs, &options)),
                    5..7 => format!("{:?}", world.delete(of, &keys)),
                    7 => format!("{:?}", values.cache.invalidate_tags(["a"]).unwrap()),
                    8 => {
                        world.clocks.iter().for_each(|clock| clock.advance(Duration::from_secs(1)));
                        String::new()
                    }
                    _ => {
                        let point = values.cache.read_point();
                        world.processes[1 - of].delete_many(&keys[..count / 2]);
                        point.scope(|| format!("{:?}", world.set(of, &pairs, &options)))
                    }
                };
                world.store.heal();
                (done, world.events())
            });
            let seen = worlds.each_ref().map(|world| {
                world.processes.iter().for_each(told);
                (world.seen(), world.events())
            });
            for [one, many] in [said, seen.map(|(seen, told)| (format!("{seen:?}"), told))] {
                assert_eq!(one, many, "seed {seed}, step {step}, {what}");
            }
        }
    }
}
