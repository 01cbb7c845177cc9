//! What is rendered in one place and printed in another: sets of templates, of which the first is
//! refused or not.

use std::sync::Arc;

use crate::syntax::{Sources, Syntax, components, rewrite_with};

struct Set<'t> {
    templates: &'t [(&'t str, &'t str)],
    /// Each component with its template.
    components: Vec<(String, &'t str)>,
}

impl Sources for Set<'_> {
    fn templates(&self, name: &str) -> Vec<Arc<str>> {
        let found = self.templates.iter().filter(|(other, _)| *other == name);
        found.map(|(_, source)| Arc::from(*source)).collect()
    }

    fn component(&self, name: &str) -> Vec<String> {
        let found = self.components.iter().filter(|(component, _)| component == name);
        found.map(|(_, template)| (*template).to_owned()).collect()
    }
}

/// The refusal of the first template of a set.
fn refusal(syntax: &Syntax, page: &str, others: &[(&str, &str)]) -> Option<String> {
    let templates: Vec<_> = std::iter::once(("page", page)).chain(others.iter().copied()).collect();
    let defined = templates.iter().flat_map(|(name, source)| {
        components(source, syntax).into_iter().map(|component| (component, *name))
    });
    let set = Set { templates: &templates, components: defined.collect() };
    rewrite_with("page", page, syntax, &set).err().map(|error| error.to_string())
}

fn check(syntax: &Syntax, rows: &[(Option<&str>, &str)], others: &[(&str, &str)]) {
    for (expected, page) in rows {
        match (expected, refusal(syntax, page, others)) {
            (None, None) => {}
            (Some(expected), Some(found)) if found.contains(expected) => {}
            (_, found) => panic!("{page}\n{found:?}"),
        }
    }
}

const BEFORE: Option<&str> = Some("is rendered before it");
const HANDED: Option<&str> = Some("is rendered before it is handed on");
const VALUE: Option<&str> = Some("handed on to what is known only when it renders");
const ANOTHERS: Option<&str> = Some("one's content would be served to another");

const MACROS: &str = "\
    {% macro c() %}{% cache 300, 'c' %}{{ n }}{% endcache %}{% endmacro %}\
    {% macro through() %}{{ c() }}{% endmacro %}\
    {% macro plain(x) %}{{ x }}{% endmacro %}\
    {% macro row(x, y='') %}{% cache 300, 'row', y %}{{ x }}{% endcache %}{% endmacro %}\
    {% macro own(x) %}{% cache 300, 'own', x %}{{ x }}{% endcache %}{% endmacro %}\
    {% macro rebinds(x) %}{% set x = 1 %}{% for y in [1] %}{% cache 300, 'rb', y %}{{ x }}\
    {% endcache %}{% endfor %}{% endmacro %}\
    {% macro tags(x) %}{% cache 300, 'a', tags=[x] %}{{ x }}{% endcache %}{% endmacro %}\
    {% macro unless(x) %}{% cache 300, 'a', unless=x %}{{ x }}{% endcache %}{% endmacro %}\
    {% macro until(x) %}{% cache x|length, 'a' %}{{ x }}{% endcache %}{% endmacro %}\
    {% macro length(x) %}{% cache 300, 'a', x|length %}{{ x }}{% endcache %}{% endmacro %}\
    {% macro kept(x) %}{% set y %}{{ x }}{% endset %}{% cache 300, 'a' %}{{ y }}{% endcache %}\
    {% endmacro %}\
    {% macro partial(t) %}{% include 'prints' %}{% endmacro %}\
    {% macro beside(x) %}{% cache 300, 'nav' %}nav{% endcache %}{{ x }}{% endmacro %}\
    {% macro on(x) %}{{ row(x) }}{% endmacro %}\
    {% macro filled(id) %}{% cache 300, 'f', id %}{{ caller() }}{% endcache %}{% endmacro %}";

