//! A read point in a render's context applies to the whole render.

use fragcache::{FragmentCache, fragment_key};
use minijinja::{Environment, context};

const ROW: &str = "{% cache 60, 'row', tags=['t'] %}{{ price }}{% endcache %}";

#[test]
fn in_minijinja_a_point_reaches_macros_imports_includes_and_blocks() {
    let definition = format!("{{% macro row(price) %}}{ROW}{{% endmacro %}}");
    let wrapped = "{% macro w() %}{{ caller() }}{% endmacro %}{% call w() %}@{% endcall %}";
    let sources = [
        format!("{definition}{{{{ row(price) }}}}"),
        "{% import 'library' as m %}{{ m.row(price) }}".to_owned(),
        "{% from 'library' import row %}{{ row(price) }}".to_owned(),
        "{% include 'partial' %}".to_owned(),
        format!("{{% block b %}}{ROW}{{% endblock %}}"),
        wrapped.replace('@', ROW),
    ];
    for source in sources {
        let cache = FragmentCache::in_memory();
        let mut env = Environment::new();
        fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
        fragcache_minijinja::add_template(&mut env, "library", definition.clone()).unwrap();
        fragcache_minijinja::add_template(&mut env, "partial", ROW).unwrap();
        fragcache_minijinja::add_template(&mut env, "page", source.clone()).unwrap();
        let render = |point: String| {
            let context = context!(price => 10, fragcache_read_point => point);
            env.get_template("page").unwrap().render(context).unwrap()
        };
        let late = cache.read_point().to_token();
        cache.invalidate_tags(["t"]).unwrap().eventually();
        assert_eq!(render(late), "10");
        assert!(!cache.contains(&fragment_key!("row")).unwrap(), "{source}");
        render(cache.read_point().to_token());
        assert!(cache.contains(&fragment_key!("row")).unwrap(), "{source}");
    }
}
