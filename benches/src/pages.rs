//! The two pages of the benches, byte for byte those of `peers/`, in both engines
//! and in these forms: without the fragments, with a native function in their place,
//! cached, cached with tags, and prefetched.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use fragcache::{Fragment, FragmentCache, fragment_key};

/// Fragments of W2.
pub const ROWS: usize = 100;

/// Renders something and returns the number of bytes.
pub type Render = Box<dyn Fn() -> usize>;

/// Gives each thread that calls it its own render.
pub type Site = Box<dyn Fn() -> Render + Send + Sync>;

/// The page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One fragment of 4,096 bytes.
    W1,
    /// A loop of 100 rows with a fragment of 315 bytes in each.
    W2,
}

impl Kind {
    /// Number of fragments on the page.
    pub fn fragments(self) -> usize {
        match self {
            Self::W1 => 1,
            Self::W2 => ROWS,
        }
    }

    fn body(self) -> String {
        match self {
            Self::W1 => body(4096),
            Self::W2 => body(315),
        }
    }

    /// The page with `fragment` for each of its fragments.
    fn page(self, fragment: &str) -> String {
        match self {
            Self::W1 => fragment.to_owned(),
            Self::W2 => format!("{{% for row in rows %}}{fragment}{{% endfor %}}"),
        }
    }

    /// The page with a cache block with this timeout and these options for each of its fragments.
    fn cached(self, timeout: &str, options: &str) -> String {
        let name = match self {
            Self::W1 => "\"page\"",
            Self::W2 => "\"row\", row.id",
        };
        let block = format!("{{% cache {timeout}, {name}{options} %}}");
        self.page(&format!("{block}{{{{ body|safe }}}}{{% endcache %}}"))
    }

    /// The page of [`cached`](Self::cached) with a prefetch before its loop.
    fn prefetched(self, engine: Engine, timeout: &str) -> String {
        let prefetch = match engine {
            Engine::MiniJinja => "{{ cache_prefetch(\"row\", ids) }}",
            Engine::Tera => "{{ cache_prefetch(name=\"row\", vary=ids) }}",
        };
        format!("{prefetch}{}", self.cached(timeout, ""))
    }

    /// Two tags, one of them the fragment's own.
    fn tags(self) -> &'static str {
        match self {
            Self::W1 => ", tags=[\"page\", \"pages\"]",
            Self::W2 => ", tags=[\"row:\" ~ row.id, \"rows\"]",
        }
    }

    /// The page with a call of the native function for each of its fragments.
    fn native(self, engine: Engine) -> String {
        let call = match (engine, self) {
            (Engine::MiniJinja, Self::W1) => "native(300, \"page\")",
            (Engine::MiniJinja, Self::W2) => "native(300, \"row\", row.id)",
            (Engine::Tera, Self::W1) => "native(timeout=300, name=\"page\")",
            (Engine::Tera, Self::W2) => "native(timeout=300, name=\"row\", id=row.id)",
        };
        self.page(&format!("{{{{ {call} }}}}"))
    }
}

/// The template engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// MiniJinja 3.
    MiniJinja,
    /// Tera 2.
    Tera,
}

