//! Histories that test I1: after an invalidation has returned, no read that starts later returns
//! the output of a render whose read point precedes it, for this fragment and for all that contain
//! it.
//!
//! A history is generated from a seed. Its callers open nested fragments, close them and fail;
//! between their steps come other callers, invalidations, time, evictions and reloads. It runs one
//! step at a time, on one thread, with the real cache. Each served output is compared with what may
//! be served ([`truth`]).
//!
//! There is no data. A render loads all data after its read point, so its output counts as being as
//! old as that point: what would be stale for real data is stale here too. Callers on one thread
//! never wait for each other, because each wait would close a cycle; the models cover followers and
//! hand-overs.
//!
//! With a store, the callers and invalidations belong to two processes, and the store sometimes
//! forgets a record. What one process has invalidated, the other must no longer serve. A caller
//! does not wait for a render of the other process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod api;
mod caller;
mod changes;
mod tests;
mod truth;

use std::time::Duration;

use crate::clock::Clock;
use crate::protection::Protection;
use crate::store::Store;
use crate::testing::{ManualClock, MemoryStore};
use crate::tests::random::Random;
use crate::{CacheBuilder, CacheMode, FarLevel, FragmentCache, fragment_key};
use caller::Caller;
use changes::Collected;
use truth::{NAMES, PARTS, Place, TEMPLATES, Truth};

/// Steps of a history.
const STEPS: u32 = 100;

/// Number of processes that share the store.
const PROCESSES: usize = 2;

/// Where fragments are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// In one process.
    InMemory,
    /// In a store that two processes share.
    InStore,
}

/// How a history failed.
#[derive(Debug)]
#[allow(dead_code, reason = "for who reads it")]
enum Wrong {
    /// It served an output that may not be served.
    Served(String),
    /// It left flights behind.
    Flights(u64),
}

/// A cache and its namespaces. The first one is the root.
struct Process {
    root: FragmentCache,
    spaces: Vec<FragmentCache>,
}

impl Process {
    fn new(builder: CacheBuilder) -> Self {
        let root = builder.build().unwrap();
        let spaces = api::spaces(&root);
        Self { root, spaces }
    }
}

/// What the histories have done, so that a test can assert that they did something.
#[derive(Debug, Default, Clone, Copy)]
struct Work {
    hits: u64,
    stores: u64,
    refusals: u64,
    evictions: u64,
}

impl Work {
    fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.stores += other.stores;
        self.refusals += other.refusals;
        self.evictions += other.evictions;
    }
}

/// A history in progress.
struct History<'a> {
    random: Random,
    clock: ManualClock,
    processes: Vec<Process>,
    /// The store that the processes share.
    store: Option<MemoryStore>,
    truth: Truth,
    callers: Vec<Caller>,
    batches: Vec<Collected>,
    /// The delay before invalidations are repeated, in seconds.
    lag: Option<u64>,
    generations: [usize; TEMPLATES],
    /// Percentage of steps that invalidate.
    invalidations: usize,
    work: Work,
    /// The log of steps, if wanted.
    told: Option<&'a mut Vec<String>>,
}

impl<'a> History<'a> {
    fn new(
        stored: Stored,
        seed: u64,
        without: Option<Protection>,
        told: Option<&'a mut Vec<String>>,
    ) -> Self {
        let mut random = Random::new(seed);
        let clock = ManualClock::new();
        let mut builder = FragmentCache::builder()
            .clock(clock.clone())
            .max_labels([1, 2, 3, 6, 1_000, 1_000][random.below(6)])
            .max_entries([2, 4, 100, 100][random.below(4)])
            .max_bytes([1_200, 100_000, 100_000][random.below(3)]);
        if random.one_in(4) {
            // Observed hits take a different code path.
            builder = builder.observer(crate::testing::Recorder::new());
        }
        // With a store, the background worker repeats invalidations, and it does not use this
        // clock.
        let lag = random.one_in(5).then(|| 1 + random.below(4) as u64);
        let lag = lag.filter(|_| stored == Stored::InMemory);
        if let Some(lag) = lag {
            builder = builder.replica_lag(Duration::from_secs(lag));
        }
        if random.one_in(3) {
            builder = builder.stale_window(Duration::from_secs(1 + random.below(10) as u64));
        }
        if random.one_in(6) {
            // Early refreshes draw from this generator.
            fastrand::seed(seed);
            builder = builder.early_refresh(1.0);
        }
        if let Some(protection) = without {
            builder = builder.without(protection);
        }
        let (store, processes) = match stored {
            Stored::InMemory => (None, vec![Process::new(builder)]),
            Stored::InStore => {
                let store = MemoryStore::with_clock(clock.clone());
                let process = |_| {
                    let level = FarLevel::new(store.clone());
                    let level = if random.one_in(4) { level.without_near() } else { level };
                    Process::new(builder.clone().wait_limit(Duration::ZERO).far(level))
                };
                let processes = (0..PROCESSES).map(process).collect();
                (Some(store), processes)
            }
        };
        let invalidations = [3, 8, 16][random.below(3)];
        let unbounded = random.one_in(4);
        let count = 1 + random.below(4);
        let callers = (0..count).map(|who| Caller::new(who % processes.len(), unbounded)).collect();
        Self {
            random,
            clock,
            processes,
            store,
            truth: Truth::new(),
            callers,
            batches: Vec::new(),
            lag,
            generations: [0; TEMPLATES],
            invalidations,
            work: Work::default(),
            told,
        }
    }

