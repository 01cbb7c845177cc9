//! The nodes of a store: one server, the master that sentinels name, or the primaries of a cluster.
//! Calls take the view that is in use; a thread replaces it (`survey`).
//!
//! What decides is independent of sockets: `refresh` when to ask, `cluster` and `sentinel` what the
//! answers mean, `slots` where a key is.

pub(super) mod cluster;
mod refresh;
mod sentinel;
pub(super) mod slots;
mod survey;

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fragcache::store::{Fault, StoreError};
use parking_lot::{Condvar, Mutex};

use self::refresh::{Found, Refresh};
use self::slots::Slots;
use self::survey::Survey;
use super::address::Place;
use super::clock::instant;
use super::dial::Dialer;
use super::link::{Counts, Link, Lost};

/// What to ask for the topology.
pub(super) enum Source {
    /// These sentinels, about the master of this name. The dialer is for sentinels.
    Sentinels { dialer: Dialer, master: String, seeds: Vec<Place> },
    /// These nodes of a cluster, and those that they name.
    Cluster { seeds: Vec<Place> },
}

/// The nodes, and which has which keys, until the topology changes.
pub(super) struct View {
    pub(super) generation: u64,
    pub(super) links: Vec<Arc<Link>>,
    /// The slots of a cluster. Otherwise the only node has all keys.
    pub(super) slots: Option<Slots>,
}

impl View {
    /// The index of a node.
    pub(super) fn node(&self, place: &Place) -> Option<usize> {
        self.links.iter().position(|link| link.place == *place)
    }
}

/// The callers' side. Dropping it ends all threads.
pub(super) struct Nodes(Arc<Shared>);

/// State shared by callers, connecting threads and the thread that asks.
struct Shared {
    state: Mutex<State>,
    /// Another view, or another time to ask.
    changed: Condvar,
    counts: Arc<Counts>,
}

struct State {
    known: Known,
    refresh: Refresh,
}

enum Known {
    /// The first topology is being asked for.
    Trying,
    Up(Arc<View>),
    /// The first topology could not be found.
    Down(StoreError),
    /// The store was dropped.
    Closed,
}

impl Nodes {
    /// The one server that the dialer reaches.
    pub(super) fn server(dialer: Dialer) -> io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let link = Link::new(dialer, Arc::clone(&counts), Arc::new(|| {}))?;
        let view = View { generation: 0, links: vec![Arc::new(link)], slots: None };
        Ok(Self(Shared::new(Known::Up(Arc::new(view)), counts, Duration::MAX)))
    }

    /// Starts the thread that asks for the topology. The dialer is for servers.
    pub(super) fn of(source: Source, dialer: Dialer) -> io::Result<Self> {
        let lasts = match source {
            Source::Sentinels { .. } => Duration::from_secs(10),
            Source::Cluster { .. } => Duration::from_secs(30),
        };
        let shared = Shared::new(Known::Trying, Arc::default(), lasts);
        Survey::start(source, dialer, Arc::clone(&shared))?;
        Ok(Self(shared))
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// The view in use; waits for the first one until the deadline.
    pub(super) fn view(&self, deadline: Instant) -> Result<Arc<View>, StoreError> {
        self.0.wait(deadline, |_| true)
    }

    /// Waits for a view newer than this generation, which is doubted.
    pub(super) fn newer(
        &self,
        generation: u64,
        deadline: Instant,
    ) -> Result<Arc<View>, StoreError> {
        self.doubt(generation);
        self.0.wait(deadline, |view| view.generation > generation)
    }

    /// Has the topology asked for, if this generation is in use.
    pub(super) fn doubt(&self, generation: u64) {
        self.0.doubt(generation);
    }

    /// The links of the view in use, without waiting.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        match &self.0.state.lock().known {
            Known::Up(view) => view.links.clone(),
            _ => Vec::new(),
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut self.0.state.lock().known, Known::Closed);
        self.0.changed.notify_all();
        drop(before);
    }
}

impl Shared {
    fn new(known: Known, counts: Arc<Counts>, lasts: Duration) -> Arc<Self> {
        let state = State { known, refresh: Refresh::new(lasts) };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), counts })
    }

    fn wait(
        &self,
        deadline: Instant,
        is_wanted: impl Fn(&View) -> bool,
    ) -> Result<Arc<View>, StoreError> {
        let mut state = self.state.lock();
        loop {
            match &state.known {
                Known::Up(view) if is_wanted(view) => return Ok(Arc::clone(view)),
                Known::Down(error) => return Err(error.clone()),
                Known::Up(_) | Known::Trying | Known::Closed => {}
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                let error = |message| StoreError::new(Fault::Unreachable, message);
                if matches!(state.known, Known::Up(_)) {
                    return Err(error(
                        "the node of these keys has gone, and no other is known yet",
                    ));
                }
                let error = error("the nodes of the store are not known yet");
                // One caller has waited without success; the next ones need not.
                if matches!(state.known, Known::Trying) {
                    state.known = Known::Down(error.clone());
                }
                return Err(error);
            }
        }
    }

    fn doubt(&self, generation: u64) {
        if self.state.lock().refresh.doubt(generation) {
            self.changed.notify_all();
        }
    }

    /// Waits until it is time to ask. Returns the view in use and its generation; `None` once the
    /// store was dropped.
    fn due(&self) -> Option<(Option<Arc<View>>, u64)> {
        let mut state = self.state.lock();
        loop {
            let view = match &state.known {
                Known::Closed => return None,
                Known::Up(view) => Some(Arc::clone(view)),
                Known::Trying | Known::Down(_) => None,
            };
            let now = instant();
            match state.refresh.due().filter(|&due| due > now) {
                None => {
                    state.refresh.begin(now);
                    return Some((view, state.refresh.generation()));
                }
                Some(due) => {
                    drop(view);
                    self.changed.wait_until(&mut state, due);
                }
            }
        }
    }

    /// Takes the outcome of a question. Views that are no longer in use end with their last call.
    fn found(&self, outcome: Result<Option<View>, StoreError>, is_settled: bool) {
        let mut state = self.state.lock();
        if matches!(state.known, Known::Closed) {
            return;
        }
        let mut before = None;
        let found = match outcome {
            Ok(Some(view)) => {
                before = Some(std::mem::replace(&mut state.known, Known::Up(Arc::new(view))));
                Found::New
            }
            Ok(None) if is_settled => Found::Same,
            Ok(None) => Found::Unsettled,
            Err(error) => {
                if !matches!(state.known, Known::Up(_)) {
                    state.known = Known::Down(error);
                }
                Found::Unsettled
            }
        };
        state.refresh.end(found);
        if !is_settled {
            let generation = state.refresh.generation();
            state.refresh.doubt(generation);
        }
        drop(state);
        self.changed.notify_all();
        drop(before);
    }

    /// What a connecting thread does when it has lost its connection.
    fn lost(self: &Arc<Self>) -> Lost {
        let shared: Weak<Self> = Arc::downgrade(self);
        Arc::new(move || {
            if let Some(shared) = shared.upgrade() {
                let generation = shared.state.lock().refresh.generation();
                shared.doubt(generation);
            }
        })
    }
}
