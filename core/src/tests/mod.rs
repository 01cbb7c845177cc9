//! The invariants, tested by name through the public API. This module has the shared tools: a cache
//! with a manual clock and a recorder, cache blocks as an engine opens them, and gates that pause a
//! body.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod annotations;
mod caches;
mod edges;
mod expiry;
mod far;
mod fragments;
mod i1_fresh;
mod i1_leftovers;
mod i1_points;
mod i1_tags;
mod i2_flight;
mod i3_errors;
mod i4_variants;
mod i6_bounds;
mod i7_waits;
mod kit;
mod nested_load;
mod new_answers;
#[cfg(all(feature = "tracing", feature = "metrics"))]
mod observers;
mod stats_by_name;
#[cfg(all(feature = "tracing", feature = "metrics"))]
pub(crate) use observers::logged;
#[cfg(all(feature = "mac", feature = "values"))]
mod opaque;
mod properties;
pub(crate) mod random;
mod stale;
mod torture;

use std::sync::Arc;
use std::time::Duration;

use fragcache_syntax::{BlockId, BlockOption};

use crate::clock::Clock;
use crate::engine::{
    Arguments, Body, KeyEncoder, Opened, OutputMode, RenderContext, RenderMemo, Scalar,
    UnusablePart,
};
use crate::sync::{Condvar, Mutex};
use crate::testing::{ManualClock, Recorder};
use crate::{CacheBuilder, Fragment, FragmentCache, ReadPoint, fragment_key};

/// A cache, its clock, and its events.
struct Rig {
    cache: FragmentCache,
    clock: ManualClock,
    recorder: Recorder,
}

fn rig() -> Rig {
    rig_with(|builder| builder)
}

fn rig_with(with: impl FnOnce(CacheBuilder) -> CacheBuilder) -> Rig {
    let (clock, recorder) = (ManualClock::new(), Recorder::new());
    let builder = FragmentCache::builder()
        .clock(clock.clone())
        .observer(recorder.clone())
        .wait_limit(Duration::from_secs(60));
    Rig { cache: with(builder).build().unwrap(), clock, recorder }
}

/// A clock that is cheap to read, and lags.
#[derive(Debug, Default)]
struct Behind(ManualClock);

impl Clock for Behind {
    fn now(&self) -> Duration {
        self.0.now() + Duration::from_millis(10)
    }

    fn recent(&self) -> Duration {
        self.0.now()
    }
}

/// The fragment `name`, without vary parts.
fn fragment(name: &str) -> Fragment {
    Fragment::new(fragment_key!(name))
}

/// Every way to invalidate the fragment `row`, which has the tag `tag`.
const INVALIDATIONS: [fn(&FragmentCache); 4] = [
    |cache| cache.delete(&fragment_key!("row")).eventually(),
    |cache| cache.delete_name("row").eventually(),
    |cache| cache.invalidate_tags(["tag"]).unwrap().eventually(),
    |cache| cache.clear().eventually(),
];

impl Rig {
    /// Renders the fragment `name` with a body that prints `body`.
    fn say(&self, name: &str, body: &str) -> Arc<str> {
        self.cache.render(fragment(name), || body).unwrap()
    }

    fn get(&self, name: &str) -> Option<Arc<str>> {
        self.cache.get(&fragment_key!(name)).unwrap()
    }

    fn delete(&self, name: &str) {
        self.cache.delete(&fragment_key!(name)).eventually();
    }
}

/// A cache block of a template: its source digest and its place.
#[derive(Clone)]
pub(crate) struct Block {
    site: String,
}

/// A block whose source is `source`, with the options of these first letters; `c` is `using`.
pub(crate) fn block(source: &str, template: &str, options: &str) -> Block {
    let id = BlockId::builder(template, source).column(1);
    let id = options.chars().fold(id, |id, letter| {
        id.with(match letter {
            'u' => BlockOption::Unless,
            'r' => BlockOption::Refresh,
            'v' => BlockOption::Version,
            'c' => BlockOption::Using,
            _ => panic!("no option starts with {letter}"),
        })
    });
    Block { site: id.build().encode() }
}

/// Arguments as an engine passes them.
struct Args<'a>(&'a [Scalar<'a>]);

impl Arguments for Args<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn scalar(&self, index: usize) -> Scalar<'_> {
        self.0[index]
    }

    fn truthy(&self, index: usize) -> bool {
        self.0[index] == Scalar::Bool(true)
    }

    fn encode(&self, index: usize, key: &mut KeyEncoder<'_>) -> Result<(), UnusablePart> {
        match self.0[index] {
            Scalar::Str(text) => key.str(text),
            Scalar::Int(number) => key.int(number),
            _ => return Err(UnusablePart::Undefined),
        }
        Ok(())
    }
}

/// A render without state.
pub(crate) struct Plain {
    pub(crate) mode: OutputMode,
    pub(crate) bounded: bool,
    pub(crate) point: Option<ReadPoint>,
}

impl RenderContext for Plain {
    fn mode(&self) -> OutputMode {
        self.mode
    }

    fn is_bounded(&self) -> bool {
        self.bounded
    }

    fn memo(&mut self) -> Option<Arc<RenderMemo>> {
        None
    }

    fn read_point(&mut self) -> Option<ReadPoint> {
        self.point
    }
}

impl Block {
    fn open(&self, cache: &FragmentCache, mode: OutputMode, args: &[Scalar<'_>]) -> Opened<String> {
        self.open_as(cache, args, &mut Plain { mode, bounded: true, point: None })
    }

    pub(crate) fn open_as(
        &self,
        cache: &FragmentCache,
        args: &[Scalar<'_>],
        rendering: &mut impl RenderContext,
    ) -> Opened<String> {
        let text = |body: &Body| body.as_str().to_owned();
        cache.open(&self.site, &Args(args), rendering, text).unwrap()
    }

    /// What a page prints for this block if its body prints the result of `body`.
    fn print(
        &self,
        cache: &FragmentCache,
        mode: OutputMode,
        args: &[Scalar<'_>],
        body: impl FnOnce() -> String,
    ) -> String {
        match self.open(cache, mode, args) {
            Opened::Hit(text) => text,
            Opened::Render(ticket) => {
                let text = body();
                ticket.close(Body::from(text.as_str()));
                text
            }
        }
    }
}

/// Blocks threads until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let mut open = self.0.0.lock();
        while !*open {
            self.0.1.wait(&mut open);
        }
    }
}

/// A body's work of this duration.
fn work(time: Duration) {
    let (never, nobody) = (Mutex::new(()), Condvar::new());
    nobody.wait_for(&mut never.lock(), time);
}

fn work_50_ms() {
    work(Duration::from_millis(50));
}

/// Returns when `count` callers wait for a render of another caller.
fn until_waiting(cache: &FragmentCache, count: usize) {
    while cache.handle.flights().waiting() < count {
        std::thread::yield_now();
    }
}
