//! Tera: the lowered text and its output.

use super::*;

#[test]
fn markers_print_like_an_if() {
    for bits in 0..16 {
        let marker = |at: u32| if bits & (1 << at) == 0 { "" } else { "-" };
        let source = format!(
            "a\n  {{%{} @O {}%}}\n\n  {{{{ n }}}}\n  {{%{} @C {}%}}  \n\n b\n",
            marker(0),
            marker(1),
            marker(2),
            marker(3)
        );
        tera_same_as_native(&source);
    }
}

#[test]
fn bodies_print_like_those_of_an_if() {
    for source in [
        "{% @O %}{% @C %}",
        "{% @O %}\r\n{{ html }}{{ html | safe }}\r\n{% @C %}\r\n",
        "{% for x in xs %}{% @O %}{{ loop.index }}{% @C %}{% endfor %}",
        "{% @O %}{% for x in xs %}{{ x }}{% if x == 1 %}{% continue %}{% endif %}z{% endfor %}{% @C %}",
        "{% @O %}a{% @O %}b{% @O %}c{% @C %}d{% @C %}e{% @C %}",
        "{% @O %}{% raw %}{% cache %}{% endraw %}{# {% cache %} #}{{ '{% cache %}' }}{{ `%}\"` }}{% @C %}",
        "{% component c(a) %}{% @O %}{{ a }}{% @C %}{{ body }}{% endcomponent %}{% <c a={n}> %}x{% </c> %}",
        "{% component c() %}<{{ body }}>{% endcomponent %}{% @O %}{% <c> %}x{% </c> %}{% @C %}",
        "{% if n %}{% @O %}a{% @C %}{% elif xs %}{% @O %}b{% @C %}{% else %}c{% endif %}",
        "{% @O %}{% block b %}x{% endblock b %}{% @C %}",
    ] {
        tera_same_as_native(source);
    }
}

#[test]
fn assignments_of_a_body_are_undone() {
    let print = "[{% if y is defined %}{{ y }}{% endif %}{% if z is defined %}{{ z }}{% endif %}]";
    for (before, body, after) in [
        ("", "{% set y = 1 %}", "[]"),
        ("{% set y = 0 %}", "{% set y = 1 %}", "[0]"),
        ("{% set y = 0 %}", "{% set y %}b{% endset %}", "[0]"),
        ("{% set y = 0 %}", "{% set y | upper %}b{% set z = 1 %}{% endset %}", "[0]"),
        ("{% set y = 0 %}", "{% for x in xs %}{% set y = x %}{% endfor %}", "[0]"),
        ("{% set y = 0 %}", "{% for x in [] %}{% else %}{% set y = 9 %}{% endfor %}", "[0]"),
        ("{% set y = 0 %}", "{% if n %}{% set y = 9 %}{% set z = 1 %}{% endif %}", "[0]"),
        ("{% set y = 0 %}", "{% cache 1 %}{% set y = 9 %}{% endcache %}", "[0]"),
        ("{% set y = 0 %}", "{% cache 1 %}{% set z = 9 %}{% endcache %}{% set y = 4 %}", "[0]"),
        (
            "{% component c() %}{{ body }}{% endcomponent %}{% set y = 0 %}",
            "{% <c> %}{% set y = 1 %}{% </c> %}",
            "[0]",
        ),
        ("", "{% block b %}{% set y = 1 %}{% endblock %}", "[]"),
    ] {
        let source = format!("{before}{{% cache 1, 'x', n %}}{body}{{% endcache %}}{print}");
        let page = rewrite("page.html", &source, &Syntax::tera()).unwrap();
        let out = render_tera_in(tera_engine(), page.source()).unwrap();
        assert!(out.ends_with(after), "{source}\n{out}");
    }
}

#[test]
fn a_hit_prints_what_the_lookup_gives_and_may_be_empty() {
    for (found, expected) in [("", "<>"), ("0", "<0>"), ("<i>", "<<i>>")] {
        let mut engine = tera_engine();
        engine.register_filter(
            "__fragcache_open",
            |_: tera::Value, _: tera::Kwargs, _: &tera::State| -> bool { true },
        );
        engine.register_filter(
            "__fragcache_hit",
            move |_: tera::Value, _: tera::Kwargs, _: &tera::State| -> tera::Value {
                tera::Value::safe_string(found)
            },
        );
        let page =
            rewrite("page.html", "<{% cache %}miss{% endcache %}>", &Syntax::tera()).unwrap();
        assert_eq!(render_tera_in(engine, page.source()).as_deref(), Ok(expected));
    }
}

#[test]
fn custom_delimiters_are_kept() {
    let mut engine = tera_engine();
    engine
        .set_delimiters(tera::Delimiters {
            block_start: "<%".into(),
            block_end: "%>".into(),
            variable_start: "«".into(),
            variable_end: "»".into(),
            comment_start: "<#".into(),
            comment_end: "#>".into(),
        })
        .unwrap();
    let syntax = Syntax::tera()
        .with_block_delimiters("<%", "%>")
        .with_variable_delimiters("«", "»")
        .with_comment_delimiters("<#", "#>");
    let source =
        "<%- cache 300, 'a', ['%>'] -%> «n»<# <% cache %> #>{% cache %} <%- endcache -%> z";
    let page = rewrite("page.html", source, &syntax).unwrap();
    assert_eq!(render_tera_in(engine, page.source()).as_deref(), Ok("3{% cache %}z"));
}

#[test]
fn variables_differ_between_templates_and_blocks() {
    let source = "{% cache %}{% cache %}{% endcache %}{% endcache %}";
    let variables = |template| {
        let page = rewrite(template, source, &Syntax::tera()).unwrap();
        let mut names: Vec<String> = page
            .source()
            .match_indices("for __fragcache_")
            .map(|(at, _)| page.source()[at + 4..].split(' ').next().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    };
    let (a, b) = (variables("a.html"), variables("b.html"));
    assert_eq!((a.len(), b.len()), (2, 2));
    assert!(a.iter().all(|name| !b.contains(name)));
}

#[test]
fn inheritance_works_as_around_an_if() {
    let base = "B[{% @O %}{% block t %}bt{% endblock %}{% include 'part' %}{% @C %}]";
    let part = "{% @O %}p{% @C %}";
    for child in [
        "{% extends 'base' %}{% block t %}{% @O %}<{{ super() }}>{% @O %}{{ n }}{% @C %}{% @C %}{% endblock %}",
        "{% extends 'base' %}{% component c() %}{% @O %}k{% @C %}{% endcomponent %}{% block t %}{{ <c /> }}{% endblock %}",
    ] {
        let render = |with: &dyn Fn(&str) -> String| {
            let mut engine = tera_engine();
            let sources =
                [("base", base), ("part", part), ("child", child)].map(|(name, source)| {
                    let source = with(source);
                    let page = rewrite(name, &source, &Syntax::tera()).unwrap();
                    (name, page.into_source().into_owned())
                });
            engine.add_raw_templates(sources).map_err(|e| e.to_string())?;
            let mut context = tera::Context::new();
            context.insert("n", &3);
            engine.render("child", &context).map_err(|e| e.to_string())
        };
        assert!(render(&native).is_ok(), "{:?}", render(&native));
        assert_eq!(render(&cached), render(&native), "{child}");
    }
}
