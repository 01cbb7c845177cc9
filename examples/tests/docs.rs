//! Checks the statements of the pages under `docs/`: their templates load, and bad input has the
//! documented effect. Their Rust examples are documentation tests, see `docs.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fragcache::syntax::{Syntax, rewrite};
use fragcache::{Caches, ErrorPolicy, FragmentCache, Policy, ReadPoint, fragment_key};
use minijinja::{Environment, context};
use tera::{Context, Tera};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pages() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(root().join("docs")).unwrap();
    let pages = files.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    });
    pages.collect()
}

#[test]
fn every_page_is_tested_and_found() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (tested, readme) = (read("examples/docs.rs"), read("README.md"));
    for (name, text) in pages() {
        assert!(tested.contains(&format!("../docs/{name}\"")), "{name} is not in examples/docs.rs");
        assert!(readme.contains(&format!("(docs/{name})")), "the README does not link to {name}");
        let opening = text.lines().nth(2).unwrap_or_default();
        assert!(opening.starts_with("*In short: "), "{name} does not begin with *In short*");
    }
}

#[test]
fn every_template_of_the_pages_loads() {
    let mut loaded = 0;
    for (name, text) in pages() {
        for rest in text.split("```jinja\n").skip(1) {
            let source = rest.split("\n```").next().unwrap();
            for syntax in [Syntax::minijinja(), Syntax::tera()] {
                rewrite(&name, source, &syntax).unwrap();
            }
            let mut env = Environment::new();
            let caches = Caches::new(FragmentCache::in_memory());
            let caches = caches.with("pages", FragmentCache::in_memory()).unwrap();
            fragcache_minijinja::add_to_environment(&mut env, caches).unwrap();
            fragcache_minijinja::add_template(&mut env, &name, source).unwrap();
            loaded += 1;
        }
    }
    assert!(loaded >= 7, "only {loaded}");
}

/// The result of a template in both engines, which must agree: its output or an
/// error, and whether the fragment called "x" is stored.
fn render(source: &str, policy: Policy) -> (Result<String, String>, bool) {
    let outcomes = [in_minijinja(source, policy), in_tera(source, policy)];
    let [first, second] = outcomes;
    assert_eq!((first.0.as_ref().ok(), first.1), (second.0.as_ref().ok(), second.1), "{source}");
    first
}

fn stored(cache: &FragmentCache) -> bool {
    cache.contains(&fragment_key!("x")).unwrap()
}

/// One tag more than a block may declare.
fn tags() -> Vec<String> {
    (0..65).map(|number| format!("product:{number}")).collect()
}

fn in_minijinja(source: &str, policy: Policy) -> (Result<String, String>, bool) {
    let cache = FragmentCache::builder().policy(policy).build().unwrap();
    let mut env = Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
    let loaded = fragcache_minijinja::add_template(&mut env, "x.html", source.to_owned());
    let page = loaded.and_then(|()| {
        let page = context! { long => "x".repeat(257), no => -1, many => tags() };
        env.get_template("x.html")?.render(page)
    });
    (page.map_err(|error| error.to_string()), stored(&cache))
}

fn in_tera(source: &str, policy: Policy) -> (Result<String, String>, bool) {
    let cache = FragmentCache::builder().policy(policy).build().unwrap();
    let mut tera = Tera::new();
    fragcache_tera::add_to_tera(&mut tera, cache.clone()).unwrap();
    let mut context = Context::new();
    context.insert("long", &"x".repeat(257));
    context.insert("no", &-1);
    context.insert("many", &tags());
    let page = fragcache_tera::add_raw_template(&mut tera, "x.html", source)
        .map_err(|error| error.to_string())
        .and_then(|()| {
            fragcache_tera::render(&tera, "x.html", &context).map_err(|error| error.to_string())
        });
    (page, stored(&cache))
}

/// A block called "x" with these options, and with this text in its body.
fn block(options: &str, body: &str) -> String {
    format!("{{% cache 60, \"x\"{options} %}}text{body}{{% endcache %}}")
}

#[test]
fn usable_options_and_calls() {
    let good = [
        block(", tags=[\"a\", 7]", ""),
        block(", tags=[]", ""),
        block(", tags=[\"a:\" ~ no], version=no", "{{ cache_tags(tags=[\"b:\" ~ no]) }}"),
        block(", stale=none", ""),
        block(", stale=\"30s\", version=none", ""),
        block("", "{{ cache_tags(tags=[\"a\", 7]) }}"),
        block("", "{{ cache_expire(after=\"10s\") }}"),
        block("", "{{ cache_expire(after=none) }}"),
    ];
    for source in good {
        assert_eq!(render(&source, Policy::default()), (Ok("text".to_owned()), true), "{source}");
    }
    let vetoed = block("", "{{ cache_veto() }}");
    assert_eq!(render(&vetoed, Policy::default()), (Ok("text".to_owned()), false));
    let outside = "{{ cache_veto() }}{{ cache_expire(after=1) }}{{ cache_tags(tags=[\"a\"]) }}";
    assert_eq!(render(outside, Policy::default()).0.unwrap(), "");
}

