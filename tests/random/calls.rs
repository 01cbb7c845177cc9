//! Uses of macros and components: by name, with arguments, and with filled-in content.

use super::grammar::Writer;
use super::grammar::{Fills, Macro, Theme};
use super::scopes::{Carried, Holds, Kind as Scope, Variable};
use super::set::Piece;
use super::values::{is_held, is_risky};
use crate::support::Kind;

/// A macro or component and the name that it is used by.
#[derive(Debug, Clone)]
pub(super) struct Callee {
    by: Vec<Piece>,
    pub(super) macro_: Macro,
}

impl Writer {
    fn callee(&self, by: impl IntoIterator<Item = Piece>, index: usize) -> Callee {
        Callee { by: by.into_iter().collect(), macro_: self.macros[index].clone() }
    }

    /// All macros and components that can be used here, under each of their names.
    pub(super) fn callees(&self) -> Vec<Callee> {
        let shared = self.shared_macros();
        let mut found: Vec<Callee> = shared
            .iter()
            .map(|&index| self.callee([Piece::from(&*self.macros[index].name)], index))
            .collect();
        for (_, variable) in self.scopes.visible() {
            match variable.holds {
                Holds::Macro(index) => found.push(self.callee([variable.id.into()], index)),
                Holds::Module => found.extend(shared.iter().map(|&index| {
                    let member = format!(".{}", self.macros[index].name);
                    self.callee([variable.id.into(), member.into()], index)
                })),
                _ => {}
            }
        }
        found
    }

    /// Imports a macro under another name, or all macros, and uses one. MiniJinja.
    pub(super) fn import(&mut self, depth: usize) -> bool {
        let Some(name) = self.settable() else { return false };
        let index = *self.choices.one(&self.shared_macros());
        let id = self.bind(&name, false);
        let (library, macro_) = (self.file("lib"), self.macros[index].name.clone());
        let (import, holds, member) = match self.choices.below(2) {
            0 => (format!("from \"{library}\" import {macro_}"), Holds::Macro(index), None),
            _ => (format!("import \"{library}\""), Holds::Module, Some(format!(".{macro_}"))),
        };
        self.put([format!("{{% {import} as ").into(), id.into(), " %}".into()]);
        let value = self.new_value(holds, self.scopes.innermost());
        self.scopes.set(&name, Some(Variable { id, ..value }));
        let by = std::iter::once(id.into()).chain(member.map(Piece::from));
        let callee = self.callee(by, index);
        self.call_of(depth, &callee)
    }

    /// Uses a macro or component.
    pub(super) fn call(&mut self, depth: usize) -> bool {
        let callee = self.choices.one(&self.callees()).clone();
        self.call_of(depth, &callee)
    }

