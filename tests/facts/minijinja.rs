//! Facts about MiniJinja 3.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{AutoEscape, Environment, Error, Output, State, Value, context, escape_formatter};

fn render(source: &str) -> Result<String, Error> {
    render_as("page.html", source)
}

fn render_as(name: &str, source: &str) -> Result<String, Error> {
    let mut env = Environment::new();
    env.add_filter("same", |value: Value| value);
    env.add_function("boom", || {
        Err::<Value, _>(Error::new(minijinja::ErrorKind::InvalidOperation, "boom"))
    });
    env.add_template(name, source)?;
    env.get_template(name)?.render(context! { x => "<&>" })
}

#[test]
fn there_are_no_custom_tags() {
    let error = render("{% cache 300 %}{% endcache %}").unwrap_err();
    assert_eq!(error.to_string(), "syntax error: unknown statement cache (in page.html:1)");
}

#[test]
fn break_in_a_filter_section_loses_output_and_in_with_panics() {
    let around = |open: &str, close: &str| {
        format!(
            "{{% for i in [1, 2] %}}a{open}b{{% if i == 1 %}}{{% break %}}{{% endif %}}c{close}d{{% endfor %}}e"
        )
    };
    let native = render(&around("{% if true %}", "{% endif %}")).unwrap();
    assert_eq!(native, "abe");
    let filtered = catch_unwind(|| render(&around("{% filter same %}", "{% endfilter %}")));
    assert!(!matches!(filtered, Ok(Ok(page)) if page == native), "break out of a filter works now");
    let with = catch_unwind(|| render(&around("{% with y = 1 %}", "{% endwith %}")));
    assert!(!matches!(with, Ok(Ok(page)) if page == native), "break out of with works now");
}

#[test]
fn break_in_an_autoescape_section_goes_on_as_inside() {
    let left = "{% for i in [1] %}{% autoescape false %}{% break %}{% endautoescape %}{% endfor %}{{ '<' }}";
    assert_eq!(render_as("page.html", "{{ '<' }}").unwrap(), "&lt;");
    assert_eq!(render_as("page.html", left).unwrap(), "<", "break out of autoescape works now");
}

#[test]
fn a_filter_section_hands_over_safe_text_and_prints_safe_text_raw() {
    for name in ["page.html", "page.txt", "page.json"] {
        let native = render_as(name, "{% if true %}<b>{{ x }}{% endif %}").unwrap();
        let filtered = render_as(name, "{% filter same %}<b>{{ x }}{% endfilter %}").unwrap();
        assert_eq!(native, filtered, "{name}");
        let safe = render_as(name, "{{ '<i>' | safe }}").unwrap();
        assert_eq!(safe, "<i>", "{name}");
    }
}

#[test]
fn a_custom_escape_mode_escapes_captured_sections() {
    fn double(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
        match state.auto_escape() {
            AutoEscape::Custom(_) => {
                out.write_str(&value.to_string().replace('&', "&&"))?;
                Ok(())
            }
            _ => escape_formatter(out, state, value),
        }
    }
    let mut env = Environment::new();
    env.add_filter("same", |value: Value| value);
    env.set_auto_escape_callback(|_| AutoEscape::Custom("double".into()));
    env.set_formatter(double);
    let page = env.render_str("{% filter same %}{{ '&' }}{% endfilter %}", ()).unwrap();
    assert_eq!(page, "&&&&", "captured text is not formatted again any more");
}

#[test]
fn with_and_its_assignments_are_local() {
    assert_eq!(
        render("{% set y = 1 %}{% with %}{% set y = 2 %}{% endwith %}{{ y }}").unwrap(),
        "1"
    );
    assert_eq!(render("{% with f = 1 %}{{ f }}{% endwith %}[{{ f }}]").unwrap(), "1[]");
    let outer = "{% set ns = namespace(n=0) %}{% with %}{% set ns.n = 1 %}{% endwith %}{{ ns.n }}";
    assert_eq!(render(outer).unwrap(), "1");
}

#[test]
fn filter_arguments_are_evaluated_before_or_after_but_the_value_of_a_with_stays() {
    // A nested block has a variable of the same name, and each closes its own.
    let source = "{% with t = 1 %}{% filter replace('x', t) %}x{% with t = 2 %}{% filter replace('y', t) %}y{% endfilter %}{% endwith %}{% endfilter %}{% endwith %}";
    assert_eq!(render(source).unwrap(), "12");
}

#[test]
fn blocks_super_and_caller_work_in_if_with_and_filter_and_not_in_call() {
    let mut env = Environment::new();
    env.add_filter("same", |value: Value| value);
    let open = "{% if true %}{% with f = 1 %}{% filter same %}";
    let close = "{% endfilter %}{% endwith %}{% endif %}";
    env.add_template_owned("base", format!("{open}<{{% block b %}}base{{% endblock %}}>{close}"))
        .unwrap();
    env.add_template_owned(
        "child",
        format!(
            "{{% extends 'base' %}}{{% block b %}}{open}{{{{ super() }}}}{close}!{{% endblock %}}"
        ),
    )
    .unwrap();
    assert_eq!(env.get_template("child").unwrap().render(()).unwrap(), "<base!>");
    let caller = format!(
        "{{% macro m() %}}{open}{{{{ caller() }}}}{close}{{% endmacro %}}{{% call m() %}}hi{{% endcall %}}"
    );
    assert_eq!(env.render_str(&caller, ()).unwrap(), "hi");
    let call = "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{% block b %}{% endblock %}{% endcall %}";
    assert!(env.render_str(call, ()).is_err(), "blocks work in call blocks now");
}

