//! Times several alternatives in turn, so that noise on the machine affects all of them equally.

use std::fmt;
use std::sync::{Barrier, LazyLock};
use std::time::{Duration, Instant};

use crate::pages::{Render, Site};

/// Samples of each alternative.
pub const SAMPLES: usize = 301;

/// Samples of each number of threads, and the duration of each.
pub const THREAD_SAMPLES: usize = 31;
const THREAD_SAMPLE: Duration = Duration::from_millis(20);

/// How many times a disturbed sample is repeated.
const PATIENCE: usize = 12;

/// Warm-up of threads, in which the system assigns each a core of its own.
const THREAD_WARM_UP: Duration = Duration::from_millis(20);

/// Duration of a sample, in nanoseconds.
const SAMPLE_NS: f64 = 1e6;

/// Nanoseconds of one run, one value per sample.
#[derive(Debug, Clone)]
pub struct Series(Vec<f64>);

impl From<Vec<f64>> for Series {
    /// A series of samples that were taken elsewhere.
    fn from(samples: Vec<f64>) -> Self {
        Self(samples)
    }
}

impl Series {
    /// Combines this series with another, sample by sample.
    #[must_use]
    pub fn with(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(&a, &b)| combine(a, b)).collect())
    }

    /// Applies `change` to each sample.
    #[must_use]
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(change).collect())
    }

    /// The excess over another series, divided by `parts`.
    #[must_use]
    pub fn over(&self, other: &Self, parts: usize) -> Self {
        self.with(other, |a, b| (a - b) / parts as f64)
    }

    /// The ratio of this series to another.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> Self {
        self.with(other, |a, b| a / b)
    }

    /// The median and the extremes.
    pub fn figure(&self) -> Figure {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        Figure { median: sorted[sorted.len() / 2], min: sorted[0], max: sorted[sorted.len() - 1] }
    }
}

/// A median with its extremes. `{:.1}` and the like set the number of digits.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// The middle sample.
    pub median: f64,
    /// The smallest sample.
    pub min: f64,
    /// The largest sample.
    pub max: f64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let Self { median, min, max } = self;
        write!(f, "{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

/// Times the alternatives in turn: one sample of each, then again from the first.
/// The order rotates, so that none always follows the same other one.
pub fn alternate<const N: usize>(ways: [&dyn Fn() -> usize; N]) -> [Series; N] {
    let rounds = ways.map(|way| {
        let rough = time(way, 5);
        let rough = rough.min(time(way, 20)).max(1.0);
        ((SAMPLE_NS / rough) as usize).max(1)
    });
    let mut series = [const { Vec::new() }; N];
    for sample in 0..SAMPLES {
        for turn in 0..N {
            let at = (turn + sample) % N;
            series[at].push(time(ways[at], rounds[at]));
        }
    }
    series.map(Series)
}

/// Nanoseconds per run, averaged over `rounds` runs.
#[allow(clippy::disallowed_methods, reason = "a stopwatch")]
fn time(way: &dyn Fn() -> usize, rounds: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(way());
    }
    start.elapsed().as_nanos() as f64 / rounds as f64
}

/// Runs per second by one thread and by two, in turn. `sites` give each thread its own render.
pub fn two_threads<const N: usize>(sites: [&Site; N]) -> [[Series; 2]; N] {
    let mut series = sites.map(|_| [Vec::new(), Vec::new()]);
    for _ in 0..THREAD_SAMPLES {
        for (site, [single, double]) in sites.iter().zip(&mut series) {
            single.push(throughput(site, 1));
            double.push(throughput(site, 2));
        }
    }
    series.map(|pair| pair.map(Series))
}

/// Runs per second by `threads` threads together. If other work on the machine keeps
/// one of them off its core, the sample is repeated, at most `PATIENCE` times.
fn throughput(site: &Site, threads: usize) -> f64 {
    let samples = (0..PATIENCE).map(|_| undisturbed(site, threads));
    let mut best = (0.0, 0.0);
    for (runs, share) in samples {
        if share > best.1 {
            best = (runs, share);
        }
        if share > 0.97 {
            break;
        }
    }
    best.0
}

/// Runs per second by `threads` threads together, and the smallest share of the time
/// for which one of them had a core.
#[allow(clippy::disallowed_methods, clippy::expect_used, reason = "a stopwatch")]
fn undisturbed(site: &Site, threads: usize) -> (f64, f64) {
    let start = Barrier::new(threads);
    let run = || {
        let way = site();
        start.wait();
        run_for(&way, THREAD_WARM_UP);
        let (began, on_core) = (Instant::now(), time_on_core());
        let runs = run_for(&way, THREAD_SAMPLE);
        let (time, on_core) = (began.elapsed(), time_on_core() - on_core);
        (f64::from(runs) / time.as_secs_f64(), on_core.as_secs_f64() / time.as_secs_f64())
    };
    std::thread::scope(|scope| {
        let runners: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let results = runners.into_iter().map(|runner| runner.join().expect("no panic"));
        results.fold((0.0, 1.0), |(all, least), (runs, share)| (all + runs, share.min(least)))
    })
}

/// How long this thread has run on a core; wall-clock time if the system does not report it.
#[allow(clippy::disallowed_methods, reason = "a stopwatch")]
fn time_on_core() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|line| line.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

#[allow(clippy::disallowed_methods, reason = "a stopwatch")]
fn run_for(way: &Render, time: Duration) -> u32 {
    let began = Instant::now();
    let mut runs = 0;
    while began.elapsed() < time {
        for _ in 0..8 {
            std::hint::black_box(way());
        }
        runs += 8;
    }
    runs
}
