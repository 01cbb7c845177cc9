//! Detects content that is rendered in one place and printed in another: a variable that captures
//! what a macro, a partial or another template's block printed, and a value that is passed to a
//! macro, a component or a partial with cache blocks of its own. A cached body that prints a
//! fragment rendered before it would not notice when that fragment is deleted. Other templates are
//! read only when the result depends on them.

use std::ops::Range;

use crate::error::Error;

use super::bindings;
use super::checks::{foreign_content, varies_or_shared};
use super::definitions;
use super::mark::{Holds, Mark, add};
use super::nesting::{FrameKind, Walk};
use super::passing::passed_on_error;
use super::uses;
use crate::follow::{Called, Fragment};
use crate::opener::Opener;
use crate::outline::{Block, By, Span};
use crate::token::{Token, TokenKind, tokens};

/// The mark that an expression gets from its calls: the output of what they render.
pub(super) fn rendering(
    walk: &mut Walk<'_, '_>,
    list: &[Token],
    range: &Range<usize>,
) -> Option<Mark> {
    let (source, rules) = (walk.source, walk.rules());
    let calls = |token: &Token| {
        token.kind == TokenKind::Open || (rules.components && token.text(source) == "<")
    };
    if !list.iter().any(calls) {
        return None;
    }
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let mut renders = false;
    let mut is_known = true;
    for at in 0..list.len() {
        if rules.components {
            let is_next_name = || list.get(at + 1).is_some_and(|next| next.kind == TokenKind::Word);
            renders |= text(at) == "<" && is_next_name();
        }
        if rules.macros {
            let call = called(walk, list, at);
            // If a value is called, the names in it determine what it may render.
            let is_value = list[at].kind == TokenKind::Close && text(at + 1) == "(";
            renders |= call.is_some() || is_value;
            is_known &= call.is_none_or(|call| call.is_known);
        } else {
            renders |= text(at) == "super" && text(at + 1) == "(";
        }
    }
    renders.then(|| holds(range.start, is_known.then(|| range.clone())))
}

/// Tera: the variables of the comprehensions in an expression, and the marks of what they iterate
/// over.
pub(super) fn comprehensions<'s>(
    walk: &mut Walk<'_, 's>,
    list: &[Token],
    range: &Range<usize>,
) -> (Vec<&'s str>, Vec<Mark>) {
    let (source, mut names, mut marks) = (walk.source, Vec::new(), Vec::new());
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let is_for = |at: &usize| text(*at) == "for" && list[*at].kind == TokenKind::Word;
    if !walk.rules().comprehensions {
        return (names, marks);
    }
    for first in (1..list.len()).filter(is_for) {
        let Some(word) = (first..list.len()).find(|at| text(*at) == "in") else { break };
        let words = |part: &[Token]| -> Vec<&'s str> {
            let words = part.iter().filter(|token| token.kind == TokenKind::Word);
            words.map(|token| token.text(source)).collect()
        };
        names.extend(words(&list[first + 1..word]));
        let mut depth = 0_usize;
        let mut ends = |at: &usize| {
            match list[*at].kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close if depth == 0 => return true,
                TokenKind::Close => depth -= 1,
                _ => {}
            }
            false
        };
        let end = (word + 1..list.len()).find(|at| ends(at)).unwrap_or(list.len());
        let value = &list[word + 1..end];
        for name in words(value) {
            bindings::visible_marks(walk, name).into_iter().for_each(|mark| add(&mut marks, mark));
        }
        let range = list[word].end..value.last().map_or(range.end, |last| last.end);
        let rendered = rendering(walk, value, &range);
        rendered.into_iter().for_each(|mark| add(&mut marks, mark));
    }
    (names, marks)
}

/// A call in an expression that may render fragments.
pub(super) struct Call {
    /// Whether the callee can be found in the templates, as opposed to being filled in.
    pub(super) is_known: bool,
    pub(super) open: usize,
}

