//! MiniJinja: the lowered text, and its output under every whitespace setting.

use minijinja::syntax::SyntaxConfig;

use super::*;

fn settings() -> Vec<SyntaxConfig> {
    let mut out = Vec::new();
    for bits in 0..8 {
        let mut builder = SyntaxConfig::builder();
        builder.trim_blocks(bits & 1 != 0);
        builder.lstrip_blocks(bits & 2 != 0);
        builder.keep_trailing_newline(bits & 4 != 0);
        out.push(builder.build().unwrap());
    }
    out
}

#[test]
fn the_lowered_text_is_as_agreed_with_the_runtime() {
    let source = "a {%- cache 300, \"x\", n, unless=not n -%} b {% endcache %}";
    let page = rewrite("p.html", source, &Syntax::minijinja()).unwrap();
    let site = format!("\"{}u:1:3:1:p.html\"", page.blocks()[0].digest());
    let open = format!(
        "{{%- if {site}|__fragcache_open( 300, \"x\", n, (not n) and true ) %}}\
         {{{{ 0|__fragcache_hit }}}}{{% else %}}{{% with __fragcache=0|__fragcache_ticket %}}\
         {{% filter __fragcache_close(__fragcache) -%}}"
    );
    let close = "{% endfilter %}{% endwith %}{% endif %}";
    assert_eq!(page.source(), format!("a {open} b {close}"));

    let page = rewrite("p.html", "{% cache %}b{% endcache %}", &Syntax::minijinja()).unwrap();
    assert!(page.source().contains("\"|__fragcache_open %}"), "{}", page.source());
}

#[test]
fn markers_and_settings_print_like_an_if() {
    let markers = ["", "-", "+"];
    for config in settings() {
        for bits in 0..81 {
            let marker = |at: u32| markers[(bits / 3_usize.pow(at)) % 3];
            let source = format!(
                "a\n  {{%{} @O {}%}}\n\n  {{{{ n }}}}\n  {{%{} @C {}%}}  \n\n b\n",
                marker(0),
                marker(1),
                marker(2),
                marker(3)
            );
            same_as_native(&config, &source);
        }
    }
}

const BODIES: [&str; 13] = [
    "{% for x in xs recursive %}{% @O %}{{ x }}{% if n and loop.depth < 3 %}{{ loop([7, 8]) }}{% endif %}{% @C %}{% endfor %}",
    "{% @O %}{% @C %}",
    "{% @O %}\r\n{{ html }}\r\n{% @C %}\r\n",
    "{% for x in xs %}{% @O %}{{ loop.index }}{% @C %}{% endfor %}",
    "{% @O %}{% for x in xs %}{{ x }}{% if x == 1 %}{% continue %}{% endif %}z{% endfor %}{% @C %}",
    "{% @O %}a{% @O %}b{% @O %}c{% @C %}d{% @C %}e{% @C %}",
    "{% set y = 1 %}{% @O %}{% if true %}{{ y }}{% endif %}{% @C %}{{ y }}",
    "{% @O %}{% raw %}{% cache %}{% endraw %}{# {% cache %} #}{{ '{% cache %}' }}{% @C %}",
    "{% macro m(a) %}{% @O %}{{ a }}{{ caller() }}{% @C %}{% endmacro %}{% call m(1) %}x{% endcall %}",
    "{% @O %}{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}{% @C %}",
    "{% autoescape false %}{% @O %}{{ html }}{% @C %}{% endautoescape %}{{ html }}",
    "{% if n %}{% @O %}a{% @C %}{% elif empty %}{% @O %}b{% @C %}{% else %}c{% endif %}",
    "{% @O %}{% macro inner() %}<{{ caller() }}>{% endmacro %}{% call inner() %}i{% endcall %}{% @C %}",
];

#[test]
fn bodies_print_like_those_of_an_if() {
    for config in settings() {
        for source in BODIES {
            same_as_native(&config, source);
        }
    }
}