/// Also where the output comes by a macro, a partial, `super()`, `caller()` or `self`.
#[test]
fn a_captured_fragment_is_not_printed_in_another_minijinja() {
    let others = [
        ("m", MACROS),
        ("fragment", "{% cache 300, 'p' %}{{ n }}{% endcache %}"),
        ("text", "text"),
        ("prints", "{% cache 300, 'q' %}{{ t }}{% endcache %}"),
        ("prints_u", "{{ u }}"),
        ("aliases", "{% set u = t %}{% cache 300, 'q' %}{{ u }}{% endcache %}"),
        ("outside", "{{ t }}{% cache 300, 'q' %}q{% endcache %}"),
        ("varies", "{% cache 300, 'q', t %}{{ t }}{% endcache %}"),
        ("base", "{% block a %}{% cache 300, 'a' %}{{ n }}{% endcache %}{% endblock %}"),
        ("bare", "{% block a %}text{% endblock %}"),
    ];
    let import = "{% import 'm' as m %}{% from 'm' import c, through as t2, plain, row, own %}\
                  {% from 'm' import beside, on, filled, rebinds %}\
                  {% from 'm' import tags, unless, until, length, partial, kept %}";
    let after = "{% cache 300, 'b', id %}{{ t }}{% endcache %}";
    let rows = [
        // What is captured.
        (BEFORE, "{% set t = c() %}$b"),
        (BEFORE, "{% set t = t2() %}$b"),
        (BEFORE, "{% set t = m.c() %}$b"),
        (BEFORE, "{% set t %}{{ m.through() }}{% endset %}$b"),
        (BEFORE, "{% set t = ['x', c()|upper] %}$b"),
        (BEFORE, "{% set ns = namespace() %}{% set ns.t = c() %}{% set t = ns.t %}$b"),
        (BEFORE, "{% for t in [c()] %}$b{% endfor %}"),
        (BEFORE, "{% with t = c() %}$b{% endwith %}"),
        (BEFORE, "{% macro l() %}{{ c() }}{% endmacro %}{% set t = l() %}$b"),
        (BEFORE, "{% macro l() %}{% include 'fragment' %}{% endmacro %}{% set t = l() %}$b"),
        (BEFORE, "{% set t %}{% include 'fragment' %}{% endset %}$b"),
        (BEFORE, "{% set t %}{% call plain(1) %}{{ c() }}{% endcall %}{% endset %}$b"),
        (BEFORE, "{% macro l() %}{% set t = caller() %}$b{% endmacro %}"),
        (BEFORE, "{% macro l() %}{% set t %}{{ caller()|upper }}{% endset %}$b{% endmacro %}"),
        (BEFORE, "{% macro l(f) %}{% set t = f() %}$b{% endmacro %}"),
        (BEFORE, "{% set t = self.a() %}$b{% block a %}{% endblock %}"),
        (BEFORE, "{% set t %}{% block a %}{% endblock %}{% endset %}$b"),
        (BEFORE, "{% extends 'base' %}{% block a %}{% set t = super() %}$b{% endblock %}"),
        (None, "{% extends 'bare' %}{% block a %}{% set t = super() %}$b{% endblock %}"),
        (None, "{% set t = plain(1) %}$b"),
        (None, "{% set t = m.plain(1) %}$b"),
        (None, "{% set t = range(3) %}$b"),
        (None, "{% set t = x.items() %}$b"),
        (None, "{% set t %}{% include 'text' %}{% endset %}$b"),
        (None, "{% set t = c() %}{{ t }}{% cache 300, 'b', t %}{{ t }}{% endcache %}"),
        (
            None,
            "{% macro l() %}{% set t = caller() %}{% cache 300, 'b', t %}{{ t }}{% endcache %}{% endmacro %}",
        ),
        (None, "{% set t = c() %}{% set t = 1 %}$b"),
        // What is handed on.
        (HANDED, "{% set t = c() %}{{ row(t) }}"),
        (HANDED, "{% set t = c() %}{{ row(y=1, x=t) }}"),
        (HANDED, "{% set t = c() %}{{ row([t, 1][0], 2) }}"),
        (HANDED, "{% set t = c() %}{{ m.row(plain(t)) }}"),
        (HANDED, "{% set t = c() %}{{ on(t) }}"),
        (HANDED, "{% set t = c() %}{% call filled(1) %}{{ t }}{% endcall %}"),
        (HANDED, "{% set t = c() %}{% include 'prints' %}"),
        (HANDED, "{% set t = c() %}{% include 'aliases' %}"),
        (
            BEFORE,
            "{% macro l() %}{% set u = caller() %}{% set t %}{% include 'prints_u' %}{% endset %}$b{% endmacro %}",
        ),
        (BEFORE, "{% set z = namespace() %}{% set y = z %}{% set y.t = c() %}{% set t = z.t %}$b"),
        (None, "{% set u = c() %}{% set t %}{% include 'text' %}{% endset %}$b"),
        (VALUE, "{% set f = row %}{{ f(c()) }}"),
        (VALUE, "{{ {'row': row}.row(c()) }}"),
        (VALUE, "{% set t = c() %}{{ [row][0](t) }}"),
        (VALUE, "{% for f in [row] %}{{ f(x=c()) }}{% endfor %}"),
        (HANDED, "{{ tags(c()) }}"),
        (HANDED, "{{ unless(c()) }}"),
        (HANDED, "{{ until(c()) }}"),
        (HANDED, "{{ length(c()) }}"),
        (HANDED, "{{ partial(c()) }}"),
        (HANDED, "{{ kept(c()) }}"),
        (HANDED, "{% set m = [] %}{% import 'm' as m %}{{ m.row(c()) }}"),
        (HANDED, "{{ row(c()) }}"),
        (HANDED, "{{ row(x=[m.c()|upper]) }}"),
        (HANDED, "{% cache 300, 'z' %}{{ row(c()) }}{% endcache %}"),
        (HANDED, "{% macro l() %}{{ row(caller()) }}{% endmacro %}"),
        (None, "{{ row(plain(1)) }}{{ row(range(3)) }}{{ on(1) }}"),
        (None, "{{ row(c) }}{{ plain(c()) }}"),
        (None, "{% set t = c() %}{{ rebinds(t) }}"),
        (None, "{% set t = c() %}{{ row(1, t) }}"),
        (None, "{% set t = c() %}{{ own(t) }}"),
        (None, "{% set t = c() %}{{ beside(t) }}"),
        (None, "{% set t = c() %}{{ plain(t) }}"),
        (None, "{% set t = c() %}{{ x|replace(t) }}{{ row(1) }}"),
        (None, "{% set t = c() %}{% include 'outside' %}"),
        (None, "{% set t = c() %}{% include 'varies' %}"),
        (None, "{% set t = plain(1) %}{{ row(t) }}{% include 'prints' %}"),
        (None, "{% call filled(1) %}{{ c() }}{% set t = c() %}{{ t }}{% endcall %}"),
    ];
    let written: Vec<(Option<&str>, String)> = rows
        .iter()
        .map(|(expected, row)| {
            let row = row.replace("$b", after);
            // `extends` comes before the imports.
            let at = row.find("{% block").filter(|_| row.starts_with("{% extends")).unwrap_or(0);
            (*expected, format!("{}{import}{}", &row[..at], &row[at..]))
        })
        .collect();
    let written: Vec<(Option<&str>, &str)> =
        written.iter().map(|(expected, page)| (*expected, &**page)).collect();
    check(&Syntax::minijinja(), &written, &others);
    let called = "{% macro l() %}{% set t = caller() %}{% cache 300, 'b' %}{{ t }}{% endcache %}{% endmacro %}";
    check(&Syntax::minijinja(), &[(ANOTHERS, called)], &others);
}

