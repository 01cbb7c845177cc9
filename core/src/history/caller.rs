//! A caller of a history: its open fragments and its steps.

use std::cell::Cell;
use std::time::Duration;

use super::api::{self, TAG};
use super::truth::{self, LabelSet, NAMES, PARTS, Place, TAGS, TEMPLATES, VERSIONS};
use super::{History, Wrong};
use crate::engine::{Body, Opened, Scalar, Ticket};
use crate::render::{Frames, swap};
use crate::{Error, ReadPoint, current};

/// Maximum nesting of open fragments.
const DEPTH: usize = 4;

/// Body length that exceeds the capacity of the smaller caches.
const LONG: usize = 400;

/// A render in progress.
pub(super) struct Level {
    ticket: Ticket,
    place: Place,
    piece: usize,
    /// The pieces printed inside it.
    inside: Vec<usize>,
    /// The step that determines its age.
    read: u32,
}

/// A caller between two steps.
#[derive(Default)]
pub(super) struct Caller {
    process: usize,
    /// The open fragments of its thread, saved while other callers use the thread.
    frames: Frames,
    levels: Vec<Level>,
    /// Its read point, and the step in which the point was taken.
    point: Option<(ReadPoint, u32)>,
    /// Whether the point is in the render's context, not in a scope.
    by_context: bool,
    /// Whether fragments that it leaves open are never cleaned up.
    unbounded: bool,
}

impl Caller {
    /// The age of a fragment that starts now: the oldest of its point and the fragments around it.
    /// Those are ignored if they may count as leftovers.
    fn age(&self, point: Option<u32>, now: u32) -> u32 {
        let around = self.levels.iter().filter(|_| !self.unbounded).map(|level| level.read);
        around.chain(point).min().unwrap_or(now)
    }
}

/// A body failed.
#[derive(Debug)]
struct Failed;

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        panic!("{error}")
    }
}

impl Caller {
    pub(super) fn new(process: usize, unbounded: bool) -> Self {
        Self { process, unbounded, ..Self::default() }
    }

    /// Prints these pieces into the innermost open fragment.
    fn print(&mut self, pieces: impl IntoIterator<Item = usize>) {
        let Some(level) = self.levels.last_mut() else { return };
        for piece in pieces {
            if !level.inside.contains(&piece) {
                level.inside.push(piece);
            }
        }
    }

    /// Ends all open fragments.
    pub(super) fn end(mut self) {
        swap(&mut self.frames);
        while let Some(level) = self.levels.pop() {
            drop(level.ticket);
        }
        swap(&mut self.frames);
    }
}