#[test]
fn custom_delimiters_are_kept() {
    let configs = [
        ("<%", "%>", "${", "}", "<#", "#>"),
        ("\\BLOCK{", "}", "\\VAR{", "}", "\\#{", "}"),
        ("[%", "%]", "[[", "]]", "[#", "#]"),
        ("«", "»", "‹", "›", "<!--", "-->"),
        ("{", "}", "{{", "}}", "{#", "#}"),
    ];
    for (bs, be, vs, ve, cs, ce) in configs {
        for bits in 0..4 {
            let config = SyntaxConfig::builder()
                .block_delimiters(bs, be)
                .variable_delimiters(vs, ve)
                .comment_delimiters(cs, ce)
                .trim_blocks(bits & 1 != 0)
                .lstrip_blocks(bits & 2 != 0)
                .build()
                .unwrap();
            for source in BODIES {
                let source = source
                    .replace("{{", "\u{1}")
                    .replace("}}", "\u{2}")
                    .replace("{#", "\u{5}")
                    .replace("#}", "\u{6}")
                    .replace("{%", "\u{3}")
                    .replace("%}", "\u{4}")
                    .replace('\u{1}', vs)
                    .replace('\u{2}', ve)
                    .replace('\u{3}', bs)
                    .replace('\u{4}', be)
                    .replace('\u{5}', cs)
                    .replace('\u{6}', ce);
                same_as_native(&config, &source);
                same_as_native(&config, &format!("  {bs} @O {be}\n {bs}- @C {be}\n"));
            }
            let dict = format!(
                "{bs} cache 300, 'x', [{{'a': {{'b': '{be}'}}}}['a']['b']] {be}b{bs} endcache {be}"
            );
            let page = rewrite("page.html", &dict, &syntax_of(&config)).unwrap();
            assert_eq!(render_minijinja(&config, page.source()).as_deref(), Ok("b"), "{dict}");
        }
    }
}

#[test]
fn line_statements_print_like_an_if() {
    let sources = [
        "a\n# @O\nb\n# @C\nc\n",
        "# @O\nb\n# @C",
        "# @O\n# @C\n",
        "a\n  # @O\n\n  b\n\n\t# @C  \n\nc",
        "# for x in xs\n  # @O\n    # if x == 1\n      one\n    # else\n  other\n    # endif\n  # @C\n# endfor\n",
        "a\r\n# @O\r\nb\r\n# @C\r\nc\r\n",
        "a\r  # @O\rb\r# @C\rc\r",
        "# @O\n   {% if true %}\n  x\n   {% endif %}\n# @C\n  {% if true %}\ny{% endif %}",
        "# @O\n   {# c #}\n  x\n   {{ n }}\n# @C\n  {{ n }}\n",
        "# @O\n   {%+ if true %}x{% endif %}\n# @C\n  {%- if true %}y{% endif %}",
        "# @O\n  ## a comment\nx ## another\n# @C\n## last",
        "# @O\n  ## a comment\n  # if n\nx\n# endif\n# @C\n## last",
        "{{ n -}}\n  # @O\nb\n# @C\n {{- n }}",
        "{% @O %}\n# if n\nx\n# endif\n{% @C %}\n",
        "# @O\n{% @O %}\n# if n\nx\n# endif\n{% @C %}\n# @C\n",
        "# @O\n{% raw %} # if {% endraw %}\n# @C\n  {% raw %} # {% endraw %}",
        "# @O\n\n\n# if n\n\nx\n# endif\n\n\n# @C\n",
        "# @O\n# set y = [1,\n 2]\n# for x in y\n{{ x }}\n# endfor\n# @C\n",
        "# @O\n# set y\nq\n# endset\n# include ['none', 'page'] ignore missing\n{{ y }}\n# @C\n",
    ];
    for bits in 0..8 {
        let config = SyntaxConfig::builder()
            .line_statement_prefix("#")
            .line_comment_prefix("##")
            .trim_blocks(bits & 1 != 0)
            .lstrip_blocks(bits & 2 != 0)
            .keep_trailing_newline(bits & 4 != 0)
            .build()
            .unwrap();
        for source in sources {
            same_as_native(&config, source);
        }
    }
}