/// A body that a component is used with, and what is captured.
#[test]
fn a_captured_fragment_is_not_printed_in_another_tera() {
    let others = [
        (
            "components",
            "{% component c() %}{% cache 300, 'c' %}{{ 1 }}{% endcache %}{% endcomponent %}\
             {% component plain(t='') %}<{{ t }}>{{ body }}{% endcomponent plain %}\
             {% component row(t='', u='') %}{% cache 300, 'row', u %}{{ t }}{% endcache %}{% endcomponent row %}\
             {% component own(t='') %}{% cache 300, 'own', t %}{{ t }}{% endcache %}{% endcomponent own %}\
             {% component beside(t='') %}{% cache 300, 'nav' %}n{% endcache %}{{ t }}{% endcomponent beside %}\
             {% component kept(t='') %}{% set t %}{{ t }}{% endset %}{% cache 300, 'a' %}{{ t }}{% endcache %}{% endcomponent kept %}\
             {% component on(t='') %}{{ <row t={t} /> }}{% endcomponent on %}\
             {% component implicit(@t) %}{% cache 300, 'i' %}{{ t }}{% endcache %}{% endcomponent implicit %}\
             {% component rest(...all) %}{% cache 300, 'r' %}{{ all.t }}{% endcache %}{% endcomponent rest %}",
        ),
        ("fragment", "{% cache 300, 'p' %}{{ n }}{% endcache %}"),
        ("text", "text"),
        ("prints", "{% cache 300, 'q' %}{{ t }}{% endcache %}"),
        ("body", "{% set b = body %}{% cache 300, 'q' %}{{ b }}{% endcache %}"),
        ("bare", "{% cache 300, 'q' %}{{ body }}{% endcache %}"),
        ("bare_text", "{{ body }}"),
        ("outside", "{{ body }}{% cache 300, 'q' %}q{% endcache %}"),
        ("base", "{% block a %}{% cache 300, 'a' %}{{ n }}{% endcache %}{% endblock %}"),
    ];
    let body = "{% component x() %}$r{% endcomponent x %}";
    let captured = "{% set t %}{% include 'fragment' %}{% endset %}$r";
    let after = "{% cache 300, 'b', id %}{{ t }}{% endcache %}";
    let rows = [
        (BEFORE, "{% set t %}{{ <c/> }}{% endset %}$b"),
        (BEFORE, "{% set t %}{% <plain> %}{{ <c/> }}{% </plain> %}{% endset %}$b"),
        (BEFORE, "{% set t %}{% include 'fragment' %}{% endset %}$b"),
        (BEFORE, "{% set t = <c/> %}{% set u = t %}{% cache 300, 'b' %}{{ u }}{% endcache %}"),
        (None, "{% set t %}{{ <plain/> }}{% include 'text' %}{% endset %}$b"),
        (
            None,
            "{% set t %}{% include 'fragment' %}{% endset %}{% cache 300, 'b', t %}{{ t }}{% endcache %}",
        ),
        (HANDED, &captured.replace("$r", "{{ <row t={t} /> }}")),
        (HANDED, &captured.replace("$r", "{{ <row t /> }}")),
        (HANDED, &captured.replace("$r", "{{ <row u=\"1\" t={[t]} /> }}")),
        (HANDED, &captured.replace("$r", "{{ <row {...{\"t\": t}} /> }}")),
        (HANDED, &captured.replace("$r", "{{ <on t={t} /> }}")),
        (HANDED, &captured.replace("$r", "{{ <kept t={t} /> }}")),
        (HANDED, &captured.replace("$r", "{{ <implicit/> }}")),
        (HANDED, &captured.replace("$r", "{{ <rest t={t} /> }}")),
        (HANDED, &captured.replace("$r", "{% include 'prints' %}")),
        (None, &captured.replace("$r", "{{ <row u={t} /> }}")),
        (None, &captured.replace("$r", "{{ <own t={t} /> }}")),
        (None, &captured.replace("$r", "{{ <beside t={t} /> }}")),
        (None, &captured.replace("$r", "{{ <plain t={t} /> }}")),
        (None, &captured.replace("$r", "{% include 'outside' %}")),
        (HANDED, &body.replace("$r", "{{ <row t={body} /> }}")),
        (HANDED, &body.replace("$r", "{% set b = body | upper %}{{ <row t={b} /> }}")),
        (HANDED, &body.replace("$r", "{% <row t={body}> %}{% </row> %}")),
        (HANDED, &body.replace("$r", "{% include 'body' %}")),
        (HANDED, &body.replace("$r", "{% include 'bare' %}")),
        (HANDED, "{{ <row t={<c/>} /> }}"),
        (HANDED, "{% for u in [<c/>] %}{{ <row t={u} /> }}{% endfor %}"),
        (None, "{{ <row t={<plain/>} /> }}"),
        (BEFORE, &body.replace("$r", "{% set t %}{% include 'bare_text' %}{% endset %}$b")),
        (None, &body.replace("$r", "{% <plain> %}{{ body }}{% </plain> %}{{ <row t={1} /> }}")),
        (None, &body.replace("$r", "{{ <own t={body} /> }}")),
        (None, &body.replace("$r", "{% include 'outside' %}")),
        (
            None,
            "{% if a < body %}{% endif %}{% include 'body' %}{% component z() %}{% endcomponent %}",
        ),
    ];
    let written: Vec<(Option<&str>, String)> =
        rows.iter().map(|(expected, row)| (*expected, row.replace("$b", after))).collect();
    let written: Vec<(Option<&str>, &str)> =
        written.iter().map(|(expected, page)| (*expected, &**page)).collect();
    check(&Syntax::tera(), &written, &others);
    let above = "{% extends 'base' %}{% block a %}{% set t %}{{ super() }}{% endset %}\
                 {% cache 300, 'b', id %}{{ t }}{% endcache %}{% endblock %}";
    check(&Syntax::tera(), &[(BEFORE, above)], &others);
    let above = "{% extends 'base' %}{% block a %}{% set t %}{{ super() }}{% endset %}\
                 {% <row t={t}> %}{% </row> %}{% endblock %}";
    check(&Syntax::tera(), &[(HANDED, above)], &others);
}

