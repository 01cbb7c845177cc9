//! Timeouts, options, and the parts of a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragcache::Clock;
use fragcache::{CacheMode, ErrorPolicy, FragmentCache, Policy, fragment_key, fragment_key_at};
use tera::{Context, Map, Value};

use crate::support::{Site, context};

fn ticks_of_two(source: &str, context: &Context) -> usize {
    let site = Site::loaded(&[("a.html", source)]);
    site.render("a.html", context);
    site.render("a.html", context);
    assert_eq!(site.cache.stats().flights, 0);
    site.ticks()
}

#[test]
fn timeouts_that_cache() {
    for timeout in
        ["", "300", "60*5", "0.5", "\"90s\"", "\"1h 30m\"", "\"60\"", "none", "None", "t"]
    {
        let source = format!("{{% cache {timeout} %}}{{{{ tick() }}}}{{% endcache %}}");
        let with = context(&[("t", Value::from(5))]);
        assert_eq!(ticks_of_two(&source, &with), 1, "{timeout}");
    }
}

#[test]
fn timeouts_that_are_mistakes() {
    let values = context(&[
        ("list", Value::from(vec![1])),
        ("map", Value::from(Map::new())),
        ("nan", Value::from(f64::NAN)),
        ("huge", Value::from(u128::MAX)),
        ("vast", Value::from(1e300)),
        ("infinite", Value::from(f64::INFINITY)),
        ("zero", Value::from(0)),
        ("before", Value::from(-1)),
        ("yes", Value::from(true)),
        ("years", Value::from("999999999y")),
        ("soon", Value::from("soon")),
    ]);
    for (timeout, says) in [
        ("zero", "0"),
        ("before", "negative"),
        ("vast", "1e300"),
        ("yes", "boolean true"),
        ("list", "list"),
        ("map", "map"),
        ("nan", "NaN"),
        ("huge", "longer than a clock"),
        ("infinite", "infinite"),
        ("years", "999999999y"),
        ("soon", "soon"),
        ("nothing", "undefined"),
    ] {
        let site = Site::loaded(&[(
            "a.html",
            &format!("\n {{% cache {timeout}, \"x\" %}}{{{{ tick() }}}}{{% endcache %}}"),
        )]);
        let error = site.error("a.html", &values);
        assert!(error.contains(says), "{timeout}: {error}");
        assert!(error.contains("(in a.html:2:2)"), "{timeout}: {error}");
        assert_eq!((site.ticks(), site.cache.stats().flights), (0, 0));
    }
}

#[derive(Debug, Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn a_fragment_expires() {
    let hands = Hands::default();
    let cache = FragmentCache::builder().clock(hands.clone()).build().unwrap();
    let mut site = Site::with_cache(cache);
    site.add("a.html", "{% cache 60 %}{{ tick() }}{% endcache %}");
    for (second, ticks) in [(0, 1), (59, 1), (61, 2), (62, 2)] {
        hands.0.store(second, Ordering::Relaxed);
        site.render("a.html", &Context::new());
        assert_eq!(site.ticks(), ticks, "after {second} s");
    }
}

#[test]
fn del_deletes_renders_and_stores_nothing() {
    for del in ["del", "'del'", "\"del\"", "x"] {
        let mut site = Site::loaded(&[(
            "a.html",
            "{% cache 300, \"k\", 1 %}{{ tick() }}{{ n }}{% endcache %}",
        )]);
        site.add(
            "d.html",
            &format!("{{% cache {del}, \"k\", 1 %}}{{{{ tick() }}}}new{{% endcache %}}"),
        );
        let with = context(&[("n", Value::from(1)), ("x", Value::from("del"))]);
        assert_eq!(site.render("a.html", &with), "1");
        assert_eq!(site.render("d.html", &with), "new");
        assert!(!site.cache.contains(&fragment_key!("k", 1)).unwrap());
        assert_eq!(site.render("d.html", &with), "new");
        assert_eq!(site.render("a.html", &with), "1");
        assert_eq!(site.ticks(), 4, "{del}");
    }
}

#[test]
fn unless_neither_reads_nor_stores() {
    let source = "{% cache 300, \"k\", unless=draft %}{{ tick() }}{{ n }}{% endcache %}";
    let site = Site::loaded(&[("a.html", source)]);
    let page = |n: u64, draft: bool| {
        site.render("a.html", &context(&[("n", Value::from(n)), ("draft", Value::from(draft))]))
    };
    assert_eq!(
        [page(1, true), page(2, false), page(3, true), page(4, false)],
        ["1", "2", "3", "2"]
    );
    assert_eq!(site.ticks(), 3);
}

