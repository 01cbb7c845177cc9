//! The ways in which output rendered earlier, or content that others fill in, reaches a cached
//! body. Each is refused, and accepted for an ordinary value.

use super::flows::refusal;
use crate::Syntax;

/// `$t` is a cache block. `$v` is a value: first a fragment that was rendered earlier, then an
/// ordinary variable.
fn check(syntax: &Syntax, sets: &[&str], others: &[(&str, &str)]) {
    let fragment = "{% cache 300, 'a' %}{{ n }}{% endcache %}";
    let fill = |source: &str, value: &str| {
        let section = format!("{{% set q %}}{value}{{% endset %}}");
        source.replace("$q", &section).replace("$v", value)
    };
    let mut wrong = Vec::new();
    for set in sets {
        let found = |value: &str| {
            let block = |body: &str| format!("{{% cache 300, 'b' %}}{body}{{% endcache %}}");
            let mut page = fill(set, value);
            while let Some(start) = page.find("$b(") {
                let length = page[start..].find(")$").expect("an end");
                let body = page[start + 3..start + length].to_owned();
                page.replace_range(start..start + length + 2, &block(&body));
            }
            let others: Vec<(&str, String)> =
                others.iter().map(|(name, source)| (*name, fill(source, value))).collect();
            let others: Vec<_> =
                others.iter().map(|(name, source)| (*name, source.as_str())).collect();
            (refusal(syntax, &page, &others), page)
        };
        let (refused, page) = found(fragment);
        if refused.is_none() {
            wrong.push(format!("accepted: {page}"));
        }
        let (refused, page) = found("{{ n }}");
        if let Some(refused) = refused {
            wrong.push(format!("{page}\n{refused}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn tera_values_are_followed_wherever_they_go() {
    let others = [
        ("parent", "$q{% block c %}{% endblock %}{% block d %}{% endblock %}"),
        ("blocks", "{% block c %}$q{% endblock %}{% block d %}{% endblock %}"),
        (
            "round",
            "{% block c %}{% for i in [1] %}{% set_global q %}$v{% endset %}{% endfor %}{% endblock %}{% block d %}{% endblock %}",
        ),
        (
            "prints",
            "{% block c %}{% endblock %}{% cache 300, 'p' %}{{ q | default(value='') }}{% endcache %}",
        ),
        (
            "keeps",
            "{% block c %}{% endblock %}{% set z %}{% include 'pq' %}{% endset %}\
             {% cache 300, 'p' %}{{ z }}{% endcache %}",
        ),
        (
            "between",
            "{% block c %}{% endblock %}{% cache 300, 'p' %}{{ q }}{% endcache %}{% block d %}{% endblock %}",
        ),
        (
            "partial",
            "{% block c %}{% endblock %}{% cache 300, 'p' %}{% include 'pq' %}{% endcache %}",
        ),
        (
            "middle",
            "{% extends 'blocks' %}{% block d %}{% cache 300, 'p' %}{{ q }}{% endcache %}{% endblock %}",
        ),
        ("parent2", "{% block c %}{% endblock %}{% block d %}{% endblock %}"),
        ("blocks2", "{% block c %}$v{% endblock %}"),
        (
            "row",
            "{% component Row(q) %}{% cache 300, 'r' %}{{ q }}{% endcache %}{% endcomponent Row %}",
        ),
        ("pz", "{% cache 300, 'p' %}{{ z }}{% endcache %}"),
        ("pq", "{{ q }}"),
        ("cached", "{% cache 300, 'p', i %}{{ q }}{% endcache %}"),
        ("pc", "{{ <Implicit /> }}"),
        (
            "components",
            "{% component Implicit(@q='d') %}{% cache 300, 'p' %}{{ q }}{% endcache %}{% endcomponent Implicit %}\
                        {% component Through() %}{{ <Implicit /> }}{% endcomponent Through %}",
        ),
    ];
    check(
        &Syntax::tera(),
        &[
            // Sections.
            "{% for i in [1] %}{% set_global z %}$v{% endset %}{% endfor %}$b({{ z }})$",
            "{% for i in [1] %}{% if i %}{% set_global z %}$v{% endset %}{% endif %}{% endfor %}$b({{ z }})$",
            "{% for i in [1] %}{% for j in [1] %}{% set_global z %}$v{% endset %}{% endfor %}{% endfor %}$b({{ z }})$",
            "$q{% set z | replace(from='x', to=q) %}x{% endset %}$b({{ z }})$",
            "$q{% set z | upper | replace(from='x', to=q) %}x{% endset %}$b({{ z }})$",
            // Iterations.
            "{% for i in [1, 2] %}$b({{ t }})$$q{% set_global t = q %}{% endfor %}",
            "{% for i in [1, 2] %}$b({{ t }})${% set_global t %}$v{% endset %}{% endfor %}",
            "{% for i in [1, 2] %}{% set u = t %}$b({{ u }})${% set_global t %}$v{% endset %}{% endfor %}",
            "{% for i in [1, 2] %}{% for j in [1] %}$b({{ t }})${% endfor %}{% set_global t %}$v{% endset %}{% endfor %}",
            "{% for i in [1, 2] %}$b({% include 'pq' %})${% set_global q %}$v{% endset %}{% endfor %}",
            "{% for i in [1, 2] %}{% include 'cached' %}{% set_global q %}$v{% endset %}{% endfor %}",
            "{% for i in [1, 2] %}{% for j in [1] %}{% include 'cached' %}{% endfor %}{% set_global q %}$v{% endset %}{% endfor %}",
            "{% for i in [1, 2] %}{{ <Implicit /> }}{% set_global q %}$v{% endset %}{% endfor %}",
            // Comprehensions.
            "$q{{ [<Row q={x} /> for x in [q]] }}",
            "$q{% set z = [x for x in [q]] %}$b({{ z }})$",
            // Children whose blocks are in another order.
            "{% extends 'parent2' %}{% block d %}{% set z %}{% include 'pq' %}{% endset %}$b({{ z }})${% endblock %}{% block c %}$q{% endblock %}",
            "{% extends 'parent2' %}{% block d %}$b({{ q }})${% endblock %}{% block c %}$q{% endblock %}",
            "{% extends 'parent2' %}{% block d %}{% set z = q %}$b({{ z }})${% endblock %}{% block c %}$q{% endblock %}",
            "{% extends 'prints' %}{% block c %}{% for i in [1] %}{% set_global q %}$v{% endset %}{% endfor %}{% endblock %}",
            "{% extends 'parent2' %}{% block d %}{% set z = q %}{% include 'pz' %}{% endblock %}{% block c %}$q{% endblock %}",
            // Components in brackets, and `super()`.
            "$q{{ [<Row q />] }}",
            "$q{{ ([<Row q />]) }}",
            "$q{% set z = {'a': <Row q />} %}",
            "{% extends 'blocks2' %}{% block c %}{{ <Row q={super()} /> }}{% endblock %}",
            "{% extends 'blocks2' %}{% block c %}{{ <Row q={[super()]} /> }}{% endblock %}",
            // Implicit arguments.
            "$q{{ <Implicit /> }}",
            "$q{% include 'pc' %}",
            // Blocks.
            "{% block c %}$q{% endblock %}$b({{ q }})$",
            "{% extends 'parent' %}{% block d %}$b({{ q }})${% endblock %}",
            "{% extends 'blocks' %}{% block d %}$b({{ q }})${% endblock %}",
            "{% extends 'round' %}{% block d %}$b({{ q }})${% endblock %}",
            "{% extends 'blocks' %}{% block c %}{{ super() }}$b({{ q }})${% endblock %}",
            "{% extends 'blocks' %}{% block d %}{% set q = 1 %}{% endblock %}{% block e %}$b({{ q }})${% endblock %}",
            "{% extends 'prints' %}{% block c %}$q{% endblock %}",
            "{% extends 'keeps' %}{% block c %}$q{% endblock %}",
            "{% extends 'between' %}{% block c %}$q{% endblock %}{% block d %}{% set q = 1 %}{% endblock %}",
            "{% extends 'partial' %}{% block c %}$q{% endblock %}",
            "{% extends 'middle' %}{% block c %}$q{% endblock %}",
        ],
        &others,
    );
    let all = [
        "$q{% set z = __tera_context %}$b({{ z }})$",
        "{% set z = [__tera_context] %}$b({{ z }})$",
    ];
    for page in all {
        let page = page
            .replace("$q", "")
            .replace("$b(", "{% cache 300, 'b' %}")
            .replace(")$", "{% endcache %}");
        assert!(refusal(&Syntax::tera(), &page, &[]).is_some(), "{page}");
    }
}

#[test]
fn minijinja_values_are_followed_wherever_they_go() {
    let others = [
        (
            "parent",
            "$q{% set ns = namespace() %}{% set ns.t %}$v{% endset %}{% block c %}{% endblock %}",
        ),
        ("includes", "{% include 'sets' %}{% block c %}{% endblock %}"),
        ("sets", "$q"),
        ("through", "{% include 'sets' %}"),
        ("prints", "{{ q }}"),
        ("copies", "{% set z = q %}"),
        (
            "defines",
            "{% macro mm() %}$v{% endmacro %}\
             {% macro row(x) %}{% cache 300, 'r' %}{{ x }}{% endcache %}{% endmacro %}",
        ),
        ("imports", "{% from 'module' import w %}"),
        ("module", "{% macro w() %}$v{% endmacro %}{% set v %}$v{% endset %}"),
        ("modules", "{% import 'module' as sub %}"),
        ("shows", "{{ loop.previtem }}"),
        ("header", "{% set menu %}$v{% endset %}"),
        ("footer", "{% cache 300, 'p' %}{{ menu }}{% endcache %}"),
        ("prints_q", "{% cache 300, 'p' %}{{ q }}{% endcache %}{% block c %}{% endblock %}"),
        ("prints_v", "{% cache 300, 'p' %}{{ v }}{% endcache %}{% block c %}{% endblock %}"),
        ("bare", "{% block d %}{% endblock %}"),
        ("shown", "{% block d %}{% cache 300, 'p' %}{{ q }}{% endcache %}{% endblock %}"),
        ("outer", "{% block o %}$q{% block c %}{% endblock %}{% endblock %}"),
        ("own", "$q{% macro w() %}{{ q }}{% endmacro %}{% block c %}{% endblock %}"),
        (
            "caches",
            "{% macro w() %}{% cache 300, 'p' %}{{ q }}{% endcache %}{% endmacro %}{{ w() }}",
        ),
        (
            "keeps",
            "{% macro w() %}{{ q }}{% endmacro %}{% set z = w() %}{% cache 300, 'p' %}{{ z }}{% endcache %}",
        ),
        (
            "keeps2",
            "{% set z %}{% include 'prints' %}{% endset %}{% cache 300, 'p' %}{{ z }}{% endcache %}",
        ),
        ("calls", "{% cache 300, 'p' %}{{ w() }}{% endcache %}"),
        ("closes", "{% macro w() %}{{ q }}{% endmacro %}"),
        ("own2", "{% include 'sets' %}{% macro w() %}{{ q }}{% endmacro %}"),
        ("own3", "{% from 'module' import v %}{% macro w() %}{{ v }}{% endmacro %}"),
        ("space", "{{ ns.t }}"),
        ("spaced", "{% cache 300, 's' %}{{ ns.t }}{% endcache %}"),
    ];
    check(
        &Syntax::minijinja(),
        &[
            "$q{% set z | replace('x', q) %}x{% endset %}$b({{ z }})$",
            "$q{% with z = q, y = z %}$b({{ y }})${% endwith %}",
            // The loop's own items.
            "$q{% for z in [q, 1] %}$b({{ loop.previtem }})${% endfor %}",
            "$q{% for z in [1, q] %}$b({{ loop.nextitem }})${% endfor %}",
            "$q{% for z in [q, 1] %}{% set l = loop %}$b({{ l.previtem }})${% endfor %}",
            "$q{% for z in [q, 1] %}$b({% include 'shows' %})${% endfor %}",
            "$q{% macro p(l) %}$b({{ l.previtem }})${% endmacro %}{% for z in [q, 1] %}{{ p(loop) }}{% endfor %}",
            // Iterations.
            "{% set ns = namespace(t='') %}{% for i in [1, 2] %}$b({{ ns.t }})$$q{% set ns.t = q %}{% endfor %}",
            "{% set ns = namespace(t='') %}{% for i in [1, 2] %}{% set u = ns.t %}$b({{ u }})${% set ns.t %}$v{% endset %}{% endfor %}",
            "{% set ns = namespace(t='') %}{% macro p() %}$b({{ ns.t }})${% endmacro %}\
             {% for i in [1, 2] %}{{ p() }}{% set ns.t %}$v{% endset %}{% endfor %}",
            "{% set ns = namespace(t='') %}{% for i in [1, 2] %}$b({% include 'space' %})$\
             {% set ns.t %}$v{% endset %}{% endfor %}",
            "{% set ns = namespace(q='') %}{% macro r(i, x) %}{% cache 300, 'r', i %}{{ x }}{% endcache %}\
             {% endmacro %}{% for i in [1, 2] %}{{ r(i, ns.q) }}{% set ns.q %}$v{% endset %}{% endfor %}",
            "{% set ns = namespace(q='') %}{% macro r(i) %}{% cache 300, 'r', i %}{{ caller() }}{% endcache %}\
             {% endmacro %}{% for i in [1, 2] %}{% call r(i) %}{{ ns.q }}{% endcall %}{% set ns.q %}$v{% endset %}{% endfor %}",
            "{% set ns = namespace(t='') %}{% macro p() %}{{ ns.t }}{% endmacro %}\
             {% for i in [1, 2] %}$b({{ p() }})${% set ns.t %}$v{% endset %}{% endfor %}",
            "{% set ns = namespace(t='') %}{% macro p() %}{{ caller(1) }}{{ caller(2) }}{% endmacro %}\
             {% call(i) p() %}$b({{ ns.t }})${% set ns.t %}$v{% endset %}{% endcall %}",
            "{% set ns = namespace(t='') %}{% for i in [1, 2] %}{% include 'spaced' %}{% set ns.t %}$v{% endset %}{% endfor %}",
            "{% macro row(x) %}$b({{ x }})${% endmacro %}{% macro w() %}{{ row(q) }}{% endmacro %}$q{{ w() }}",
            "{% extends 'bare' %}{% macro row(x) %}$b({{ x }})${% endmacro %}{% block d %}{{ row(q) }}{% endblock %}$q",
            // Namespaces with several names, used as a whole, and changed where they are an
            // argument.
            "{% set ns = namespace(t='') %}{% set z = ns %}{% set z.t %}$v{% endset %}$b({{ ns }})$",
            "{% set ns = namespace(t='') %}{% set z = ns %}{% set z.t %}$v{% endset %}$b({{ ns|items }})$",
            "{% set ns = namespace(t='') %}{% set z = ns %}{% set z.t %}$v{% endset %}{% include 'spaced' %}",
            "{% set ns = namespace() %}{% for x in [ns] %}{% set x.t %}$v{% endset %}{% endfor %}{% include 'spaced' %}",
            "{% set l = [namespace()] %}{% set x = l[0] %}{% set x.t %}$v{% endset %}$b({{ l }})$",
            "{% set ns = namespace(a=namespace()) %}{% set z = ns.a %}{% set z.t %}$v{% endset %}$b({{ ns }})$",
            "{% macro row(o) %}$b({{ o.t }})${% endmacro %}{% set ns = namespace() %}{% set z = ns %}\
             {% set z.t %}$v{% endset %}{{ row(ns) }}",
            "{% macro put(o) %}{% set o.t %}$v{% endset %}{% endmacro %}{% set ns = namespace() %}\
             {{ put(ns) }}{% include 'spaced' %}",
            "{% macro put(o) %}{% set o.t %}$v{% endset %}{% endmacro %}{% set ns = namespace() %}\
             {{ put(ns) }}{% macro p(o) %}{{ o.t }}{% endmacro %}$b({{ p(ns) }})$",
            // Macros as values.
            "{% macro f() %}$v{% endmacro %}{% set d = {'f': f} %}{% set t = d.f() %}$b({{ t }})$",
            "{% from 'module' import w %}{% set d = {'f': w} %}{% set t = d['f']() %}$b({{ t }})$",
            "{% from 'module' import w %}{% for o in [{'f': w}] %}{% set t = o.f() %}$b({{ t }})${% endfor %}",
            "{% from 'module' import w %}{% for o in [w, 1] %}{% set t = loop.previtem() %}$b({{ t }})${% endfor %}",
            "{% from 'module' import w %}{% macro row(x) %}$b({{ x }})${% endmacro %}{{ row((w)()) }}",
            "{% from 'module' import w %}{% macro row(x) %}$b({{ x }})${% endmacro %}{% set d = {'f': w} %}{{ row(d.f()) }}",
            "{% macro w() %}{{ q }}{% endmacro %}{% set f = w %}$q$b({{ f() }})$",
            "{% macro w() %}{{ q }}{% endmacro %}{% set l = [w] %}$q$b({{ l[0]() }})$",
            "{% macro w() %}{{ q }}{% endmacro %}{% set ns = namespace(f=w) %}$q$b({{ ns.f() }})$",
            "{% macro w() %}{{ q }}{% endmacro %}{% set w = w %}$q{% include 'calls' %}",
            // The arguments that a macro gives its `call` block, and the outside names of a macro.
            "$q{% macro w(v) %}{{ caller(v) }}{% endmacro %}{% call(t) w(q) %}$b({{ t }})${% endcall %}",
            "{% macro f() %}$v{% endmacro %}{% macro w() %}{{ caller(f()) }}{% endmacro %}\
             {% call(t) w() %}$b({{ t }})${% endcall %}",
            "$q{% macro z() %}{{ q }}{% endmacro %}{% macro ap(f) %}$b({{ f() }})${% endmacro %}{{ ap(z) }}",
            // Macros print the values that names have at the call.
            "{% macro v() %}{{ q }}{% endmacro %}{% macro w() %}{% set z = v() %}$b({{ z }})${% endmacro %}$q{{ w() }}",
            "{% macro row(x) %}$b({{ x }})${% endmacro %}{% macro v() %}{{ q }}{% endmacro %}\
             {% macro w() %}{{ row(v()) }}{% endmacro %}$q{{ w() }}",
            "{% macro ap(f) %}$b({{ f() }})${% endmacro %}{% macro v() %}{{ q }}{% endmacro %}\
             {% macro w() %}{{ ap(v) }}{% endmacro %}$q{{ w() }}",
            "{% macro w() %}{{ q }}{% endmacro %}$q{% include 'calls' %}",
            "{% extends 'calls' %}{% macro w() %}{{ q }}{% endmacro %}$q",
            "{% extends 'bare' %}{% macro w() %}{{ q }}{% endmacro %}{% block d %}$b({{ w() }})${% endblock %}$q",
            "{% include 'sets' %}{% macro w() %}{{ q }}{% endmacro %}$b({{ w() }})$",
            "$q{% include 'copies' %}{% macro w() %}{{ z }}{% endmacro %}$b({{ w() }})$",
            // Macros defined in branches.
            "{% if n %}{% macro w() %}{{ q }}{% endmacro %}{% else %}{% macro w() %}{% endmacro %}{% endif %}$q$b({{ w() }})$",
            "{% macro w() %}{{ q }}{% endmacro %}{% if n %}{% macro w() %}{% endmacro %}{% endif %}$q$b({{ w() }})$",
            "{% macro w() %}{{ q }}{% endmacro %}{% if n %}{% from 'module' import w %}{% endif %}$q$b({{ w() }})$",
            // Macros of other templates see the names around them.
            "$q{% from 'closes' import w %}$b({{ w() }})$",
            "$q{% import 'closes' as m %}$b({{ m.w() }})$",
            "$q{% include 'closes' %}$b({{ w() }})$",
            "$q{% from 'closes' import w %}{% set z = w() %}$b({{ z }})$",
            "$q{% from 'caches' import w %}{{ w() }}",
            "{% from 'own2' import w %}$b({{ w() }})$",
            "{% from 'own3' import w %}$b({{ w() }})$",
            // Partials.
            "{% include 'sets' %}$b({{ q }})$",
            "{% include 'through' %}$b({{ q }})$",
            "{% include ['none', 'sets'] %}$b({{ q }})$",
            "{% if n %}{% include 'sets' %}{% endif %}$b({{ q }})$",
            "{% set q = 1 %}{% include 'sets' %}$b({{ q }})$",
            "{% for q in [1] %}{% include 'sets' %}$b({{ q }})${% endfor %}",
            "{% include 'sets' %}$b({% include 'prints' %})$",
            "{% include 'sets' %}{% macro m() %}$b({{ q }})${% endmacro %}{{ m() }}",
            "$q{% include 'copies' %}$b({{ z }})$",
            "{% include 'defines' %}{% set t = mm() %}$b({{ t }})$",
            "{% include 'imports' %}{% set t = w() %}$b({{ t }})$",
            "{% include 'sets' %}{% if n %}{% set q = 1 %}{% endif %}$b({{ q }})$",
            "{% include 'sets' %}{% for i in [] %}{% else %}{% set q = 1 %}{% endfor %}$b({{ q }})$",
            "{% include 'header' %}{% include 'footer' %}",
            "{% from 'module' import v %}{% include 'prints_v' %}",
            "{% include 'sets' %}{% include 'prints_v' %}{% from 'module' import v %}{% include 'prints_v' %}",
            "{% include 'defines' %}{{ row(mm()) }}",
            // Rendered later or elsewhere.
            "{% extends 'bare' %}{% block d %}$b({{ q }})${% endblock %}$q",
            "{% extends 'bare' %}{% block d %}{% if n %}$b({{ q }})${% endif %}{% endblock %}$q",
            "{% extends 'bare' %}{% block d %}{% set z = q %}$b({{ z }})${% endblock %}$q",
            "{% block d %}$b({{ q }})${% endblock %}$q{{ self.d() }}",
            "{% block d %}$b({{ q }})${% endblock %}$q{% extends 'bare' %}",
            "{% extends 'bare' %}{% block d %}{% set ns.t %}$v{% endset %}{% endblock %}{% block c %}$b({{ ns.t }})${% endblock %}",
            "{% macro w() %}{% set z = v() %}$b({{ z }})${% endmacro %}{% macro v() %}$v{% endmacro %}",
            // Names that a child binds outside its blocks.
            "{% extends 'prints_q' %}{% include 'sets' %}",
            "{% extends 'prints_v' %}{% from 'module' import v %}",
            "{% extends 'outer' %}{% block c %}$b({{ q }})${% endblock %}",
            "{% extends 'shown' %}{% block d %}$q{{ super() }}{% endblock %}",
            "{% extends 'caches' %}$q",
            "{% extends 'keeps' %}$q",
            "{% extends 'keeps2' %}$q",
            "$q{% include 'keeps' %}",
            "$q{% include 'keeps2' %}",
            // An inner macro prints a name of the one around it.
            "$q{% macro p(z) %}{% macro w() %}{{ z }}{% endmacro %}$b({{ w() }})${% endmacro %}{{ p(q) }}",
            "$q{% macro p(z) %}{% macro w() %}{{ z }}{% endmacro %}{% set y = w() %}$b({{ y }})${% endmacro %}\
             {{ p(z=q) }}",
            // A module's macro prints the module's variable.
            "{% from 'own' import w %}$b({{ w() }})$",
            "{% import 'own' as m %}$b({{ m.w() }})$",
            "{% include 'own' %}$b({{ w() }})$",
            "{% extends 'own' %}{% block c %}$b({{ w() }})${% endblock %}",
            // Imports with the context.
            "{% import 'module' as m with context %}{% set t = m.w() %}$b({{ t }})$",
            "{% import 'module' as m with context %}$b({{ m.v }})$",
            // Unpacked arguments.
            "$q{% macro r(x, y) %}$b({{ y }})${% endmacro %}{{ r(*[1, q]) }}",
            "$q{% macro r(x, y) %}$b({{ y }})${% endmacro %}{% set l = [1, q] %}{{ r(*l) }}",
            "$q{% macro r(x, y) %}$b({{ y }})${% endmacro %}{% set kw = {'y': q} %}{{ r(1, **kw) }}",
            // Modules as values.
            "{% import 'module' as m %}{% set t = m['w']() %}$b({{ t }})$",
            "{% import 'module' as m %}{% set t = (m|attr('w'))() %}$b({{ t }})$",
            "{% import 'module' as m %}{% set t = [m][0].w() %}$b({{ t }})$",
            "{% import 'module' as m %}{% set k = m %}{% set t = k.w() %}$b({{ t }})$",
            "{% import 'module' as m %}{% macro z(x) %}{% set t = x.w() %}$b({{ t }})${% endmacro %}{{ z(m) }}",
            "{% import 'modules' as m %}{% set t = m.sub.w() %}$b({{ t }})$",
            "{% from 'module' import w %}{% set t = (w)() %}$b({{ t }})$",
            "{% from 'module' import w %}{% set t = [w][0]() %}$b({{ t }})$",
            "{% import 'module' as m %}$b({{ m['v'] }})$",
            "{% import 'module' as m %}$b({{ m|items }})$",
            "{% import 'modules' as m %}$b({{ m.sub.v }})$",
            // Parents.
            "{% extends 'parent' %}{% block c %}$b({{ ns.t }})${% endblock %}",
            "{% extends 'parent' %}{% set q = 1 %}{% block c %}$b({{ q }})${% endblock %}",
            "{% extends 'includes' %}{% block c %}$b({{ q }})${% endblock %}",
        ],
        &others,
    );
    // Independent of the content.
    let refused = [
        "{% set z = debug() %}{% cache 300, 'b' %}{{ z }}{% endcache %}",
        "{% for t in [1] recursive %}{% set r = loop([2]) %}{% cache 300, 'b' %}{{ r }}{% endcache %}{% endfor %}",
        "{% macro m() %}{% include 'caller' %}{% cache 300, 'x' %}{{ z }}{% endcache %}{% endmacro %}",
        "{% macro row(x) %}{% cache 300, 'x' %}{{ x }}{% endcache %}{% endmacro %}\
         {% macro m() %}{{ row((caller)()) }}{% endmacro %}",
        "{% macro row(x) %}{% cache 300, 'x' %}{{ x }}{% endcache %}{% endmacro %}\
         {% macro m() %}{{ row([caller][0]()) }}{% endmacro %}",
        "{% macro row(x) %}{% cache 300, 'x' %}{{ x }}{% endcache %}{% endmacro %}\
         {% macro m() %}{% set d = {'f': caller} %}{{ row(d.f()) }}{% endmacro %}",
        "{% macro box(t, caller=none) %}{% cache 300, 'x' %}{{ caller() }}{% endcache %}{% endmacro %}",
        "{% macro m() %}{% set f = caller %}{% macro wr() %}{{ f() }}{% endmacro %}\
         {% macro ap(f) %}{% cache 300, 'x' %}{{ f() }}{% endcache %}{% endmacro %}{{ ap(wr) }}{% endmacro %}",
        "{% macro tree(node) %}{% set kids %}{% for k in node.kids %}{{ tree(k) }}{% endfor %}{% endset %}\
         {% cache 300, 'node', node.id %}{{ kids }}{% endcache %}{% endmacro %}",
    ];
    for page in refused {
        let others = [("caller", "{% set z = caller() %}")];
        assert!(refusal(&Syntax::minijinja(), page, &others).is_some(), "{page}");
    }
    let accepted = [
        "{% for t in ts %}{% cache 300, 'b', t %}{{ loop.index }}{{ loop.previtem }}{% endcache %}{% endfor %}",
        "{% include 'nav' %}{% set q = n %}{% cache 300, 'b', q %}{{ q }}{% endcache %}",
        "{% include 'nav' %}{% for q in qs %}{% cache 300, 'b', q %}{{ q }}{% endcache %}{% endfor %}",
        "{% import 'module' as m %}{% cache 300, 'b' %}{{ m.w() }}{% endcache %}",
        "{% for t in ts recursive %}{% cache 300, 'b', t %}{{ loop(t.children) }}{% endcache %}{% endfor %}",
        "{% macro w() %}{{ n }}{% cache 300, 'n' %}{{ n }}{% endcache %}{% endmacro %}{% include 'calls' %}",
        "{% extends 'calls' %}{% macro w() %}{% cache 300, 'n' %}{{ n }}{% endcache %}{% endmacro %}",
        "{% if n %}{% macro w() %}{% cache 300, 'n' %}{{ n }}{% endcache %}{% endmacro %}{% else %}\
         {% macro w() %}{% endmacro %}{% endif %}{% cache 300, 'b' %}{{ w() }}{% endcache %}",
        "{% for i in ns %}{% macro w() %}{% cache 300, 'n', i %}{{ i }}{% endcache %}{% endmacro %}\
         {% cache 300, 'b', i %}{{ w() }}{% endcache %}{% set x.y = i %}{% endfor %}",
        "{% set q %}{% cache 300, 'n' %}{{ n }}{% endcache %}{% endset %}{% from 'boxes' import box %}\
         {% set nav = n %}{% cache 300, 'b' %}{% call box(n) %}x{% endcall %}{% endcache %}{{ q }}",
        "{% from 'module' import w %}{% set d = {'f': w, 't': n} %}{% set t = d.t %}\
         {% cache 300, 'b' %}{{ d.f() }}{{ t }}{{ d['t'] }}{% endcache %}",
        "{% macro w() %}{% cache 300, 'n' %}{{ n }}{% endcache %}{% endmacro %}{% set f = w %}\
         {% cache 300, 'b' %}{{ f() }}{{ [w][0]() }}{% endcache %}",
        "{% set ns = namespace(n=0) %}{% set z = ns %}{% set z.n = n %}{% set t = namespace() %}\
         {% set t.q %}{% cache 300, 'n' %}{{ n }}{% endcache %}{% endset %}\
         {% cache 300, 'b' %}{{ ns }}{{ ns|items }}{{ z.n }}{% endcache %}",
        "{% macro rows() %}{{ caller(1) }}{% endmacro %}{% call(t) rows() %}{% cache 300, 'b', t %}{{ t }}{% endcache %}{% endcall %}",
    ];
    for page in accepted {
        let others = [
            ("nav", "{% set q %}{% cache 300, 'n' %}{{ n }}{% endcache %}{% endset %}{{ q }}"),
            ("module", "{% macro w() %}{% cache 300, 'n' %}{{ n }}{% endcache %}{% endmacro %}"),
            ("calls", "{% cache 300, 'p' %}{{ w() }}{% endcache %}"),
            ("boxes", "{% macro box(q) %}{{ q }}{{ caller() }}{{ nav }}{% endmacro %}"),
        ];
        let found = refusal(&Syntax::minijinja(), page, &others);
        assert!(found.is_none(), "{page}\n{found:?}");
    }
}

/// What others fill in stays what it is in a list or a map, and under any name.
#[test]
fn a_caller_is_followed_into_containers() {
    let refused = |body: &str| {
        let lib = format!("{{% macro m(k) %}}{body}{{% endmacro %}}");
        refusal(&Syntax::minijinja(), &lib, &[])
    };
    let block = "{% cache 300, 'b', k %}{{ x }}{% endcache %}";
    let next = |called: &str| {
        format!(
            "{{% set s = namespace(t='') %}}{{% for z in [1, 2] %}}{{% if loop.last %}}\
             {{% cache 300, 'b', k %}}{{{{ s.t }}}}{{% endcache %}}{{% endif %}}\
             {{% set s.t = {called} %}}{{% endfor %}}"
        )
    };
    let passed = |given: &str, called: &str| {
        format!(
            "{{% macro p(t) %}}{{% set x %}}{{{{ {called} }}}}{{% endset %}}{block}{{% endmacro %}}\
             {{{{ p({given}) }}}}"
        )
    };
    for (wrong, innocent) in [
        ("{% set u = [caller] %}{% set x = u[0]() %}", "{% set u = [k] %}{% set x = u[0] %}"),
        ("{% set t = caller %}{% set t = [t] %}{% set x = t[0]() %}", "{% set x = [k][0] %}"),
        ("{% set u = {'a': caller} %}{% set x = u['a']() %}", "{% set x = {'a': k}['a'] %}"),
    ] {
        assert!(refused(&format!("{wrong}{block}")).is_some(), "{wrong}");
        assert_eq!(refused(&format!("{innocent}{block}")), None, "{innocent}");
    }
    let list = "{% set t = caller %}{% set t = [t] %}";
    assert!(refused(&format!("{list}{}", next("t[0]()"))).is_some());
    assert_eq!(refused(&format!("{list}{}", next("k[0]"))), None);
    assert!(refused(&passed("{'a': caller}", "t['a']()")).is_some());
    assert_eq!(refused(&passed("{'a': k}", "t['a']")), None);
    assert!(refused(&passed("{'a': caller}", "t.a()")).is_some());
    assert_eq!(refused(&passed("k", "t.title()")), None);
}

#[test]
fn a_macro_of_a_partial_has_its_own_caller() {
    let refused = |partial: &str| {
        let page =
            "{% macro m(k) %}{% cache 300, 'b' %}{% include 'part' %}{% endcache %}{% endmacro %}";
        let used = "{% macro m(k) %}{{ caller() }}{% endmacro %}";
        let others = [("part", partial)];
        (refusal(&Syntax::minijinja(), page, &others), refusal(&Syntax::minijinja(), used, &[]))
    };
    assert_eq!(refused("{% macro l(k) %}{{ caller() }}{% endmacro %}"), (None, None));
    assert!(refused("{{ caller() }}").0.is_some());
}
