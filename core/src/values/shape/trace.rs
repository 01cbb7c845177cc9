//! Explores what a type's `Deserialize` requests, variant by variant. The type is deserialized from
//! made-up values in several passes, and everything it requests goes into one digest. `asked`
//! supplies the values.
//!
//! A pass is a list of choices: which variant, how many elements, which sample. The first pass
//! takes the first variant of each enum. Each further pass repeats the choices that led to an enum
//! with a missing variant, takes that variant, and then the shortest way to the end. So there are
//! about as many passes as variants, also for nested enums. If a type rejects a sample, the pass is
//! repeated with the next one.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::Xxh3;

use super::asked::{Asked, Unwilling};

/// Most values that a type may request in all passes together.
const MAX_STEPS: usize = 100_000;

/// Most passes repeated because a type rejected a sample.
const MAX_RETRIES: usize = 1_000;

/// Most samples for one kind of value.
pub(super) const MAX_SAMPLES: usize = 32;

/// Deepest nesting of a type.
const MAX_DEPTH: usize = 128;

/// What was seen of a type.
pub(super) struct Traced {
    /// The digest of everything it requested; `None` if it could not be seen completely.
    pub(super) digest: Option<u128>,
    #[cfg(test)]
    pub(super) passes: usize,
    #[cfg(test)]
    pub(super) steps: usize,
}

/// Explores a type.
pub(super) fn trace<T: DeserializeOwned>() -> Traced {
    let mut trace = Trace::default();
    let is_seen = trace.all::<T>();
    Traced {
        digest: is_seen.then(|| trace.digest.digest128()),
        #[cfg(test)]
        passes: trace.passes,
        #[cfg(test)]
        steps: trace.steps,
    }
}

/// One choice of a pass.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    first: usize,
    /// The choices to try if the first is rejected.
    rest: &'static [usize],
    tried: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Whether a field is given. It is left out only if its name is an alias of a given one.
    Field,
    /// A sample for a reader, in a field of this name.
    Sample(TypeId, &'static str),
}

impl Choice {
    pub(super) fn new(first: usize, rest: &'static [usize]) -> Self {
        Self { first, rest, tried: 0, kind: Kind::Plain }
    }

    pub(super) fn field() -> Self {
        Self { kind: Kind::Field, ..Self::new(0, &[1]) }
    }

    fn pick(&self) -> usize {
        self.tried.checked_sub(1).map_or(self.first, |at| self.rest[at])
    }
}

/// An enum that was found.
#[derive(Clone)]
struct Enum {
    /// The choices that lead to it.
    way: Arc<[Choice]>,
    /// The variants that have been explored completely.
    done: Vec<bool>,
    /// The first of them: it can be built without any other.
    first_done: Option<usize>,
    /// How often each variant is being built now, nested in itself.
    open: Vec<usize>,
}

/// What the successful passes have seen.
#[derive(Clone, Default)]
struct Known {
    is_begun: bool,
    named: HashSet<TypeId>,
    enums: Vec<Enum>,
    places: HashMap<TypeId, usize>,
}

#[derive(Default)]
pub(super) struct Trace {
    known: Known,
    /// Samples that were accepted in place of the first.
    accepted: HashMap<(TypeId, &'static str), usize>,
    digest: Xxh3,
    passes: usize,
    steps: usize,
    retries: usize,
    /// True if something cannot be seen.
    is_blind: bool,

    // Of this pass:
    text: String,
    script: Vec<Choice>,
    taken: Vec<Choice>,
    /// For each type being built, whether it is explored completely or built with as little as
    /// possible.
    frames: Vec<bool>,
    /// The number of values that were started and not finished.
    open: usize,
}

impl Trace {
    fn all<T: DeserializeOwned>(&mut self) -> bool {
        if !self.pass::<T>(Vec::new()) {
            return false;
        }
        while let Some((script, at, variant)) = self.known.missing() {
            if !self.pass::<T>(script) || !self.known.enums[at].done[variant] {
                return false;
            }
        }
        true
    }

    /// Builds one value of the type, with choices that start with `script`.
    fn pass<T: DeserializeOwned>(&mut self, script: Vec<Choice>) -> bool {
        let (fixed, before) = (script.len(), self.known.clone());
        self.script = script;
        loop {
            self.passes += 1;
            self.text.clear();
            self.taken.clear();
            self.frames = vec![!self.known.is_begun];
            self.open = 0;
            // A sample may violate an assumption of the type's author and cause a panic.
            let made =
                catch_unwind(AssertUnwindSafe(|| T::deserialize(Asked::new(self)).map(drop)));
            let is_alias = match made {
                _ if self.is_blind => return false,
                // A value was started and not finished: the type has ignored its error.
                Ok(Ok(())) if self.open == 0 => break,
                Ok(made) => matches!(made, Err(Unwilling::DuplicateField)),
                Err(_) => return false,
            };
            self.known.clone_from(&before);
            self.retries += 1;
            if self.retries > MAX_RETRIES || !self.retry(fixed, is_alias) {
                return false;
            }
        }
        for choice in &self.taken {
            if let (Kind::Sample(reader, field), 1..) = (choice.kind, choice.tried) {
                self.accepted.insert((reader, field), choice.pick());
            }
        }
        self.known.is_begun = true;
        self.digest.update(self.text.as_bytes());
        self.digest.update(b"\n");
        true
    }

