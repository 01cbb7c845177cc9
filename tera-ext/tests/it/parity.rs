//! A miss and a hit print the same as the template without fragcache.

use fragcache::Invalidation;
use fragcache::fragment_key;
use tera::{Context, Delimiters, Value};

use crate::support::{Site, check_parity, check_parity_under, context};

fn people() -> Context {
    context(&[
        ("items", Value::from(vec!["<a>", "b", "c & d"])),
        ("name", Value::from("<Tom> & Co")),
        ("flag", Value::from(true)),
    ])
}

#[test]
fn a_hit_skips_the_body_and_prints_the_same() {
    let source = "<p>{% cache 300, \"x\" %}{{ tick() }}{{ name }} <b>é</b>{% endcache %}</p>";
    let site = check_parity(&[("page.html", source)], &people());
    assert_eq!(site.ticks(), 1);
    let stored = site.cache.get(&fragment_key!("x")).unwrap();
    assert_eq!(stored.as_deref(), Some("&lt;Tom&gt; &amp; Co <b>é</b>"));
}

#[test]
fn an_empty_body_is_a_hit() {
    let site = check_parity(&[("a.html", "[{% cache %}{{ tick() }}{% endcache %}]")], &people());
    assert_eq!(site.render("a.html", &people()), "[]");
    assert_eq!((site.ticks(), site.cache.stats().hits), (1, 2));
}

#[test]
fn escaping_follows_the_page() {
    let source = "{% cache 300, \"x\" %}{{ tick() }}{{ name }}{% endcache %}";
    check_parity(&[("a.txt", source)], &people());

    // One block, included by a page that escapes and by one that does not: two variants.
    let site = Site::loaded(&[
        ("part", source),
        ("a.html", "{% include \"part\" %}"),
        ("a.txt", "{% include \"part\" %}"),
    ]);
    for _ in 0..2 {
        assert_eq!(site.render("a.txt", &people()), "<Tom> & Co");
        assert_eq!(site.render("a.html", &people()), "&lt;Tom&gt; &amp; Co");
    }
    assert_eq!(site.ticks(), 2);
    // One key: deleting it deletes both.
    assert_eq!(site.cache.delete(&fragment_key!("x")), Invalidation::Removed);
    site.render("a.txt", &people());
    site.render("a.html", &people());
    assert_eq!(site.ticks(), 4);
}

#[test]
fn a_component_filled_from_both_kinds_of_page_is_escaped_for_each() {
    let component = "{% component card(name) %}{% cache 300, \"card\", name %}{{ tick() }}<i>{{ name }}</i>\
                     {% endcache %}{% endcomponent card %}";
    let site = Site::loaded(&[
        ("card.html", component),
        ("a.html", "{{ <card name={name} /> }}"),
        ("a.txt", "{{ <card name={name} /> }}"),
    ]);
    for _ in 0..2 {
        assert_eq!(site.render("a.txt", &people()), "<i><Tom> & Co</i>");
        assert_eq!(site.render("a.html", &people()), "<i>&lt;Tom&gt; &amp; Co</i>");
    }
    assert_eq!(site.ticks(), 2);
}

#[test]
fn nested_blocks() {
    let site = check_parity(
        &[(
            "a.html",
            "{% cache 300, \"out\" %}{{ tick() }}1{% cache 300, \"mid\" %}{{ tick() }}2\
             {% cache 300, \"in\" %}{{ tick() }}{{ name }}{% endcache %}4{% endcache %}5{% endcache %}",
        )],
        &people(),
    );
    assert_eq!(site.ticks(), 3);
    // Deleting the innermost makes the outer ones render again.
    site.cache.delete(&fragment_key!("in")).eventually();
    site.render("a.html", &people());
    assert_eq!(site.ticks(), 6);
    // Deleting an outer one leaves the inner ones as they are.
    site.cache.delete(&fragment_key!("mid")).eventually();
    site.render("a.html", &people());
    assert_eq!(site.ticks(), 8);
}

#[test]
fn loops_and_their_variables() {
    let site = check_parity(
        &[(
            "a.html",
            "{% for item in items %}{% cache 300, \"row\", item %}{{ tick() }}{{ loop.index }}: \
             {{ item }}{% for n in [1, 2] %}-{{ loop.index }}{{ n }}{% endfor %}{% endcache %}\n\
             {% endfor %}",
        )],
        &people(),
    );
    assert_eq!((site.ticks(), site.cache.stats().hits), (3, 3));
}

#[test]
fn includes_share_a_block() {
    check_parity(
        &[
            ("a.html", "{% cache 300, \"a\" %}{{ tick() }}{% include \"b.html\" %}{% endcache %}"),
            ("b.html", "{% cache 300, \"b\" %}{{ tick() }}{{ name }}{% endcache %}"),
        ],
        &people(),
    );
}

