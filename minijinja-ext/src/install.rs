//! The installation of caches in an environment: its filters, and the record of loaded templates.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use fragcache::syntax::{CacheBlock, Syntax, Warning, hands_on_caller};
use fragcache::{Caches, FragmentCache};
use minijinja::value::Object;
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};

use crate::filters::{self, CLOSE, DECLARE, HIT, OPEN, TICKET};
use crate::functions;
use crate::known::{Known, Origin, Template};
use crate::markup::RawBody;
use crate::namespaces;

/// The environment's global that holds the installation.
const GLOBAL: &str = "__fragcache_installation";

/// The caches of an environment and its clones.
pub(crate) struct Installation {
    caches: Caches,
    known: RwLock<Known>,
    /// Whether the formatter is our wrapper, which prints [`RawBody`] unchanged.
    formats_raw: AtomicBool,
    /// Whether a loaded template passes a `caller` on as a value.
    hands_on_callers: AtomicBool,
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installation").field("caches", &self.caches).finish_non_exhaustive()
    }
}

impl Object for Installation {}

impl Installation {
    /// Returns the installation of an environment.
    pub(crate) fn of(env: &Environment<'_>) -> Option<Arc<Self>> {
        let (_, value) = env.globals().find(|(name, _)| *name == GLOBAL)?;
        value.downcast_object::<Self>()
    }

