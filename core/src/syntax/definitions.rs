//! What is rendered later than it stands, with what its names are bound to then: MiniJinja's macros, and
//! the rounds of loops.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use crate::error::Error;

use super::bindings::{self, bound_in, resolve};
use super::flows;
use super::handing::hand;
use super::mark::{Holds, Mark, add};
use super::nesting::{Frame, FrameKind, Walk};
use super::outline::{By, Span};
use super::statement::Opener;
use super::uses;

/// A macro, as far as a call of it matters.
#[derive(Debug, Default)]
pub(super) struct Definition<'s> {
    /// The names that it has from outside, with the cache block in it that uses them.
    pub(super) free: Free<'s>,
    /// What its output holds by itself.
    pub(super) marks: Vec<Mark>,
}

/// What a name is that may be one macro's or another's: what either has.
pub(super) fn either<'s>(
    one: Option<Rc<Definition<'s>>>,
    other: Option<Rc<Definition<'s>>>,
) -> Option<Rc<Definition<'s>>> {
    let (Some(one), Some(other)) = (&one, &other) else { return one.or(other) };
    let (mut free, mut marks) = (other.free.clone(), other.marks.clone());
    free.extend(one.free.clone());
    one.marks.iter().for_each(|mark| add(&mut marks, *mark));
    Some(Rc::new(Definition { free, marks }))
}

/// What a body that is rendered later has from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct Free<'s> {
    /// The names, each with the cache block in it that uses it, and where.
    pub(super) uses: BTreeMap<(&'s str, Option<usize>), usize>,
    handed: Vec<Handed<'s>>,
}

impl<'s> Free<'s> {
    pub(super) fn extend(&mut self, more: Self) {
        self.uses.extend(more.uses);
        self.handed.extend(more.handed);
    }
}

/// A value made of a name from outside, which a tag hands on.
#[derive(Debug, Clone)]
struct Handed<'s> {
    name: &'s str,
    at: usize,
    tag: Range<usize>,
    by: By,
}

/// Whether what stands in a frame is rendered when the names outside may be bound to something else
/// than where it stands: when a macro is called, in the next round of a loop or the next use of a `call`
/// block's content, where a parent has the block, or by MiniJinja's `self`.
pub(super) fn is_rendered_later(walk: &Walk<'_, '_>, frame: &Frame<'_>) -> bool {
    match frame.kind {
        FrameKind::Native(Opener::Macro) => true,
        FrameKind::Native(Opener::For | Opener::Call) => walk.carries,
        FrameKind::Native(Opener::Block) => walk.moves_blocks,
        _ => false,
    }
}

/// Notes for the frames beyond the first `level` that they have a name from outside, and use it at
/// `at`, perhaps in a cache block.
pub(super) fn has_from_outside<'s>(
    walk: &mut Walk<'_, 's>,
    level: usize,
    (name, block): (&'s str, Option<usize>),
    at: usize,
) {
    for frame in level..walk.stack.len() {
        if is_rendered_later(walk, &walk.stack[frame]) {
            walk.stack[frame].free.uses.entry((name, block)).or_insert(at);
        }
    }
}

/// Notes that the tag at `tag` hands on `by` what is made of `name`, at `at`.
pub(super) fn is_handed<'s>(
    walk: &mut Walk<'_, 's>,
    level: usize,
    (name, at): (&'s str, usize),
    tag: &Range<usize>,
    by: &By,
) {
    for frame in level..walk.stack.len() {
        if is_rendered_later(walk, &walk.stack[frame]) {
            let handed = Handed { name, at, tag: tag.clone(), by: by.clone() };
            walk.stack[frame].free.handed.push(handed);
        }
    }
}

/// The mark of `name`, which a template uses that a tag renders, if it may be bound to something else
/// than where the tag stands.
pub(super) fn shown(walk: &Walk<'_, '_>, name: &str, at: usize) -> Option<Mark> {
    let level = bound_in(walk, name).unwrap_or(0);
    let of = walk.stack[level..].iter().rfind(|frame| is_rendered_later(walk, frame))?.at;
    // The name itself, wherever it stands.
    let start = memchr::memmem::find(walk.source.as_bytes(), name.as_bytes())?;
    let outside = Span::from(start..start + name.len());
    Some(Mark { holds: Holds::Outside(outside, level), origin: of, at })
}

/// Checks what a body that is rendered again, or later, has from outside, by what that is bound to now.
pub(super) fn check_later<'s>(walk: &mut Walk<'_, 's>, free: Free<'s>) -> Result<(), Error> {
    let frames = walk.stack.len();
    for Handed { name, at, tag, by } in free.handed {
        let marks = now(walk, name, frames);
        hand(walk, (name, at), &tag, &by, &marks)?;
    }
    for ((name, block), at) in free.uses {
        let Some(block) = block else { continue };
        let mut marks = now(walk, name, frames);
        // As where an attribute is used: it may be of any namespace with several names.
        let after = walk.source[at..].strip_prefix(name).map(str::trim_start);
        let is_attribute = after.is_none_or(|after| after.starts_with(['.', '[']));
        if bindings::is_variable(walk, name) && is_attribute {
            walk.spaces.shared().iter().for_each(|mark| add(&mut marks, *mark));
        }
        uses::from_outside(walk, block, name, at, &marks)?;
    }
    Ok(())
}

/// Checks, at the template's end, its blocks that are rendered elsewhere, and its macros, which others may
/// import: they have what its names are bound to now.
pub(super) fn check_at_end(walk: &mut Walk<'_, '_>) -> Result<(), Error> {
    let later = std::mem::take(&mut walk.later);
    check_later(walk, later)?;
    let definitions: Vec<_> = walk.root.definitions().collect();
    for definition in definitions {
        call(walk, &definition, 0, walk.source.len(), Vec::new())?;
    }
    Ok(())
}

