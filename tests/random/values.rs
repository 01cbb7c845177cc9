//! The values in a set's templates: captured output, content filled in by callers and children,
//! namespaces, and aliases.

use super::grammar::{Asks, Fills, SHOWN, Theme, What, Writer};
use super::scopes::{Carried, Holds, Kind as Scope, Variable};
use super::set::{BindingId, Piece};
use crate::support::Kind;

/// Whether a cached body must not use it undetected if it was created outside.
pub(super) fn is_risky(holds: Holds) -> bool {
    let safe = matches!(holds, Holds::Scalar | Holds::Key | Holds::Macro(_) | Holds::Module);
    !safe && holds != Holds::Markup { risky: false }
}

/// Whether it is captured output or filled-in content.
pub(super) fn is_held(holds: Holds) -> bool {
    matches!(holds, Holds::Markup { .. } | Holds::Body | Holds::In(..))
}

impl Writer {
    pub(super) fn variables(&self, is: impl Fn(Holds) -> bool) -> Vec<Variable> {
        let visible = self.scopes.visible().into_iter();
        visible.map(|(_, variable)| variable).filter(|variable| is(variable.holds)).collect()
    }

    pub(super) fn one_variable(&mut self, is: impl Fn(Holds) -> bool) -> Option<Variable> {
        let found = self.variables(is);
        if found.is_empty() { None } else { Some(*self.choices.one(&found)) }
    }

    /// A variable that may get an alias here.
    pub(super) fn aliasable(&mut self) -> Option<Variable> {
        let shown = |holds| is_held(holds) || holds == Holds::Space;
        let variable = self.one_variable(shown)?;
        self.touch(variable.made, is_risky(variable.holds)).then_some(variable)
    }

    pub(super) fn alias(&mut self) -> bool {
        let Some(name) = self.settable() else { return false };
        let Some(variable) = self.aliasable() else { return false };
        match self.theme.has(Theme::Flows) && is_held(variable.holds) && self.choices.chance(60) {
            true => self.carry(&name, variable),
            false => self.set_to(&name, vec![variable.id.into()], variable),
        }
        true
    }

    /// Sets a new variable that is like this one except for its name.
    pub(super) fn set_to(&mut self, name: &str, value: Vec<Piece>, like: Variable) {
        let is_own = self.bindings.get(like.id.0).is_some_and(|binding| binding.name == name);
        if is_own && self.scopes.within(Scope::runs_elsewhere) {
            // MiniJinja already resolves the name to the new variable.
            return;
        }
        let id = self.bind(name, name == SHOWN);
        self.put(["{% set ".into(), id.into(), " = ".into()]);
        self.write(value);
        self.put([" %}".into()]);
        self.scopes.set(name, Some(Variable { id, ..like }));
    }

    /// A value of captured output or filled-in content, created in the scope at `made`.
    pub(super) fn new_value(&self, holds: Holds, made: usize) -> Variable {
        Variable { id: BindingId(0), holds, made, handed: false }
    }

    pub(super) fn capture(&mut self, depth: usize) -> bool {
        self.capture_around(|writer| writer.statements(depth + 1)).is_some()
    }

    /// Captures output in a variable.
    pub(super) fn capture_around(&mut self, write: impl FnOnce(&mut Self)) -> Option<Variable> {
        // A variable that a partial prints keeps its name, so it is set where no
        // block renames it, and only once, because the partial does not vary on it.
        let shown = self.unit.what == What::Page
            && !self.bindings.iter().any(|binding| binding.fixed)
            && self.scopes.body_of().is_none()
            && self.partials.iter().any(|partial| partial.asks == Asks::Shown)
            && self.choices.chance(40);
        let name = match shown {
            true => Some(SHOWN.to_owned()).filter(|name| self.scopes.may_set(name)),
            false => self.settable(),
        };
        let name = name?;
        let id = self.bind(&name, shown);
        self.put(["{% set ".into(), id.into(), " %}".into()]);
        let risks = self.risks;
        let elsewhere = self.scopes.within(Scope::runs_elsewhere);
        self.scopes.open(Scope::Keeps, true, false);
        if elsewhere {
            // MiniJinja already resolves the name to the new variable.
            self.scopes.set(&name, None);
        }
        write(self);
        self.scopes.close();
        self.put(["{% endset %}".into()]);
        let holds = Holds::Markup { risky: self.risks > risks };
        let variable = Variable { id, ..self.new_value(holds, self.scopes.innermost()) };
        self.scopes.set(&name, Some(variable));
        Some(variable)
    }

