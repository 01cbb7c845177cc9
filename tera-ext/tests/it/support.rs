//! A Tera with a cache and a function that counts its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fragcache::FragmentCache;
use tera::{Context, Delimiters, Kwargs, State, Tera, Value};

pub(crate) struct Site {
    pub(crate) tera: Tera,
    pub(crate) cache: FragmentCache,
    calls: Arc<AtomicUsize>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with_cache(FragmentCache::in_memory())
    }

    pub(crate) fn with_cache(cache: FragmentCache) -> Self {
        Self::with_delimiters(cache, &Delimiters::default())
    }

    pub(crate) fn with_delimiters(cache: FragmentCache, delimiters: &Delimiters) -> Self {
        let mut tera = Tera::new();
        let calls = register(&mut tera);
        fragcache_tera::set_delimiters(&mut tera, delimiters.clone()).unwrap();
        fragcache_tera::add_to_tera(&mut tera, cache.clone()).unwrap();
        Self { tera, cache, calls }
    }

    pub(crate) fn loaded(sources: &[(&str, &str)]) -> Self {
        let mut site = Self::new();
        fragcache_tera::add_raw_templates(&mut site.tera, sources.iter().copied()).unwrap();
        site
    }

    pub(crate) fn add(&mut self, name: &str, source: &str) {
        fragcache_tera::add_raw_template(&mut self.tera, name, source).unwrap();
    }

    pub(crate) fn render(&self, name: &str, context: &Context) -> String {
        fragcache_tera::render(&self.tera, name, context).unwrap()
    }

    pub(crate) fn error(&self, name: &str, context: &Context) -> String {
        fragcache_tera::render(&self.tera, name, context).unwrap_err().to_string()
    }

    /// How often `{{ tick() }}` ran.
    pub(crate) fn ticks(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// `tick()` counts and prints nothing; `boom(when=x)` fails if x.
pub(crate) fn register(tera: &mut Tera) -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    tera.register_function("tick", move |_: Kwargs, _: &State| {
        counter.fetch_add(1, Ordering::Relaxed);
        ""
    });
    tera.register_function("boom", |kwargs: Kwargs, _: &State| -> tera::TeraResult<&str> {
        if kwargs.must_get::<bool>("when")? {
            return Err(tera::Error::message("no database"));
        }
        Ok("fine")
    });
    calls
}

/// The same source with a native `if true` in place of the cache tags.
pub(crate) fn native(source: &str, delimiters: &Delimiters) -> String {
    let (open, close) = (&*delimiters.block_start, &*delimiters.block_end);
    let mut out = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(open) {
        let end = at + rest[at..].find(close).unwrap();
        let tag = &rest[at + open.len()..end];
        let inner = tag.trim_matches('-').trim();
        let word = inner.split_whitespace().next().unwrap_or_default();
        let stands_for = match word {
            "cache" => Some("if true"),
            "endcache" => Some("endif"),
            _ => None,
        };
        out.push_str(&rest[..at + open.len()]);
        match stands_for {
            Some(statement) => {
                let dash = |yes| if yes { "-" } else { "" };
                out.push_str(dash(tag.starts_with('-')));
                out.push_str(&format!(" {statement} "));
                out.push_str(dash(tag.ends_with('-')));
            }
            None => out.push_str(tag),
        }
        out.push_str(close);
        rest = &rest[end + close.len()..];
    }
    out + rest
}

/// Renders the first template natively, on a miss and on a hit. The bytes are equal, and the hit
/// evaluates no body. Each body should tick.
pub(crate) fn check_parity(sources: &[(&str, &str)], context: &Context) -> Site {
    check_parity_under(&Delimiters::default(), sources, context)
}

pub(crate) fn check_parity_under(
    delimiters: &Delimiters,
    sources: &[(&str, &str)],
    context: &Context,
) -> Site {
    let mut plain = Tera::new();
    register(&mut plain);
    plain.set_delimiters(delimiters.clone()).unwrap();
    let natives = sources.iter().map(|(name, source)| (*name, native(source, delimiters)));
    plain.add_raw_templates(natives).unwrap();
    let expected = plain.render(sources[0].0, context).unwrap();

    let mut site = Site::with_delimiters(FragmentCache::in_memory(), delimiters);
    fragcache_tera::add_raw_templates(&mut site.tera, sources.iter().copied()).unwrap();
    assert_eq!(site.render(sources[0].0, context), expected, "on a miss");
    let ticks = site.ticks();
    assert!(ticks > 0, "no body ran on the miss");
    assert_eq!(site.cache.stats().hits, 0);
    assert_eq!(site.render(sources[0].0, context), expected, "on a hit");
    assert_eq!(site.ticks(), ticks, "a body ran on the hit");
    assert!(site.cache.stats().hits > 0);
    assert_eq!(site.cache.stats().flights, 0);
    site
}

/// A context of JSON-like values.
pub(crate) fn context(pairs: &[(&'static str, Value)]) -> Context {
    let mut context = Context::new();
    for (name, value) in pairs {
        context.insert_value(*name, value.clone());
    }
    context
}