/// The call of the name at `at`, if it is one.
pub(super) fn called(walk: &Walk<'_, '_>, list: &[Token], at: usize) -> Option<Call> {
    let text = |at: usize| list.get(at).map_or("", |token| token.text(walk.source));
    let mut open = at + 1;
    while text(open) == "." {
        open += 2;
    }
    let is_method = open > at + 1;
    let before = at.checked_sub(1).map_or("", text);
    let is_name = list[at].kind == TokenKind::Word && !matches!(before, "." | "|" | "is");
    if !is_name || text(open) != "(" {
        return None;
    }
    let name = text(at);
    let is_known = match name {
        "self" => !is_method,
        // A recursive loop renders its body.
        "caller" | "loop" => is_method,
        // A method of an object, unless the attribute may be a `caller`.
        _ if is_method => !walk.hands_on_caller || !bindings::is_variable(walk, name),
        _ => !bindings::is_variable(walk, name),
    };
    // A name that is not bound here may be a macro further down or in another template, or a
    // function, which is found in no template.
    Some(Call { is_known, open })
}

/// Whether the name at `at`, or an attribute of it, is called.
pub(super) fn is_called(source: &str, list: &[Token], at: usize) -> bool {
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let mut open = at + 1;
    while text(open) == "." {
        open += 2;
    }
    text(open) == "("
}

/// Whether an expression calls a value that is not a plain name.
pub(super) fn calls_value(source: &str, list: &[Token]) -> bool {
    let is_call = |two: &[Token]| two[0].kind == TokenKind::Close && two[1].text(source) == "(";
    list.windows(2).any(is_call)
}

/// Whether the value that an expression calls may be what others fill in, or a value that is not
/// known here. `marks` are those of the names in the expression.
pub(super) fn may_call_unknown(walk: &Walk<'_, '_>, list: &[Token], marks: &[Mark]) -> bool {
    let is_variable = |token: &Token| {
        token.kind == TokenKind::Word && bindings::is_variable(walk, token.text(walk.source))
    };
    marks.iter().any(|mark| mark.holds == Holds::Caller)
        || (!marks.iter().any(|mark| matches!(mark.holds, Holds::Macro(_)))
            && list.iter().any(is_variable))
}

/// Adds marks for the call of a value or of one of its attributes, which may be any macro that the
/// value holds.
pub(super) fn values_called(walk: &Walk<'_, '_>, word: &uses::Word<'_>, marks: &mut Vec<Mark>) {
    let macros = marks.iter().filter_map(|mark| match mark.holds {
        Holds::Macro(number) => Some(walk.macro_values[number].name),
        _ => None,
    });
    let names: Vec<Span> = macros.collect();
    for name in names {
        add(marks, holds(word.at, Some(name.range())));
    }
}

/// The mark of a value that holds output rendered from `at` on: by the tag at `range`, or by an
/// unknown source.
pub(super) fn holds(at: usize, range: Option<Range<usize>>) -> Mark {
    Mark { holds: Holds::Rendered(range.map(Span::from)), origin: at, at }
}

/// The fragment that a value rendered earlier may hold.
pub(super) fn fragment(walk: &mut Walk<'_, '_>, rendered: Rendered) -> Option<Fragment> {
    match rendered {
        Rendered::Unknown => Some(Fragment::Filled),
        Rendered::By(tag) => walk.others.fragment(tag, Called::Yes),
        Rendered::Foreign(name) => walk.others.fragment(name, Called::No),
    }
}

/// Whether a mark is for output rendered earlier that may hold a fragment.
fn may_hold_fragment(walk: &mut Walk<'_, '_>, mark: Mark) -> bool {
    rendered(mark).is_some_and(|rendered| fragment(walk, rendered).is_some())
}

/// Refuses that the cache block at `index` prints `name`, whose value was rendered outside it, if
/// that value may hold a fragment.
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
            "`{name}`, which another template sets and which holds the output of the cache block \
             of {}",
            printer.place(walk.refusal.template),
        ),
        _ => format!("`{name}`, set on {}", walk.refusal.place(mark.at)),
    };
    Err(uses::rendered_before(&walk.refusal, &walk.outline, index, at, &what))
}

