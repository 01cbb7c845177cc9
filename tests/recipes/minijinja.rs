//! Recipes for MiniJinja.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use fragcache::{FragmentCache, fragment_key, fragment_key_at};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, context};
use minijinja_autoreload::AutoReloader;

/// Records the arguments of `tick`.
#[derive(Debug, Clone, Default)]
struct Ticks(Arc<Mutex<Vec<String>>>);

impl Ticks {
    fn add_to(&self, env: &mut Environment<'_>) {
        let ticks = self.clone();
        env.add_function("tick", move |kwargs: Kwargs| {
            ticks.0.lock().unwrap().push(kwargs.get("name")?);
            Ok::<_, Error>("")
        });
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn environment(cache: &FragmentCache) -> (Environment<'static>, Ticks) {
    let mut env = Environment::new();
    let ticks = Ticks::default();
    ticks.add_to(&mut env);
    fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
    (env, ticks)
}

const BLOCK: &str = "{% cache 300, 'x' %}{{ tick(name='x') }}{{ n }}{% endcache %}";

/// The templates that the build script rewrote and embedded.
#[allow(unused_qualifications, reason = "generated")]
fn load_embedded(mut env: &mut Environment<'_>) {
    minijinja_embed::load_templates!(env);
}

#[test]
fn templates_embedded_at_build_time() {
    let cache = FragmentCache::in_memory();
    let (mut env, ticks) = environment(&cache);
    load_embedded(&mut env);

    let page =
        |user: &str| env.get_template("page.html").unwrap().render(context! { user }).unwrap();
    assert_eq!(page("<ann>"), "<main>\nHello &lt;ann&gt;\nunnamed\n</main>");
    assert_eq!(ticks.take(), ["page", "line"]);
    assert_eq!(page("<ann>"), "<main>\nHello &lt;ann&gt;\nunnamed\n</main>");
    assert!(ticks.take().is_empty());

    // Keys use the template's own name and lines.
    assert!(cache.contains(&fragment_key!("embedded", "<ann>")).unwrap());
    assert!(cache.contains(&fragment_key_at("page.html", 3)).unwrap());
    let mail = env.get_template("mail/plain.txt").unwrap();
    assert_eq!(
        mail.render(context! { user => "ann" }).unwrap(),
        "Dear ann, this file holds no block."
    );
}

#[test]
fn an_embedded_template_needs_the_environments_cache() {
    let mut env = Environment::new();
    env.add_function("tick", |_: Kwargs| "");
    load_embedded(&mut env);
    let error = env.get_template("page.html").unwrap().render(context! { user => 1 }).unwrap_err();
    assert!(error.to_string().contains("__fragcache_open"), "{error}");
}

#[test]
fn autoreload_with_one_cache_for_every_environment() {
    let sources = Arc::new(Mutex::new(HashMap::from([
        ("page", BLOCK),
        ("other", "{% cache 300, 'y' %}{{ tick(name='y') }}{% endcache %}"),
    ])));
    let (cache, ticks) = (FragmentCache::in_memory(), Ticks::default());
    let reloader = AutoReloader::new({
        let (sources, cache, ticks) = (sources.clone(), cache, ticks.clone());
        move |_| {
            let mut env = Environment::new();
            ticks.add_to(&mut env);
            fragcache_minijinja::add_to_environment(&mut env, cache.clone())?;
            let sources = sources.clone();
            let loader =
                move |name: &str| Ok(sources.lock().unwrap().get(name).map(|s| (*s).to_owned()));
            env.set_loader(fragcache_minijinja::caching_loader(loader, &env)?);
            Ok(env)
        }
    });
    let page = |name: &str, n: u32| {
        let env = reloader.acquire_env().unwrap();
        env.get_template(name).unwrap().render(context! { n }).unwrap()
    };
    assert_eq!((page("page", 1), page("other", 1)), ("1".into(), String::new()));
    assert_eq!(ticks.take(), ["x", "y"]);

    // Unedited templates stay warm in the new environment.
    reloader.notifier().request_reload();
    assert_eq!(page("page", 2), "1");
    assert!(ticks.take().is_empty());

    sources
        .lock()
        .unwrap()
        .insert("page", "{% cache 300, 'x' %}{{ tick(name='x') }}<b>{{ n }}</b>{% endcache %}");
    reloader.notifier().request_reload();
    assert_eq!((page("page", 3), page("other", 3)), ("<b>3</b>".into(), String::new()));
    assert_eq!(ticks.take(), ["x"]);
}

#[test]
fn a_source_rewritten_by_hand() {
    let cache = FragmentCache::in_memory();
    let (mut env, ticks) = environment(&cache);
    let syntax = fragcache_minijinja::syntax_of(&env);
    let lowered = fragcache_minijinja::rewrite("page", BLOCK, &syntax).unwrap().into_owned();
    env.add_template_owned("page", lowered).unwrap();
    let page = |n: u32| env.get_template("page").unwrap().render(context! { n }).unwrap();
    assert_eq!((page(1), page(2)), ("1".into(), "1".into()));
    assert_eq!(ticks.take().len(), 1);
}

#[test]
fn a_syntax_set_too_late_for_a_loader() {
    let cache = FragmentCache::in_memory();
    let (mut env, _) = environment(&cache);
    let source = "<% cache 300 %>x<% endcache %>";
    let loader = move |name: &str| Ok((name == "page").then_some(source));
    env.set_loader(fragcache_minijinja::caching_loader(loader, &env).unwrap());
    let angles = SyntaxConfig::builder().block_delimiters("<%", "%>").build().unwrap();
    env.set_syntax(angles);
    // The loader uses the old delimiters; the engine reports that, and nothing is cached wrongly.
    let error = env.get_template("page").unwrap_err();
    assert!(error.to_string().contains("unknown statement cache"), "{error}");
    // Loaders and templates that are created afterwards use the new delimiters.
    env.set_loader(fragcache_minijinja::caching_loader(loader, &env).unwrap());
    assert_eq!(env.get_template("page").unwrap().render(context! {}).unwrap(), "x");
    fragcache_minijinja::add_template(&mut env, "added", source).unwrap();
    assert_eq!(env.get_template("added").unwrap().render(context! {}).unwrap(), "x");
    assert_eq!(cache.stats().entries, 2);
}

#[test]
fn a_template_that_was_loaded_before_a_syntax_keeps_working() {
    let cache = FragmentCache::in_memory();
    let (mut env, ticks) = environment(&cache);
    fragcache_minijinja::add_template(&mut env, "page", BLOCK).unwrap();
    env.set_syntax(SyntaxConfig::builder().block_delimiters("<%", "%>").build().unwrap());
    for _ in 0..2 {
        assert_eq!(env.get_template("page").unwrap().render(context! { n => 1 }).unwrap(), "1");
    }
    assert_eq!(ticks.take().len(), 1);
}

#[test]
fn two_caches_on_one_environment() {
    let (first, second) = (FragmentCache::in_memory(), FragmentCache::in_memory());
    let (mut env, _) = environment(&first);
    fragcache_minijinja::add_template(&mut env, "page", BLOCK).unwrap();
    let error = fragcache_minijinja::add_to_environment(&mut env, second.clone()).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    assert!(fragcache_minijinja::cache(&env).unwrap().is_same(&first));
    env.get_template("page").unwrap().render(context! { n => 1 }).unwrap();
    assert_eq!((first.stats().stores, second.stats().stores), (1, 0));
}

#[test]
fn a_clone_of_an_environment_shares_the_cache() {
    let cache = FragmentCache::in_memory();
    let (mut env, ticks) = environment(&cache);
    fragcache_minijinja::add_template(&mut env, "page", BLOCK).unwrap();
    let mut twin = env.clone();
    fragcache_minijinja::add_template(&mut twin, "more", "{% cache %}{% endcache %}").unwrap();
    for env in [&env, &twin, &env] {
        assert_eq!(env.get_template("page").unwrap().render(context! { n => 1 }).unwrap(), "1");
    }
    assert_eq!(ticks.take().len(), 1);
    assert!(env.get_template("more").is_err());
    assert!(fragcache_minijinja::cache(&twin).unwrap().is_same(&cache));
}

#[test]
fn an_environment_without_a_cache_is_an_error() {
    let mut env = Environment::new();
    let say = [
        fragcache_minijinja::add_template(&mut env, "page", BLOCK).unwrap_err().to_string(),
        fragcache_minijinja::render_str(&env, BLOCK, context! {}).unwrap_err().to_string(),
        fragcache_minijinja::path_loader(".", &env).map(drop).unwrap_err().to_string(),
    ];
    for text in say {
        assert!(text.contains("add_to_environment(&mut env, cache)"), "{text}");
    }
}

#[test]
fn one_environment_for_many_threads() {
    let cache = FragmentCache::in_memory();
    let (mut env, ticks) = environment(&cache);
    fragcache_minijinja::add_template(&mut env, "page", BLOCK).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let page = env.get_template("page").unwrap().render(context! { n => 1 }).unwrap();
                assert_eq!(page, "1");
            });
        }
    });
    assert_eq!((ticks.take().len(), cache.stats().flights), (1, 0));
}