    /// Changes the last choice that can be changed.
    fn retry(&mut self, fixed: usize, is_alias: bool) -> bool {
        let last = self.taken.len().saturating_sub(1);
        while self.taken.len() > fixed {
            let at = self.taken.len() - 1;
            let Some(choice) = self.taken.last_mut() else { return false };
            let may_change = choice.kind != Kind::Field || (is_alias && at == last);
            // The first choice is also among the rest of some, and was rejected.
            let next =
                (choice.tried..choice.rest.len()).find(|&at| choice.rest[at] != choice.first);
            if let Some(next) = next.filter(|_| may_change) {
                choice.tried = next + 1;
                self.script.clone_from(&self.taken);
                return true;
            }
            self.taken.pop();
        }
        false
    }

    /// Starts a value that the type requests.
    pub(super) fn begin(
        &mut self,
        what: std::fmt::Arguments<'_>,
        depth: usize,
    ) -> Result<(), Unwilling> {
        self.steps += 1;
        if self.is_blind || self.steps > MAX_STEPS || depth > MAX_DEPTH {
            return Err(self.blind());
        }
        self.open += 1;
        self.note(what);
        self.note(format_args!("("));
        Ok(())
    }

    pub(super) fn finish(&mut self) {
        self.open -= 1;
        self.note(format_args!(")"));
    }

    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut self.text, what);
    }

    /// Marks that the type requests something that cannot be explored.
    pub(super) fn blind(&mut self) -> Unwilling {
        self.is_blind = true;
        Unwilling::Sample
    }

    pub(super) fn choose(&mut self, choice: Choice) -> usize {
        let choice = self.script.get(self.taken.len()).copied().unwrap_or(choice);
        self.taken.push(choice);
        choice.pick()
    }

    /// Chooses the sample for a reader.
    pub(super) fn sample(&mut self, reader: TypeId, field: &'static str, count: usize) -> usize {
        const ALL: [usize; MAX_SAMPLES] = {
            let mut all = [0; MAX_SAMPLES];
            let mut at = 0;
            while at < all.len() {
                all[at] = at;
                at += 1;
            }
            all
        };
        let first = self.accepted.get(&(reader, field)).copied().unwrap_or(0);
        let kind = Kind::Sample(reader, field);
        self.choose(Choice { kind, ..Choice::new(first, &ALL[..count]) })
    }

    /// Returns true if everything in this frame is explored.
    pub(super) fn is_full(&self, frame: usize) -> bool {
        self.frames.get(frame).copied().unwrap_or_default()
    }

    /// Opens the frame of a type inside another: complete the first time it is found.
    pub(super) fn enter(&mut self, reader: TypeId, frame: usize) -> usize {
        let is_new = self.known.named.insert(reader);
        self.push(is_new, frame)
    }

    fn push(&mut self, is_full: bool, frame: usize) -> usize {
        self.frames.truncate(frame + 1);
        self.frames.push(is_full);
        self.frames.len() - 1
    }

    /// Opens an enum: its index, the variant to build, and its frame.
    pub(super) fn enter_enum(
        &mut self,
        reader: TypeId,
        variants: usize,
        frame: usize,
    ) -> Result<(usize, usize, usize), Unwilling> {
        if variants == 0 {
            return Err(self.blind());
        }
        let (known, taken) = (&mut self.known, &self.taken);
        let at = *known.places.entry(reader).or_insert_with(|| {
            known.enums.push(Enum {
                way: taken.as_slice().into(),
                done: vec![false; variants],
                first_done: None,
                open: vec![0; variants],
            });
            known.enums.len() - 1
        });
        let next = known.enums[at].next();
        let variant = self.choose(Choice::new(next, &[]));
        let met = &mut self.known.enums[at];
        // A variant nested in itself is built with as little as possible.
        let is_new = !met.done[variant] && met.open[variant] == 0;
        met.open[variant] += 1;
        if is_new && let Some(around) = self.frames.get_mut(frame) {
            // What follows may depend on the variant, as the content of an adjacently tagged enum
            // does.
            *around = true;
        }
        Ok((at, variant, self.push(is_new, frame)))
    }

    pub(super) fn leave_enum(&mut self, at: usize, variant: usize) {
        let met = &mut self.known.enums[at];
        met.open[variant] -= 1;
        met.done[variant] = true;
        met.first_done.get_or_insert(variant);
    }
}

impl Enum {
    /// The variant to build next. Nested in itself, one that is known to end; while none is, each
    /// in turn.
    fn next(&self) -> usize {
        let is_inside = self.open.iter().any(|&open| open > 0);
        let unseen = || (0..self.done.len()).find(|&at| !self.done[at] && self.open[at] == 0);
        match self.first_done {
            Some(done) if is_inside => done,
            done => unseen().or(done).unwrap_or_else(|| {
                (0..self.open.len()).min_by_key(|&at| self.open[at]).unwrap_or_default()
            }),
        }
    }
}

impl Known {
    /// A variant that was not built yet, and the choices that lead to it.
    fn missing(&self) -> Option<(Vec<Choice>, usize, usize)> {
        self.enums.iter().enumerate().find_map(|(at, met)| {
            let variant = met.done.iter().position(|done| !done)?;
            let script = [&*met.way, &[Choice::new(variant, &[])]].concat();
            Some((script, at, variant))
        })
    }
}