    /// A macro's arguments, if a value is available for each.
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
                Holds::In(carrier, carried) => {
                    let same = |other| holds == other;
                    let carrying = self.one_variable(same).filter(|_| self.choices.chance(50));
                    match carrying {
                        Some(variable) => {
                            self.touch(variable.made, true).then_some(())?;
                            vec![variable.id.into()]
                        }
                        None => {
                            let value = self.one_of(carried)?;
                            self.put_into(carrier, value)
                        }
                    }
                }
                Holds::Body => self.one_of(Carried::Body)?,
                Holds::Markup { .. } => self.one_of(Carried::Markup)?,
                holds => {
                    let variable = self.one_variable(|other| holds == other)?;
                    self.touch(variable.made, is_risky(variable.holds)).then_some(())?;
                    vec![variable.id.into()]
                }
            });
        }
        Some(arguments)
    }

    /// The filled-in content of this macro, or a variable that holds it or earlier output.
    fn one_of(&mut self, carried: Carried) -> Option<Vec<Piece>> {
        if carried == Carried::Body
            && self.sees_body()
            && self.unit.fills == Fills::Needed
            && self.choices.chance(70)
        {
            self.touch(self.scopes.unit_start(), true).then_some(())?;
            self.unit.asked = true;
            let value = vec![self.body_word().into()];
            return Some(self.wrapped(value, carried));
        }
        let variable = self.one_variable(|holds| match holds {
            Holds::Body | Holds::In(_, Carried::Body) => carried == Carried::Body,
            holds => is_held(holds) && carried == Carried::Markup,
        })?;
        self.touch(variable.made, is_risky(variable.holds)).then_some(())?;
        let (value, carried) = self.taken_out(variable);
        Some(self.wrapped(value, carried))
    }

    /// A use of a macro without filled-in content, if it may be used here.
    pub(super) fn invocation(&mut self, callee: &Callee, constant: bool) -> Option<Vec<Piece>> {
        let Callee { by, macro_ } = callee;
        if macro_.risky && !self.touch(self.scopes.unit_start(), true) {
            return None;
        }
        let arguments = self.arguments(&macro_.takes, constant)?;
        self.marks += 1;
        // The key contains all differences between uses; inside a macro also the macro's own key.
        let mut key: Vec<Piece> = vec![format!("\"c{}\"", self.marks).into()];
        for part in self.told_apart_by() {
            key.push(" ~ ".into());
            key.extend(part);
        }
        let minijinja = self.engine == Kind::MiniJinja;
        let mut inside = by.clone();
        let (open, close) = if minijinja { ("(", ")") } else { ("", "") };
        if !minijinja {
            inside = vec![format!("<{}", macro_.name).into()];
        }
        inside.push(open.into());
        let keywords = self.theme.has(Theme::Flows) && self.choices.chance(30);
        let arguments = std::iter::once(key).chain(arguments);
        for (place, (name, argument)) in macro_.parameters.iter().zip(arguments).enumerate() {
            if minijinja {
                inside.extend((place > 0).then_some(", ".into()));
                if keywords && place > 0 {
                    inside.extend([(*name).into(), "=".into()]);
                }
                inside.extend(argument);
            } else {
                inside.extend([" ".into(), (*name).into(), "={".into()]);
                inside.extend(argument);
                inside.push("}".into());
            }
        }
        inside.push(close.into());
        self.risks += 1;
        Some(inside)
    }

    pub(super) fn call_of(&mut self, depth: usize, callee: &Callee) -> bool {
        let minijinja = self.engine == Kind::MiniJinja;
        let filled = match callee.macro_.fills {
            Fills::No => false,
            Fills::Needed => true,
            Fills::Tested => self.choices.chance(50),
        };
        let kept =
            minijinja && !filled && self.theme.has(Theme::Captures) && self.choices.chance(15);
        let name = if kept { self.settable() } else { None };
        let Some(mut inside) = self.invocation(callee, name.is_some()) else { return false };
        match (filled, name) {
            (false, Some(name)) => {
                let made = self.scopes.innermost();
                let value = self.new_value(Holds::Markup { risky: true }, made);
                self.set_to(&name, inside, value);
            }
            (false, None) => {
                if !minijinja {
                    inside.push(" />".into());
                }
                self.print(inside);
            }
            (true, _) => {
                self.put([if minijinja { "{% call ".into() } else { "{% ".into() }]);
                let names = inside.iter().filter_map(|piece| match piece {
                    Piece::Name(id) => Some(self.bindings[id.0].name.clone()),
                    _ => None,
                });
                let names: Vec<String> = names.collect();
                self.write(inside);
                self.put([if minijinja { " %}".into() } else { "> %}".into() }]);
                self.scopes.open(Scope::Fills, false, false);
                // Tera evaluates the arguments last.
                names.iter().for_each(|name| self.scopes.keep(name));
                // Different for each visitor, if that is allowed here.
                match self.one_printable() {
                    Some(value) => self.print(value),
                    None => self.mark(),
                }
                if self.theme == Theme::Flows && self.choices.chance(50) {
                    self.value();
                }
                self.statements(depth + 1);
                self.scopes.close();
                let close = match minijinja {
                    true => "endcall".to_owned(),
                    false => format!("</{}>", callee.macro_.name),
                };
                self.put([format!("{{% {close} %}}").into()]);
            }
        }
        true
    }
}
