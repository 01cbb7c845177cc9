//! Tests which edits to other templates change a block's digest, and which do not.

use std::sync::Arc;

use super::*;
use crate::{Dialect, Rewritten, rewrite_with};

type Templates<'a> = &'a [(&'a str, &'a str)];

/// Templates by name.
struct Set<'a>(Templates<'a>, &'a Syntax);

impl Sources for Set<'_> {
    fn templates(&self, name: &str) -> Vec<Arc<str>> {
        let of_name = self.0.iter().filter(|(other, _)| *other == name);
        of_name.map(|(_, source)| Arc::from(*source)).collect()
    }

    fn component(&self, name: &str) -> Vec<String> {
        let defines = |source: &str| components(source, self.1).iter().any(|other| other == name);
        let found = self.0.iter().filter(|(_, source)| defines(source));
        found.map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// Rewrites the first template among the others.
fn page<'s>(templates: &[(&str, &'s str)], syntax: &Syntax) -> Rewritten<'s> {
    rewrite_with(templates[0].0, templates[0].1, syntax, &Set(&templates[1..], syntax)).unwrap()
}

fn digest(templates: Templates<'_>, syntax: &Syntax) -> String {
    page(templates, syntax).blocks()[0].digest().to_owned()
}

/// Asserts that an edit after each `^` changes the digest and that an edit after an `@` does not.
/// The first template is the page.
fn only_marked_edits_count(templates: Templates<'_>, syntax: &Syntax) {
    let before = digest(templates, syntax);
    for (at, (name, source)) in templates.iter().enumerate() {
        for (start, counts) in marks(source) {
            let mut edited = (*source).to_owned();
            edited.insert(start, '9');
            let mut templates = templates.to_vec();
            templates[at].1 = &edited;
            let after = digest(&templates, syntax);
            assert_eq!(before != after, counts, "{name}: {edited:?}");
        }
    }
}

/// The offsets of the edits, and whether they change the digest.
fn marks(source: &str) -> Vec<(usize, bool)> {
    let found: Vec<_> =
        source.match_indices(['^', '@']).map(|(at, mark)| (at + 1, mark == "^")).collect();
    assert!(!found.is_empty(), "{source}");
    found
}

#[test]
fn includes_count_through_any_number_of_templates() {
    let syntax = Syntax::minijinja();
    for body in [
        "{% include 'a' %}",
        "{%- include \"a\" ignore missing with context -%}",
        "{% include ['none', 'a'] %}",
        "{% include ('none', 'a') ignore missing %}",
        "{% include 'none' if n else 'a' %}",
        "{% if n %}{% for x in xs %}{% include 'a' %}{% endfor %}{% endif %}",
        "{% cache 9 %}{% include 'a' %}{% endcache %}",
    ] {
        let source = format!("@{{% cache 300 %}}^{body}{{% endcache %}}@{{% include 'other' %}}");
        let templates = [
            ("page", source.as_str()),
            ("a", "^{% include 'b' %}^"),
            ("b", "{# {% include 'other' %} #}^"),
            ("other", "@"),
        ];
        only_marked_edits_count(&templates, &syntax);
    }
    let tera = [
        ("page", "@{% cache 300 %}^{% include `a` %}{% endcache %}@"),
        ("a", "{% raw %}{% include 'other' %}{% endraw %}^{% include \"b\" %}"),
        ("b", "^"),
        ("other", "@"),
    ];
    only_marked_edits_count(&tera, &Syntax::tera());
}

#[test]
fn what_is_missing_is_noted_and_counts_once_it_is_there() {
    let syntax = Syntax::minijinja();
    let source =
        "{% cache 300 %}{% include ['a', 'b'] ignore missing %}{% endcache %}{% include 'c' %}";
    let alone = page(&[("page", source)], &syntax);
    assert_eq!(alone.follows(), ["a", "b", "c"]);
    let digests: Vec<String> = [
        &[("page", source)][..],
        &[("page", source), ("a", "x")],
        &[("page", source), ("b", "x")],
        &[("page", source), ("a", "x"), ("b", "y")],
        &[("page", source), ("a", "y"), ("b", "x")],
        &[("page", source), ("a", "")],
    ]
    .iter()
    .map(|templates| digest(templates, &syntax))
    .collect();
    for (at, digest) in digests.iter().enumerate() {
        assert!(!digests[..at].contains(digest), "{at}");
    }
}

