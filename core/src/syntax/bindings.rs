//! Whose a name is: what each name is bound to, scope by scope, as far as it matters what a cached
//! body prints. A value that holds what somebody else fills in, or what a cache block rendered, is
//! marked; the mark goes wherever the value goes, and a use in a cached body is a use of *that*
//! binding. What is done about one: `uses.rs`. What cannot be seen here is noticed when it happens.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use crate::error::Error;

use super::definitions::{self, Definition};
use super::flows;
use super::mark::{Holds, Mark, add};
use super::name::Name;
use super::nesting::{Frame, FrameKind, Walk};
use super::rules::Dialect;
use super::scanner::Piece;
use super::spaces::Space;
use super::statement::{Opener, Role, Statement};
use super::targets::{Effect, Target};
use super::token::{Token, TokenKind, within};
use super::uses;

/// What a name is bound to.
#[derive(Debug, Clone, Default)]
pub(super) struct Binding<'s> {
    pub(super) marks: Vec<Mark>,
    /// Of an import nothing more is known than that it is one.
    pub(super) definition: Option<Rc<Definition<'s>>>,
    /// Of a namespace, if it is certain that it is this one.
    space: Option<Space>,
}

/// The names that a statement binds for its body.
#[derive(Debug, Default)]
pub(super) struct Scope<'s>(HashMap<Name<'s>, Binding<'s>>);

impl<'s> Scope<'s> {
    /// The macros that are bound here.
    pub(super) fn definitions(&self) -> impl Iterator<Item = Rc<Definition<'s>>> {
        self.0.values().filter_map(|binding| binding.definition.clone())
    }
}

/// What is rendered inside a `set` section or a macro, to be known by a name.
#[derive(Debug, Default)]
pub(super) struct Section<'s> {
    targets: Vec<Target<'s>>,
    marks: Vec<Mark>,
    pub(super) free: BTreeMap<(&'s str, Option<usize>), usize>,
}

/// The binding of `name` for what stands in the innermost `frames` frames, and in how many frames it
/// was made.
pub(super) fn resolve<'w, 's>(
    walk: &'w Walk<'_, 's>,
    name: &'w str,
    frames: usize,
) -> Option<(usize, &'w Binding<'s>)> {
    for (at, frame) in walk.stack[..frames].iter().enumerate().rev() {
        if let Some(binding) = frame.scope.0.get(&Name(name)) {
            return Some((at + 1, binding));
        }
        if frame.kind == FrameKind::Native(Opener::Component) {
            return None;
        }
    }
    walk.root.0.get(&Name(name)).map(|binding| (0, binding))
}

/// In how many frames `name` was bound; `None` for a name that the template does not bind.
pub(super) fn bound_in(walk: &Walk<'_, '_>, name: &str) -> Option<usize> {
    resolve(walk, name, walk.stack.len()).map(|(level, _)| level)
}

/// Whether `name` is bound to something else than a macro's definition or an import.
pub(super) fn is_variable(walk: &Walk<'_, '_>, name: &str) -> bool {
    let found = resolve(walk, name, walk.stack.len());
    found.is_some_and(|(_, binding)| binding.definition.is_none())
}

/// Whether `name` is bound to a macro, or to an import.
pub(super) fn is_macro(walk: &Walk<'_, '_>, name: &str) -> bool {
    let found = resolve(walk, name, walk.stack.len());
    found.is_some_and(|(_, binding)| binding.definition.is_some())
}

/// The marks of what a template sees by this name that is rendered here.
pub(super) fn seen(walk: &Walk<'_, '_>, name: &str) -> Vec<Mark> {
    match resolve(walk, name, walk.stack.len()) {
        Some((_, binding)) => binding.marks.clone(),
        None if matches!(name, "caller" | "body") => {
            uses::origin(walk, &uses::Word { name, at: 0, next: "(", first: false })
        }
        None => Vec::new(),
    }
}

/// The names that are marked here, with their marks, in order.
pub(super) fn marked<'s>(walk: &Walk<'_, 's>) -> BTreeMap<&'s str, Vec<Mark>> {
    let scopes = walk.stack.iter().map(|frame| &frame.scope).chain([&walk.root]);
    let names =
        scopes.flat_map(|scope| scope.0.keys().map(|name| name.0)).chain(["caller", "body"]);
    let marked = names.map(|name| (name, seen(walk, name)));
    marked.filter(|(_, marks)| !marks.is_empty()).collect()
}

