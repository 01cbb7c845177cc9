//! Tracks what each name is bound to, scope by scope, as far as it matters for what a cached body
//! prints. A value that holds what others fill in, or the output of a cache block, is marked. The
//! mark follows the value, so a use in a cached body is checked against that binding. `uses.rs`
//! decides what is refused. What the source does not show is detected at run time.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use super::definitions::{self, Definition, merge};
use super::mark::{Holds, Mark, add};
use super::nesting::{Frame, FrameKind, Walk};
use super::{flows, passing, uses};
use crate::dialect::Rules;
use crate::error::Error;
use crate::name::Name;
use crate::opener::Opener;
use crate::scanner::Piece;
use crate::statement::{Role, Statement};
use crate::targets::{Effect, Target};
use crate::token::{Token, TokenKind, within};

/// The value of a name.
#[derive(Debug, Clone, Default)]
pub(super) struct Binding<'s> {
    pub(super) marks: Vec<Mark>,
    /// The macro that the name is bound to. An import has an empty definition.
    pub(super) definition: Option<Rc<Definition<'s>>>,
    /// Where the name was bound.
    pub(super) at: usize,
}

/// The names that a statement binds for its body.
#[derive(Debug, Default)]
pub(super) struct Scope<'s>(pub(super) HashMap<Name<'s>, Binding<'s>>);

impl<'s> Scope<'s> {
    /// The macros that are bound in this scope.
    pub(super) fn definitions(&self) -> impl Iterator<Item = Rc<Definition<'s>>> {
        self.0.values().filter_map(|binding| binding.definition.clone())
    }
}

/// The output of a `set` section or a macro, which becomes the value of a name.
#[derive(Debug, Default)]
pub(super) struct Section<'s> {
    targets: Vec<Target<'s>>,
    marks: Vec<Mark>,
    is_global: bool,
}

/// Resolves `name` as seen from within the first `frames` frames of the stack. Also returns the
/// number of frames up to the one that binds it; 0 is the root.
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

/// Whether another template may bind `name` as seen from within the first `frames` frames: a
/// parent, or a template that was rendered after this one bound the name.
pub(super) fn may_be_of_others(walk: &Walk<'_, '_>, name: &str, frames: usize) -> bool {
    let found = resolve(walk, name, frames);
    let (level, at) = found.map_or((0, None), |(level, binding)| (level, Some(binding.at)));
    let is_included = |last: Option<usize>| last.is_some() && last >= at;
    (level == 0 && (is_included(walk.included) || walk.extends.is_some())) || {
        walk.stack[..frames].iter().skip(level.saturating_sub(1))
    }
    .any(|frame| is_included(frame.included))
}

/// Records that a template is rendered at `at` whose assignments take effect here: in MiniJinja an
/// included template, in Tera a parent's block.
fn includes(walk: &mut Walk<'_, '_>, at: usize) {
    walk.includes = true;
    let last = walk.stack.last_mut().map_or(&mut walk.included, |frame| &mut frame.included);
    *last = Some(at);
}

/// The number of frames up to the one that binds `name`; `None` if the template does not bind it.
pub(super) fn bound_in(walk: &Walk<'_, '_>, name: &str) -> Option<usize> {
    resolve(walk, name, walk.stack.len()).map(|(level, _)| level)
}

/// Whether `name` is bound to something other than a macro or an import.
pub(super) fn is_variable(walk: &Walk<'_, '_>, name: &str) -> bool {
    let found = resolve(walk, name, walk.stack.len());
    found.is_some_and(|(_, binding)| binding.definition.is_none())
}

/// Whether `name` is bound to a macro or an import.
pub(super) fn is_macro(walk: &Walk<'_, '_>, name: &str) -> bool {
    let found = resolve(walk, name, walk.stack.len());
    found.is_some_and(|(_, binding)| binding.definition.is_some())
}

