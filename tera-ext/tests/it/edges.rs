//! Edge cases: renders that fail, renders without a scope, and blocks inside and around them.

use tera::{Context, Kwargs, State, Value};

use crate::support::{Site, context};
use fragcache::{Fragment, fragment_key};

#[test]
fn a_component_that_uses_itself() {
    let mut site = Site::new();
    site.tera
        .register_function("less", |k: Kwargs, _: &State| k.must_get::<i64>("n").map(|n| n - 1));
    site.add(
        "node",
        "{% component node(n) %}{% cache 60, \"node\", n %}{{ tick() }}<{{ n }}\
        {% if n > 0 %}{{ <node n={less(n=n)} /> }}{% endif %}>{% endcache %}{% endcomponent node %}\
        {{ <node n={n} /> }}",
    );
    for bare in [false, true] {
        site.cache.clear().eventually();
        for _ in 0..2 {
            let c = context(&[("n", Value::from(3))]);
            let page =
                if bare { site.tera.render("node", &c).unwrap() } else { site.render("node", &c) };
            assert_eq!(page, "<3<2<1<0>>>>");
            assert_eq!((site.cache.stats().entries, site.cache.stats().flights), (4, 0));
            assert!(!fragcache::current::is_open());
        }
    }
    site.cache.delete(&fragment_key!("node", 1)).eventually();
    assert!(!site.cache.contains(&fragment_key!("node", 3)).unwrap());
}

#[test]
fn i1_a_bare_render_that_is_tried_again_inside_a_fragment() {
    let mut site = Site::new();
    site.add("x", "{% cache 60, \"x\" %}{{ boom(when=bad) }}{% endcache %}");
    site.add("g", "{% cache 60, \"g\" %}g{% endcache %}");
    let page = Fragment::new(fragment_key!("page"));
    let with = |bad: bool| context(&[("bad", Value::from(bad))]);
    site.cache
        .render(&page, || {
            assert!(site.tera.render("x", &with(true)).is_err());
            let g = site.tera.render("g", &Context::new()).unwrap();
            g + &site.tera.render("x", &with(false)).unwrap()
        })
        .unwrap();
    assert!(site.cache.contains(page.key()).unwrap());
    site.cache.delete(&fragment_key!("g")).eventually();
    assert!(!site.cache.contains(page.key()).unwrap());
}

#[test]
fn i1_a_bare_body_is_as_old() {
    let mut site = Site::new();
    let cache = site.cache.clone();
    site.tera.register_function("change", move |_: Kwargs, _: &State| {
        cache.delete(&fragment_key!("inner")).eventually();
        ""
    });
    site.tera.register_function("load", |_: Kwargs, _: &State| "old");
    site.add("a", "{% cache 60, \"outer\" %}{% set x = load() %}{{ change() }}{% cache 60, \"inner\" %}{{ x }}{% endcache %}{% endcache %}");
    site.render("a", &Context::new());
    assert!(!site.cache.contains(&fragment_key!("inner")).unwrap(), "bounded");
    site.tera.render("a", &Context::new()).unwrap();
    assert!(!site.cache.contains(&fragment_key!("inner")).unwrap(), "bare");
}
