//! Four processes on one server, through proxies that inject faults. Every read is checked:
//! after a process has reported an invalidation as done, no later read in any process serves
//! a body rendered before it. No page fails, and none shows the content of another key.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fragcache::{FarLevel, Fragment, FragmentCache, Invalidation, fragment_key};
use fragcache_redis::RedisStore;
use fragcache_servers::{Flavour, Mutation, Proxy, RedisServer, Way};

use super::process::{Process, answer, orders};

const PROCESSES: usize = 4;
const THREADS: usize = 3;
const KEYS: usize = 24;

/// Half of the pages use one of these keys.
const HOT_KEYS: usize = 4;

/// One of this many replies is changed.
const MUTATED: u32 = 40;

/// Signs the records of one of the servers.
const SECRET: &[u8] = b"the secret of these processes";

/// A link of 1 Gb/s, in bytes.
const GIGABIT: u64 = 125_000_000;

/// Duration of each fault.
fn phase() -> Duration {
    let seconds = std::env::var("FRAGCACHE_CHAOS_SECONDS").ok();
    Duration::from_secs_f64(seconds.map_or(0.7, |seconds| seconds.parse().unwrap()))
}

/// Numbers shared by all processes: the true value of each key, and the value up to which its
/// invalidations were reported as done.
struct Shared(File);

impl Shared {
    fn create(path: &Path) {
        std::fs::write(path, [0; 16 * KEYS]).unwrap();
    }

    fn open(path: &str) -> Self {
        Self(OpenOptions::new().read(true).write(true).open(path).unwrap())
    }

    fn read(&self, slot: usize) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 8 * slot as u64).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn write(&self, slot: usize, number: u64) {
        self.0.write_all_at(&number.to_le_bytes(), 8 * slot as u64).unwrap();
    }

    fn truth(&self, key: usize) -> u64 {
        self.read(key)
    }

    fn done(&self, key: usize) -> u64 {
        self.read(KEYS + key)
    }
}

/// A process's observations since the last query.
#[derive(Default)]
struct Seen {
    pages: u64,
    stale: u64,
    failed: u64,
    foreign: u64,
    changed: u64,
    pending: u64,
    /// Pages by duration, in eighths of powers of two of microseconds.
    took: BTreeMap<u32, u64>,
    example: String,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.pages += other.pages;
        self.stale += other.stale;
        self.failed += other.failed;
        self.foreign += other.foreign;
        self.changed += other.changed;
        self.pending += other.pending;
        for (&bucket, count) in &other.took {
            *self.took.entry(bucket).or_default() += count;
        }
        if self.example.is_empty() {
            self.example.clone_from(&other.example);
        }
    }

    fn note(&mut self, took: Duration) {
        self.pages += 1;
        let micros = (took.as_micros() as f64).max(1.0);
        *self.took.entry((micros.log2() * 8.0) as u32).or_default() += 1;
    }

    /// The maximum duration of this share of the pages.
    fn at(&self, share: f64) -> Duration {
        let mut left = (self.pages as f64 * share).ceil() as u64;
        for (&bucket, &count) in &self.took {
            if count >= left {
                return Duration::from_micros((f64::from(bucket + 1) / 8.0).exp2() as u64);
            }
            left -= count;
        }
        Duration::ZERO
    }

    fn line(&self) -> String {
        let Self { pages, stale, failed, foreign, changed, pending, .. } = self;
        let mut line = format!("{pages} {stale} {failed} {foreign} {changed} {pending}");
        for (bucket, count) in &self.took {
            write!(line, " {bucket}:{count}").unwrap();
        }
        format!("{line}|{}", self.example)
    }

    fn of_line(line: &str) -> Self {
        let (numbers, example) = line.split_once('|').unwrap();
        let mut words = numbers.split(' ');
        let mut next = || words.next().unwrap().parse().unwrap();
        let [pages, stale, failed, foreign, changed, pending] = std::array::from_fn(|_| next());
        let pair = |word: &str| {
            let (bucket, count) = word.split_once(':').unwrap();
            (bucket.parse().unwrap(), count.parse().unwrap())
        };
        let took = words.map(pair).collect();
        let example = example.to_owned();
        Self { pages, stale, failed, foreign, changed, pending, took, example }
    }
}

