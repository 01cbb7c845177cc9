//! Every refusal: its place, and its advice.

use super::*;

/// The refusal of `source` as `line:column message`.
fn refusal(source: &str, syntax: &Syntax) -> String {
    match rewrite("page.html", source, syntax) {
        Ok(page) => format!("accepted: {}", page.source()),
        Err(error) => {
            let message = error.message();
            assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
            let place = error.location().unwrap();
            format!("{}:{} {message}", place.line, place.column)
        }
    }
}

pub(super) fn refused(syntax: &Syntax, cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        let found = refusal(source, syntax);
        assert!(found.starts_with(expected), "{source}\nfound:    {found}\nexpected: {expected}");
    }
}

pub(super) fn accepted(syntax: &Syntax, sources: &[&str]) {
    for source in sources {
        let found = rewrite("page.html", source, syntax);
        assert!(found.is_ok(), "{source}\n{}", found.unwrap_err());
    }
}

pub(super) fn both(cases: &[(&str, &str)]) {
    refused(&Syntax::minijinja(), cases);
    refused(&Syntax::tera(), cases);
}

#[test]
fn output_from_before_a_block_is_not_printed_in_it() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let before = "{% set x %}{% cache 1, 'a' %}{% endcache %}{% endset %}";
        refused(
            &syntax,
            &[
                (
                    &format!("{before}{{% cache 1, 'b' %}}{{{{ x }}}}{{% endcache %}}"),
                    "1:77 the cache block of line 1, column 56 uses `x`, set on line 1, column 1, \
                     which is rendered before it",
                ),
                (
                    &format!(
                        "{{% cache 1, 'o' %}}{before}{{% cache 1, 'b' %}}{{% if x %}}{{% endif %}}{{% endcache %}}{{% endcache %}}"
                    ),
                    "1:98 the cache block of line 1, column 74 uses `x`",
                ),
            ],
        );
        accepted(
            &syntax,
            &[
                &format!(
                    "{before}{{{{ x }}}}{{% cache 1, 'b' %}}{{{{ y.x }}}}{{{{ f(x=1) }}}}{{% endcache %}}"
                ),
                &format!("{{% cache 1, 'o' %}}{before}{{{{ x }}}}{{% endcache %}}"),
                &format!(
                    "{before}{{% set x = 1 %}}{{% cache 1, 'b' %}}{{{{ x }}}}{{% endcache %}}"
                ),
                "{% set x %}plain{% endset %}{% cache 1, 'b' %}{{ x }}{% endcache %}",
            ],
        );
    }
}

#[test]
fn arguments() {
    both(&[
        ("{% cache , 1 %}{% endcache %}", "1:10 an argument is missing before this comma"),
        ("{% cache 1,, 2 %}{% endcache %}", "1:12 an argument is missing before this comma"),
        ("{% cache 1,2,, %}{% endcache %}", "1:14 an argument is missing"),
        ("{% cache unless=a, 1 %}{% endcache %}", "1:20 `1` stands after the option `unless`"),
        (
            "{% cache 1, unles=a %}{% endcache %}",
            "1:13 unknown option `unles`: the options are `unless`, `refresh`, `shared`, `tags`, `stale`, `version` and `using`; did you mean `unless`?",
        ),
        (
            "{% cache 1, zzzzzzzzzz=a %}{% endcache %}",
            "1:13 unknown option `zzzzzzzzzz`: the options are `unless`, `refresh`, `shared`, `tags`, `stale`, `version` and `using`",
        ),
        ("{% cache 1, unless=a, unless=b %}{% endcache %}", "1:23 option `unless` is given twice"),
        ("{% cache 1, unless= %}{% endcache %}", "1:13 option `unless` has no value"),
        (
            "{% cache 1, usin='b' %}{% endcache %}",
            "1:13 unknown option `usin`: the options are `unless`, `refresh`, `shared`, `tags`, `stale`, `version` and `using`; did you mean `using`?",
        ),
        ("{% cache 1, using= %}{% endcache %}", "1:13 option `using` has no value: write `using=`"),
        ("{% cache 1, shared=x %}{% endcache %}", "1:20 `shared` is `x`, which is known only when"),
        ("{% cache 1, *xs %}{% endcache %}", "1:13 `*xs` unpacks a value"),
        ("{% cache 1) ~ f(2 %}{% endcache %}", "1:11 this `)` closes nothing in the arguments"),
        ("{% cache 1, **xs %}{% endcache %}", "1:13 `**xs` unpacks a value"),
        ("{% cache 1, ...xs %}{% endcache %}", "1:13 `...xs` unpacks a value"),
    ]);
}

