//! MiniJinja's macros: what they have from outside, which is what its name is bound to when they are
//! called.

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
    pub(super) free: BTreeMap<(&'s str, Option<usize>), usize>,
    /// What its output holds by itself.
    pub(super) marks: Vec<Mark>,
}

/// Notes for the macros among `frames` that they have `name` from outside, and use it at `at` in a
/// cache block.
pub(super) fn has_from_outside<'s>(
    frames: &mut [Frame<'s>],
    name: &'s str,
    block: Option<usize>,
    at: usize,
) {
    for frame in frames {
        if frame.kind == FrameKind::Native(Opener::Macro)
            && let Some(section) = &mut frame.section
        {
            section.free.entry((name, block)).or_insert(at);
        }
    }
}

/// Others may import the template's macros, which have then what its names are bound to at its end.
pub(super) fn are_complete(walk: &mut Walk<'_, '_>) -> Result<(), Error> {
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
        uses::from_outside(walk, block, name, used, &marks)?;
    }
    Ok(marks)
}
