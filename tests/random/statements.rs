//! The contents of a set's templates: text, cache blocks, and the engine's own statements.

use super::grammar::{Fills, Theme, What, Writer};
use super::scopes::{Holds, Kind as Scope, Variable};
use super::set::{Block, BlockId, Piece};
use super::values::is_held;
use crate::support::Kind;

/// Number of data items.
pub(super) const DATA: usize = 3;

/// One statement.
#[derive(Debug, Clone, Copy)]
enum Says {
    Mark,
    Data,
    Scalar,
    Cache,
    Loop,
    If,
    With,
    Set,
    SetGlobal,
    Section,
    Leave,
    Changed,
    Capture,
    Value,
    Alias,
    Body,
    Super,
    Own,
    Template,
    Call,
    Import,
    Include,
    Space,
    Change,
    Flow,
    Local,
}

impl Writer {
    fn says(&mut self, depth: usize) -> Says {
        let (minijinja, theme) = (self.engine == Kind::MiniJinja, self.theme);
        let all = theme == Theme::All;
        let macros = usize::from(!self.shared_macros().is_empty());
        let partials = usize::from(!self.partials.is_empty());
        let on = |yes: bool, weight: usize| if yes { weight } else { 0 };
        let spaces = theme.has(Theme::Spaces) || theme.has(Theme::SpaceAliases);
        let deep = usize::from(depth < 5);
        let holds = |is: fn(Holds) -> bool| {
            let visible = self.scopes.visible();
            usize::from(visible.iter().any(|(_, variable)| is(variable.holds)))
        };
        let values = holds(is_held);
        let known = holds(|holds| holds == Holds::Space);
        let inside = usize::from(self.scopes.within(|kind| matches!(kind, Scope::Cache(_))));
        let filled = self.unit.what == What::Macro && self.unit.fills != Fills::No;
        self.choices.weighted(&[
            (8, Says::Mark),
            (8 + on(theme == Theme::Captures, 8) * inside, Says::Data),
            (8 + on(theme == Theme::Sets, 12), Says::Scalar),
            (26 * deep, Says::Cache),
            (
                (5 + on(matches!(theme, Theme::SpaceAliases | Theme::Sets), 8 + 12 * inside))
                    * deep,
                Says::Loop,
            ),
            (3 * deep, Says::If),
            (
                on(minijinja, 2 + on(theme == Theme::SpaceAliases, 4 + 8 * inside)) * deep,
                Says::With,
            ),
            (on(all, 3) + on(theme == Theme::Sets, 10 + 20 * inside), Says::Set),
            (
                on(!minijinja, on(all, 2) + on(theme == Theme::Sets, 20)) * (1 - inside),
                Says::SetGlobal,
            ),
            (on(all, 3) * deep, Says::Section),
            (on(all, 1), Says::Leave),
            (on(all && minijinja, 1), Says::Changed),
            (on(theme.has(Theme::Captures), 6) * deep, Says::Capture),
            (18 * values, Says::Value),
            (4 * (values | known), Says::Alias),
            (on(filled, 18), Says::Body),
            (on(matches!(self.unit.what, What::Block(_, true)), 16), Says::Super),
            (on(theme.has(Theme::Blocks) && minijinja, 2), Says::Own),
            (
                on(theme.has(Theme::Blocks), 6) + on(theme == Theme::Blocks, 8) * deep,
                Says::Template,
            ),
            (12 * macros * deep, Says::Call),
            (on(minijinja && self.unit.what != What::Macro, 2) * macros * deep, Says::Import),
            (4 * partials, Says::Include),
            (on(spaces && minijinja, 4) + on(theme == Theme::SpaceAliases, 10), Says::Space),
            ((8 + on(theme == Theme::SpaceAliases, 50)) * known, Says::Change),
            ((on(all, 4) + on(theme == Theme::Flows, 60)) * deep, Says::Flow),
            (on(minijinja, on(all, 1) + on(theme == Theme::Flows, 6)) * deep, Says::Local),
        ])
    }

