//! Recipes for Tera.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fragcache::syntax::Syntax;
use fragcache::{ErrorKind, FragmentCache, fragment_key};
use tera::{Context, Delimiters, Error, Kwargs, State, Tera, TeraResult};

const BLOCK: &str = "{% cache 300, 'x' %}{{ tick() }}{{ n }}{% endcache %}";

#[derive(Debug, Clone, Default)]
struct Ticks(Arc<AtomicUsize>);

impl Ticks {
    fn add_to(&self, tera: &mut Tera) {
        let ticks = self.clone();
        tera.register_function("tick", move |_: Kwargs, _: &State| {
            ticks.0.fetch_add(1, Ordering::Relaxed);
            ""
        });
        tera.register_function("boom", |kwargs: Kwargs, _: &State| -> TeraResult<&str> {
            match kwargs.must_get("when")? {
                true => Err(Error::message("no database")),
                false => Ok(""),
            }
        });
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn tera(cache: &FragmentCache) -> (Tera, Ticks) {
    let mut tera = Tera::new();
    let ticks = Ticks::default();
    ticks.add_to(&mut tera);
    fragcache_tera::add_to_tera(&mut tera, cache.clone()).unwrap();
    (tera, ticks)
}

fn n(n: u32) -> Context {
    let mut context = Context::new();
    context.insert("n", &n);
    context.insert("bad", &(n == 0));
    context
}

/// A web framework's own render, without knowledge of a cache.
fn framework(tera: &Tera, name: &str, context: &Context) -> TeraResult<String> {
    tera.render(name, context)
}

#[test]
fn a_bare_render() {
    let cache = FragmentCache::in_memory();
    let (mut tera, ticks) = tera(&cache);
    fragcache_tera::add_raw_template(&mut tera, "page.html", BLOCK).unwrap();
    assert_eq!(tera.render("page.html", &n(1)).unwrap(), "1");
    assert_eq!(tera.render("page.html", &n(2)).unwrap(), "1");
    assert_eq!((ticks.take(), cache.stats().flights), (1, 0));
    cache.delete(&fragment_key!("x")).eventually();
    assert_eq!(tera.render("page.html", &n(3)).unwrap(), "3");
}

#[test]
fn a_bare_render_that_failed_is_followed_by_sound_ones() {
    let cache = FragmentCache::in_memory();
    let (mut tera, ticks) = tera(&cache);
    let source = "{% cache 300, 'o' %}{% cache 300, 'i' %}{{ tick() }}{{ boom(when=bad) }}{{ n }}{% endcache %}{% endcache %}";
    fragcache_tera::add_raw_templates(&mut tera, [("page.html", source), ("other.html", BLOCK)])
        .unwrap();
    assert!(tera.render("page.html", &n(0)).is_err());
    // Fragments of later renders are stored and deleted as usual.
    assert_eq!(tera.render("other.html", &n(1)).unwrap(), "1");
    assert_eq!(tera.render("page.html", &n(2)).unwrap(), "2");
    cache.delete(&fragment_key!("x")).eventually();
    assert_eq!(tera.render("other.html", &n(3)).unwrap(), "3");
    assert_eq!(tera.render("page.html", &n(4)).unwrap(), "2");
    assert_eq!(ticks.take(), 4);
    assert_eq!(cache.stats().flights, 0);
}

#[test]
fn a_scope_around_a_frameworks_render() {
    let cache = FragmentCache::in_memory();
    let (mut tera, ticks) = tera(&cache);
    let source = "{% cache 300, 'x' %}{{ tick() }}{{ boom(when=bad) }}{{ n }}{% endcache %}";
    fragcache_tera::add_raw_template(&mut tera, "page.html", source).unwrap();
    let page = |at| fragcache_tera::scope(|| framework(&tera, "page.html", &n(at)));
    assert!(page(0).is_err());
    assert_eq!(cache.stats().flights, 0);
    assert_eq!(page(1).unwrap(), "1");
    assert_eq!(page(2).unwrap(), "1");
    assert_eq!(ticks.take(), 2);
}

#[test]
fn a_source_rewritten_for_a_loader_of_others() {
    let cache = FragmentCache::in_memory();
    let (mut tera, ticks) = tera(&cache);
    let lowered = fragcache_tera::rewrite("page.html", BLOCK, &Syntax::tera()).unwrap();
    tera.add_raw_template("page.html", &lowered).unwrap();
    assert_eq!(
        (
            framework(&tera, "page.html", &n(1)).unwrap(),
            framework(&tera, "page.html", &n(2)).unwrap()
        ),
        ("1".into(), "1".into())
    );
    assert_eq!(ticks.take(), 1);
}

#[test]
fn a_folder_by_a_glob() {
    let folder = tempfile::tempdir().unwrap();
    let write = |source: &str| std::fs::write(folder.path().join("page.html"), source).unwrap();
    write(BLOCK);
    let cache = FragmentCache::in_memory();
    let (mut tera, ticks) = tera(&cache);
    let glob = format!("{}/**/*.html", folder.path().display());
    fragcache_tera::load_from_glob(&mut tera, &glob).unwrap();
    assert_eq!(fragcache_tera::render(&tera, "page.html", &n(1)).unwrap(), "1");
    fragcache_tera::full_reload(&mut tera).unwrap();
    assert_eq!(fragcache_tera::render(&tera, "page.html", &n(2)).unwrap(), "1");
    write(&BLOCK.replace("{{ n }}", "<b>{{ n }}</b>"));
    fragcache_tera::full_reload(&mut tera).unwrap();
    assert_eq!(fragcache_tera::render(&tera, "page.html", &n(3)).unwrap(), "<b>3</b>");
    assert_eq!(ticks.take(), 2);
    // A broken file changes nothing.
    write("{% endcache %}");
    assert!(fragcache_tera::full_reload(&mut tera).is_err());
    assert_eq!(fragcache_tera::render(&tera, "page.html", &n(4)).unwrap(), "<b>3</b>");
}

#[test]
fn delimiters_set_too_late() {
    let cache = FragmentCache::in_memory();
    let (mut tera, _) = tera(&cache);
    fragcache_tera::add_raw_template(&mut tera, "page.html", BLOCK).unwrap();
    let angles =
        Delimiters { block_start: "<%".into(), block_end: "%>".into(), ..Delimiters::default() };
    let error = fragcache_tera::set_delimiters(&mut tera, angles).unwrap_err();
    let ours = std::error::Error::source(&error).unwrap().downcast_ref::<fragcache::Error>();
    assert_eq!(ours.unwrap().kind(), ErrorKind::Config);
    assert!(error.to_string().contains("before any template is added"), "{error}");
    assert_eq!(fragcache_tera::render(&tera, "page.html", &n(1)).unwrap(), "1");
}

#[test]
fn two_caches_on_one_tera() {
    let (first, second) = (FragmentCache::in_memory(), FragmentCache::in_memory());
    let (mut tera, _) = tera(&first);
    let error = fragcache_tera::add_to_tera(&mut tera, second.clone()).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    fragcache_tera::add_raw_template(&mut tera, "page.html", BLOCK).unwrap();
    fragcache_tera::render(&tera, "page.html", &n(1)).unwrap();
    assert_eq!((first.stats().stores, second.stats().stores), (1, 0));
}

#[test]
fn a_clone_and_a_tera_that_took_over_share_the_cache() {
    let cache = FragmentCache::in_memory();
    let (mut first, ticks) = tera(&cache);
    fragcache_tera::add_raw_template(&mut first, "page.html", BLOCK).unwrap();
    let twin = first.clone();
    let mut heir = Tera::new();
    heir.register_from(&first);
    fragcache_tera::add_raw_template(&mut heir, "page.html", BLOCK).unwrap();
    for tera in [&first, &twin, &heir] {
        assert_eq!(fragcache_tera::render(tera, "page.html", &n(1)).unwrap(), "1");
    }
    assert_eq!(ticks.take(), 1);
}

#[test]
fn a_read_point_for_a_frameworks_render() {
    let cache = FragmentCache::in_memory();
    let (mut tera, _) = tera(&cache);
    let card = "{% component card(n) %}{% cache 300, 'card', tags=['t'] %}{{ n }}{% endcache %}\
                {% endcomponent card %}";
    let page = "{% cache 300, 'x', tags=['t'] %}{{ n }}{% endcache %}{{ <card n={n} /> }}";
    fragcache_tera::add_raw_templates(&mut tera, [("card.html", card), ("page.html", page)])
        .unwrap();
    let point = cache.read_point();
    cache.invalidate_tags(["t"]).unwrap().eventually();
    let stored = || ["x", "card"].map(|name| cache.contains(&fragment_key!(name)).unwrap());

    // A scope applies to everything; the variable only where it is visible, so not in components.
    let page = point.scope(|| framework(&tera, "page.html", &n(1)));
    assert_eq!((page.unwrap(), stored()), ("11".to_owned(), [false, false]));
    let mut context = n(1);
    context.insert("fragcache_read_point", &point.to_token());
    fragcache_tera::render(&tera, "page.html", &context).unwrap();
    assert_eq!(stored(), [false, false]);
    framework(&tera, "page.html", &context).unwrap();
    assert_eq!(stored(), [false, true]);
}
