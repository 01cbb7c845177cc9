//! Code that is rendered later than where it stands and uses the values that its names have then:
//! MiniJinja's macros, and the iterations of loops.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use crate::error::Error;

use super::bindings::{self, bound_in, resolve};
use super::flows;
use super::mark::{Holds, Mark, add};
use super::nesting::{Frame, FrameKind, Walk};
use super::passing::pass_on;
use super::uses;
use crate::opener::Opener;
use crate::outline::{By, Span};

/// What a call of a macro needs to know about the macro.
#[derive(Debug, Default)]
pub(super) struct Definition<'s> {
    /// The outside names that it uses, each with the cache block inside it that uses them.
    pub(super) free: Free<'s>,
    /// The marks of its output, apart from outside names.
    pub(super) marks: Vec<Mark>,
}

/// Merges two possible definitions of a name into one that has the names and marks of both.
pub(super) fn merge<'s>(
    one: Option<Rc<Definition<'s>>>,
    other: Option<Rc<Definition<'s>>>,
) -> Option<Rc<Definition<'s>>> {
    let (Some(one), Some(other)) = (&one, &other) else { return one.or(other) };
    let (mut free, mut marks) = (other.free.clone(), other.marks.clone());
    free.extend(one.free.clone());
    one.marks.iter().for_each(|mark| add(&mut marks, *mark));
    Some(Rc::new(Definition { free, marks }))
}

/// The outside names that a body rendered later uses.
#[derive(Debug, Clone, Default)]
pub(super) struct Free<'s> {
    /// The names, each with the cache block inside the body that uses it, and the offset of the
    /// use.
    pub(super) uses: BTreeMap<(&'s str, Option<usize>), usize>,
    passed_on: Vec<PassedOn<'s>>,
}

impl<'s> Free<'s> {
    pub(super) fn extend(&mut self, more: Self) {
        self.uses.extend(more.uses);
        self.passed_on.extend(more.passed_on);
    }
}

/// A value made from an outside name, which a tag passes on.
#[derive(Debug, Clone)]
struct PassedOn<'s> {
    name: &'s str,
    at: usize,
    tag: Range<usize>,
    by: By,
}

/// Whether the content of a frame may be rendered when outside names have other values than where
/// it stands: when a macro is called, in the next iteration of a loop, at the next use of a `call`
/// block's content, where a parent has the block, or through MiniJinja's `self`.
pub(super) fn is_rendered_later(walk: &Walk<'_, '_>, frame: &Frame<'_>) -> bool {
    match frame.kind {
        FrameKind::Native(Opener::Macro) => true,
        FrameKind::Native(Opener::For | Opener::Call) => walk.loops_carry,
        FrameKind::Native(Opener::Block) => walk.may_move_blocks,
        _ => false,
    }
}

/// Records for the frames after the first `level` frames that they use an outside name at `at`,
/// perhaps in a cache block.
pub(super) fn record_outside_use<'s>(
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

/// Records that the tag at `tag` passes on, in the way `by`, a value made from `name` at `at`.
pub(super) fn record_passed_on<'s>(
    walk: &mut Walk<'_, 's>,
    level: usize,
    (name, at): (&'s str, usize),
    tag: &Range<usize>,
    by: &By,
) {
    for frame in level..walk.stack.len() {
        if is_rendered_later(walk, &walk.stack[frame]) {
            let passed_on = PassedOn { name, at, tag: tag.clone(), by: by.clone() };
            walk.stack[frame].free.passed_on.push(passed_on);
        }
    }
}

/// The mark of `name` for a template that a tag renders, if the name may have another value by
/// then.
pub(super) fn later_mark(walk: &Walk<'_, '_>, name: &str, at: usize) -> Option<Mark> {
    let level = bound_in(walk, name).unwrap_or(0);
    let of = walk.stack[level..].iter().rfind(|frame| is_rendered_later(walk, frame))?.at;
    // Any occurrence of the name serves, since the span only carries the text.
    let start = memchr::memmem::find(walk.source.as_bytes(), name.as_bytes())?;
    let outside = Span::from(start..start + name.len());
    Some(Mark { holds: Holds::Outside(outside, level), origin: of, at })
}

/// Checks the outside names of a body that is rendered again, or later, against their current
/// values.
pub(super) fn check_later<'s>(walk: &mut Walk<'_, 's>, free: Free<'s>) -> Result<(), Error> {
    let frames = walk.stack.len();
    for PassedOn { name, at, tag, by } in free.passed_on {
        let marks = now(walk, name, frames);
        pass_on(walk, (name, at), &tag, &by, &marks)?;
    }
    for ((name, block), at) in free.uses {
        let Some(block) = block else { continue };
        let mut marks = now(walk, name, frames);
        // As for an attribute access: the attribute may belong to any namespace that has several
        // names.
        let after = walk.source[at..].strip_prefix(name).map(str::trim_start);
        let is_attribute = after.is_none_or(|after| after.starts_with(['.', '[']));
        if bindings::is_variable(walk, name) && is_attribute {
            walk.spaces.shared().iter().for_each(|mark| add(&mut marks, *mark));
        }
        uses::from_outside(walk, block, name, at, &marks)?;
    }
    Ok(())
}

