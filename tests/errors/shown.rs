//! MiniJinja errors returned by this workspace show the author's source in every
//! form. The tests for Tera are in its crate.

use std::error::Error as _;
use std::io;

use fragcache::FragmentCache;
use minijinja::{Environment, Error, ErrorKind, context};

use crate::support::{forms, source_of};

fn environment(debug: bool) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_debug(debug);
    env.add_function("broken", || {
        let cause = io::Error::new(io::ErrorKind::NotFound, "no such film");
        Err::<String, _>(Error::new(ErrorKind::InvalidOperation, "no film").with_source(cause))
    });
    fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory()).unwrap();
    env
}

/// Checks what an error shows, and that `explain` gives the same text.
fn check(env: &Environment<'_>, error: &Error, line: &str) {
    let forms = forms(error);
    assert!(!forms.contains("__fragcache"), "{forms}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    let explained = fragcache_minijinja::explain(env, error);
    assert!(explained.contains(&format!(" | {line}\n")), "{explained}");
    assert!(explained.starts_with(&format!("{error}\n --> ")), "{explained}");
}

const REFUSED: &str = "<p>\n{% cache 60, 'a' %}{{ name | }}{% endcache %}\n";
const LINE: &str = "{% cache 60, 'a' %}{{ name | }}{% endcache %}";

#[test]
fn a_template_that_the_engine_refuses_is_shown_as_it_was_written() {
    for debug in [false, true] {
        let mut env = environment(debug);
        let error = fragcache_minijinja::add_template(&mut env, "a.html", REFUSED).unwrap_err();
        check(&env, &error, LINE);
        assert_eq!(error.kind(), ErrorKind::SyntaxError);
        assert!(error.to_string().ends_with("(in a.html:2)"), "{error}");
        let shown = error.source().unwrap().to_string();
        assert!(shown.starts_with(" --> a.html:2:30\n"), "{shown}");

        let error = fragcache_minijinja::render_str(&env, REFUSED, ()).unwrap_err();
        check(&env, &error, LINE);

        let loader = |_: &str| Ok(Some(REFUSED.to_owned()));
        let loader = fragcache_minijinja::caching_loader(loader, &env).unwrap();
        env.set_loader(loader);
        let error = env.get_template("b.html").unwrap_err();
        check(&env, &error, LINE);

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("c.html"), REFUSED).unwrap();
        env.set_loader(fragcache_minijinja::path_loader(folder.path(), &env).unwrap());
        let error = env.get_template("c.html").unwrap_err();
        check(&env, &error, LINE);
        assert!(error.to_string().ends_with("(in c.html:2)"), "{error}");
    }
}

#[test]
fn a_template_that_uses_one_which_changed_is_shown_too() {
    let mut env = environment(true);
    let page = "{% cache 60 %}{% include 'part.html' %}{% endcache %}";
    fragcache_minijinja::add_template(&mut env, "page.html", page).unwrap();
    let error = fragcache_minijinja::add_template(&mut env, "part.html", REFUSED).unwrap_err();
    check(&env, &error, LINE);
}

#[test]
fn a_string_that_fails_is_shown_as_it_was_written() {
    let string = "\n{% cache 60, nothing %}{% endcache %}";
    let body = "{% cache 60, 'a' %}{{ broken() }}{% endcache %}";
    for debug in [false, true] {
        let mut env = environment(debug);
        let error = fragcache_minijinja::render_str(&env, string, ()).unwrap_err();
        assert!(source_of(&error).is_some(), "{error:?}");
        assert!(!forms(&error).contains("__fragcache"), "{error:?}");
        assert!(error.to_string().ends_with("(in <string>:2)"), "{error}");

        // An error in an included template, and one from Rust code.
        fragcache_minijinja::add_template(&mut env, "a.html", body).unwrap();
        let page = "{% cache 60, 'b', n %}{% include 'a.html' %}{% endcache %}";
        let error = fragcache_minijinja::render_str(&env, page, context!(n => 1)).unwrap_err();
        let forms = forms(&error);
        assert!(!forms.contains("__fragcache"), "{forms}");
        let explained = fragcache_minijinja::explain(&env, &error);
        assert!(explained.contains(&format!("1 | {body}\n")), "{explained}");
        let mut next = Some(&error as &(dyn std::error::Error + 'static));
        let mut found = None;
        while let Some(error) = next {
            found = found.or(error.downcast_ref::<io::Error>());
            next = error.source();
        }
        assert_eq!(found.map(io::Error::kind), Some(io::ErrorKind::NotFound), "{forms}");
    }
}

#[test]
fn an_error_without_a_cache_block_is_the_engines_own() {
    let env = environment(true);
    let error = fragcache_minijinja::render_str(&env, "\n{{ broken() }}", ()).unwrap_err();
    assert_eq!((error.name(), error.line()), (Some("<string>"), Some(2)));
    assert!(error.display_debug_info().to_string().contains("{{ broken() }}"));
}
