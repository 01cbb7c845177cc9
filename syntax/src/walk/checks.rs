//! Checks what a cache block may contain and where it may stand. Refuses blocks whose second render
//! would differ from the first, and blocks that would serve one visitor's content to another.
//! `nesting.rs` does the pairing, `arguments.rs` the arguments.

use std::ops::Range;

use crate::error::Error;

use super::nesting::{Frame, FrameKind, Walk};
use crate::arguments::Arguments;
use crate::dialect::Lowering;
use crate::name::Name;
use crate::opener::Opener;
use crate::options::BlockOption;
use crate::outline::{Block, OuterLoop, Tag};
use crate::refusal::{Refusal, excerpt};
use crate::scanner::Piece;
use crate::statement::{Role, Statement, loop_attributes, uses_of};
use crate::token::string_value;
use crate::token::{Token, TokenKind, tokens};

/// The levels of the engine's nesting that one lowered cache block takes: `if`, `with` or `for`,
/// and `filter`.
pub(super) const CACHE_LEVELS: usize = 3;

/// Refuses a statement in a cache block that nests deeper than the engine parses.
pub(super) fn depth(walk: &Walk<'_, '_>, at: usize) -> Result<(), Error> {
    let rules = walk.rules();
    if walk.levels <= rules.most_levels {
        return Ok(());
    }
    Err(walk.refusal.at(
        at,
        format!(
            "this nests deeper than {} parses: each cache block takes {} of {} levels, any \
             other statement takes one; move the inner part to a separate template and include it",
            rules.engine, CACHE_LEVELS, rules.most_levels,
        ),
    ))
}

/// Refuses a wrong whitespace marker that hides `cache` or `endcache`: a second marker, one that
/// the engine does not have, or one that does not directly follow the delimiter.
pub(super) fn markers(
    walk: &Walk<'_, '_>,
    piece: &Piece,
    statement: &Statement<'_>,
) -> Result<(), Error> {
    if !matches!(statement.word, "-" | "+") {
        return Ok(());
    }
    let word = statement.name(walk.source, walk.rules());
    let Some(word) = word.filter(|word| matches!(*word, "cache" | "endcache")) else {
        return Ok(());
    };
    let rules = walk.rules();
    let message = match (piece.lead.text(), statement.word) {
        (_, marker @ "+") if !rules.plus_marker => format!(
            "`{marker}` before `{word}` is not a whitespace marker: {} has only `-`; remove the \
             `{marker}`",
            rules.engine
        ),
        ("", marker) => format!(
            "`{marker}` before `{word}` is a whitespace marker only right after the delimiter: \
             remove the space before it, or the marker"
        ),
        (first, second) => format!(
            "`{first}` and `{second}` before `{word}` are two whitespace markers: keep one of them"
        ),
    };
    Err(walk.refusal.at(piece.start, message))
}

/// Refuses a cache block in a place where it would not do what it seems to do.
pub(super) fn place_of_block(
    walk: &Walk<'_, '_>,
    tag: &Tag,
    arguments: &Arguments,
) -> Result<(), Error> {
    let at = tag.piece.start;
    if walk.rules().children_print_blocks_only && walk.extends.is_some() && walk.stack.is_empty() {
        return Err(walk.refusal.at(
            at,
            format!(
                "a child template prints only what is inside its blocks: move this cache block \
                 into a `{}`",
                walk.syntax.tag("block …")
            ),
        ));
    }
    if arguments.positional.len() >= 2 {
        return Ok(());
    }
    let around = walk.stack.iter().rev().find_map(|frame| match frame.kind {
        _ if frame.is_loop() => Some(("the `for` loop", "all iterations", "item.id", frame.at)),
        FrameKind::Native(Opener::Macro) => {
            Some(("the macro", "all calls", "its arguments", frame.at))
        }
        FrameKind::Native(Opener::Call) => {
            Some(("the `call` block", "all calls", "its arguments", frame.at))
        }
        FrameKind::Native(Opener::Component) => {
            Some(("the component", "all uses", "its arguments", frame.at))
        }
        _ => None,
    });
    let Some((what, who, differs, opened)) = around else { return Ok(()) };
    Err(walk.refusal.at(
        at,
        format!(
            "an unnamed cache block in {what} of {} would give {who} the same fragment: add a \
             name and what differs ({differs}), as in `{}`",
            walk.refusal.place(opened),
            walk.syntax.tag("cache 300, \"row\", item.id"),
        ),
    ))
}

