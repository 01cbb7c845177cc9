//! MiniJinja's auto-reload of a folder: an edited file is reloaded, and no other
//! fragment is rendered again.

use std::path::Path;

use fragcache::FragmentCache;
use minijinja::{Environment, context};

fn environment(folder: &Path, cache: &FragmentCache) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_auto_reload(true);
    fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
    env.set_loader(fragcache_minijinja::path_loader(folder, &env).unwrap());
    env
}

fn page(env: &Environment<'_>, name: &str, n: u32) -> String {
    env.get_template(name).unwrap().render(context! { n }).unwrap()
}

#[test]
fn an_edited_file_is_seen_and_its_unchanged_blocks_stay_warm() {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, source: &str| std::fs::write(folder.path().join(name), source).unwrap();
    let kept = "{% cache 300, 'kept' %}{{ n }}{% endcache %}";
    write("page.html", kept);
    write("plain.html", "plain {{ n }}");
    let cache = FragmentCache::in_memory();
    let env = environment(folder.path(), &cache);
    assert_eq!(
        (page(&env, "page.html", 1), page(&env, "plain.html", 1)),
        ("1".into(), "plain 1".into())
    );

    // Different lengths, so that the test does not depend on the resolution of file dates.
    write("page.html", &format!("<p>\n{kept} {{% cache 300 %}}new {{{{ n }}}}{{% endcache %}}"));
    write("plain.html", "still plain {{ n }}");
    assert_eq!(page(&env, "page.html", 2), "<p>\n1 new 2");
    assert_eq!(page(&env, "plain.html", 2), "still plain 2");
    let lines: Vec<u32> =
        fragcache_minijinja::cache_blocks(&env).unwrap().iter().map(|b| b.line()).collect();
    assert_eq!(lines, [2, 2]);

    write("page.html", "{% cache 300, 'kept' %}other {{ n }}{% endcache %}");
    assert_eq!(page(&env, "page.html", 3), "other 3");
    write("page.html", "no block any more {{ n }}");
    assert_eq!(page(&env, "page.html", 4), "no block any more 4");
    assert!(fragcache_minijinja::cache_blocks(&env).unwrap().is_empty());
}

#[test]
fn an_edit_to_a_block_without_one_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let write = |source: &str| std::fs::write(folder.path().join("page.html"), source).unwrap();
    write("plain {{ n }}");
    let cache = FragmentCache::in_memory();
    let env = environment(folder.path(), &cache);
    assert_eq!(page(&env, "page.html", 1), "plain 1");
    write("{% cache 300, 'x' %}cached {{ n }}{% endcache %}");
    assert_eq!(
        (page(&env, "page.html", 2), page(&env, "page.html", 3)),
        ("cached 2".into(), "cached 2".into())
    );
}

#[test]
fn a_mistake_in_an_edit_is_reported_until_mended() {
    let folder = tempfile::tempdir().unwrap();
    let write = |source: &str| std::fs::write(folder.path().join("page.html"), source).unwrap();
    write("{% cache 300, 'x' %}{{ n }}{% endcache %}");
    let cache = FragmentCache::in_memory();
    let env = environment(folder.path(), &cache);
    assert_eq!(page(&env, "page.html", 1), "1");
    write("{% cache 300, 'x' %}{{ n }}");
    let error = env.get_template("page.html").unwrap_err();
    assert!(
        error.to_string().contains("never closed") && error.to_string().contains("page.html:1:1"),
        "{error}"
    );
    write("{% cache 300, 'x' %}{{ n }}{% endcache %} again");
    assert_eq!(page(&env, "page.html", 2), "1 again");
}

#[test]
fn names_that_leave_the_folder_are_not_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    std::fs::write(folder.path().join("secret.html"), "{% cache %}secret{% endcache %}").unwrap();
    let cache = FragmentCache::in_memory();
    let env = environment(&folder.path().join("inner"), &cache);
    for name in ["../secret.html", "..", "/etc/passwd", "a/../../secret.html", "a\0b"] {
        let error = env.get_template(name).unwrap_err();
        assert!(!error.to_string().contains("secret ") && cache.stats().entries == 0, "{error}");
    }
}
