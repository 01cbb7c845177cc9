//! One caller of a history: what it has open, and its steps.

use super::api::{self, Point};
use super::truth::{self, LabelSet, NAMES, PARTS, Place, TAGS, TEMPLATES};
use super::{History, Stale};
use crate::engine::{Body, Opened, OutputMode, Scalar, Ticket};
use crate::render::{Frames, swap};

/// Deepest nesting of open fragments.
const DEPTH: usize = 4;

/// A body that the smaller caches have no room for.
const LONG: usize = 400;

/// A fragment under way.
pub(super) struct Level {
    ticket: Ticket,
    place: Place,
    piece: usize,
    /// The pieces of what was printed inside it.
    inside: Vec<usize>,
}

/// A caller between its steps.
#[derive(Default)]
pub(super) struct Caller {
    /// Its thread's open fragments, while other callers have the thread.
    frames: Frames,
    levels: Vec<Level>,
    /// The read point that it renders under, and the step in which that was taken.
    point: Option<(Point, u32)>,
    /// Whether nobody gives up what it leaves open.
    unbounded: bool,
}

impl Caller {
    pub(super) fn new(unbounded: bool) -> Self {
        Self { unbounded, ..Self::default() }
    }

    /// Prints what is made of these pieces into the innermost open fragment.
    fn print(&mut self, pieces: impl IntoIterator<Item = usize>) {
        let Some(level) = self.levels.last_mut() else { return };
        for piece in pieces {
            if !level.inside.contains(&piece) {
                level.inside.push(piece);
            }
        }
    }

    /// Ends whatever is open.
    pub(super) fn end(mut self) {
        swap(&mut self.frames);
        while let Some(level) = self.levels.pop() {
            drop(level.ticket);
        }
        swap(&mut self.frames);
    }
}

impl History<'_> {
    /// One step of the caller `who`, on its own stack and under its read point.
    pub(super) fn caller_step(&mut self, who: usize) -> Result<(), Stale> {
        let mut caller = std::mem::take(&mut self.callers[who]);
        swap(&mut caller.frames);
        let outcome = match caller.point.take() {
            Some((point, step)) => {
                caller.point = Some((point.clone(), step));
                api::scoped(&point, || self.step_of(who, &mut caller))
            }
            None => self.step_of(who, &mut caller),
        };
        swap(&mut caller.frames);
        self.callers[who] = caller;
        outcome
    }

    fn step_of(&mut self, who: usize, caller: &mut Caller) -> Result<(), Stale> {
        let drawn = self.random.below(100);
        if caller.levels.is_empty() {
            match drawn {
                0..15 => self.take_point(who, caller),
                15..25 => {
                    self.log(|| format!("caller {who} drops its read point"));
                    caller.point = None;
                }
                _ => return self.open(who, caller),
            }
            return Ok(());
        }
        match drawn {
            0..36 if caller.levels.len() < DEPTH => return self.open(who, caller),
            0..50 => self.learn(who, caller),
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
        caller.point = api::begin(&self.root).map(|point| (point, self.truth.step));
    }

    fn draw_place(&mut self) -> Place {
        let name = self.random.below(NAMES);
        // Most names have a block of their own.
        let template = if self.random.one_in(6) { self.random.below(TEMPLATES) } else { name };
        Place {
            namespace: self.draw_space(),
            name,
            part: self.random.below(PARTS),
            template,
            generation: self.generations[template],
            html: !self.random.one_in(12),
        }
    }

    fn open(&mut self, who: usize, caller: &mut Caller) -> Result<(), Stale> {
        let place = self.draw_place();
        let seconds = 1 + self.random.below(10);
        let (timeout, options) = match self.random.below(40) {
            0 => (Scalar::Str("del"), ""),
            1 => (Scalar::Int(60), "u"),
            2..5 => (Scalar::Int(60), "r"),
            5..9 => (Scalar::None, ""),
            _ => (Scalar::Int(seconds as i128), ""),
        };
        let tags = self.draw_tags();
        let request = api::Request { place, timeout, options, tags: &tags };
        let opened = request.open(&self.spaces[place.namespace], !caller.unbounded);
        let deletes = timeout == Scalar::Str("del");
        if deletes {
            self.truth.invalidate(LabelSet::key(place.namespace, place.name, place.part));
        }
        match opened {
            Opened::Hit(markup) => {
                self.log(|| format!("caller {who} opens {place}: served {markup}"));
                self.work.hits += 1;
                self.check(&markup, place, false)?;
                caller.print(truth::numbers(&markup));
            }
            Opened::Render(ticket) => {
                let read = caller.point.as_ref().map_or(self.truth.step, |&(_, step)| step);
                let mut labels = LabelSet::default();
                for &tag in &tags {
                    labels = labels.with(LabelSet::tag(place.namespace, tag));
                }
                if deletes || options == "u" {
                    labels = labels.with(LabelSet::NEVER);
                }
                let piece = self.truth.piece(place, labels, read);
                self.log(|| {
                    format!("caller {who} opens {place} {options:?} tags {tags:?}: renders {piece}")
                });
                caller.levels.push(Level { ticket, place, piece, inside: Vec::new() });
            }
        }
        Ok(())
    }

    fn draw_tags(&mut self) -> Vec<usize> {
        if api::TAGS && self.random.one_in(4) { vec![self.random.below(TAGS)] } else { Vec::new() }
    }

    fn learn(&mut self, who: usize, caller: &Caller) {
        let tag = self.random.below(TAGS);
        let Some(level) = caller.levels.last() else { return };
        // What a failed render left open above is innermost then, and learns it in this one's place.
        if api::TAGS && !caller.unbounded {
            self.log(|| format!("caller {who}: {} learns tag {tag}", level.piece));
            api::learn(tag);
            self.truth.learn(level.piece, LabelSet::tag(level.place.namespace, tag));
        }
    }

    fn veto(&mut self, who: usize, caller: &Caller) {
        let Some(level) = caller.levels.last() else { return };
        if api::VETO && !caller.unbounded {
            self.log(|| format!("caller {who}: {} must not be stored", level.piece));
            api::veto();
            self.truth.learn(level.piece, LabelSet::NEVER);
        }
    }

    fn shorten(&mut self, who: usize) {
        self.log(|| format!("caller {who} shortens a life"));
        api::shorten();
    }

    fn close(&mut self, who: usize, caller: &mut Caller) {
        let Some(level) = caller.levels.pop() else { return };
        let padding = if self.random.one_in(16) { LONG } else { 0 };
        let markup = truth::markup(level.piece, &level.inside, padding);
        let closed = level.ticket.close(Body::from(markup.as_str()));
        self.log(|| format!("caller {who} closes {} as {markup}: {closed:?}", level.piece));
        caller.print(truth::numbers(&markup));
    }

    /// A body fails, and what is around it prints something in its place, made of all it had.
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

/// The mode of a place.
pub(super) fn mode(place: Place) -> OutputMode {
    if place.html { OutputMode::HTML } else { OutputMode::RAW }
}
