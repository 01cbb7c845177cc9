//! Joining a cache to a Tera, and finding it again. A Tera has no place for foreign state, so the
//! installation lives in a filter and is handed over by rendering a call of it.

use std::cell::RefCell;
use std::sync::Arc;

use fragcache::syntax::Syntax;
use fragcache::{Caches, Error, ErrorKind};
use tera::{Kwargs, State, Tera, Value};

use crate::delimiters;
use crate::filters;
use crate::functions;
use crate::loaded::Loaded;

/// What fragcache keeps for one Tera. It is replaced and never changed, as a clone of the Tera has it
/// too and goes its own way from then on.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) caches: Caches,
    pub(crate) loaded: Loaded,
}

thread_local! {
    /// Where the filter puts the installation for the one who rendered the call.
    static FOUND: RefCell<Option<Arc<Installation>>> = const { RefCell::new(None) };
}

const FIND: &str = "__fragcache_installation";

impl Installation {
    /// The installation of this Tera, and the lexical rules under which it reads sources.
    pub(crate) fn of(tera: &Tera) -> Result<(Arc<Self>, Syntax), Error> {
        let call = format!("0 | {FIND}");
        for delimiters in delimiters::candidates() {
            FOUND.set(None);
            let right = delimiters::prints(tera, &delimiters, &call, "true");
            if let Some(found) = FOUND.take()
                && right
            {
                return Ok((found, delimiters::syntax(&delimiters)));
            }
        }
        delimiters::check(tera)?;
        Err(Error::new(
            ErrorKind::Config,
            "this Tera has no fragment cache; call fragcache_tera::add_to_tera before adding \
             templates",
        ))
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

/// Gives a Tera the `{% cache %}` block, served from one cache or from [several](Caches).
///
/// Add templates with [`add_raw_template`](crate::add_raw_template) and its siblings afterwards: a
/// template that reaches Tera by another way fails on a cache block with "Unknown tag".
///
/// - A clone of the Tera shares the caches, and has what was loaded until then.
/// - [`Tera::register_from`] carries the cache over to a Tera that has none; one that has its own
///   keeps it.
/// - The global context plays no part, so it may be replaced or cleared.
///
/// # Errors
///
/// [`ErrorKind::Config`] if the Tera has a cache already (the same or another), and if its
/// delimiters are not known (see [`set_delimiters`](crate::set_delimiters)). Nothing is changed
/// then.
///
/// ```
/// use fragcache::{ErrorKind, FragmentCache};
/// use tera::Tera;
///
/// let cache = FragmentCache::in_memory();
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, cache.clone())?;
///
/// let again = fragcache_tera::add_to_tera(&mut tera, cache).unwrap_err();
/// assert_eq!(again.kind(), ErrorKind::Config);
/// # Ok::<(), fragcache::Error>(())
/// ```
///
/// With several, a block says which of them it is in by `using=`:
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
pub fn add_to_tera(tera: &mut Tera, caches: impl Into<Caches>) -> Result<(), Error> {
    delimiters::check(tera)?;
    if Installation::of(tera).is_ok() {
        return Err(Error::new(
            ErrorKind::Config,
            "this Tera has a fragment cache already; give another cache to a new Tera",
        ));
    }
    let caches = caches.into();
    Installation { caches: caches.clone(), loaded: Loaded::default() }.keep_in(tera);
    functions::register(tera, caches.clone());
    filters::register(tera, caches);
    Ok(())
}