#[test]
fn null_and_del_are_undefined_and_division_makes_floats() {
    assert_eq!(render("{{ null is undefined }} {{ del is undefined }} {{ 4/2 }} {{ none is none }} {{ None is none }}").unwrap(), "True True 2.0 True True");
}

#[test]
fn under_strict_undefined_behaviour_and_judges_as_if_does() {
    let mut env = Environment::new();
    env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    for source in ["{% if nobody %}{% endif %}", "{{ (nobody) and true }}"] {
        let error = env.render_str(source, ()).unwrap_err();
        assert_eq!(error.kind(), minijinja::ErrorKind::UndefinedError, "{source}");
    }
}

#[test]
fn an_empty_safe_string_is_false_and_prints_nothing() {
    assert_eq!(render("{% if '' | safe %}true{% else %}false{% endif %}").unwrap(), "false");
}

#[test]
fn an_object_in_a_variable_is_dropped_on_success_error_and_panic() {
    #[derive(Debug)]
    struct Guard(Arc<AtomicUsize>);
    impl Object for Guard {
        fn repr(self: &Arc<Self>) -> ObjectRepr {
            ObjectRepr::Plain
        }
    }
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut env = Environment::new();
    let count = Arc::clone(&dropped);
    env.add_function("guard", move || Value::from_object(Guard(Arc::clone(&count))));
    env.add_function("boom", || {
        Err::<Value, _>(Error::new(minijinja::ErrorKind::InvalidOperation, "boom"))
    });
    env.add_function("panic", || -> Value { panic!("on purpose") });
    for (at, body) in ["fine", "{{ boom() }}", "{{ panic() }}"].into_iter().enumerate() {
        let source = format!("{{% with g = guard() %}}{body}{{% endwith %}}");
        let _ = catch_unwind(AssertUnwindSafe(|| env.render_str(&source, ()).map(drop)));
        assert_eq!(dropped.load(Ordering::SeqCst), at + 1, "{body}");
    }
}

#[test]
fn an_extension_lives_for_one_render_and_through_includes_blocks_and_macros() {
    let mut env = Environment::new();
    env.add_function("count", |state: &mut State<'_, '_>| {
        let counter = state.get_or_insert_extension_with(AtomicUsize::default);
        counter.fetch_add(1, Ordering::Relaxed)
    });
    env.add_template("part", "{{ count() }}").unwrap();
    let source = "{% macro m() %}{{ count() }}{% endmacro %}{{ count() }}{% include 'part' %}{{ m() }}{% block b %}{{ count() }}{% endblock %}";
    env.add_template("page", source).unwrap();
    for _ in 0..2 {
        assert_eq!(env.get_template("page").unwrap().render(()).unwrap(), "0123");
    }
}

#[test]
fn a_shared_string_becomes_a_value() {
    let text: Arc<str> = "markup".into();
    let value = Value::from(Arc::clone(&text));
    assert_eq!((value.kind(), value.as_str()), (ValueKind::String, Some("markup")));
    assert_eq!(Arc::strong_count(&text), 2, "the allocation is not shared any more");
}

#[test]
fn an_included_template_escapes_by_its_own_name_and_a_macro_by_its_callers() {
    let mut env = Environment::new();
    env.add_template("part.html", "{{ x }}{% macro m(x) %}{{ x }}{% endmacro %}").unwrap();
    env.add_template(
        "page.txt",
        "{% include 'part.html' %} {% from 'part.html' import m %}{{ m(x) }}",
    )
    .unwrap();
    let page = env.get_template("page.txt").unwrap().render(context! { x => "<" }).unwrap();
    assert_eq!(page, "&lt; <");
}

#[test]
fn nesting_has_the_limit_that_the_rewriter_counts_by() {
    let nested =
        |depth: usize| format!("{}{}", "{% if true %}".repeat(depth), "{% endif %}".repeat(depth));
    let deepest = (1..400).rfind(|depth| render(&nested(*depth)).is_ok()).unwrap();
    assert_eq!(deepest, 149);
}

#[test]
fn the_syntax_is_readable_back() {
    let config = SyntaxConfig::builder()
        .block_delimiters("<%", "%>")
        .line_statement_prefix("##")
        .build()
        .unwrap();
    let mut env = Environment::new();
    env.set_syntax(config);
    assert_eq!(env.syntax().block_delimiters(), ("<%", "%>"));
    assert_eq!(env.syntax().line_statement_prefix(), Some("##"));
}
