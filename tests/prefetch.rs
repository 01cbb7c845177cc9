//! `cache_prefetch` in both engines: a page of a hundred fragments on a cold near level takes three
//! round trips, with the same bytes.

use fragcache::testing::{FaultyStore, MemoryStore};
use fragcache::{Caches, ErrorPolicy, FarLevel, FragmentCache, Policy};

type Store = FaultyStore<MemoryStore>;

fn cache(store: &Store) -> FragmentCache {
    FragmentCache::builder().far(FarLevel::new(store.clone())).build().unwrap()
}

const LOOP: &str = "{% for id in ids %}{% cache 300, \"row\", id, tags=[\"row:\" ~ id] %}\
                    <{{ id }}>{% endcache %}{% endfor %}";

fn minijinja(caches: Caches, head: &str, rows: &str) -> String {
    let mut env = minijinja::Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, caches).unwrap();
    fragcache_minijinja::add_template(&mut env, "page.html", format!("{head}{rows}")).unwrap();
    let ids: Vec<usize> = (0..100).collect();
    env.get_template("page.html").unwrap().render(minijinja::context! { ids }).unwrap()
}

fn tera(caches: Caches, head: &str, rows: &str) -> String {
    let mut tera = tera::Tera::new();
    fragcache_tera::add_to_tera(&mut tera, caches).unwrap();
    fragcache_tera::add_raw_template(&mut tera, "page.html", &format!("{head}{rows}")).unwrap();
    let mut context = tera::Context::new();
    context.insert("ids", &(0..100).collect::<Vec<usize>>());
    fragcache_tera::render(&tera, "page.html", &context).unwrap()
}

type Render = fn(Caches, &str, &str) -> String;

const ENGINES: [(Render, &str); 2] = [
    (minijinja, "{{ cache_prefetch(\"row\", ids) }}"),
    (tera, "{{ cache_prefetch(name=\"row\", vary=ids) }}"),
];

#[test]
fn a_prefetched_page_takes_three_round_trips() {
    for (render, prefetch) in ENGINES {
        let store = Store::new(MemoryStore::new());
        let expected = render(cache(&store).into(), prefetch, LOOP);
        let reader = cache(&store);
        store.reset_counts();
        assert_eq!(render(reader.clone().into(), prefetch, LOOP), expected);
        // The background workers call the store when they start, and once a second.
        assert!(store.round_trips() <= 3 + 7, "{}", store.round_trips());
        assert_eq!(reader.stats().hits, 100);
        assert_eq!(reader.stats().misses.total(), 0);
        store.reset_counts();
        assert_eq!(render(cache(&store).into(), "", LOOP), expected);
        assert!(store.round_trips() >= 100, "without it, each fragment is asked for by itself");
    }
}

#[test]
fn templates_that_share_a_name_announce_their_own() {
    let block = |body| {
        format!(
            "{{{{ cache_prefetch('row', ids) }}}}{{% for id in ids %}}\
             {{% cache 300, 'row', id %}}{body}{{% endcache %}}{{% endfor %}}"
        )
    };
    let env = |cache: FragmentCache| {
        let mut env = minijinja::Environment::new();
        fragcache_minijinja::add_to_environment(&mut env, cache).unwrap();
        for (name, body) in [("a", "<{{ id }}>"), ("b", "[{{ id }}]"), ("c", "({{ id }})")] {
            fragcache_minijinja::add_template(&mut env, name, block(body)).unwrap();
        }
        env
    };
    let ids = || minijinja::context! { ids => vec![1, 2, 3] };
    let page = |env: &minijinja::Environment<'_>, name| {
        env.get_template(name).unwrap().render(ids()).unwrap()
    };
    let store = Store::new(MemoryStore::new());
    let writer = env(cache(&store));
    let expected = ["a", "b", "c"].map(|name| (name, page(&writer, name)));
    assert_eq!(expected[1].1, "[1][2][3]");
    let reader = FarLevel::new(store).without_near();
    let reader = FragmentCache::builder().far(reader).build().unwrap();
    let env = env(reader.clone());
    for _ in 0..3 {
        for (name, expected) in &expected {
            assert_eq!(page(&env, name), *expected);
        }
    }
    assert_eq!(reader.stats().misses.total(), 0);
}

#[test]
fn an_unusable_prefetch_is_an_error_with_advice() {
    let store = Store::new(MemoryStore::new());
    let mut env = minijinja::Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, cache(&store)).unwrap();
    let error = env.render_str("{{ cache_prefetch(\"row\", 7) }}", ()).unwrap_err();
    assert!(error.to_string().contains("needs a list"), "{error}");
    let error = env.render_str("{{ cache_prefetch(\"row\", [nobody]) }}", ()).unwrap_err();
    assert!(error.to_string().contains("undefined"), "{error}");
}

#[test]
fn a_prefetch_to_no_cache_is_an_error_unless_bad_arguments_are_none() {
    for (render, prefetch) in ENGINES {
        let (head, _) = in_rows(prefetch);
        let attempt = |cache: FragmentCache| {
            std::panic::catch_unwind(|| render(cache.into(), &head, LOOP)).is_ok()
        };
        assert!(!attempt(FragmentCache::in_memory()));
        let policy = Policy::default().bad_arguments(ErrorPolicy::Uncached);
        let cache = FragmentCache::builder().policy(policy).build().unwrap();
        assert!(attempt(cache.clone()));
        assert_eq!(cache.stats().entries, 100);
    }
    let mut env = minijinja::Environment::new();
    fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory()).unwrap();
    let source = "{{ cache_prefetch(\"row\", [1], using=\"rows\") }}";
    let error = env.render_str(source, ()).unwrap_err().to_string();
    assert!(error.contains("`using` is the text \"rows\", which names no cache"), "{error}");
}

/// The loop, and its prefetch, in the cache `rows`.
fn in_rows(head: &str) -> (String, String) {
    let head = head.replace(") }}", ", using=\"rows\") }}");
    (head, LOOP.replace("id, tags", "id, using=\"rows\", tags"))
}

#[test]
fn a_prefetch_is_to_the_cache_that_it_names() {
    for (render, prefetch) in ENGINES {
        let store = Store::new(MemoryStore::new());
        let caches =
            || Caches::new(FragmentCache::in_memory()).with("rows", cache(&store)).unwrap();
        let (head, rows) = in_rows(prefetch);
        let expected = render(caches(), &head, &rows);
        let reader = caches();
        store.reset_counts();
        assert_eq!(render(reader.clone(), &head, &rows), expected);
        assert!(store.round_trips() <= 3 + 7, "{}", store.round_trips());
        assert_eq!(reader.get("rows").unwrap().stats().hits, 100);
        // A prefetch in the default cache does not affect them.
        store.reset_counts();
        assert_eq!(render(caches(), prefetch, &rows), expected);
        assert!(store.round_trips() >= 100, "{}", store.round_trips());
    }
}