#[test]
fn an_open_bracket() {
    refused(
        &Syntax::tera(),
        &[("{% cache 1, [2 %}{% endcache %}", "1:13 this `[` is never closed in the arguments")],
    );
    // MiniJinja reads on to find the end of the tag.
    refused(
        &Syntax::minijinja(),
        &[("{% cache 1, [2 %}{% endcache %}", "1:1 this `cache` tag has no end")],
    );
}

#[test]
fn pairing() {
    both(&[
        ("a\n {% endcache %}", "2:2 `endcache` closes nothing"),
        ("{% if x %}{% endcache %}{% endif %}", "1:11 `endcache` closes nothing"),
        ("a\n {% cache 1 %}", "2:2 this cache block is never closed: write `{% endcache %}`"),
        ("{% cache 1 %}{% if x %}", "1:1 this cache block is never closed"),
        (
            "{% if x %}{% cache 1 %}{% endif %}{% endcache %}",
            "1:24 `endif` belongs to the statement opened on line 1, column 1, but the cache block of line 1, column 11 is still open",
        ),
        (
            "{% if x %}{% cache 1 %}{% else %}{% endcache %}{% endif %}",
            "1:24 `else` belongs to the statement opened on line 1, column 1",
        ),
        (
            "{% cache 1 %}{% if x %}{% endcache %}{% endif %}",
            "1:24 `endcache` comes while the `if` of line 1, column 14 is open inside the cache block: write `{% endif %}` before it",
        ),
        (
            "{% cache 1 %}{% endfilter %}{% endcache %}",
            "1:14 `endfilter` belongs to nothing in the cache block",
        ),
        ("{% cache 1 %}{% else %}{% endcache %}", "1:14 `else` belongs to nothing"),
        ("{% cache 1", "1:1 this `cache` tag has no end"),
        ("{% cache 'a }{% endcache %}", "1:1 this `cache` tag has no end"),
        (
            "{% cache 1, \"a\" %}{% endcache b %}",
            "1:19 `endcache` names `b`, but the cache block of line 1, column 1 is named `\"a\"`",
        ),
        (
            "{% cache 1 %}{% endcache b %}",
            "1:14 `endcache` names `b`, but the cache block of line 1, column 1 has no name",
        ),
    ]);
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        accepted(
            &syntax,
            &[
                "{% cache 1, \"a\" %}{% endcache a %}",
                "{% cache 1, \"a\" %}{% endcache \"a\" %}",
                "{% cache 1, 'a b' %}{% endcache \"a b\" %}",
                "{% cache 1, a.b %}{% endcache a.b %}",
                "{% raw %}{% endcache %}{% endraw %}{# {% cache %} #}{{ \"{% cache %}\" }}",
            ],
        );
    }
}

