//! Errors of bodies, of arguments, and of Tera about a rewritten source.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fragcache::syntax::Syntax;
use fragcache::{ErrorKind, fragment_key};
use tera::{Context, Kwargs, State, Value};

use crate::support::{Site, context};

fn bad(yes: bool) -> Context {
    context(&[("bad", Value::from(yes))])
}

#[test]
fn a_failed_body_stores_nothing_and_leaves_no_flight() {
    let source = "{% cache 300, \"o\" %}{% cache 300, \"i\" %}{{ tick() }}{{ boom(when=bad) }}\
                  {% endcache %}{% endcache %}";
    let site = Site::loaded(&[("a.html", source)]);
    let error = site.error("a.html", &bad(true));
    assert_eq!(error.matches("no database").count(), 1, "{error}");
    let stats = site.cache.stats();
    assert_eq!((stats.flights, stats.entries, stats.stores, site.ticks()), (0, 0, 0, 1));

    assert_eq!(site.render("a.html", &bad(false)), "fine");
    assert_eq!(site.render("a.html", &bad(true)), "fine");
    assert_eq!(site.ticks(), 2);
}

#[test]
fn a_body_error_is_the_one_that_tera_made() {
    let source = "\n{{ boom(when=bad) }}\n";
    let site = Site::loaded(&[
        ("plain.html", source),
        ("a.html", "{% cache %}{% include \"plain.html\" %}{% endcache %}"),
    ]);
    let plain = site.error("plain.html", &bad(true));
    let cached = site.error("a.html", &bad(true));
    assert!(cached.starts_with(&plain), "{cached}");
}

#[test]
fn a_bare_render_after_an_error_still_caches() {
    let site = Site::loaded(&[(
        "a.html",
        "{% cache 300, \"o\" %}{% cache 300, \"i\" %}{{ tick() }}{{ boom(when=bad) }}{% endcache %}\
         {% endcache %}",
    )]);
    let render = |yes| site.tera.render("a.html", &bad(yes));
    assert!(render(true).is_err());
    assert!(render(true).is_err());
    assert_eq!(render(false).unwrap(), "fine");
    assert_eq!(render(true).unwrap(), "fine");
    assert_eq!(site.ticks(), 3);
    assert_eq!(site.cache.stats().flights, 0);
}

#[test]
fn a_panic_in_a_body_leaves_no_flight() {
    let mut site = Site::new();
    site.tera.register_function("panic", |_: Kwargs, _: &State| -> &str { panic!("on purpose") });
    site.add("a.html", "{% cache 300, \"k\" %}{{ panic() }}{% endcache %}");
    let render = || fragcache_tera::render(&site.tera, "a.html", &Context::new());
    assert!(catch_unwind(AssertUnwindSafe(render)).is_err());
    assert_eq!(site.cache.stats().flights, 0);
    assert!(!site.cache.contains(&fragment_key!("k")).unwrap());
}

#[test]
fn a_load_error_carries_ours() {
    let mut site = Site::new();
    let error = fragcache_tera::add_raw_template(&mut site.tera, "a.html", "é\n é{% endcache %}")
        .unwrap_err();
    let ours = error.source().unwrap().downcast_ref::<fragcache::Error>().unwrap();
    assert_eq!(ours.kind(), ErrorKind::Syntax);
    let location = ours.location().unwrap();
    assert_eq!((&*location.template, location.line, location.column), ("a.html", 2, 3));
    assert_eq!(error.to_string(), ours.to_string());
}

#[test]
fn tera_shows_the_authors_source_when_it_refuses_one() {
    let mut site = Site::new();
    let source = "<p>\n\t{% cache 300, \"x\" %}é {{ name | }}{% endcache %}\n</p>";
    let error = fragcache_tera::add_raw_template(&mut site.tera, "a.html", source).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("--> a.html:2:34"), "{text}");
    let shown = "2 | \t{% cache 300, \"x\" %}é {{ name | }}{% endcache %}\n  | \t";
    assert!(text.contains(shown), "{text}");
    shows_nothing_rewritten(&error);
}

