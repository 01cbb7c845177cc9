//! The generator's knowledge of the variables in scope: what they hold, and whether
//! a name certainly refers to one variable.

use std::collections::BTreeSet;

use super::set::{BindingId, BlockId};
use crate::support::Kind as Engine;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// A number or a text; blocks that print it vary on it.
    Scalar,
    /// A value that distinguishes uses of a macro: to vary on, not to print.
    Key,
    /// Earlier output; it is risky if anything but text went into it.
    Markup { risky: bool },
    /// The filled-in content of a macro: MiniJinja's `caller`, Tera's `body`.
    Body,
    /// A MiniJinja namespace with the attribute `c`.
    Space,
    /// One of these in a container.
    In(Carrier, Carried),
    /// A macro by its number.
    Macro(usize),
    /// A module with all macros that any template can use.
    Module,
}

/// The value in a [`Carrier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    Body,
    Markup,
}

/// A value that contains another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    List,
    Map,
    /// The attribute `t` of a MiniJinja namespace.
    Space,
}

impl Carrier {
    /// The carriers of an engine.
    pub(super) fn of(engine: Engine) -> &'static [Self] {
        match engine {
            Engine::MiniJinja => &[Self::List, Self::Map, Self::Space],
            Engine::Tera => &[Self::List, Self::Map],
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Variable {
    pub(super) id: BindingId,
    pub(super) holds: Holds,
    /// The scope in which the value was created; an alias has the scope of its original.
    pub(super) made: usize,
    /// It is an argument; blocks that print it vary on it if they can.
    pub(super) handed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A page, a macro, a block or a partial: it sees no variables of other units.
    Unit,
    For,
    With,
    Cache(BlockId),
    /// The filled-in content of a `call` block or of a component.
    Fills,
    /// A macro inside another construct, which sees the variables around it. MiniJinja.
    Local,
    /// A section whose variables stay set after it, if it runs. Afterwards nothing
    /// is known about such a name.
    Leaky,
    /// Leaky, and captured in a variable.
    Keeps,
}

impl Kind {
    /// Whether it runs where it is called.
    pub(super) fn runs_elsewhere(self) -> bool {
        matches!(self, Self::Fills | Self::Local)
    }
}

#[derive(Debug)]
pub(super) struct Scope {
    pub(super) kind: Kind,
    /// Scalars from outside are not printed here, because it is not known how often
    /// and for whom it runs.
    pub(super) barrier: bool,
    /// The author declared it the same for everyone, so it contains nothing risky.
    pub(super) calm: bool,
    /// The newest last; `None` for a name about which nothing is known.
    names: Vec<(String, Option<Variable>)>,
    /// Names that refer to an outer scope here.
    met: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Scopes {
    open: Vec<Scope>,
    /// Whether variables set in [`Kind::Fills`] are visible after it, as in Tera.
    fills_leak: bool,
}

impl Scopes {
    pub(super) fn new(fills_leak: bool) -> Self {
        Self { open: Vec::new(), fills_leak }
    }

    pub(super) fn open(&mut self, kind: Kind, barrier: bool, calm: bool) {
        self.open.push(Scope { kind, barrier, calm, names: Vec::new(), met: BTreeSet::new() });
    }

    pub(super) fn close(&mut self) {
        let closed = self.open.pop().unwrap();
        if closed.kind == Kind::Unit {
            return;
        }
        let Some(outer) = self.open.last_mut() else { return };
        outer.met.extend(closed.met);
        if matches!(closed.kind, Kind::Leaky | Kind::Keeps | Kind::Fills) {
            outer.names.extend(closed.names.into_iter().map(|(name, _)| (name, None)));
        }
    }

    /// The scopes of the current unit with their indexes, outermost first.
    fn unit(&self) -> impl DoubleEndedIterator<Item = (usize, &Scope)> {
        let start = self.open.iter().rposition(|scope| scope.kind == Kind::Unit).unwrap_or(0);
        self.open.iter().enumerate().skip(start)
    }

    pub(super) fn innermost(&self) -> usize {
        self.open.len() - 1
    }

    pub(super) fn unit_start(&self) -> usize {
        self.unit().next().unwrap().0
    }

    pub(super) fn kind(&self) -> Kind {
        self.open.last().unwrap().kind
    }

    pub(super) fn within(&self, is: impl Fn(Kind) -> bool) -> bool {
        self.unit().any(|(_, scope)| is(scope.kind))
    }

    /// Whether values from outside all scopes may be printed.
    pub(super) fn free(&self) -> bool {
        self.open.iter().all(|scope| !scope.barrier)
    }

    /// The outermost scope that the author declared the same for all.
    pub(super) fn calm(&self) -> Option<usize> {
        self.unit().find(|(_, scope)| scope.calm).map(|(at, _)| at)
    }

    /// The cache blocks of this unit between here and the scope at `made`.
    pub(super) fn blocks_inside(&self, made: usize) -> Vec<BlockId> {
        let inside = self.unit().filter(|(at, _)| *at > made);
        inside.filter_map(|(_, scope)| block_of(scope)).collect()
    }

    /// All cache blocks that are open, in any unit.
    pub(super) fn blocks(&self) -> Vec<BlockId> {
        self.open.iter().filter_map(block_of).collect()
    }

    /// The innermost cache block whose tag can declare the data that is printed here.
    pub(super) fn declares(&self) -> Option<BlockId> {
        let inner = self.unit().rev().map(|(_, scope)| scope);
        let mut inner =
            inner.take_while(|scope| !scope.kind.runs_elsewhere() && scope.kind != Kind::Keeps);
        inner.find_map(block_of)
    }

    /// The block whose body confines a variable set here.
    pub(super) fn body_of(&self) -> Option<BlockId> {
        let leaky = |kind| match kind {
            Kind::Fills => self.fills_leak,
            kind => matches!(kind, Kind::Leaky | Kind::Keeps),
        };
        self.unit().rev().find(|(_, scope)| !leaky(scope.kind)).and_then(|(_, s)| block_of(s))
    }

    fn find(&self, name: &str) -> Option<(usize, Option<Variable>)> {
        self.unit().rev().find_map(|(at, scope)| {
            let found = scope.names.iter().rev().find(|(known, _)| known == name);
            found.map(|(_, variable)| (at, *variable))
        })
    }

    /// Whether a `set` of this name here is invisible to earlier code: in the next iteration
    /// of a loop, or where MiniJinja resolves the outer variables of a `call` block.
    pub(super) fn may_set(&self, name: &str) -> bool {
        let filled = self.within(Kind::runs_elsewhere);
        let mut met = false;
        for (_, scope) in self.unit().rev() {
            match scope.kind {
                Kind::Cache(_) if !filled => return true,
                Kind::For if !filled => return !met && !scope.met.contains(name),
                _ => met |= scope.met.contains(name),
            }
        }
        !filled || !met
    }

    pub(super) fn set(&mut self, name: &str, variable: Option<Variable>) {
        self.open.last_mut().unwrap().names.push((name.to_owned(), variable));
    }

    /// Sets a variable in the outermost scope of the unit.
    pub(super) fn set_global(&mut self, name: &str, variable: Variable) {
        let start = self.unit_start();
        self.open[start].names.push((name.to_owned(), Some(variable)));
    }

    /// Whether a name refers only to scalars in the unit.
    pub(super) fn only_scalars(&self, name: &str) -> bool {
        let mut all = self.unit().flat_map(|(_, scope)| &scope.names);
        all.all(|(known, variable)| {
            known != name || variable.is_some_and(|variable| variable.holds == Holds::Scalar)
        })
    }

    /// The scope of the innermost loop, if its `loop` is visible here.
    pub(super) fn in_loop(&self) -> Option<usize> {
        let mut inner = self.unit().rev().take_while(|(_, scope)| !scope.kind.runs_elsewhere());
        inner.find(|(_, scope)| scope.kind == Kind::For).map(|(at, _)| at)
    }

    /// Records a use of a name.
    pub(super) fn meet(&mut self, name: &str) {
        let Some((found, _)) = self.find(name) else { return };
        for scope in self.open.iter_mut().skip(found + 1) {
            scope.met.insert(name.to_owned());
        }
    }

    /// Whether the filled-in content of the enclosing macro is visible here under its own
    /// name. In a `call` block of MiniJinja, the name refers to the block's own content.
    pub(super) fn is_filled(&self, in_macro: bool) -> bool {
        let inner = self.unit().rev().map(|(_, scope)| scope.kind);
        let nearest = inner.into_iter().find(|kind| kind.runs_elsewhere());
        nearest.map_or(in_macro, |kind| kind == Kind::Local)
    }

    /// Records that a name must keep its outer meaning here.
    pub(super) fn keep(&mut self, name: &str) {
        self.open.last_mut().unwrap().met.insert(name.to_owned());
    }

    /// The variables that can be used by name, with their names.
    pub(super) fn visible(&self) -> Vec<(String, Variable)> {
        let names: BTreeSet<&String> =
            self.unit().flat_map(|(_, scope)| scope.names.iter().map(|(name, _)| name)).collect();
        let known = names.into_iter().filter_map(|name| {
            let variable = self.find(name)?.1?;
            Some((name.clone(), variable))
        });
        known.collect()
    }

    /// Whether there is no barrier between here and the scope at `made`.
    pub(super) fn printable(&self, made: usize) -> bool {
        !self.unit().any(|(at, scope)| at > made && scope.barrier)
    }

    /// Whether a careful author can print this here. A block cannot vary on content
    /// that a caller fills in.
    pub(super) fn may_print(&self, variable: &Variable) -> bool {
        let fills = matches!(variable.holds, Holds::Body | Holds::In(_, Carried::Body));
        !variable.handed || fills || self.printable(variable.made)
    }
}

fn block_of(scope: &Scope) -> Option<BlockId> {
    match scope.kind {
        Kind::Cache(id) => Some(id),
        _ => None,
    }
}
