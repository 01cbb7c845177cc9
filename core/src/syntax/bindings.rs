//! Whose a name is: what each name is bound to, scope by scope, as far as it matters what a cached
//! body prints. A value that holds what somebody else fills in, or what a cache block rendered, is
//! marked; the mark goes wherever the value goes, and a use in a cached body is a use of *that*
//! binding. What is done about one: `uses.rs`. What cannot be seen here is noticed when it happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;

use crate::error::Error;

use super::flows;
use super::name::Name;
use super::nesting::{Frame, FrameKind, Walk};
use super::rules::Dialect;
use super::scanner::Piece;
use super::statement::{Opener, Role, Statement};
use super::targets::{Effect, Target};
use super::token::{Token, TokenKind, tokens};
use super::uses;

/// Where a marked value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The output of a cache block.
    Output,
    /// The body that a Tera component is used with.
    Body,
    /// What a `call` block fills in.
    Caller,
    /// What a child template fills in.
    Filled,
    /// What something else rendered before it was bound, which may hold a fragment: a key of
    /// [`Outline::renderings`](super::outline::Outline), or `None` if nobody knows what it was.
    Rendered(Option<usize>),
}

/// A mark on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) holds: Holds,
    /// Cache blocks that open from here on have it from outside.
    pub(super) origin: usize,
    /// Where it was bound.
    pub(super) at: usize,
}

/// Most renderings that are told apart in one value: beyond them, what it holds is not known.
const MOST_RENDERINGS: usize = 32;

/// Adds a mark to a value's: one of each kind, as the one from furthest outside is the strictest.
pub(super) fn add(marks: &mut Vec<Mark>, mut mark: Mark) {
    if matches!(mark.holds, Holds::Rendered(Some(_))) && marks.len() >= MOST_RENDERINGS {
        let is_known = |mark: &Mark| matches!(mark.holds, Holds::Rendered(Some(_)));
        let known = marks.iter().filter(|mark| is_known(mark)).map(|mark| mark.origin);
        mark.origin = known.min().map_or(mark.origin, |least| least.min(mark.origin));
        mark.holds = Holds::Rendered(None);
        marks.retain(|mark| !is_known(mark));
    }
    match marks.iter_mut().find(|known| known.holds == mark.holds) {
        Some(known) => {
            *known = Mark { origin: known.origin.min(mark.origin), ..mark };
        }
        None => marks.push(mark),
    }
}

/// What a name is bound to.
#[derive(Debug, Clone, Default)]
pub(super) struct Binding<'s> {
    pub(super) marks: Vec<Mark>,
    /// Of an import nothing more is known than that it is one.
    definition: Option<Rc<Definition<'s>>>,
}

/// A macro, as far as a call of it matters.
#[derive(Debug, Default)]
struct Definition<'s> {
    /// The names that it has from outside, with the cache block in it that uses them.
    free: BTreeMap<(&'s str, Option<usize>), usize>,
    /// What its output holds by itself.
    marks: Vec<Mark>,
}

/// The names that a statement binds for its body.
#[derive(Debug, Default)]
pub(super) struct Scope<'s> {
    bindings: HashMap<Name<'s>, Binding<'s>>,
    /// The names whose bindings have had marks.
    marked: BTreeSet<&'s str>,
}

impl<'s> Scope<'s> {
    fn bind(&mut self, name: &'s str, binding: Binding<'s>) {
        if !binding.marks.is_empty() {
            self.marked.insert(name);
        }
        self.bindings.insert(Name(name), binding);
    }
}

/// What is rendered inside a `set` section or a macro, to be known by a name.
#[derive(Debug, Default)]
pub(super) struct Section<'s> {
    targets: Vec<Target<'s>>,
    marks: Vec<Mark>,
    free: BTreeMap<(&'s str, Option<usize>), usize>,
}

/// The binding of `name` for what stands in the innermost `frames` frames, and in how many frames it
/// was made.
fn resolve<'w, 's>(
    walk: &'w Walk<'_, 's>,
    name: &'w str,
    frames: usize,
) -> Option<(usize, &'w Binding<'s>)> {
    for (at, frame) in walk.stack[..frames].iter().enumerate().rev() {
        if let Some(binding) = frame.scope.bindings.get(&Name(name)) {
            return Some((at + 1, binding));
        }
        if frame.kind == FrameKind::Native(Opener::Component) {
            return None;
        }
    }
    walk.root.bindings.get(&Name(name)).map(|binding| (0, binding))
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

/// The marked names that a template sees which is included here.
pub(super) fn marked<'s>(walk: &Walk<'_, 's>) -> Vec<(&'s str, Vec<Mark>)> {
    let isolates = |frame: &Frame<'_>| frame.kind == FrameKind::Native(Opener::Component);
    let first = walk.stack.iter().rposition(isolates);
    let root = first.is_none().then_some(&walk.root);
    let scopes = walk.stack[first.unwrap_or(0)..].iter().map(|frame| &frame.scope);
    let names: BTreeSet<&str> =
        scopes.chain(root).flat_map(|scope| &scope.marked).copied().collect();
    let marks = |name: &'s str| {
        let (_, binding) = resolve(walk, name, walk.stack.len())?;
        (!binding.marks.is_empty()).then(|| (name, binding.marks.clone()))
    };
    names.into_iter().filter_map(marks).collect()
}

