//! What flows in a set's templates: what is rendered before, what callers and children fill in,
//! namespaces, and their other names.

use super::grammar::{Asks, Fills, SHOWN, Theme, What, Writer};
use super::scopes::{Holds, Kind as Scope, Variable};
use super::set::Piece;
use crate::support::Kind;

/// Whether a cached body that was not there when it was made may not use it unnoticed.
fn is_risky(holds: Holds) -> bool {
    !matches!(holds, Holds::Scalar | Holds::Key | Holds::Macro(_) | Holds::Markup { risky: false })
}

impl Writer {
    fn variables(&self, is: impl Fn(Holds) -> bool) -> Vec<Variable> {
        let visible = self.scopes.visible().into_iter();
        visible.map(|(_, variable)| variable).filter(|variable| is(variable.holds)).collect()
    }

    fn one_variable(&mut self, is: impl Fn(Holds) -> bool) -> Option<Variable> {
        let found = self.variables(is);
        if found.is_empty() { None } else { Some(*self.choices.one(&found)) }
    }

    /// A variable that may get another name here.
    pub(super) fn aliasable(&mut self) -> Option<Variable> {
        let hidden = |holds| matches!(holds, Holds::Scalar | Holds::Key | Holds::Macro(_));
        let variable = self.one_variable(|holds| !hidden(holds))?;
        self.touch(variable.made, is_risky(variable.holds)).then_some(variable)
    }

    pub(super) fn alias(&mut self) -> bool {
        let Some(name) = self.settable() else { return false };
        let Some(variable) = self.aliasable() else { return false };
        self.set_to(&name, vec![variable.id.into()], variable.holds, variable.made);
        true
    }

    fn set_to(&mut self, name: &str, value: Vec<Piece>, holds: Holds, made: usize) {
        let id = self.bind(name, false);
        self.put(["{% set ".into(), id.into(), " = ".into()]);
        self.write(value);
        self.put([" %}".into()]);
        self.scopes.set(name, Some(Variable { id, holds, made }));
    }

    /// Keeps what is rendered in a variable.
    pub(super) fn capture(&mut self, depth: usize) -> bool {
        // One that a partial prints keeps its name, so it is set where no block renames it; and
        // once, as the partial does not vary on it.
        let shown = self.unit.what == What::Page
            && !self.bindings.iter().any(|binding| binding.fixed)
            && self.scopes.body_of().is_none()
            && self.partials.iter().any(|partial| partial.asks == Asks::Shown)
            && self.choices.chance(40);
        let name = match shown {
            true => Some(SHOWN.to_owned()).filter(|name| self.scopes.may_set(name)),
            false => self.settable(),
        };
        let Some(name) = name else { return false };
        let id = self.bind(&name, shown);
        self.put(["{% set ".into(), id.into(), " %}".into()]);
        let risks = self.risks;
        self.scopes.open(Scope::Keeps, true, false);
        self.statements(depth + 1);
        self.scopes.close();
        self.put(["{% endset %}".into()]);
        let holds = Holds::Markup { risky: self.risks > risks };
        let made = self.scopes.innermost();
        self.scopes.set(&name, Some(Variable { id, holds, made }));
        true
    }

    /// Prints something that was rendered before, by a variable.
    pub(super) fn value(&mut self) -> bool {
        let found = self.one_variable(|holds| matches!(holds, Holds::Markup { .. } | Holds::Body));
        let Some(variable) = found else { return false };
        if !self.touch(variable.made, is_risky(variable.holds)) {
            return false;
        }
        let called = variable.holds == Holds::Body && self.engine == Kind::MiniJinja;
        self.print_value(vec![variable.id.into()], called);
        true
    }

