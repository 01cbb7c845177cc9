//! What is rendered in one place and printed in another: a variable that holds what a macro, a
//! partial or another template's block printed, and a value that is handed to a macro, a component or
//! a partial with cache blocks of its own. A cached body that prints a fragment which was rendered
//! before it would not see that the fragment is deleted. The other templates are read when it
//! depends on them.

use std::ops::Range;

use crate::error::Error;

use super::bindings;
use super::checks::{anothers_content, tells_apart};
use super::definitions;
use super::follow::{Called, Fragment, Printer};
use super::mark::{Holds, Mark, add};
use super::nesting::{Frame, FrameKind, Walk};
use super::outline::{Block, By, Span};
use super::refusal::Refusal;
use super::rules::Dialect;
use super::statement::Opener;
use super::token::{Token, TokenKind, tokens};
use super::uses;

/// What the value of an expression holds because the expression calls: the output of whatever that
/// renders.
pub(super) fn rendering(
    walk: &mut Walk<'_, '_>,
    list: &[Token],
    range: &Range<usize>,
) -> Option<Mark> {
    let (source, dialect) = (walk.source, walk.dialect());
    let calls = |token: &Token| {
        token.kind == TokenKind::Open || (dialect == Dialect::Tera && token.text(source) == "<")
    };
    if !list.iter().any(calls) {
        return None;
    }
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let mut renders = false;
    let mut is_known = true;
    for at in 0..list.len() {
        match dialect {
            Dialect::Tera if text(at) == "<" => {
                renders |= list.get(at + 1).is_some_and(|next| next.kind == TokenKind::Word);
            }
            Dialect::Tera => renders |= text(at) == "super" && text(at + 1) == "(",
            Dialect::MiniJinja => {
                let call = called(walk, list, at);
                renders |= call.is_some();
                is_known &= call.is_none_or(|call| call.is_known);
            }
        }
    }
    renders.then(|| holds(range.start, is_known.then(|| range.clone())))
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
    let is_method = text(at + 1) == "." && text(at + 3) == "(";
    let open = if is_method { at + 3 } else { at + 1 };
    let before = at.checked_sub(1).map_or("", text);
    let is_name = list[at].kind == TokenKind::Word && !matches!(before, "." | "|" | "is");
    if !is_name || text(open) != "(" {
        return None;
    }
    let name = text(at);
    let is_bound = matches!(name, "caller" | "self" | "super")
        || walk.extends.is_some()
        || bindings::bound_in(walk, name).is_some();
    is_bound.then(|| Call {
        is_known: !(is_method && name == "self")
            && (is_method || (name != "caller" && !bindings::is_variable(walk, name))),
        open,
    })
}

/// The mark of a variable that holds what is rendered from `at` on: by the tag at `range`, or by
/// nobody knows what.
pub(super) fn holds(at: usize, range: Option<Range<usize>>) -> Mark {
    Mark { holds: Holds::Rendered(range.map(Span::from)), origin: at, at }
}

/// The fragment that a value may hold which was rendered before.
fn fragment(walk: &mut Walk<'_, '_>, rendered: Rendered) -> Option<Fragment> {
    match rendered {
        Rendered::Unknown => Some(Fragment::Filled),
        Rendered::By(tag) => walk.others.fragment(tag, Called::Yes),
        Rendered::Foreign(name) => walk.others.fragment(name, Called::No),
    }
}

/// Whether a mark is of what was rendered before, and may hold a fragment.
fn may_hold_fragment(walk: &mut Walk<'_, '_>, mark: Mark) -> bool {
    rendered(mark).is_some_and(|rendered| fragment(walk, rendered).is_some())
}

/// Refuses that the cache block at `index` prints `name`, which holds what was rendered outside, if
/// that may hold a fragment.
pub(super) fn captured(
    walk: &mut Walk<'_, '_>,
    index: usize,
    (name, at): (&str, usize),
    mark: Mark,
) -> Result<(), Error> {
    let Some(rendered) = rendered(mark) else { return Ok(()) };
    let Some(fragment) = fragment(walk, rendered) else { return Ok(()) };
    let what = match (rendered, fragment) {
        (Rendered::Foreign(_), Fragment::Of(printer)) => format!(
            "`{name}`, which another template sets and which holds the cache block of {}",
            printer.place(walk.refusal.template),
        ),
        _ => format!("`{name}`, set on {}", walk.refusal.place(mark.at)),
    };
    Err(uses::rendered_before(&walk.refusal, &walk.outline, index, at, &what))
}