/// The marks of the value that a template rendered here sees under this name.
pub(super) fn visible_marks(walk: &Walk<'_, '_>, name: &str) -> Vec<Mark> {
    match resolve(walk, name, walk.stack.len()) {
        Some(_) => definitions::now(walk, name, walk.stack.len()),
        None if matches!(name, "caller" | "body") => uses::origin(
            walk,
            &uses::Word { name, at: 0, next: "(", first: false, is_called: true },
        ),
        None => Vec::new(),
    }
}

/// The names that have marks here, sorted, with their marks.
pub(super) fn marked<'s>(walk: &Walk<'_, 's>) -> BTreeMap<&'s str, Vec<Mark>> {
    let scopes = walk.stack.iter().map(|frame| &frame.scope).chain([&walk.root]);
    let names =
        scopes.flat_map(|scope| scope.0.keys().map(|name| name.0)).chain(["caller", "body"]);
    let marked = names.map(|name| (name, visible_marks(walk, name)));
    marked.filter(|(_, marks)| !marks.is_empty()).collect()
}

/// Reads the expression at `range` of a tag: checks its uses of names and returns the marks of its
/// value.
pub(super) fn expression(
    walk: &mut Walk<'_, '_>,
    tag: &[Token],
    range: Range<usize>,
) -> Result<Vec<Mark>, Error> {
    let (source, rules) = (walk.source, walk.rules());
    let list = within(tag, &range);
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let mut all: Vec<Mark> = Vec::new();
    let mut around = passing::Around::default();
    let calls_value = flows::calls_value(source, list);
    let (inner, through) = flows::comprehensions(walk, list, &range);
    for (at, token) in list.iter().enumerate() {
        if token.kind != TokenKind::Word {
            around.read(source, list, at);
            if rules.components && text(at) == "<" {
                passing::component_argument(walk, (list, at), &around, &range)?;
            }
            continue;
        }
        if source.as_bytes()[token.start].is_ascii_digit() {
            continue;
        }
        let before = |back: usize| at.checked_sub(back).map_or("", text);
        let (last, next, after) = (before(1), text(at + 1), text(at + 2));
        let is_test = last == "is" || (last == "not" && before(2) == "is");
        if matches!(last, "." | "?." | "|") || is_test || next == "=" {
            continue;
        }
        let is_called = flows::is_called(source, list, at);
        let word = uses::Word { name: text(at), at: token.start, next, first: at == 0, is_called };
        let everything = uses::everything(walk, &word, after)?;
        let mut marks = mention(walk, &word)?;
        marks.extend(everything);
        if inner.contains(&word.name) {
            through.iter().for_each(|mark| add(&mut marks, *mark));
        }
        uses::stateful(walk, &word, (after, text(at + 3) == "("), &marks)?;
        attribute(walk, &word, after, &mut marks);
        if is_called || calls_value {
            flows::values_called(walk, &word, &mut marks);
        }
        uses::check(walk, &word, &marks)?;
        if let Some((name, mark)) = flows::foreign(walk, list, at) {
            let mut of_others = walk.partial_marks.get(name).cloned().unwrap_or_default();
            add(&mut of_others, mark);
            uses::check(walk, &uses::Word { name, ..word }, &of_others)?;
            of_others.into_iter().for_each(|mark| add(&mut marks, mark));
        }
        passing::argument(walk, (list, at), &around, &range, &marks)?;
        passing::fills(walk, word.name, word.at, &marks)?;
        for mark in marks {
            add(&mut all, mark);
        }
    }
    if let Some(mut mark) = flows::rendering(walk, list, &range) {
        if calls_value && flows::may_call_unknown(walk, list, &all) {
            mark = flows::holds(range.start, None);
        }
        let is_super = |two: &[Token]| two[0].text(source) == "super" && two[1].text(source) == "(";
        let is_super = list.windows(2).any(is_super);
        if rules.calls_see_variables || is_super || flows::is_closed_over(walk) {
            flows::render_others(walk, &range)?.into_iter().for_each(|mark| add(&mut all, mark));
        }
        if rules.blocks_share_scope && is_super {
            includes(walk, range.start);
        }
        add(&mut all, mark);
    }
    note(walk, &all);
    Ok(all)
}

