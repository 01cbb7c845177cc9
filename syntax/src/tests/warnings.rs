//! Warnings: which uses in a cached body are reported, for which block, and which are not.

use super::*;

/// The warnings of `source` as `line:column name`.
fn warned(source: &str, syntax: &Syntax) -> Vec<String> {
    let page = rewrite("page.html", source, syntax).unwrap();
    let show = |warning: &Warning| {
        assert_eq!(warning.template(), "page.html");
        let place = format!("(in page.html:{}:{})", warning.line(), warning.column());
        assert_eq!(warning.to_string(), format!("{} {place}", warning.message()));
        format!("{}:{} {}", warning.line(), warning.column(), warning.name())
    };
    page.warnings().iter().map(show).collect()
}

fn both(cases: &[(&str, &[&str])]) {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        of(&syntax, cases);
    }
}

fn of(syntax: &Syntax, cases: &[(&str, &[&str])]) {
    for (source, expected) in cases {
        assert_eq!(warned(source, syntax), *expected, "{source}");
    }
}

#[test]
fn the_message_names_the_block_and_what_to_write() {
    let source = "é {% cache 300, 'form' %}\n  {{ csrf_token }}{% endcache %}";
    let page = rewrite("page.html", source, &Syntax::tera()).unwrap();
    assert_eq!(
        page.warnings()[0].to_string(),
        "`csrf_token` in the cache block of line 1, column 3: every visitor who is served this \
         fragment gets the same one; move it out of the block, or add it as a vary part (in \
         page.html:2:6)"
    );
}

#[test]
fn uses_in_expressions_and_statements() {
    both(&[
        ("{% cache 1 %}{{ csrf_token }}{% endcache %}", &["1:17 csrf_token"]),
        ("{% cache 1 %}{{ form.csrf | safe }}{% endcache %}", &["1:22 csrf"]),
        ("{% cache 1 %}{{ csrfToken() }}{% endcache %}", &["1:17 csrfToken"]),
        ("{% cache 1 %}{{ x | csp_nonce }}{% endcache %}", &["1:21 csp_nonce"]),
        ("{% cache 1 %}{{ f(a, nonce=1) }}{% endcache %}", &["1:22 nonce"]),
        ("{% cache 1 %}{{ f(name='X-CSRF-Token') }}{% endcache %}", &["1:25 X-CSRF-Token"]),
        ("{% cache 1 %}{{ s['csrf_token'] }}{% endcache %}", &["1:20 csrf_token"]),
        ("{% cache 1 %}{{ a[0][\"nonce\"] }}{% endcache %}", &["1:23 nonce"]),
        ("{% cache 1 %}{% if nonce %}a{% endif %}{% endcache %}", &["1:20 nonce"]),
        ("{% cache 1 %}{% set a = f(k='csrf') %}{% endcache %}", &["1:30 csrf"]),
        ("{% cache 1 %}{% for a in nonces.nonce %}{% endfor %}{% endcache %}", &["1:33 nonce"]),
        (
            "{% cache 1 %}{{ nonce }}\n{{ nonce }}{{ xsrf }}{{ a.nonce }}{% endcache %}",
            &["1:17 nonce", "2:15 xsrf"],
        ),
        (
            "{% cache 1 %}{{ nonce }}{% endcache %}{% cache 1 %}{{ nonce }}{% endcache %}",
            &["1:17 nonce", "1:55 nonce"],
        ),
    ]);
    let component = "{% cache 1 %}{{ <field name=\"csrf\" nonce={1} /> }}{% endcache %}";
    of(&Syntax::tera(), &[(component, &["1:30 csrf", "1:36 nonce"])]);
    let optional = "{% cache 1 %}{{ s?['csrf'] }}{{ s?.nonce }}{{ `csrf` }}{% endcache %}";
    of(&Syntax::tera(), &[(optional, &["1:21 csrf", "1:36 nonce"])]);
}

#[test]
fn what_is_no_use() {
    both(&[
        ("{{ csrf_token }}{% cache 1 %}csrf_token{% endcache %}{{ nonce }}", &[]),
        ("{% cache 1 %}{# csrf #}{% raw %}{{ csrf }}{% endraw %}{% endcache %}", &[]),
        ("{% cache 1 %}{{ announce }}{{ pronounce }}{{ nonces_table }}{% endcache %}", &[]),
        ("{% cache 1 %}{{ 'csrf_token' }}{{ f('csrf') }}{{ ['nonce'] }}{% endcache %}", &[]),
        ("{% cache 1 %}{{ f(label='What a nonce is') }}{% endcache %}", &[]),
        ("{% cache 1 %}{{ f(label='csrf' ~ x) }}{{ s['csrf' ~ x] }}{% endcache %}", &[]),
        ("{% cache 1 %}{% if x in ['nonce'] %}{% endif %}{% set a = 'csrf' %}{% endcache %}", &[]),
        ("{% cache 1, 'csrf_form' %}a{% endcache csrf_form %}", &[]),
        ("{% cache 1, 'a', unless=csrf, tags=[nonce] %}a{% endcache %}", &[]),
        ("{% cache 1 %}{% include 'csrf.html' %}{% endcache %}", &[]),
    ]);
}

