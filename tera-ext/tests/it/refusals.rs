//! A template that the rewriter refuses does not load; the error names the place and the reason.

use crate::support::Site;

/// Sources with the place and a word of their refusal.
const REFUSED: &[(&str, &str, &str)] = &[
    ("unclosed", "a\n {% cache 300 %}b", "2:2) never closed"),
    ("stray", "{% endcache %}", "1:1) closes nothing"),
    ("crossed", "{% cache %}{% if x %}{% endcache %}{% endif %}", "1:22) open inside"),
    ("crossed the other way", "{% if x %}{% cache %}{% endif %}{% endcache %}", "1:22) still open"),
    ("other name", "{% cache 9, \"a\" %}{% endcache b %}", "1:19) is named `\"a\"`"),
    (
        "unnamed in a loop",
        "{% for i in x %}{% cache %}{% endcache %}{% endfor %}",
        "1:17) in the `for` loop",
    ),
    (
        "unnamed in a component",
        "{% component c() %}{% cache %}{% endcache %}{% endcomponent c %}",
        "1:20) in the component",
    ),
    ("a block", "{% cache 9 %}{% block b %}{% endblock %}{% endcache %}", "1:1) `shared=true`"),
    ("set_global", "{% cache 9 %}{% set_global x = 1 %}{% endcache %}", "1:14) `set_global`"),
    (
        "break",
        "{% for i in x %}{% cache 9, i %}{% break %}{% endcache %}{% endfor %}",
        "1:33) `break`",
    ),
    (
        "top level of a child",
        "{% extends \"b\" %}\n{% cache %}{% endcache %}",
        "2:1) child template",
    ),
    ("unknown option", "{% cache 9, \"a\", colour=1 %}{% endcache %}", "1:18) `colour`"),
    ("an option twice", "{% cache unless=a, unless=b %}{% endcache %}", "1:20) `unless`"),
    ("using what is not there", "{% cache 9, \"a\", using=\"x\" %}{% endcache %}", "1:1) `using`"),
    ("using what is no name", "{% cache 9, \"a\", using=7 %}{% endcache %}", "1:24) `using`"),
];

#[test]
fn refusals_name_their_place_and_a_reason() {
    for (what, source, expected) in REFUSED {
        let (place, says) = expected.split_once(") ").unwrap();
        let mut site = Site::new();
        site.add("b", "base");
        let error = fragcache_tera::add_raw_template(&mut site.tera, "dir/a.html", source)
            .expect_err(what)
            .to_string();
        assert!(error.ends_with(&format!("(in dir/a.html:{place})")), "{what}: {error}");
        assert!(error.contains(says), "{what}: {error}");
        assert!(!site.tera.contains_template("dir/a.html"), "{what}");
    }
}

#[test]
fn blocks_nested_too_deep() {
    let deep = |levels: usize| {
        format!("{}{}", "{% cache %}".repeat(levels), "{% endcache %}".repeat(levels))
    };
    let mut site = Site::new();
    site.add("fine", &deep(13));
    assert_eq!(site.render("fine", &tera::Context::new()), "");
    for levels in [20, 10_000] {
        let error =
            fragcache_tera::add_raw_template(&mut site.tera, "a", &deep(levels)).unwrap_err();
        assert!(error.to_string().contains("nests deeper"), "{error}");
    }
}

#[test]
fn names_of_templates_are_shown_on_one_line() {
    let mut site = Site::new();
    for name in ["a\nb", "../a", "a\0b", "\u{1b}[31m"] {
        let error =
            fragcache_tera::add_raw_template(&mut site.tera, name, "{% endcache %}").unwrap_err();
        assert!(!error.to_string().contains(|c: char| c.is_control()), "{error}");
        site.add(name, "{% cache %}{{ tick() }}x{% endcache %}");
        for _ in 0..2 {
            assert_eq!(site.render(name, &tera::Context::new()), "x");
        }
    }
    assert_eq!(site.ticks(), 4);
}