#[test]
fn names_that_are_known_only_when_the_page_renders_are_left_alone() {
    let syntax = Syntax::minijinja();
    for tag in ["include name", "include 'part_' ~ kind", "include 'a' + x", "import name as m"] {
        let source = format!("{{% cache 300 %}}{{% {tag} %}}{{{{ m.x() }}}}{{% endcache %}}");
        let alone = page(&[("page", &source), ("a", "x"), ("part_", "y")], &syntax);
        assert!(alone.follows().is_empty(), "{tag}");
    }
}

#[test]
fn macros_that_are_used_count() {
    let syntax = Syntax::minijinja();
    only_marked_edits_count(
        &[(
            "page",
            "@{% macro a(x=b()) %}^{% endmacro %}{% macro b() %}^{{ c() }}{% endmacro %}\
             {% macro c() %}^{{ a() }}{% endmacro %}{% macro d() %}@{{ a() }}{% endmacro %}\
             {% cache 300 %}{{ a() }}{{ x.d() }}^{% endcache %}@",
        )],
        &syntax,
    );
    let library = "^{% macro used() %}^{{ helper() }}{% macro inner() %}^{% endmacro %}{% endmacro %}\
                   ^{% macro helper() %}^{% endmacro %}{% macro unused() %}@{% endmacro %}";
    for (import, call) in [
        ("import 'library' as m", "{{ m.used() }}"),
        ("import 'library' as m", "{% call m.used() %}x{% endcall %}"),
        ("import 'library' as m", "{% if n %}{{ n ~ m . used(1) }}{% endif %}"),
        ("import 'library' as m", "{{ a.b.used if a.b or m.used() }}"),
        ("from 'library' import used, unused", "{{ a.unused.used if a.b else used() }}"),
        ("from 'library' import unused, used", "{{ used() }}"),
        ("from 'library' import used as f with context", "{% call(x) f() %}x{% endcall %}"),
        ("from 'library' import unused as x, used as f,", "{{ f() }}"),
        ("from 'between' import used as f", "{{ f() }}"),
        ("import 'between' as m", "{{ m.used() }}"),
    ] {
        let source = format!("@{{% {import} %}}@{{% cache 300 %}}{call}^{{% endcache %}}@");
        let between = "^{% from 'library' import used %}{% macro x() %}@{% endmacro %}";
        let templates = [("page", source.as_str()), ("library", library), ("between", between)];
        match import.contains("between") {
            true => only_marked_edits_count(&templates, &syntax),
            false => only_marked_edits_count(&templates[..2], &syntax),
        }
    }
}

#[test]
fn a_library_counts_as_a_whole_where_its_members_are_not_named() {
    let library = "^{% macro a() %}^{% endmacro %}";
    for body in ["{{ m['a']() }}", "{% set x = m %}", "{{ show(m) }}"] {
        let source = format!("{{% import 'l' as m %}}@{{% cache 300 %}}{body}^{{% endcache %}}");
        only_marked_edits_count(&[("page", &source), ("l", library)], &Syntax::minijinja());
    }
}

