//! Indirect ways from output or filled-in content to a cache block: through a loop,
//! a `call` block, a closure or an earlier iteration.

use super::grammar::Writer;
use super::scopes::{Carried, Holds, Kind as Scope, Variable};
use super::set::Piece;
use super::values::is_risky;
use crate::support::Kind;

#[derive(Debug, Clone, Copy)]
enum Detour {
    /// The argument of a `set` section's filter.
    Filter,
    /// MiniJinja: the previous or next item of the loop.
    Neighbour,
    /// MiniJinja: the parameter of a `call` block.
    Given,
    /// MiniJinja: a macro that prints it, passed to another.
    Closure,
    /// MiniJinja: the second variable of a `with`.
    With,
    /// A value from an earlier iteration: in a namespace, or through Tera's `set_global`.
    Round,
    /// Tera: a `set_global` section in a loop.
    Global,
}

impl Writer {
    /// Passes the value of a variable to a cache block by an indirect way.
    pub(super) fn detour(&mut self, variable: Variable) -> bool {
        let is_new = !variable.handed && self.scopes.may_print(&variable);
        if !is_new || !self.touch(variable.made, is_risky(variable.holds)) {
            return false;
        }
        let (mut value, carried) = self.taken_out(variable);
        if carried == Carried::Body && self.engine == Kind::MiniJinja {
            value.push("()".into());
        }
        let number = self.bindings.len();
        let in_cache = !self.scopes.blocks().is_empty();
        let detours: &[Detour] = match self.engine {
            Kind::MiniJinja => &[
                Detour::Filter,
                Detour::Neighbour,
                Detour::Given,
                Detour::Closure,
                Detour::With,
                Detour::Round,
            ],
            Kind::Tera if in_cache => &[Detour::Filter],
            Kind::Tera => &[Detour::Filter, Detour::Round, Detour::Global],
        };
        let detour = *self.choices.one(detours);
        match (detour, self.engine) {
            (Detour::Filter, engine) => {
                let Some(name) = self.settable() else { return false };
                let id = self.bind(&name, false);
                let filter = match engine {
                    Kind::MiniJinja => " | replace(\"%\", ",
                    Kind::Tera => " | replace(from=\"%\", to=",
                };
                self.put(["{% set ".into(), id.into(), filter.into()]);
                self.write(value);
                self.put([") %}(%){% endset %}".into()]);
                let holds = Holds::Markup { risky: is_risky(variable.holds) };
                let variable = Variable { id, holds, ..variable };
                self.scopes.set(&name, Some(variable));
                self.cache_around(|writer| {
                    if !writer.print_held(variable) {
                        writer.mark();
                    }
                });
            }
            (Detour::Neighbour, _) => self.around(
                ("{% for z in [", value, ", 1] %}{% if loop.last %}"),
                (Scope::For, "{{ loop.previtem }}", variable),
                "{% endif %}{% endfor %}",
            ),
            (Detour::Given, _) => self.around(
                (
                    &format!(
                        "{{% macro g{number}(v) %}}{{{{ caller(v) }}}}{{% endmacro %}}\
                         {{% call(p{number}) g{number}("
                    ),
                    value,
                    ") %}",
                ),
                (Scope::Fills, &format!("{{{{ p{number} }}}}"), variable),
                "{% endcall %}",
            ),
            (Detour::Closure, _) => self.around(
                (
                    &format!("{{% macro g{number}() %}}{{{{ "),
                    value,
                    &format!(" }}}}{{% endmacro %}}{{% macro h{number}(f) %}}"),
                ),
                (Scope::Local, "{{ f() }}", variable),
                &format!("{{% endmacro %}}{{{{ h{number}(g{number}) }}}}"),
            ),
            (Detour::With, _) => self.around(
                (&format!("{{% with v{number} = "), value, &format!(", w{number} = v{number} %}}")),
                (Scope::With, &format!("{{{{ w{number} }}}}"), variable),
                "{% endwith %}",
            ),
            (Detour::Round, Kind::MiniJinja) => {
                self.put([format!("{{% set s{number} = namespace(t=\"\") %}}").into()]);
                self.around(
                    ("{% for z in [1, 2] %}{% if loop.last %}", Vec::new(), ""),
                    (Scope::For, &format!("{{{{ s{number}.t }}}}"), variable),
                    "{% endif %}",
                );
                self.put([format!("{{% set s{number}.t = ").into()]);
                self.write(value);
                self.put([" %}{% endfor %}".into()]);
            }
            (Detour::Round, Kind::Tera) => {
                self.put([format!("{{% set s{number} = \"\" %}}").into()]);
                self.around(
                    ("{% for z in [1, 2] %}{% if loop.last %}", Vec::new(), ""),
                    (Scope::For, &format!("{{{{ s{number} }}}}"), variable),
                    "{% endif %}",
                );
                self.put([format!("{{% set_global s{number} = ").into()]);
                self.write(value);
                self.put([" %}{% endfor %}".into()]);
            }
            (Detour::Global, _) => {
                self.put([format!("{{% for z in [1] %}}{{% set_global s{number} %}}{{{{ ").into()]);
                self.write(value);
                self.put([" }}{% endset %}{% endfor %}".into()]);
                self.cached(&format!("{{{{ s{number} }}}}"), variable);
            }
        }
        true
    }

    /// Writes a statement that binds `value`, and in it a cache block that prints it
    /// under another name.
    fn around(
        &mut self,
        (before, value, after): (&str, Vec<Piece>, &str),
        (scope, print, variable): (Scope, &str, Variable),
        end: &str,
    ) {
        self.put([before.to_owned().into()]);
        self.write(value);
        self.put([after.to_owned().into()]);
        self.scopes.open(scope, scope.runs_elsewhere(), false);
        self.cached(print, variable);
        self.scopes.close();
        self.put([end.to_owned().into()]);
    }

    /// A cache block that prints the value of a variable under another name.
    fn cached(&mut self, print: &str, variable: Variable) {
        self.cache_around(|writer| match writer.touch(variable.made, is_risky(variable.holds)) {
            true => writer.put([print.to_owned().into()]),
            false => writer.mark(),
        });
    }
}