    pub(super) fn statements(&mut self, depth: usize) {
        for _ in 0..=self.choices.below(6) {
            if self.budget == 0 {
                return;
            }
            self.budget -= 1;
            if !self.statement(depth) {
                self.mark();
            }
        }
    }

    /// Writes a statement. Returns false if it is not possible here.
    fn statement(&mut self, depth: usize) -> bool {
        match self.says(depth) {
            Says::Mark => return false,
            Says::Data => return self.data(),
            Says::Scalar => return self.scalar(),
            Says::Cache => self.cache_around(|writer| writer.statements(depth + 1)),
            Says::Loop => self.for_(depth),
            Says::If => self.if_(depth),
            Says::With => self.with(depth),
            Says::Set => return self.set_scalar(),
            Says::SetGlobal => return self.set_global(),
            Says::Section => self.section(depth),
            Says::Leave if self.scopes.kind() == Scope::For => {
                let word = *self.choices.one(&["break", "continue"]);
                self.put([format!("{{% if loop.index == 2 %}}{{% {word} %}}{{% endif %}}").into()]);
            }
            Says::Leave => return false,
            Says::Changed => return self.changed(),
            Says::Capture => return self.capture(depth),
            Says::Value => return self.value(),
            Says::Alias => return self.alias(),
            Says::Body => return self.body(depth),
            Says::Super => return self.super_(),
            Says::Own => return self.own(),
            Says::Template => return self.template(),
            Says::Call => return self.call(depth),
            Says::Import => return self.import(depth),
            Says::Include => return self.include(),
            Says::Space => return self.space(),
            Says::Change => return self.change(),
            Says::Flow => return self.flow(depth),
            Says::Local => return self.local_macro(depth),
        }
        true
    }

    pub(super) fn mark(&mut self) {
        self.marks += 1;
        let text = match self.choices.below(8) {
            6 => format!(" <m{}>&amp; ", self.marks),
            7 => format!("{{# m #}}{{% raw %}}{{{{ m{} }}}}{{% endraw %}}", self.marks),
            _ => format!(" m{} ", self.marks),
        };
        self.out.push(text.into());
    }

    /// Prints an item of data in a block that declares it.
    fn data(&mut self) -> bool {
        let Some(block) = self.scopes.declares() else { return false };
        let item = self.choices.below(DATA);
        self.blocks[block.0].data.insert(item);
        self.put([Piece::Data(block, item)]);
        true
    }

    /// The values that may be printed here.
    fn printable(&mut self) -> Vec<Vec<Piece>> {
        let mut values: Vec<Vec<Piece>> = Vec::new();
        for (_, variable) in self.scopes.visible() {
            match variable.holds {
                Holds::Scalar if self.scopes.printable(variable.made) => {
                    values.push(vec![variable.id.into()]);
                }
                Holds::Space if self.scopes.printable(variable.made) => {
                    values.push(vec![variable.id.into(), ".c".into()]);
                }
                _ => {}
            }
        }
        if self.scopes.in_loop().is_some_and(|made| self.scopes.printable(made)) {
            values.push(vec!["loop.index".into()]);
        }
        if self.scopes.free() && self.unit.what == What::Page {
            values.push(vec!["who()".into()]);
            values.push(vec!["page()".into()]);
        }
        values
    }

    pub(super) fn one_printable(&mut self) -> Option<Vec<Piece>> {
        let values = self.printable();
        if values.is_empty() { None } else { Some(self.choices.one(&values).clone()) }
    }

    fn scalar(&mut self) -> bool {
        let Some(value) = self.one_printable() else { return false };
        self.print(value);
        true
    }

    pub(super) fn print(&mut self, value: Vec<Piece>) {
        self.put(["{{ ".into()]);
        self.write(value);
        self.put([" }}".into()]);
    }

    /// Writes an expression, and records the names in it.
    pub(super) fn write(&mut self, value: Vec<Piece>) {
        for piece in &value {
            if let Piece::Name(id) = piece {
                let name = self.bindings[id.0].name.clone();
                self.scopes.meet(&name);
            }
        }
        self.out.extend(value);
    }