const ANOTHER_SETS: Option<&str> = Some("which another template sets");

/// A child's cache block prints what its base rendered, or a page what a module did.
#[test]
fn what_another_template_captured_is_not_printed() {
    let others = [
        ("fragment", "{% cache 300, 'p' %}{{ n }}{% endcache %}"),
        ("text", "text"),
        (
            "base",
            "{% set nav %}{% include 'fragment' %}{% endset %}{% set plain %}{% include 'text' %}\
             {% endset %}{% set other = nav %}{% set title = title or n %}{% block a %}{% endblock %}",
        ),
        ("middle", "{% extends 'base' %}"),
    ];
    let rows = [
        (ANOTHER_SETS, "{% cache 300, 'a' %}{{ nav }}{% endcache %}"),
        (ANOTHER_SETS, "{% cache 300, 'a', n %}{{ nav|upper }}{% endcache %}"),
        (ANOTHER_SETS, "{% cache 300, 'a' %}{{ other }}{% endcache %}"),
        (ANOTHER_SETS, "{% set here = nav %}{% cache 300, 'a' %}{{ here }}{% endcache %}"),
        (None, "{% cache 300, 'a', nav %}{{ nav }}{% endcache %}"),
        (None, "{% cache 300, 'a' %}{{ plain }}{{ title }}{% endcache %}"),
        (None, "{% set nav = n %}{% cache 300, 'a' %}{{ nav }}{% endcache %}"),
        (None, "{{ nav }}{% cache 300, 'a' %}{{ n }}{% endcache %}"),
    ];
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        for extends in ["base", "middle"] {
            for (expected, body) in rows {
                let page =
                    format!("{{% extends '{extends}' %}}{{% block a %}}{body}{{% endblock %}}");
                check(&syntax, &[(expected, &page)], &others);
            }
        }
        for (_, body) in rows {
            check(&syntax, &[(None, body)], &others);
        }
    }
    let handed = [
        (
            HANDED,
            "{% extends 'base' %}{% macro row(x) %}{% cache 300, 'r' %}{{ x }}{% endcache %}\
             {% endmacro %}{% block a %}{{ row(nav) }}{% endblock %}",
        ),
        (
            None,
            "{% extends 'base' %}{% macro row(x) %}{% cache 300, 'r' %}{{ x }}{% endcache %}\
             {% endmacro %}{% block a %}{{ row(plain) }}{% endblock %}",
        ),
    ];
    check(&Syntax::minijinja(), &handed, &others);
}

