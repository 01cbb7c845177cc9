//! Installs caches in a Tera and finds them again. A Tera cannot hold foreign state, so the
//! installation is captured by a filter, and rendering a call of that filter returns it.

use std::cell::RefCell;
use std::sync::Arc;

use fragcache::syntax::Syntax;
use fragcache::{Caches, Error, ErrorKind, FragmentCache};
use tera::{Kwargs, State, Tera, TeraResult, Value};

use crate::delimiters;
use crate::error::into_tera;
use crate::filters;
use crate::functions;
use crate::loaded::Loaded;

/// The state that fragcache stores for one Tera. It is replaced, never changed in
/// place: a clone of the Tera shares it and then diverges.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) caches: Caches,
    pub(crate) loaded: Loaded,
}

thread_local! {
    /// Slot in which the filter leaves the installation for the caller that rendered it.
    static FOUND: RefCell<Option<Arc<Installation>>> = const { RefCell::new(None) };
}

const FIND: &str = "__fragcache_installation";

impl Installation {
    /// Returns the installation of this Tera and the lexical rules that it reads sources with.
    pub(crate) fn of(tera: &Tera) -> TeraResult<(Arc<Self>, Syntax)> {
        let call = format!("0 | {FIND}");
        for delimiters in delimiters::candidates() {
            FOUND.set(None);
            let right = delimiters::prints(tera, &delimiters, &call, "true");
            if let Some(found) = FOUND.take()
                && right
            {
                return Ok((found, delimiters::syntax_of(&delimiters)));
            }
        }
        delimiters::check(tera)?;
        Err(into_tera(Error::new(
            ErrorKind::Config,
            "this Tera has no fragment cache; call fragcache_tera::add_to_tera before adding \
             templates",
        )))
    }

    /// Makes this the installation of a Tera.
    pub(crate) fn keep_in(self, tera: &mut Tera) {
        let installation = Arc::new(self);
        tera.register_filter(FIND, move |_: &Value, _: Kwargs, _: &State| {
            FOUND.set(Some(Arc::clone(&installation)));
            true
        });
    }
}

/// Installs the `{% cache %}` block in a Tera, served from one cache or from [several](Caches).
///
/// Then add templates with [`add_raw_template`](crate::add_raw_template) and its siblings.
/// A template that reaches Tera another way fails on a cache block with "Unknown tag".
///
/// - A clone of the Tera shares the caches and keeps the templates that were loaded until then.
/// - [`Tera::register_from`] copies the cache to a Tera that has none; a Tera that
///   has its own keeps it.
/// - The global context is not used, so it may be replaced or cleared.
///
/// # Errors
///
/// Returns an error if the Tera already has a cache (the same or another), or if its delimiters are
/// not known (see [`set_delimiters`](crate::set_delimiters)). Nothing changes on an error.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::Tera;
///
/// let cache = FragmentCache::in_memory();
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, cache.clone())?;
///
/// let again = fragcache_tera::add_to_tera(&mut tera, cache).unwrap_err();
/// assert!(again.to_string().contains("already has a fragment cache"));
/// # Ok::<(), tera::Error>(())
/// ```
///
/// With several caches, a block selects one with `using=`:
///
/// ```
/// use fragcache::{Caches, FragmentCache};
/// use tera::{Context, Tera};
///
/// let pages = FragmentCache::builder().max_bytes(256 << 20).build()?;
/// let caches = Caches::new(FragmentCache::in_memory()).with("pages", pages.clone())?;
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, caches)?;
/// let source = r#"{% cache 300, "home", using="pages" %}Welcome{% endcache %}"#;
/// fragcache_tera::add_raw_template(&mut tera, "home.html", source)?;
/// fragcache_tera::render(&tera, "home.html", &Context::new())?;
/// assert_eq!(pages.stats().entries, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn add_to_tera(tera: &mut Tera, caches: impl Into<Caches>) -> TeraResult<()> {
    delimiters::check(tera)?;
    if Installation::of(tera).is_ok() {
        return Err(into_tera(Error::new(
            ErrorKind::Config,
            "this Tera already has a fragment cache; use that one (fragcache_tera::cache(&tera)), or \
             add this one to another Tera",
        )));
    }
    let caches = caches.into();
    Installation { caches: caches.clone(), loaded: Loaded::default() }.keep_in(tera);
    functions::register(tera, caches.clone());
    filters::register(tera, caches);
    Ok(())
}

/// Returns the cache of a Tera, or the default one if it has several. `None` also if the delimiters
/// of the Tera are not known (see [`set_delimiters`](crate::set_delimiters)).
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::Tera;
///
/// let mut tera = Tera::new();
/// assert!(fragcache_tera::cache(&tera).is_none());
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// assert_eq!(fragcache_tera::cache(&tera).unwrap().stats().hits, 0);
/// # Ok::<(), tera::Error>(())
/// ```
pub fn cache(tera: &Tera) -> Option<FragmentCache> {
    let (installation, _) = Installation::of(tera).ok()?;
    Some(installation.caches.default_cache().clone())
}
