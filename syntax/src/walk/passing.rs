//! Detects output rendered earlier that is passed to code which may print it in a cache block of
//! its own: as an argument of a macro or a component, or in the content of a `call` block.

use std::ops::Range;

use crate::error::Error;

use super::bindings;
use super::definitions;
use super::flows::{self, Call, Rendered, called, fragment, holds, rendered};
use super::mark::{Holds, Mark};
use super::nesting::{Frame, FrameKind, Walk};
use crate::follow::SourcePlace;
use crate::opener::Opener;
use crate::outline::{By, Change, Span};
use crate::refusal::Refusal;
use crate::token::{Token, TokenKind};

/// The brackets around a token in its tag, and the component around it.
#[derive(Debug, Default)]
pub(super) struct Around {
    brackets: Vec<Bracket>,
    /// The number of brackets around the last component.
    component: Option<usize>,
}

/// An open bracket.
#[derive(Debug)]
struct Bracket {
    at: usize,
    /// The number of commas since, outside inner brackets.
    commas: usize,
    first: usize,
    /// MiniJinja: whether an argument was unpacked.
    is_spread: bool,
}

impl Around {
    /// Reads the token at `at`, which is not a word.
    pub(super) fn read(&mut self, source: &str, list: &[Token], at: usize) {
        match list[at].kind {
            TokenKind::Open => {
                self.brackets.push(Bracket { at, commas: 0, first: at + 1, is_spread: false });
            }
            TokenKind::Close => drop(self.brackets.pop()),
            TokenKind::Operator => match (list[at].text(source), self.brackets.last_mut()) {
                (",", Some(bracket)) => {
                    bracket.commas += 1;
                    bracket.first = at + 1;
                }
                ("*" | "**", Some(bracket)) => bracket.is_spread |= bracket.first == at,
                ("<", _) if list.get(at + 1).is_some_and(|it| it.kind == TokenKind::Word) => {
                    self.component = Some(self.brackets.len());
                }
                _ => {}
            },
            TokenKind::Word | TokenKind::String => {}
        }
    }
}

/// Refuses the name at `index` of a tag's tokens as an argument of code that may print its value.
pub(super) fn argument(
    walk: &mut Walk<'_, '_>,
    (list, index): (&[Token], usize),
    around: &Around,
    tag: &Range<usize>,
    marks: &[Mark],
) -> Result<(), Error> {
    if around.brackets.is_empty() && around.component.is_none() {
        return Ok(());
    }
    change(walk, (list, index), around, tag, marks);
    let marks = value(walk, list, index, marks);
    if marks.is_empty() {
        return Ok(());
    }
    let (source, rules) = (walk.source, walk.rules());
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    for by in ways(walk, list, around) {
        pass_on(walk, (text(index), list[index].start), tag, &by, &marks)?;
    }
    // `<card title />` is short for `<card title={title} />`.
    let before = index.checked_sub(1).and_then(|at| list.get(at)).map(|token| token.kind);
    let is_short = matches!(before, Some(TokenKind::Word | TokenKind::String | TokenKind::Close));
    let is_direct = around.component == Some(around.brackets.len());
    if is_direct && rules.components && is_short {
        let by = By::Keyword(text(index).to_owned());
        pass_on(walk, (text(index), list[index].start), tag, &by, &marks)?;
    }
    Ok(())
}

/// The ways in which a value inside these brackets is passed on.
fn ways(walk: &Walk<'_, '_>, list: &[Token], around: &Around) -> Vec<By> {
    let (source, rules) = (walk.source, walk.rules());
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let by = |&Bracket { at, commas, first, is_spread }: &Bracket| match text(at) {
        "(" if rules.macros && calls(source, list, at) => Some(match text(first + 1) {
            _ if !is_found(walk, list, at) => By::Value,
            _ if is_spread => By::Spread,
            "=" => By::Keyword(text(first).to_owned()),
            _ => By::Position(commas),
        }),
        "{" if rules.components && text(at + 1) == "..." => Some(By::Spread),
        "{" if rules.components && at > 1 && text(at - 1) == "=" => {
            Some(By::Keyword(text(at - 2).to_owned()))
        }
        _ => None,
    };
    around.brackets.iter().filter_map(by).collect()
}

/// MiniJinja: records that a cached body passes a namespace from outside to a macro that changes
/// it. A render in which that happens is not stored.
fn change<'s>(
    walk: &mut Walk<'_, 's>,
    (list, index): (&[Token], usize),
    around: &Around,
    tag: &Range<usize>,
    marks: &[Mark],
) {
    let frame = walk.stack.iter().rev().find_map(|frame| match frame.kind {
        FrameKind::Cache(block) => Some((block, frame.at)),
        FrameKind::Native(_) => None,
    });
    let Some((block, opened)) = frame else { return };
    let is_outer = |mark: &Mark| matches!(mark.holds, Holds::Space(_)) && mark.origin < opened;
    // An attribute of the namespace is another value.
    let is_whole = list.get(index + 1).is_none_or(|next| next.text(walk.source) != ".");
    if !is_whole || !marks.iter().any(is_outer) {
        return;
    }
    let source: &'s str = walk.source;
    for by in ways(walk, list, around) {
        if let Some(changer) = walk.others.changer(Span::from(tag.clone()), &by) {
            let place = changer.place(walk.refusal.template);
            let token = &list[index];
            walk.outline.changes.push(Change {
                at: token.start,
                name: &source[token.start..token.end],
                block,
                place,
            });
        }
    }
}

