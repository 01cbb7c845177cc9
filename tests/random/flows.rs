//! Flows of values from where they are rendered or filled in to where they are printed: through
//! variables, containers, arguments, macros inside macros, and partials.

use super::calls::Callee;
use super::grammar::{Asks, Fills, SHOWN, What, Writer};
use super::scopes::{Carried, Carrier, Holds, Kind as Scope, Variable};
use super::set::Piece;
use super::values::{is_held, is_risky};
use crate::support::Kind;

/// Where the value of a flow comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// An existing variable.
    Known,
    /// A `set` section.
    Section,
    /// The output of a macro. MiniJinja.
    Output,
    Super,
    /// MiniJinja's `self`.
    Own,
    /// The filled-in content of this macro.
    Fills,
}

/// Where the value goes.
#[derive(Debug, Clone, Copy)]
enum Sink {
    Cache,
    Argument,
    FilledIn,
    Include,
}

fn surround(before: &str, value: Vec<Piece>, after: &str) -> Vec<Piece> {
    std::iter::once(before.into()).chain(value).chain([after.into()]).collect()
}

impl Writer {
    /// An expression for the value that a variable holds or carries.
    pub(super) fn taken_out(&mut self, variable: Variable) -> (Vec<Piece>, Carried) {
        let value = vec![variable.id.into()];
        match variable.holds {
            Holds::Body => (value, Carried::Body),
            Holds::In(carrier, carried) => {
                let value = match (carrier, self.choices.below(2)) {
                    (Carrier::List, 0) => surround("", value, "[0]"),
                    (Carrier::List, _) => surround("(", value, " | first)"),
                    (Carrier::Map, 0) => surround("", value, "[\"a\"]"),
                    (Carrier::Map, _) => surround("", value, ".a"),
                    (Carrier::Space, 0) => surround("(", value, ".a)"),
                    (Carrier::Space, _) => surround("", value, ".a"),
                };
                (value, carried)
            }
            _ => (value, Carried::Markup),
        }
    }

    /// An expression that puts a value into a container.
    pub(super) fn put_into(&mut self, carrier: Carrier, value: Vec<Piece>) -> Vec<Piece> {
        match carrier {
            Carrier::List => surround("[", value, "]"),
            // Spaces separate it from the braces of a print or of a component's argument.
            Carrier::Map => surround(" {\"a\": ", value, "} "),
            Carrier::Space => surround("namespace(a=", value, ")"),
        }
    }

    /// Another expression for the same value.
    pub(super) fn wrapped(&mut self, value: Vec<Piece>, carried: Carried) -> Vec<Piece> {
        let text = carried == Carried::Markup || self.engine == Kind::Tera;
        match self.choices.weighted(&[(6, 0), (1, 1), (1, 2), (1, 3), (usize::from(text), 4)]) {
            0 => value,
            1 => surround("([", value, "] | first)"),
            2 => surround("(", value, " if true else 7)"),
            3 => surround("(", value, " or 7)"),
            _ => surround("(", value, " | upper)"),
        }
    }

    /// Sets a new variable to a container of this one's value, or to another expression for it.
    pub(super) fn carry(&mut self, name: &str, variable: Variable) {
        let (value, carried) = self.taken_out(variable);
        let value = self.wrapped(value, carried);
        let alias = match carried {
            Carried::Body => Holds::Body,
            Carried::Markup => Holds::Markup { risky: is_risky(variable.holds) },
        };
        if name == SHOWN || self.choices.chance(40) || !is_risky(variable.holds) {
            return self.set_to(name, value, Variable { holds: alias, ..variable });
        }
        let carrier = *self.choices.one(Carrier::of(self.engine));
        let like = Variable { holds: Holds::In(carrier, carried), ..variable };
        let is_another = self.bindings[variable.id.0].name != name;
        if carrier == Carrier::Space && is_another && self.choices.chance(50) {
            self.set_to(name, vec!["namespace()".into()], like);
            let Some((_, made)) = self.scopes.visible().into_iter().find(|(it, _)| it == name)
            else {
                return;
            };
            self.put(["{% set ".into(), made.id.into(), ".a = ".into()]);
            self.write(value);
            return self.put([" %}".into()]);
        }
        let value = self.put_into(carrier, value);
        self.set_to(name, value, like);
    }

    /// The name of a variable for filled-in content: sometimes the name that a partial prints.
    fn name_of_fills(&mut self, holds: Holds) -> Option<String> {
        let is_asked = self.partials.iter().any(|partial| partial.asks == Asks::Shown);
        let is_text = holds != Holds::Body || self.engine == Kind::Tera;
        let may =
            is_asked && is_text && self.scopes.body_of().is_none() && self.scopes.may_set(SHOWN);
        if may && self.choices.chance(40) { Some(SHOWN.to_owned()) } else { self.settable() }
    }

    /// Creates a value, and passes it to where it is printed.
    pub(super) fn flow(&mut self, depth: usize) -> bool {
        let Some(mut variable) = self.source(depth) else { return false };
        if self.choices.chance(40)
            && let Some(name) = self.settable()
            && self.touch(variable.made, is_risky(variable.holds))
        {
            self.carry(&name, variable);
            let carried = self.scopes.visible().into_iter().find(|(known, _)| *known == name);
            variable = carried.map_or(variable, |(_, carried)| carried);
        }
        if self.choices.chance(25) && self.detour(variable) {
            return true;
        }
        self.sink_of(depth, Some(variable))
    }