#[test]
fn a_block_sees_the_names_of_its_parents_and_a_partial_those_of_its_page() {
    let syntax = Syntax::minijinja();
    only_marked_edits_count(
        &[
            (
                "page",
                "@{% extends 'base' %}{% block b %}@{% cache 300 %}{{ m.f() }}{{ g() }}^{% endcache %}{% endblock %}",
            ),
            (
                "base",
                "@{% import 'l' as m %}{% macro g() %}^{% endmacro %}@{% block b %}@{% endblock %}",
            ),
            ("l", "{% macro f() %}^{% endmacro %}{% macro other() %}@{% endmacro %}"),
        ],
        &syntax,
    );
    only_marked_edits_count(
        &[
            (
                "page",
                "{% macro f() %}^{% endmacro %}{% macro g() %}@{% endmacro %}{% cache 300 %}{% include 'part' %}{% endcache %}",
            ),
            ("part", "{{ f() }}^{% include 'leaf' %}{% import 'l' as m %}"),
            ("leaf", "{{ m.f() }}^"),
            ("l", "{% macro f() %}^{% endmacro %}{% macro other() %}@{% endmacro %}"),
        ],
        &syntax,
    );
}

#[test]
fn the_parents_block_counts_where_super_is_called() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let child = "{% extends 'middle' %}{% block b %}{% cache 300, 'x', n %}{{ super() }}^{% endcache %}@{% endblock %}";
        let templates = [
            ("page", child),
            ("middle", "{% extends 'base' %}@{% block c %}@{% endblock %}"),
            (
                "base",
                "@{% block b %}^{% include 'part' %}{% block i %}^{% endblock %}{% endblock b %}@{% block c %}@{% endblock %}",
            ),
            ("part", "^"),
        ];
        only_marked_edits_count(&templates, &syntax);
        let mut overridden = templates;
        overridden[1].1 = "{% extends 'base' %}@{% block b %}^{% endblock %}";
        overridden[2].1 = "@{% block b %}@{% endblock %}";
        only_marked_edits_count(&overridden[..3], &syntax);
        overridden[1].1 = "{% extends 'base' %}@{% block b %}^{{ super() }}{% endblock %}";
        overridden[2].1 = "@{% block b %}^{% endblock %}";
        only_marked_edits_count(&overridden[..3], &syntax);
        overridden[0].1 = "{% extends 'middle' %}{% block b %}{% cache 300, 'x', n %}^{% endcache %}{{ super() }}{% endblock %}";
        overridden[1].1 = "{% extends 'base' %}@{% block b %}@{{ super() }}{% endblock %}";
        overridden[2].1 = "@{% block b %}@{% endblock %}";
        only_marked_edits_count(&overridden[..3], &syntax);
    }
    let own = "{% block b %}^{% endblock %}@{% cache 300, 'x', n %}{{ self.b() }}^{% endcache %}";
    only_marked_edits_count(&[("page", own)], &Syntax::minijinja());
}

/// The refusal of the first template among the others.
fn refusal(templates: &[(&str, &str)], syntax: &Syntax) -> String {
    let others = Set(&templates[1..], syntax);
    rewrite_with(templates[0].0, templates[0].1, syntax, &others).unwrap_err().to_string()
}

#[test]
fn what_children_fill_is_refused_wherever_it_is_rendered() {
    let base = "{% block a %}<{% block title %}t{% endblock %}>{% endblock %}";
    let child = "{% extends 'base' %}{% block a %}{% cache 300, 'x' %}{{ super() }}{% endcache %}{% endblock %}";
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let found = refusal(&[("page", child), ("base", base)], &syntax);
        assert!(found.contains("renders the block `title` of `base`"), "{found}");
        for kept in ["'x', n", "'x', shared=true"] {
            let child = child.replace("'x'", kept);
            page(&[("page", &child), ("base", base)], &syntax);
        }
        // Without a block inside, it is the same for all children.
        page(&[("page", child), ("base", "{% block a %}a{% endblock %}")], &syntax);
    }
    let minijinja = Syntax::minijinja();
    let dynamic = child.replace("'base'", "base");
    let found = refusal(&[("page", &dynamic), ("base", base)], &minijinja);
    assert!(found.contains("whose parent is known only when it renders"), "{found}");
    let calls = "{% from 'm' import m %}{% cache 300, 'x' %}{{ m() }}{% endcache %}";
    let found = refusal(
        &[("page", calls), ("m", "{% macro m() %}{{ self.a() }}{% endmacro %}")],
        &minijinja,
    );
    assert!(found.contains("renders `self.a()` in `m`"), "{found}");
}

