//! Single flight in this process: one render per key and variant at a time. The first caller leads;
//! others follow and receive what it rendered. No entry is stored here.
//!
//! A leader that fails or panics hands over to one follower. If its flight was invalidated in the
//! meantime, all followers join again instead. After a result that must not be shared, every
//! follower renders for itself, and the key is not coalesced for a while or until a result can be
//! stored. A wait has a limit, and a wait that would close a cycle of waits does not begin.
//!
//! If there is a stale entry to serve, callers do not follow: one caller refreshes, and after a
//! failed refresh no caller tries for a while.
//!
//! Lock order: the map of flights, the graph of waits, a flight's state. The table of labels is
//! read under the map's lock only, and no lock is taken under a flight's state.

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
use crate::freshness::{Freshness, Sequence};
use crate::hash::HashedKey;
use crate::hash::Version;
use crate::label::Labels;
use crate::protection::{Protection, Protections};
use crate::sync::{Condvar, Mutex};
pub(crate) use party::Waiter;
pub(crate) use refresh::Refresh;
pub(crate) use waiting::FlightWait;
use waits::Waits;

/// Most keys to remember as not coalesced, and as resting after a failed refresh.
const MAX_REMEMBERED: usize = 1024;

/// How long a key is not coalesced after a result that could not be shared.
const PASSING_FOR: Duration = Duration::from_secs(5);

/// A render in progress and the callers that wait for it.
#[derive(Debug)]
pub(crate) struct Flight {
    id: FlightId,
    key: KeyBytes,
    /// Keeps the address unique to this variant.
    _origin: Arc<EntrySource>,
    labels: Labels,
    /// Read point of the first leader. A caller that arrives after a later invalidation starts a
    /// new flight.
    read: Sequence,
    /// The flight that this one replaced. Callers follow it again if this one yields nothing.
    replaced: Weak<Flight>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    waiting: usize,
    /// The wakers of waiting tasks.
    wakers: Vec<(u64, Waker)>,
}

impl State {
    /// Wakes the waiting tasks. Each then checks the flight itself.
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(|(_, waker)| waker.wake());
    }
}

#[derive(Debug)]
enum Progress {
    Led(Waiter),
    /// The leader failed; the next waiter to check leads.
    Leaderless,
    Completed(Box<Entry>),
    /// The flight yields nothing: the result must not be shared, or the leader failed after the
    /// flight was invalidated. All followers join again.
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

/// What a caller does after a miss.
#[derive(Debug)]
pub(crate) enum Joined<'a> {
    /// Render, then call [`Flights::complete`], [`Flights::detach`] or [`Flights::abandon`].
    Lead(Arc<Flight>),
    /// Lead without followers: the last result of this key could not be shared.
    Pass(Arc<Flight>),
    /// Use the entry that a leader has rendered.
    Follow(Entry),
    /// The flight yielded nothing: look up again, then join again.
    Again,
    /// Render outside any flight and store nothing.
    Alone(BypassReason),
    /// Wait for the leader's render.
    Wait(FlightWait<'a>),
}

/// A request to join or lead a flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlightRequest<'a> {
    pub(crate) hashed: HashedKey<'a>,
    pub(crate) source: &'a Arc<EntrySource>,
    pub(crate) version: Version,
    pub(crate) labels: &'a Labels,
    pub(crate) fresh: &'a Freshness,
}

/// The flights of one cache.
#[derive(Debug)]
pub(crate) struct Flights {
    under_way: Mutex<HashMap<FlightId, Arc<Flight>>>,
    passing: Mutex<LruCache<FlightId, Moment>>,
    resting: Mutex<LruCache<FlightId, Moment>>,
    waits: Arc<Waits>,
    wait_limit: Duration,
    protections: Protections,
}

/// The hash of the key, the address of its entry source, and the record's version.
type FlightId = (u64, usize, Version);

impl FlightRequest<'_> {
    fn id(&self) -> FlightId {
        // There is one entry source per variant, so its address identifies the variant. Two
        // addresses for one variant would only coalesce less.
        (self.hashed.hash, Arc::as_ptr(self.source).addr(), self.version)
    }
}

/// The waits of the whole process: a cycle may run through several caches.
#[cfg(not(fragcache_shuttle))]
fn process_waits() -> Arc<Waits> {
    static WAITS: std::sync::LazyLock<Arc<Waits>> = std::sync::LazyLock::new(Arc::default);
    Arc::clone(&WAITS)
}

/// A model run counts as its own process.
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

    /// How long a page waits for the renders of other callers.
    pub(crate) fn wait_limit(&self) -> Duration {
        self.wait_limit
    }

    /// Number of flights in progress.
    pub(crate) fn len(&self) -> usize {
        self.under_way.lock().len()
    }

    /// Number of callers that wait for a leader now.
    #[cfg(all(test, not(fragcache_shuttle)))]
    pub(crate) fn waiting(&self) -> usize {
        self.under_way.lock().values().map(|flight| flight.state.lock().waiting).sum()
    }

    /// Leads a new flight for this key and variant, or waits for the one in progress.
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
                // Invalidated since it began: later callers start a new flight.
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

    /// Leads a new flight even if one is in progress, for a force refresh. The results of older
    /// flights do not replace its result.
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

    /// Gives the leader's entry to all followers.
    pub(crate) fn complete(&self, flight: &Arc<Flight>, entry: Entry) {
        self.passing.lock().pop(&flight.id);
        self.resting.lock().pop(&flight.id);
        self.end(flight, Progress::Completed(Box::new(entry)));
    }

    /// Detaches the followers of a result that must not be shared: they render for themselves. The
    /// key is not coalesced for a while or until a result can be shared.
    pub(crate) fn detach(&self, flight: &Arc<Flight>, now: Moment) {
        if let Some(until) = now.after(PASSING_FOR) {
            self.passing.lock().put(flight.id, until);
        }
        self.end(flight, Progress::Dissolved);
    }

    /// Ends a leader that failed; one follower leads next.
    pub(crate) fn abandon(&self, flight: &Arc<Flight>) {
        // Joining counts a waiter under the map's lock, so the count is final under that lock.
        let mut under_way = self.under_way.lock();
        let waiting = {
            let mut state = flight.state.lock();
            state.progress = Progress::Leaderless;
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
        // Under the map's lock, so that a flight that has ended is not restored.
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

/// Removes a flight that yielded nothing. Restores the flight that it replaced, if that one still
/// has a leader.
fn give_back(under_way: &mut HashMap<FlightId, Arc<Flight>>, flight: &Arc<Flight>) {
    if !is_current(under_way, flight) {
        return;
    }
    match flight.replaced.upgrade().filter(|replaced| replaced.leader().is_some()) {
        Some(replaced) => under_way.insert(flight.id, replaced),
        None => under_way.remove(&flight.id),
    };
}

/// Until when a key is remembered, if that time has not passed.
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