#[test]
fn arguments_are_copied_through_with_their_lines() {
    let lowered = |source: &str| {
        let source = format!("{source}b{{% endcache %}}");
        let page = rewrite("p", &source, &Syntax::minijinja()).unwrap();
        assert_eq!(page.source().matches('\n').count(), source.matches('\n').count());
        let start = page.source().find("__fragcache_open").unwrap() + "__fragcache_open".len();
        let end = page.source().find("{{ 0|").unwrap();
        page.source()[start..end].trim_end_matches("%}").trim().to_owned()
    };
    assert_eq!(lowered("{% cache 300, %}"), "( 300)");
    assert_eq!(lowered("{% cache 300,\n%}"), "( 300\n)");
    assert_eq!(lowered("{% cache\n 300 ,\n'x' ,\n %}"), "(\n 300 ,\n'x' \n)");
    assert_eq!(lowered("{% cache del %}"), "( \"del\" )");
    assert_eq!(lowered("{% cache del.x %}"), "( del.x )");
    assert_eq!(lowered("{% cache 1, del %}"), "( 1, del )");
    assert_eq!(lowered("{% cache shared=true %}"), "");
    let options = "{% cache 1,\nshared\n=\ntrue,refresh=a==b, unless = c %}";
    assert_eq!(lowered(options), "( 1\n\n\n,(a==b) and true, (c) and true )");
    assert_eq!(lowered("{% cache shared=true, refresh\n= x %}"), "( \n(x) and true )");
    let nested = "( f(a, b=[1, 2]), {'a': (1, 2)}['a'], ',' ~ \"\\\",\" )";
    assert_eq!(lowered(&format!("{{% cache {} %}}", &nested[2..nested.len() - 2])), nested);
}

#[test]
fn the_engine_reports_the_authors_lines() {
    let source = "a\n{% cache\n 300,\n \"x\" -%}\n\n{{ n|nothing }}\n{% endcache\n%}";
    let page = rewrite("page.html", source, &Syntax::minijinja()).unwrap();
    let error = render_minijinja(&SyntaxConfig::default(), page.source()).unwrap_err();
    assert!(error.contains("page.html:6"), "{error}");
    let source = "a\n{% cache\n 300,\n n|nothing -%}\n\n{% endcache\n%}";
    let page = rewrite("page.html", source, &Syntax::minijinja()).unwrap();
    let error = render_minijinja(&SyntaxConfig::default(), page.source()).unwrap_err();
    assert!(error.contains("page.html:4"), "{error}");
}

#[test]
fn inheritance_works_as_around_an_if() {
    let base = "B[{% @O %}{% block t %}bt{% endblock %}{% include 'part' %}{% @C %}]";
    let part = "{% @O %}p{% @C %}";
    for child in [
        "{% extends 'base' %}{% @O %}top{% block t %}ct{% endblock %}{% @C %}",
        "{% extends 'base' %}{% block t %}{% @O %}<{{ super() }}>{% @C %}{% endblock %}",
        "{% @O %}a{% @C %}{% extends 'base' %}",
        "{% extends 'base' %}{% from 'part' import x %}{% @O %}{% import 'part' as y %}{% @C %}",
    ] {
        let render = |with: &dyn Fn(&str) -> String| {
            let mut env = minijinja_env(SyntaxConfig::default());
            for (name, source) in [("base", base), ("part", part), ("child", child)] {
                let source = with(source);
                let page = rewrite(name, &source, &Syntax::minijinja()).unwrap();
                env.add_template_owned(name, page.into_source().into_owned()).unwrap();
            }
            env.get_template("child").unwrap().render(context()).map_err(|e| e.to_string())
        };
        assert!(render(&native).is_ok(), "{:?}", render(&native));
        assert_eq!(render(&cached), render(&native), "{child}");
    }
}
