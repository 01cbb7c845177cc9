//! What is rendered in one place and printed in another. The first half notes it while a template is
//! read: a variable that holds what a macro, a partial or another template's block printed, and a
//! value that is handed to a macro, a component or a partial with cache blocks of its own. The
//! second half decides once those are read. A cached body that prints a fragment which was rendered
//! before it would not see that the fragment is deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use crate::error::Error;

use super::bindings::{self, Holds, Mark};
use super::checks::{anothers_content, tells_apart};
use super::follow::{Followed, Printer, Questions};
use super::nesting::{FrameKind, Walk};
use super::outline::{Block, By, Captured, Handed, Names, Outline, Shown};
use super::refusal::Refusal;
use super::rules::Dialect;
use super::statement::{Opener, Statement};
use super::token::{Token, TokenKind, tokens};
use super::uses;

/// Whether a template without cache blocks may hand on to one of another template what is rendered
/// before it, by the words in its source.
pub(super) fn may_hand_on(dialect: Dialect, holds: impl Fn(&str) -> bool) -> bool {
    let any = |words: &[&str]| words.iter().any(|word| holds(word));
    match dialect {
        Dialect::MiniJinja => {
            any(&["import", "macro"]) || (any(&["include", "super", "self"]) && holds("set"))
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
        || walk.child
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
    let known = range.is_some();
    walk.outline.renderings.extend(range.map(|range| (at, range)));
    Mark { holds: Holds::Rendered(known.then_some(at)), origin: at, at }
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
        let is_value = !bindings::is_macro(walk, list[index].text(walk.source));
        let counts = is_value && marks.iter().any(|mark| rendered(mark).is_some());
        return counts.then(|| marks.to_vec());
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
fn rendered(mark: &Mark) -> Option<Option<usize>> {
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
            let block = is_refused(walk.source, &walk.outline, &shown, (name, marks), |_| true)?;
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

/// The block around a tag that may not print a name which the tag shows. `counts` tells whether a
/// rendering does.
fn is_refused<'o>(
    source: &str,
    outline: &'o Outline<'_>,
    shown: &Shown<'_>,
    (name, marks): (&str, &[Mark]),
    counts: impl Fn(Option<usize>) -> bool,
) -> Option<&'o Block<'o>> {
    let blocks = shown.blocks.iter().filter_map(|block| outline.blocks.get(*block));
    { blocks }.find(|block| {
        marks.iter().any(|mark| {
            let is_outer = block.open.piece.start >= mark.origin;
            let is_told = tells_apart(block) && rendered(mark).is_none();
            is_outer
                && !is_told
                && !block.varies_on(source, name)
                && counts(rendered(mark).flatten())
        })
    })
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

/// What has to be read of other templates to settle what was noted: what a tag renders, and whether
/// a cache block of it prints what is handed on.
pub(super) fn questions<'s>(outline: &Outline<'s>) -> Questions<'s> {
    let mut questions = Questions::new();
    let captured = outline.captured.iter().filter_map(|it| it.rendering);
    let handed = outline.handed.iter().filter_map(|it| it.rendering);
    let mut renderings: BTreeSet<usize> = captured.chain(handed).collect();
    let mut last: Option<&Rc<Names<'_>>> = None;
    for Shown { tag, names, .. } in outline.shown.values() {
        questions.entry((tag.start, tag.end)).or_default().shown = Some(Rc::clone(names));
        if !last.is_some_and(|last| Rc::ptr_eq(last, names)) {
            renderings.extend(names.values().flatten().filter_map(|mark| rendered(mark).flatten()));
        }
        last = Some(names);
    }
    for tag in renderings.iter().filter_map(|rendering| outline.renderings.get(rendering)) {
        questions.entry((tag.start, tag.end)).or_default();
    }
    for Handed { tag, by, .. } in &outline.handed {
        questions.entry((tag.start, tag.end)).or_default().handed.insert(by.clone());
    }
    questions
}

/// Whether what a variable holds may hold a fragment. `rendering` is a key of
/// [`Outline::renderings`]; without one it does, for all that is known.
fn counts(outline: &Outline<'_>, followed: &Followed, rendering: Option<usize>) -> bool {
    let Some((start, tag)) = rendering.and_then(|it| outline.renderings.get_key_value(&it)) else {
        return true;
    };
    let Some(answer) = followed.answer(tag) else { return true };
    let shown = outline.shown.get(start).map(|shown| &shown.names);
    let uses_shown = || {
        let mut used = answer.taken.names.keys();
        shown.is_some_and(|names| used.any(|name| names.contains_key(&**name)))
    };
    answer.may_hold_fragments() || uses_shown()
}

/// Refuses what would print a fragment that is rendered before it, or what others fill in, once the
/// other templates are read.
pub(super) fn settle(
    refusal: &Refusal<'_>,
    outline: &Outline<'_>,
    followed: &Followed,
) -> Result<(), Error> {
    for Captured { block, name, at, bound, rendering } in &outline.captured {
        if counts(outline, followed, *rendering) {
            let what = format!("`{name}`, set on {}", refusal.place(*bound));
            return Err(uses::rendered_before(refusal, outline, *block, *at, &what));
        }
    }
    let counts = |rendering| counts(outline, followed, rendering);
    for shown in outline.shown.values() {
        let Some(answer) = followed.answer(&shown.tag) else { continue };
        let at = shown.tag.start;
        // In an order, for the message.
        let used: BTreeMap<_, _> = answer.taken.names.iter().collect();
        for (name, template) in used {
            let Some(marks) = shown.names.get(&**name) else { continue };
            if let Some(block) = is_refused(refusal.source, outline, shown, (name, marks), counts) {
                let what = format!(
                    "renders `{template}`, which uses `{name}` of this template: what others fill \
                     in, or what was rendered before the block"
                );
                return Err(anothers_content(refusal, block, at, &what));
            }
            let printer = answer.prints.get(&By::Name(name.clone()));
            if let Some(printer) = printer.filter(|_| marks.iter().filter_map(rendered).any(counts))
            {
                return Err(handed_on(refusal, name, at, printer));
            }
        }
    }
    for Handed { name, at, tag, by, rendering } in &outline.handed {
        let printer = followed.answer(tag).and_then(|answer| answer.prints.get(by));
        match printer {
            _ if *by == By::Value && counts(*rendering) => {
                return Err(refusal.at(
                    *at,
                    format!(
                        "{} is rendered before it is handed on to what is known only when it \
                         renders, and which could print it in a cache block: call a macro by its \
                         name, or print it outside",
                        as_written(refusal.source, name, *at),
                    ),
                ));
            }
            Some(printer) if counts(*rendering) => {
                return Err(handed_on(refusal, name, *at, printer));
            }
            _ => {}
        }
    }
    Ok(())
}

fn handed_on(refusal: &Refusal<'_>, name: &str, at: usize, printer: &Printer) -> Error {
    refusal.at(
        at,
        format!(
            "{} is rendered before it is handed on, and the cache block of {} may print it: others \
             would be served what is in it, and a deletion of what is inside would not reach the \
             block; add it there as a vary part, or print it outside",
            as_written(refusal.source, name, at),
            printer.place(refusal.template),
        ),
    )
}

/// A name as a message has it; with dots where it is called.
fn as_written(source: &str, name: &str, at: usize) -> String {
    let is_called =
        source[at..].strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '.']));
    format!("`{name}{}`", if is_called { "…" } else { "" })
}