#[test]
fn literals_that_are_refused_when_the_template_loads() {
    for options in [
        ", tags=\"nav\"",
        ", tags=[\"\"]",
        ", stale=0",
        ", stale=-1",
        ", stale=\"soon\"",
        ", stale=true",
    ] {
        let uncached = Policy::default().bad_arguments(ErrorPolicy::Uncached);
        let (page, stored) = render(&block(options, ""), uncached);
        assert!(page.unwrap_err().contains("x.html:1:") && !stored, "{options}");
    }
}

#[test]
fn values_that_are_refused_when_they_are_met() {
    let options = [
        ", tags=many",
        ", tags=[long]",
        ", tags=[1.5]",
        ", tags=[none]",
        ", tags=[true]",
        ", stale=no",
    ];
    let calls = ["{{ cache_tags(tags=[long]) }}", "{{ cache_tags(tags=[\"\"]) }}"];
    let mut sources: Vec<_> = options.iter().map(|options| block(options, "")).collect();
    sources.extend(calls.iter().map(|call| block("", call)));
    for source in sources {
        let (page, stored) = render(&source, Policy::default());
        let told = page.unwrap_err();
        assert!(told.contains("x.html:1") && !stored, "{source}: {told}");
        let uncached = Policy::default().bad_arguments(ErrorPolicy::Uncached);
        assert_eq!(render(&source, uncached), (Ok("text".to_owned()), false), "{source}");
    }
    for options in [", tags=[nobody]", ", version=nobody", ", version={\"a\": 1}"] {
        assert!(render(&block(options, ""), Policy::default()).0.is_err(), "{options}");
    }
    for after in ["\"soon\"", "true"] {
        let source = block("", &format!("{{{{ cache_expire(after={after}) }}}}"));
        assert!(render(&source, Policy::default()).0.is_err(), "{source}");
    }
}

#[test]
fn a_batch_that_a_panic_drops_invalidates_nothing() {
    let cache = FragmentCache::in_memory();
    let row = fragcache::Fragment::new(fragment_key!("x")).tags(["product:7"]);
    cache.render(&row, || "").unwrap();
    let mut batch = cache.batch();
    let handler = std::thread::spawn(move || {
        batch.invalidate_tags(["product:7"]).unwrap();
        panic!("the transaction");
    });
    assert!(handler.join().is_err() && stored(&cache));
}

#[test]
fn tokens_that_mean_nothing_here_are_as_none() {
    let cache = FragmentCache::in_memory();
    let other = FragmentCache::in_memory().read_point();
    cache.clear().eventually();
    let mut env = Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
    for token in [other.to_token().as_str(), "yesterday", ""] {
        let page = context! { fragcache_read_point => token };
        fragcache_minijinja::render_str(&env, &block("", ""), page).unwrap();
        assert!(stored(&cache), "{token}");
        cache.delete(&fragment_key!("x")).eventually();
    }
    assert_eq!(ReadPoint::from_token("yesterday"), None);
}

#[test]
fn a_point_reaches_imported_macros() {
    let cache = FragmentCache::in_memory();
    let mut env = Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
    let rows = "{% macro row() %}{% cache 60, 'x' %}10{% endcache %}{% endmacro %}";
    fragcache_minijinja::add_template(&mut env, "rows.html", rows).unwrap();
    let page = "{% from 'rows.html' import row %}{{ row() }}";
    let point = cache.read_point();
    for is_late in [true, false] {
        cache.delete(&fragment_key!("x")).eventually();
        let read_point = if is_late { point } else { cache.read_point() };
        let context = context! { fragcache_read_point => read_point.to_token() };
        fragcache_minijinja::render_str(&env, page, context).unwrap();
        assert_eq!(stored(&cache), !is_late);
    }
}

/// Inside a component, which does not see the page's variables.
#[test]
fn a_point_reaches_components_by_render_and_by_scope() {
    let cache = FragmentCache::in_memory();
    let mut tera = Tera::new();
    fragcache_tera::add_to_tera(&mut tera, cache.clone()).unwrap();
    let component =
        "{% component row() %}{% cache 60, 'x' %}10{% endcache %}{% endcomponent row %}";
    fragcache_tera::add_raw_templates(&mut tera, [("c.html", component), ("p.html", "{{<row/>}}")])
        .unwrap();
    let point = cache.read_point();
    cache.delete(&fragment_key!("x")).eventually();
    let mut page = Context::new();
    page.insert("fragcache_read_point", &point.to_token());
    fragcache_tera::render(&tera, "p.html", &page).unwrap();
    assert!(!stored(&cache));
    point.scope(|| fragcache_tera::scope(|| tera.render("p.html", &page))).unwrap();
    assert!(!stored(&cache));
    tera.render("p.html", &page).unwrap();
    assert!(stored(&cache), "a bare render does not know of the point");
}
