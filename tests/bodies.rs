//! Body contents that are unknown when the template loads: the fragment is printed
//! and not stored, with an event. Also templates that a later template makes unsound.

use fragcache::FragmentCache;
use fragcache::events::{EventKind, RefusalReason};
use fragcache::testing::Recorder;
use fragcache_minijinja::{add_template, add_to_environment, caching_loader};
use minijinja::{Environment, context};

/// Templates in an environment of their own, and the recorder of their events.
fn set(templates: &[(&'static str, &'static str)]) -> (Environment<'static>, Recorder) {
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    let mut env = Environment::new();
    add_to_environment(&mut env, cache).unwrap();
    for (name, source) in templates {
        add_template(&mut env, *name, *source).unwrap();
    }
    (env, recorder)
}

fn refusals(recorder: &Recorder, reason: RefusalReason) -> usize {
    recorder.events().iter().filter(|event| event.kind == EventKind::Refused(reason)).count()
}

/// Calls the macro `m` of a set twice, with different contents.
const PAGE: &str =
    "{% from 'm' import m %}{% call m() %}A{% endcall %} {% call m() %}B{% endcall %}";

#[test]
fn the_content_of_a_call_block_is_not_served_to_another_caller() {
    for (way, content) in [
        ("{{ box(caller) }}", "f()"),
        ("{{ box(f=caller) }}", "f()"),
        ("{{ box([caller])  }}", "f[0]()"),
        ("{{ box({'f': [caller]}) }}", "f.f[0]()"),
        ("{% set f = caller %}{{ box(f) }}", "f()"),
        ("{% set ns = namespace() %}{% set ns.f = caller %}{{ box(ns) }}", "f.f()"),
        ("{% set ns = namespace(f=caller) %}{{ through(box, ns) }}", "f.f()"),
        ("{% for f in [caller] %}{{ through(box, f) }}{% endfor %}", "f()"),
        ("{% set f = caller %}{% include 'partial' %}", "f()"),
        ("{% set f = [caller] %}{% include 'partial' %}", "f[0]()"),
        ("{% set which = {'box': box} %}{{ which.box(caller) }}", "f()"),
    ] {
        for (parts, stored) in [("", false), (", CONTENT", true), (", shared=true", true)] {
            let block =
                format!("{{% cache 300, 'box'{parts} %}}<{{{{ CONTENT }}}}>{{% endcache %}}")
                    .replace("CONTENT", content);
            let macros = format!(
                "{{% macro box(f) %}}{block}{{% endmacro %}}\
                 {{% macro through(g, f) %}}{{{{ g(f) }}}}{{% endmacro %}}\
                 {{% macro m() %}}{way}{{% endmacro %}}"
            );
            let (mut env, recorder) = set(&[]);
            for (name, source) in [("partial", block), ("m", macros), ("page", PAGE.to_owned())] {
                add_template(&mut env, name, source).unwrap();
            }
            let page =
                |env: &Environment<'_>| env.get_template("page").unwrap().render(()).unwrap();
            let expected = if parts == ", shared=true" { "<A> <A>" } else { "<A> <B>" };
            assert_eq!((&*page(&env), &*page(&env)), (expected, expected), "{way} {parts}");
            let refused = refusals(&recorder, RefusalReason::CallContent);
            assert_eq!(refused, if stored { 0 } else { 4 }, "{way} {parts}");
        }
    }
}

/// So are blocks of templates that pass nothing on.
#[test]
fn blocks_that_see_no_content_are_stored() {
    let (env, recorder) = set(&[
        (
            "m",
            "{% macro on(f) %}{{ f() }}{% endmacro %}{% macro m() %}{{ on(caller) }}{% endmacro %}\
             {% macro other(x) %}{% cache 300, 'o' %}o{% endcache %}{{ caller() }}{% endmacro %}",
        ),
        (
            "page",
            "{% from 'm' import m, other %}{% call m() %}A{% endcall %}\
             {% cache 300, 'p' %}p{{ items|length }}{% endcache %}{% call other(1) %}B{% endcall %}",
        ),
    ]);
    let page =
        |items: Vec<u32>| env.get_template("page").unwrap().render(context! { items }).unwrap();
    assert_eq!((page(vec![1]), page(vec![])), ("Ap1oB".into(), "Ap1oB".into()));
    assert_eq!(refusals(&recorder, RefusalReason::CallContent), 0);
}