/// Reads the expression at `range` of a tag: its uses, and the marks of what it is made of.
pub(super) fn expression(
    walk: &mut Walk<'_, '_>,
    tag: &[Token],
    range: Range<usize>,
) -> Result<Vec<Mark>, Error> {
    let (source, dialect) = (walk.source, walk.dialect());
    let list = within(tag, &range);
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let mut all: Vec<Mark> = Vec::new();
    let mut around = flows::Around::default();
    for (at, token) in list.iter().enumerate() {
        if token.kind != TokenKind::Word {
            around.read(source, list, at);
            if dialect == Dialect::Tera && text(at) == "<" {
                flows::component_argument(walk, (list, at), &around, &range)?;
            }
            continue;
        }
        let before = |back: usize| at.checked_sub(back).map_or("", text);
        let (last, next, after) = (before(1), text(at + 1), text(at + 2));
        let is_test = last == "is" || (last == "not" && before(2) == "is");
        if matches!(last, "." | "?." | "|") || is_test || next == "=" {
            continue;
        }
        let word = uses::Word { name: text(at), at: token.start, next, first: at == 0 };
        uses::everything(walk, &word, after)?;
        let mut marks = mention(walk, &word)?;
        uses::stateful(walk, &word, (after, text(at + 3) == "("), &marks)?;
        attribute(walk, &word, &mut marks);
        uses::check(walk, &word, &marks)?;
        if let Some((name, mark)) = flows::foreign(walk, list, at) {
            uses::check(walk, &uses::Word { name, ..word }, &[mark])?;
            add(&mut marks, mark);
        }
        flows::argument(walk, (list, at), &around, &range, &marks)?;
        flows::fills(walk, word.name, word.at, &marks)?;
        for mark in marks {
            add(&mut all, mark);
        }
    }
    if let Some(mark) = flows::rendering(walk, list, &range) {
        let is_super = |two: &[Token]| two[0].text(source) == "super" && two[1].text(source) == "(";
        if dialect == Dialect::Tera || list.windows(2).any(is_super) {
            flows::shows(walk, &range)?.into_iter().for_each(|mark| add(&mut all, mark));
        }
        add(&mut all, mark);
    }
    note(walk, &all);
    Ok(all)
}

/// MiniJinja: an attribute may be of any namespace with several names; and one that is used as a whole
/// may get another.
fn attribute(walk: &mut Walk<'_, '_>, word: &uses::Word<'_>, marks: &mut Vec<Mark>) {
    if walk.spaces.is_empty() {
        return;
    }
    let found = resolve(walk, word.name, walk.stack.len());
    let Some((_, Binding { definition: None, space, .. })) = found else { return };
    match (word.next, *space) {
        ("." | "[", _) => walk.spaces.shared().iter().for_each(|mark| add(marks, *mark)),
        (_, Some(space)) => walk.spaces.share(space),
        _ => {}
    }
}

/// What the use of one name brings.
fn mention<'s>(walk: &mut Walk<'_, 's>, word: &uses::Word<'s>) -> Result<Vec<Mark>, Error> {
    let frames = walk.stack.len();
    let found = resolve(walk, word.name, frames);
    let level = found.map_or(0, |(level, _)| level);
    let (mut marks, definition) = match found {
        Some((_, binding)) => (binding.marks.clone(), binding.definition.clone()),
        None => (uses::origin(walk, word), None),
    };
    if found.is_some() || marks.is_empty() {
        if definition.is_none() {
            uses::outside(walk, word, level).into_iter().for_each(|mark| add(&mut marks, mark));
        }
        let block = uses::innermost(walk, level);
        definitions::has_from_outside(&mut walk.stack[level..], word.name, block, word.at);
    }
    match definition {
        None => Ok(marks),
        Some(definition) => definitions::call(walk, &definition, level, word.at, marks),
    }
}

/// Notes what is printed or used in the section that is being rendered.
pub(super) fn note<'s>(walk: &mut Walk<'_, 's>, marks: &[Mark]) {
    if marks.is_empty() {
        return;
    }
    let section = walk.stack.iter_mut().rev().find_map(|frame| {
        let is_macro = frame.kind == FrameKind::Native(Opener::Macro);
        frame.section.as_mut().map(|section| (is_macro, section))
    });
    let Some((is_macro, section)) = section else { return };
    for mark in marks {
        // What a macro has from outside is known when it is called; its caller is its own.
        let counts = !is_macro || matches!(mark.holds, Holds::Output | Holds::Filled);
        if counts {
            add(&mut section.marks, *mark);
        }
    }
}