/// MiniJinja: adjusts the marks for an attribute access. An attribute may belong to any namespace
/// that has several names, and a namespace that is used as a whole may get another name. Only some
/// attributes of `loop` hold items.
fn attribute(walk: &mut Walk<'_, '_>, word: &uses::Word<'_>, after: &str, marks: &mut Vec<Mark>) {
    if word.next == "." && !marks.is_empty() {
        let is_item = word.name != "loop" || matches!(after, "previtem" | "nextitem");
        marks.retain(|mark| is_item && mark.holds != Holds::Loop);
    }
    if walk.spaces.is_empty() {
        return;
    }
    let found = resolve(walk, word.name, walk.stack.len());
    let Some((_, Binding { definition: None, .. })) = found else { return };
    match word.next {
        "." | "[" => walk.spaces.shared().iter().for_each(|mark| add(marks, *mark)),
        _ => walk.spaces.share(marks),
    }
}

/// The marks that the use of one name adds.
fn mention<'s>(walk: &mut Walk<'_, 's>, word: &uses::Word<'s>) -> Result<Vec<Mark>, Error> {
    let frames = walk.stack.len();
    let found = resolve(walk, word.name, frames);
    let level = found.map_or(0, |(level, _)| level);
    let is_bound = found.is_some();
    let (mut marks, definition) = match found {
        Some((_, binding)) => (binding.marks.clone(), binding.definition.clone()),
        None => (uses::origin(walk, word), None),
    };
    if is_bound || marks.is_empty() {
        let outside = uses::outside(walk, word, level, definition.is_some());
        outside.into_iter().for_each(|mark| add(&mut marks, mark));
        let block = uses::innermost(walk, level);
        definitions::record_outside_use(walk, level, (word.name, block), word.at);
    }
    let Some(definition) = definition else {
        let is_free = walk.rules().namespaces && !is_bound;
        if is_free && word.name == "namespace" && word.next == "(" {
            let holds = Holds::Space(walk.spaces.make());
            marks.push(Mark { holds, origin: word.at, at: word.at });
        }
        definitions::add_contents(walk, &mut marks);
        return Ok(marks);
    };
    let mut marks = definitions::call(walk, &definition, level, word.at, marks)?;
    if !word.is_called {
        // A macro that is not called renders nothing.
        marks.retain(|mark| mark.holds != Holds::Output || mark.origin < word.at);
        let number = definitions::register_value(walk, (word.name, word.at), definition, level);
        add(&mut marks, Mark { holds: Holds::Macro(number), origin: word.at, at: word.at });
    }
    Ok(marks)
}

/// Records the marks of what is printed or used in the innermost open section.
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
        // The names that a macro uses from outside are resolved at its calls, and it has its own
        // `caller`.
        let counts = !is_macro || matches!(mark.holds, Holds::Output | Holds::Filled);
        if counts && !mark.holds.is_object() {
            add(&mut section.marks, *mark);
        }
    }
}

