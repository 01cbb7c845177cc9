//! What was rendered before a cache block and is printed in it: a variable that keeps the output of
//! another block, or the body that a Tera component is used with. The block would not know what that
//! depends on, and saves none of its work, so it is refused.

use std::ops::Range;

use super::checks::first_use;
use super::nesting::{FrameKind, Walk};
use super::statement::{Opener, Role, Statement};
use crate::error::Error;

/// A variable that keeps the output of a cache block.
#[derive(Debug)]
pub(super) struct Capture<'s> {
    name: &'s str,
    at: usize,
    /// The cache block that it was set in.
    inside: Option<usize>,
}

/// The innermost of the cache blocks that are open inside the innermost `definition`.
fn innermost(walk: &Walk<'_, '_>, definition: Option<Opener>) -> Option<usize> {
    let definition = definition.map(FrameKind::Native);
    let inside = walk.stack.iter().rev().take_while(|frame| Some(frame.kind) != definition);
    inside.into_iter().find_map(|frame| match frame.kind {
        FrameKind::Cache(index) => Some(index),
        FrameKind::Native(_) => None,
    })
}

/// A cache block opens: notes the variables that will keep its output.
pub(super) fn note(walk: &mut Walk<'_, '_>) {
    let mut inside = None;
    for frame in &walk.stack {
        match (frame.kind, frame.captures) {
            (FrameKind::Cache(index), _) => inside = Some(index),
            (_, Some(name)) => walk.captured.push(Capture { name, at: frame.at, inside }),
            _ => {}
        }
    }
}

/// A variable that is set to something else keeps no output.
pub(super) fn forget(walk: &mut Walk<'_, '_>, statement: &Statement<'_>) {
    if statement.role == Role::Other && matches!(statement.word, "set" | "set_global") {
        let name = statement.name(walk.source, walk.dialect());
        walk.captured.retain(|capture| Some(capture.name) != name);
    }
}

/// Refuses the use of a variable that keeps another cache block's output.
pub(super) fn uses(walk: &Walk<'_, '_>, range: &Range<usize>) -> Result<(), Error> {
    let Some(block) = innermost(walk, None) else { return Ok(()) };
    for capture in walk.captured.iter().filter(|capture| capture.inside != Some(block)) {
        if let Some(at) = first_use(walk, range.clone(), capture.name, |next| next != "=") {
            let what = format!("`{}`, set on {}", capture.name, walk.refusal.place(capture.at));
            return Err(refuse(walk, block, at, &what));
        }
    }
    Ok(())
}

/// Refuses the use of a Tera component's body.
pub(super) fn uses_body(walk: &Walk<'_, '_>, range: Range<usize>) -> Result<(), Error> {
    let definition = Opener::Component;
    if !walk.stack.iter().any(|frame| frame.kind == FrameKind::Native(definition)) {
        return Ok(());
    }
    let Some(block) = innermost(walk, Some(definition)) else { return Ok(()) };
    match first_use(walk, range, "body", |next| next != "=") {
        Some(at) => Err(refuse(walk, block, at, "the component's `body`")),
        None => Ok(()),
    }
}

fn refuse(walk: &Walk<'_, '_>, block: usize, at: usize, what: &str) -> Error {
    let opened = walk.outline.blocks.get(block).map_or(at, |block| block.open.piece.start);
    walk.refusal.at(
        at,
        format!(
            "the cache block of {} prints {what}, which is rendered before it: caching it saves \
             nothing, and deleting what is inside would not reach the block; render it inside the \
             block, or put the block around all of it",
            walk.refusal.place(opened),
        ),
    )
}