    /// All values that distinguish renders of this place, whether they may be printed or not.
    pub(super) fn told_apart_by(&mut self) -> Vec<Vec<Piece>> {
        let mut parts: Vec<Vec<Piece>> = Vec::new();
        for (_, variable) in self.scopes.visible() {
            match variable.holds {
                Holds::Scalar | Holds::Key => parts.push(vec![variable.id.into()]),
                Holds::Space => parts.push(vec![variable.id.into(), ".c".into()]),
                Holds::Markup { .. }
                | Holds::Body
                | Holds::In(..)
                | Holds::Macro(_)
                | Holds::Module => {}
            }
        }
        if self.scopes.in_loop().is_some() {
            parts.push(vec!["loop.index".into()]);
        }
        parts.push(vec!["page()".into()]);
        parts.push(vec!["who()".into()]);
        parts
    }

    /// A cache block around the output of `write`.
    pub(super) fn cache_around(&mut self, write: impl FnOnce(&mut Self)) {
        let id = BlockId(self.blocks.len());
        let mut block = Block { lead: self.dash(), trail: self.dash(), ..Block::default() };
        let named = self.scopes.within(|kind| kind == Scope::For || kind.runs_elsewhere())
            || self.unit.what == What::Macro
            || self.choices.below(4) < 3;
        let mut opening: Vec<Piece> = vec!["cache 300".into()];
        let (mut barrier, mut calm) = (true, false);
        if named {
            opening.push(format!(", \"n{}\"", id.0).into());
            match self.choices.weighted(&[(5, 0), (6, 1), (1, 2)]) {
                0 => {}
                1 => {
                    barrier = false;
                    for part in self.told_apart_by() {
                        for piece in &part {
                            if let Piece::Name(id) = piece {
                                let name = self.bindings[id.0].name.clone();
                                self.scopes.meet(&name);
                            }
                        }
                        opening.push(", ".into());
                        opening.extend(part);
                    }
                }
                _ => {
                    calm = true;
                    opening.push(", \"z\"".into());
                }
            }
            if barrier && !calm && self.choices.chance(15) {
                block.deleted_by = Some(format!("n{}", id.0));
            }
        }
        if barrier && !calm && self.choices.chance(6) {
            (block.shared, calm) = (true, true);
        }
        block.opening = opening;
        self.blocks.push(block);
        self.risks += 1;
        // On a line of its own, which identifies it.
        self.out.extend(["\n".into(), Piece::Open(id)]);
        self.scopes.open(Scope::Cache(id), barrier, calm);
        write(self);
        self.scopes.close();
        self.out.push(Piece::Close(id));
        // Values that are the same after a miss and after a hit.
        if self.scopes.free() {
            for _ in 0..self.choices.below(4) {
                if let Some(value) = self.one_printable() {
                    self.print(value);
                }
            }
        }
    }

