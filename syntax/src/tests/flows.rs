//! Content that is rendered in one place and printed in another. The first template of each set is
//! refused or accepted.

use std::sync::Arc;

use crate::{Sources, Syntax, components, rewrite_with};

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
pub(super) fn refusal(syntax: &Syntax, page: &str, others: &[(&str, &str)]) -> Option<String> {
    let templates: Vec<_> = std::iter::once(("page", page)).chain(others.iter().copied()).collect();
    let defined = templates.iter().flat_map(|(name, source)| {
        components(source, syntax).into_iter().map(|component| (component, *name))
    });
    let set = Set { templates: &templates, components: defined.collect() };
    rewrite_with("page", page, syntax, &set).err().map(|error| error.to_string())
}

pub(super) fn check(syntax: &Syntax, rows: &[(Option<&str>, &str)], others: &[(&str, &str)]) {
    for (expected, page) in rows {
        match (expected, refusal(syntax, page, others)) {
            (None, None) => {}
            (Some(expected), Some(found)) if found.contains(expected) => {}
            (_, found) => panic!("{page}\n{found:?}"),
        }
    }
}

pub(super) const BEFORE: Option<&str> = Some("is rendered before it");
pub(super) const HANDED: Option<&str> = Some("is rendered before it is passed on");
const VALUE: Option<&str> = Some("passed on to a callee that is known only when the page renders");
pub(super) const ANOTHERS: Option<&str> = Some("it would serve the content of one to another");

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

/// The output may come from a macro, a partial, `super()`, `caller()` or `self`.
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
        // Captured output.
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
        // Output passed on.
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
            // The `extends` may come before the imports.
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

/// The body of a component, and captured output.
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

/// `loop.changed` of a loop around the block, under another name.
#[test]
fn a_loop_is_known_by_another_name() {
    const CHANGED: Option<&str> = Some("`loop.changed` remembers its last value");
    let rows = [
        (CHANGED, "{{ l.changed(x) }}"),
        (CHANGED, "{% set k = l %}{{ k.changed(x) }}"),
        (CHANGED, "{{ m(l) }}changed"),
        (None, "{{ m(l) }}"),
        (None, "{{ l.index }}{{ x.changed(1) }}"),
        (None, "{% for y in x %}{% set l = loop %}{{ l.changed(y) }}{% endfor %}"),
    ];
    for (expected, body) in rows {
        let block = format!("{{% cache 1, 'a', x %}}{body}{{% endcache %}}");
        let page = format!("{{% for x in xs %}}{{% set l = loop %}}{block}{{% endfor %}}");
        check(&Syntax::minijinja(), &[(expected, &page)], &[]);
    }
}
