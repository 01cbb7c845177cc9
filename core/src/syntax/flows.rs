//! What is rendered in one place and printed in another. The first half notes it while a template is
//! read: a variable that holds what a macro, a partial or another template's block printed, and a
//! value that is handed to a macro, a component or a partial with cache blocks of its own. The
//! second half decides once those are read. A cached body that prints a fragment which was rendered
//! before it would not see that the fragment is deleted.

use std::ops::Range;

use crate::error::Error;

use super::bindings::{self, Holds, Mark};
use super::follow::{Followed, Question};
use super::nesting::{FrameKind, Walk};
use super::outline::{By, Captured, Handed, Outline};
use super::refusal::Refusal;
use super::rules::{Dialect, Syntax};
use super::scanner::{PieceKind, Scanner};
use super::statement::Opener;
use super::token::{Token, TokenKind, tokens};
use super::uses::{self, Word, origin};

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

/// Notes that the name at `index` of a tag's tokens is handed on as an argument, if it is.
pub(super) fn argument(
    walk: &mut Walk<'_, '_>,
    list: &[Token],
    index: usize,
    tag: &Range<usize>,
    marks: &[Mark],
) {
    let Some(marks) = value(walk, list, index, marks) else { return };
    let (source, dialect) = (walk.source, walk.dialect());
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let (mut depth, mut commas, mut first) = (0_usize, 0, index);
    for at in (0..index).rev() {
        match list[at].kind {
            TokenKind::Close => depth += 1,
            TokenKind::Open if depth > 0 => depth -= 1,
            TokenKind::Open => {
                let by = match (text(at), dialect) {
                    ("(", Dialect::MiniJinja) if calls(source, list, at) => {
                        Some(match text(first + 1) {
                            _ if !is_found(walk, list, at) => By::Value,
                            "=" => By::Keyword(text(first).to_owned()),
                            _ => By::Position(commas),
                        })
                    }
                    ("{", Dialect::Tera) if text(at + 1) == "..." => Some(By::Spread),
                    ("{", Dialect::Tera) if at > 1 && text(at - 1) == "=" => {
                        Some(By::Keyword(text(at - 2).to_owned()))
                    }
                    _ => None,
                };
                if let Some(by) = by {
                    hand(walk, text(index), list[index].start, tag, &by, &marks);
                }
                commas = 0;
            }
            _ if depth == 0 && text(at) == "," => commas += 1,
            _ => {}
        }
        if depth == 0 && commas == 0 {
            first = at;
        }
    }
    // `<card title />` is short for `<card title={title} />`.
    let before = index.checked_sub(1).and_then(|at| list.get(at)).map(|token| token.kind);
    let is_short = matches!(before, Some(TokenKind::Word | TokenKind::String | TokenKind::Close));
    if dialect == Dialect::Tera && depth == 0 && is_short && component(source, list) {
        let by = By::Keyword(text(index).to_owned());
        hand(walk, text(index), list[index].start, tag, &by, &marks);
    }
}

