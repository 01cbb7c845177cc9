//! What is rendered later than it stands, with what its names are bound to then: MiniJinja's macros, and
//! the rounds of loops.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::Error;

use super::bindings::resolve;
use super::mark::{Holds, Mark, add};
use super::nesting::{Frame, FrameKind, Walk};
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

/// The names that a macro or a loop has from outside, each with the cache block in it that uses it, and
/// where.
pub(super) type Free<'s> = BTreeMap<(&'s str, Option<usize>), usize>;

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
            walk.stack[frame].free.entry((name, block)).or_insert(at);
        }
    }
}

/// Notes for the loops around the tag at `at` that the cache blocks around it print `name`, by a template
/// that the tag renders.
pub(super) fn is_shown(walk: &mut Walk<'_, '_>, name: &str, at: usize) {
    let source = walk.source;
    let Some(start) = source.find(name).filter(|_| walk.carries) else { return };
    for frame in 0..walk.stack.len() {
        if let FrameKind::Cache(block) = walk.stack[frame].kind {
            let name = &source[start..start + name.len()];
            has_from_outside(walk, 0, (name, Some(block)), at);
        }
    }
}

/// A body is rendered again, or later: what its cache blocks have from outside may have changed.
pub(super) fn next_round<'s>(walk: &mut Walk<'_, 's>, free: Free<'s>) -> Result<(), Error> {
    for ((name, block), at) in free {
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

/// Others may import the template's macros, which have then what its names are bound to at its end; so may
/// blocks that are rendered elsewhere.
pub(super) fn are_complete(walk: &mut Walk<'_, '_>) -> Result<(), Error> {
    let later = std::mem::take(&mut walk.later);
    next_round(walk, later)?;
    let definitions = walk.root.definitions();
    let definitions: Vec<_> = definitions.filter(|it| !it.free.is_empty()).collect();
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
    let mut used_in = Vec::new();
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
        for ((name, block), used) in &definition.free {
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
    for (block, name, used, marks) in used_in {
        if walk.carries {
            has_from_outside(walk, 0, (name, Some(block)), used);
        }
        uses::from_outside(walk, block, name, used, &marks)?;
    }
    Ok(marks)
}