/// Before a parent that a child extends is rendered, the child's assignments are done.
#[test]
fn what_a_child_captured_is_not_printed_by_its_parents() {
    let others = [
        ("fragment", "{% cache 300, 'p' %}{{ n }}{% endcache %}"),
        ("text", "text"),
        ("prints", "{% cache 300, 'q' %}{{ nav }}{% endcache %}"),
        ("includes", "{% include 'prints' %}"),
        ("outside", "{{ nav }}{% cache 300, 'q' %}{{ n }}{% endcache %}"),
        ("varies", "{% cache 300, 'q', nav %}{{ nav }}{% endcache %}"),
        ("middle", "{% extends 'prints' %}"),
    ];
    for (expected, base) in [
        (HANDED, "prints"),
        (HANDED, "includes"),
        (HANDED, "middle"),
        (None, "outside"),
        (None, "varies"),
    ] {
        let set = "{% set nav %}{% include 'fragment' %}{% endset %}";
        let page = format!("{{% extends '{base}' %}}{set}");
        check(&Syntax::minijinja(), &[(expected, &page)], &others);
        let page = format!("{set}{{% extends '{base}' %}}{{% block a %}}x{{% endblock %}}");
        check(&Syntax::minijinja(), &[(expected, &page)], &others);
        let page = format!("{{% extends '{base}' %}}{}", set.replace("fragment", "text"));
        check(&Syntax::minijinja(), &[(None, &page)], &others);
        let page = format!("{{% extends '{base}' %}}{{% block a %}}{set}{{% endblock %}}");
        check(&Syntax::minijinja(), &[(None, &page)], &others);
    }
}