/// Reads an expression: its uses, and the marks of what it is made of.
pub(super) fn expression<'s>(
    walk: &mut Walk<'_, 's>,
    range: Range<usize>,
) -> Result<Vec<Mark>, Error> {
    let (source, dialect) = (walk.source, walk.dialect());
    let list: Vec<Token> = tokens(source, range.clone(), dialect).collect();
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let mut all: Vec<Mark> = Vec::new();
    for (at, token) in list.iter().enumerate() {
        if dialect == Dialect::Tera && text(at) == "<" {
            flows::component_argument(walk, &list, at, &range);
        }
        if token.kind != TokenKind::Word {
            continue;
        }
        let before = |back: usize| at.checked_sub(back).map_or("", text);
        let is_test = before(1) == "is" || (before(1) == "not" && before(2) == "is");
        let is_keyword = text(at + 1) == "=";
        if matches!(before(1), "." | "?." | "|") || is_test || is_keyword {
            continue;
        }
        let word =
            uses::Word { name: text(at), at: token.start, next: text(at + 1), first: at == 0 };
        let called = text(at + 3) == "(";
        uses::stateful(walk, &word, (text(at + 2), called))?;
        let mut marks = mention(walk, &word)?;
        // Any variable may be a namespace that has another name as well.
        if matches!(word.next, "." | "[")
            && !walk.spilled.is_empty()
            && is_variable(walk, word.name)
        {
            walk.spilled.iter().for_each(|mark| add(&mut marks, *mark));
        }
        uses::check(walk, &word, &marks)?;
        flows::argument(walk, &list, at, &range, &marks);
        flows::fills(walk, word.name, word.at, &marks);
        for mark in marks {
            add(&mut all, mark);
        }
    }
    if let Some(mark) = flows::rendering(walk, &list, &range) {
        if dialect == Dialect::Tera {
            flows::shows(walk, &range);
        }
        add(&mut all, mark);
    }
    note(walk, &all);
    Ok(all)
}

/// What the use of one name brings.
fn mention<'s>(walk: &mut Walk<'_, 's>, word: &uses::Word<'s>) -> Result<Vec<Mark>, Error> {
    let frames = walk.stack.len();
    let found = resolve(walk, word.name, frames);
    let level = found.map_or(0, |(level, _)| level);
    let (marks, definition) = match found {
        Some((_, binding)) => (binding.marks.clone(), binding.definition.clone()),
        None => (uses::origin(walk, word), None),
    };
    if found.is_some() || marks.is_empty() {
        let block = uses::innermost(walk, level);
        for frame in &mut walk.stack[level..] {
            if frame.kind == FrameKind::Native(Opener::Macro)
                && let Some(section) = &mut frame.section
            {
                section.free.entry((word.name, block)).or_insert(word.at);
            }
        }
    }
    match definition {
        None => Ok(marks),
        Some(definition) => call(walk, &definition, level, word.at, marks),
    }
}

/// Adds what a call of a macro brings: the marks that the names it has from outside have now.
fn call<'s>(
    walk: &mut Walk<'_, 's>,
    definition: &Rc<Definition<'s>>,
    level: usize,
    at: usize,
    mut marks: Vec<Mark>,
) -> Result<Vec<Mark>, Error> {
    let mut seen: Vec<*const Definition<'s>> = Vec::new();
    let mut queue = vec![(Rc::clone(definition), level)];
    let mut used_in = Vec::new();
    while let Some((definition, level)) = queue.pop() {
        if seen.contains(&Rc::as_ptr(&definition)) {
            continue;
        }
        seen.push(Rc::as_ptr(&definition));
        // What it renders by itself is rendered where it is called.
        marks.extend(definition.marks.iter().map(|mark| match mark.holds {
            Holds::Output => Mark { origin: at, ..*mark },
            _ => *mark,
        }));
        for ((name, block), used) in &definition.free {
            let Some((level, binding)) = resolve(walk, name, level) else { continue };
            if let Some(block) = block {
                used_in.push((*block, *name, *used, binding.marks.clone()));
            }
            binding.marks.iter().for_each(|mark| add(&mut marks, *mark));
            if let Some(definition) = &binding.definition {
                queue.push((Rc::clone(definition), level));
            }
        }
    }
    for (block, name, used, marks) in used_in {
        uses::from_outside(walk, block, name, used, &marks)?;
    }
    Ok(marks)
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
    piece: &Piece,
    statement: &Statement<'s>,
) -> Result<Bound<'s>, Error> {
    let effect = Effect::of(walk.source, piece, statement, walk.dialect());
    if statement.word == "include" {
        let tag = piece.start..piece.inner.end;
        let mark = flows::holds(walk, tag.start, Some(tag.clone()));
        note(walk, &[mark]);
        flows::shows(walk, &tag);
    }
    let mut values = Vec::new();
    for (targets, value) in effect.assigns {
        let marks = expression(walk, value)?;
        if statement.role == Role::Open(Opener::Set) {
            changes(walk, &targets)?;
            return Ok(Bound { section: targets, ..Bound::default() });
        }
        if matches!(statement.role, Role::Open(Opener::For | Opener::With)) {
            values.push((targets, marks));
        } else {
            let is_global = statement.word == "set_global";
            let import = matches!(statement.word, "import" | "from").then(Rc::default);
            assign(walk, &targets, &marks, piece.start, import.as_ref(), is_global)?;
        }
    }
    Ok(Bound { values, parameters: effect.parameters, inner: effect.inner, section: Vec::new() })
}

