//! The uses that a cached body may not make of what is bound outside: what others fill in, where
//! nothing tells the fragments apart; what was rendered before it; state that changes. Whose a name
//! is: `bindings.rs`.

use crate::error::Error;

use super::bindings;
use super::checks::{anothers_content, tells_apart};
use super::definitions;
use super::flows;
use super::follow::Followed;
use super::mark::{Holds, Mark};
use super::nesting::{Frame, FrameKind, Walk};
use super::outline::{Outline, Span};
use super::refusal::Refusal;
use super::rules::Dialect;
use super::statement::Opener;

/// A name in an expression.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'s> {
    pub(super) name: &'s str,
    pub(super) at: usize,
    /// The token that follows.
    pub(super) next: &'s str,
    /// Whether the expression begins with it.
    pub(super) first: bool,
    /// Whether it is called, or an attribute of it.
    pub(super) is_called: bool,
}

/// The innermost cache block inside the innermost `level` frames.
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
    let found = match (word.name, walk.dialect()) {
        ("caller", Dialect::MiniJinja) => match definition(Opener::Macro) {
            Some(definition) => Some((Holds::Caller, definition.at)),
            // In a partial it may be a variable like any other, which is not called.
            None if word.next == "." || (word.first && word.next != "(") => None,
            None => Some((Holds::Caller, 0)),
        },
        ("self", Dialect::MiniJinja) => Some((Holds::Filled, 0)),
        ("super", _) if word.next == "(" => Some((Holds::Filled, word.at)),
        ("body", Dialect::Tera) => definition(Opener::Component).map(|it| (Holds::Body, it.at)),
        _ => None,
    };
    found.map(|(holds, origin)| Mark { holds, origin, at: word.at }).into_iter().collect()
}

/// The mark of a name in a macro or a loop that is bound outside it, in `level` frames: it is what it is
/// when the macro is called, or in the next round.
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
    // One mark for all uses of a name.
    let first = *walk.foreign.entry(word.name).or_insert(Span::from(at..at + word.name.len()));
    Some(Mark { holds: Holds::Outside(first, level), origin: of, at })
}

/// What looks like a name in an expression.
const KEYWORDS: [&str; 11] =
    ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null"];

/// Refuses the use of a name that holds what a cached body may not print.
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

/// Refuses what a cache block of a macro has from outside where the macro is called.
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
    let is_told = tells_apart(block);
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
            definitions::has_from_outside(walk, level, (name, Some(index)), at);
            return Ok(());
        }
        Holds::Loop | Holds::Space(_) | Holds::Macro(_) => return Ok(()),
        _ if is_told => return Ok(()),
        Holds::Caller if is_itself => "uses `caller`, which each `call` block fills".into(),
        Holds::Caller => format!("uses {}, which holds what each `call` block fills", set()),
        Holds::Filled if name == "self" => {
            "uses a block by `self`, which each child template fills".into()
        }
        Holds::Filled => format!("uses {}, which holds a block of other templates", set()),
    };
    Err(anothers_content(&walk.refusal, block, at, &what))
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
             nothing, and deleting what is inside would not reach the block; render it inside the \
             block, put the block around all of it, or vary on it",
            refusal.place(opened),
        ),
    )
}

/// A cache block opens: its output may be kept by a variable.
pub(super) fn opens(walk: &mut Walk<'_, '_>, at: usize) {
    bindings::note(walk, &[Mark { holds: Holds::Output, origin: at, at }]);
}

/// MiniJinja: refuses `loop.changed` of a loop around the cache block, which remembers its last
/// value. `after` is the attribute, and whether it is called.
pub(super) fn stateful(
    walk: &Walk<'_, '_>,
    word: &Word<'_>,
    after: (&str, bool),
    marks: &[Mark],
) -> Result<(), Error> {
    let may_be = word.name == "loop" || !marks.is_empty();
    if !may_be || walk.caches == 0 || walk.dialect() == Dialect::Tera {
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
            // It is handed on.
            _ => walk.asks_changes,
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

/// Refuses in a cache block what prints all variables that there are, whoever has set them. Elsewhere,
/// the mark of its value. `after` is the token after the next.
pub(super) fn everything(
    walk: &Walk<'_, '_>,
    word: &Word<'_>,
    after: &str,
) -> Result<Option<Mark>, Error> {
    let is_everything = match walk.dialect() {
        Dialect::MiniJinja => word.name == "debug" && word.next == "(" && after == ")",
        Dialect::Tera => word.name == "__tera_context",
    };
    let frame = |frame: &&Frame<'_>| matches!(frame.kind, FrameKind::Cache(_));
    match walk.stack.iter().rev().find(frame) {
        Some(block) if is_everything => Err(walk.refusal.at(
            word.at,
            format!(
                "`{}` prints every variable there is, also those by which visitors differ, and the \
                 cache block of {} would keep them: print it outside the block, or print the \
                 variables that you look for, and vary on them",
                word.name,
                walk.refusal.place(block.at),
            ),
        )),
        _ => Ok(is_everything.then(|| flows::holds(word.at, None))),
    }
}

/// MiniJinja: refuses a change to a namespace that is not bound in the innermost cache block. One
/// that came into it by another name is noticed when it is changed.
pub(super) fn namespace(walk: &Walk<'_, '_>, name: &str, at: usize) -> Result<(), Error> {
    let block = walk.stack.iter().rposition(|frame| matches!(frame.kind, FrameKind::Cache(_)));
    let Some(block) = block else { return Ok(()) };
    if bindings::bound_in(walk, name).is_some_and(|level| level > block) {
        return Ok(());
    }
    Err(walk.refusal.at(
        at,
        format!(
            "`{name}` is made outside the cache block, so this change would be seen after a miss \
             and not after a hit: make `{name} = namespace()` inside the block, or move the change \
             out of it"
        ),
    ))
}

/// Refuses blocks that render what child templates fill, once the other templates are read.
pub(super) fn taken(
    refusal: &Refusal<'_>,
    outline: &Outline<'_>,
    followed: &Followed,
) -> Result<(), Error> {
    for (block, taken) in outline.blocks.iter().zip(&followed.taken) {
        if let Some(fill) = taken.fills.as_ref().filter(|_| !tells_apart(block)) {
            return Err(anothers_content(refusal, block, block.open.piece.start, fill));
        }
        if let Some(place) = &taken.keeps {
            return Err(refusal.at(
                block.open.piece.start,
                format!(
                    "this cache block calls a macro that prints a variable of its own template, which \
                     holds the cache block of {} and was rendered before: a deletion of what is inside \
                     would not reach this one; hand it to the macro, and vary on it",
                    place.place(refusal.template),
                ),
            ));
        }
        if let Some(place) = &taken.loses {
            return Err(refusal.at(
                block.open.piece.start,
                format!(
                    "this cache block renders a template in which `break` or `continue` leaves a \
                     section ({}), which the engine then does not end: put the whole loop into the \
                     section there, or move `break` out of it",
                    place.place(refusal.template),
                ),
            ));
        }
    }
    Ok(())
}
