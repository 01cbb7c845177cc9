//! What is rendered in one place and printed in another, noted while a template is read: a variable
//! that holds what a macro, a partial or another template's block printed, and a value that is handed
//! to a macro, a component or a partial with cache blocks of its own. What is done about it once
//! those are read: `settle.rs`. A cached body that prints a fragment which was rendered before it
//! would not see that the fragment is deleted.

use std::ops::Range;

use crate::error::Error;

use super::bindings::{self, Holds, Mark};
use super::checks::anothers_content;
use super::nesting::{FrameKind, Walk};
use super::outline::{By, Captured, Handed, Outline, Rendering, Shown};
use super::rules::Dialect;
use super::settle;
use super::statement::{Opener, Statement};
use super::token::{Token, TokenKind, tokens};

/// Whether a template without cache blocks may hand on to one of another template what is rendered
/// before it, by the words in its source.
pub(super) fn may_hand_on(dialect: Dialect, holds: impl Fn(&str) -> bool) -> bool {
    let any = |words: &[&str]| words.iter().any(|word| holds(word));
    match dialect {
        Dialect::MiniJinja => {
            any(&["import", "macro"])
                || (any(&["include", "super", "self", "extends"]) && holds("set"))
        }
        Dialect::Tera => any(&["component", "include", "/>", "</"]),
    }
}

/// What the value of an expression holds because the expression calls: the output of whatever that
/// renders.
pub(super) fn rendering(
    walk: &mut Walk<'_, '_>,
    list: &[Token],
    range: &Range<usize>,
) -> Option<Mark> {
    let (source, dialect) = (walk.source, walk.dialect());
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let mut renders = false;
    let mut is_known = true;
    for at in 0..list.len() {
        let is_super = text(at) == "super" && text(at + 1) == "(";
        match dialect {
            Dialect::Tera if text(at) == "<" => {
                renders |= list.get(at + 1).is_some_and(|next| next.kind == TokenKind::Word);
            }
            Dialect::Tera => renders |= is_super,
            Dialect::MiniJinja => {
                let call = called(walk, list, at);
                renders |= call.is_some();
                is_known &= call.is_none_or(|call| call.is_known);
            }
        }
    }
    renders.then(|| holds(walk, range.start, is_known.then(|| range.clone())))
}

/// A call in an expression that may render fragments.
struct Call {
    /// Whether what it calls can be found in the templates, rather than being filled in.
    is_known: bool,
    open: usize,
}

/// The call whose name is at `at`. A name that is bound nowhere is a function, or a parent's import.
fn called(walk: &Walk<'_, '_>, list: &[Token], at: usize) -> Option<Call> {
    let text = |at: usize| list.get(at).map_or("", |token| token.text(walk.source));
    let before = at.checked_sub(1).map_or("", text);
    if list[at].kind != TokenKind::Word || matches!(before, "." | "|" | "is") {
        return None;
    }
    let name = text(at);
    let is_method = text(at + 1) == "." && text(at + 3) == "(";
    let open = if is_method { at + 3 } else { at + 1 };
    let is_bound = matches!(name, "caller" | "self" | "super")
        || walk.extends.is_some()
        || bindings::bound_in(walk, name).is_some();
    (text(open) == "(" && is_bound).then(|| Call {
        is_known: !(is_method && name == "self")
            && (is_method || (name != "caller" && !bindings::is_variable(walk, name))),
        open,
    })
}

/// The mark of a variable that holds what is rendered from `at` on: by the tag at `range`, or by
/// nobody knows what.
pub(super) fn holds(walk: &mut Walk<'_, '_>, at: usize, range: Option<Range<usize>>) -> Mark {
    let known = range.map(|tag| {
        walk.outline.renderings.push(Rendering { tag, is_foreign: false });
        walk.outline.renderings.len() - 1
    });
    Mark { holds: Holds::Rendered(known), origin: at, at }
}

/// A cache block uses what was rendered outside it.
pub(super) fn captured(
    walk: &mut Walk<'_, '_>,
    block: usize,
    (name, at): (&str, usize),
    bound: usize,
    rendering: Option<usize>,
) {
    let captured = Captured { block, name: name.to_owned(), at, bound, rendering };
    walk.outline.captured.push(captured);
}

/// The mark of the name at `index` if another template may bind it: one that is imported, or that a
/// parent sets. With the name, and the attribute of a module.
pub(super) fn foreign<'s>(
    walk: &mut Walk<'_, 's>,
    list: &[Token],
    index: usize,
) -> Option<(&'s str, Mark)> {
    let source = walk.source;
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let is_macro = bindings::is_macro(walk, text(index));
    let is_bound = bindings::bound_in(walk, text(index)).is_some();
    let is_attribute = text(index + 1) == "." && is_macro;
    let last = if is_attribute { index + 2 } else { index };
    if !(is_macro || (walk.extends.is_some() && !is_bound)) || text(last + 1) == "(" {
        return None;
    }
    let at = list[index].start;
    let tag = at..list.get(last)?.end;
    let name = &source[tag.clone()];
    let Outline { renderings, foreign, .. } = &mut walk.outline;
    let rendering = *foreign.entry(name).or_insert_with(|| {
        renderings.push(Rendering { tag, is_foreign: true });
        renderings.len() - 1
    });
    Some((name, Mark { holds: Holds::Rendered(Some(rendering)), origin: 0, at }))
}