#[test]
fn an_included_template_uses_the_names_of_its_page() {
    let page_of = |tag: &str, end: &str, set: &str| {
        format!(
            "{{% {tag} %}}{set}{{% cache 300, 'x' %}}{{% include 'p' %}}{{% endcache %}}{{% {end} %}}"
        )
    };
    let minijinja = page_of("macro m()", "endmacro", "{% set f = caller %}");
    for partial in ["{{ caller() }}", "{{ f() }}"] {
        let found = refusal(&[("page", &minijinja), ("p", partial)], &Syntax::minijinja());
        assert!(found.contains("renders `p`, which uses `"), "{found}");
    }
    page(&[("page", &minijinja), ("p", "{{ g() }}")], &Syntax::minijinja());
    let tera = page_of("component c()", "endcomponent c", "{% set b = body %}");
    for partial in ["{{ body }}", "{{ b }}"] {
        let found = refusal(&[("page", &tera), ("p", partial)], &Syntax::tera());
        assert!(found.contains("renders `p`, which uses `b"), "{found}");
    }
    page(&[("page", &tera), ("p", "{{ c }}{{ x.body }}")], &Syntax::tera());
}

#[test]
fn included_children_count_with_their_parents() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        only_marked_edits_count(
            &[
                ("page", "{% cache 300 %}{% include 'child' %}^{% endcache %}@"),
                ("child", "{% extends 'base' %}{% block b %}^{% endblock %}"),
                ("base", "^{% block b %}{% endblock %}{% include 'part' %}"),
                ("part", "^"),
            ],
            &syntax,
        );
    }
}

#[test]
fn tera_components_that_are_called_count() {
    let library = "@{% component card(a) %}^{{ <ui.icon /> }}{% endcomponent card %}\
                   {% component other() %}@{% endcomponent %}";
    let icons = "{% component ui.icon(x=1) %}^{% include 'part' %}{% endcomponent ui.icon %}@";
    for body in [
        "{{ <card a={1} /> }}",
        "{{<card/>}}",
        "{{ 'x' ~ < card a=\"1\"/> }}",
        "{% <card a={n}> %}body{% </card> %}",
        "{% if n %}{% set x = <card/> %}{% endif %}",
        "{% include 'uses' %}",
    ] {
        let source = format!("@{{% cache 300 %}}^{body}{{% endcache %}}{{{{ <other/> }}}}");
        let templates = [
            ("page", source.as_str()),
            ("library", library),
            ("icons", icons),
            ("part", "^"),
            ("uses", "{{ <card/> }}^"),
        ];
        let count = if body.contains("uses") { 5 } else { 4 };
        only_marked_edits_count(&templates[..count], &Syntax::tera());
    }
    let own =
        "{% component c() %}^{% endcomponent %}{% cache 300 %}{{ <c/> }}^{% endcache %}@{{ <d/> }}";
    only_marked_edits_count(&[("page", own)], &Syntax::tera());
}

#[test]
fn components_are_noted_by_name() {
    let source =
        "{% cache 300 %}{% if a < b %}{{ <ui.card /> }}{% endif %}{% endcache %}{{ <x/> }}";
    let library = ("library", "{% component ui.card() %}{{ <leaf/> }}{% endcomponent %}");
    let page = page(&[("page", source), library], &Syntax::tera());
    assert_eq!(page.components(), ["b", "leaf", "ui.card"]);
    assert_eq!(page.follows(), ["library"]);
}