#[test]
fn what_a_module_captured_is_not_printed() {
    let others = [
        (
            "m",
            "{% macro c() %}{% cache 300, 'c' %}{{ n }}{% endcache %}{% endmacro %}\
             {% macro row(x) %}{% cache 300, 'r' %}{{ x }}{% endcache %}{% endmacro %}\
             {% macro all(cell) %}{{ cell() }}{% endmacro %}\
             {% set v %}{{ c() }}{% endset %}{% set w = c() %}{% set plain = 1 %}",
        ),
        ("through", "{% from 'm' import v %}{% import 'm' as m %}"),
    ];
    let rows = [
        (ANOTHER_SETS, "{% from 'm' import v %}{% cache 300, 'a' %}{{ v }}{% endcache %}"),
        (ANOTHER_SETS, "{% from 'm' import w as v %}{% cache 300, 'a' %}{{ v }}{% endcache %}"),
        (ANOTHER_SETS, "{% import 'm' as m %}{% cache 300, 'a' %}{{ m.v }}{% endcache %}"),
        (ANOTHER_SETS, "{% from 'through' import v %}{% cache 300, 'a' %}{{ v }}{% endcache %}"),
        (HANDED, "{% import 'm' as m %}{{ m.row(m.v) }}"),
        (HANDED, "{% from 'm' import v, row %}{{ row(v) }}"),
        (None, "{% from 'm' import v %}{% cache 300, 'a', v %}{{ v }}{% endcache %}"),
        (None, "{% import 'm' as m %}{% cache 300, 'a', m.v %}{{ m.v }}{% endcache %}"),
        (None, "{% import 'm' as m %}{% cache 300, 'a' %}{{ m.plain }}{{ m.c() }}{% endcache %}"),
        (None, "{% from 'm' import plain %}{% cache 300, 'a' %}{{ plain }}{% endcache %}"),
        (None, "{% from 'm' import plain, row %}{{ row(plain) }}"),
        (None, "{% from 'm' import c, all %}{% cache 300, 'a' %}{{ all(c) }}{% endcache %}"),
        (None, "{% import 'm' as m %}{% cache 300, 'a' %}{{ m.all(m.c) }}{% endcache %}"),
    ];
    check(&Syntax::minijinja(), &rows, &others);
}

