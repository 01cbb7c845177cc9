//! The effects of a scope around a render.

use std::sync::{Arc, Mutex};

use fragcache::events::{Event, EventKind, Observer};
use fragcache::{FragmentCache, Policy};
use tera::{Context, Kwargs, State, Tera, Value};

use crate::support::{Site, context};

#[derive(Debug, Clone, Default)]
struct Repeats(Arc<Mutex<Vec<String>>>);

impl Observer for Repeats {
    fn on_event(&self, event: &Event<'_>) {
        if event.kind == EventKind::Repeated {
            self.0.lock().unwrap().push(event.name().into_owned());
        }
    }
}

/// A page whose loop includes an unnamed block, which cannot be detected at load.
fn looping(policy: Policy) -> (Site, Repeats) {
    let repeats = Repeats::default();
    let cache = FragmentCache::builder().policy(policy).observer(repeats.clone()).build().unwrap();
    let mut site = Site::with_cache(cache);
    site.add("part", "\n{% cache %}{{ i }}{% endcache %}");
    site.add("page", "{% for i in [1, 2, 3] %}{% include \"part\" %}{% endfor %}");
    (site, repeats)
}

#[test]
fn an_unnamed_block_opened_twice_in_a_scope_is_an_event() {
    let (site, repeats) = looping(Policy::default());
    let page = fragcache_tera::scope(|| site.tera.render("page", &Context::new())).unwrap();
    assert_eq!(page, "\n1\n1\n1");
    assert_eq!(*repeats.0.lock().unwrap(), ["part:2", "part:2"]);
    assert_eq!(site.cache.stats().repeats, 2);
    // The next render counts from the beginning.
    site.render("part", &context(&[("i", Value::from(1))]));
    assert_eq!(site.cache.stats().repeats, 2);
}

#[test]
fn a_bare_render_does_not_detect_repeats() {
    let (site, repeats) = looping(Policy::default());
    site.tera.render("page", &Context::new()).unwrap();
    assert!(repeats.0.lock().unwrap().is_empty());
}

#[test]
fn a_policy_makes_it_an_error() {
    let (site, _) = looping(Policy::default().repeated_unnamed_is_error(true));
    let error = site.error("page", &Context::new());
    assert!(error.contains("ran twice in one render"), "{error}");
    assert!(error.contains("(in part:2:1)"), "{error}");
    assert_eq!(site.cache.stats().flights, 0);
}

#[test]
fn a_render_inside_a_render_is_one_of_its_own() {
    let (mut site, repeats) = looping(Policy::default());
    let inner = site.tera.clone();
    site.tera.register_function("inner", move |_: Kwargs, _: &State| {
        fragcache_tera::render(&inner, "part", &context(&[("i", Value::from(9))])).map(|_| "")
    });
    site.add("outer", "{% include \"part\" %}{{ inner() }}{% include \"part\" %}");
    site.render("outer", &context(&[("i", Value::from(1))]));
    // Only the second include repeats; the inner render neither counts nor ends the outer one.
    assert_eq!(repeats.0.lock().unwrap().len(), 1);
}

#[test]
fn a_failed_render_inside_a_body_leaves_the_outer_body_open() {
    let mut site = Site::new();
    site.add("bad", "{% cache 9, \"bad\" %}{{ boom(when=true) }}{% endcache %}");
    let inner = site.tera.clone();
    site.tera.register_function("try", move |_: Kwargs, _: &State| {
        let failed = fragcache_tera::render(&inner, "bad", &Context::new()).is_err();
        if failed { "failed" } else { "worked" }
    });
    site.add("a", "{% cache 9, \"a\" %}{{ tick() }}{{ try() }}{% endcache %}");
    for _ in 0..2 {
        assert_eq!(site.render("a", &Context::new()), "failed");
    }
    assert_eq!((site.ticks(), site.cache.stats().flights), (1, 0));
}

#[test]
fn two_caches_in_one_page() {
    let outer = Site::loaded(&[("x", "{% cache 9, \"x\" %}{{ tick() }}x{% endcache %}")]);
    let mut page = Site::new();
    let other: Tera = outer.tera.clone();
    page.tera.register_function("x", move |_: Kwargs, _: &State| {
        fragcache_tera::render(&other, "x", &Context::new())
    });
    page.add("a", "{% cache 9, \"a\" %}{{ tick() }}{{ x() }}{% endcache %}");
    for _ in 0..2 {
        assert_eq!(page.render("a", &Context::new()), "x");
    }
    // A fragment that contains another cache's is not stored, because it is not
    // notified of a deletion.
    assert_eq!((page.ticks(), outer.ticks(), page.cache.stats().entries), (2, 1, 0));
}

#[test]
fn a_scope_returns_the_result_of_its_closure() {
    assert_eq!(fragcache_tera::scope(|| 7), 7);
}

#[test]
fn blocks_and_components_render_in_a_scope() {
    let site = Site::loaded(&[(
        "a",
        "{% component card(n) %}{% cache 9, \"card\", n %}{{ tick() }}{{ n }}{% endcache %}\
         {% endcomponent card %}{% block main %}{% cache 9, \"b\" %}{{ tick() }}b{% endcache %}\
         {% endblock main %}",
    )]);
    for _ in 0..2 {
        let block = fragcache_tera::scope(|| site.tera.render_block("a", "main", &Context::new()));
        assert_eq!(block.unwrap(), "b");
        let n = context(&[("n", Value::from(1))]);
        let card = fragcache_tera::scope(|| site.tera.render_component("card", &n, None, true));
        assert_eq!(card.unwrap(), "1");
    }
    assert_eq!(site.ticks(), 2);
}