/// Where a token stands in its tag: in which brackets, and whether in a component's.
#[derive(Debug, Default)]
pub(super) struct Around {
    brackets: Vec<Bracket>,
    in_component: bool,
}

/// A bracket that is open.
#[derive(Debug)]
struct Bracket {
    at: usize,
    /// The commas since, outside inner brackets, and the token after the last.
    commas: usize,
    first: usize,
}

impl Around {
    /// The token at `at` comes.
    pub(super) fn read(&mut self, source: &str, list: &[Token], at: usize) {
        match (list[at].kind, list[at].text(source)) {
            (TokenKind::Open, _) => self.brackets.push(Bracket { at, commas: 0, first: at + 1 }),
            (TokenKind::Close, _) => drop(self.brackets.pop()),
            (_, ",") => {
                if let Some(bracket) = self.brackets.last_mut() {
                    bracket.commas += 1;
                    bracket.first = at + 1;
                }
            }
            (_, "<") if self.brackets.is_empty() => {
                self.in_component |= list.get(at + 1).is_some_and(|it| it.kind == TokenKind::Word);
            }
            _ => {}
        }
    }
}

/// Notes that the name at `index` of a tag's tokens is handed on as an argument, if it is.
pub(super) fn argument(
    walk: &mut Walk<'_, '_>,
    (list, index): (&[Token], usize),
    around: &Around,
    tag: &Range<usize>,
    marks: &[Mark],
) {
    if around.brackets.is_empty() && !around.in_component {
        return;
    }
    let Some(marks) = value(walk, list, index, marks) else { return };
    let (source, dialect) = (walk.source, walk.dialect());
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    for &Bracket { at, commas, first } in &around.brackets {
        let by = match (text(at), dialect) {
            ("(", Dialect::MiniJinja) if calls(source, list, at) => match text(first + 1) {
                _ if !is_found(walk, list, at) => By::Value,
                "=" => By::Keyword(text(first).to_owned()),
                _ => By::Position(commas),
            },
            ("{", Dialect::Tera) if text(at + 1) == "..." => By::Spread,
            ("{", Dialect::Tera) if at > 1 && text(at - 1) == "=" => {
                By::Keyword(text(at - 2).to_owned())
            }
            _ => continue,
        };
        hand(walk, text(index), list[index].start, tag, &by, &marks);
    }
    // `<card title />` is short for `<card title={title} />`.
    let before = index.checked_sub(1).and_then(|at| list.get(at)).map(|token| token.kind);
    let is_short = matches!(before, Some(TokenKind::Word | TokenKind::String | TokenKind::Close));
    if around.brackets.is_empty() && dialect == Dialect::Tera && is_short {
        let by = By::Keyword(text(index).to_owned());
        hand(walk, text(index), list[index].start, tag, &by, &marks);
    }
}

/// Notes that the Tera component at `index` is an argument of another, if it is.
pub(super) fn component_argument(
    walk: &mut Walk<'_, '_>,
    (list, index): (&[Token], usize),
    around: &Around,
    tag: &Range<usize>,
) {
    let text = |at: usize| list.get(at).map_or("", |token| token.text(walk.source));
    if around.brackets.is_empty() || list.get(index + 1).is_none_or(|it| it.kind != TokenKind::Word)
    {
        return;
    }
    let end = (index..list.len()).find(|&at| text(at) == "/" && text(at + 1) == ">");
    let Some(end) = end else { return };
    let (start, end) = (list[index].start, list[end].end);
    let mark = holds(walk, start, Some(start..end));
    argument(walk, (list, index), around, tag, &[mark]);
}