#[test]
fn places() {
    let minijinja = Syntax::minijinja();
    let unnamed = "an unnamed cache block in ";
    both(&[
        (
            "{% for x in xs %}{% cache 1 %}{% endcache %}{% endfor %}",
            "1:18 an unnamed cache block in the `for` loop of line 1, column 1 would give all iterations the same fragment",
        ),
        (
            "{% for x in xs %}{% if x %}{% cache 1 %}{% endcache %}{% endif %}{% endfor %}",
            &format!("1:28 {unnamed}the `for` loop"),
        ),
        (
            "{% cache 1 %}{% extends 'b' %}{% endcache %}",
            "1:14 `extends` is not allowed in a cache block",
        ),
        (
            "{% for x in xs %}{% cache 1, 'a', x %}{% break %}{% endcache %}{% endfor %}",
            "1:39 `break` would leave the cache block of line 1, column 18",
        ),
        (
            "{% for x in xs %}{% cache 1, 'a', x %}{% if x %}{% continue %}{% endif %}{% endcache %}{% endfor %}",
            "1:49 `continue` would leave the cache block",
        ),
        (
            "{% for x in xs %}{% cache 1, 'a', x %}{% for y in x %}{% else %}{% break %}{% endfor %}{% endcache %}{% endfor %}",
            "1:65 `break` would leave the cache block",
        ),
        (
            "{% cache 1, 'a' %}{% if x %}{% block b %}{% endblock %}{% endif %}{% endcache %}",
            "1:1 this cache block contains `{% block b %}`, which each child template fills (line 1, column 29)",
        ),
        (
            "{% cache 1, 'a' %}{% cache 1, 'b', x %}{% block b %}{% endblock %}{% endcache %}{% endcache %}",
            "1:1 this cache block contains `{% block b %}`",
        ),
    ]);
    refused(
        &minijinja,
        &[
            (
                "{% macro m() %}{% cache 1 %}{% endcache %}{% endmacro %}",
                &format!("1:16 {unnamed}the macro"),
            ),
            (
                "{% call m() %}{% cache 1 %}{% endcache %}{% endcall %}",
                &format!("1:15 {unnamed}the `call` block"),
            ),
            (
                "{% macro m() %}{% cache 1, 'a' %}{{ caller() }}{% endcache %}{% endmacro %}",
                "1:16 this cache block uses `caller`",
            ),
            (
                "{% cache 1, 'a' %}{{ self.title() }}{% endcache %}",
                "1:1 this cache block renders a block through `self`",
            ),
            (
                "{% macro m() %}{% cache 1, 'a' %}{% set x = caller (1) %}{% endcache %}{% endmacro %}",
                "1:16 this cache block uses `caller`",
            ),
            (
                "{% cache 1 %}{% set ns.x = 1 %}{% endcache %}",
                "1:21 `ns` is created outside the cache block",
            ),
            (
                "{% set ns = namespace() %}{% cache 1 %}{% set ns.x %}1{% endset %}{% endcache %}",
                "1:47 `ns` is created outside the cache block",
            ),
            (
                "{% cache 1 %}{% set ns = namespace() %}{% cache 2 %}{% set ns.x = 1 %}{% endcache %}{% endcache %}",
                "1:60 `ns` is created outside the cache block",
            ),
            (
                "{% cache 1 %}{% for a in b %}{% set ns = namespace() %}{% endfor %}{% set ns.x = 1 %}{% endcache %}",
                "1:75 `ns` is created outside the cache block",
            ),
            ("{% cache 1 %}{% set a, ns.x = 1, 2 %}{% endcache %}", "1:24 `ns` is created outside"),
            (
                "{% cache 1 %}{% for x in y %}{% call m() %}{% break %}{% endcall %}{% endfor %}{% endcache %}",
                "1:44 `break` cannot leave the `call` of line 1, column 30, which is rendered by itself",
            ),
            (
                "{% for x in y %}{% call m() %}{% cache 1, 'a' %}{% continue %}{% endcache %}{% endcall %}{% endfor %}",
                "1:49 `continue` cannot leave the `call` of line 1, column 17",
            ),
        ],
    );
    refused(
        &Syntax::tera(),
        &[
            (
                "{% component c() %}{% cache 1 %}{% endcache %}{% endcomponent %}",
                &format!("1:20 {unnamed}the component"),
            ),
            (
                "{% component c() %}{% cache 1, 'a' %}{{ body }}{% endcache %}{% endcomponent %}",
                "1:41 the cache block of line 1, column 20 uses the component's `body`, which",
            ),
            (
                "{% cache 1 %}{% set_global x = 1 %}{% endcache %}",
                "1:14 `set_global` in a cache block takes effect after a miss but not after a hit: write `set`",
            ),
            (
                "{% cache 1 %}{% for x in y %}{% set_global z = x %}{% endfor %}{% endcache %}",
                "1:30 `set_global` in a cache block takes effect after a miss but not after a hit: move the loop",
            ),
            (
                "{% extends 'b' %}\n{% cache 1 %}{% endcache %}",
                "2:1 a child template prints only what is inside its blocks",
            ),
        ],
    );
    accepted(
        &minijinja,
        &[
            "{% for x in xs %}{% else %}{% cache 1 %}{% endcache %}{% endfor %}",
            "{% cache 1 %}{% for x in xs %}{% if x %}{% break %}{% endif %}{% endfor %}{% endcache %}",
            "{% cache 1, 'a', x %}{% block b %}{% endblock %}{% endcache %}",
            "{% cache 1, shared=true %}{% block b %}{% endblock %}{% endcache %}",
            "{% macro m() %}{% cache 1, 'a', x %}{{ caller() }}{% endcache %}{% endmacro %}",
            "{% cache 1 %}{{ x.caller() }}{{ caller }}{{ 'caller()' }}{% endcache %}",
            "{% cache 1 %}{% with ns = namespace(a=1), b = 2 %}{% set ns.x = b %}{% endwith %}{% endcache %}",
            "{% cache 1 %}{% set ns = namespace() %}{% for x in xs %}{% set ns.x = x %}{% endfor %}{% endcache %}",
            "{% extends 'b' %}{% cache 1 %}{% endcache %}",
        ],
    );
    accepted(
        &Syntax::tera(),
        &[
            "{% cache 1, 'a', x %}{% component c() %}{{ body }}{% endcomponent %}{% endcache %}",
            "{% component c() %}{% cache 1, 'a' %}{{ x.body }}{{ f(body=1) }}{% endcache %}{% endcomponent %}",
            "{% cache 1 %}{{ body }}{% endcache %}",
            "{% cache 1, x?['a'], y?[0][1]?.b %}{% endcache %}",
            "{% extends 'b' %}{% block b %}{% cache 1 %}{% endcache %}{% endblock %}",
        ],
    );
}