impl History<'_> {
    /// Runs one step of the caller `who`, on its own stack and under its read point.
    pub(super) fn caller_step(&mut self, who: usize) -> Result<(), Wrong> {
        let mut caller = std::mem::take(&mut self.callers[who]);
        swap(&mut caller.frames);
        // It renders some fragments outside its point's scope.
        let kept = if self.random.one_in(8) { caller.point.take() } else { None };
        let outcome = match caller.point {
            Some((point, _)) if !caller.by_context => {
                point.scope(|| self.step_of(who, &mut caller))
            }
            _ => self.step_of(who, &mut caller),
        };
        caller.point = caller.point.or(kept);
        swap(&mut caller.frames);
        self.callers[who] = caller;
        outcome
    }

    fn step_of(&mut self, who: usize, caller: &mut Caller) -> Result<(), Wrong> {
        let drawn = self.random.below(100);
        if caller.levels.is_empty() {
            match drawn {
                0..15 => self.take_point(who, caller),
                15..25 => {
                    self.log(|| format!("caller {who} drops its read point"));
                    caller.point = None;
                }
                25..35 => return self.render(who, caller),
                _ => return self.open(who, caller),
            }
            return Ok(());
        }
        match drawn {
            0..6 => return self.render(who, caller),
            6..36 if caller.levels.len() < DEPTH => return self.open(who, caller),
            6..50 => self.learn(who, caller),
            50..53 => self.veto(who, caller),
            53..58 => self.shorten(who),
            58..61 => self.take_point(who, caller),
            61..66 => self.fail(who, caller),
            _ => self.close(who, caller),
        }
        Ok(())
    }

    fn take_point(&mut self, who: usize, caller: &mut Caller) {
        self.log(|| format!("caller {who} takes a read point"));
        caller.point = Some((self.processes[caller.process].root.read_point(), self.truth.step));
        caller.by_context = self.random.one_in(3);
    }

    fn draw_place(&mut self, unbounded: bool) -> Place {
        let name = self.random.below(NAMES);
        // Most names have a block of their own.
        let template = if self.random.one_in(6) { self.random.below(TEMPLATES) } else { name };
        Place {
            // A leftover of a failed render would count the tag in its own namespace.
            namespace: if unbounded { 0 } else { self.draw_space() },
            name,
            part: self.random.below(PARTS),
            template,
            generation: self.generations[template],
            version: if self.random.one_in(8) { self.random.below(VERSIONS) } else { 0 },
            html: !self.random.one_in(12),
            rust: false,
        }
    }

    fn open(&mut self, who: usize, caller: &mut Caller) -> Result<(), Wrong> {
        let place = self.draw_place(caller.unbounded);
        let seconds = 1 + self.random.below(10);
        let (timeout, options) = match self.random.below(40) {
            0 => (Scalar::Str("del"), ""),
            _ if place.version > 0 => (Scalar::Int(60), "v"),
            1 => (Scalar::Int(60), "u"),
            2..5 => (Scalar::Int(60), "r"),
            5..9 => (Scalar::None, ""),
            _ => (Scalar::Int(seconds as i128), ""),
        };
        let place = Place { version: if options == "v" { place.version } else { 0 }, ..place };
        let tags = self.draw_tags();
        let request = api::Request {
            place,
            timeout,
            options,
            tags: &tags,
            bounded: !caller.unbounded,
            point: caller.point.filter(|_| caller.by_context).map(|(point, _)| point),
        };
        let opened = request.open(&self.processes[caller.process].spaces[place.namespace]);
        let deletes = timeout == Scalar::Str("del");
        if deletes {
            let covered = LabelSet::key(place.namespace, place.name, place.part);
            self.invalidated(covered, self.lag);
        }
        match opened {
            Opened::Hit(markup) => {
                self.log(|| format!("caller {who} opens {place}: served {markup}"));
                self.work.hits += 1;
                self.check(&markup, place, false)?;
                caller.print(truth::numbers(&markup));
            }
            Opened::Render(ticket) => {
                let read = caller.age(caller.point.map(|(_, step)| step), self.truth.step);
                let mut labels = Self::tag_labels(place, &tags);
                if deletes || options == "u" {
                    labels = labels.with(LabelSet::NEVER);
                }
                let piece = self.truth.piece(place, labels, read);
                self.log(|| {
                    format!("caller {who} opens {place} {options:?} tags {tags:?}: renders {piece}")
                });
                caller.levels.push(Level { ticket, place, piece, inside: Vec::new(), read });
            }
        }
        Ok(())
    }

    /// Renders a fragment from Rust code. Its body is a step, which may fail; an expired entry may
    /// replace it.
    fn render(&mut self, who: usize, caller: &mut Caller) -> Result<(), Wrong> {
        let place = self.draw_place(caller.unbounded).by_rust();
        let tags = self.draw_tags();
        let ttl = Duration::from_secs(1 + self.random.below(10) as u64);
        let fragment = api::fragment(place, &tags).expires_after(ttl);
        let scoped = caller.point.filter(|_| !caller.by_context);
        let read = caller.age(scoped.map(|(_, step)| step), self.truth.step);
        let labels = Self::tag_labels(place, &tags);
        let piece = self.truth.piece(place, labels, read);
        let (fails, runs) = (self.random.one_in(3), Cell::new(false));
        let space = &self.processes[caller.process].spaces[place.namespace];
        let outcome = space.try_render(&fragment, || {
            runs.set(true);
            if fails { Err(Failed) } else { Ok(truth::markup(piece, &[], 0)) }
        });
        self.log(|| format!("caller {who} renders {place} tags {tags:?}, {piece}: {outcome:?}"));
        match outcome {
            Ok(markup) if fails || !runs.get() => {
                self.work.hits += 1;
                self.check(&markup, place, false)?;
                caller.print(truth::numbers(&markup));
            }
            _ => caller.print([piece]),
        }
        Ok(())
    }

    fn tag_labels(place: Place, tags: &[usize]) -> LabelSet {
        tags.iter().fold(LabelSet::default(), |labels, &tag| {
            labels.with(LabelSet::tag(place.namespace, tag))
        })
    }

    fn draw_tags(&mut self) -> Vec<usize> {
        if self.random.one_in(4) { vec![self.random.below(TAGS)] } else { Vec::new() }
    }

    /// A leftover of a failed render above is then the innermost fragment, and passes labels on.
    fn learn(&mut self, who: usize, caller: &Caller) {
        let tag = self.random.below(TAGS);
        let Some(level) = caller.levels.last() else { return };
        self.log(|| format!("caller {who}: {} learns tag {tag}", level.piece));
        current::add_tags([TAG[tag]]).unwrap();
        self.truth.learn(level.piece, LabelSet::tag(level.place.namespace, tag));
    }

    fn veto(&mut self, who: usize, caller: &Caller) {
        let Some(level) = caller.levels.last() else { return };
        self.log(|| format!("caller {who}: {} must not be stored", level.piece));
        current::veto();
        self.truth.learn(level.piece, LabelSet::NEVER);
    }

    fn shorten(&mut self, who: usize) {
        self.log(|| format!("caller {who} shortens a life"));
        current::expire_after(Duration::from_secs(self.random.below(4) as u64));
    }

    fn close(&mut self, who: usize, caller: &mut Caller) {
        let Some(level) = caller.levels.pop() else { return };
        let padding = if self.random.one_in(16) { LONG } else { 0 };
        let markup = truth::markup(level.piece, &level.inside, padding);
        let closed = level.ticket.close(Body::from(markup.as_str()));
        self.log(|| format!("caller {who} closes {} as {markup}: {closed:?}", level.piece));
        caller.print(truth::numbers(&markup));
    }

    /// Fails a body. The fragment around it prints a replacement that counts as made of the same
    /// pieces.
    fn fail(&mut self, who: usize, caller: &mut Caller) {
        let Some(level) = caller.levels.pop() else { return };
        let forget = caller.unbounded && self.random.one_in(2);
        self.log(|| {
            let how = if forget { ", and leaves its fragment open" } else { "" };
            format!("caller {who} fails in {}{how}", level.piece)
        });
        if forget {
            level.ticket.into_id();
        } else {
            drop(level.ticket);
        }
        caller.print([level.piece].into_iter().chain(level.inside));
    }
}
