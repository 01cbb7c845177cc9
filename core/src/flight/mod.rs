//! Single flight in this process: one render per key and variant at a time. The first caller
//! leads; others follow and receive what it rendered. No entry is stored here.
//!
//! A leader that fails or panics hands over to one follower, unless its flight was invalidated
//! meanwhile: then all join anew. A result that may not be shared sends all of them off to render
//! for themselves, and the key passes uncoalesced until one can be stored or a while is over. A
//! wait has a limit, and one that would close a cycle of waits is not begun.
//!
//! Where there is a stale entry to serve, nobody follows: one caller refreshes, and after a refresh
//! that failed nobody does for a while.
//!
//! Locks are taken in this order: the map of flights, the graph of waits, a flight's state. The
//! table of labels is read beside the map only, and nothing is taken under a flight's state.

mod party;
mod refresh;
mod waiting;
mod waits;

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use lru::LruCache;

use crate::clock::Moment;
use crate::entry::{Entry, EntrySource, KeyBytes};
use crate::events::BypassReason;
use crate::freshness::{Freshness, Labels, Sequence};
use crate::hash::Version;
use crate::near::HashedKey;
use crate::protection::{Protection, Protections};
use crate::sync::{Condvar, Mutex};
pub(crate) use party::Waiter;
pub(crate) use refresh::Refresh;
pub(crate) use waiting::FlightWait;
use waits::Waits;

/// Most keys that are remembered as passing uncoalesced, and as resting after a failed refresh.
const MAX_REMEMBERED: usize = 1024;

/// How long a key passes uncoalesced after a result that could not be shared.
const PASSING_FOR: Duration = Duration::from_secs(5);

/// One render under way, and those who wait for it.
#[derive(Debug)]
pub(crate) struct Flight {
    id: FlightId,
    key: KeyBytes,
    /// Held so that its address stays this variant's own.
    _origin: Arc<EntrySource>,
    labels: Labels,
    /// The first leader's read point: whoever would join after an invalidation since does not.
    read: Sequence,
    /// The flight in whose place it was led: others follow that one again if nothing comes of this.
    replaced: Weak<Flight>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    waiting: usize,
    /// The tasks among those who wait.
    wakers: Vec<(u64, Waker)>,
}

impl State {
    /// Wakes the tasks that wait. Each looks for itself what became of the flight.
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(|(_, waker)| waker.wake());
    }
}

#[derive(Debug)]
enum Progress {
    Led(Waiter),
    /// The leader failed; the next waiter to look leads.
    Orphaned,
    Landed(Box<Entry>),
    /// Nothing comes of it: the result may not be shared, or the leader failed after the flight
    /// was invalidated. Everyone joins anew.
    Dissolved,
}

impl Flight {
    fn leader(&self) -> Option<Waiter> {
        match &self.state.lock().progress {
            Progress::Led(party) => Some(party.clone()),
            _ => None,
        }
    }
}

/// What a caller that missed is to do.
#[derive(Debug)]
pub(crate) enum Joined<'a> {
    /// Render, then [`Flights::complete`], [`Flights::part`] or [`Flights::abandon`].
    Lead(Arc<Flight>),
    /// As a leader whom nobody follows: the last result of this key could not be shared.
    Pass(Arc<Flight>),
    /// A leader rendered this meanwhile.
    Follow(Entry),
    /// Nothing came of the flight: look again, then join again.
    Again,
    /// Render outside any flight and store nothing.
    Alone(BypassReason),
    /// Wait for another's render.
    Wait(FlightWait<'a>),
}

/// What a caller wants to render.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlightRequest<'a> {
    pub(crate) hashed: HashedKey<'a>,
    pub(crate) source: &'a Arc<EntrySource>,
    pub(crate) version: Version,
    pub(crate) labels: &'a Labels,
    pub(crate) fresh: &'a Freshness,
}

/// All flights of one cache.
#[derive(Debug)]
pub(crate) struct Flights {
    under_way: Mutex<HashMap<FlightId, Arc<Flight>>>,
    passing: Mutex<LruCache<FlightId, Moment>>,
    resting: Mutex<LruCache<FlightId, Moment>>,
    waits: Arc<Waits>,
    wait_limit: Duration,
    protections: Protections,
}

/// The hash of a key, its variant's place among them, and the record's version.
type FlightId = (u64, usize, Version);

impl FlightRequest<'_> {
    fn id(&self) -> FlightId {
        // Origins are held once per variant, so their address tells variants apart. Two addresses
        // for one variant would only coalesce less.
        (self.hashed.hash, Arc::as_ptr(self.source).addr(), self.version)
    }
}

/// The waits of the whole process: a cycle may run through several caches.
#[cfg(not(fragcache_shuttle))]
fn process_waits() -> Arc<Waits> {
    static WAITS: std::sync::LazyLock<Arc<Waits>> = std::sync::LazyLock::new(Arc::default);
    Arc::clone(&WAITS)
}

/// A model run is a process of its own.
#[cfg(fragcache_shuttle)]
fn process_waits() -> Arc<Waits> {
    Arc::default()
}

impl Flights {
    pub(crate) fn new(wait_limit: Duration, protections: Protections) -> Self {
        let capacity =
            std::num::NonZeroUsize::new(MAX_REMEMBERED).unwrap_or(std::num::NonZeroUsize::MIN);
        Self {
            under_way: Mutex::new(HashMap::new()),
            passing: Mutex::new(LruCache::new(capacity)),
            resting: Mutex::new(LruCache::new(capacity)),
            waits: process_waits(),
            wait_limit,
            protections,
        }
    }

    /// How long a page waits for others' renders in vain.
    pub(crate) fn wait_limit(&self) -> Duration {
        self.wait_limit
    }