    /// The value of a set variable or a loop.
    pub(super) fn literal(&mut self) -> &'static str {
        ["1", "2", "\"<s>\"", "7"][self.choices.below(4)]
    }

    fn for_(&mut self, depth: usize) {
        let aliased = self.aliasable().filter(|_| self.choices.chance(70));
        let (variable, list) = match aliased {
            Some(variable) => (variable, vec!["[".into(), variable.id.into(), "]".into()]),
            None => {
                let list = *self.choices.one(&["[1, 2]", "[3]", "[4, 4]"]);
                (self.scalar_here(), vec![list.into()])
            }
        };
        let name = self.fresh_name();
        self.scopes.open(Scope::For, false, false);
        let made = if aliased.is_some() { variable.made } else { self.scopes.innermost() };
        let id = self.bind(&name, false);
        self.put(["{% for ".into(), id.into(), " in ".into()]);
        self.write(list);
        self.put([" %}".into()]);
        self.scopes.set(&name, Some(Variable { id, made, ..variable }));
        self.statements(depth + 1);
        self.scopes.close();
        self.put(["{% endfor %}".into()]);
    }

    fn scalar_here(&self) -> Variable {
        let made = self.scopes.innermost();
        Variable { id: super::set::BindingId(0), holds: Holds::Scalar, made, handed: false }
    }

    fn if_(&mut self, depth: usize) {
        self.put(["{% if ".into()]);
        match self.one_printable().filter(|_| self.choices.chance(40)) {
            Some(value) => {
                self.write(value);
                self.put([" == 1 %}".into()]);
            }
            None => self.put(["true %}".into()]),
        }
        self.scopes.open(Scope::Leaky, false, false);
        self.statements(depth + 1);
        self.scopes.close();
        if self.choices.chance(30) {
            self.put(["{% else %}".into()]);
            self.mark();
        }
        self.put(["{% endif %}".into()]);
    }

    fn with(&mut self, depth: usize) {
        let aliased = self.aliasable().filter(|_| self.choices.chance(70));
        let name = self.fresh_name();
        let literal = self.literal();
        self.scopes.open(Scope::With, false, false);
        let id = self.bind(&name, false);
        self.put(["{% with ".into(), id.into(), " = ".into()]);
        let variable = match aliased {
            Some(variable) => {
                self.write(vec![variable.id.into()]);
                Variable { id, ..variable }
            }
            None => {
                self.put([literal.into()]);
                Variable { id, ..self.scalar_here() }
            }
        };
        self.put([" %}".into()]);
        self.scopes.set(&name, Some(variable));
        self.statements(depth + 1);
        self.scopes.close();
        self.put(["{% endwith %}".into()]);
    }

    /// A name for a new variable that can be set here.
    pub(super) fn settable(&mut self) -> Option<String> {
        let name = self.fresh_name();
        self.scopes.may_set(&name).then_some(name)
    }

    fn set_scalar(&mut self) -> bool {
        let Some(name) = self.settable() else { return false };
        let literal = self.literal();
        let id = self.bind(&name, false);
        self.put(["{% set ".into(), id.into(), format!(" = {literal} %}}").into()]);
        let variable = Variable { id, ..self.scalar_here() };
        self.scopes.set(&name, Some(variable));
        true
    }

    fn set_global(&mut self) -> bool {
        let inside =
            |kind| matches!(kind, Scope::Cache(_) | Scope::Leaky | Scope::Keeps | Scope::Fills);
        let name = self.fresh_name();
        if self.scopes.within(inside) || !self.scopes.only_scalars(&name) {
            return false;
        }
        let literal = self.literal();
        let id = self.bind(&name, false);
        self.put(["{% set_global ".into(), id.into(), format!(" = {literal} %}}").into()]);
        let variable = Variable { id, made: self.scopes.unit_start(), ..self.scalar_here() };
        self.scopes.set_global(&name, variable);
        true
    }

    fn section(&mut self, depth: usize) {
        let minijinja = self.engine == Kind::MiniJinja;
        let (open, close) = match self.choices.below(2) {
            1 if minijinja => ("autoescape false", "endautoescape"),
            _ => ("filter upper", "endfilter"),
        };
        self.put([format!("{{% {open} %}}").into()]);
        self.scopes.open(Scope::Leaky, false, false);
        self.statements(depth + 1);
        self.scopes.close();
        self.put([format!("{{% {close} %}}").into()]);
    }

    fn changed(&mut self) -> bool {
        let Some(made) = self.scopes.in_loop() else { return false };
        // Captured output is the same in each iteration.
        if self.scopes.within(|kind| kind == Scope::Keeps) || !self.touch(made, true) {
            return false;
        }
        self.put(["{% if loop.changed(1) %}C{% endif %}".into()]);
        true
    }

    /// Records a use of something created in the scope at `made`. Returns whether it
    /// may be used here. If it is `risky`, the blocks in between become risky too.
    pub(super) fn touch(&mut self, made: usize, risky: bool) -> bool {
        if !risky {
            return true;
        }
        if self.scopes.calm().is_some_and(|calm| made < calm) {
            return false;
        }
        for block in self.scopes.blocks_inside(made) {
            self.blocks[block.0].risky = true;
        }
        for block in self.scopes.blocks() {
            self.blocks[block.0].doubtful = true;
        }
        self.risks += 1;
        true
    }
}