#[test]
fn a_use_is_one_of_that_binding() {
    let others = "it would serve the content of one to another";
    let before = "which is rendered before it";
    let kept = "{% set t %}{% cache 9, 'a' %}x{% endcache %}{% endset %}";
    let in_macro = |body: &str| format!("{{% macro m() %}}{body}{{% endmacro %}}");
    let refused_in = |syntax: &Syntax, source: &str, message: &str| {
        let found = refusal(source, syntax);
        assert!(found.contains(message), "{source}\n{found}");
    };
    // Under another name, in a list, as an argument, tested, in an inner macro, in a section.
    for body in [
        "{% set f = caller %}{% cache 9, 'x' %}{{ f() }}{% endcache %}",
        "{% with f = [caller] %}{% cache 9, 'x' %}{{ f[0]() }}{% endcache %}{% endwith %}",
        "{% for f in [caller] %}{% cache 9, 'x' %}{{ f() }}{% endcache %}{% endfor %}",
        "{% cache 9, 'x' %}{{ i(caller) }}{% endcache %}",
        "{% cache 9, 'x' %}{% if caller %}1{% endif %}{% endcache %}",
        "{% set f = caller %}{% macro i() %}{{ f() }}{% endmacro %}{% cache 9, 'x' %}{{ i() }}{% endcache %}",
        "{% set ns = namespace() %}{% set ns.f = caller %}{% cache 9, 'x' %}{{ ns.f() }}{% endcache %}",
        "{% if a %}{% set f = caller %}{% else %}{% set f = 1 %}{% endif %}{% cache 9, 'x' %}{{ f }}{% endcache %}",
        "{% set f = caller %}{% cache 9, 'x' %}{% include name %}{{ f }}{% endcache %}",
    ] {
        refused_in(&Syntax::minijinja(), &in_macro(body), others);
        let varied = in_macro(&body.replace("'x' %}", "'x', id %}"));
        accepted(&Syntax::minijinja(), &[&varied]);
    }
    let filled = "{% set t = self.a() %}{% cache 9, 'x' %}{{ t }}{% endcache %}";
    refused_in(&Syntax::minijinja(), filled, others);
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        for use_of in [
            "{% set u = t %}{% cache 9, 'b' %}{{ u }}{% endcache %}",
            "{% set u = [t] %}{% cache 9, 'b' %}{{ u[0] }}{% endcache %}",
            "{% set u %}({{ t }}){% endset %}{% cache 9, 'b' %}{{ u }}{% endcache %}",
            "{% for u in [t] %}{% cache 9, 'b', u|length %}{{ u }}{% endcache %}{% endfor %}",
            "{% if a %}{% set t = 1 %}{% endif %}{% cache 9, 'b' %}{{ t }}{% endcache %}",
            "{% if a %}{% set t = 1 %}{% else %}{% cache 9, 'b' %}{{ t }}{% endcache %}{% endif %}",
            "{% if a %}{% if b %}{% set u = t %}{% endif %}{% cache 9, 'b' %}{{ u }}{% endcache %}{% endif %}",
            "{% if a %}{% set u = t %}{% elif b %}{% endif %}{% cache 9, 'b' %}{{ u }}{% endcache %}",
            "{% for i in x %}{% else %}{% set t = 1 %}{% endfor %}{% cache 9, 'b' %}{{ t }}{% endcache %}",
        ] {
            refused_in(&syntax, &format!("{kept}{use_of}"), before);
        }
        for other in [
            "{% cache 9, 'b' %}{% for t in [1, 2] %}{{ t }}{% endfor %}{% endcache %}",
            "{% for u in [t] %}{% cache 9, 'b', u %}{{ u }}{% endcache %}{% endfor %}",
            "{% for t in [1, 2] %}{% cache 9, 'b', t %}{{ t }}{% endcache %}{% endfor %}",
            "{% set t = 1 %}{% cache 9, 'b' %}{{ t }}{% endcache %}",
            "{% if a %}{% set t = 1 %}{% cache 9, 'b' %}{{ t }}{% endcache %}{% endif %}",
            "{% if a %}{% else %}{% set t = 1 %}{% cache 9, 'b' %}{{ t }}{% endcache %}{% endif %}",
            "{% cache 9, 'b' %}{% set t = 1 %}{{ t }}{{ a.t }}{{ a|t }}{{ f(t=1) }}{% endcache %}",
            "{% cache 9, 'b' %}{% block t %}{% endblock t %}{% endcache %}",
        ] {
            let other = other.replace("'b' %}{% block", "'b', a %}{% block");
            accepted(&syntax, &[&format!("{kept}{{{{ t }}}}{other}")]);
        }
    }
    let global = "{% for i in x %}{% if a %}{% set_global u = t %}{% endif %}{% endfor %}\
                  {% cache 9, 'b' %}{{ u }}{% endcache %}";
    refused_in(&Syntax::tera(), &format!("{kept}{global}"), before);
    for other in [
        "{% cache 9, 'b' %}{% with t = 1 %}{{ t }}{% endwith %}{% endcache %}",
        "{% macro m(t) %}{% cache 9, 'b', t %}{{ t }}{% endcache %}{% endmacro %}{{ m(1) }}",
        "{% cache 9, 'b' %}{% macro m(t) %}{{ t }}{% endmacro %}{{ m(1) }}{% endcache %}",
        "{% cache 9, 'b' %}{% from 'x' import t %}{{ t }}{% endcache %}",
        "{% cache 9, 'b' %}{% import 'x' as t %}{{ t.a }}{% endcache %}",
    ] {
        accepted(&Syntax::minijinja(), &[&format!("{kept}{other}")]);
    }
    // The outside names of a macro's block are checked where the macro is called.
    let called = "{% macro m() %}{% cache 9, 'b' %}{{ t }}{% endcache %}{% endmacro %}";
    refused_in(&Syntax::minijinja(), &format!("{called}{kept}{{{{ m() }}}}"), before);
    let bodies = |body: &str| format!("{{% component c() %}}{body}{{% endcomponent %}}");
    for body in [
        "{% set b = body %}{% cache 9, 'x' %}{{ b }}{% endcache %}",
        "{% cache 9, 'x' %}{% if body %}1{% endif %}{% endcache %}",
        "{% for b in [body] %}{% cache 9, 'x', b.a %}{{ b }}{% endcache %}{% endfor %}",
    ] {
        refused_in(&Syntax::tera(), &bodies(body), before);
    }
    accepted(
        &Syntax::tera(),
        &[&bodies("{% cache 9, 'x' %}{% for body in [1] %}{{ body }}{% endfor %}{% endcache %}")],
    );
}