    fn print_value(&mut self, mut value: Vec<Piece>, called: bool) {
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

    /// Whether what this macro is called with goes by its own name here.
    fn sees_body(&self) -> bool {
        // In a MiniJinja `call` block it would be the block's own.
        let own = self.engine == Kind::MiniJinja && self.scopes.within(|kind| kind == Scope::Fills);
        self.unit.what == What::Macro && !own
    }

    fn body_word(&self) -> &'static str {
        if self.engine == Kind::MiniJinja { "caller" } else { "body" }
    }

    /// Prints what the macro is called with at its end, where it has not been used.
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

    /// Uses what the macro is called with, by one way of many.
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
                self.set_to(&name, vec![word.into()], Holds::Body, made);
            }
            4 if minijinja => {
                let Some(name) = self.settable() else { return false };
                let holds = Holds::Markup { risky: true };
                self.set_to(&name, vec!["caller()".into()], holds, made);
            }
            5 => {
                let name = self.fresh_name();
                self.scopes.open(Scope::For, false, false);
                let id = self.bind(&name, false);
                self.put(["{% for ".into(), id.into(), format!(" in [{word}] %}}").into()]);
                self.scopes.set(&name, Some(Variable { id, holds: Holds::Body, made }));
                self.statements(depth + 1);
                self.scopes.close();
                self.put(["{% endfor %}".into()]);
            }
            _ => self.print_value(vec![word.into()], minijinja),
        }
        true
    }

    /// Whether blocks of other templates can be asked for here.
    fn sees_blocks(&self) -> bool {
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
                let (holds, made) = (Holds::Markup { risky: true }, self.scopes.unit_start());
                self.set_to(&name, vec!["super()".into()], holds, made);
            }
            _ => self.put(["{{ super() }}".into()]),
        }
        true
    }

    /// Prints a block by MiniJinja's `self`. Only later ones, so that none is in itself.
    pub(super) fn own(&mut self) -> bool {
        let first = match self.unit.what {
            What::Page => 0,
            What::Block(number, _) => number + 1,
            What::Macro | What::Partial => return false,
        };
        if first >= self.numbered || !self.sees_blocks() {
            return false;
        }
        if !self.touch(self.scopes.unit_start(), true) {
            return false;
        }
        let number = first + self.choices.below(self.numbered - first);
        self.put([format!("{{{{ self.b{number}() }}}}").into()]);
        true
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

    /// A macro's arguments, if there is something for each.
    fn arguments(&mut self, takes: &[Holds], constant: bool) -> Option<Vec<Vec<Piece>>> {
        let mut arguments = Vec::new();
        for &holds in takes {
            arguments.push(match holds {
                Holds::Scalar | Holds::Key => {
                    match self.one_printable().filter(|_| !constant && self.choices.chance(40)) {
                        Some(value) => value,
                        None => vec![self.literal().into()],
                    }
                }
                Holds::Body if self.sees_body() && self.unit.fills == Fills::Needed => {
                    self.touch(self.scopes.unit_start(), true).then_some(())?;
                    self.unit.asked = true;
                    vec![self.body_word().into()]
                }
                holds => {
                    let same = |other| match (holds, other) {
                        (Holds::Markup { .. }, Holds::Markup { .. }) => true,
                        (holds, other) => holds == other,
                    };
                    let variable = self.one_variable(same)?;
                    self.touch(variable.made, is_risky(variable.holds)).then_some(())?;
                    vec![variable.id.into()]
                }
            });
        }
        Some(arguments)
    }

    /// Imports a macro by another name and uses it. MiniJinja.
    pub(super) fn import(&mut self, depth: usize) -> bool {
        let Some(name) = self.settable() else { return false };
        let index = self.choices.below(self.macros.len());
        let id = self.bind(&name, false);
        let import = format!("{{% from \"lib.html\" import {} as ", self.macros[index].name);
        self.put([import.into(), id.into(), " %}".into()]);
        let made = self.scopes.innermost();
        self.scopes.set(&name, Some(Variable { id, holds: Holds::Macro(index), made }));
        self.call_by(depth, id.into(), index)
    }

    /// Uses a macro or component.
    pub(super) fn call(&mut self, depth: usize) -> bool {
        let index = self.choices.below(self.macros.len());
        let renamed = self.one_variable(|holds| matches!(holds, Holds::Macro(_)));
        if let Some(Variable { id, holds: Holds::Macro(index), .. }) = renamed {
            return self.call_by(depth, id.into(), index);
        }
        let name = self.macros[index].name.clone();
        self.call_by(depth, name.into(), index)
    }

    fn call_by(&mut self, depth: usize, by: Piece, index: usize) -> bool {
        let used = self.macros[index].clone();
        let start = self.scopes.unit_start();
        if used.risky && !self.touch(start, true) {
            return false;
        }
        let minijinja = self.engine == Kind::MiniJinja;
        let filled = match used.fills {
            Fills::No => false,
            Fills::Needed => true,
            Fills::Tested => self.choices.chance(50),
        };
        let kept =
            minijinja && !filled && self.theme.has(Theme::Captures) && self.choices.chance(15);
        let name = if kept { self.settable() } else { None };
        let Some(arguments) = self.arguments(&used.takes, name.is_some()) else { return false };
        self.marks += 1;
        // What differs from one use to another is in the key; in a macro its own key is.
        let mut key: Vec<Piece> = vec![format!("\"c{}\"", self.marks).into()];
        for part in self.told_apart_by() {
            key.push(" ~ ".into());
            key.extend(part);
        }
        let mut inside: Vec<Piece> = vec![by, "(".into()];
        if minijinja {
            inside.extend(key);
            for argument in arguments {
                inside.push(", ".into());
                inside.extend(argument);
            }
            inside.push(")".into());
        } else {
            inside = vec![format!("<{}", used.name).into()];
            let arguments = std::iter::once(key).chain(arguments);
            for (name, argument) in used.parameters.iter().zip(arguments) {
                inside.extend([" ".into(), (*name).into(), "={".into()]);
                inside.extend(argument);
                inside.push("}".into());
            }
        }
        self.risks += 1;
        match (filled, minijinja) {
            (false, true) => match name {
                Some(name) => {
                    let holds = Holds::Markup { risky: true };
                    let made = self.scopes.innermost();
                    self.set_to(&name, inside, holds, made);
                }
                None => self.print(inside),
            },
            (false, false) => {
                inside.push(" />".into());
                self.print(inside);
            }
            (true, _) => {
                self.put([if minijinja { "{% call ".into() } else { "{% ".into() }]);
                self.write(inside);
                self.put([if minijinja { " %}".into() } else { "> %}".into() }]);
                self.scopes.open(Scope::Fills, false, false);
                // For each visitor another, where that may be.
                match self.one_printable() {
                    Some(value) => self.print(value),
                    None => self.mark(),
                }
                self.statements(depth + 1);
                self.scopes.close();
                let close =
                    if minijinja { "endcall".to_owned() } else { format!("</{}>", used.name) };
                self.put([format!("{{% {close} %}}").into()]);
            }
        }
        true
    }

    pub(super) fn include(&mut self) -> bool {
        // A partial knows those before it.
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
            // A macro that does not name it is not given one.
            self.ask_for_body();
        }
        self.risks += 1;
        self.put([format!("{{% include \"{}\" %}}", partial.name).into()]);
        true
    }

    pub(super) fn space(&mut self) -> bool {
        let Some(name) = self.settable() else { return false };
        let made = self.scopes.innermost();
        let ways = if self.theme == Theme::SpaceAliases { 1 } else { 2 };
        let value = ["namespace(c=0)", "(namespace(c=0))"][self.choices.below(ways)];
        self.set_to(&name, vec![value.into()], Holds::Space, made);
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
        match self.choices.below(2) {
            0 => self.write(vec![id.into(), ".c + 1".into()]),
            _ => self.put(["5".into()]),
        }
        self.put([" %}".into()]);
        true
    }
}