/// Notes that the Tera component at `index` is an argument of another, if it is.
pub(super) fn component_argument(
    walk: &mut Walk<'_, '_>,
    list: &[Token],
    index: usize,
    tag: &Range<usize>,
) {
    let text = |at: usize| list.get(at).map_or("", |token| token.text(walk.source));
    let end = (index..list.len()).find(|&at| text(at) == "/" && text(at + 1) == ">");
    let is_inner = index > 0 && list.get(index + 1).is_some_and(|it| it.kind == TokenKind::Word);
    let Some(end) = end.filter(|_| is_inner) else { return };
    let (start, end) = (list[index].start, list[end].end);
    let mark = holds(walk, start, Some(start..end));
    argument(walk, list, index, tag, &[mark]);
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

/// Whether a Tera tag uses a component, or compares with `<`.
fn component(source: &str, list: &[Token]) -> bool {
    list.windows(2).any(|two| two[0].text(source) == "<" && two[1].kind == TokenKind::Word)
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

/// The tag at `tag` renders others that see the names of this template: an include, or a component
/// with implicit arguments.
///
/// What it prints holds what they hold, if it uses them.
pub(super) fn shows(walk: &mut Walk<'_, '_>, tag: &Range<usize>) {
    let mut names = bindings::marked(walk);
    if bindings::bound_in(walk, "body").is_none() {
        let word = Word { name: "body", at: tag.start, next: "", first: true };
        names.push(("body", origin(walk, &word)));
    }
    for (name, marks) in names {
        walk.outline.shown.entry(tag.start).or_default().push(name.to_owned());
        let by = By::Name(name.to_owned());
        hand(walk, name, tag.start, tag, &by, &marks);
    }
}

/// Notes that a name is used in a `call` block, which the macro that is called may print in a cache
/// block of its own.
pub(super) fn fills(walk: &mut Walk<'_, '_>, name: &str, at: usize, marks: &[Mark]) {
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
pub(super) fn questions(outline: &Outline<'_>) -> Vec<Question> {
    let captured = outline.captured.iter().filter_map(|it| it.rendering);
    let exposed = outline.exposed.iter().filter_map(|it| it.rendering);
    let handed = outline.handed.iter().filter_map(|it| it.rendering);
    let renderings = captured.chain(exposed).chain(handed);
    let renderings = renderings.filter_map(|it| outline.renderings.get(&it).cloned());
    let renderings = renderings.map(|tag| Question { tag, by: None });
    let handed = outline.handed.iter();
    let handed = handed.map(|it| Question { tag: it.tag.clone(), by: Some(it.by.clone()) });
    renderings.chain(handed).collect()
}

/// Whether what a variable holds may hold a fragment. `rendering` is a key of
/// [`Outline::renderings`]; without one it does, for all that is known.
pub(super) fn counts(outline: &Outline<'_>, followed: &Followed, rendering: Option<usize>) -> bool {
    let Some((start, tag)) = rendering.and_then(|it| outline.renderings.get_key_value(&it)) else {
        return true;
    };
    let Some(taken) = followed.answer(tag, None) else { return true };
    let shown = outline.shown.get(start).into_iter().flatten();
    taken.may_hold_fragments() || { shown }.any(|name| taken.names.contains_key(name))
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
    for Handed { name, at, tag, by, rendering } in &outline.handed {
        let answer = followed.answer(tag, Some(by));
        if *by == By::Value && counts(outline, followed, *rendering) {
            return Err(refusal.at(
                *at,
                format!(
                    "{} is rendered before it is handed on to what is known only when it renders, \
                     and which could print it in a cache block: call a macro by its name, or print it \
                     outside",
                    shown(refusal.source, name, *at),
                ),
            ));
        }
        let Some(printer) = answer.and_then(|taken| taken.prints.as_ref()) else { continue };
        if counts(outline, followed, *rendering) {
            return Err(refusal.at(
                *at,
                format!(
                    "{} is rendered before it is handed on, and the cache block of {} may \
                     print it: others would be served what is in it, and a deletion of what is \
                     inside would not reach the block; add it there as a vary part, or print it \
                     outside",
                    shown(refusal.source, name, *at),
                    printer.place(refusal.template),
                ),
            ));
        }
    }
    Ok(())
}

/// A name as a message has it; with brackets where it is called.
fn shown(source: &str, name: &str, at: usize) -> String {
    let is_called =
        source[at..].strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '.']));
    format!("`{name}{}`", if is_called { "…" } else { "" })
}

/// Whether one of the expressions at `parts` is the variable `name`, so that its value tells a block's
/// fragments apart.
pub(super) fn varies_on(
    source: &str,
    parts: &[Range<usize>],
    name: &str,
    dialect: Dialect,
) -> bool {
    parts.iter().any(|part| {
        let mut list = tokens(source, part.clone(), dialect);
        list.next().is_some_and(|token| token.text(source) == name) && list.next().is_none()
    })
}

/// Whether a MiniJinja source hands on the content of a `call` block as a value, in place of calling
/// it or testing whether there is one.
///
/// ```
/// use fragcache::syntax::{Syntax, hands_on_caller};
///
/// let syntax = Syntax::minijinja();
/// assert!(hands_on_caller("{% macro m() %}{{ list(caller) }}{% endmacro %}", &syntax));
/// assert!(!hands_on_caller("{% macro m() %}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}", &syntax));
/// ```
pub fn hands_on_caller(source: &str, syntax: &Syntax) -> bool {
    if memchr::memmem::find(source.as_bytes(), b"caller").is_none() || syntax.validate().is_err() {
        return false;
    }
    Scanner::new(source, syntax).any(|piece| {
        let is_tag =
            matches!(piece.kind, PieceKind::Variable | PieceKind::Block | PieceKind::LineStatement);
        is_tag && piece.closed && hands_on(source, piece.inner, syntax.dialect())
    })
}

fn hands_on(source: &str, tag: Range<usize>, dialect: Dialect) -> bool {
    let list: Vec<Token> = tokens(source, tag, dialect).collect();
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let is_test = matches!(text(0), "if" | "elif");
    let mut depth = 0_usize;
    list.iter().enumerate().any(|(at, token)| {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        let before = at.checked_sub(1).map_or("", text);
        let is_other = text(at) != "caller" || matches!(before, "." | "|" | "if");
        let is_used_up = matches!(text(at + 1), "(" | "=" | "is") || (is_test && depth == 0);
        token.kind == TokenKind::Word && !is_other && !is_used_up
    })
}