#[test]
fn namespaces_are_known_by_their_binding() {
    accepted(
        &Syntax::minijinja(),
        &[
            "{% cache 1 %}{% set ns = namespace() %}{% set o = ns %}{% set o.c = 1 %}{% endcache %}",
            "{% cache 1 %}{% set ns = (namespace()) %}{% set ns.c = 1 %}{% endcache %}",
            "{% for x in xs %}{% cache 1, 'a', x %}{% for y in x %}{{ loop.changed(y) }}{% endfor %}{% endcache %}{% endfor %}",
            "{% for x in xs %}{% cache 1, 'a', x %}{{ loop.index }}{% endcache %}{% endfor %}",
        ],
    );
    let changed =
        "{% for x in xs %}{% cache 1, 'a', x %}{{ loop.changed(x) }}{% endcache %}{% endfor %}";
    refused(&Syntax::minijinja(), &[(changed, "1:42 `loop.changed` remembers its last value")]);
}

#[test]
fn columns_count_characters_and_bom_none() {
    let syntax = Syntax::tera();
    refused(
        &syntax,
        &[
            ("\u{feff}{% endcache %}", "1:1 "),
            ("\u{feff}\u{feff}é\t😀{% endcache %}", "1:5 "),
            ("a\r\n\té{% endcache %}", "2:3 "),
        ],
    );
}