#[test]
fn unless_inside_keeps_the_outer_fragment_from_being_stored() {
    let source = "{% cache 300, \"o\" %}{% cache 300, \"k\", unless=draft %}{{ tick() }}{% endcache %}\
                  {% endcache %}";
    assert_eq!(ticks_of_two(source, &context(&[("draft", Value::from(true))])), 2);
    assert_eq!(ticks_of_two(source, &context(&[("draft", Value::from(false))])), 1);
}

#[test]
fn refresh_replaces_and_a_failed_refresh_keeps_the_old() {
    let source = "{% cache 300, \"k\", refresh=again %}{{ boom(when=bad) }}{{ n }}{% endcache %}";
    let site = Site::loaded(&[("a.html", source)]);
    let with = |n: u64, again: bool, bad: bool| {
        context(&[("n", Value::from(n)), ("again", Value::from(again)), ("bad", Value::from(bad))])
    };
    assert_eq!(site.render("a.html", &with(1, false, false)), "fine1");
    assert_eq!(site.render("a.html", &with(2, true, false)), "fine2");
    assert!(site.error("a.html", &with(3, true, true)).contains("no database"));
    assert_eq!(site.render("a.html", &with(4, false, true)), "fine2");
    assert_eq!(site.cache.stats().flights, 0);
}

#[test]
fn parts_have_one_text_in_templates_and_in_rust() {
    let with = context(&[
        ("id", Value::from(42)),
        ("big", Value::from(u128::MAX)),
        ("list", Value::from(vec![Value::from("a"), Value::none()])),
        ("safe", Value::safe_string("s")),
    ]);
    let cases = [
        ("\"k\", id", fragment_key!("k", 42)),
        ("\"k\", \"42\"", fragment_key!("k", "42")),
        ("\"k\", 84 / 2", fragment_key!("k", 42.0)),
        ("\"k\", 0.5", fragment_key!("k", 0.5)),
        ("\"k\", true", fragment_key!("k", true)),
        ("\"k\", none", fragment_key!("k", None::<&str>)),
        ("\"k\", big", fragment_key!("k", u128::MAX)),
        ("\"k\", list", fragment_key!("k", [Some("a"), None])),
        ("\"k\", safe", fragment_key!("k", "s")),
        ("\"k\", id, [1, 2]", fragment_key!("k", 42, [1, 2])),
        ("id", fragment_key!(42)),
    ];
    for (parts, key) in cases {
        let site =
            Site::loaded(&[("a.html", &format!("{{% cache 9, {parts} %}}x{{% endcache %}}"))]);
        site.render("a.html", &with);
        assert!(site.cache.contains(&key).unwrap(), "{parts} is not {key}");
    }
}

#[test]
fn parts_that_are_mistakes() {
    let with = context(&[
        ("map", Value::from(Map::new())),
        ("nan", Value::from(f64::NAN)),
        ("bytes", Value::bytes(b"x".to_vec())),
        ("holed", Value::from(vec![Value::undefined()])),
    ]);
    for (part, says) in [
        ("user", "vary part of the key is undefined"),
        ("map", "is a map"),
        ("nan", "not a finite number"),
        ("bytes", "is a sequence of bytes"),
        ("holed", "is undefined"),
    ] {
        let site = Site::loaded(&[(
            "a.html",
            &format!("\n{{% cache 9, \"k\", 1, {part} %}}{{{{ tick() }}}}{{% endcache %}}"),
        )]);
        let error = site.error("a.html", &with);
        assert!(error.contains(says), "{error}");
        assert!(error.contains("the second vary part"), "{error}");
        assert!(error.contains("(in a.html:2:1)"), "{error}");
        assert_eq!(site.ticks(), 0);
    }
}

#[test]
fn lists_nested_too_deep_are_a_mistake() {
    let mut list = Value::from(1);
    for _ in 0..40 {
        list = Value::from(vec![list]);
    }
    let site = Site::loaded(&[("a.html", "{% cache 9, \"k\", deep %}{% endcache %}")]);
    assert!(site.error("a.html", &context(&[("deep", list)])).contains("nested deeper"));
}

#[test]
fn literals_that_can_never_be_right_do_not_load() {
    for (arguments, says) in [
        ("0, 'a'", "timeout is 0"),
        ("-1.5, 'a'", "negative"),
        ("'5 minuts', 'a'", "not a duration"),
        ("true, 'a'", "boolean true"),
        ("[300], 'a'", "a list"),
        ("'sidebar'", "a name comes second, after a timeout or `default`"),
        ("timeout=60, name='a'", "vary parts are positional"),
        ("9, 'a', {'b': 1}", "a map"),
        ("(9, 'a')", "write them without"),
    ] {
        let source = format!("\n {{% cache {arguments} %}}{{% endcache %}}");
        let mut site = Site::new();
        let error =
            fragcache_tera::add_raw_template(&mut site.tera, "a.html", &source).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(says) && error.contains("(in a.html:2:"), "{arguments}: {error}");
        assert!(!error.contains("__fragcache"), "{error}");
    }
}

