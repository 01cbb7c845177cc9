//! Adding a cache to a Tera: twice, to a clone, under other delimiters, too late.

use fragcache::syntax::name_of_string;
use fragcache::{ErrorKind, FragmentCache, fragment_key_at};
use tera::{Context, Delimiters, Tera};

use crate::support::{Site, register};

const BLOCK: &str = "{% cache 300, \"k\" %}{{ tick() }}x{% endcache %}";

fn angles() -> Delimiters {
    Delimiters { block_start: "<%".into(), block_end: "%>".into(), ..Delimiters::default() }
}

fn kind_of(error: &tera::Error) -> ErrorKind {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<fragcache::Error>().unwrap().kind()
}

#[test]
fn a_second_cache_is_refused_and_the_first_stays() {
    let mut site = Site::loaded(&[("a", BLOCK)]);
    let other = FragmentCache::in_memory();
    for cache in [site.cache.clone(), other.clone()] {
        let error = fragcache_tera::add_to_tera(&mut site.tera, cache).unwrap_err();
        assert_eq!(kind_of(&error), ErrorKind::Config);
        assert!(error.to_string().contains("already"), "{error}");
    }
    site.render("a", &Context::new());
    assert_eq!((site.cache.stats().stores, other.stats().stores), (1, 0));
    assert_eq!(fragcache_tera::cache(&site.tera).unwrap().stats().stores, 1);
    assert_eq!(fragcache_tera::cache_blocks(&site.tera).unwrap().len(), 1);
}

#[test]
fn templates_before_the_cache_are_refused() {
    let mut tera = Tera::new();
    let error = fragcache_tera::add_raw_template(&mut tera, "a", "hello").unwrap_err();
    assert!(error.to_string().contains("call fragcache_tera::add_to_tera before"), "{error}");
    assert_eq!(kind_of(&error), ErrorKind::Config);
    assert!(!tera.contains_template("a"));
    assert!(fragcache_tera::cache_blocks(&tera).is_err());
    assert!(fragcache_tera::warnings(&tera).is_err());
    assert!(fragcache_tera::cache(&tera).is_none());
    assert!(fragcache_tera::render_str(&tera, "hello", &Context::new(), true).is_err());
}

#[test]
fn a_clone_shares_the_cache_and_the_list() {
    let site = Site::loaded(&[("a", BLOCK)]);
    let mut twin = site.tera.clone();
    assert!(fragcache_tera::add_to_tera(&mut twin, FragmentCache::in_memory()).is_err());
    fragcache_tera::add_raw_template(&mut twin, "b", "{% cache 9, \"b\" %}{% endcache %}").unwrap();
    site.render("a", &Context::new());
    fragcache_tera::render(&twin, "a", &Context::new()).unwrap();
    assert_eq!(site.ticks(), 1);
    // Each lists the templates that it has.
    assert_eq!(fragcache_tera::cache_blocks(&twin).unwrap().len(), 2);
    assert_eq!(fragcache_tera::cache_blocks(&site.tera).unwrap().len(), 1);
}

#[test]
fn register_from_carries_the_cache_over_to_a_tera_without_one() {
    let site = Site::loaded(&[("a", BLOCK)]);
    let mut other = Tera::new();
    other.register_from(&site.tera);
    fragcache_tera::add_raw_template(&mut other, "a", BLOCK).unwrap();
    site.render("a", &Context::new());
    fragcache_tera::render(&other, "a", &Context::new()).unwrap();
    assert_eq!(site.ticks(), 1);
    assert!(fragcache_tera::add_to_tera(&mut other, FragmentCache::in_memory()).is_err());
}

#[test]
fn register_from_leaves_a_cache_in_place() {
    let (mut first, second) = (Site::loaded(&[("a", BLOCK)]), Site::new());
    first.tera.register_from(&second.tera);
    first.render("a", &Context::new());
    assert_eq!((first.cache.stats().stores, second.cache.stats().stores), (1, 0));
}

