//! The thread that asks for the topology, connects to new nodes beside the old ones, and then puts
//! the new view in use. No call waits for it, except where no node is known for its keys.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use fragcache::store::{Fault, StoreError};
use parking_lot::Mutex;
use redis::{Pipeline, Value};

use super::cluster::{self, Layout};
use super::sentinel::{self, Named};
use super::slots::Slots;
use super::{Shared, Source, View};
use crate::address::Place;
use crate::clock::instant;
use crate::dial::Dialer;
use crate::link::Link;

/// Nodes of a cluster to ask at a time.
const NODES: usize = 3;

/// Sentinels to ask at a time.
const SENTINELS: usize = 16;

/// How long to wait for others once one has answered.
const GRACE: Duration = Duration::from_millis(100);

/// Most addresses to remember that are neither configured nor in use.
const MAX_SEEN: usize = 256;

pub(super) struct Survey {
    source: Source,
    dialer: Dialer,
    shared: Arc<Shared>,
    /// Every address that was ever named, the latest first.
    seen: Vec<Place>,
    /// Those that are being asked. A question to a host whose name does not resolve may take long.
    asking: Arc<Mutex<Vec<Place>>>,
}

/// What an answer leads to: another view or none, and whether all its nodes can be reached.
type Change = (Option<View>, bool);

impl Survey {
    pub(super) fn start(source: Source, dialer: Dialer, shared: Arc<Shared>) -> io::Result<()> {
        let survey = Self { source, dialer, shared, seen: Vec::new(), asking: Arc::default() };
        let thread = std::thread::Builder::new().name("fragcache-topology".to_owned());
        thread.spawn(move || survey.run())?;
        Ok(())
    }

    fn run(mut self) {
        while let Some((view, generation)) = self.shared.due() {
            let change = match &self.source {
                Source::Cluster { .. } => self.cluster(view.as_deref(), generation),
                Source::Sentinels { .. } => self.sentinels(view.as_deref(), generation),
            };
            // A dropped view ends its connections, so not while anything is locked.
            drop(view);
            match change {
                Ok((view, is_settled)) => self.shared.found(Ok(view), is_settled),
                Err(error) => self.shared.found(Err(error), false),
            }
        }
    }

    fn cluster(&mut self, view: Option<&View>, generation: u64) -> Result<Change, StoreError> {
        let mut candidates: Vec<Place> =
            view.iter().flat_map(|view| &view.links).map(|link| link.place.clone()).collect();
        // All processes ask at the same time, so not all the same nodes.
        fastrand::shuffle(&mut candidates);
        self.add_known(&mut candidates);
        let decode = |answers: &[Value], place: &Place| cluster::layout(answers, place);
        let mut failure = None;
        for some in candidates.chunks(NODES) {
            let (layouts, failed) = self.ask(some, &self.dialer, &cluster::question(), decode);
            failure = worse(failure, failed);
            if let Some(layout) = cluster::newest(&layouts) {
                self.remember(layout.nodes.iter().chain(&layout.replicas));
                return self.apply(layout, view, generation);
            }
        }
        Err(failure.unwrap_or_else(none_answers))
    }

    /// Connects to the nodes that are new, and makes a view if anything has changed.
    fn apply(
        &self,
        layout: &Layout,
        view: Option<&View>,
        generation: u64,
    ) -> Result<Change, StoreError> {
        let known = |place: &Place| {
            view.and_then(|view| view.links.iter().find(|link| link.place == *place)).cloned()
        };
        let mut links = Vec::with_capacity(layout.nodes.len());
        for place in &layout.nodes {
            links.push(match known(place) {
                Some(link) => link,
                None => Arc::new(self.connect(place)?),
            });
        }
        let deadline = instant() + self.dialer.connect_timeout;
        let mut failure = None;
        for link in &links {
            failure = worse(failure, link.tried(deadline).err());
        }
        let is_same = view.is_some_and(|view| {
            let places = || view.links.iter().map(|link| &link.place);
            let owner = |slot: usize| {
                u16::try_from(slot).ok().and_then(|slot| view.slots.as_ref()?.owner(slot))
            };
            places().eq(&layout.nodes)
                && layout.owners.iter().enumerate().all(|(slot, &node)| {
                    owner(slot).is_none_or(|owner| owner.node == usize::from(node))
                        && owner(slot).is_some() == (node != super::slots::NOBODY)
                })
        });
        if is_same {
            return Ok((None, failure.is_none()));
        }
        // While no node can be reached there is nothing better to say than why.
        if view.is_none()
            && let Some(failure) =
                failure.clone().filter(|_| !links.iter().any(|link| link.is_up()))
        {
            return Err(failure);
        }
        let slots = Slots::new(&layout.owners);
        for (slot, node) in
            view.iter().filter_map(|view| view.slots.as_ref()).flat_map(Slots::moving)
        {
            let place = view.and_then(|view| view.links.get(node)).map(|link| &link.place);
            let owner = slots.owner(slot).and_then(|owner| layout.nodes.get(owner.node));
            if place.is_some() && place == owner {
                slots.is_moving(slot);
            }
        }
        let view = View { generation: generation + 1, links, slots: Some(slots) };
        Ok((Some(view), failure.is_none()))
    }