#[test]
fn a_changed_outer_namespace_is_reported() {
    let (env, recorder) = set(&[(
        "page",
        "{% macro add(n) %}{% set n.c = n.c + 1 %}{% endmacro %}{% set ns = namespace(c=0) %}\
         {% cache 300, 'a' %}{{ add(ns) }}{% endcache %}{{ ns.c }}",
    )]);
    let page = || env.get_template("page").unwrap().render(()).unwrap();
    assert_eq!((page(), page()), ("1".into(), "1".into()));
    assert_eq!(refusals(&recorder, RefusalReason::SideEffect), 2);
}

const CAPTURES: &str =
    "{% from 'm' import row %}{% set t %}{% include 'inner' %}{% endset %}{{ row(t) }}";
const INNER: &str = "{% cache 300, 'inner' %}{{ n }}{% endcache %}";
const UNSOUND: &str = "{% macro row(x) %}{% cache 300, 'row' %}{{ x }}{% endcache %}{% endmacro %}";
const SOUND: &str = "{% macro row(x) %}{{ x }}{% endmacro %}";

/// Whether it was added or comes from a loader.
#[test]
fn a_template_that_an_edit_elsewhere_makes_unsound_is_not_rendered() {
    let (mut env, _) = set(&[("inner", INNER), ("m", SOUND), ("page", CAPTURES)]);
    let page = |env: &Environment<'_>| -> Result<String, minijinja::Error> {
        env.get_template("page")?.render(context! { n => 1 })
    };
    assert_eq!(page(&env).unwrap(), "1");
    let refused = add_template(&mut env, "m", UNSOUND).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("`t` is rendered before it is passed on, and the cache block of m:1:19"),
        "{refused}"
    );
    assert!(page(&env).is_err());
    add_template(&mut env, "m", SOUND).unwrap();
    add_template(&mut env, "page", CAPTURES).unwrap();
    assert_eq!(page(&env).unwrap(), "1");

    let is_edited = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let edited = std::sync::Arc::clone(&is_edited);
    let source = move |name: &str| {
        let is_edited = edited.load(std::sync::atomic::Ordering::SeqCst);
        Ok(match name {
            "inner" => Some(INNER),
            "m" if is_edited => Some(UNSOUND),
            "m" => Some(SOUND),
            "page" => Some(CAPTURES),
            _ => None,
        }
        .map(str::to_owned))
    };
    let (mut env, _) = set(&[]);
    env.set_auto_reload(true);
    env.set_loader(caching_loader(source, &env).unwrap());
    assert_eq!(page(&env).unwrap(), "1");
    is_edited.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(page(&env).unwrap_err().to_string().contains("rendered before it"));
}

#[test]
fn a_component_that_an_edit_elsewhere_makes_unsound_is_not_rendered() {
    let mut tera = tera::Tera::new();
    fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory()).unwrap();
    let hands_on = "{% component box() %}{{ <row x={body} /> }}{% endcomponent box %}";
    let sound = "{% component row(x='') %}[{{ x }}]{% endcomponent row %}";
    let unsound =
        "{% component row(x='') %}{% cache 300, 'r' %}{{ x }}{% endcache %}{% endcomponent row %}";
    let page = "{% <box> %}{{ n }}{% </box> %}";
    let all = [("box", hands_on), ("row", sound), ("page", page)];
    fragcache_tera::add_raw_templates(&mut tera, all).unwrap();
    let refused = fragcache_tera::add_raw_template(&mut tera, "row", unsound).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("`body` is rendered before it is passed on, and the cache block of row:1:26"),
        "{refused}"
    );
    let mut context = tera::Context::new();
    for n in [1, 2] {
        context.insert("n", &n);
        let printed = fragcache_tera::render(&tera, "page", &context).unwrap();
        assert_eq!(printed, format!("[{n}]"));
    }
}