#[test]
fn the_global_context_plays_no_part() {
    let mut site = Site::loaded(&[("a", BLOCK)]);
    *site.tera.global_context() = Context::new();
    site.add("b", BLOCK);
    site.render("b", &Context::new());
    assert_eq!(site.cache.stats().stores, 1);
}

#[test]
fn an_escape_function_plays_no_part_in_finding_the_cache() {
    let mut site = Site::new();
    site.tera.set_escape_fn(|_, out| out.write_all(b"?"));
    site.tera.autoescape_on(vec![""]);
    site.add("a", "{% cache %}{{ tick() }}{{ \"<\" }}{% endcache %}");
    assert_eq!(site.render("a", &Context::new()), "??");
    assert_eq!(site.render("a", &Context::new()), "??");
}

#[test]
fn delimiters_may_be_set_before_or_after_the_cache() {
    for after in [false, true] {
        let mut tera = Tera::new();
        if after {
            fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory()).unwrap();
        }
        fragcache_tera::set_delimiters(&mut tera, angles()).unwrap();
        if !after {
            fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory()).unwrap();
        }
        fragcache_tera::add_raw_template(&mut tera, "a", "<% cache %>x<% endcache %>").unwrap();
        assert_eq!(fragcache_tera::render(&tera, "a", &Context::new()).unwrap(), "x");
    }
}

#[test]
fn unknown_delimiters_are_an_error_and_never_an_unrewritten_template() {
    let unknown = Delimiters { block_start: "[?".into(), block_end: "?]".into(), ..angles() };
    // Set directly on the Tera before the cache was added.
    let mut tera = Tera::new();
    tera.set_delimiters(unknown.clone()).unwrap();
    let error = fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory()).unwrap_err();
    assert_eq!(kind_of(&error), ErrorKind::Config);
    assert!(error.to_string().contains("fragcache_tera::set_delimiters"), "{error}");

    // And after it.
    let mut tera = Tera::new();
    fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory()).unwrap();
    tera.set_delimiters(unknown.clone()).unwrap();
    let error =
        fragcache_tera::add_raw_template(&mut tera, "a", "[? cache ?][? endcache ?]").unwrap_err();
    assert_eq!(kind_of(&error), ErrorKind::Config);

    // `set_delimiters` repairs it, even if the Tera has templates.
    tera.add_raw_template("native", "[? if true ?]1[? endif ?]").unwrap();
    fragcache_tera::set_delimiters(&mut tera, unknown).unwrap();
    fragcache_tera::add_raw_template(&mut tera, "a", "[? cache ?]x[? endcache ?]").unwrap();
    assert_eq!(fragcache_tera::cache_blocks(&tera).unwrap().len(), 1);
}

#[test]
fn each_single_delimiter_counts() {
    let default = Delimiters::default;
    let sets = [
        Delimiters { block_end: "~}".into(), ..default() },
        Delimiters { variable_start: "{~".into(), ..default() },
        Delimiters { variable_end: "~~".into(), ..default() },
        Delimiters { comment_start: "{!".into(), ..default() },
        Delimiters { comment_end: "!}".into(), ..default() },
    ];
    for set in sets {
        let mut tera = Tera::new();
        tera.set_delimiters(set.clone()).unwrap();
        let error = fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory());
        assert!(error.is_err(), "{set:?}");
    }
}

#[test]
fn delimiters_too_late_are_teras_error() {
    let mut site = Site::loaded(&[("a", BLOCK)]);
    let set = Delimiters { comment_start: "<!".into(), ..angles() };
    let error = fragcache_tera::set_delimiters(&mut site.tera, set).unwrap_err();
    assert_eq!(kind_of(&error), ErrorKind::Config);
    assert!(error.to_string().contains("before any template is added"), "{error}");
    let ours = std::error::Error::source(&error).unwrap();
    assert!(ours.source().unwrap().is::<tera::Error>());
    site.render("a", &Context::new());
}