/// At the end of the template, checks its blocks that are rendered elsewhere, and its macros, which
/// other templates may import: they use the values that its names have now.
pub(super) fn check_at_end(walk: &mut Walk<'_, '_>) -> Result<(), Error> {
    let later = std::mem::take(&mut walk.later);
    check_later(walk, later)?;
    let definitions: Vec<_> = walk.root.definitions().collect();
    for definition in definitions {
        call(walk, &definition, 0, walk.source.len(), Vec::new())?;
    }
    Ok(())
}

/// The outside names of macros, with their current values.
#[derive(Debug, Default)]
struct Reached<'s> {
    /// The marks of what the macros render by themselves.
    own: Vec<Mark>,
    /// The marks of the outside names.
    outside: Vec<Mark>,
    /// The values passed on, with the number of frames in which the name is looked up.
    passed_on: Vec<(PassedOn<'s>, usize)>,
    /// The cache blocks that use a name: block, name, offset, and the number of frames.
    used_in: Vec<(usize, &'s str, usize, usize)>,
}

/// A macro or a module that is used as a value.
#[derive(Debug)]
pub(super) struct MacroValue<'s> {
    /// Where it is used.
    pub(super) name: Span,
    definition: Rc<Definition<'s>>,
    /// The number of frames in which it is defined.
    level: usize,
}

/// Registers a macro or a module that is used as a value, and returns its number.
pub(super) fn register_value<'s>(
    walk: &mut Walk<'_, 's>,
    (name, at): (&str, usize),
    definition: Rc<Definition<'s>>,
    level: usize,
) -> usize {
    let name = Span::from(at..at + name.len());
    walk.macro_values.push(MacroValue { name, definition, level });
    walk.macro_values.len() - 1
}

/// The macros that a value may be, each with the number of frames in which it is defined.
fn macros<'s>(
    walk: &Walk<'_, 's>,
    marks: &[Mark],
) -> impl Iterator<Item = (Rc<Definition<'s>>, usize)> {
    marks.iter().filter_map(|mark| match mark.holds {
        Holds::Macro(number) => {
            let MacroValue { definition, level, .. } = &walk.macro_values[number];
            Some((Rc::clone(definition), *level.min(&walk.stack.len())))
        }
        _ => None,
    })
}

/// Collects the outside names of macros and of the macros that they call.
fn reach<'s>(walk: &Walk<'_, 's>, mut queue: Vec<(Rc<Definition<'s>>, usize)>) -> Reached<'s> {
    let mut reached = Reached::default();
    let mut seen: HashSet<*const Definition<'s>> = HashSet::new();
    while let Some((definition, level)) = queue.pop() {
        if !seen.insert(Rc::as_ptr(&definition)) {
            continue;
        }
        reached.own.extend_from_slice(&definition.marks);
        let passed_on = definition.free.passed_on.iter().cloned();
        reached.passed_on.extend(passed_on.map(|passed_on| (passed_on, level)));
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

/// The marks of a name's value as seen from within the first `frames` frames, whether this template
/// binds it or another one; and its macro, with the number of frames in which that is defined.
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
    flows::marks_of_others(walk, name, frames).into_iter().for_each(|mark| add(&mut marks, mark));
    walk.spaces.add_contents(&mut marks);
    (marks, definition)
}

/// The marks of a name's current value; for a macro, of its outside names.
pub(super) fn now(walk: &Walk<'_, '_>, name: &str, frames: usize) -> Vec<Mark> {
    let (mut marks, definition) = bound(walk, name, frames);
    let found: Vec<_> = definition.into_iter().chain(macros(walk, &marks)).collect();
    reach(walk, found).outside.into_iter().for_each(|mark| add(&mut marks, mark));
    marks
}

/// Adds the current marks of the namespaces and macros that a value may be.
pub(super) fn add_contents(walk: &Walk<'_, '_>, marks: &mut Vec<Mark>) {
    walk.spaces.add_contents(marks);
    let found: Vec<_> = macros(walk, marks).collect();
    reach(walk, found).outside.into_iter().for_each(|mark| add(marks, mark));
}

/// Adds the marks that a call of a macro contributes: the current marks of its outside names.
pub(super) fn call<'s>(
    walk: &mut Walk<'_, 's>,
    definition: &Rc<Definition<'s>>,
    level: usize,
    at: usize,
    mut marks: Vec<Mark>,
) -> Result<Vec<Mark>, Error> {
    let Reached { own, outside, passed_on, used_in } =
        reach(walk, vec![(Rc::clone(definition), level)]);
    // The macro's own output is rendered at the call.
    marks.extend(own.into_iter().map(|mark| match mark.holds {
        Holds::Output => Mark { origin: at, ..mark },
        _ => mark,
    }));
    for (PassedOn { name, at, tag, by }, level) in passed_on {
        let marks = now(walk, name, level);
        pass_on(walk, (name, at), &tag, &by, &marks)?;
    }
    for (block, name, used, level) in used_in {
        if walk.loops_carry {
            record_outside_use(walk, 0, (name, Some(block)), used);
        }
        if !outside.is_empty() {
            let marks = now(walk, name, level);
            uses::from_outside(walk, block, name, used, &marks)?;
        }
    }
    outside.into_iter().for_each(|mark| add(&mut marks, mark));
    Ok(marks)
}
