//! Checks the uses of outside values in a cached body. Refused are content that others fill in, if
//! the block does not say how its fragments differ; output that was rendered before the block; and
//! state that changes. `bindings.rs` tracks what each name is bound to.

use crate::error::Error;

use super::bindings;
use super::checks::{foreign_content, varies_or_shared};
use super::definitions;
use super::flows;
use super::mark::{Holds, Mark};
use super::nesting::{Frame, FrameKind, Walk};
use crate::follow::Followed;
use crate::opener::Opener;
use crate::outline::{Outline, Span};
use crate::refusal::Refusal;

/// A name in an expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'s> {
    pub(super) name: &'s str,
    pub(super) at: usize,
    /// The next token.
    pub(super) next: &'s str,
    /// Whether the expression starts with the name.
    pub(super) first: bool,
    /// Whether the name, or an attribute of it, is called.
    pub(super) is_called: bool,
}

/// The innermost cache block among the frames after the first `level` frames.
pub(super) fn innermost(walk: &Walk<'_, '_>, level: usize) -> Option<usize> {
    walk.stack[level..].iter().rev().find_map(|frame| match frame.kind {
        FrameKind::Cache(index) => Some(index),
        FrameKind::Native(_) => None,
    })
}

/// The marks of a name that the template does not bind.
pub(super) fn origin(walk: &Walk<'_, '_>, word: &Word<'_>) -> Vec<Mark> {
    let definition =
        |opener| walk.stack.iter().rev().find(|frame| frame.kind == FrameKind::Native(opener));
    let rules = walk.rules();
    let found = match word.name {
        "caller" if rules.macros => match definition(Opener::Macro) {
            Some(definition) => Some((Holds::Caller, definition.at)),
            // In a partial, `caller` may be an ordinary variable, which is not called.
            None if word.next == "." || (word.first && word.next != "(") => None,
            None => Some((Holds::Caller, 0)),
        },
        "self" if rules.macros => Some((Holds::Filled, 0)),
        "super" if word.next == "(" => Some((Holds::Filled, word.at)),
        "body" if rules.components => definition(Opener::Component).map(|it| (Holds::Body, it.at)),
        _ => None,
    };
    found.map(|(holds, origin)| Mark { holds, origin, at: word.at }).into_iter().collect()
}

/// The mark of a name that is used in a macro or a loop but bound outside it, in the first `level`
/// frames. Its value is that of the moment when the macro is called, or of the next iteration.
pub(super) fn outside<'s>(
    walk: &mut Walk<'_, 's>,
    word: &Word<'s>,
    level: usize,
    is_macro: bool,
) -> Option<Mark> {
    let is_later = |frame: &&Frame<'_>| definitions::is_rendered_later(walk, frame);
    let of = walk.stack[level..].iter().rfind(is_later)?.at;
    if (word.next == "(" && !is_macro) || KEYWORDS.contains(&word.name) {
        return None;
    }
    let at = word.at;
    // All uses of a name share one mark.
    let first = *walk.foreign.entry(word.name).or_insert(Span::from(at..at + word.name.len()));
    Some(Mark { holds: Holds::Outside(first, level), origin: of, at })
}

/// Keywords that look like names in an expression.
const KEYWORDS: [&str; 11] =
    ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null"];

/// Refuses a use of a name whose value a cached body must not print.
pub(super) fn check(walk: &mut Walk<'_, '_>, word: &Word<'_>, marks: &[Mark]) -> Result<(), Error> {
    for mark in marks {
        for level in (0..walk.stack.len()).rev() {
            let frame = &walk.stack[level];
            let FrameKind::Cache(block) = frame.kind else { continue };
            if frame.at < mark.origin {
                break;
            }
            refuse(walk, block, word.name, word.at, *mark)?;
        }
    }
    Ok(())
}

/// Refuses, where a macro is called, the outside values that a cache block of the macro uses.
pub(super) fn from_outside(
    walk: &mut Walk<'_, '_>,
    block: usize,
    name: &str,
    at: usize,
    marks: &[Mark],
) -> Result<(), Error> {
    marks.iter().try_for_each(|mark| refuse(walk, block, name, at, *mark))
}

fn refuse(
    walk: &mut Walk<'_, '_>,
    index: usize,
    name: &str,
    at: usize,
    mark: Mark,
) -> Result<(), Error> {
    let Some(block) = walk.outline.blocks.get(index) else { return Ok(()) };
    let is_varied = varies_or_shared(block);
    let is_itself = mark.at == at;
    let set = || format!("`{name}`, set on {}", walk.refusal.place(mark.at));
    let before = |what: &str| Err(rendered_before(&walk.refusal, &walk.outline, index, at, what));
    if block.varies_on(walk.source, name) {
        return Ok(());
    }
    let what = match mark.holds {
        Holds::Output => return before(&set()),
        Holds::Body if is_itself => return before("the component's `body`"),
        Holds::Body => {
            return before(&format!("{}, which holds the component's `body`", set()));
        }
        Holds::Rendered(_) | Holds::Foreign(_) => {
            return flows::captured(walk, index, (name, at), mark);
        }
        Holds::Outside(outside, level) => {
            let name = &walk.source[outside.range()];
            definitions::record_outside_use(walk, level, (name, Some(index)), at);
            return Ok(());
        }
        Holds::Loop | Holds::Space(_) | Holds::Macro(_) => return Ok(()),
        _ if is_varied => return Ok(()),
        Holds::Caller if is_itself => "uses `caller`, which each `call` block fills".into(),
        Holds::Caller => format!("uses {}, which holds what each `call` block fills", set()),
        Holds::Filled if name == "self" => {
            "renders a block through `self`, which each child template fills".into()
        }
        Holds::Filled => format!("uses {}, which holds a block of other templates", set()),
    };
    Err(foreign_content(&walk.refusal, block, at, &what))
}