    fn source(&mut self, depth: usize) -> Option<Variable> {
        let minijinja = self.engine == Kind::MiniJinja;
        let on = |yes: bool, weight: usize| if yes { weight } else { 0 };
        let callees = self.callees();
        let outputs: Vec<Callee> =
            callees.into_iter().filter(|it| it.macro_.fills != Fills::Needed).collect();
        let is_child = matches!(self.unit.what, What::Block(_, true)) && self.sees_blocks();
        let is_filled = self.sees_body() && self.unit.fills == Fills::Needed;
        let source = self.choices.weighted(&[
            (6, Source::Section),
            (on(!self.variables(is_held).is_empty(), 6), Source::Known),
            (on(minijinja && !outputs.is_empty(), 8), Source::Output),
            (on(is_child, 8), Source::Super),
            (on(minijinja && self.numbered > 0, 4), Source::Own),
            (on(is_filled, 16), Source::Fills),
        ]);
        let start = self.scopes.unit_start();
        let (value, like) = match source {
            Source::Known => return self.one_variable(is_held),
            Source::Section => return self.section_of_one(depth),
            Source::Output => {
                let callee = self.choices.one(&outputs).clone();
                let value = self.invocation(&callee, true)?;
                (value, self.new_value(Holds::Markup { risky: true }, self.scopes.innermost()))
            }
            Source::Super | Source::Own | Source::Fills => {
                let (value, holds) = match source {
                    Source::Super => ("super()".into(), Holds::Markup { risky: true }),
                    Source::Own => (self.own_block()?.into(), Holds::Markup { risky: true }),
                    _ => {
                        self.unit.asked = true;
                        let called = minijinja && self.choices.chance(40);
                        match called {
                            true => ("caller()".into(), Holds::Markup { risky: true }),
                            false => (self.body_word().into(), Holds::Body),
                        }
                    }
                };
                self.touch(start, true).then_some(())?;
                (vec![value], self.new_value(holds, start))
            }
        };
        if matches!(source, Source::Super) && !minijinja {
            // There it is not a value.
            return self.capture_around(|writer| {
                writer.super_();
            });
        }
        let name = match source {
            Source::Fills => self.name_of_fills(like.holds)?,
            _ => self.settable()?,
        };
        self.set_to(&name, value, like);
        self.scopes.visible().into_iter().find(|(known, _)| *known == name).map(|(_, it)| it)
    }

    /// A `set` section around one rendered thing.
    fn section_of_one(&mut self, depth: usize) -> Option<Variable> {
        self.capture_around(|writer| {
            let written = match writer.choices.below(5) {
                0 => false,
                1 => writer.include(),
                2 => !writer.callees().is_empty() && writer.call(depth + 1),
                3 => writer.super_(),
                _ => writer.value(),
            };
            if !written {
                writer.cache_around(|writer| writer.statements(depth + 2));
            }
        })
    }

    /// Prints a value in a cache block of this macro, or passes it on.
    pub(super) fn sink(&mut self, depth: usize) -> bool {
        let variable = self.one_variable(is_held);
        self.sink_of(depth, variable)
    }

    fn sink_of(&mut self, depth: usize, variable: Option<Variable>) -> bool {
        let is_filled = self.sees_body() && self.unit.fills == Fills::Needed;
        let callees = self.callees();
        let (filled, others): (Vec<Callee>, Vec<Callee>) =
            callees.into_iter().partition(|callee| callee.macro_.fills != Fills::No);
        let taking: Vec<Callee> =
            others.into_iter().filter(|it| it.macro_.takes.iter().copied().any(is_held)).collect();
        let on = |yes: bool, weight: usize| if yes { weight } else { 0 };
        let sink = self.choices.weighted(&[
            (8, Sink::Cache),
            (on(!taking.is_empty(), 8), Sink::Argument),
            (on(!filled.is_empty() && variable.is_some(), 4), Sink::FilledIn),
            (on(!self.partials.is_empty(), 5), Sink::Include),
        ]);
        match sink {
            Sink::Cache => self.cache_around(|writer| {
                let printed = match variable {
                    Some(variable) => writer.print_held(variable),
                    None => is_filled && writer.body(depth + 1),
                };
                if !printed {
                    writer.mark();
                }
            }),
            Sink::Argument => {
                let callee = self.choices.one(&taking).clone();
                return self.call_of(depth, &callee);
            }
            Sink::FilledIn => {
                let callee = self.choices.one(&filled).clone();
                return self.call_of(depth, &callee);
            }
            Sink::Include => return self.include(),
        }
        true
    }

    /// A macro inside another construct, which sees the variables around it. MiniJinja.
    pub(super) fn local_macro(&mut self, depth: usize) -> bool {
        // Its name is unique: inside it, the name would refer to itself.
        self.marks += 1;
        let name = format!("l{}", self.marks);
        let fills = self.fills();
        let id = self.bind(&name, false);
        let made = self.macro_of(id.into(), &name, fills, Scope::Local, depth + 1);
        let value = self.new_value(Holds::Macro(self.macros.len()), self.scopes.innermost());
        self.macros.push(made);
        self.scopes.set(&name, Some(Variable { id, ..value }));
        true
    }
}
