//! The stress test for stale fills: processes on one store render, change data and
//! invalidate, while the store's version records are deleted at random. After all activity
//! has stopped, every process must serve the current data. `benches/benches/stale.rs`
//! prints the results of several caching schemes; `far/torture.rs` asserts them.

mod naive;
mod ours;
mod scheme;
mod truth;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fragcache::store::{Operation, Page, Store};
use fragcache_servers::memcached_keys;

use super::process::{Process, answer, orders};
use scheme::MEMCACHED;
use scheme::{SORTS, Shape};
pub(crate) use scheme::{Scheme, open};
use truth::{KEYS, Truth};

/// Number of processes.
const PROCESSES: usize = 4;

/// The result of some rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) rounds: u64,
    /// Rounds after which outdated data was served.
    pub(crate) stale: u64,
    /// Hits after all activity had stopped, by sort of fragment.
    pub(crate) hits: [u64; SORTS],
    /// The first stale fragments, for debugging.
    pub(crate) seen: Vec<String>,
}

/// The rounds to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) most: u64,
    /// Whether to stop after the first stale round.
    pub(crate) until_stale: bool,
}

/// Runs rounds of a scheme on a store. `arguments` lead this program to [`take_part`].
pub(crate) fn run(scheme: Scheme, place: &str, arguments: &[&str], rounds: Rounds) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("truth");
    Truth::create(&file);
    let given = ["torture", scheme.name(), place, file.to_str().unwrap()];
    let mut processes: Vec<Process> =
        (0..PROCESSES).map(|_| Process::start(arguments, &given)).collect();
    let mut evictor = Evictor::new(scheme, place);
    evictor.evict(1.0, 1.0);
    let mut outcome = Outcome::default();
    while outcome.rounds < rounds.most && !(rounds.until_stale && outcome.stale > 0) {
        // Half of the rounds begin cold.
        if evictor.random.bool() {
            evictor.evict(1.0, 0.0);
        }
        let seed = evictor.random.u64(..);
        for (number, process) in processes.iter_mut().enumerate() {
            let writer = (number + outcome.rounds as usize) % PROCESSES;
            process.tell(&format!("{seed} {writer}"));
        }
        evictor.forget_some();
        processes.iter_mut().for_each(|process| assert_eq!(process.hear(), "done"));
        evictor.forget_some();
        processes.iter_mut().for_each(|process| process.tell("check"));
        let checked: Vec<String> = processes.iter_mut().map(Process::hear).collect();
        outcome.rounds += 1;
        let is_stale = checked.iter().filter(|line| !outcome.add(line)).count() > 0;
        if is_stale {
            outcome.stale += 1;
            evictor.evict(1.0, 1.0);
        }
    }
    outcome
}

impl Outcome {
    /// Adds the result of a process's check. Returns whether nothing was stale.
    fn add(&mut self, line: &str) -> bool {
        let (hits, stale) = line.split_once('|').unwrap();
        for (sum, hits) in self.hits.iter_mut().zip(hits.split(' ')) {
            *sum += hits.parse::<u64>().unwrap();
        }
        if !stale.is_empty() && self.seen.len() < 8 {
            self.seen.push(format!("round {}: {stale}", self.rounds));
        }
        stale.is_empty()
    }
}

/// Deletes records, like a server that is short of memory.
struct Evictor {
    store: Arc<dyn Store>,
    /// The address of a Memcached, which a store cannot list.
    memcached: Option<String>,
    prefix: &'static str,
    random: fastrand::Rng,
}

impl Evictor {
    fn new(scheme: Scheme, place: &str) -> Self {
        let memcached = place.strip_prefix(MEMCACHED).map(str::to_owned);
        let (store, prefix, random) = (open(place), scheme.prefix(), fastrand::Rng::new());
        Self { store, memcached, prefix, random }
    }

    /// Deletes version records at random: often none, often some, sometimes all.
    fn forget_some(&mut self) {
        let share = [0.0, 0.0, 0.02, 0.3, 1.0][self.random.usize(..5)];
        if share > 0.0 {
            self.evict(0.0, share);
        }
    }

    /// Deletes this share of the entries, and of the versions.
    fn evict(&mut self, entries: f64, versions: f64) {
        let mut cursor: Option<String> = None;
        loop {
            let page = match &self.memcached {
                Some(address) => Page::new(memcached_keys(address), None),
                None => self.store.scan(self.prefix, cursor.as_deref()).unwrap(),
            };
            let share = |key: &str| match () {
                () if key.contains(":v:") => versions,
                () if key.contains(":e:") => entries,
                () => 0.0,
            };
            let goes = |key: &&String| self.random.f64() < share(key);
            let mut deletes = Vec::new();
            for key in page.keys.iter().filter(goes) {
                deletes.push(Operation::Delete { key });
            }
            if !deletes.is_empty() {
                self.store.run(&deletes).unwrap();
            }
            cursor = page.next;
            if cursor.is_none() {
                return;
            }
        }
    }
}

/// Runs in each of the processes, until the input ends.
pub(crate) fn take_part(given: &[String]) {
    let [scheme, place, file] = given else { panic!("given {given:?}") };
    let (cached, truth) = (Scheme::of_name(scheme).open(open(place)), Truth::open(&path(file)));
    for order in orders() {
        if order == "check" {
            cached.settle();
            answer(&check(&*cached, &truth));
            continue;
        }
        let numbers: Vec<u64> = order.split(' ').map(|number| number.parse().unwrap()).collect();
        let mut random = fastrand::Rng::with_seed(numbers[0] ^ numbers[1]);
        let mine = numbers[1] as usize;
        let steps = random.usize(2..7);
        let change_at = random.usize(..steps);
        for step in 0..steps {
            if step == change_at && mine < KEYS {
                truth.change(mine);
                cached.changed(mine, &mut random);
            }
            let pauses = random.u64(..8);
            let read = |key| {
                let value = truth.of(key);
                dawdle(pauses);
                value
            };
            cached.serve(Shape::any(&mut random), &read);
        }
        answer("done");
    }
}

fn path(file: &str) -> PathBuf {
    Path::new(file).to_owned()
}

/// Pauses, so that other processes can run in between.
fn dawdle(pauses: u64) {
    if pauses % 4 == 3 {
        std::thread::park_timeout(Duration::from_micros(100 * pauses));
    }
    (0..pauses).for_each(|_| std::thread::yield_now());
}

/// The hits, `|`, and the outdated texts.
fn check(cached: &dyn scheme::Cached, truth: &Truth) -> String {
    let mut hits = [0; SORTS];
    let mut stale = BTreeMap::new();
    for shape in Shape::all() {
        let read = |key| truth.of(key);
        let ((text, is_rendered), expected) = (cached.serve(shape, &read), shape.text(read));
        if text != expected {
            stale.insert(format!("{shape:?}"), format!("{text} for {expected}"));
        }
        hits[shape.sort()] += u64::from(!is_rendered);
    }
    let hits: Vec<String> = hits.iter().map(u64::to_string).collect();
    let stale: Vec<String> = stale.iter().map(|(shape, text)| format!("{shape} {text}")).collect();
    format!("{}|{}", hits.join(" "), stale.join(", "))
}