#[test]
fn the_default_of_a_parameter_is_what_it_is_made_of() {
    let c = "{% macro c() %}{% cache 300, 'c' %}{{ n }}{% endcache %}{% endmacro %}";
    let macros = |default: &str, parts: &str| {
        format!(
            "{c}{{% set t %}}{{{{ c() }}}}{{% endset %}}{{% macro row(x={default}) %}}\
             {{% cache 300, 'r'{parts} %}}{{{{ x }}}}{{% endcache %}}{{% endmacro %}}{{{{ row() }}}}"
        )
    };
    for (expected, default, parts) in [
        (BEFORE, "t", ""),
        (BEFORE, "c()", ""),
        (BEFORE, "t", ", n"),
        (None, "t", ", x"),
        (None, "1", ""),
    ] {
        check(&Syntax::minijinja(), &[(expected, &macros(default, parts))], &[]);
    }
}

#[test]
fn what_prints_every_variable_is_not_cached() {
    let everything = Some("prints every variable there is");
    let minijinja = [
        (everything, "{% cache 300, 'a' %}{{ debug() }}{% endcache %}"),
        (everything, "{% cache 300, 'a', n %}{% set x = debug() %}{% endcache %}"),
        (None, "{% cache 300, 'a' %}{{ debug(n) }}{{ x.debug() }}{% endcache %}{{ debug() }}"),
    ];
    check(&Syntax::minijinja(), &minijinja, &[]);
    let tera = [
        (everything, "{% cache 300, 'a' %}{{ __tera_context }}{% endcache %}"),
        (None, "{{ __tera_context }}{% cache 300, 'a' %}{{ debug() }}{% endcache %}"),
    ];
    check(&Syntax::tera(), &tera, &[]);
}

/// A quadratic step would take minutes.
#[test]
fn much_that_is_captured_and_handed_on_takes_time_in_proportion() {
    let m = "{% macro row(x) %}{% cache 300, 'r', x %}{{ x }}{% endcache %}{% endmacro %}\
             {% macro c() %}{% cache 300, 'c' %}{{ n }}{% endcache %}{% endmacro %}";
    let own =
        "{% component row(x) %}{% cache 300, 'r', x %}{{ x }}{% endcache %}{% endcomponent %}";
    let fragment = "{% cache 300, 'p' %}{{ n }}{% endcache %}";
    let base = "{% set nav %}{% include 'fragment' %}{% endset %}{% block a %}{% endblock %}";
    let others =
        [("m", m), ("own", own), ("fragment", fragment), ("text", "{{ n }}"), ("base", base)];
    let times = |one: &dyn Fn(usize) -> String| (0..4_000).map(one).collect::<String>();
    let set = |at: usize| format!("{{% set v{at} %}}{{% include 'fragment' %}}{{% endset %}}");
    let block = "{% cache 300, 'a', n %}{{ n }}{% include 'text' %}{% endcache %}";
    let printed = |at: usize| format!("{{% cache 300, 'a', n %}}{{{{ v{at} }}}}{{% endcache %}}");
    let child = format!("{{% extends 'base' %}}{{% block a %}}{}{{% endblock %}}", times(&printed));
    let sources = [
        // Many captures beside many partials, in blocks and outside.
        times(&|at| format!("{}{{% include 'text' %}}", set(at))),
        times(&set) + &"{% include 'text' %}".repeat(4_000),
        times(&set) + &block.repeat(4_000),
        // One capture that is printed again and again.
        set(0) + &"{{ v0 }}{% include 'text' %}{{ v0|upper }}".repeat(4_000),
        // Captures that hold each other.
        times(&|at| format!("{{% set v %}}{{{{ v }}}}{{{{ w{at} }}}}{{% endset %}}")),
        // A child's many uses of what its parent may have set.
        child,
    ];
    let import = "{% import 'm' as m %}".to_owned();
    let minijinja = [
        import.clone() + &times(&|at| format!("{{% set v{at} = m.c() %}}{{{{ m.row(v{at}) }}}}")),
        import.clone() + &format!("{{{{ f({}) }}}}", "m.row(m.c()), ".repeat(4_000)),
        import + "{% set v %}{{ m.c() }}{% endset %}" + &"{{ m.row(v) }}".repeat(4_000),
    ];
    let tera = [
        set(0) + &"{{ <row x={v0} /> }}".repeat(4_000),
        times(&|at| format!("{}{{{{ <row x={{v{at}}} /> }}}}", set(at))),
    ];
    for (syntax, more) in [(Syntax::minijinja(), &minijinja[..]), (Syntax::tera(), &tera[..])] {
        for source in sources.iter().chain(more) {
            assert_eq!(refusal(&syntax, source, &others), None);
        }
    }
}

