//! Dependencies of MiniJinja's blocks on other templates, for each way that templates are
//! loaded: added in any order, from a folder or by a loader, in an environment or its clone.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fragcache::FragmentCache;
use fragcache_minijinja::{add_template, add_to_environment, caching_loader, path_loader};
use minijinja::{Environment, context};

fn environment(cache: &FragmentCache) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_auto_reload(true);
    add_to_environment(&mut env, cache.clone()).unwrap();
    env
}

fn page(env: &Environment<'_>, n: u32) -> String {
    env.get_template("page").unwrap().render(context! { n }).unwrap()
}

const PAGE: &str = "{% cache 300, 'x' %}{{ n }} {% include 'a' ignore missing %}{% endcache %}\
                    {% cache 300, 'y' %} {{ n }}{% endcache %}";

/// Checks that a block sees edits of what it includes, made by `write` (`None` removes a template).
fn edits_are_seen(env: &Environment<'_>, write: &dyn Fn(&str, Option<&str>)) {
    write("page", Some(PAGE));
    assert_eq!((page(env, 1), page(env, 2)), ("1  1".into(), "1  1".into()));
    write("a", Some("A"));
    assert_eq!((page(env, 3), page(env, 4)), ("3 A 1".into(), "3 A 1".into()));
    write("a", Some("{% include ['c', 'b'] %}"));
    write("b", Some("B"));
    assert_eq!(page(env, 5), "5 B 1");
    write("b", Some("edited B"));
    assert_eq!(page(env, 6), "6 edited B 1");
    write("c", Some("C"));
    assert_eq!((page(env, 7), page(env, 8)), ("7 C 1".into(), "7 C 1".into()));
    write("other", Some("not included"));
    assert_eq!(page(env, 9), "7 C 1");
    write("b", None);
    assert_eq!(page(env, 10), "10 C 1");
    write("a", None);
    assert_eq!(page(env, 11), "1  1");
}

fn write_to(folder: &Path) -> impl Fn(&str, Option<&str>) {
    move |name, source| match source {
        Some(source) => std::fs::write(folder.join(name), source).unwrap(),
        None => std::fs::remove_file(folder.join(name)).unwrap(),
    }
}

#[test]
fn edited_files_count_under_auto_reload() {
    let folder = tempfile::tempdir().unwrap();
    let mut env = environment(&FragmentCache::in_memory());
    env.set_loader(path_loader(folder.path(), &env).unwrap());
    edits_are_seen(&env, &write_to(folder.path()));
}

#[test]
fn edited_files_count_through_the_engines_own_loader() {
    let folder = tempfile::tempdir().unwrap();
    let mut env = environment(&FragmentCache::in_memory());
    env.set_loader(caching_loader(minijinja::path_loader(folder.path()), &env).unwrap());
    edits_are_seen(&env, &write_to(folder.path()));
}

type Store = Arc<Mutex<HashMap<String, String>>>;

fn loader(store: &Store) -> impl Fn(&str) -> Result<Option<String>, minijinja::Error> + use<> {
    let store = Arc::clone(store);
    move |name| Ok(store.lock().unwrap().get(name).cloned())
}

fn write(store: &Store, name: &str, source: Option<&str>) {
    let mut store = store.lock().unwrap();
    match source {
        Some(source) => drop(store.insert(name.to_owned(), source.to_owned())),
        None => drop(store.remove(name)),
    }
}

#[test]
fn edits_behind_a_loader_count() {
    let store = Store::default();
    let mut env = environment(&FragmentCache::in_memory());
    env.set_loader(caching_loader(loader(&store), &env).unwrap());
    edits_are_seen(&env, &|name, source| write(&store, name, source));
}

#[test]
fn without_auto_reload_an_edit_counts_once_the_templates_are_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let write = write_to(folder.path());
    let mut env = environment(&FragmentCache::in_memory());
    env.set_auto_reload(false);
    env.set_loader(path_loader(folder.path(), &env).unwrap());
    write("page", Some(PAGE));
    write("a", Some("A"));
    assert_eq!(page(&env, 1), "1 A 1");
    write("a", Some("edited A"));
    assert_eq!(page(&env, 2), "1 A 1");
    env.clear_templates();
    assert_eq!(page(&env, 3), "3 edited A 1");
}

#[test]
fn macros_of_a_folder_count_where_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let write = write_to(folder.path());
    let mut env = environment(&FragmentCache::in_memory());
    env.set_loader(path_loader(folder.path(), &env).unwrap());
    write(
        "page",
        Some("{% import 'm' as m %}{% cache 300, 'x' %}{{ n }}{{ m.f() }}{% endcache %}"),
    );
    write("m", Some("{% macro f() %}f{% endmacro %}{% macro g() %}g{% endmacro %}"));
    assert_eq!(page(&env, 1), "1f");
    write("m", Some("{% macro f() %}f{% endmacro %}{% macro g() %}other{% endmacro %}"));
    assert_eq!(page(&env, 2), "1f");
    write("m", Some("{% macro f() %}edited{% endmacro %}{% macro g() %}g{% endmacro %}"));
    assert_eq!(page(&env, 3), "3edited");
}