#[test]
fn delimiters_that_tera_would_not_take_are_refused() {
    let mut tera = Tera::new();
    for set in [
        Delimiters { block_start: "<%%".into(), ..Delimiters::default() },
        Delimiters { block_start: "{{".into(), ..Delimiters::default() },
    ] {
        let error = fragcache_tera::set_delimiters(&mut tera, set).unwrap_err();
        assert_eq!(kind_of(&error), ErrorKind::Config);
    }
    fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory()).unwrap();
}

#[test]
fn a_batch_is_all_or_nothing() {
    let mut site = Site::loaded(&[("a", BLOCK)]);
    let error = fragcache_tera::add_raw_templates(
        &mut site.tera,
        [("b", BLOCK), ("a", "{% cache 9, \"new\" %}{% endcache %}"), ("c", "{% endcache %}")],
    );
    assert!(error.is_err());
    assert!(!site.tera.contains_template("b"));
    let blocks = fragcache_tera::cache_blocks(&site.tera).unwrap();
    assert_eq!(blocks.iter().map(|b| b.name()).collect::<Vec<_>>(), [Some("k")]);
}

#[test]
fn the_list_follows_the_loaded_templates() {
    let mut site = Site::new();
    site.add("b", "\n {% cache 9, 'two', lang %}{% cache %}{% endcache %}{% endcache %}");
    site.add("a", BLOCK);
    let list = || {
        let blocks = fragcache_tera::cache_blocks(&site.tera).unwrap();
        let line = |b: &fragcache::syntax::CacheBlock| {
            format!("{}:{} {:?} {:?}", b.template(), b.line(), b.name(), b.vary())
        };
        blocks.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(list(), ["a:1 Some(\"k\") Some(0)", "b:2 Some(\"two\") Some(1)", "b:2 None None",]);
    site.add("b", "no block any more");
    assert_eq!(fragcache_tera::cache_blocks(&site.tera).unwrap().len(), 1);
}

#[test]
fn rewritten_sources_render_in_any_tera_with_a_cache() {
    let lowered =
        fragcache_tera::rewrite("a", BLOCK, &fragcache_tera::syntax_of(&Delimiters::default()));
    let cache = FragmentCache::in_memory();
    let mut tera = Tera::new();
    let calls = register(&mut tera);
    fragcache_tera::add_to_tera(&mut tera, cache).unwrap();
    tera.add_raw_template("a", &lowered.unwrap()).unwrap();
    for _ in 0..2 {
        assert_eq!(tera.render("a", &Context::new()).unwrap(), "x");
    }
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
    let wrong = fragcache::syntax::Syntax::minijinja();
    assert_eq!(fragcache_tera::rewrite("a", BLOCK, &wrong).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn strings_are_named_by_their_source() {
    let site = Site::new();
    let render = |source: &str, autoescape| {
        fragcache_tera::render_str(&site.tera, source, &Context::new(), autoescape).unwrap()
    };
    let source = "{% cache %}{{ tick() }}{{ \"<\" }}{% endcache %}";
    for _ in 0..2 {
        assert_eq!(render(source, true), "&lt;");
        assert_eq!(render(source, false), "<");
    }
    assert_eq!(site.ticks(), 2);
    render("{% cache %}{{ tick() }}{{ \"<\" }}{% endcache %} ", true);
    assert_eq!(site.ticks(), 3);
    let key = fragment_key_at(&name_of_string(source), 1);
    assert!(site.cache.contains(&key).unwrap());
    let broken =
        fragcache_tera::render_str(&site.tera, "{% cache %}", &Context::new(), true).unwrap_err();
    assert_eq!(kind_of(&broken), ErrorKind::Syntax);
}

#[test]
fn a_template_that_bypassed_us_fails_loudly() {
    let mut site = Site::new();
    let error = site.tera.add_raw_template("a", BLOCK).unwrap_err();
    assert!(error.to_string().contains("Unknown tag"), "{error}");
}