#[test]
fn inheritance_and_super() {
    check_parity(
        &[
            (
                "child.html",
                "{% extends \"base.html\" %}{% block main %}{% cache 300, \"c\" %}{{ tick() }}child \
                 {{ super() }}{{ name }}{% endcache %}{% endblock main %}",
            ),
            (
                "base.html",
                "<h1>{% block main %}{% cache 300, \"b\" %}{{ tick() }}base{% endcache %}\
                 {% endblock main %}</h1>",
            ),
        ],
        &people(),
    );
}

#[test]
fn two_children_of_one_base_keep_their_own() {
    let site = Site::loaded(&[
        ("base", "{% cache 300, \"page\", which %}{% block main %}{% endblock %}{% endcache %}"),
        ("one", "{% extends \"base\" %}{% block main %}1{% endblock %}"),
        ("two", "{% extends \"base\" %}{% block main %}2{% endblock %}"),
    ]);
    for _ in 0..2 {
        assert_eq!(site.render("one", &context(&[("which", Value::from(1))])), "1");
        assert_eq!(site.render("two", &context(&[("which", Value::from(2))])), "2");
    }
}

#[test]
fn components_with_bodies() {
    check_parity(
        &[
            (
                "a.html",
                "{% cache 300, \"a\" %}{{ tick() }}{% <card title={name}> %}<u>{{ name }}</u>\
                 {% </card> %}{% endcache %}",
            ),
            (
                "card.html",
                "{% component card(title) %}<h2>{{ title }}</h2>{{ body }}{% endcomponent card %}",
            ),
        ],
        &people(),
    );
}

#[test]
fn assignments_of_the_body_end_with_it() {
    let source = "{% set x = 1 %}{% cache 300, \"a\" %}{{ tick() }}{% set x = 2 %}{% set y = 3 %}{{ x }}\
                  {{ y }}{% endcache %}|{{ x }}|{{ y | default(value=\"none\") }}";
    let site = Site::loaded(&[("a.html", source)]);
    for _ in 0..2 {
        assert_eq!(site.render("a.html", &people()), "23|1|none");
    }
    assert_eq!(site.ticks(), 1);
}

#[test]
fn whitespace_markers_stay_where_they_are() {
    for (open, close) in
        [("{%-", "-%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%", "%}")].map(|(o, c)| (o, c))
    {
        for (end_open, end_close) in [("{%-", "-%}"), ("{%", "%}"), ("{%-", "%}"), ("{%", "-%}")] {
            let source = format!(
                "<a>\n  {open} cache 300, \"x\" {close}  \n {{{{ tick() }}}} hi \n\t \
                 {end_open} endcache {end_close}\n\n  <b>"
            );
            check_parity(&[("a.html", &source)], &people());
        }
    }
}

#[test]
fn other_delimiters() {
    let delimiters = Delimiters {
        block_start: "<%".into(),
        block_end: "%>".into(),
        variable_start: "<<".into(),
        variable_end: ">>".into(),
        comment_start: "<#".into(),
        comment_end: "#>".into(),
    };
    let source = "<# {% cache %} #>{% raw %} <%- cache 300, \"x\", name -%> << tick() >><< name >> \
                  <% endcache x %> {{ }}";
    let site = check_parity_under(&delimiters, &[("a.html", source)], &people());
    assert_eq!(fragcache_tera::cache_blocks(&site.tera).unwrap().len(), 1);
}

#[test]
fn a_source_without_blocks_is_left_alone() {
    let source =
        "{# {% cache %} #}{% raw %}{% cache %}{% endraw %}{{ \"{% cache %}\" }}\r\n\t{{ name }}";
    let mut site = Site::new();
    site.add("a.html", source);
    let mut plain = tera::Tera::new();
    plain.add_raw_template("a.html", source).unwrap();
    let expected = plain.render("a.html", &people()).unwrap();
    assert_eq!(site.render("a.html", &people()), expected);
    assert!(fragcache_tera::cache_blocks(&site.tera).unwrap().is_empty());
}

#[test]
fn markup_of_every_size_and_script() {
    for body in ["x", "exactly twenty-one by", "twenty-two bytes long.", "日本語 — ünï\u{0}"]
    {
        let source = format!("{{% cache 300, \"x\" %}}{{{{ tick() }}}}{body}{{% endcache %}}");
        check_parity(&[("a.html", &source)], &people());
        check_parity(&[("a.txt", &source)], &people());
    }
}

#[test]
fn assignments_of_an_include_stay_in_it() {
    let source =
        "{% cache 9 %}{{ tick() }}{% include \"b\" %}{% endcache %}{{ y | default(value=0) }}";
    check_parity(&[("a", source), ("b", "{% set y = 5 %}{{ y }}")], &people());
}
