//! The live counters of one name. Every field is an atomic of its own, so that counting never
//! waits. A reader may see a lookup before its render.

use std::collections::VecDeque;
use std::time::Duration;

use super::ring::Ring;
use super::{MINUTES, Misses, NameStats};
use crate::clock::Moment;
use crate::events::{BypassReason, EventKind, MissReason, RefusalReason};
use crate::key::FragmentKey;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Most tags remembered for a name. They are stored in full, because invalidating one needs all of
/// it.
const MAX_TAGS: usize = 16;

/// The counters of one name.
#[derive(Debug)]
pub(crate) struct NameCounters {
    key: Option<FragmentKey>,
    template: Option<Box<str>>,
    line: u32,
    hits: AtomicU64,
    stale: AtomicU64,
    stale_if_error: AtomicU64,
    waits: AtomicU64,
    misses: [AtomicU64; MissReason::ALL.len()],
    bypasses: [AtomicU64; BypassReason::ALL.len()],
    refusals: [AtomicU64; RefusalReason::ALL.len()],
    stores: AtomicU64,
    stored_bytes: AtomicU64,
    evictions: AtomicU64,
    deletions: AtomicU64,
    repeats: AtomicU64,
    renders: AtomicU64,
    render_nanos: AtomicU64,
    longest_nanos: AtomicU64,
    last_nanos: AtomicU64,
    /// The bits of the moment when a body was last served, plus 1; 0 before the first time.
    last_served: AtomicU64,
    ring: Ring,
    tags: Mutex<VecDeque<Box<str>>>,
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

impl NameCounters {
    pub(super) fn new(key: Option<FragmentKey>, template: Option<&str>, line: u32) -> Self {
        Self {
            key,
            template: template.map(Into::into),
            line,
            hits: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            stale_if_error: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            misses: zeros(),
            bypasses: zeros(),
            refusals: zeros(),
            stores: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            deletions: AtomicU64::new(0),
            repeats: AtomicU64::new(0),
            renders: AtomicU64::new(0),
            render_nanos: AtomicU64::new(0),
            longest_nanos: AtomicU64::new(0),
            last_nanos: AtomicU64::new(0),
            last_served: AtomicU64::new(0),
            ring: Ring::default(),
            tags: Mutex::new(VecDeque::new()),
        }
    }

    pub(super) fn note(&self, kind: EventKind, now: Moment) {
        match kind {
            EventKind::Hit => self.hit(now),
            EventKind::Stale(_) => self.serve(&self.stale, now),
            EventKind::StaleIfError => add(&self.stale_if_error, 1),
            EventKind::Waited(_) => add(&self.waits, 1),
            EventKind::Miss(reason) => {
                add(&self.misses[reason.index()], 1);
                self.ring.miss(now);
            }
            EventKind::Bypassed(reason) => add(&self.bypasses[reason.index()], 1),
            EventKind::Refused(reason) => add(&self.refusals[reason.index()], 1),
            EventKind::Stored { bytes, .. } => {
                add(&self.stores, 1);
                add(&self.stored_bytes, bytes as u64);
            }
            EventKind::Evicted(_) => add(&self.evictions, 1),
            EventKind::Deleted => add(&self.deletions, 1),
            EventKind::Repeated => add(&self.repeats, 1),
            EventKind::Invalidated | EventKind::Warned | EventKind::Fault(_) => {}
        }
    }

    /// A fresh body was served.
    pub(crate) fn hit(&self, now: Moment) {
        self.serve(&self.hits, now);
    }

    fn serve(&self, counter: &AtomicU64, now: Moment) {
        add(counter, 1);
        self.ring.serve(now);
        let served = now.to_bits().saturating_add(1);
        // Threads share this cache line for names that are served all the time, so it is written
        // only when the clock has moved.
        if self.last_served.load(Ordering::Relaxed) < served {
            self.last_served.store(served, Ordering::Relaxed);
        }
    }

    pub(super) fn render(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        add(&self.renders, 1);
        add(&self.render_nanos, nanos);
        self.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
        self.last_nanos.store(nanos, Ordering::Relaxed);
    }

    pub(super) fn tag(&self, tag: &str) {
        let mut tags = self.tags.lock();
        let known = tags.iter().position(|known| **known == *tag);
        let tag = known.and_then(|at| tags.remove(at)).unwrap_or_else(|| tag.into());
        tags.push_front(tag);
        tags.truncate(MAX_TAGS);
    }

    pub(super) fn read(&self, now: Moment) -> NameStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |counter: &AtomicU64| Duration::from_nanos(get(counter));
        let minutes = self.ring.read(now);
        debug_assert_eq!(minutes.len(), MINUTES);
        NameStats {
            key: self.key.clone(),
            template: self.template.as_deref().map(str::to_owned),
            line: self.line,
            hits: get(&self.hits),
            stale: get(&self.stale),
            stale_if_error: get(&self.stale_if_error),
            waits: get(&self.waits),
            misses: Misses(self.misses.each_ref().map(get)),
            bypasses: occurred(BypassReason::ALL, &self.bypasses),
            refusals: occurred(RefusalReason::ALL, &self.refusals),
            stores: get(&self.stores),
            stored_bytes: get(&self.stored_bytes),
            evictions: get(&self.evictions),
            deletions: get(&self.deletions),
            repeats: get(&self.repeats),
            renders: get(&self.renders),
            render_time: time(&self.render_nanos),
            longest_render: time(&self.longest_nanos),
            last_render: time(&self.last_nanos),
            idle: get(&self.last_served)
                .checked_sub(1)
                .map(|served| now.since(Moment::from_bits(served))),
            tags: self.tags.lock().iter().map(|tag| String::from(&**tag)).collect(),
            minutes,
        }
    }
}

fn occurred<R, const N: usize>(reasons: [R; N], counters: &[AtomicU64; N]) -> Vec<(R, u64)> {
    let counts = counters.iter().map(|counter| counter.load(Ordering::Relaxed));
    reasons.into_iter().zip(counts).filter(|&(_, count)| count > 0).collect()
}
