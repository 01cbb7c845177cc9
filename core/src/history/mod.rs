//! Histories against I1: once an invalidation has returned, no read that starts later gets output of
//! a render whose read point precedes it, in this fragment or in any that holds it.
//!
//! A history is drawn from a seed: callers that open fragments in each other, close them, fail, and
//! wait in between for other callers, invalidations, time, evictions and reloads; one step at a
//! time, on one thread, with the cache as it is. What is served is compared with what may be
//! ([`truth`]).
//!
//! There is no data here. Whatever a render loads, it loads after its read point, so its output
//! counts as old as that: what would be stale for the data is stale here, too. Callers of one thread
//! never wait for each other, as each wait would close a cycle; followers and hand-overs are the
//! matter of the models.
//!
//! In front of a store the callers and the invalidations are of two processes, and the store forgets a
//! record now and then. What one process has invalidated, the other serves no more. Who finds that the
//! other process renders does not wait for it.

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

/// Processes in front of a store.
const PROCESSES: usize = 2;

/// Where fragments are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// In one process.
    InMemory,
    /// In a store that two processes share.
    InStore,
}

/// How a history went wrong, in words.
#[derive(Debug)]
#[allow(dead_code, reason = "for who reads it")]
enum Wrong {
    /// It was served what may not be.
    Served(String),
    /// It left flights behind.
    Flights(u64),
}

/// A cache and its namespaces, the first of which is all of it.
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

/// What the histories had to do, so that a test can tell that they did something.
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

/// A history under way.
struct History<'a> {
    random: Random,
    clock: ManualClock,
    processes: Vec<Process>,
    /// What the processes share.
    store: Option<MemoryStore>,
    truth: Truth,
    callers: Vec<Caller>,
    batches: Vec<Collected>,
    /// After how many seconds invalidations are repeated.
    lag: Option<u64>,
    generations: [usize; TEMPLATES],
    /// How many of a hundred steps invalidate.
    invalidations: usize,
    work: Work,
    /// The steps in words, if they are wanted.
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
            // Hits take another way where they are observed.
            builder = builder.observer(crate::testing::Recorder::new());
        }
        // What is told to a store is repeated by its worker, whose time is not this clock's.
        let lag = random.one_in(5).then(|| 1 + random.below(4) as u64);
        let lag = lag.filter(|_| stored == Stored::InMemory);
        if let Some(lag) = lag {
            builder = builder.replica_lag(Duration::from_secs(lag));
        }
        if random.one_in(3) {
            builder = builder.stale_window(Duration::from_secs(1 + random.below(10) as u64));
        }
        if random.one_in(6) {
            // Refreshes before the end are drawn from this generator.
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

    /// Rust code looks at a stored fragment.
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

/// The history of a seed in words, and what it came to.
fn tell(stored: Stored, seed: u64, without: Option<Protection>) -> String {
    let mut told = Vec::new();
    let outcome = History::new(stored, seed, without, Some(&mut told)).run();
    format!("seed {seed} {stored:?}:\n{}\n{outcome:?}", told.join("\n"))
}