/// Whether other templates may bind names of this one.
fn has_others(walk: &Walk<'_, '_>) -> bool {
    walk.imports || walk.extends.is_some() || walk.includes
}

/// The marks of the value that another template may bind to a name, as seen from within the first
/// `frames` frames.
pub(super) fn marks_of_others(walk: &Walk<'_, '_>, name: &str, frames: usize) -> Vec<Mark> {
    if !has_others(walk) || !bindings::may_be_of_others(walk, name, frames) {
        return Vec::new();
    }
    let mut marks = walk.partial_marks.get(name).cloned().unwrap_or_default();
    if let Some(&first) = walk.foreign.get(name) {
        add(&mut marks, Mark { holds: Holds::Foreign(first), origin: 0, at: first.start });
    }
    marks
}

/// The mark of the name at `index` if another template may bind it: an imported template, or a
/// parent. Also returns the name, including the attribute of a module.
pub(super) fn foreign<'s>(
    walk: &mut Walk<'_, 's>,
    list: &[Token],
    index: usize,
) -> Option<(&'s str, Mark)> {
    if !has_others(walk) {
        return None;
    }
    let source = walk.source;
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let is_macro = bindings::is_macro(walk, text(index));
    let is_attribute = text(index + 1) == "." && is_macro;
    let last = if is_attribute { index + 2 } else { index };
    let mut end = index + 1;
    while text(end) == "." {
        end += 2;
    }
    // A call renders where it stands.
    if text(end) == "("
        || !(is_macro || bindings::may_be_of_others(walk, text(index), walk.stack.len()))
    {
        return None;
    }
    let at = list[index].start;
    let tag = at..list.get(last)?.end;
    let name = &source[tag.clone()];
    // One lookup for all uses of a name.
    let first = *walk.foreign.entry(name).or_insert(Span::from(tag));
    Some((name, Mark { holds: Holds::Foreign(first), origin: 0, at }))
}

/// The source of output that is rendered before it is used.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rendered {
    /// The source is not known, so the output counts as a fragment.
    Unknown,
    By(Span),
    /// By another template, which binds the name at this span.
    Foreign(Span),
}

/// The output that a mark stands for, if it was rendered earlier.
pub(super) fn rendered(mark: Mark) -> Option<Rendered> {
    match mark.holds {
        Holds::Output | Holds::Body | Holds::Rendered(None) => Some(Rendered::Unknown),
        Holds::Rendered(Some(tag)) => Some(Rendered::By(tag)),
        Holds::Foreign(name) => Some(Rendered::Foreign(name)),
        Holds::Caller | Holds::Filled | Holds::Outside(..) | Holds::Loop => None,
        Holds::Space(_) | Holds::Macro(_) => None,
    }
}

/// Handles a tag that renders templates which see the names of this one. Returns the marks of the
/// names that they use.
pub(super) fn render_others(
    walk: &mut Walk<'_, '_>,
    tag: &Range<usize>,
) -> Result<Vec<Mark>, Error> {
    let mut all = Vec::new();
    let is_in = |opener| walk.stack.iter().any(|frame| frame.kind == FrameKind::Native(opener));
    let rules = walk.rules();
    let may_be_filled = (rules.macros && (walk.caches > 0 || is_in(Opener::Macro)))
        || (rules.components && (is_in(Opener::Component) || walk.loops_carry));
    if !walk.is_marked && !may_be_filled && !has_others(walk) {
        return Ok(all);
    }
    let span = Span::from(tag.clone());
    for (name, template) in walk.others.names(span) {
        let mut marks = bindings::visible_marks(walk, &name);
        let is_import = bindings::is_macro(walk, &name);
        if is_import || bindings::may_be_of_others(walk, &name, walk.stack.len()) {
            walk.partial_marks
                .get(&name)
                .into_iter()
                .flatten()
                .for_each(|mark| add(&mut marks, *mark));
            if walk.others.inherited(&name, is_import) {
                marks.push(holds(0, None));
            }
        }
        let shown = definitions::later_mark(walk, &name, tag.start);
        shown.into_iter().for_each(|mark| add(&mut marks, mark));
        require_variation(walk, &name, &marks, tag.start, || {
            format!(
                "renders `{template}`, which uses `{name}` of this template: content that others \
                 fill in, or that was rendered before the block"
            )
        })?;
        for mark in marks {
            if let Holds::Outside(outside, level) = mark.holds {
                let outside = &walk.source[outside.range()];
                let by = By::Name(name.clone());
                definitions::record_passed_on(walk, level, (outside, tag.start), tag, &by);
            }
            if may_hold_fragment(walk, mark)
                && let Some(printer) = walk.others.printer(span, &By::Name(name.clone()))
            {
                return Err(passed_on_error(&walk.refusal, &name, tag.start, &printer));
            }
            add(&mut all, mark);
        }
    }
    Ok(all)
}