    fn log(&mut self, text: impl FnOnce() -> String) {
        let step = self.truth.step;
        if let Some(told) = &mut self.told {
            told.push(format!("{step:3} {}", text()));
        }
    }

    fn check(&mut self, markup: &str, place: Place, any_variant: bool) -> Result<(), Wrong> {
        self.truth.check(markup, place, any_variant).map_err(Wrong::Served)
    }

    fn step(&mut self) -> Result<(), Wrong> {
        self.truth.step += 1;
        if self.store.is_some() && self.random.one_in(25) {
            self.forget();
            return Ok(());
        }
        match self.random.below(100) {
            0..6 => self.pass_time(),
            6..8 => self.reload(),
            8..9 => self.switch(),
            9..13 => return self.look(),
            drawn if drawn < 13 + self.invalidations => self.change(),
            _ => {
                let who = self.random.below(self.callers.len());
                return self.caller_step(who);
            }
        }
        Ok(())
    }

    fn draw_space(&mut self) -> usize {
        self.random.below(4) / 3 % self.processes[0].spaces.len()
    }

    fn draw_process(&mut self) -> usize {
        match self.processes.len() {
            1 => 0,
            several => self.random.below(several),
        }
    }

    /// The store forgets a record.
    fn forget(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let mut keys = store.keys();
        keys.sort_unstable();
        if keys.is_empty() {
            return;
        }
        let key = keys.swap_remove(self.random.below(keys.len()));
        self.log(|| format!("the store forgets {key}"));
        store.delete(&key).unwrap();
    }

    /// Whole seconds of the clock.
    fn seconds(&self) -> u64 {
        self.clock.now().as_secs()
    }

    fn pass_time(&mut self) {
        let seconds = 1 + self.random.below(6) as u64;
        self.log(|| format!("{seconds} s pass"));
        self.clock.advance(Duration::from_secs(seconds));
        self.truth.pass_time(self.seconds());
    }

    fn reload(&mut self) {
        let template = self.random.below(TEMPLATES);
        self.log(|| format!("template{template} is reloaded"));
        self.generations[template] = (self.generations[template] + 1) % api::GENERATIONS;
    }

    fn switch(&mut self) {
        let mode = [CacheMode::Normal, CacheMode::Normal, CacheMode::ReadOnly, CacheMode::Bypass];
        let mode = mode[self.random.below(mode.len())];
        let process = self.draw_process();
        self.log(|| format!("the mode of process {process} is {mode:?}"));
        self.processes[process].root.set_mode(mode);
    }

    /// Rust code reads a stored fragment.
    fn look(&mut self) -> Result<(), Wrong> {
        let (name, part) = (self.random.below(NAMES), self.random.below(PARTS));
        let namespace = self.draw_space();
        let process = self.draw_process();
        self.look_at(process, namespace, name, part)
    }

    fn look_at(
        &mut self,
        process: usize,
        namespace: usize,
        name: usize,
        part: usize,
    ) -> Result<(), Wrong> {
        let key = fragment_key!(api::NAME[name], part);
        let space = &self.processes[process].spaces[namespace];
        let Some(markup) = space.get(&key).unwrap() else { return Ok(()) };
        self.log(|| format!("process {process} gets {namespace}:name{name}/{part}: {markup}"));
        let place = Place {
            namespace,
            name,
            part,
            template: 0,
            generation: 0,
            version: 0,
            html: true,
            rust: false,
        };
        self.check(&markup, place, true)
    }

    fn run(mut self) -> Result<Work, Wrong> {
        for _ in 0..STEPS {
            self.step()?;
        }
        for caller in self.callers.drain(..) {
            caller.end();
        }
        self.truth.step += 1;
        for process in 0..self.processes.len() {
            for namespace in 0..self.processes[process].spaces.len() {
                for name in 0..NAMES {
                    for part in 0..PARTS {
                        self.look_at(process, namespace, name, part)?;
                    }
                }
            }
        }
        let mut work = Work { hits: self.work.hits, ..Work::default() };
        for process in &self.processes {
            let stats = process.root.stats();
            if stats.flights > 0 {
                return Err(Wrong::Flights(stats.flights));
            }
            let (stores, refusals) = (stats.stores, stats.refusals);
            work.add(Work { hits: 0, stores, refusals, evictions: stats.evictions });
        }
        Ok(work)
    }
}

/// Runs the history of a seed.
fn run(stored: Stored, seed: u64, without: Option<Protection>) -> Result<Work, Wrong> {
    History::new(stored, seed, without, None).run()
}

/// The log of a seed's history, and its result. With a store, a history depends a little on the
/// background workers, so this repeats it until it fails, if it does.
fn tell(stored: Stored, seed: u64, without: Option<Protection>) -> String {
    let mut told = Vec::new();
    let mut outcome = History::new(stored, seed, without, Some(&mut told)).run();
    for _ in 0..200 {
        if outcome.is_err() {
            break;
        }
        told.clear();
        outcome = History::new(stored, seed, without, Some(&mut told)).run();
    }
    format!("seed {seed} {stored:?}:\n{}\n{outcome:?}", told.join("\n"))
}