#[test]
fn nesting_is_refused_where_the_engine_would_give_up() {
    for (syntax, most) in [(Syntax::minijinja(), 49), (Syntax::tera(), 13)] {
        let nested = |depth: usize| {
            format!("{}x{}", "{% cache 1 %}".repeat(depth), "{% endcache %}".repeat(depth))
        };
        let deepest = nested(most);
        let page = rewrite("page.html", &deepest, &syntax).unwrap();
        let rendered = match syntax.dialect() {
            Dialect::MiniJinja => render_minijinja(&SyntaxConfig::default(), page.source()),
            Dialect::Tera => render_tera_in(tera_engine(), page.source()),
        };
        assert_eq!(rendered.as_deref(), Ok("x"));
        for depth in [most + 1, 10_000] {
            let message = refusal(&nested(depth), &syntax);
            let place = format!("1:{} this nests deeper than", 13 * most + 1);
            assert!(message.starts_with(&place), "{message}");
        }
        // One level is left in MiniJinja, and none in Tera.
        let deep = most - usize::from(syntax.dialect() == Dialect::Tera);
        let filled = nested(deep).replace('x', "{% if n %}{{ n + 1 }}{% endif %}");
        let page = rewrite("page.html", &filled, &syntax).unwrap();
        let rendered = match syntax.dialect() {
            Dialect::MiniJinja => render_minijinja(&SyntaxConfig::default(), page.source()),
            Dialect::Tera => render_tera_in(tera_engine(), page.source()),
        };
        assert_eq!(rendered.as_deref(), Ok("4"));
        let ifs = format!("{}{}", "{% cache 1 %}".repeat(most), "{% if x %}".repeat(3));
        assert!(refusal(&ifs, &syntax).contains("this nests deeper"));
    }
}

#[test]
fn an_engine_can_speak_for_itself() {
    // Errors that have nothing to do with cache blocks: the rest is left as it is, and the part
    // before is rewritten.
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        for rest in
            ["{% endif %}", "{{ 'a", "{# a", "{% raw %}", "{% if x", "{% if x %}{% endfor %}"]
        {
            let source = format!("{{% cache 1 %}}a{{% endcache %}}{rest}");
            let page = rewrite("page.html", &source, &syntax).unwrap();
            assert!(page.source().ends_with(rest) && page.blocks().len() == 1);
        }
        let page = rewrite("page.html", "{% cache 1 %}{# {% endcache %}", &syntax).unwrap();
        assert_eq!(page.blocks().len(), 1);
    }
}

#[test]
fn unusable_delimiters_are_an_error() {
    for syntax in [
        Syntax::minijinja().with_block_delimiters("", "%}"),
        Syntax::minijinja().with_comment_delimiters("{#", ""),
        Syntax::minijinja().with_variable_delimiters("{%", "}}"),
        Syntax::minijinja().with_line_statement_prefix(Some("{%")),
        Syntax::tera().with_block_delimiters("[[[", "]]]"),
        Syntax::tera().with_variable_delimiters("日", "}}"),
        Syntax::tera().with_line_statement_prefix(Some("#")),
    ] {
        let error = rewrite("page.html", "text", &syntax).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

#[test]
fn two_whitespace_markers_are_refused() {
    for (syntax, tag) in
        [(Syntax::minijinja(), "{%-+ cache 300 %}"), (Syntax::tera(), "{%-- cache %}")]
    {
        let error = rewrite("page.html", &format!("{tag}x{{% endcache %}}"), &syntax).unwrap_err();
        assert!(error.message().ends_with("keep one of them"), "{error}");
    }
}
