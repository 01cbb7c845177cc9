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

mod refresh;
mod waiting;
mod waits;

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use lru::LruCache;

use crate::clock::Moment;
use crate::entry::{Entry, EntrySource, KeyBytes};
use crate::events::BypassReason;
use crate::freshness::{Freshness, Sequence};
use crate::hash::Version;
use crate::label::Labels;
use crate::lookup::{Lookup, Request};
use crate::protection::{Protection, Protections};
use crate::sync::{Condvar, Mutex, thread_local};
use waits::Waits;

pub(crate) use refresh::Refresh;
pub(crate) use waiting::FlightWait;

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

/// The flight of a request. There is one entry source per variant, so its address identifies the
/// variant. Two addresses for one variant would only coalesce less.
fn id(request: &Request<'_>) -> FlightId {
    (request.hashed.hash, Arc::as_ptr(request.source).addr(), request.version)
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
    pub(crate) fn join<'a>(
        &'a self,
        lookup: &Lookup<'_>,
        fresh: &'a Freshness,
        now: Moment,
    ) -> Joined<'a> {
        let id = id(&lookup.request);
        if still(&self.passing, id, now).is_some() {
            return Joined::Pass(lead(lookup, fresh));
        }
        let mut under_way = self.under_way.lock();
        match under_way.entry(id) {
            MapEntry::Vacant(place) => Joined::Lead(Arc::clone(place.insert(lead(lookup, fresh)))),
            MapEntry::Occupied(mut place) => {
                let flight = place.get();
                if flight.key[..] != *lookup.request.hashed.key {
                    return Joined::Alone(BypassReason::Collision);
                }
                // Invalidated since it began: later callers start a new flight.
                if !fresh.holds(&flight.labels, None, flight.read) {
                    let flight = lead(lookup, fresh);
                    place.insert(Arc::clone(&flight));
                    return Joined::Lead(flight);
                }
                let flight = Arc::clone(flight);
                flight.state.lock().waiting += 1;
                Joined::Wait(FlightWait::counted(self, flight, fresh))
            }
        }
    }

    /// Leads a new flight even if one is in progress, for a force refresh. The results of older
    /// flights do not replace its result.
    pub(crate) fn force_lead(&self, lookup: &Lookup<'_>, fresh: &Freshness) -> Arc<Flight> {
        if self.protections.keep(Protection::Order) {
            fresh.advance();
        }
        let mut under_way = self.under_way.lock();
        let replaced = under_way.get(&id(&lookup.request)).map(Arc::downgrade);
        let flight = lead_after(lookup, fresh, replaced.unwrap_or_default());
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

/// A flight that a caller leads and has not passed on yet. If it is dropped, a follower leads.
pub(crate) struct LeaderGuard<'a> {
    flights: &'a Flights,
    flight: Option<Arc<Flight>>,
}

impl<'a> LeaderGuard<'a> {
    pub(crate) fn new(flights: &'a Flights, flight: Arc<Flight>) -> Self {
        Self { flights, flight: Some(flight) }
    }

    /// Gives the entry to all followers.
    pub(crate) fn complete(mut self, entry: &Entry) {
        if let Some(flight) = self.flight.take() {
            self.flights.complete(&flight, entry.clone());
        }
    }

    /// Passes the flight on: its new owner leads from now on.
    pub(crate) fn pass_on(mut self) -> Option<Arc<Flight>> {
        self.flight.take()
    }

    /// No caller waits for the next render of this key, or refreshes it before `rests`.
    pub(crate) fn detach(mut self, rests: Moment, now: Moment) {
        if let Some(flight) = self.flight.take() {
            self.flights.back_off(&flight, rests);
            self.flights.detach(&flight, now);
        }
    }
}

impl Drop for LeaderGuard<'_> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.flights.abandon(&flight);
        }
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

fn lead(lookup: &Lookup<'_>, fresh: &Freshness) -> Arc<Flight> {
    lead_after(lookup, fresh, Weak::new())
}

fn lead_after(lookup: &Lookup<'_>, fresh: &Freshness, replaced: Weak<Flight>) -> Arc<Flight> {
    Arc::new(Flight {
        id: id(&lookup.request),
        key: KeyBytes::from_slice(lookup.request.hashed.key),
        _origin: Arc::clone(lookup.request.source),
        labels: lookup.labels.clone(),
        read: fresh.now(),
        replaced,
        state: Mutex::new(State {
            progress: Progress::Led(Waiter::here()),
            waiting: 0,
            wakers: Vec::new(),
        }),
        changed: Condvar::new(),
    })
}

/// A party that leads flights and waits for those of others: a thread, or an asynchronous render,
/// which has no thread of its own and may be nested in another. Clones are the same party.
#[derive(Clone)]
pub(crate) struct Waiter(Arc<Node>);

struct Node {
    id: u64,
    /// The asynchronous render around this one, which waits for this one to end.
    around: Option<Waiter>,
    is_thread: bool,
}

/// Threads and renders share one counter.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The thread's own party, then the asynchronous renders that it is polling, innermost last.
    static HERE: RefCell<Vec<Waiter>> = RefCell::new(vec![Waiter::new(None, true)]);
}

impl Waiter {
    fn new(around: Option<Self>, is_thread: bool) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Node { id, around, is_thread }))
    }

    /// The party that runs on this thread now.
    pub(crate) fn here() -> Self {
        let here = HERE.try_with(|here| here.borrow().last().cloned());
        here.ok().flatten().unwrap_or_else(|| Self::new(None, true))
    }

    /// A new asynchronous render, nested in the one that this thread is polling, if any.
    #[cfg(feature = "async")]
    pub(crate) fn task() -> Self {
        let around = Self::here();
        Self::new((!around.0.is_thread).then_some(around), false)
    }

    /// Runs a closure as this party.
    #[cfg(feature = "async")]
    pub(crate) fn run<R>(&self, run: impl FnOnce() -> R) -> R {
        struct Here;
        impl Drop for Here {
            fn drop(&mut self) {
                let _ = HERE.try_with(|here| here.borrow_mut().pop());
            }
        }
        HERE.with(|here| here.borrow_mut().push(self.clone()));
        let _here = Here;
        run()
    }

    #[cfg(feature = "async")]
    fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn is_thread(&self) -> bool {
        self.0.is_thread
    }

    /// Whether this is `other` or nested in it.
    fn is_within(&self, other: &Self) -> bool {
        self.chain().any(|party| party.0.id == other.0.id)
    }

    /// The outermost render around this one, or this one itself.
    fn root(&self) -> u64 {
        self.chain().last().map_or(self.0.id, |party| party.0.id)
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |party| party.0.around.as_ref())
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiter({})", self.0.id)
    }
}