/// What a statement binds for its body.
#[derive(Debug, Default)]
pub(super) struct Bound<'s> {
    values: Vec<(Vec<Target<'s>>, Vec<Mark>)>,
    parameters: Vec<&'s str>,
    inner: Vec<Range<usize>>,
    section: Vec<Target<'s>>,
}

/// A statement's body begins: its frame is on the stack.
pub(super) fn enter<'s>(
    walk: &mut Walk<'_, 's>,
    opener: Opener,
    name: Option<&'s str>,
    at: usize,
    bound: Bound<'s>,
) -> Result<(), Error> {
    if opener == Opener::Block {
        let rendered = flows::holds(walk, at, None);
        note(walk, &[Mark { holds: Holds::Filled, origin: 0, at }, rendered]);
    }
    if let Some(frame) = walk.stack.last_mut() {
        let section = |targets| Some(Section { targets, ..Section::default() });
        frame.section = match opener {
            Opener::Set => section(bound.section),
            Opener::Macro => section(name.map(Target::Name).into_iter().collect()),
            _ => None,
        };
        for name in bound.parameters {
            frame.scope.bind(name, Binding::default());
        }
    }
    for (targets, marks) in bound.values {
        assign(walk, &targets, &marks, at, None, false)?;
    }
    bound.inner.into_iter().try_for_each(|range| expression(walk, range).map(drop))
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
        walk.spilled.retain(|mark| mark.holds != Holds::Caller);
        definition = Some(Rc::new(Definition { free: section.free, marks }));
    }
    assign(walk, &section.targets, &marks, frame.at, definition.as_ref(), false)
}

/// MiniJinja: checks the namespaces that are changed.
fn changes(walk: &Walk<'_, '_>, targets: &[Target<'_>]) -> Result<(), Error> {
    targets.iter().try_for_each(|target| match target {
        Target::Attribute(name, at) => uses::namespace(walk, name, *at),
        Target::Name(_) => Ok(()),
    })
}

fn assign<'s>(
    walk: &mut Walk<'_, 's>,
    targets: &[Target<'s>],
    marks: &[Mark],
    at: usize,
    definition: Option<&Rc<Definition<'s>>>,
    is_global: bool,
) -> Result<(), Error> {
    changes(walk, targets)?;
    if targets.iter().any(|target| matches!(target, Target::Attribute(..))) {
        marks.iter().for_each(|mark| add(&mut walk.spilled, Mark { at, ..*mark }));
    }
    for target in targets {
        let (Target::Name(name) | Target::Attribute(name, _)) = *target;
        let is_name = matches!(target, Target::Name(_));
        let frames = walk.stack.len();
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
        binding.definition = definition.cloned().or(binding.definition);
        let level = known.map(|(level, _)| level).filter(|_| !is_name);
        let scope = match (level, scope) {
            (Some(0), _) | (None, None) => &mut walk.root,
            (Some(level), _) => &mut walk.stack[level - 1].scope,
            (None, Some(at)) => &mut walk.stack[at].scope,
        };
        scope.bind(name, binding);
    }
    Ok(())
}

/// Whether what is assigned inside may not happen; until its end it did.
fn is_branch(frame: &Frame<'_>) -> bool {
    frame.kind == FrameKind::Native(Opener::If)
}

/// A branch ends: what it assigned may be what the names are bound to now.
fn join<'s>(walk: &mut Walk<'_, 's>, branch: Scope<'s>) {
    for (Name(name), binding) in branch.bindings {
        let before = resolve(walk, name, walk.stack.len()).map(|(_, known)| known.clone());
        let mut marks = before.as_ref().map_or_else(Vec::new, |known| known.marks.clone());
        binding.marks.iter().for_each(|mark| add(&mut marks, *mark));
        let definition = binding.definition.or(before.and_then(|known| known.definition));
        let known = Binding { marks, definition };
        let is_scope =
            |frame: &Frame<'_>| makes_scope(frame, walk.dialect(), false) || is_branch(frame);
        let scope = match walk.stack.iter().rposition(is_scope) {
            Some(at) => &mut walk.stack[at].scope,
            None => &mut walk.root,
        };
        scope.bind(name, known);
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