/// A namespace is known by another name only if it is used as a whole.
#[test]
fn what_goes_into_a_namespace_stays_in_it() {
    let fragment = "{% cache 300, 'p' %}{{ n }}{% endcache %}";
    let put = "{% set x %}{% include 'fragment' %}{% endset %}{% set ns.a = x %}";
    let made = format!("{{% set ns = namespace() %}}{put}");
    let block = |uses: &str| format!("{{% cache 300, 'a', n %}}{{{{ {uses} }}}}{{% endcache %}}");
    for (expected, page) in [
        (BEFORE, format!("{made}{}", block("ns.a"))),
        (BEFORE, format!("{made}{{% set q = ns %}}{}", block("q.a"))),
        (
            BEFORE,
            format!("{{% set ns = namespace() %}}{{% set q = [ns] %}}{put}{}", block("q[0].a")),
        ),
        (BEFORE, format!("{made}{{{{ f(ns) }}}}{{% set q = other %}}{}", block("q.a"))),
        (None, format!("{made}{{% set q = other %}}{}", block("q.a"))),
        (None, format!("{made}{{% for q in list %}}{}{{% endfor %}}", block("q['a']"))),
        (None, format!("{{% set q = ns.b %}}{made}{}", block("q.a"))),
    ] {
        check(&Syntax::minijinja(), &[(expected, &page)], &[("fragment", fragment)]);
    }
}

/// What a partial, a parent or a macro binds itself is not the page's.
#[test]
fn what_others_bind_themselves_is_not_used_of_the_page() {
    let others = [
        ("fragment", "{% cache 300, 'p' %}{{ n }}{% endcache %}"),
        ("own", "{% set t = 1 %}{{ t }}{% for t in n %}{{ t }}{% endfor %}"),
        ("late", "{% for i in n %}{{ t }}{% endfor %}{% set t = 1 %}"),
        ("base", "{% block a %}{% for t in n %}{{ t }}{% endfor %}{% endblock %}"),
    ];
    let set = "{% set t %}{% include 'fragment' %}{% endset %}";
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        for (expected, name) in [(None, "own"), (ANOTHERS, "late")] {
            let page =
                format!("{set}{{% cache 300, 'a', n %}}{{% include '{name}' %}}{{% endcache %}}");
            check(&syntax, &[(expected, &page)], &others);
        }
        let page = format!(
            "{{% extends 'base' %}}{{% block b %}}{set}{{% endblock %}}{{% block a %}}{set}\
             {{% cache 300, 'a', n %}}{{{{ super() }}}}{{% endcache %}}{{% endblock %}}"
        );
        check(&syntax, &[(None, &page)], &others);
    }
    let modules = [(
        "m",
        "{% macro one(t, u=t) %}{{ t }}{% endmacro %}\
               {% macro two() %}{% cache 300, 'c' %}{{ n }}{% endcache %}{% endmacro %}",
    )];
    let page =
        "{% import 'm' as t %}{% set x = t.one(1) %}{% cache 300, 'a' %}{{ x }}{% endcache %}";
    check(&Syntax::minijinja(), &[(None, page)], &modules);
}
