//! What is rendered later than it stands, with what its names are bound to then: MiniJinja's macros, and
//! the rounds of loops.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::error::Error;

use super::bindings::{bound_in, resolve};
use super::handing::hand;
use super::mark::{Holds, Mark, add};
use super::nesting::{Frame, FrameKind, Walk};
use super::outline::By;
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

/// What a body that is rendered later has from outside.
#[derive(Debug, Default)]
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
/// than where it stands: when a macro is called, in the next round of a loop, where a parent has the
/// block, or by MiniJinja's `self`.
pub(super) fn is_rendered_later(walk: &Walk<'_, '_>, frame: &Frame<'_>) -> bool {
    match frame.kind {
        FrameKind::Native(Opener::Macro) => true,
        FrameKind::Native(Opener::For) => walk.carries,
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

/// Notes for the loops around the tag at `at` that the cache blocks around it print `name`, by a template
/// that the tag renders.
pub(super) fn is_shown(walk: &mut Walk<'_, '_>, name: &str, tag: &Range<usize>) {
    if !walk.stack.iter().any(|frame| is_rendered_later(walk, frame)) {
        return;
    }
    let source = walk.source;
    let Some(start) = source.find(name) else { return };
    let name = &source[start..start + name.len()];
    let level = bound_in(walk, name).unwrap_or(0);
    is_handed(walk, level, (name, tag.start), tag, &By::Name(name.to_owned()));
    for frame in 0..walk.stack.len() {
        if let FrameKind::Cache(block) = walk.stack[frame].kind {
            has_from_outside(walk, level, (name, Some(block)), tag.start);
        }
    }
}

/// Checks what a body that is rendered again, or later, has from outside, by what that is bound to now.
pub(super) fn check_later<'s>(walk: &mut Walk<'_, 's>, free: Free<'s>) -> Result<(), Error> {
    for Handed { name, at, tag, by } in free.handed {
        let found = resolve(walk, name, walk.stack.len());
        let marks = found.map_or_else(Vec::new, |(_, binding)| binding.marks.clone());
        hand(walk, (name, at), &tag, &by, &marks)?;
    }
    for ((name, block), at) in free.uses {
        let Some(block) = block else { continue };
        let Some((_, binding)) = resolve(walk, name, walk.stack.len()) else { continue };
        let mut marks = binding.marks.clone();
        // As where an attribute is used: it may be of any namespace with several names.
        let after = walk.source[at..].strip_prefix(name).map(str::trim_start);
        let is_attribute = after.is_none_or(|after| after.starts_with(['.', '[']));
        if binding.definition.is_none() && is_attribute {
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

/// Adds what a call of a macro brings: the marks that the names it has from outside have now.
pub(super) fn call<'s>(
    walk: &mut Walk<'_, 's>,
    definition: &Rc<Definition<'s>>,
    level: usize,
    at: usize,
    mut marks: Vec<Mark>,
) -> Result<Vec<Mark>, Error> {
    let mut seen: Vec<*const Definition<'s>> = Vec::new();
    let mut queue = vec![(Rc::clone(definition), level)];
    let (mut used_in, mut handed_on) = (Vec::new(), Vec::new());
    while let Some((definition, level)) = queue.pop() {
        if seen.contains(&Rc::as_ptr(&definition)) {
            continue;
        }
        seen.push(Rc::as_ptr(&definition));
        // What it renders by itself is rendered where it is called.
        marks.extend(definition.marks.iter().map(|mark| match mark.holds {
            Holds::Output => Mark { origin: at, ..*mark },
            _ => *mark,
        }));
        for handed in &definition.free.handed {
            if let Some((_, binding)) = resolve(walk, handed.name, level) {
                handed_on.push((handed.clone(), binding.marks.clone()));
            }
        }
        for ((name, block), used) in &definition.free.uses {
            let Some((level, binding)) = resolve(walk, name, level) else { continue };
            if let Some(block) = block {
                used_in.push((*block, *name, *used, binding.marks.clone()));
            }
            binding.marks.iter().for_each(|mark| add(&mut marks, *mark));
            if let Some(definition) = &binding.definition {
                queue.push((Rc::clone(definition), level));
            }
        }
    }
    for (Handed { name, at, tag, by }, marks) in handed_on {
        hand(walk, (name, at), &tag, &by, &marks)?;
    }
    for (block, name, used, marks) in used_in {
        if walk.carries {
            has_from_outside(walk, 0, (name, Some(block)), used);
        }
        uses::from_outside(walk, block, name, used, &marks)?;
    }
    Ok(marks)
}
