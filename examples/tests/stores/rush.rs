//! Visitors of two shops while prices change. Each visitor checks the price on the page.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fragcache::{Clock as _, MonotonicClock};
use fragcache_servers::eventually;

use crate::site::{FILM, Site, price};

/// Pages that show the film's price: in a cached grid of cards, by itself, and in a search.
const PAGES: [&str; 3] = ["/", FILM, "/search?q=dancer"];

/// Pages of each site between two changes: enough to request each one after it is stored.
const BETWEEN_CHANGES: u64 = 12;

/// How far a page may be behind beyond the near TTL: the precision of the cache's clock.
const PRECISION: Duration = Duration::from_millis(20);

/// The state of a rush: two sites, and the prices set so far.
#[derive(Debug)]
pub(crate) struct Rush {
    sites: [Site; 2],
    near_ttl: Duration,
    clock: MonotonicClock,
    /// By site: each price that its pages must have reached, and since when.
    reached: [Mutex<Vec<(Duration, u64)>>; 2],
    ended: AtomicBool,
    changes: AtomicU64,
    /// Changes that all processes learned of immediately.
    told: AtomicU64,
    pages: [AtomicU64; 2],
}

impl Rush {
    /// Two sites that share a store, whose pages may be `near_ttl` behind.
    pub(crate) fn new(sites: [Site; 2], near_ttl: Duration) -> Self {
        Self {
            sites,
            near_ttl,
            clock: MonotonicClock::default(),
            reached: Default::default(),
            ended: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            told: AtomicU64::new(0),
            pages: Default::default(),
        }
    }

    /// Changes prices and visits pages while `script` runs. Fails if a page was not
    /// served, or showed an outdated price.
    pub(crate) fn run(&self, script: impl FnOnce(&Self)) {
        std::thread::scope(|threads| {
            for visitor in 0..4 {
                threads.spawn(move || self.until_the_end(|round| self.visit(visitor + round)));
            }
            let token = self.sites[0].token();
            threads.spawn(move || self.until_the_end(|round| self.change(&token, round)));
            let _end = End(&self.ended);
            script(self);
        });
    }

    /// Repeats `step` until the rush ends. A failure ends it for all threads.
    fn until_the_end(&self, mut step: impl FnMut(usize)) {
        let _end = End(&self.ended);
        for round in 0.. {
            if self.ended.load(Ordering::Relaxed) {
                break;
            }
            step(round);
        }
    }

    /// Visits one page and checks that its price is at least the lowest one allowed at the request.
    fn visit(&self, round: usize) {
        let (at, path) = (round % 2, PAGES[round / 2 % PAGES.len()]);
        let least = self.least(at);
        let page = self.sites[at].page(path);
        let shown = price(path, &page).unwrap_or_else(|| panic!("no price on {path}: {page}"));
        assert!(shown >= least, "shop {at} shows {shown} on {path}, after it was {least}");
        self.pages[at].fetch_add(1, Ordering::Relaxed);
    }

    /// The lowest price that a site may show now.
    fn least(&self, at: usize) -> u64 {
        let now = self.clock.now();
        let over = |since: Duration| match self.near_ttl {
            Duration::ZERO => true,
            life => now > since + life + PRECISION,
        };
        let reached = self.reached[at].lock().unwrap();
        reached.iter().rev().find(|(since, _)| over(*since)).map_or(0, |&(_, price)| price)
    }

    /// Sets a higher price through either site, once both have had time to store
    /// pages with the last one.
    fn change(&self, token: &str, round: usize) {
        self.wait_for(&[&self.pages[0], &self.pages[1]], BETWEEN_CHANGES);
        let (at, price) = (round % 2, 1000 + round as u64);
        let all_know = self.sites[at].set_price(token, price);
        let now = self.clock.now();
        for (site, reached) in self.reached.iter().enumerate() {
            // The process that changed it knows in any case.
            if all_know || site == at {
                reached.lock().unwrap().push((now, price));
            }
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.told.fetch_add(u64::from(all_know), Ordering::Relaxed);
    }

    /// Waits for `count` more changes, and pages of each site. With `told`, counts
    /// only changes that all processes learned of immediately.
    pub(crate) fn go_on_for(&self, count: u64, told: bool) {
        let changes = if told { &self.told } else { &self.changes };
        for _ in 0..count {
            self.wait_for(&[changes, &self.pages[0], &self.pages[1]], 1);
        }
    }

    /// Waits until each counter has grown by `count`.
    fn wait_for(&self, counters: &[&AtomicU64], count: u64) {
        let now = || counters.iter().map(|counter| counter.load(Ordering::Relaxed));
        let ends: Vec<u64> = now().map(|now| now + count).collect();
        eventually("prices change and pages are served", || {
            self.ended.load(Ordering::Relaxed) || now().zip(&ends).all(|(now, end)| now >= *end)
        });
    }

    /// Waits until `/health` of both sites reports this value.
    pub(crate) fn until(&self, name: &str, value: &str) {
        eventually(&format!("{name}: {value}"), || {
            self.ended.load(Ordering::Relaxed)
                || self.sites.iter().all(|site| site.health(name) == value)
        });
    }

    pub(crate) fn sites(&self) -> &[Site; 2] {
        &self.sites
    }
}

/// Ends the rush on drop, also after a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