    /// Prints captured output through a variable.
    pub(super) fn value(&mut self) -> bool {
        let Some(variable) = self.one_variable(is_held) else { return false };
        self.print_held(variable)
    }

    pub(super) fn print_held(&mut self, variable: Variable) -> bool {
        if !self.scopes.may_print(&variable) || !self.touch(variable.made, is_risky(variable.holds))
        {
            return false;
        }
        let (value, carried) = self.taken_out(variable);
        let called = carried == Carried::Body && self.engine == Kind::MiniJinja;
        self.print_value(value, called);
        true
    }

    pub(super) fn print_value(&mut self, mut value: Vec<Piece>, called: bool) {
        let form = self.choices.below(4);
        if form == 1 {
            value.insert(0, "([".into());
            value.push("] | first)".into());
        }
        if called {
            value.push("()".into());
        }
        match form {
            2 => value.push(" ~ \"\"".into()),
            3 => value.push(" | default(\"\")".into()),
            _ => {}
        }
        if form == 3 && self.engine == Kind::Tera {
            value.pop();
            value.push(" | safe".into());
        }
        self.print(value);
    }

    /// Whether this macro's filled-in content is visible here under its own name.
    pub(super) fn sees_body(&self) -> bool {
        let in_macro = self.unit.what == What::Macro;
        match self.engine {
            Kind::MiniJinja => self.scopes.is_filled(in_macro),
            Kind::Tera => in_macro,
        }
    }

