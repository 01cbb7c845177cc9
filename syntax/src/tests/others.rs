//! Names that other templates bind and content that they render. The first template of each set is
//! refused or accepted.

use super::flows::{ANOTHERS, BEFORE, HANDED, check, refusal};
use crate::Syntax;

const ANOTHER_SETS: Option<&str> = Some("which another template sets");

/// Checks each source as the block of a child that extends a base.
fn check_block(
    syntax: &Syntax,
    extends: &str,
    rows: &[(Option<&str>, &str)],
    others: &[(&str, &str)],
) {
    for (expected, body) in rows {
        let page = format!("{{% extends '{extends}' %}}{{% block a %}}{body}{{% endblock %}}");
        check(syntax, &[(*expected, &page)], others);
    }
}

/// A child's cache block prints what its base rendered, or a page what a module rendered.
#[test]
fn captures_of_another_template_are_not_printed() {
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
            check_block(&syntax, extends, &rows, &others);
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

/// A child includes a template that prints a variable of the child's parents.
#[test]
fn captures_of_a_parent_are_not_printed_by_partials() {
    let others = [
        ("fragment", "{% cache 300, 'p' %}{{ n }}{% endcache %}"),
        ("text", "text"),
        (
            "base",
            "{% set nav %}{% include 'fragment' %}{% endset %}{% set plain %}{% include 'text' %}\
             {% endset %}{% block a %}{% endblock %}{% block shows %}{{ nav }}{% endblock %}",
        ),
        ("middle", "{% extends 'base' %}"),
        ("prints", "{{ nav }}"),
        ("through", "{% include 'prints' %}"),
        ("caches", "{% cache 300, 'q' %}{{ nav }}{% endcache %}"),
        ("varies", "{% cache 300, 'q', nav %}{{ nav }}{% endcache %}"),
        ("binds", "{% set nav = n %}{% cache 300, 'q' %}{{ nav }}{% endcache %}"),
        ("plain", "{% cache 300, 'q' %}{{ plain }}{% endcache %}"),
    ];
    let rows = [
        (ANOTHERS, "{% cache 300, 'a' %}{% include 'prints' %}{% endcache %}"),
        (ANOTHERS, "{% cache 300, 'a', n %}{% include 'through' %}{% endcache %}"),
        (HANDED, "{% include 'caches' %}"),
        (None, "{% cache 300, 'a', nav %}{% include 'prints' %}{% endcache %}"),
        (None, "{% set nav = n %}{% cache 300, 'a' %}{% include 'prints' %}{% endcache %}"),
        (None, "{% include 'prints' %}{% include 'varies' %}{% include 'binds' %}"),
        (None, "{% include 'plain' %}{% cache 300, 'a' %}{% include 'plain' %}{% endcache %}"),
    ];
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        for extends in ["base", "middle"] {
            check_block(&syntax, extends, &rows, &others);
            let page = format!(
                "{{% extends '{extends}' %}}{{% block shows %}}{{% cache 300, 'a', n %}}\
                 {{{{ super() }}}}{{% endcache %}}{{% endblock %}}"
            );
            check(&syntax, &[(ANOTHERS, &page)], &others);
        }
    }
}

/// A macro sees the values that outside names have when it is called.
#[test]
fn captures_after_a_macro_are_not_printed_by_it() {
    let others = [("fragment", "{% cache 300, 'p' %}{{ n }}{% endcache %}"), ("shows", "{{ x }}")];
    let block = "{% cache 300, 'b', id %}{{ x }}{% endcache %}";
    let keeps = "{% cache 300, 'b', x %}{{ x }}{% endcache %}";
    let rows = [
        (BEFORE, "{% macro m(x=t) %}$b{% endmacro %}$t{{ m() }}"),
        (BEFORE, "{% macro m(x=t) %}$b{% endmacro %}$t"),
        (BEFORE, "{% macro m() %}{% cache 300, 'b' %}{{ t }}{% endcache %}{% endmacro %}$t"),
        (BEFORE, "{% set t = 1 %}{% macro m(x=t) %}$b{% endmacro %}$t{{ m() }}"),
        (BEFORE, "{% macro m(y=t, x=y) %}$b{% endmacro %}$t{{ m() }}"),
        (BEFORE, "{% macro m() %}{% set x = t|upper %}$b{% endmacro %}$t{{ m() }}"),
        (BEFORE, "{% macro m() %}{% set x %}a {{ t }}{% endset %}$b{% endmacro %}$t{{ m() }}"),
        (BEFORE, "{% macro m() %}{% for x in [t] %}$b{% endfor %}{% endmacro %}$t{{ m() }}"),
        (
            BEFORE,
            "{% macro m(x=t) %}{% cache 300, 'i' %}{% include 'shows' %}{% endcache %}{% endmacro %}\
             $t{{ m() }}",
        ),
        (
            BEFORE,
            "{% macro m(x=t) %}$b{% endmacro %}{% macro o() %}{{ m() }}{% endmacro %}$t{{ o() }}",
        ),
        (
            BEFORE,
            "{% macro o() %}{% macro m(x=t) %}$b{% endmacro %}{{ m() }}{% endmacro %}$t{{ o() }}",
        ),
        (None, "{% macro m(x=t) %}$k{% endmacro %}$t{{ m() }}"),
        (
            None,
            "{% macro m(x=t) %}{{ x }}{% cache 300, 'b' %}b{% endcache %}{% endmacro %}$t{{ m() }}",
        ),
        (None, "{% macro m(x=t) %}{% set x = 1 %}$b{% endmacro %}$t{{ m() }}"),
        (None, "{% macro m(x=u) %}$b{% endmacro %}$t{{ m() }}"),
        (None, "{% macro m(x=t) %}$b{% endmacro %}{% set t = 1 %}{{ m() }}"),
    ];
    let set = "{% set t %}{% include 'fragment' %}{% endset %}";
    for (expected, page) in rows {
        let page = page.replace("$b", block).replace("$k", keeps).replace("$t", set);
        check(&Syntax::minijinja(), &[(expected, &page)], &others);
    }
}

/// A child's assignments are done before its parent is rendered.
#[test]
fn captures_of_a_child_are_not_printed_by_parents() {
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
fn captures_of_a_module_are_not_printed() {
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
fn a_dump_of_all_variables_is_not_cached() {
    let everything = Some("prints every variable, also those");
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

/// With a quadratic step, this test would take minutes.
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
        // Many captures next to many partials, in blocks and outside.
        times(&|at| format!("{}{{% include 'text' %}}", set(at))),
        times(&set) + &"{% include 'text' %}".repeat(4_000),
        times(&set) + &block.repeat(4_000),
        // One capture that is printed many times.
        set(0) + &"{{ v0 }}{% include 'text' %}{{ v0|upper }}".repeat(4_000),
        // Captures that contain each other.
        times(&|at| format!("{{% set v %}}{{{{ v }}}}{{{{ w{at} }}}}{{% endset %}}")),
        // Many uses, in a child, of names that its parent may set.
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

/// A namespace gets another name only if it is used as a whole.
#[test]
fn captures_in_a_namespace_stay_in_it() {
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

/// Names that a partial, a parent or a macro binds itself are not the page's.
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