    fn sentinels(&mut self, view: Option<&View>, generation: u64) -> Result<Change, StoreError> {
        let Source::Sentinels { dialer, master, .. } = &self.source else {
            return Err(none_answers());
        };
        let mut candidates = Vec::new();
        self.add_known(&mut candidates);
        let decode = |answers: &[Value], place: &Place| sentinel::named(answers, master, place);
        let (mut answers, mut failure): (Vec<Named>, _) = (Vec::new(), None);
        for some in candidates.chunks(SENTINELS) {
            let (more, failed) = self.ask(some, dialer, &sentinel::question(master), decode);
            answers.extend(more);
            failure = worse(failure, failed);
        }
        if answers.is_empty() {
            return Err(failure.unwrap_or_else(none_answers));
        }
        let masters = sentinel::masters(&answers);
        if masters.is_empty() {
            return Err(sentinel::unknown(master, &answers));
        }
        self.remember(answers.iter().flat_map(|answer| &answer.sentinels));
        let mut failure = None;
        for place in &masters {
            let current = view.and_then(|view| view.links.iter().find(|l| l.place == *place));
            if let Some(link) = current {
                if link.is_up() {
                    return Ok((None, true));
                }
                continue;
            }
            let link = self.connect(place)?;
            // The greeting asks for the role, so a replica does not come up.
            match link.tried(instant() + self.dialer.connect_timeout) {
                Ok(()) => {
                    let links = vec![Arc::new(link)];
                    let view = View { generation: generation + 1, links, slots: None };
                    return Ok((Some(view), true));
                }
                Err(error) => failure = worse(failure, Some(error)),
            }
        }
        // The master in use cannot be reached, and no other one is there yet.
        match (view, failure) {
            (None, Some(error)) => Err(error),
            _ => Ok((None, false)),
        }
    }

    fn connect(&self, place: &Place) -> Result<Link, StoreError> {
        let counts = Arc::clone(&self.shared.counts);
        Link::new(self.dialer.at(place)?, counts, self.shared.lost())
            .map_err(|error| no_thread(&error))
    }

    /// Adds the addresses that were seen, and the seeds.
    fn add_known(&self, candidates: &mut Vec<Place>) {
        let (Source::Sentinels { seeds, .. } | Source::Cluster { seeds }) = &self.source;
        for place in seeds.iter().chain(&self.seen) {
            if !candidates.contains(place) {
                candidates.push(place.clone());
            }
        }
    }

    fn remember<'a>(&mut self, places: impl Iterator<Item = &'a Place>) {
        let mut seen: Vec<Place> = places.cloned().collect();
        seen.append(&mut self.seen);
        for place in seen {
            if self.seen.len() < MAX_SEEN && !self.seen.contains(&place) {
                self.seen.push(place);
            }
        }
    }

    /// Asks all these nodes at the same time. Returns what they say, and a failure if there was one.
    /// Once one has answered, the others have little time left.
    fn ask<T>(
        &self,
        places: &[Place],
        dialer: &Dialer,
        question: &Pipeline,
        decode: impl Fn(&[Value], &Place) -> Result<T, StoreError>,
    ) -> (Vec<T>, Option<StoreError>) {
        let (sender, receiver) = mpsc::channel();
        let (mut found, mut failure, mut waiting) = (Vec::new(), None, 0);
        for place in places {
            match self.begin(place, dialer, question, &sender) {
                Ok(begins) => waiting += usize::from(begins),
                Err(error) => failure = worse(failure, Some(error)),
            }
        }
        let mut deadline: Instant = instant() + dialer.connect_timeout;
        while waiting > 0 {
            let left = deadline.saturating_duration_since(instant());
            let (place, outcome) = match receiver.recv_timeout(left) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            };
            waiting -= 1;
            match outcome.and_then(|answers: Vec<Value>| decode(&answers, &place)) {
                Ok(answer) => {
                    found.push(answer);
                    deadline = deadline.min(instant() + GRACE);
                }
                Err(error) => failure = worse(failure, Some(error)),
            }
        }
        (found, failure)
    }

    /// Asks one node, on a thread that ends with the answer; false if it is being asked already.
    fn begin(
        &self,
        place: &Place,
        dialer: &Dialer,
        question: &Pipeline,
        sender: &Sender<(Place, Result<Vec<Value>, StoreError>)>,
    ) -> Result<bool, StoreError> {
        let dialer = dialer.at(place)?;
        let mut asking = self.asking.lock();
        if asking.contains(place) {
            return Ok(false);
        }
        let (place, question, sender) = (place.clone(), question.clone(), sender.clone());
        let (all, asked) = (Arc::clone(&self.asking), place.clone());
        let thread = std::thread::Builder::new().name("fragcache-ask".to_owned());
        let started = thread.spawn(move || {
            let outcome = dialer.query(&question);
            all.lock().retain(|other| *other != place);
            // Nobody waits any more for a late answer.
            let _ = sender.send((place, outcome));
        });
        started.map_err(|error| no_thread(&error))?;
        asking.push(asked);
        Ok(true)
    }
}

/// Of two failures, the one that says more: a server that answers and cannot be used.
fn worse(one: Option<StoreError>, other: Option<StoreError>) -> Option<StoreError> {
    let says_more = |error: &StoreError| error.fault() == Fault::Unusable;
    match (one, other) {
        (Some(one), Some(other)) if says_more(&other) && !says_more(&one) => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

fn none_answers() -> StoreError {
    StoreError::new(Fault::Unreachable, "no node answers when asked for the topology")
}

fn no_thread(error: &io::Error) -> StoreError {
    let message = format!("no thread can be started: {}", crate::fault::one_line(error));
    StoreError::new(Fault::Unreachable, message)
}