/// The marks of the value that the name at `index` brings: of its own, and of what it renders if it
/// is called. A macro that is not called has rendered nothing.
fn value(
    walk: &mut Walk<'_, '_>,
    list: &[Token],
    index: usize,
    marks: &[Mark],
) -> Option<Vec<Mark>> {
    let call = called(walk, list, index).filter(|_| walk.dialect() == Dialect::MiniJinja);
    let Some(Call { is_known, open }) = call else {
        let is_macro = bindings::is_macro(walk, list[index].text(walk.source));
        let of = |rendering: usize| walk.outline.renderings.get(rendering);
        let is_foreign = |it: Option<usize>| it.and_then(of).is_some_and(|it| it.is_foreign);
        let counts = |mark: &&Mark| match rendered(mark) {
            None => false,
            Some(rendering) => !is_macro || is_foreign(rendering),
        };
        let marks: Vec<Mark> = marks.iter().filter(counts).copied().collect();
        return (!marks.is_empty()).then_some(marks);
    };
    let mut depth = 0_usize;
    let close = list[open..].iter().find(|token| {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let start = list[index].start;
    let end = close.map_or(start, |token| token.end);
    let mut marks = marks.to_vec();
    marks.push(holds(walk, start, is_known.then_some(start..end)));
    Some(marks)
}

/// Whether the bracket at `open` holds the arguments of something that may be a macro.
fn calls(source: &str, list: &[Token], open: usize) -> bool {
    let Some(name) = open.checked_sub(1) else { return false };
    let before = name.checked_sub(1).map_or("", |at| list[at].text(source));
    let is_callee = match list[name].kind {
        TokenKind::Word => !matches!(
            list[name].text(source),
            "in" | "and" | "or" | "not" | "if" | "else" | "is" | "call"
        ),
        kind => kind == TokenKind::Close,
    };
    is_callee && !matches!(before, "|" | "is")
}

/// Whether what is called with the bracket at `open` is found by its name: a function, a macro, or one
/// of an import, rather than a value.
fn is_found(walk: &Walk<'_, '_>, list: &[Token], open: usize) -> bool {
    let text = |at: usize| list[at].text(walk.source);
    let Some(mut root) = open.checked_sub(1) else { return false };
    while root >= 2 && text(root - 1) == "." && list[root].kind == TokenKind::Word {
        root -= 2;
    }
    let name = text(root);
    list[root].kind == TokenKind::Word
        && !matches!(name, "caller" | "loop")
        && !bindings::is_variable(walk, name)
}

fn hand(
    walk: &mut Walk<'_, '_>,
    name: &str,
    at: usize,
    tag: &Range<usize>,
    by: &By,
    marks: &[Mark],
) {
    for rendering in marks.iter().filter_map(rendered) {
        walk.outline.handed.push(Handed {
            name: name.to_owned(),
            at,
            tag: tag.clone(),
            by: by.clone(),
            rendering,
        });
    }
}

/// Whether a mark is of what was rendered before, and the rendering that has to hold a fragment for
/// it to count.
pub(super) fn rendered(mark: &Mark) -> Option<Option<usize>> {
    match mark.holds {
        Holds::Output | Holds::Body => Some(None),
        Holds::Rendered(rendering) => Some(rendering),
        Holds::Caller | Holds::Filled => None,
    }
}

/// The tag at `tag` renders others that see the names of this template: one whose name is constant, if
/// it is an include.
pub(super) fn shows(
    walk: &mut Walk<'_, '_>,
    tag: &Range<usize>,
    include: Option<&Statement<'_>>,
) -> Result<(), Error> {
    let names = bindings::marked(walk);
    let open = walk.stack.iter().filter_map(|frame| match frame.kind {
        FrameKind::Cache(block) => Some(block),
        FrameKind::Native(_) => None,
    });
    let blocks: Vec<usize> = open.collect();
    // What others fill in counts in the blocks around the tag alone.
    let counts = |mark| !blocks.is_empty() || rendered(mark).is_some();
    if !names.values().flatten().any(counts) {
        return Ok(());
    }
    let shown = Shown { tag: tag.clone(), names, blocks };
    let is_known = include.is_none_or(|include| {
        let mut list = tokens(walk.source, include.rest.clone(), walk.dialect());
        list.next().is_some_and(|token| token.kind == TokenKind::String)
    });
    if !is_known {
        let mut names = shown.names.iter().filter(|(name, _)| walk.source.contains(**name));
        let found = names.find_map(|(name, marks)| {
            let block = settle::is_refused(walk.source, &walk.outline, &shown, (name, marks), |_| true)?;
            let what = format!(
                "includes a template whose name is known only when it renders, and which could print \
                 `{name}`"
            );
            Some(anothers_content(&walk.refusal, block, tag.start, &what))
        });
        return found.map_or(Ok(()), Err);
    }
    walk.outline.shown.insert(tag.start, shown);
    Ok(())
}

/// MiniJinja: a child's parents see what it set outside its blocks.
pub(super) fn inherited(walk: &mut Walk<'_, '_>) -> Result<(), Error> {
    match walk.extends.clone() {
        Some(tag) if walk.dialect() == Dialect::MiniJinja => shows(walk, &tag, None),
        _ => Ok(()),
    }
}

/// Notes that a name is used in a `call` block, which the macro that is called may print in a cache
/// block of its own.
pub(super) fn fills(walk: &mut Walk<'_, '_>, name: &str, at: usize, marks: &[Mark]) {
    if marks.is_empty() {
        return;
    }
    let before = |mark: &&Mark, opened: usize| mark.origin < opened;
    let calls: Vec<Range<usize>> = walk
        .stack
        .iter()
        .filter(|frame| frame.kind == FrameKind::Native(Opener::Call))
        .map(|frame| frame.tag.clone())
        .collect();
    for tag in calls {
        let outside: Vec<Mark> =
            marks.iter().filter(|mark| before(mark, tag.start)).copied().collect();
        hand(walk, name, at, &tag, &By::Caller, &outside);
    }
}