/// The code in place of a page's fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// Nothing: the page without them.
    Empty,
    /// A native function that takes the cache block's arguments and returns a ready
    /// value: the floor.
    Native,
    /// Cache blocks with this timeout.
    Cached(&'a str),
    /// Cache blocks with this timeout and two tags.
    Tagged(&'a str),
    /// Cache blocks with this timeout, prefetched before the loop (W2 only).
    Prefetched(&'a str),
}

/// Deterministic markup of this many bytes, without a character that would be escaped.
pub fn body(size: usize) -> String {
    let line = "<li class=\"product\"><b>Ink, blue, 50 ml</b> <i>7.49</i></li>\n";
    line.chars().cycle().take(size).collect()
}

/// Creates a page. It has been rendered once, so all its fragments are stored.
///
/// # Panics
///
/// Panics if the page does not render to exactly its fragments' bytes.
pub fn page(engine: Engine, kind: Kind, form: Form<'_>) -> Render {
    site(engine, kind, form)()
}

/// Like [`page`], with this cache.
///
/// # Panics
///
/// Like [`page`].
pub fn page_of(cache: FragmentCache, engine: Engine, kind: Kind, form: Form<'_>) -> Render {
    site_of(cache, engine, kind, form)()
}

/// Like [`page`], but each render first invalidates a tag that no fragment has, so that every hit
/// compares its labels.
///
/// # Panics
///
/// Like [`page`].
#[allow(clippy::expect_used, reason = "the setup of a bench")]
pub fn restless_page(engine: Engine, kind: Kind, form: Form<'_>) -> Render {
    let cache = FragmentCache::in_memory();
    let render = site_of(cache.clone(), engine, kind, form)();
    Box::new(move || {
        cache.invalidate_tags(["nothing"]).expect("a tag").eventually();
        render()
    })
}

/// A page shared by threads, as in a server: each call returns the same page of the
/// same cache with its own data, for another thread.
///
/// # Panics
///
/// Like [`page`], when called.
pub fn site(engine: Engine, kind: Kind, form: Form<'_>) -> Site {
    site_of(FragmentCache::in_memory(), engine, kind, form)
}

fn site_of(cache: FragmentCache, engine: Engine, kind: Kind, form: Form<'_>) -> Site {
    let expected = if form == Form::Empty { 0 } else { kind.body().len() * kind.fragments() };
    let what = format!("{engine:?} {kind:?} {form:?}");
    let site = match engine {
        Engine::MiniJinja => minijinja_site(cache, kind, form),
        Engine::Tera => tera_site(cache, kind, form),
    };
    Box::new(move || {
        let render = site();
        assert_eq!(render(), expected, "{what}");
        assert_eq!(render(), expected, "{what}, again");
        render
    })
}

/// The ids of the rows: strings, because the peers accept no other key part.
fn ids() -> impl Iterator<Item = String> {
    (0..ROWS).map(|number| number.to_string())
}

#[allow(clippy::expect_used, reason = "the setup of a bench")]
fn minijinja_site(cache: FragmentCache, kind: Kind, form: Form<'_>) -> Site {
    use minijinja::{Environment, Value, context};

    let mut env = Environment::new();
    let ready = Value::from_safe_string(kind.body());
    match kind {
        Kind::W1 => env.add_function("native", move |_: u64, _: &str| ready.clone()),
        Kind::W2 => env.add_function("native", move |_: u64, _: &str, _: &Value| ready.clone()),
    }
    fragcache_minijinja::add_to_environment(&mut env, cache).expect("new");
    let source = match form {
        Form::Empty => kind.page(""),
        Form::Native => kind.native(Engine::MiniJinja),
        Form::Cached(timeout) => kind.cached(timeout, ""),
        Form::Tagged(timeout) => kind.cached(timeout, kind.tags()),
        Form::Prefetched(timeout) => kind.prefetched(Engine::MiniJinja, timeout),
    };
    fragcache_minijinja::add_template(&mut env, "page.html", source).expect("parses");
    let env = Arc::new(env);
    Box::new(move || {
        let env = Arc::clone(&env);
        let rows: Vec<_> = ids().map(|id| context!(id)).collect();
        let ids: Vec<_> = ids().collect();
        let context = context!(rows, ids, body => kind.body());
        Box::new(move || {
            let template = env.get_template("page.html").expect("was added");
            black_box(template.render(black_box(&context)).expect("renders")).len()
        })
    })
}

#[allow(clippy::expect_used, reason = "the setup of a bench")]
fn tera_site(cache: FragmentCache, kind: Kind, form: Form<'_>) -> Site {
    use tera::{Context, Kwargs, State, Tera, Value};

    let mut tera = Tera::new();
    let ready = Value::safe_string(&kind.body());
    tera.register_function("native", move |_: Kwargs, _: &State<'_>| ready.clone());
    fragcache_tera::add_to_tera(&mut tera, cache).expect("new");
    let source = match form {
        Form::Empty => kind.page(""),
        Form::Native => kind.native(Engine::Tera),
        Form::Cached(timeout) => kind.cached(timeout, ""),
        Form::Tagged(timeout) => kind.cached(timeout, kind.tags()),
        Form::Prefetched(timeout) => kind.prefetched(Engine::Tera, timeout),
    };
    fragcache_tera::add_raw_template(&mut tera, "page.html", &source).expect("parses");
    let tera = Arc::new(tera);
    let cached = matches!(form, Form::Cached(_) | Form::Tagged(_) | Form::Prefetched(_));
    Box::new(move || {
        let tera = Arc::clone(&tera);
        let row = |id| Value::from(BTreeMap::from([("id", id)]));
        let mut context = Context::new();
        context.insert("rows", &ids().map(row).collect::<Vec<_>>());
        context.insert("ids", &ids().collect::<Vec<_>>());
        context.insert("body", &kind.body());
        Box::new(move || {
            let page = if cached {
                fragcache_tera::render(&tera, "page.html", black_box(&context))
            } else {
                tera.render("page.html", black_box(&context))
            };
            black_box(page.expect("renders")).len()
        })
    })
}

/// The fragments of W2 served by [`FragmentCache::render`], without an engine.
#[allow(clippy::expect_used, reason = "the setup of a bench")]
///
/// # Panics
///
/// Panics if the cache refuses a fragment, which does not happen.
pub fn from_rust(cache: FragmentCache) -> Site {
    Box::new(move || {
        let cache = cache.clone();
        let fragment = |id| Fragment::new(fragment_key!("row", id));
        let fragments: Vec<_> = ids().map(fragment).collect();
        Box::new(move || {
            let serve = |fragment| cache.render(fragment, || body(315)).expect("renders").len();
            fragments.iter().map(serve).sum()
        })
    })
}