/// Reads a statement and returns what it binds for its body.
pub(super) fn statement<'s>(
    walk: &mut Walk<'_, 's>,
    (piece, list): (&Piece, &[Token]),
    statement: &Statement<'s>,
) -> Result<Bound<'s>, Error> {
    let effect = Effect::read(walk.source, (piece, list), statement, walk.rules());
    if statement.word == "include" {
        let tag = piece.start..piece.inner.end;
        flows::includes_any(walk, &tag, statement.rest.clone())?;
        let mut marks = flows::render_others(walk, &tag)?;
        if walk.rules().includes_bind {
            flows::record_partial_marks(walk, &tag, &marks);
            includes(walk, tag.start);
        }
        add(&mut marks, flows::holds(tag.start, Some(tag)));
        note(walk, &marks);
    }
    let (mut values, mut given) = (Vec::new(), Vec::new());
    for (targets, value) in effect.assigns {
        let marks = expression(walk, list, value.clone())?;
        let is_global = statement.word == "set_global";
        if statement.role == Role::Open(Opener::Set) {
            changes(walk, &targets)?;
            return Ok(Bound { section: targets, is_global, given: marks, ..Bound::default() });
        }
        if matches!(statement.role, Role::Open(Opener::For | Opener::With)) {
            let marks = with_earlier(walk, &values, within(list, &value), marks);
            values.push((targets, marks));
        } else if statement.role == Role::Open(Opener::Call) {
            given.extend(marks);
        } else {
            let import = matches!(statement.word, "import" | "from").then(Rc::default);
            walk.imports |= import.is_some();
            assign(walk, &targets, &marks, piece.start, import.as_ref(), is_global)?;
        }
    }
    let Effect { parameters, filter, .. } = effect;
    if statement.role == Role::Open(Opener::Call) && !parameters.is_empty() {
        // The macro provides them, from its arguments and from what it renders.
        given.push(flows::holds(piece.start, Some(piece.start..piece.inner.end)));
    }
    Ok(Bound { values, parameters, given, filter, ..Bound::default() })
}

/// MiniJinja: a value in a `with` may use the variables before it. Adds the marks of those that it
/// names.
fn with_earlier(
    walk: &Walk<'_, '_>,
    earlier: &[(Vec<Target<'_>>, Vec<Mark>)],
    value: &[Token],
    mut marks: Vec<Mark>,
) -> Vec<Mark> {
    for (targets, earlier) in earlier {
        let names = |token: &Token| {
            let text = token.text(walk.source);
            targets.iter().any(|target| target.name() == text)
        };
        if value.iter().any(names) {
            earlier.iter().for_each(|mark| add(&mut marks, *mark));
        }
    }
    marks
}

/// What a statement binds for its body.
#[derive(Debug, Default)]
pub(super) struct Bound<'s> {
    values: Vec<(Vec<Target<'s>>, Vec<Mark>)>,
    parameters: Vec<(&'s str, Option<Range<usize>>)>,
    /// The marks of what parameters or filters receive, as far as known.
    given: Vec<Mark>,
    filter: Option<Range<usize>>,
    section: Vec<Target<'s>>,
    /// Tera: whether it is bound outside loops.
    is_global: bool,
}

/// Enters a statement's body. Its frame is on the stack.
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
        let is_global = bound.is_global;
        let section = |targets, marks| Some(Section { targets, marks, is_global });
        frame.section = match opener {
            // The filters of a `set` section may have marked arguments.
            Opener::Set => section(bound.section, bound.given.clone()),
            Opener::Macro => section(name.map(Target::Name).into_iter().collect(), Vec::new()),
            _ => None,
        };
    }
    for (name, default) in bound.parameters {
        let mut marks =
            default.map_or(Ok(Vec::new()), |default| expression(walk, list, default))?;
        bound.given.iter().for_each(|mark| add(&mut marks, *mark));
        if opener == Opener::Macro && name == "caller" {
            marks.push(Mark { holds: Holds::Caller, origin: at, at });
        }
        record_bound(walk, &marks);
        if let Some(frame) = walk.stack.last_mut() {
            frame.scope.0.insert(Name(name), Binding { marks, at, ..Binding::default() });
        }
    }
    for (targets, marks) in bound.values {
        if opener == Opener::For && walk.rules().loop_is_value {
            loops(walk, at, &marks);
        }
        assign(walk, &targets, &marks, at, None, false)?;
    }
    bound.filter.map_or(Ok(()), |range| expression(walk, list, range).map(drop))
}

/// MiniJinja: binds `loop`, which knows the neighbouring items and the last arguments of `changed`.
fn loops(walk: &mut Walk<'_, '_>, at: usize, items: &[Mark]) {
    let mut marks = items.to_vec();
    if walk.may_call_changed {
        marks.push(Mark { holds: Holds::Loop, origin: at, at });
    }
    // An inner `loop` hides the outer one.
    let is_needed = !marks.is_empty() || bound_in(walk, "loop").is_some();
    if let Some(frame) = walk.stack.last_mut().filter(|_| is_needed) {
        frame.scope.0.insert(Name("loop"), Binding { marks, at, ..Binding::default() });
    }
}

/// Leaves a statement's body. Its frame is off the stack.
pub(super) fn leave<'s>(walk: &mut Walk<'_, 's>, frame: Frame<'s>) -> Result<(), Error> {
    if let Some(at) = frame.included
        && !makes_scope(&frame, walk.rules(), false)
    {
        includes(walk, at);
    }
    if is_branch(&frame, walk.rules()) {
        join(walk, frame.scope);
    }
    match frame.kind {
        FrameKind::Native(Opener::If) => return Ok(()),
        FrameKind::Native(Opener::Block) => {
            walk.later.extend(frame.free);
            return Ok(());
        }
        _ => {}
    }
    if matches!(frame.kind, FrameKind::Native(Opener::For | Opener::Call)) {
        return definitions::check_later(walk, frame.free);
    }
    let Some(section) = frame.section else { return Ok(()) };
    let (mut marks, mut definition) = (section.marks, None);
    if frame.kind == FrameKind::Native(Opener::Macro) {
        let marks = std::mem::take(&mut marks);
        // A namespace that holds the macro's `caller` is reported where a block could see it.
        walk.spaces.retain(|mark| mark.holds != Holds::Caller);
        definition = Some(Rc::new(Definition { free: frame.free, marks }));
    }
    assign(walk, &section.targets, &marks, frame.at, definition.as_ref(), section.is_global)
}