/// Checks an error and its sources, in the forms that a program or `anyhow` prints.
fn shows_nothing_rewritten(error: &(dyn std::error::Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        let shown = format!("{error} {error:?} {error:#} {error:#?}");
        assert!(!shown.contains("__fragcache"), "{shown}");
        next = error.source();
    }
}

#[test]
fn no_error_shows_rewritten_source() {
    let bad = bad(true);
    // Sources that Tera refuses at load: in a tag, in a body, and on a line that was not rewritten.
    for source in [
        "{% cache 60 'a' %}{% endcache %}",
        "\n{% cache 60, 'a' %}{{ name | }}{% endcache %}",
        "{% cache 60, 'a' %}{% endcache %}\n{{ name | }}",
        "{% cache nosuch(), 'a' %}{{ neither() }}{% endcache %}",
    ] {
        let mut site = Site::new();
        let add = |tera: &mut _| fragcache_tera::add_raw_template(tera, "a.html", source);
        let error = add(&mut site.tera).unwrap_err();
        shows_nothing_rewritten(&error);
        let line = source.lines().find(|line| line.contains("name | ")).unwrap_or(source);
        assert!(error.to_string().contains(&format!(" | {line}\n")), "{error}");

        let error = fragcache_tera::render_str(&site.tera, source, &bad, true).unwrap_err();
        shows_nothing_rewritten(&error);
        assert!(error.to_string().contains(&format!(" | {line}\n")), "{error}");
    }
    // Sources that fail when they render.
    for source in [
        "{% cache 60, nothing %}{% endcache %}",
        "{% cache 60, 'a' %}{{ boom(when=bad) }}{% endcache %}",
        "{% cache 60, 'a' %}{% endcache %}\n{{ boom(when=bad) }}",
        "{% cache 60, 'a' %}{{ nothing.at.all }}{% endcache %}",
    ] {
        let site = Site::loaded(&[
            ("a.html", source),
            ("page.html", "{% cache 60 %}{% include \"a.html\" %}{% endcache %}"),
        ]);
        for name in ["a.html", "page.html"] {
            let error = fragcache_tera::render(&site.tera, name, &bad).unwrap_err();
            shows_nothing_rewritten(&error);
            let error = fragcache_tera::render_to(&site.tera, name, &bad, Vec::new()).unwrap_err();
            shows_nothing_rewritten(&error);
            let text = error.to_string();
            assert_eq!(fragcache_tera::explain(&site.tera, &error), text, "explained twice");
        }
        let error = fragcache_tera::render_str(&site.tera, source, &bad, true).unwrap_err();
        shows_nothing_rewritten(&error);
        let (count, last) = source.lines().enumerate().last().unwrap();
        assert!(error.to_string().contains(&format!("{} | {last}\n", count + 1)), "{error}");
    }
    // A template whose author's source is not known.
    let mut site = Site::new();
    let syntax = fragcache_tera::syntax_of(&tera::Delimiters::default());
    let source = "\n{% cache 60, nothing %}{% endcache %}";
    let lowered = fragcache_tera::rewrite("a.html", source, &syntax).unwrap();
    site.tera.add_raw_template("a.html", &lowered).unwrap();
    let error = fragcache_tera::render(&site.tera, "a.html", &bad).unwrap_err();
    shows_nothing_rewritten(&error);
    assert!(error.to_string().ends_with("--> a.html:2"), "{error}");
}

#[test]
fn a_missing_function_is_shown_at_its_place() {
    let mut site = Site::new();
    let source = "{% cache 300, nosuch() %}{{ neither() }}{% endcache %}";
    let error = fragcache_tera::add_raw_template(&mut site.tera, "a.html", source).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("a.html:1:15") && text.contains("a.html:1:29"), "{text}");
    assert!(!text.contains("__fragcache"), "{text}");
    assert!(!site.tera.contains_template("a.html"));
    assert!(fragcache_tera::cache_blocks(&site.tera).unwrap().is_empty());
}