#[test]
fn a_block_that_varies_on_the_name_is_right() {
    both(&[
        ("{% cache 1, 'f', csrf_token %}{{ csrf_token }}{% endcache %}", &[]),
        ("{% cache 1, 'f', r.s['csrf_token'] %}{{ csrf_token }}{% endcache %}", &[]),
        ("{% cache 1, 'f' ~ nonce %}{{ nonce }}{% endcache %}", &[]),
        ("{% cache 1, 'f', version=nonce %}{{ nonce }}{% endcache %}", &[]),
        ("{% cache 1, 'f', csrf %}{{ nonce }}{% endcache %}", &["1:28 nonce"]),
        ("{% cache 1, 'f', unless=csrf %}{{ csrf }}{% endcache %}", &["1:35 csrf"]),
        // The timeout is not part of the key.
        ("{% cache nonce, 'f' %}{{ nonce }}{% endcache %}", &["1:26 nonce"]),
    ]);
}

#[test]
fn the_outermost_block_without_it_is_reported_once() {
    let places = |source: &str| {
        let page = rewrite("page.html", source, &Syntax::minijinja()).unwrap();
        let column = |warning: &Warning| {
            let (_, place) = warning.message().split_once("column ").unwrap();
            place.split(':').next().unwrap().parse::<u32>().unwrap()
        };
        page.warnings().iter().map(column).collect::<Vec<_>>()
    };
    let nested = |outer: &str, inner: &str| {
        format!(
            "{{% cache 1, 'a'{outer} %}}{{% cache 1, 'b'{inner} %}}{{{{ nonce }}}}{{{{ nonce }}}}\
             {{% endcache %}}{{% endcache %}}"
        )
    };
    assert_eq!(places(&nested("", "")), [1]);
    assert_eq!(places(&nested("", ", nonce")), [1]);
    // All outer fragments share the inner one.
    assert_eq!(places(&nested(", nonce", "")), [26]);
    assert_eq!(places(&nested(", nonce", ", nonce")), [] as [u32; 0]);
}

#[test]
fn delimiters_and_lines_of_the_authors() {
    let syntax = Syntax::minijinja()
        .with_block_delimiters("<%", "%>")
        .with_variable_delimiters("${", "}")
        .with_comment_delimiters("<#", "#>")
        .with_line_statement_prefix(Some("%%"))
        .with_line_comment_prefix(Some("//"));
    of(
        &syntax,
        &[
            ("<% cache 1 %>${ csrf }{{ nonce }}<# ${ nonce } #><% endcache %>", &["1:17 csrf"]),
            ("%% cache 1\n// nonce\n%% if nonce\n%% endif\n%% endcache\n", &["3:7 nonce"]),
        ],
    );
}

#[test]
fn a_source_full_of_them_takes_time_in_proportion() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let uses: String = (0..100_000).map(|at| format!("{{{{ nonce_{at} }}}}")).collect();
        let source = format!("{{% cache 1 %}}{uses}{uses}{{% endcache %}}");
        assert_eq!(warned(&source, &syntax).len(), 100_000);
        let names: String = (0..100_000).map(|at| format!(", nonce_{at}")).collect();
        let source = format!("{{% cache 1, 'a'{names} %}}{uses}{uses}{{% endcache %}}");
        assert!(warned(&source, &syntax).is_empty());
    }
}

#[test]
fn a_constant_key_in_a_loop_is_warned_of() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let source =
            "{% for p in ps %}\n {% cache 300, 'row' @ %}{{ p }}{% endcache %}{% endfor %}";
        let warned = |with: &str| {
            let source = source.replace('@', with);
            let page = rewrite("page.html", &source, &syntax).unwrap();
            page.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            warned(""),
            [
                "the cache block `row` in the `for` loop of line 1, column 1 has no vary part, so all iterations print the fragment of the first; add one, such as `item.id`, or \
              `shared=true` if they are all the same (in page.html:2:2)"
            ]
        );
        assert!(warned(", p").is_empty() && warned(", shared=true").is_empty());
    }
}

#[test]
fn a_namespace_passed_to_a_changing_macro_is_warned_of() {
    let add = "{% macro add(n, by=1) %}{% set n.c = n.c + by %}{% endmacro %}";
    let count = "{% macro count(n) %}{{ n.c }}{% for n in [1] %}{% set n.c = 1 %}{% endfor %}{% endmacro %}";
    let warned = |body: &str| {
        let source = format!(
            "{add}{count}\n{{% set ns = namespace(c=0) %}}{{% cache 300, 'a' %}}\n{body}{{% endcache %}}"
        );
        warned(&source, &Syntax::minijinja())
    };
    assert_eq!(warned("{{ add(ns) }}"), ["3:8 ns"]);
    assert_eq!(warned("{{ add(by=2, n=ns) }}{{ add([ns][0]) }}"), ["3:16 ns", "3:30 ns"]);
    assert_eq!(warned("{% call add(ns) %}{% endcall %}"), ["3:13 ns"]);
    assert_eq!(warned("{% set z = ns %}{{ add(z) }}"), ["3:24 z"]);
    for body in [
        "{{ count(ns) }}",
        "{{ add(ns.c) }}",
        "{{ add(1, ns) }}",
        "{% set ns = namespace(c=0) %}{{ add(ns) }}",
        "{{ ns|items }}{{ f(ns) }}",
    ] {
        assert_eq!(warned(body), [""; 0], "{body}");
    }
    let source = format!(
        "{add}{{% set ns = namespace(c=0) %}}{{% cache 300, 'a' %}}{{{{ add(ns) }}}}{{% endcache %}}"
    );
    let page = rewrite("page.html", &source, &Syntax::minijinja()).unwrap();
    assert_eq!(
        page.warnings()[0].to_string(),
        "`ns` is created outside the cache block of line 1, column 92, and changed by code that it is passed to (line 1, column 32), which a hit would not do: such a render is printed and not stored; pass it on outside the block, or create `ns = namespace()` in it (in page.html:1:119)"
    );
}