/// Records that a value with `marks` is bound to a name.
pub(super) fn record_bound(walk: &mut Walk<'_, '_>, marks: &[Mark]) {
    let counts = |mark: &Mark| {
        !matches!(mark.holds, Holds::Outside(..) | Holds::Loop) && !mark.holds.is_object()
    };
    walk.is_marked |= marks.iter().any(counts);
}

/// MiniJinja: checks changes to namespaces.
pub(super) fn changes(walk: &Walk<'_, '_>, targets: &[Target<'_>]) -> Result<(), Error> {
    targets.iter().try_for_each(|target| match target {
        Target::Attribute(name, at) => uses::namespace(walk, name, *at),
        Target::Name(_) => Ok(()),
    })
}

pub(super) fn assign<'s>(
    walk: &mut Walk<'_, 's>,
    targets: &[Target<'s>],
    marks: &[Mark],
    at: usize,
    definition: Option<&Rc<Definition<'s>>>,
    is_global: bool,
) -> Result<(), Error> {
    changes(walk, targets)?;
    if !targets.is_empty() {
        record_bound(walk, marks);
    }
    for target in targets {
        let (Target::Name(name) | Target::Attribute(name, _)) = *target;
        let is_name = matches!(target, Target::Name(_));
        let frames = walk.stack.len();
        if !is_name {
            let target = resolve(walk, name, frames).map_or(&[][..], |(_, known)| &known.marks);
            let put: Vec<Mark> = marks.iter().map(|mark| Mark { at, ..*mark }).collect();
            let target = target.to_vec();
            walk.spaces.put(&target, &put);
        }
        let known = resolve(walk, name, frames);
        // Tera's `set_global` passes loops and branches.
        let is_scope = |frame: &Frame<'_>| {
            makes_scope(frame, walk.rules(), is_global)
                || (is_branch(frame, walk.rules()) && !is_global)
        };
        let scope = walk.stack.iter().rposition(is_scope);
        // If the assignment may be skipped, the name may still have its old value.
        let is_skipped = |frame: &Frame<'_>| {
            is_branch(frame, walk.rules()) || frame.kind == FrameKind::Native(Opener::For)
        };
        let may_be_skipped = walk.stack[scope.map_or(0, |at| at + 1)..].iter().any(is_skipped);
        let mut binding = match known {
            Some((_, known)) if !is_name || may_be_skipped => known.clone(),
            _ => Binding::default(),
        };
        marks.iter().for_each(|mark| add(&mut binding.marks, Mark { at, ..*mark }));
        binding.definition = merge(definition.cloned(), binding.definition);
        binding.at = if may_be_skipped { binding.at } else { at };
        // A namespace that this template does not bind is tracked in the root scope.
        let level = (!is_name).then(|| known.map_or(0, |(level, _)| level));
        let rules = walk.rules();
        if is_global {
            for frame in walk.stack.iter_mut().filter(|frame| is_branch(frame, rules)) {
                if let Some(known) = frame.scope.0.get_mut(&Name(name)) {
                    binding.marks.iter().for_each(|mark| add(&mut known.marks, *mark));
                }
            }
        }
        let scope = match (level, scope) {
            (Some(0), _) | (None, None) => &mut walk.root,
            (Some(level), _) => &mut walk.stack[level - 1].scope,
            (None, Some(at)) => &mut walk.stack[at].scope,
        };
        scope.0.insert(Name(name), binding);
    }
    Ok(())
}