#[test]
fn errors_without_a_cache_block_are_teras_own() {
    let mut site = Site::new();
    let error =
        fragcache_tera::add_raw_template(&mut site.tera, "a.html", "{{ name | }}").unwrap_err();
    assert!(matches!(error.kind(), tera::ErrorKind::SyntaxError(_)));
    assert!(error.source().is_none());
}

#[test]
fn explain_shows_render_errors_against_the_authors_source() {
    let site = Site::loaded(&[
        ("a.html", "{% cache %}{% include \"b.html\" %}{% endcache %}"),
        ("b.html", "\n\n  {% cache 300, nothing %}{% endcache %}"),
    ]);
    let render = || site.tera.render("a.html", &Context::new());
    let error = fragcache_tera::scope(render).unwrap_err();
    assert!(error.to_string().contains("__fragcache"));
    let shown = fragcache_tera::explain(&site.tera, &error);
    assert!(shown.contains("the name of the key is undefined"), "{shown}");
    assert!(
        shown.contains("--> b.html:3:3\n  |\n3 |   {% cache 300, nothing %}{% endcache %}\n"),
        "{shown}"
    );
    assert!(shown.contains("note: called from a.html:1:23\n"), "{shown}");
    assert!(shown.contains("1 | {% cache %}{% include \"b.html\" %}{% endcache %}"), "{shown}");
    assert!(!shown.contains("__fragcache"), "{shown}");
}

#[test]
fn explain_leaves_other_texts_alone() {
    let site =
        Site::loaded(&[("a.html", "{{ nothing }}"), ("b.html", "{% cache %}{% endcache %}")]);
    let error = fragcache_tera::render(&site.tera, "a.html", &Context::new()).unwrap_err();
    assert_eq!(fragcache_tera::explain(&site.tera, &error), error.to_string());
    let error =
        tera::Error::message("error: x\n --> b.html:7:9\n  |\n7 | {% cache\n  | ^\n --> b.html:1");
    assert_eq!(fragcache_tera::explain(&site.tera, &error), error.to_string());
    let error = tera::Error::message("\n\n");
    assert_eq!(fragcache_tera::explain(&tera::Tera::new(), &error), "\n\n");
}

#[test]
fn the_filters_refuse_handwritten_calls() {
    let mut site = Site::new();
    site.tera.add_raw_template("a", "{{ [\"page\", 300] | __fragcache_open }}").unwrap();
    assert!(site.error("a", &Context::new()).contains("not the id of a cache block"));
    for source in
        ["{{ [] | __fragcache_open }}", "{{ 0 | __fragcache_hit }}", "{{ 0 | __fragcache_ticket }}"]
    {
        site.tera.add_raw_template("b", source).unwrap();
        let error = site.error("b", &Context::new());
        assert!(error.contains("part of a rewritten cache block"), "{error}");
    }
    // A block that was opened and not closed is abandoned when the next one opens.
    let lowered = fragcache_tera::rewrite("d", "{% cache 9, x %}{% endcache %}", &Syntax::tera());
    let lowered = lowered.unwrap();
    let opened = lowered[..lowered.find(" | __fragcache_open").unwrap()].replace("{% if ", "{{ ");
    let source = format!("{opened} | __fragcache_open }}}}");
    site.tera.add_raw_template("d", &source).unwrap();
    for x in [1, 2, 3] {
        site.tera.render("d", &context(&[("x", Value::from(x))])).unwrap();
        assert_eq!(site.cache.stats().flights, 1);
    }
    let source = "{% filter __fragcache_close(ticket=77) %}x{% endfilter %}";
    site.tera.add_raw_template("c", source).unwrap();
    assert_eq!(site.render("c", &Context::new()), "x");
    assert_eq!(site.cache.stats().stores, 0);
}