/// Reads a statement where it stands. What it binds for its body is handed back.
pub(super) fn statement<'s>(
    walk: &mut Walk<'_, 's>,
    (piece, list): (&Piece, &[Token]),
    statement: &Statement<'s>,
) -> Result<Bound<'s>, Error> {
    let effect = Effect::read(walk.source, (piece, list), statement, walk.dialect());
    if statement.word == "include" {
        let tag = piece.start..piece.inner.end;
        flows::includes_any(walk, &tag, statement.rest.clone())?;
        let mut marks = flows::shows(walk, &tag)?;
        add(&mut marks, flows::holds(tag.start, Some(tag)));
        note(walk, &marks);
    }
    let mut values = Vec::new();
    for (targets, value) in effect.assigns {
        let marks = expression(walk, list, value.clone())?;
        if statement.role == Role::Open(Opener::Set) {
            changes(walk, &targets)?;
            return Ok(Bound { section: targets, ..Bound::default() });
        }
        if matches!(statement.role, Role::Open(Opener::For | Opener::With)) {
            values.push((targets, marks));
        } else {
            let is_global = statement.word == "set_global";
            let import = matches!(statement.word, "import" | "from").then(Rc::default);
            walk.imports |= import.is_some();
            let is_space = walk.dialect() == Dialect::MiniJinja
                && makes_space(walk.source, within(list, &value));
            let space = is_space.then(|| walk.spaces.make());
            let made = Made { definition: import, space };
            assign(walk, &targets, &marks, piece.start, &made, is_global)?;
        }
    }
    Ok(Bound { values, parameters: effect.parameters, filter: effect.filter, section: Vec::new() })
}

/// What a statement binds for its body.
#[derive(Debug, Default)]
pub(super) struct Bound<'s> {
    values: Vec<(Vec<Target<'s>>, Vec<Mark>)>,
    parameters: Vec<(&'s str, Option<Range<usize>>)>,
    filter: Option<Range<usize>>,
    section: Vec<Target<'s>>,
}

/// A statement's body begins: its frame is on the stack.
pub(super) fn enter<'s>(
    walk: &mut Walk<'_, 's>,
    opener: Opener,
    name: Option<&'s str>,
    (at, list): (usize, &[Token]),
    bound: Bound<'s>,
) -> Result<(), Error> {
    if opener == Opener::Block {
        let rendered = flows::holds(at, None);
        note(walk, &[Mark { holds: Holds::Filled, origin: 0, at }, rendered]);
    }
    if let Some(frame) = walk.stack.last_mut() {
        let section = |targets| Some(Section { targets, ..Section::default() });
        frame.section = match opener {
            Opener::Set => section(bound.section),
            Opener::Macro => section(name.map(Target::Name).into_iter().collect()),
            _ => None,
        };
    }
    for (name, default) in bound.parameters {
        let marks = default.map_or(Ok(Vec::new()), |default| expression(walk, list, default))?;
        notice(walk, &marks);
        if let Some(frame) = walk.stack.last_mut() {
            frame.scope.0.insert(Name(name), Binding { marks, ..Binding::default() });
        }
    }
    for (targets, marks) in bound.values {
        assign(walk, &targets, &marks, at, &Made::default(), false)?;
    }
    bound.filter.map_or(Ok(()), |range| expression(walk, list, range).map(drop))
}

/// A statement's body ends: its frame is off the stack.
pub(super) fn leave<'s>(walk: &mut Walk<'_, 's>, frame: Frame<'s>) -> Result<(), Error> {
    if is_branch(&frame) {
        join(walk, frame.scope);
        return Ok(());
    }
    let Some(section) = frame.section else { return Ok(()) };
    let (mut marks, mut definition) = (section.marks, None);
    if frame.kind == FrameKind::Native(Opener::Macro) {
        let marks = std::mem::take(&mut marks);
        // A namespace that holds its caller is noticed when a block could see it.
        walk.spaces.retain(|mark| mark.holds != Holds::Caller);
        definition = Some(Rc::new(Definition { free: section.free, marks }));
    }
    let made = Made { definition, space: None };
    assign(walk, &section.targets, &marks, frame.at, &made, false)
}

/// Something is bound to what is marked so.
fn notice(walk: &mut Walk<'_, '_>, marks: &[Mark]) {
    let counts = |mark: &Mark| !matches!(mark.holds, Holds::Outside(_) | Holds::Loop);
    walk.is_marked |= marks.iter().any(counts);
}

/// MiniJinja: checks the namespaces that are changed.
fn changes(walk: &Walk<'_, '_>, targets: &[Target<'_>]) -> Result<(), Error> {
    targets.iter().try_for_each(|target| match target {
        Target::Attribute(name, at) => uses::namespace(walk, name, *at),
        Target::Name(_) => Ok(()),
    })
}

/// What is known of a value but for its marks.
#[derive(Debug, Default)]
struct Made<'s> {
    definition: Option<Rc<Definition<'s>>>,
    space: Option<Space>,
}