    /// Flights under way.
    pub(crate) fn len(&self) -> usize {
        self.under_way.lock().len()
    }

    /// Callers that wait for another's render now.
    #[cfg(all(test, not(fragcache_shuttle)))]
    pub(crate) fn waiting(&self) -> usize {
        self.under_way.lock().values().map(|flight| flight.state.lock().waiting).sum()
    }

    /// Leads a new flight for this key and variant, or is to wait for the one under way.
    pub(crate) fn join<'a>(&'a self, flight_request: FlightRequest<'a>, now: Moment) -> Joined<'a> {
        if still(&self.passing, flight_request.id(), now).is_some() {
            return Joined::Pass(lead(flight_request));
        }
        let mut under_way = self.under_way.lock();
        match under_way.entry(flight_request.id()) {
            MapEntry::Vacant(place) => Joined::Lead(Arc::clone(place.insert(lead(flight_request)))),
            MapEntry::Occupied(mut place) => {
                let flight = place.get();
                if flight.key[..] != *flight_request.hashed.key {
                    return Joined::Alone(BypassReason::Collision);
                }
                // Deleted since it began: later callers start anew.
                if !flight_request.fresh.holds(&flight.labels, None, flight.read) {
                    let flight = lead(flight_request);
                    place.insert(Arc::clone(&flight));
                    return Joined::Lead(flight);
                }
                let flight = Arc::clone(flight);
                flight.state.lock().waiting += 1;
                Joined::Wait(FlightWait::counted(self, flight, flight_request.fresh))
            }
        }
    }

    /// Leads a new flight whatever is under way: for a caller that wants a fresh body. What older
    /// flights bring does not replace it.
    pub(crate) fn force_lead(&self, flight_request: FlightRequest<'_>) -> Arc<Flight> {
        if self.protections.keep(Protection::Order) {
            flight_request.fresh.advance();
        }
        let mut under_way = self.under_way.lock();
        let replaced = under_way.get(&flight_request.id()).map(Arc::downgrade);
        let flight = lead_after(flight_request, replaced.unwrap_or_default());
        under_way.insert(flight.id, Arc::clone(&flight));
        flight
    }

    /// The leader's result, for all followers.
    pub(crate) fn complete(&self, flight: &Arc<Flight>, entry: Entry) {
        self.passing.lock().pop(&flight.id);
        self.resting.lock().pop(&flight.id);
        self.end(flight, Progress::Landed(Box::new(entry)));
    }

    /// The leader's result may not be shared: followers render, and the key passes until a result
    /// can be, or for a while.
    pub(crate) fn detach(&self, flight: &Arc<Flight>, now: Moment) {
        if let Some(until) = now.after(PASSING_FOR) {
            self.passing.lock().put(flight.id, until);
        }
        self.end(flight, Progress::Dissolved);
    }

    /// The leader failed: one follower leads next.
    pub(crate) fn abandon(&self, flight: &Arc<Flight>) {
        // Joining counts a waiter under the map's lock, so under it the count is final.
        let mut under_way = self.under_way.lock();
        let waiting = {
            let mut state = flight.state.lock();
            state.progress = Progress::Orphaned;
            state.waiting
        };
        if waiting == 0 {
            give_back(&mut under_way, flight);
        }
        if self.protections.keep(Protection::HandOver) {
            flight.state.lock().wake();
            flight.changed.notify_one();
        }
    }

    fn end(&self, flight: &Arc<Flight>, progress: Progress) {
        // Under the map's lock, so that no flight that has ended is given its place back.
        let mut under_way = self.under_way.lock();
        remove(&mut under_way, flight);
        let mut state = flight.state.lock();
        state.progress = progress;
        state.wake();
        drop(state);
        flight.changed.notify_all();
    }
}

fn is_current(under_way: &HashMap<FlightId, Arc<Flight>>, flight: &Arc<Flight>) -> bool {
    under_way.get(&flight.id).is_some_and(|current| Arc::ptr_eq(current, flight))
}

fn remove(under_way: &mut HashMap<FlightId, Arc<Flight>>, flight: &Arc<Flight>) {
    if is_current(under_way, flight) {
        under_way.remove(&flight.id);
    }
}

/// Removes a flight of which nothing came. Whom it replaced, if that one is led yet, takes its
/// place again.
fn give_back(under_way: &mut HashMap<FlightId, Arc<Flight>>, flight: &Arc<Flight>) {
    if !is_current(under_way, flight) {
        return;
    }
    match flight.replaced.upgrade().filter(|replaced| replaced.leader().is_some()) {
        Some(replaced) => under_way.insert(flight.id, replaced),
        None => under_way.remove(&flight.id),
    };
}

/// Until when a key is remembered, if that moment has not come.
fn still(
    remembered: &Mutex<LruCache<FlightId, Moment>>,
    id: FlightId,
    now: Moment,
) -> Option<Moment> {
    let mut remembered = remembered.lock();
    let until = *remembered.peek(&id)?;
    if until > now {
        return Some(until);
    }
    remembered.pop(&id);
    None
}

fn lead(flight_request: FlightRequest<'_>) -> Arc<Flight> {
    lead_after(flight_request, Weak::new())
}

fn lead_after(flight_request: FlightRequest<'_>, replaced: Weak<Flight>) -> Arc<Flight> {
    Arc::new(Flight {
        id: flight_request.id(),
        key: KeyBytes::from_slice(flight_request.hashed.key),
        _origin: Arc::clone(flight_request.source),
        labels: flight_request.labels.clone(),
        read: flight_request.fresh.now(),
        replaced,
        state: Mutex::new(State {
            progress: Progress::Led(Waiter::here()),
            waiting: 0,
            wakers: Vec::new(),
        }),
        changed: Condvar::new(),
    })
}