pub(super) fn rendered_before(
    refusal: &Refusal<'_>,
    outline: &Outline<'_>,
    block: usize,
    at: usize,
    what: &str,
) -> Error {
    let opened = outline.blocks.get(block).map_or(at, |block| block.open.piece.start);
    refusal.at(
        at,
        format!(
            "the cache block of {} uses {what}, which is rendered before it: caching it saves \
             nothing, and deleting a fragment in it would not delete the block; render it inside \
             the block, put the block around all of it, or vary on it",
            refusal.place(opened),
        ),
    )
}

/// Records that a cache block opens: a variable around it may capture its output.
pub(super) fn record_open(walk: &mut Walk<'_, '_>, at: usize) {
    bindings::note(walk, &[Mark { holds: Holds::Output, origin: at, at }]);
}

/// MiniJinja: refuses `loop.changed` of a loop around the cache block, because it remembers its
/// last value. `after` is the attribute, and whether it is called.
pub(super) fn stateful(
    walk: &Walk<'_, '_>,
    word: &Word<'_>,
    after: (&str, bool),
    marks: &[Mark],
) -> Result<(), Error> {
    let may_be = word.name == "loop" || !marks.is_empty();
    if !may_be || walk.caches == 0 || !walk.rules().loop_is_value {
        return Ok(());
    }
    let block = walk.stack.iter().rposition(|frame| matches!(frame.kind, FrameKind::Cache(_)));
    let Some(block) = block else { return Ok(()) };
    let is_outer = match word.name {
        "loop" => {
            !walk.stack[block..].iter().any(Frame::is_loop)
                && bindings::bound_in(walk, word.name).is_none_or(|level| level <= block)
        }
        _ => {
            let opened = walk.stack[block].at;
            marks.iter().any(|mark| mark.holds == Holds::Loop && mark.origin < opened)
        }
    };
    let is_refused = is_outer
        && match word.next {
            "." => after == ("changed", true),
            "(" => false,
            // The `loop` is passed on as a value.
            _ => walk.may_call_changed,
        };
    if !is_refused {
        return Ok(());
    }
    Err(walk.refusal.at(
        word.at,
        format!(
            "`loop.changed` remembers its last value, which a hit of the cache block of {} would \
             not: compare before the block, as in `{}`, and vary on it, or put the loop into the \
             block",
            walk.refusal.place(walk.stack[block].at),
            walk.syntax.tag("set is_new = loop.changed(…)"),
        ),
    ))
}

/// In a cache block, refuses an expression that prints every variable. Elsewhere returns the mark
/// of its value. `after` is the token after the next one.
pub(super) fn everything(
    walk: &Walk<'_, '_>,
    word: &Word<'_>,
    after: &str,
) -> Result<Option<Mark>, Error> {
    let (name, is_function) = walk.rules().everything;
    let is_everything = word.name == name && (!is_function || (word.next == "(" && after == ")"));
    let frame = |frame: &&Frame<'_>| matches!(frame.kind, FrameKind::Cache(_));
    match walk.stack.iter().rev().find(frame) {
        Some(block) if is_everything => Err(walk.refusal.at(
            word.at,
            format!(
                "`{}` prints every variable, also those that differ between visitors, and the \
                 cache block of {} would store them: move it out of the block, or print only the \
                 variables you need and vary on them",
                word.name,
                walk.refusal.place(block.at),
            ),
        )),
        _ => Ok(is_everything.then(|| flows::holds(word.at, None))),
    }
}

/// MiniJinja: refuses a change to a namespace that is not bound in the innermost cache block. A
/// change through another name is detected at run time.
pub(super) fn namespace(walk: &Walk<'_, '_>, name: &str, at: usize) -> Result<(), Error> {
    let block = walk.stack.iter().rposition(|frame| matches!(frame.kind, FrameKind::Cache(_)));
    let Some(block) = block else { return Ok(()) };
    if bindings::bound_in(walk, name).is_some_and(|level| level > block) {
        return Ok(());
    }
    Err(walk.refusal.at(
        at,
        format!(
            "`{name}` is created outside the cache block, so this change would take effect after \
             a miss but not after a hit: create `{name} = namespace()` inside the block, or move \
             the change out of it"
        ),
    ))
}

/// Refuses blocks for what they take from other templates, once those are read.
pub(crate) fn check_others(
    refusal: &Refusal<'_>,
    outline: &Outline<'_>,
    followed: &Followed,
) -> Result<(), Error> {
    for (block, from_others) in outline.blocks.iter().zip(&followed.from_others) {
        if let Some(fill) = from_others.fills.as_ref().filter(|_| !varies_or_shared(block)) {
            return Err(foreign_content(refusal, block, block.open.piece.start, fill));
        }
        if let Some(place) = &from_others.captured {
            return Err(refusal.at(
                block.open.piece.start,
                format!(
                    "this cache block calls a macro that prints a variable of its own template, \
                     which holds the output of the cache block of {} and was rendered before: \
                     deleting that fragment would not delete this one; pass the value to the \
                     macro, and vary on it",
                    place.place(refusal.template),
                ),
            ));
        }
        if let Some(place) = &from_others.unended {
            return Err(refusal.at(
                block.open.piece.start,
                format!(
                    "this cache block renders a template in which `break` or `continue` leaves a \
                     section ({}), which the engine then leaves open: put the whole loop into the \
                     section there, or move `break` out of it",
                    place.place(refusal.template),
                ),
            ));
        }
    }
    Ok(())
}