/// MiniJinja: whether a macro of another template may print a name of this one that holds a
/// fragment.
pub(super) fn is_closed_over(walk: &mut Walk<'_, '_>) -> bool {
    if !walk.rules().macros || !walk.is_marked || !has_others(walk) {
        return false;
    }
    let names = walk.others.closed_over();
    names.iter().any(|name| {
        let marks = bindings::visible_marks(walk, name);
        marks.into_iter().any(|mark| may_hold_fragment(walk, mark))
    })
}

/// MiniJinja: records that the names bound by the templates which the tag at `tag` includes may
/// have `marks`, those of the names they use of this template.
pub(super) fn record_partial_marks(walk: &mut Walk<'_, '_>, tag: &Range<usize>, marks: &[Mark]) {
    if marks.is_empty() {
        return;
    }
    for name in walk.others.binds(Span::from(tag.clone())) {
        let given = walk.partial_marks.entry(name).or_default();
        marks.iter().for_each(|mark| add(given, *mark));
    }
}

/// In a cache block, refuses to include a template whose name is not a constant, if there is a
/// value that the template must not print.
pub(super) fn includes_any(
    walk: &mut Walk<'_, '_>,
    tag: &Range<usize>,
    rest: Range<usize>,
) -> Result<(), Error> {
    let first = tokens(walk.source, rest, walk.rules()).next();
    if walk.caches == 0 || first.is_some_and(|token| token.kind == TokenKind::String) {
        return Ok(());
    }
    for (name, marks) in bindings::marked(walk) {
        if walk.source.contains(name) {
            require_variation(walk, name, &marks, tag.start, || {
                format!(
                    "includes a template whose name is known only when the page renders, and \
                     which could print `{name}`"
                )
            })?;
        }
    }
    Ok(())
}

/// Refuses marked values in a cache block around `at`, unless the block declares how its fragments
/// differ.
fn require_variation(
    walk: &mut Walk<'_, '_>,
    name: &str,
    marks: &[Mark],
    at: usize,
    what: impl Fn() -> String,
) -> Result<(), Error> {
    for mark in marks {
        if matches!(mark.holds, Holds::Outside(..)) {
            uses::check(
                walk,
                &uses::Word { name, at, next: "", first: false, is_called: false },
                &[*mark],
            )?;
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
            block.varies_on(walk.source, name) || (is_filled && varies_or_shared(block))
        };
        if let Some(block) = { blocks }.find(|block| !keeps_apart(block)) {
            return Err(foreign_content(&walk.refusal, block, at, &what()));
        }
    }
    Ok(())
}

/// Finishes the template. The parents of a child see what it set: in MiniJinja outside its blocks,
/// in Tera inside them. Other templates may import its macros.
pub(super) fn finish(walk: &mut Walk<'_, '_>) -> Result<(), Error> {
    let is_bound = walk.is_marked || walk.imports || walk.included.is_some();
    if let Some(tag) = walk.extends.clone().filter(|_| is_bound) {
        render_others(walk, &tag)?;
    }
    definitions::check_at_end(walk)
}