/// One of the processes: renders pages until its input ends.
pub(super) fn take_part(given: &[String]) {
    let [url, file, number, signs] = given else { panic!("given {given:?}") };
    let level = FarLevel::new(RedisStore::connect(url).unwrap());
    let level = if signs == "signed" { level.mac_key(SECRET) } else { level };
    let site = Site {
        cache: FragmentCache::builder().far(level).build().unwrap(),
        shared: Shared::open(file),
        mine: std::array::from_fn(|_| AtomicU64::new(0)),
        number: number.parse().unwrap(),
        fillers: std::array::from_fn(filler),
        seen: std::sync::Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let site = &site;
            scope.spawn(move || site.make_pages(thread));
        }
        answer("ready");
        for _ in orders() {
            let seen = std::mem::take(&mut *site.seen.lock().unwrap());
            answer(&seen.line());
        }
        site.is_over.store(true, Ordering::SeqCst);
    });
}

struct Site {
    cache: FragmentCache,
    shared: Shared,
    /// Values up to which this process itself must see its invalidations, including
    /// those that the store has not received yet.
    mine: [AtomicU64; KEYS],
    number: usize,
    fillers: [String; KEYS],
    seen: std::sync::Mutex<Seen>,
    is_over: AtomicBool,
}

fn body_bytes(key: usize) -> usize {
    [16, 16, 16, 64, 16, 16, 256, 1024][key % 8] << 10
}

/// Text that does not compress, different for each key.
fn filler(key: usize) -> String {
    let mut random = fastrand::Rng::with_seed(key as u64);
    (0..body_bytes(key)).map(|_| random.alphanumeric()).collect()
}

fn tag(key: usize) -> String {
    format!("product:{key}")
}

impl Site {
    #[allow(clippy::disallowed_methods, reason = "pages are timed")]
    fn make_pages(&self, thread: usize) {
        let mut random = fastrand::Rng::new();
        while !self.is_over.load(Ordering::SeqCst) {
            let keys = if random.bool() { HOT_KEYS } else { KEYS };
            let key = random.usize(..keys);
            let floor = self.shared.done(key).max(self.mine[key].load(Ordering::SeqCst));
            let dawdles = Duration::from_micros(random.u64(..8) * random.u64(..1000));
            let start = Instant::now();
            let page = self.page(key, random.bool(), dawdles);
            let took = start.elapsed();
            let verdict = self.judge(key, floor, page);
            let mut seen = self.seen.lock().unwrap();
            seen.note(took);
            match verdict {
                Ok(()) => {}
                Err((count, what)) => {
                    *count(&mut seen) += 1;
                    if seen.example.is_empty() {
                        seen.example = what;
                    }
                }
            }
            drop(seen);
            if thread == 0 && random.u8(..8) == 0 {
                self.change(&mut random);
            }
        }
    }

    fn row(&self, key: usize, dawdles: Duration) -> Result<String, fragcache::Error> {
        let row = Fragment::new(fragment_key!("row", key)).tags([tag(key)]);
        let body = || {
            let truth = self.shared.truth(key);
            std::thread::park_timeout(dawdles);
            format!("row {key};{truth};{}", self.fillers[key])
        };
        self.cache.render(&row, body).map(|text| text.to_string())
    }

    fn page(
        &self,
        key: usize,
        is_around: bool,
        dawdles: Duration,
    ) -> Result<String, fragcache::Error> {
        if !is_around {
            return self.row(key, dawdles);
        }
        let around = Fragment::new(fragment_key!("around", key));
        let body = || self.row(key, dawdles).unwrap_or_else(|error| format!("error {error}"));
        self.cache.render(&around, body).map(|text| text.to_string())
    }

    /// Checks a page: it must be of this key, and no older than `floor`.
    #[allow(clippy::type_complexity, reason = "which number it counts in, and what was seen")]
    fn judge(
        &self,
        key: usize,
        floor: u64,
        page: Result<String, fragcache::Error>,
    ) -> Result<(), (fn(&mut Seen) -> &mut u64, String)> {
        let page = page.map_err(|error| {
            let count: fn(&mut Seen) -> &mut u64 = |seen| &mut seen.failed;
            (count, error.to_string())
        })?;
        let foreign = || {
            let count: fn(&mut Seen) -> &mut u64 = |seen| &mut seen.foreign;
            (count, format!("for row {key}: {:?}", page.get(..60)))
        };
        let mut parts = page.splitn(3, ';');
        let (Some(name), Some(version), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(foreign());
        };
        let is_whole = rest == self.fillers[key];
        let version: u64 = version.parse().map_err(|_| foreign())?;
        if name != format!("row {key}") || !is_whole {
            return Err(foreign());
        }
        if version < floor {
            return Err((|seen| &mut seen.stale, format!("row {key}: {version} after {floor}")));
        }
        Ok(())
    }