/// The mark of the name at `index` if another template may bind it: one that is imported, or that a
/// parent sets. With the name, and the attribute of a module.
pub(super) fn foreign<'s>(
    walk: &mut Walk<'_, 's>,
    list: &[Token],
    index: usize,
) -> Option<(&'s str, Mark)> {
    if !walk.imports && walk.extends.is_none() {
        return None;
    }
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
    // One question for all uses of a name.
    let first = *walk.foreign.entry(name).or_insert(Span::from(tag));
    Some((name, Mark { holds: Holds::Foreign(first), origin: 0, at }))
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
    /// The token at `at` comes, which is no word.
    pub(super) fn read(&mut self, source: &str, list: &[Token], at: usize) {
        match list[at].kind {
            TokenKind::Open => self.brackets.push(Bracket { at, commas: 0, first: at + 1 }),
            TokenKind::Close => drop(self.brackets.pop()),
            TokenKind::Operator => match (list[at].text(source), self.brackets.last_mut()) {
                (",", Some(bracket)) => {
                    bracket.commas += 1;
                    bracket.first = at + 1;
                }
                ("<", None) => {
                    let next = list.get(at + 1);
                    self.in_component |= next.is_some_and(|it| it.kind == TokenKind::Word);
                }
                _ => {}
            },
            TokenKind::Word | TokenKind::String => {}
        }
    }
}

/// Refuses the name at `index` of a tag's tokens as an argument of what may print it.
pub(super) fn argument(
    walk: &mut Walk<'_, '_>,
    (list, index): (&[Token], usize),
    around: &Around,
    tag: &Range<usize>,
    marks: &[Mark],
) -> Result<(), Error> {
    if around.brackets.is_empty() && !around.in_component {
        return Ok(());
    }
    let marks = value(walk, list, index, marks);
    if marks.is_empty() {
        return Ok(());
    }
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
        hand(walk, text(index), list[index].start, tag, &by, &marks)?;
    }
    // `<card title />` is short for `<card title={title} />`.
    let before = index.checked_sub(1).and_then(|at| list.get(at)).map(|token| token.kind);
    let is_short = matches!(before, Some(TokenKind::Word | TokenKind::String | TokenKind::Close));
    if around.brackets.is_empty() && dialect == Dialect::Tera && is_short {
        let by = By::Keyword(text(index).to_owned());
        hand(walk, text(index), list[index].start, tag, &by, &marks)?;
    }
    Ok(())
}

/// The same of the Tera component at `index`.
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