    /// Like [`of`](Self::of), but returns an error if the environment has no installation.
    pub(crate) fn require(env: &Environment<'_>) -> Result<Arc<Self>, Error> {
        Self::of(env).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                "this environment has no fragment cache; call \
                 fragcache_minijinja::add_to_environment(&mut env, cache) first",
            )
        })
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.caches
    }

    pub(crate) fn formats_raw(&self) -> bool {
        self.formats_raw.load(Ordering::Relaxed)
    }

    /// Collects what the templates with cache blocks have, sorted by template.
    fn list<T: Clone>(&self, items: impl Fn(&Template) -> &[T]) -> Vec<T> {
        self.with_known(|known| {
            let mut templates: Vec<_> = known.with_blocks().collect();
            templates.sort_by_key(|(name, _)| name.as_str());
            templates.into_iter().flat_map(|(_, template)| items(template)).cloned().collect()
        })
    }

    /// Records a template. A template from a loader that has no cache blocks needs no record, so it
    /// is removed.
    pub(crate) fn note(&self, name: &str, template: Template) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if template.blocks.is_empty() && template.origin == Origin::Loaded {
            known.remove(name);
        } else {
            known.insert(name, template);
        }
    }

    /// Checks a source that is being loaded for uses of `caller` as a value.
    pub(crate) fn watch(&self, source: &str, syntax: &Syntax) {
        if hands_on_caller(source, syntax) {
            self.hands_on_callers.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn hands_on_callers(&self) -> bool {
        self.hands_on_callers.load(Ordering::Relaxed)
    }

    pub(crate) fn forget(&self, name: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub(crate) fn with_known<R>(&self, with: impl FnOnce(&Known) -> R) -> R {
        with(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Installs a cache, or [several](Caches), in an environment. From then on, templates loaded
/// through this crate may contain cache blocks. Clones of the environment share the caches.
///
/// Set the environment's syntax before you add loaders and templates. A template is rewritten with
/// the delimiters that the environment has when the template is added; a loader uses those that the
/// environment had when the loader was created.
///
/// ```
/// use fragcache::FragmentCache;
/// use minijinja::{Environment, context};
///
/// let mut env = Environment::new();
/// fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory())?;
/// fragcache_minijinja::add_template(
///     &mut env,
///     "hello.html",
///     r#"{% cache 300, "hello", name %}Hello {{ name }}!{% endcache %}"#,
/// )?;
/// let html = env.get_template("hello.html")?.render(context!(name => "<World>"))?;
/// assert_eq!(html, "Hello &lt;World&gt;!");
/// # Ok::<(), minijinja::Error>(())
/// ```
///
/// With several caches, a block selects one with `using=`:
///
/// ```
/// use fragcache::{Caches, FragmentCache};
/// use minijinja::{Environment, context};
///
/// let pages = FragmentCache::builder().max_bytes(256 << 20).build()?;
/// let caches = Caches::new(FragmentCache::in_memory()).with("pages", pages.clone())?;
/// let mut env = Environment::new();
/// fragcache_minijinja::add_to_environment(&mut env, caches)?;
/// let source = r#"{% cache 300, "home", using="pages" %}Welcome{% endcache %}"#;
/// fragcache_minijinja::add_template(&mut env, "home.html", source)?;
/// env.get_template("home.html")?.render(context!())?;
/// assert_eq!(pages.stats().entries, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If the environment already has a cache, the same or another; it keeps that one.
pub fn add_to_environment(
    env: &mut Environment<'_>,
    caches: impl Into<Caches>,
) -> Result<(), Error> {
    if Installation::of(env).is_some() {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "this environment already has a fragment cache; use that one \
             (fragcache_minijinja::cache(&env)), or add this one to another environment",
        ));
    }
    let installation = Arc::new(Installation {
        caches: caches.into(),
        known: RwLock::default(),
        formats_raw: AtomicBool::new(false),
        hands_on_callers: AtomicBool::new(false),
    });
    let opening = Arc::clone(&installation);
    env.add_filter(OPEN, move |state: &mut State<'_, '_>, values: &[Value]| {
        filters::open(&opening, state, values)
    });
    env.add_filter(HIT, filters::hit);
    env.add_filter(TICKET, filters::ticket);
    env.add_filter(DECLARE, filters::declare);
    env.add_filter(CLOSE, filters::close);
    functions::register(env);
    namespaces::register(env);
    env.add_global(GLOBAL, Value::from_dyn_object(installation));
    Ok(())
}

/// Returns the cache of an environment, or the default one if it has several.
///
/// ```
/// use fragcache::FragmentCache;
///
/// let mut env = minijinja::Environment::new();
/// assert!(fragcache_minijinja::cache(&env).is_none());
/// fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory())?;
/// assert_eq!(fragcache_minijinja::cache(&env).unwrap().stats().hits, 0);
/// # Ok::<(), minijinja::Error>(())
/// ```
pub fn cache(env: &Environment<'_>) -> Option<FragmentCache> {
    Installation::of(env).map(|installation| installation.caches.default_cache().clone())
}

/// Returns the cache blocks of all templates that are loaded now, sorted by template and place.
///
/// Templates that were [rewritten](crate::rewrite) and added to the environment directly are not
/// listed.
///
/// # Errors
///
/// Returns an error if the environment has no cache.
///
/// ```
/// use fragcache::FragmentCache;
///
/// let mut env = minijinja::Environment::new();
/// fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory())?;
/// fragcache_minijinja::add_template(&mut env, "a", "\n{% cache 9, 'side' %}…{% endcache %}")?;
/// let blocks = fragcache_minijinja::cache_blocks(&env)?;
/// assert_eq!((blocks[0].template(), blocks[0].line()), ("a", 2));
/// assert_eq!(blocks[0].name(), Some("side"));
/// # Ok::<(), minijinja::Error>(())
/// ```
pub fn cache_blocks(env: &Environment<'_>) -> Result<Vec<CacheBlock>, Error> {
    Ok(Installation::require(env)?.list(|template| &template.blocks))
}

/// Returns warnings about probable mistakes in the templates that [`cache_blocks`] lists, such as a
/// CSRF token in a cached body, sorted by template and place. Check them at program start or in a
/// test. The cache also reports them to its observer, and a
/// [policy](fragcache::Policy::warnings_are_errors) turns them into load errors.
///
/// # Errors
///
/// Returns an error if the environment has no cache.
///
/// ```
/// use fragcache::FragmentCache;
///
/// let mut env = minijinja::Environment::new();
/// fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory())?;
/// let form = "{% cache 9, 'form' %}{{ csrf_token }}{% endcache %}";
/// fragcache_minijinja::add_template(&mut env, "form.html", form)?;
/// assert_eq!(fragcache_minijinja::warnings(&env)?[0].name(), "csrf_token");
/// # Ok::<(), minijinja::Error>(())
/// ```
pub fn warnings(env: &Environment<'_>) -> Result<Vec<Warning>, Error> {
    Ok(Installation::require(env)?.list(|template| &template.warnings))
}

/// Sets the environment's formatter, wrapped so that cached bodies are printed unchanged and all
/// other values go to `formatter`.
///
/// A formatter that is set directly on the environment receives cached bodies as
/// safe strings. This is correct for a formatter that passes safe strings to
/// [`minijinja::escape_formatter`]. A formatter that escapes safe strings, or that
/// implements a custom auto-escape mode, must be set here.
///
/// # Errors
///
/// Returns an error if the environment has no cache.
pub fn set_formatter<F>(env: &mut Environment<'_>, formatter: F) -> Result<(), Error>
where
    F: Fn(&mut Output<'_>, &mut State<'_, '_>, &Value) -> Result<(), Error> + Send + Sync + 'static,
{
    let installation = Installation::require(env)?;
    env.set_formatter(move |out, state, value| match value.downcast_object_ref::<RawBody>() {
        Some(body) => out.write_str(body.as_str()).map_err(Error::from),
        None => formatter(out, state, value),
    });
    installation.formats_raw.store(true, Ordering::Relaxed);
    Ok(())
}
