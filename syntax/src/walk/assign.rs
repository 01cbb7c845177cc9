//! Assignments: the scope in which a name is bound, and its possible values after a branch.

use std::rc::Rc;

use crate::error::Error;

use super::bindings::{Binding, Scope, resolve};
use super::definitions::{Definition, merge};
use super::mark::{Holds, Mark, add};
use super::nesting::{Frame, FrameKind, Walk};
use super::uses;
use crate::dialect::Rules;
use crate::name::Name;
use crate::opener::Opener;
use crate::targets::Target;

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
