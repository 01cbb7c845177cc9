//! Facts about Tera 2.

use std::error::Error as _;

use tera::{Context, Error, Kwargs, State, Tera, TeraResult, Value};

fn engine() -> Tera {
    let mut tera = Tera::new();
    tera.register_filter("same", |value: &Value, _: Kwargs, _: &State| value.clone().mark_safe());
    tera.register_filter(
        "pair",
        |value: &Value, kwargs: Kwargs, _: &State| -> TeraResult<String> {
            Ok(format!("{value}{}", kwargs.must_get::<Value>("t")?))
        },
    );
    tera.register_filter("kind", |value: &Value, _: Kwargs, _: &State| value.name().to_owned());
    tera.register_filter("boom", |_: &Value, _: Kwargs, _: &State| -> TeraResult<String> {
        Err(Error::chain("ours", std::io::Error::other("the cause")))
    });
    tera
}

fn render(sources: &[(&str, &str)]) -> TeraResult<String> {
    let mut tera = engine();
    tera.add_raw_templates(sources.iter().copied())?;
    let mut context = Context::new();
    context.insert("x", "<&>");
    tera.render(sources[0].0, &context)
}

fn page(source: &str) -> String {
    render(&[("page.html", source)]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn there_are_no_custom_tags() {
    let error = render(&[("page.html", "{% cache 300 %}{% endcache %}")]).unwrap_err();
    assert!(error.to_string().contains("Unknown tag"), "{error}");
}

#[test]
fn break_in_a_filter_section_does_not_compile() {
    let source = "{% for i in [1] %}{% filter same %}{% break %}{% endfilter %}{% endfor %}";
    assert!(render(&[("page.html", source)]).is_err(), "break leaves a filter section now");
}

#[test]
fn a_filter_section_gives_what_was_escaped_already_and_safe_text_is_printed_raw() {
    assert_eq!(page("{% filter same %}<b>{{ x }}{% endfilter %}"), "<b>&lt;&amp;&gt;");
    assert_eq!(page("{{ '<b>' | safe }}"), "<b>");
}

#[test]
fn assignments_of_a_body_leak_and_can_be_undone() {
    assert_eq!(page("{% set y = 1 %}{% if true %}{% set y = 2 %}{% endif %}{{ y }}"), "2");
    assert_eq!(page("{% set y = 1 %}{% filter same %}{% set y = 2 %}{% endfilter %}{{ y }}"), "2");
    assert_eq!(page("{% set y = 1 %}{% set s = y %}{% set y = 2 %}{% set y = s %}{{ y }}"), "1");
    // What was undefined stays so.
    assert_eq!(
        page("{% set s = y %}{% set y = 2 %}{% set y = s %}{{ y | default(value='gone') }}"),
        "gone"
    );
    assert_eq!(page("{% set y = 1 %}{% for i in [1] %}{% set y = 2 %}{% endfor %}{{ y }}"), "1");
}

#[test]
fn a_child_and_its_base_share_one_scope() {
    let base = "{% set y = 1 %}{% block b %}{% set y = 2 %}{% endblock %}{{ y }}";
    let child =
        "{% extends 'base' %}{% block b %}{{ super() }}{{ y }}{% set y = 3 %}{% endblock %}";
    assert_eq!(render(&[("child", child), ("base", base)]).unwrap(), "23");
}

#[test]
fn filter_arguments_are_evaluated_after_the_body() {
    assert_eq!(page("{% set t = 1 %}{% filter pair(t=t) %}{% set t = 2 %}{% endfilter %}"), "2");
}

#[test]
fn a_component_sees_its_arguments_only() {
    let source = "{% component c(a) %}{{ a }}{{ x | default(value='-') }}{% endcomponent c %}{% set x = 1 %}{{ <c a={2} /> }}";
    assert_eq!(page(source), "2-");
}

#[test]
fn words_for_none_and_for_nothing() {
    assert_eq!(page("{{ none | kind }} {{ None | kind }} {{ null | kind }}"), "none none none");
    assert_eq!(page("[{{ nobody | default(value='d') }}]"), "[d]");
    assert_eq!(page("{{ 4/2 }}"), "2.0");
    assert!(render(&[("page.html", "{{ nobody }}")]).is_err());
}

#[test]
fn literals_of_lists_have_two_dimensions() {
    assert_eq!(page("{{ [['a']] | kind }}"), "array");
    assert!(
        render(&[("page.html", "{{ [[['a']]] | kind }}")]).is_err(),
        "deeper literals parse now"
    );
}

#[test]
fn a_cache_block_at_the_top_level_of_a_child_would_not_compile() {
    let child = "{% extends 'base' %}{% if true %}{% filter same %}x{% endfilter %}{% endif %}";
    assert!(render(&[("child", child), ("base", "")]).is_err(), "children may hold statements now");
}

#[test]
fn the_text_of_a_filters_error_is_kept_and_its_source_is_not() {
    let error = render(&[("page.html", "{{ 1 | boom }}")]).unwrap_err();
    assert!(error.to_string().contains("ours"), "{error}");
    assert!(error.source().is_none(), "a filter's error keeps its source now: hand ours over");
}

#[test]
fn an_include_escapes_by_the_page_and_not_by_its_own_name() {
    let sources = [("page.txt", "{% include 'part.html' %}"), ("part.html", "{{ x }}")];
    assert_eq!(render(&sources).unwrap(), "<&>");
}

#[test]
fn nesting_has_the_limit_that_the_rewriter_counts_by() {
    let nested =
        |depth: usize| format!("{}{}", "{% if true %}".repeat(depth), "{% endif %}".repeat(depth));
    let deepest =
        (1..200).rfind(|depth| render(&[("page.html", &nested(*depth))]).is_ok()).unwrap();
    assert_eq!(deepest, 39);
}

#[test]
fn filters_see_the_escaping_mode() {
    let mut tera = Tera::new();
    tera.register_filter("mode", |_: &Value, _: Kwargs, state: &State| {
        state.autoescaping_enabled()
    });
    tera.add_raw_templates([("a.html", "{{ 0 | mode }}"), ("a.txt", "{{ 0 | mode }}")]).unwrap();
    assert_eq!(tera.render("a.html", &Context::new()).unwrap(), "true");
    assert_eq!(tera.render("a.txt", &Context::new()).unwrap(), "false");
}

#[test]
fn an_edited_base_changes_its_children() {
    let mut tera = Tera::new();
    tera.add_raw_templates([
        ("child", "{% extends 'base' %}{% block b %}c{% endblock %}"),
        ("base", "1{% block b %}{% endblock %}"),
    ])
    .unwrap();
    tera.add_raw_template("base", "2{% block b %}{% endblock %}").unwrap();
    assert_eq!(tera.render("child", &Context::new()).unwrap(), "2c");
}