    /// Changes one of the keys that this process owns.
    fn change(&self, random: &mut fastrand::Rng) {
        let key = random.usize(..KEYS / PROCESSES) * PROCESSES + self.number;
        let truth = self.shared.truth(key) + 1;
        self.shared.write(key, truth);
        let done = self.cache.invalidate_tags([tag(key)]).unwrap();
        self.mine[key].store(truth, Ordering::SeqCst);
        let is_pending = matches!(done, Invalidation::Pending);
        if !is_pending {
            self.shared.write(KEYS + key, truth);
        }
        let mut seen = self.seen.lock().unwrap();
        seen.changed += 1;
        seen.pending += u64::from(is_pending);
    }
}

/// The processes, the server, and a proxy for each process: while one has lost the server, others
/// invalidate.
struct Fleet {
    server: RedisServer,
    ways: Vec<Proxy>,
    processes: Vec<Process>,
    file: String,
    /// `"signed"` or `"plain"`: whether the processes sign their records.
    signs: &'static str,
    /// Observations of processes that were killed.
    seen: Seen,
    _folder: tempfile::TempDir,
}

impl Fleet {
    fn start(flavour: Flavour, signs: &'static str) -> Self {
        let server = RedisServer::start(flavour);
        let ways = (0..PROCESSES).map(|_| Proxy::start(server.port())).collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shared");
        Shared::create(&file);
        let file = file.to_str().unwrap().to_owned();
        let mut fleet = Self {
            server,
            ways,
            processes: Vec::new(),
            file,
            signs,
            seen: Seen::default(),
            _folder: folder,
        };
        for number in 0..PROCESSES {
            let process = fleet.process(number);
            fleet.processes.push(process);
        }
        fleet
    }

    fn process(&self, number: usize) -> Process {
        let (url, number) = (self.ways[number].url(), number.to_string());
        let mut process = super::play("chaos", &[&url, &self.file, &number, self.signs]);
        assert_eq!(process.hear(), "ready");
        process
    }

    /// The observations of all processes during a fault.
    fn during(&mut self, fault: Fault) -> Seen {
        self.collect();
        fault.last(self);
        self.ways.iter().for_each(|way| way.set(Way::Open));
        self.collect()
    }

    fn collect(&mut self) -> Seen {
        let mut all = std::mem::take(&mut self.seen);
        self.processes.iter_mut().for_each(|process| process.tell("seen"));
        for process in &mut self.processes {
            all.add(&Seen::of_line(&process.hear()));
        }
        all
    }
}

/// A fault.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    ConnectionsKilled,
    ConnectionsReset,
    /// One process's proxy, in turn: in this mode and then open, for these milliseconds.
    Way(Way, u64, u64),
    /// All proxies in this mode.
    Ways(Way),
    ServerStopped,
    ServerKilled,
    ProcessStopped,
    ProcessKilled,
}

const FAULTS: [(&str, Fault); 19] = [
    ("none", Fault::None),
    ("connections killed", Fault::ConnectionsKilled),
    ("connections reset", Fault::ConnectionsReset),
    ("refused", Fault::Way(Way::Reset, 30, 70)),
    ("black hole", Fault::Way(Way::BlackHole, 80, 20)),
    ("half-open", Fault::Way(Way::HalfOpen, 80, 20)),
    ("100 KB/s", Fault::Way(Way::Bandwidth(100_000), 100, 20)),
    ("1 Gb/s", Fault::Ways(Way::Bandwidth(GIGABIT))),
    ("duplicated", Fault::Way(Way::Mutated(Mutation::Duplicated, MUTATED), 60, 0)),
    ("swapped", Fault::Way(Way::Mutated(Mutation::Swapped, MUTATED), 60, 0)),
    ("dropped", Fault::Way(Way::Mutated(Mutation::Dropped, MUTATED), 60, 0)),
    ("cut", Fault::Way(Way::Mutated(Mutation::Cut(200), MUTATED), 60, 0)),
    ("torn", Fault::Way(Way::Mutated(Mutation::Torn, MUTATED), 60, 0)),
    ("replaced", Fault::Way(Way::Mutated(Mutation::Replaced, MUTATED), 60, 0)),
    ("a bit flipped", Fault::Way(Way::Mutated(Mutation::Flipped, MUTATED), 60, 0)),
    ("server stopped", Fault::ServerStopped),
    ("server killed", Fault::ServerKilled),
    ("process stopped", Fault::ProcessStopped),
    ("process killed", Fault::ProcessKilled),
];