#[test]
fn the_default_timeout_can_be_said() {
    let site = Site::loaded(&[(
        "a.html",
        "{% cache default, 'k' %}{{ tick() }}{% endcache %}{% cache 'default', 'k' %}{% endcache %}",
    )]);
    site.render("a.html", &Context::new());
    site.render("a.html", &context(&[("default", Value::from(0))]));
    assert_eq!(site.ticks(), 1);
}

#[test]
fn a_policy_renders_mistakes_uncached() {
    let policy = Policy::default().bad_arguments(ErrorPolicy::Uncached);
    let cache = FragmentCache::builder().policy(policy).build().unwrap();
    let mut site = Site::with_cache(cache);
    site.add(
        "a.html",
        "{% cache x %}{{ tick() }}a{% endcache %}{% cache 9, x %}{{ tick() }}b{% endcache %}",
    );
    for ticks in [2, 4] {
        assert_eq!(site.render("a.html", &Context::new()), "ab");
        assert_eq!(site.ticks(), ticks);
    }
    assert_eq!(site.cache.stats().entries, 0);
}

#[test]
fn unnamed_blocks_are_named_by_their_place() {
    let source = "\n{% cache %}a{% endcache %}{% cache 9 %}b{% endcache %}";
    let site = Site::loaded(&[("dir/a.html", source)]);
    site.render("dir/a.html", &Context::new());
    let stored = site.cache.get(&fragment_key_at("dir/a.html", 2)).unwrap();
    assert_eq!(stored.as_deref(), Some("a"));
    assert_eq!(site.cache.stats().entries, 2);
    site.cache.delete_template("dir/a.html").eventually();
    assert!(!site.cache.contains(&fragment_key_at("dir/a.html", 2)).unwrap());
}

#[test]
fn an_edited_template_never_serves_its_old_markup() {
    let mut site = Site::loaded(&[("a.html", "{% cache 9, \"k\" %}old{% endcache %}")]);
    assert_eq!(site.render("a.html", &Context::new()), "old");
    site.add("a.html", "{% cache 9, \"k\" %}new{% endcache %}");
    assert_eq!(site.render("a.html", &Context::new()), "new");
}

#[test]
fn a_cache_can_be_disabled_or_passed_by() {
    let mut site = Site::with_cache(FragmentCache::disabled());
    site.add("a.html", "{% cache %}{{ tick() }}x{% endcache %}");
    assert_eq!(site.render("a.html", &Context::new()), "x");
    assert_eq!(site.render("a.html", &Context::new()), "x");
    assert_eq!(site.ticks(), 2);

    let site = Site::loaded(&[("a.html", "{% cache %}{{ tick() }}x{% endcache %}")]);
    site.cache.set_mode(CacheMode::Bypass);
    site.render("a.html", &Context::new());
    site.cache.set_mode(CacheMode::Normal);
    site.render("a.html", &Context::new());
    site.render("a.html", &Context::new());
    assert_eq!(site.ticks(), 2);
}

/// Assignments in a child's block, or in a parent's through `super()`, cannot be undone after
/// the body. If there is one, nothing is stored, so that every render behaves as in plain Tera.
#[test]
fn assignments_of_other_templates_are_seen_on_every_render() {
    let base = "{% cache 9, \"b\", 1 %}{{ tick() }}{% block main %}m{% endblock main %}\
                {% endcache %}{{ y | default(value=\"none\") }}";
    let child = "{% extends \"base\" %}{% block main %}{% set y = 5 %}{{ y }}{% endblock main %}";
    let site = Site::loaded(&[("base", base), ("child", child)]);
    for renders in 1..=2 {
        assert_eq!(site.render("child", &Context::new()), "55");
        assert_eq!(site.ticks(), renders);
    }
    assert_eq!(site.render("base", &Context::new()), "mnone");
    assert_eq!(site.render("base", &Context::new()), "mnone");
    assert_eq!(site.ticks(), 3, "what assigns nothing is stored");

    let base = "{% block main %}{% set y = 5 %}b{% endblock main %}";
    let child = "{% extends \"base\" %}{% block main %}{% cache 9, \"s\" %}{{ tick() }}\
                 {{ super() }}{% set z = 1 %}{% endcache %}{{ y | default(value=\"none\") }}\
                 {{ z | default(value=\"local\") }}{% endblock main %}";
    let site = Site::loaded(&[("base", base), ("child", child)]);
    for renders in 1..=2 {
        assert_eq!(site.render("child", &Context::new()), "b5local");
        assert_eq!(site.ticks(), renders);
    }
}