/// What macros have from outside, with what those names are bound to now.
#[derive(Debug, Default)]
struct Reached<'s> {
    /// What they render by themselves.
    own: Vec<Mark>,
    /// What they have from outside.
    outside: Vec<Mark>,
    /// With the frames in which the name is looked up.
    handed: Vec<(Handed<'s>, usize)>,
    /// The cache blocks that use a name, with where, and the frames.
    used_in: Vec<(usize, &'s str, usize, usize)>,
}

/// A macro or a module that is used as a value.
#[derive(Debug)]
pub(super) struct Held<'s> {
    /// Where.
    pub(super) name: Span,
    definition: Rc<Definition<'s>>,
    /// In how many frames it is defined.
    level: usize,
}

/// The number of a macro or a module that is used as a value.
pub(super) fn hold<'s>(
    walk: &mut Walk<'_, 's>,
    (name, at): (&str, usize),
    definition: Rc<Definition<'s>>,
    level: usize,
) -> usize {
    let name = Span::from(at..at + name.len());
    walk.held.push(Held { name, definition, level });
    walk.held.len() - 1
}

/// The macros that a value may be.
fn macros<'s>(
    walk: &Walk<'_, 's>,
    marks: &[Mark],
) -> impl Iterator<Item = (Rc<Definition<'s>>, usize)> {
    marks.iter().filter_map(|mark| match mark.holds {
        Holds::Macro(number) => {
            let Held { definition, level, .. } = &walk.held[number];
            Some((Rc::clone(definition), *level.min(&walk.stack.len())))
        }
        _ => None,
    })
}

/// What macros have from outside, and the macros that they call have.
fn reach<'s>(walk: &Walk<'_, 's>, mut queue: Vec<(Rc<Definition<'s>>, usize)>) -> Reached<'s> {
    let mut reached = Reached::default();
    let mut seen: HashSet<*const Definition<'s>> = HashSet::new();
    while let Some((definition, level)) = queue.pop() {
        if !seen.insert(Rc::as_ptr(&definition)) {
            continue;
        }
        reached.own.extend_from_slice(&definition.marks);
        let handed = definition.free.handed.iter().cloned();
        reached.handed.extend(handed.map(|handed| (handed, level)));
        for ((name, block), used) in &definition.free.uses {
            let (marks, definition) = bound(walk, name, level);
            marks.iter().for_each(|mark| add(&mut reached.outside, *mark));
            if let Some(block) = block {
                reached.used_in.push((*block, *name, *used, level));
            }
            queue.extend(definition);
            queue.extend(macros(walk, &marks));
        }
    }
    reached
}

/// The marks of what a name is bound to in the innermost `frames` frames, here or by another template;
/// and its macro, with the frames in which that is defined.
fn bound<'s>(
    walk: &Walk<'_, 's>,
    name: &str,
    frames: usize,
) -> (Vec<Mark>, Option<(Rc<Definition<'s>>, usize)>) {
    let (mut marks, mut definition) = (Vec::new(), None);
    if let Some((level, binding)) = resolve(walk, name, frames) {
        marks.clone_from(&binding.marks);
        definition = binding.definition.clone().map(|definition| (definition, level));
    }
    flows::of_others(walk, name, frames).into_iter().for_each(|mark| add(&mut marks, mark));
    walk.spaces.add_contents(&mut marks);
    (marks, definition)
}

/// The marks of what a name holds now that was rendered before: of a macro, what it has from outside.
pub(super) fn now(walk: &Walk<'_, '_>, name: &str, frames: usize) -> Vec<Mark> {
    let (mut marks, definition) = bound(walk, name, frames);
    let found: Vec<_> = definition.into_iter().chain(macros(walk, &marks)).collect();
    reach(walk, found).outside.into_iter().for_each(|mark| add(&mut marks, mark));
    marks
}

/// Adds what the namespaces and the macros hold now that a value may be.
pub(super) fn held(walk: &Walk<'_, '_>, marks: &mut Vec<Mark>) {
    walk.spaces.add_contents(marks);
    let found: Vec<_> = macros(walk, marks).collect();
    reach(walk, found).outside.into_iter().for_each(|mark| add(marks, mark));
}

/// Adds what a call of a macro brings: the marks that the names it has from outside have now.
pub(super) fn call<'s>(
    walk: &mut Walk<'_, 's>,
    definition: &Rc<Definition<'s>>,
    level: usize,
    at: usize,
    mut marks: Vec<Mark>,
) -> Result<Vec<Mark>, Error> {
    let Reached { own, outside, handed, used_in } =
        reach(walk, vec![(Rc::clone(definition), level)]);
    // What it renders by itself is rendered where it is called.
    marks.extend(own.into_iter().map(|mark| match mark.holds {
        Holds::Output => Mark { origin: at, ..mark },
        _ => mark,
    }));
    for (Handed { name, at, tag, by }, level) in handed {
        let marks = now(walk, name, level);
        hand(walk, (name, at), &tag, &by, &marks)?;
    }
    for (block, name, used, level) in used_in {
        if walk.carries {
            has_from_outside(walk, 0, (name, Some(block)), used);
        }
        if !outside.is_empty() {
            let marks = now(walk, name, level);
            uses::from_outside(walk, block, name, used, &marks)?;
        }
    }
    outside.into_iter().for_each(|mark| add(&mut marks, mark));
    Ok(marks)
}