impl Fault {
    /// Repeats the fault for one phase.
    #[allow(clippy::disallowed_methods, reason = "faults last in real time")]
    fn last(self, fleet: &mut Fleet) {
        let (start, whole) = (Instant::now(), phase());
        let wait = |millis| {
            let left = whole.saturating_sub(start.elapsed());
            pause(Duration::from_millis(millis).min(left));
        };
        let mut times = 0;
        while start.elapsed() < whole {
            match self {
                Self::None => wait(1000),
                Self::ConnectionsKilled => {
                    let client = redis::Client::open(fleet.server.url()).unwrap();
                    let mut beside = client.get_connection().unwrap();
                    let mut kill = redis::cmd("CLIENT");
                    let kill = kill.arg("KILL").arg("TYPE").arg("normal");
                    let _: i64 = kill.query(&mut beside).unwrap();
                    wait(150);
                }
                Self::ConnectionsReset => {
                    fleet.ways[times % PROCESSES].reset();
                    wait(60);
                }
                Self::Way(way, bad, good) => {
                    let victim = &fleet.ways[times % PROCESSES];
                    victim.set(way);
                    wait(bad);
                    victim.set(Way::Open);
                    wait(good);
                }
                Self::Ways(way) => {
                    fleet.ways.iter().for_each(|each| each.set(way));
                    wait(10_000);
                }
                Self::ServerStopped => {
                    fleet.server.stop();
                    wait(100);
                    fleet.server.cont();
                    wait(200);
                }
                Self::ServerKilled => {
                    fleet.server.kill();
                    wait(60);
                    fleet.server.restart();
                    wait(250);
                }
                Self::ProcessStopped => {
                    let process = &fleet.processes[times % PROCESSES];
                    process.signal("STOP");
                    wait(100);
                    process.signal("CONT");
                    wait(50);
                }
                Self::ProcessKilled => {
                    let number = times % PROCESSES;
                    let seen = fleet.processes[number].ask("seen");
                    fleet.processes[number].kill();
                    fleet.seen.add(&Seen::of_line(&seen));
                    fleet.processes[number] = fleet.process(number);
                    wait(300);
                }
            }
            times += 1;
        }
    }
}

fn pause(time: Duration) {
    #[allow(clippy::disallowed_methods, reason = "faults last in real time")]
    let (start, now) = (Instant::now(), Instant::now);
    while now() - start < time {
        std::thread::park_timeout(time - (now() - start).min(time));
    }
}

/// Runs all faults and prints a row for each.
#[allow(clippy::print_stdout, reason = "figures for whoever asks by --nocapture")]
fn run(flavour: Flavour, signs: &'static str) {
    let mut fleet = Fleet::start(flavour, signs);
    // Warm up.
    fleet.during(Fault::None);
    println!(
        "| {flavour:?}, {signs} | pages | changes (pending) | stale | failed | another's | p50 | p99.9 | longest |"
    );
    let mut all = Seen::default();
    for (name, fault) in FAULTS {
        let seen = fleet.during(fault);
        println!(
            "| {name} | {} | {} ({}) | {} | {} | {} | {:.1?} | {:.1?} | {:.1?} |",
            seen.pages,
            seen.changed,
            seen.pending,
            seen.stale,
            seen.failed,
            seen.foreign,
            seen.at(0.5),
            seen.at(0.999),
            seen.at(1.0),
        );
        if !seen.example.is_empty() {
            println!("{}", seen.example);
        }
        assert!(seen.pages > 0, "{name}");
        all.add(&seen);
    }
    println!(
        "{} pages, {} stale, {} failed, {} another's",
        all.pages, all.stale, all.failed, all.foreign
    );
    let wrong = [all.stale, all.failed, all.foreign];
    assert_eq!(wrong, [0; 3], "stale, failed, another's: {}", all.example);
}

#[test]
fn nothing_stale_is_served_while_things_go_wrong_on_redis() {
    run(Flavour::Redis, "plain");
}

#[test]
fn nothing_stale_is_served_while_things_go_wrong_on_valkey_with_signed_records() {
    run(Flavour::Valkey, "signed");
}