/// Whether a value is a namespace that is made there.
fn makes_space(source: &str, value: &[Token]) -> bool {
    let [name, open, inner @ .., last] = value else { return false };
    let mut depth = 0_isize;
    let is_one = inner.iter().all(|token| {
        depth += match token.kind {
            TokenKind::Open => 1,
            TokenKind::Close => -1,
            _ => 0,
        };
        depth >= 0
    });
    name.text(source) == "namespace"
        && open.text(source) == "("
        && last.text(source) == ")"
        && is_one
}

fn assign<'s>(
    walk: &mut Walk<'_, 's>,
    targets: &[Target<'s>],
    marks: &[Mark],
    at: usize,
    made: &Made<'s>,
    is_global: bool,
) -> Result<(), Error> {
    changes(walk, targets)?;
    if !targets.is_empty() {
        notice(walk, marks);
    }
    for target in targets {
        let (Target::Name(name) | Target::Attribute(name, _)) = *target;
        let is_name = matches!(target, Target::Name(_));
        let frames = walk.stack.len();
        if !is_name {
            let space = resolve(walk, name, frames).and_then(|(_, known)| known.space);
            walk.spaces.put(space, marks.iter().map(|mark| Mark { at, ..*mark }));
        }
        let known = resolve(walk, name, frames);
        // Tera's `set_global` goes past loops and branches.
        let is_scope = |frame: &Frame<'_>| {
            makes_scope(frame, walk.dialect(), is_global) || (is_branch(frame) && !is_global)
        };
        let scope = walk.stack.iter().rposition(is_scope);
        // It may not happen: then the name is what it was.
        let is_skipped =
            |frame: &Frame<'_>| is_branch(frame) || frame.kind == FrameKind::Native(Opener::For);
        let may_not = walk.stack[scope.map_or(0, |at| at + 1)..].iter().any(is_skipped);
        let mut binding = match known {
            Some((_, known)) if !is_name || may_not => known.clone(),
            _ => Binding::default(),
        };
        marks.iter().for_each(|mark| add(&mut binding.marks, Mark { at, ..*mark }));
        binding.definition = made.definition.clone().or(binding.definition);
        if is_name {
            binding.space = made.space.filter(|_| !may_not);
        }
        let level = known.map(|(level, _)| level).filter(|_| !is_name);
        let scope = match (level, scope) {
            (Some(0), _) | (None, None) => &mut walk.root,
            (Some(level), _) => &mut walk.stack[level - 1].scope,
            (None, Some(at)) => &mut walk.stack[at].scope,
        };
        scope.0.insert(Name(name), binding);
    }
    Ok(())
}

/// Whether what is assigned inside may not happen; until its end it did.
fn is_branch(frame: &Frame<'_>) -> bool {
    frame.kind == FrameKind::Native(Opener::If)
}

/// A branch ends: what it assigned may be what the names are bound to now.
fn join<'s>(walk: &mut Walk<'_, 's>, branch: Scope<'s>) {
    for (Name(name), binding) in branch.0 {
        let before = resolve(walk, name, walk.stack.len()).map(|(_, known)| known.clone());
        let mut marks = before.as_ref().map_or_else(Vec::new, |known| known.marks.clone());
        binding.marks.iter().for_each(|mark| add(&mut marks, *mark));
        let other = before.as_ref().map_or(binding.space, |known| known.space);
        let space = binding.space.filter(|space| other == Some(*space));
        let definition = binding.definition.or(before.and_then(|known| known.definition));
        let known = Binding { marks, definition, space };
        let is_scope =
            |frame: &Frame<'_>| makes_scope(frame, walk.dialect(), false) || is_branch(frame);
        let scope = match walk.stack.iter().rposition(is_scope) {
            Some(at) => &mut walk.stack[at].scope,
            None => &mut walk.root,
        };
        scope.0.insert(Name(name), known);
    }
}

/// Whether what is assigned inside is gone after it.
fn makes_scope(frame: &Frame<'_>, dialect: Dialect, is_global: bool) -> bool {
    match (frame.kind, dialect) {
        (FrameKind::Cache(_), _) => true,
        (FrameKind::Native(Opener::For), _) => frame.is_loop() && !is_global,
        (FrameKind::Native(opener), Dialect::MiniJinja) => {
            matches!(opener, Opener::With | Opener::Block | Opener::Macro | Opener::Call)
        }
        (FrameKind::Native(opener), Dialect::Tera) => opener == Opener::Component,
    }
}

/// The `else` of a statement begins.
pub(super) fn divide<'s>(walk: &mut Walk<'_, 's>, opener: Opener) {
    // What a loop bound is gone with its last round.
    let Some(bound) = walk.stack.last_mut().map(|frame| std::mem::take(&mut frame.scope)) else {
        return;
    };
    if opener == Opener::If
        && let Some(branch) = walk.stack.pop()
    {
        join(walk, bound);
        walk.stack.push(branch);
    }
}