/// Refuses statements that are not allowed in a cache block, and records what the block assigns.
pub(super) fn statement<'s>(
    walk: &mut Walk<'_, 's>,
    tag: &Tag,
    statement: &Statement<'s>,
) -> Result<(), Error> {
    if walk.caches == 0 {
        return Ok(());
    }
    let at = tag.piece.start;
    match statement.role {
        Role::Extends => Err(walk.refusal.at(
            at,
            "`extends` is not allowed in a cache block: write it as the first tag of the template"
                .into(),
        )),
        Role::Leave => leaves_block(walk, at, statement.word),
        Role::Open(Opener::Block) => {
            let name = statement.name(walk.source, walk.rules()).unwrap_or("…");
            let what =
                format!("contains `{}`, which each child template fills", block_tag(walk, name));
            let open = walk.stack.iter().rev().filter_map(|frame| cache_of(walk, frame.kind));
            let refused = open.into_iter().find(|block| !varies_or_shared(block));
            if let Some(block) = refused {
                return Err(foreign_content(&walk.refusal, block, at, &what));
            }
            note_others(walk);
            Ok(())
        }
        _ if statement.word == "set_global" && walk.rules().set_global => {
            let inside = walk.stack.iter().rev();
            let mut inside = inside.take_while(|frame| !matches!(frame.kind, FrameKind::Cache(_)));
            // A variable that `set` assigns in a loop ends with the iteration.
            let advice = match inside.any(Frame::is_loop) {
                true => "move the loop before the block",
                false => "write `set`, or move it before the block",
            };
            Err(walk.refusal.at(
                at,
                format!(
                    "`set_global` in a cache block takes effect after a miss but not after a hit: \
                     {advice}"
                ),
            ))
        }
        _ if statement.word == "set" && walk.rules().lowering == Lowering::Loop => {
            note_assigned(walk, statement);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn block_tag(walk: &Walk<'_, '_>, name: &str) -> String {
    walk.syntax.tag(&format!("block {name}"))
}

fn cache_of<'w, 's>(walk: &'w Walk<'_, 's>, kind: FrameKind) -> Option<&'w Block<'s>> {
    match kind {
        FrameKind::Cache(index) => walk.outline.blocks.get(index),
        FrameKind::Native(_) => None,
    }
}

/// Whether the author declared how the fragments of a block differ, with a vary part or
/// `shared=true`.
pub(super) fn varies_or_shared(block: &Block<'_>) -> bool {
    block.arguments.has(BlockOption::Shared) || block.arguments.positional.len() > 2
}

pub(super) fn foreign_content(
    refusal: &Refusal<'_>,
    block: &Block<'_>,
    at: usize,
    what: &str,
) -> Error {
    refusal.at(
        block.open.piece.start,
        format!(
            "this cache block {what} ({}), so it would serve the content of one to another: add a \
             vary part that distinguishes them, or `shared=true` if they are all the same",
            refusal.place(at),
        ),
    )
}

/// Refuses a `break` or `continue` that leaves more than a loop inside the block.
fn leaves_block(walk: &Walk<'_, '_>, at: usize, word: &str) -> Result<(), Error> {
    let mut block = None;
    for frame in walk.stack.iter().rev() {
        if let FrameKind::Native(section) = frame.kind
            && section.stays_open()
            && block.is_none()
        {
            return Err(walk.refusal.at(
                at,
                format!(
                    "`{word}` cannot leave the `{}` section of {}: put the whole loop into the \
                     section, or move `{word}` out of it",
                    section.word(),
                    walk.refusal.place(frame.at),
                ),
            ));
        }
        if let FrameKind::Native(own) = frame.kind
            && own.renders_by_itself()
        {
            return Err(walk.refusal.at(
                at,
                format!(
                    "`{word}` cannot leave the `{}` of {}, which is rendered by itself: put the \
                     whole loop into it, or move `{word}` out of it",
                    own.word(),
                    walk.refusal.place(frame.at),
                ),
            ));
        }
        if frame.is_loop() {
            let Some(block) = block else { return Ok(()) };
            return Err(walk.refusal.at(
                at,
                format!(
                    "`{word}` would leave the cache block of {}: put the condition around the \
                     block, or the whole loop into it",
                    walk.refusal.place(block),
                ),
            ));
        }
        if matches!(frame.kind, FrameKind::Cache(_)) {
            block = block.or(Some(frame.at));
        }
    }
    if walk.rules().leaves_only_loops {
        return Err(walk.refusal.at(
            at,
            format!("`{word}` is not in a loop: remove it, or put a `for` loop around it"),
        ));
    }
    Ok(())
}

/// Records whether a tag may refer to other templates. Where the body is lowered to a loop, also
/// records what its scope depends on: blocks that a cached body renders of other templates, and uses
/// of `loop`.
pub(super) fn refers(walk: &mut Walk<'_, '_>, list: &[Token], range: Range<usize>) {
    let source = walk.source;
    let rules = walk.rules();
    let refers = |token: &Token| match token.text(source) {
        "include" | "super" => true,
        // `extends` counts because a block sees what its parents import.
        "import" | "macro" | "self" | "extends" => rules.macros,
        _ => false,
    };
    walk.outline.refers |= list.iter().any(refers);
    if walk.caches == 0 {
        return;
    }
    walk.outline.refers |= rules.components && source[range].contains('<');
    if rules.lowering != Lowering::Loop {
        return;
    }
    if uses_of(source, list, "super").any(|next| next == "(") {
        note_others(walk);
    }
    outer_loops(walk, list);
}

/// Records for the open cache blocks that another template may assign variables in their bodies.
fn note_others(walk: &mut Walk<'_, '_>) {
    for frame in &walk.stack {
        if let FrameKind::Cache(index) = frame.kind
            && let Some(block) = walk.outline.blocks.get_mut(index)
        {
            block.renders_others = true;
        }
    }
}

/// Records uses of `loop` that refer to a loop around a cache block.
fn outer_loops(walk: &mut Walk<'_, '_>, list: &[Token]) {
    if uses_of(walk.source, list, "loop").next().is_none() {
        return;
    }
    let mut between = Vec::new();
    let mut is_in_loop = false;
    for frame in walk.stack.iter().rev() {
        match frame.kind {
            FrameKind::Cache(index) => between.push(index),
            _ if frame.is_loop() => {
                is_in_loop = true;
                break;
            }
            FrameKind::Native(_) => {}
        }
    }
    if is_in_loop {
        if !between.is_empty() {
            let uses = loop_attributes(walk.source, list);
            let loops =
                uses.map(|(at, attribute)| OuterLoop { at, attribute, between: between.clone() });
            walk.outline.loops.extend(loops);
        }
        return;
    }
    for index in between {
        if let Some(block) = walk.outline.blocks.get_mut(index) {
            block.has_free_loop = true;
        }
    }
}

/// Records that a `set` assigns a variable which outlives the innermost cache block. The
/// lowered block restores it.
fn note_assigned<'s>(walk: &mut Walk<'_, 's>, statement: &Statement<'s>) {
    let Some(name) = statement.name(walk.source, walk.rules()).map(Name) else { return };
    for frame in walk.stack.iter().rev() {
        if frame.is_loop() {
            return;
        }
        if let FrameKind::Cache(index) = frame.kind {
            let is_new = walk.assigned.insert((index, name));
            if let Some(block) = walk.outline.blocks.get_mut(index).filter(|_| is_new) {
                block.assigned.push(name);
            }
            return;
        }
    }
}

/// Checks that the name in `endcache`, if there is one, is the name of the block.
pub(super) fn closing_name(walk: &Walk<'_, '_>, tag: &Tag, index: usize) -> Result<(), Error> {
    let given = walk.source[tag.rest.clone()].trim();
    if given.is_empty() {
        return Ok(());
    }
    let block = &walk.outline.blocks[index];
    let written = block.arguments.positional.get(1);
    let start = tag.rest.end - walk.source[tag.rest.clone()].trim_start().len();
    let range = start..start + given.len();
    let literal = match single_token(walk, &range) {
        Some(TokenKind::String) => string_value(walk.source, &range),
        _ => Some(given.to_owned()),
    };
    let same_value = block.name.is_some() && block.name == literal;
    if same_value || written.is_some_and(|written| &walk.source[written.clone()] == given) {
        return Ok(());
    }
    let opened = walk.refusal.place(block.open.piece.start);
    Err(walk.refusal.at(
        tag.piece.start,
        match written {
            Some(written) => format!(
                "`endcache` names `{}`, but the cache block of {opened} is named `{}`: repeat \
                 that name or leave it out",
                excerpt(given),
                excerpt(&walk.source[written.clone()]),
            ),
            None => format!(
                "`endcache` names `{}`, but the cache block of {opened} has no name: leave it \
                 out here, or name the block there",
                excerpt(given),
            ),
        },
    ))
}

fn single_token(walk: &Walk<'_, '_>, range: &Range<usize>) -> Option<TokenKind> {
    let mut list = tokens(walk.source, range.clone(), walk.rules());
    let first = list.next()?;
    list.next().is_none().then_some(first.kind)
}