#[test]
fn delimiters_and_line_statements_are_the_configured_ones() {
    let syntax = Syntax::minijinja()
        .with_block_delimiters("<%", "%>")
        .with_variable_delimiters("${", "}")
        .with_line_statement_prefix(Some("#"));
    only_marked_edits_count(
        &[
            (
                "page",
                "<% from 'l' import f %>@\n# cache 300\n# include 'a'\n${ f() }^{% include 'b' %}\n# endcache\n@",
            ),
            ("a", "^"),
            ("l", "# macro f()\n^\n# endmacro\n<% macro g() %>@<% endmacro %>"),
            ("b", "@"),
        ],
        &syntax,
    );
    let syntax =
        Syntax::tera().with_block_delimiters("[%", "%]").with_variable_delimiters("[[", "]]");
    only_marked_edits_count(
        &[
            ("page", "[% cache 300 %][% include 'a' %][[ <c/> ]]{% include 'b' %}^[% endcache %]@"),
            ("a", "^"),
            ("b", "@"),
            ("l", "[% component c() %]^[% endcomponent %]@"),
        ],
        &syntax,
    );
}

#[test]
fn cycles_end() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        only_marked_edits_count(
            &[
                ("page", "{% cache 300 %}{% include 'a' %}^{% endcache %}"),
                ("a", "^{% include 'b' %}{% include 'a' %}"),
                ("b", "{% include 'a' %}^"),
            ],
            &syntax,
        );
        let own = "{% extends 'page' %}{% block b %}{% cache 300 %}{% include 'page' %}{{ super() }}^{% endcache %}{% endblock %}";
        only_marked_edits_count(&[("page", own)], &syntax);
    }
    only_marked_edits_count(
        &[
            ("page", "{% from 'a' import x %}{% cache 300 %}{{ x() }}^{% endcache %}@"),
            ("a", "^{% from 'b' import x %}"),
            ("b", "{% extends 'a' %}{% from 'a' import x %}^"),
        ],
        &Syntax::minijinja(),
    );
}

#[test]
fn the_sources_read_are_bounded() {
    let endless = |name: &str| {
        let next = name.len() + 1;
        Some(Arc::from(format!("{{% include '{}' %}}", "x".repeat(next))))
    };
    let source = "{% cache 300 %}{% include 'x' %}{% endcache %}";
    let page = rewrite_with("page", source, &Syntax::minijinja(), &endless).unwrap();
    assert_eq!(page.follows().len(), readings::MOST_TEMPLATES - 1);
}

#[test]
fn without_references_the_digest_is_that_of_the_block_alone() {
    for syntax in [Syntax::minijinja(), Syntax::tera()] {
        let alone = "{% cache 300 %}x{% endcache %}";
        let among = format!("{{% include 'a' %}}{{% extends 'b' %}}{alone}");
        let among = among.replace(
            "{% extends 'b' %}",
            match syntax.dialect() {
                Dialect::MiniJinja => "{% extends 'b' %}",
                Dialect::Tera => "",
            },
        );
        assert_eq!(digest(&[("p", alone)], &syntax), digest(&[("p", &among), ("a", "x")], &syntax));
    }
}

#[test]
fn prose_refers_to_nothing() {
    for prose in ["", "include it, superb", "{# include #}", "{{ 'super' }}"] {
        let source = format!(
            "{{% extends 'a' %}}{prose}{{% block b %}}{{% cache %}}x{{% endcache %}}{{% endblock %}}"
        );
        let templates = [("page", source.as_str()), ("a", "{% block b %}{% endblock %}")];
        assert!(page(&templates, &Syntax::tera()).follows().is_empty(), "{prose}");
    }
}

#[test]
fn broken_sources_are_read_as_far_as_they_go() {
    for source in
        ["{% include 'b", "{{ x", "{% macro m( %}", "{% endblock %}{% endmacro %}{%", "{% block %}"]
    {
        for syntax in [Syntax::minijinja(), Syntax::tera()] {
            let templates =
                [("page", "{% cache 300 %}{% include 'a' %}{% endcache %}"), ("a", source)];
            assert_eq!(page(&templates, &syntax).follows(), ["a"]);
        }
    }
}