/// Like [`argument`], for the Tera component at `index`.
pub(super) fn component_argument(
    walk: &mut Walk<'_, '_>,
    (list, index): (&[Token], usize),
    around: &Around,
    tag: &Range<usize>,
) -> Result<(), Error> {
    let text = |at: usize| list.get(at).map_or("", |token| token.text(walk.source));
    if around.brackets.is_empty() || list.get(index + 1).is_none_or(|it| it.kind != TokenKind::Word)
    {
        return Ok(());
    }
    let end = (index..list.len()).find(|&at| text(at) == "/" && text(at + 1) == ">");
    let Some(end) = end else { return Ok(()) };
    let (start, end) = (list[index].start, list[end].end);
    argument(walk, (list, index), around, tag, &[holds(start, Some(start..end))])
}

/// The marks of the value of the name at `index`: its own and, if it is called, those of its
/// output. A macro that is not called renders nothing.
fn value(walk: &Walk<'_, '_>, list: &[Token], index: usize, marks: &[Mark]) -> Vec<Mark> {
    let call = called(walk, list, index).filter(|_| walk.rules().macros);
    let Some(Call { is_known, open }) = call else {
        let is_macro = bindings::is_macro(walk, list[index].text(walk.source));
        // Outside values of a macro were rendered earlier. Its own output is rendered later, unless
        // the expression uses the value of its call.
        let start = list[index].start;
        let calls_value = flows::calls_value(walk.source, list);
        let counts = |mark: &&Mark| match rendered(**mark) {
            None => matches!(mark.holds, Holds::Outside(..)),
            Some(Rendered::Foreign(_)) => true,
            Some(_) => !is_macro || calls_value || mark.origin < start,
        };
        let mut known: Vec<Mark> = marks.iter().filter(counts).copied().collect();
        // Three sources of content filled in by others: Tera's `super()`, a macro that prints it,
        // and a `caller` that is called under another name.
        let is_super = list[index].text(walk.source) == "super";
        let is_called = calls_value && marks.iter().any(|mark| mark.holds == Holds::Caller);
        let is_filled = |mark: &Mark| {
            matches!(mark.holds, Holds::Caller | Holds::Filled) && mark.origin < start
        };
        if is_super || is_called || (is_macro && marks.iter().any(is_filled)) {
            let end = list.get(index + 2).map_or(start, |token| token.end);
            known.push(holds(start, is_super.then_some(start..end)));
        }
        return known;
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
    let is_filled = marks.iter().any(|mark| mark.holds == Holds::Caller);
    marks.push(holds(start, (is_known && !is_filled).then_some(start..end)));
    marks
}

/// Whether the bracket at `open` holds the arguments of a possible macro.
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

/// Whether the callee before the bracket at `open` is found by its name, as a function, a macro or
/// a member of an import, and is not a value.
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

/// Refuses that the tag at `tag` passes on a value that may hold a fragment to code that may print
/// it in a cache block.
pub(super) fn pass_on(
    walk: &mut Walk<'_, '_>,
    (name, at): (&str, usize),
    tag: &Range<usize>,
    by: &By,
    marks: &[Mark],
) -> Result<(), Error> {
    for mark in marks {
        if let Holds::Outside(outside, level) = mark.holds {
            let outside = &walk.source[outside.range()];
            definitions::record_passed_on(walk, level, (outside, at), tag, by);
        }
    }
    for rendered in marks.iter().copied().filter_map(rendered) {
        if fragment(walk, rendered).is_none() {
            continue;
        }
        if *by == By::Value {
            return Err(walk.refusal.at(
                at,
                format!(
                    "{} is rendered before it is passed on to a callee that is known only when \
                     the page renders, and that could print it in a cache block: call the macro \
                     by its name, or print it outside",
                    as_written(walk.source, name, at),
                ),
            ));
        }
        if let Some(printer) = walk.others.printer(Span::from(tag.clone()), by) {
            return Err(passed_on_error(&walk.refusal, name, at, &printer));
        }
    }
    Ok(())
}

/// Refuses the use of a name in a `call` block if the called macro may print the content in a cache
/// block of its own.
pub(super) fn fills(
    walk: &mut Walk<'_, '_>,
    name: &str,
    at: usize,
    marks: &[Mark],
) -> Result<(), Error> {
    if marks.is_empty() {
        return Ok(());
    }
    let is_call = |(_, frame): &(usize, &Frame<'_>)| frame.kind == FrameKind::Native(Opener::Call);
    let calls = walk.stack.iter().enumerate().filter(is_call);
    let calls: Vec<_> = calls.map(|(at, frame)| (at, frame.tag.clone())).collect();
    calls.into_iter().try_for_each(|(frame, tag)| {
        let is_outside = |mark: &&Mark| match mark.holds {
            Holds::Outside(_, level) => level <= frame,
            _ => mark.origin < tag.start,
        };
        let outside: Vec<Mark> = marks.iter().filter(is_outside).copied().collect();
        pass_on(walk, (name, at), &tag, &By::Caller, &outside)
    })
}

pub(super) fn passed_on_error(
    refusal: &Refusal<'_>,
    name: &str,
    at: usize,
    printer: &SourcePlace,
) -> Error {
    refusal.at(
        at,
        format!(
            "{} is rendered before it is passed on, and the cache block of {} may print it: the \
             block would serve it to others, and deleting a fragment in it would not delete the \
             block; add it there as a vary part, or print it outside",
            as_written(refusal.source, name, at),
            printer.place(refusal.template),
        ),
    )
}

/// Formats a name for a message, with `…` if it is called.
fn as_written(source: &str, name: &str, at: usize) -> String {
    let is_called =
        source[at..].strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '.']));
    format!("`{name}{}`", if is_called { "…" } else { "" })
}