    pub(super) fn body_word(&self) -> &'static str {
        if self.engine == Kind::MiniJinja { "caller" } else { "body" }
    }

    /// Prints the filled-in content at the end of a macro that has not used it.
    pub(super) fn ask_for_body(&mut self) {
        let word = self.body_word();
        self.unit.asked = true;
        match (self.unit.fills, self.engine) {
            (Fills::Tested, _) => {
                self.put([format!("{{% if {word} %}}Y{{% endif %}}").into()]);
            }
            (_, Kind::MiniJinja) => self.put(["{{ caller() }}".into()]),
            (_, Kind::Tera) => self.put(["{{ body }}".into()]),
        }
    }

    /// Uses the filled-in content in one of many ways.
    pub(super) fn body(&mut self, depth: usize) -> bool {
        if self.unit.fills == Fills::No || !self.sees_body() {
            return false;
        }
        let made = self.scopes.unit_start();
        if !self.touch(made, true) {
            return false;
        }
        self.unit.asked = true;
        let word = self.body_word();
        let minijinja = self.engine == Kind::MiniJinja;
        if self.unit.fills == Fills::Tested {
            let test = ["", " is defined"][self.choices.below(2)];
            self.put([format!("{{% if {word}{test} %}}Y{{% else %}}N{{% endif %}}").into()]);
            return true;
        }
        match self.choices.below(6) {
            1 => {
                self.put([format!("{{% if {word} %}}Y{{% endif %}}").into()]);
            }
            2 | 3 => {
                let Some(name) = self.settable() else { return false };
                let value = self.new_value(Holds::Body, made);
                self.set_to(&name, vec![word.into()], value);
            }
            4 if minijinja => {
                let Some(name) = self.settable() else { return false };
                let value = self.new_value(Holds::Markup { risky: true }, made);
                self.set_to(&name, vec!["caller()".into()], value);
            }
            5 => {
                let name = self.fresh_name();
                self.scopes.open(Scope::For, false, false);
                let id = self.bind(&name, false);
                self.put(["{% for ".into(), id.into(), format!(" in [{word}] %}}").into()]);
                let value = self.new_value(Holds::Body, made);
                self.scopes.set(&name, Some(Variable { id, ..value }));
                self.statements(depth + 1);
                self.scopes.close();
                self.put(["{% endfor %}".into()]);
            }
            _ => self.print_value(vec![word.into()], minijinja),
        }
        true
    }

    /// Whether blocks of other templates can be used here.
    pub(super) fn sees_blocks(&self) -> bool {
        !self.scopes.within(|kind| kind == Scope::Fills)
    }

    pub(super) fn super_(&mut self) -> bool {
        let What::Block(_, true) = self.unit.what else { return false };
        if !self.sees_blocks() || !self.touch(self.scopes.unit_start(), true) {
            return false;
        }
        let kept = self.theme.has(Theme::Captures) && self.choices.chance(20);
        let name = if kept { self.settable() } else { None };
        match (name, self.engine) {
            (Some(name), Kind::MiniJinja) => {
                let made = self.scopes.unit_start();
                let value = self.new_value(Holds::Markup { risky: true }, made);
                self.set_to(&name, vec!["super()".into()], value);
            }
            _ => self.put(["{{ super() }}".into()]),
        }
        true
    }

    /// Prints a block through MiniJinja's `self`. Only later blocks, so that none contains itself.
    pub(super) fn own(&mut self) -> bool {
        let Some(value) = self.own_block() else { return false };
        self.put([format!("{{{{ {value} }}}}").into()]);
        true
    }

    pub(super) fn own_block(&mut self) -> Option<String> {
        let first = match self.unit.what {
            What::Page => 0,
            What::Block(number, _) => number + 1,
            What::Macro | What::Partial => return None,
        };
        if first >= self.numbered || !self.sees_blocks() {
            return None;
        }
        if !self.touch(self.scopes.unit_start(), true) {
            return None;
        }
        let number = first + self.choices.below(self.numbered - first);
        Some(format!("self.b{number}()"))
    }

    /// A template block, which children may fill.
    pub(super) fn template(&mut self) -> bool {
        let here = matches!(self.unit.what, What::Page | What::Block(..));
        let around = |kind| matches!(kind, Scope::Fills | Scope::Keeps | Scope::For | Scope::With);
        if !here || self.scopes.within(around) || !self.touch(self.scopes.unit_start(), true) {
            return false;
        }
        let number = self.numbered;
        self.numbered += 1;
        self.block_of(number, false);
        true
    }

    pub(super) fn include(&mut self) -> bool {
        // A partial can include only earlier ones.
        if self.partials.is_empty() {
            return false;
        }
        let partial = self.choices.one(&self.partials).clone();
        match partial.asks {
            Asks::Nothing => {}
            Asks::Body => {
                if self.unit.fills != Fills::Needed || !self.sees_body() {
                    return false;
                }
            }
            Asks::Shown => {
                let visible = self.scopes.visible();
                let Some((_, shown)) = visible.iter().find(|(name, _)| name == SHOWN) else {
                    return false;
                };
                if !self.touch(shown.made, is_risky(shown.holds)) {
                    return false;
                }
                self.scopes.meet(SHOWN);
            }
        }
        if partial.risky
            && partial.asks != Asks::Shown
            && !self.touch(self.scopes.unit_start(), true)
        {
            return false;
        }
        if partial.asks == Asks::Body && self.engine == Kind::MiniJinja && !self.unit.asked {
            // A macro that does not use `caller` is not given one.
            self.ask_for_body();
        }
        self.risks += 1;
        self.put([format!("{{% include \"{}\" %}}", partial.name).into()]);
        true
    }

    pub(super) fn space(&mut self) -> bool {
        let Some(name) = self.settable() else { return false };
        let made = self.scopes.innermost();
        let ways = if self.theme == Theme::SpaceAliases { 1 } else { 3 };
        let made_by = ["namespace(c=0)", "(namespace(c=0))", "namespace(c=5)"];
        let made_by = made_by[self.choices.below(ways)];
        let value = self.new_value(Holds::Space, made);
        self.set_to(&name, vec![made_by.into()], value);
        true
    }

    pub(super) fn change(&mut self) -> bool {
        let Some(variable) = self.one_variable(|holds| holds == Holds::Space) else {
            return false;
        };
        if !self.touch(variable.made, true) {
            return false;
        }
        let id = variable.id;
        self.write(vec!["{% set ".into(), id.into(), ".c = ".into()]);
        match self.choices.below(4) {
            0 => self.write(vec![id.into(), ".c + 1".into()]),
            1 => self.put(["5".into()]),
            2 => self.put(["0".into()]),
            _ => self.write(vec![id.into(), ".c".into()]),
        }
        self.put([" %}".into()]);
        true
    }
}