#[test]
fn the_order_of_adding_does_not_matter() {
    for order in [["page", "a", "b"], ["b", "a", "page"], ["a", "page", "b"]] {
        let cache = FragmentCache::in_memory();
        let mut env = environment(&cache);
        let source = |name: &str| match name {
            "page" => PAGE,
            "a" => "{% include 'b' %}",
            _ => "B",
        };
        for name in order {
            add_template(&mut env, name, source(name)).unwrap();
        }
        assert_eq!(page(&env, 1), "1 B 1");
        for name in order {
            add_template(&mut env, name, source(name)).unwrap();
        }
        assert_eq!(page(&env, 2), "1 B 1");
        add_template(&mut env, "b", "edited").unwrap();
        assert_eq!((page(&env, 3), page(&env, 4)), ("3 edited 1".into(), "3 edited 1".into()));
    }
}

#[test]
fn templates_of_a_loader_and_added_ones_use_each_other() {
    let store = Store::default();
    let mut env = environment(&FragmentCache::in_memory());
    env.set_loader(caching_loader(loader(&store), &env).unwrap());
    write(&store, "page", Some(PAGE));
    write(&store, "a", Some("loaded"));
    assert_eq!(page(&env, 1), "1 loaded 1");
    add_template(&mut env, "a", "added").unwrap();
    assert_eq!(page(&env, 2), "2 added 1");
    add_template(&mut env, "a", "edited").unwrap();
    assert_eq!((page(&env, 3), page(&env, 4)), ("3 edited 1".into(), "3 edited 1".into()));

    // An added page is not checked for changes, so it sees the loader's earlier partial.
    add_template(&mut env, "page", PAGE.replace("'a'", "'b'")).unwrap();
    write(&store, "b", Some("b"));
    add_template(&mut env, "page", PAGE.replace("'a'", "'b'")).unwrap();
    assert_eq!(page(&env, 5), "5 b 1");
}

#[test]
fn templates_added_past_this_crate_count_as_first_seen() {
    let cache = FragmentCache::in_memory();
    let mut env = environment(&cache);
    for (source, n, expected) in [("A", 1, "1 A 1"), ("edited", 2, "2 edited 1")] {
        env.add_template("a", source).unwrap();
        add_template(&mut env, "page", PAGE).unwrap();
        assert_eq!(page(&env, n), expected);
    }
    env.add_template("a", "unseen").unwrap();
    assert_eq!(page(&env, 3), "2 edited 1");
}

#[test]
fn a_clones_own_templates_stay() {
    let mut env = environment(&FragmentCache::in_memory());
    add_template(&mut env, "page", PAGE).unwrap();
    let mut twin = env.clone();
    add_template(&mut twin, "page", PAGE.replace("{{ n }} {%", "twin {{ n }} {%")).unwrap();
    add_template(&mut env, "a", "A").unwrap();
    assert_eq!((page(&env, 1), page(&twin, 2)), ("1 A 1".into(), "twin 2  1".into()));
    add_template(&mut twin, "a", "twin A").unwrap();
    assert_eq!((page(&env, 3), page(&twin, 4)), ("1 A 1".into(), "twin 4 twin A 1".into()));
}

#[test]
fn a_page_in_other_delimiters_is_left_alone() {
    let mut env = environment(&FragmentCache::in_memory());
    add_template(&mut env, "page", PAGE).unwrap();
    let syntax = minijinja::syntax::SyntaxConfig::builder().block_delimiters("<%", "%>").build();
    env.set_syntax(syntax.unwrap());
    add_template(&mut env, "a", "<% if true %>A<% endif %>").unwrap();
    assert_eq!(page(&env, 1), "1 A 1");
}

#[test]
fn a_partial_with_a_mistake_changes_nothing() {
    let mut env = environment(&FragmentCache::in_memory());
    add_template(&mut env, "page", PAGE).unwrap();
    add_template(&mut env, "a", "A").unwrap();
    assert_eq!(page(&env, 1), "1 A 1");
    assert!(add_template(&mut env, "a", "{% cache %}").is_err());
    assert!(add_template(&mut env, "a", "{% if %}").is_err());
    assert_eq!(page(&env, 2), "1 A 1");
    add_template(&mut env, "a", "mended").unwrap();
    assert_eq!(page(&env, 3), "3 mended 1");
}