/// The marks of the value that the name at `index` brings: of its own, and of what it renders if it
/// is called. A macro that is not called has rendered nothing.
fn value(walk: &Walk<'_, '_>, list: &[Token], index: usize, marks: &[Mark]) -> Vec<Mark> {
    let call = called(walk, list, index).filter(|_| walk.dialect() == Dialect::MiniJinja);
    let Some(Call { is_known, open }) = call else {
        let is_macro = bindings::is_macro(walk, list[index].text(walk.source));
        let counts = |mark: &&Mark| match rendered(**mark) {
            None => false,
            Some(rendered) => !is_macro || matches!(rendered, Rendered::Foreign(_)),
        };
        return marks.iter().filter(counts).copied().collect();
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
    marks.push(holds(start, is_known.then_some(start..end)));
    marks
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

/// Refuses that the tag at `tag` hands on what may hold a fragment to where it may be printed.
fn hand(
    walk: &mut Walk<'_, '_>,
    name: &str,
    at: usize,
    tag: &Range<usize>,
    by: &By,
    marks: &[Mark],
) -> Result<(), Error> {
    for rendered in marks.iter().copied().filter_map(rendered) {
        if fragment(walk, rendered).is_none() {
            continue;
        }
        if *by == By::Value {
            return Err(walk.refusal.at(
                at,
                format!(
                    "{} is rendered before it is handed on to what is known only when it renders, \
                     and which could print it in a cache block: call a macro by its name, or print \
                     it outside",
                    as_written(walk.source, name, at),
                ),
            ));
        }
        if let Some(printer) = walk.others.printer(Span::from(tag.clone()), by) {
            return Err(handed_on(&walk.refusal, name, at, &printer));
        }
    }
    Ok(())
}

/// What was rendered before it is used.
#[derive(Debug, Clone, Copy)]
enum Rendered {
    /// Nobody knows by what: it counts as a fragment.
    Unknown,
    By(Span),
    /// By another template, which binds this name.
    Foreign(Span),
}

/// What a mark says was rendered before.
fn rendered(mark: Mark) -> Option<Rendered> {
    match mark.holds {
        Holds::Output | Holds::Body | Holds::Rendered(None) => Some(Rendered::Unknown),
        Holds::Rendered(Some(tag)) => Some(Rendered::By(tag)),
        Holds::Foreign(name) => Some(Rendered::Foreign(name)),
        Holds::Caller | Holds::Filled | Holds::Outside(_) | Holds::Loop => None,
    }
}

/// The tag at `tag` renders others that see the names of this template. Hands back the marks of those
/// that they use.
pub(super) fn shows(walk: &mut Walk<'_, '_>, tag: &Range<usize>) -> Result<Vec<Mark>, Error> {
    let mut all = Vec::new();
    let is_component = |frame: &Frame<'_>| frame.kind == FrameKind::Native(Opener::Component);
    let inherits = walk.extends.is_some();
    let may_be_filled = match walk.dialect() {
        Dialect::MiniJinja => walk.caches > 0,
        Dialect::Tera => walk.stack.iter().any(is_component),
    };
    if !walk.is_marked && !may_be_filled && !inherits {
        return Ok(all);
    }
    let span = Span::from(tag.clone());
    for (name, template) in walk.others.names(span) {
        let mut marks = bindings::seen(walk, &name);
        let is_free = bindings::bound_in(walk, &name).is_none();
        if inherits && is_free && walk.others.inherited(&name) {
            marks.push(holds(0, None));
        }
        apart(walk, &name, &marks, tag.start, || {
            format!(
                "renders `{template}`, which uses `{name}` of this template: what others fill in, \
                 or what was rendered before the block"
            )
        })?;
        for mark in marks {
            if may_hold_fragment(walk, mark)
                && let Some(printer) = walk.others.printer(span, &By::Name(name.clone()))
            {
                return Err(handed_on(&walk.refusal, &name, tag.start, &printer));
            }
            add(&mut all, mark);
        }
    }
    Ok(all)
}

/// Refuses in a cache block to include a template whose name is no constant, if there is anything that
/// it should not print.
pub(super) fn includes_any(
    walk: &mut Walk<'_, '_>,
    tag: &Range<usize>,
    rest: Range<usize>,
) -> Result<(), Error> {
    let first = tokens(walk.source, rest, walk.dialect()).next();
    if walk.caches == 0 || first.is_some_and(|token| token.kind == TokenKind::String) {
        return Ok(());
    }
    for (name, marks) in bindings::marked(walk) {
        if walk.source.contains(name) {
            apart(walk, name, &marks, tag.start, || {
                format!(
                    "includes a template whose name is known only when it renders, and which could \
                     print `{name}`"
                )
            })?;
        }
    }
    Ok(())
}

/// Refuses that a cache block around `at` has what is marked so, unless it keeps that apart.
fn apart(
    walk: &mut Walk<'_, '_>,
    name: &str,
    marks: &[Mark],
    at: usize,
    what: impl Fn() -> String,
) -> Result<(), Error> {
    for mark in marks {
        if matches!(mark.holds, Holds::Outside(_)) {
            uses::check(walk, &uses::Word { name, at, next: "", first: false }, &[*mark])?;
        }
        let is_filled = matches!(mark.holds, Holds::Caller | Holds::Filled);
        if !is_filled && !may_hold_fragment(walk, *mark) {
            continue;
        }
        let blocks = walk.stack.iter().filter_map(|frame| match frame.kind {
            FrameKind::Cache(index) if frame.at >= mark.origin => walk.outline.blocks.get(index),
            _ => None,
        });
        let keeps_apart = |block: &Block<'_>| {
            block.varies_on(walk.source, name) || (is_filled && tells_apart(block))
        };
        if let Some(block) = { blocks }.find(|block| !keeps_apart(block)) {
            return Err(anothers_content(&walk.refusal, block, at, &what()));
        }
    }
    Ok(())
}

/// The template ends. In MiniJinja a child's parents see what it set outside its blocks, and others may
/// import its macros.
pub(super) fn ends(walk: &mut Walk<'_, '_>) -> Result<(), Error> {
    if walk.dialect() == Dialect::Tera {
        return Ok(());
    }
    if let Some(tag) = walk.extends.clone() {
        shows(walk, &tag)?;
    }
    definitions::are_complete(walk)
}

/// Refuses the use of a name in a `call` block, if the macro that is called may print the content in a
/// cache block of its own.
pub(super) fn fills(
    walk: &mut Walk<'_, '_>,
    name: &str,
    at: usize,
    marks: &[Mark],
) -> Result<(), Error> {
    if marks.is_empty() {
        return Ok(());
    }
    let is_call = |frame: &&Frame<'_>| frame.kind == FrameKind::Native(Opener::Call);
    let calls: Vec<_> = walk.stack.iter().filter(is_call).map(|frame| frame.tag.clone()).collect();
    calls.into_iter().try_for_each(|tag| {
        let is_outside = |mark: &&Mark| mark.origin < tag.start;
        let outside: Vec<Mark> = marks.iter().filter(is_outside).copied().collect();
        hand(walk, name, at, &tag, &By::Caller, &outside)
    })
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