/// Whether an assignment inside may be skipped. Inside the branch it counts as done. In Tera this
/// includes blocks, which a child may fill.
pub(super) fn is_branch(frame: &Frame<'_>, rules: &'static Rules) -> bool {
    match frame.kind {
        FrameKind::Native(Opener::If) => true,
        FrameKind::Native(Opener::Block) => rules.blocks_share_scope,
        _ => false,
    }
}

/// Ends a branch: its assignments join the possible values of their names.
pub(super) fn join<'s>(walk: &mut Walk<'_, 's>, branch: Scope<'s>) {
    for (Name(name), binding) in branch.0 {
        let before = resolve(walk, name, walk.stack.len()).map(|(_, known)| known.clone());
        let mut marks = before.as_ref().map_or_else(Vec::new, |known| known.marks.clone());
        binding.marks.iter().for_each(|mark| add(&mut marks, *mark));
        let known = before.as_ref().and_then(|known| known.definition.clone());
        let definition = merge(binding.definition, known);
        // The name may still have its old value.
        let at = before.as_ref().map_or(0, |known| known.at);
        let known = Binding { marks, definition, at };
        let is_scope = |frame: &Frame<'_>| {
            makes_scope(frame, walk.rules(), false) || is_branch(frame, walk.rules())
        };
        let scope = match walk.stack.iter().rposition(is_scope) {
            Some(at) => &mut walk.stack[at].scope,
            None => &mut walk.root,
        };
        scope.0.insert(Name(name), known);
    }
}

/// Whether a variable assigned inside ends with the statement.
pub(super) fn makes_scope(frame: &Frame<'_>, rules: &'static Rules, is_global: bool) -> bool {
    match frame.kind {
        FrameKind::Cache(_) => true,
        FrameKind::Native(Opener::For) => frame.is_loop() && !is_global,
        FrameKind::Native(Opener::Block) => !rules.blocks_share_scope,
        FrameKind::Native(Opener::With | Opener::Macro | Opener::Call | Opener::Component) => true,
        FrameKind::Native(
            Opener::If | Opener::Set | Opener::Autoescape | Opener::Filter | Opener::ComponentCall,
        ) => false,
    }
}

/// Handles the `else` of a statement.
pub(super) fn enter_else<'s>(walk: &mut Walk<'_, 's>, opener: Opener) {
    // The variables of a loop end with its last iteration.
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
