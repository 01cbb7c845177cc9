//! Several named caches for the templates of one engine, and the one that a block chooses with
//! `using=`. A block without the option pays for a look at the byte after its digest. The crate
//! `fragcache-config` builds them from a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use fragcache_syntax::{BlockHead, BlockOption, CacheBlock, MAX_CACHE_NAME_BYTES, is_cache_name};

use crate::cache::FragmentCache;
use crate::entry::Body;
use crate::error::{Error, ErrorKind};
use crate::events::RefusalReason;
use crate::policy::ErrorPolicy;
use crate::render::{Arguments, Opened, RenderContext, RenderMemo, refuse};
use crate::timeout::Scalar;

/// The name of the cache for blocks without `using=`.
const DEFAULT: &str = "default";

/// Most names that an error message lists.
const MOST_LISTED: usize = 12;

/// Named caches for one engine, one of them the default. A block with `using="pages"` uses the
/// cache `pages`, a block without it the default. A clone is another handle to the same caches.
///
/// Each cache has its own store, bounds, policy and counters. They are independent: what one cache
/// stores, deletes or clears does not affect the others. Every function of an engine extension that
/// takes caches also accepts a single [`FragmentCache`], which becomes the default.
///
/// ```
/// use fragcache::{Caches, FragmentCache};
///
/// let pages = FragmentCache::builder().max_bytes(256 << 20).build()?;
/// let caches = Caches::new(FragmentCache::in_memory()).with("pages", pages.clone())?;
///
/// assert!(caches.get("pages").unwrap().is_same(&pages));
/// assert!(caches.get("default").unwrap().is_same(caches.default_cache()));
/// assert!(caches.get("rows").is_none());
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Caches {
    /// Apart from the others, so that a block without `using=` costs no lookup.
    default: FragmentCache,
    named: Arc<BTreeMap<Box<str>, FragmentCache>>,
}

impl Caches {
    /// Creates a set with only the default cache, under the name `default`.
    ///
    /// ```
    /// use fragcache::{Caches, FragmentCache};
    ///
    /// let caches = Caches::new(FragmentCache::in_memory());
    /// assert_eq!(caches.iter().count(), 1);
    /// ```
    pub fn new(default: FragmentCache) -> Self {
        Self { default, named: Arc::default() }
    }

    /// Adds a cache under `name`: 1 to 64 ASCII letters, digits, `_`, `-` and `.`. It may be a
    /// [namespace](FragmentCache::namespace) of another cache in the set; fragments nested across
    /// those two count as nested in one cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the name is invalid or already taken; `default` is always taken.
    ///
    /// ```
    /// use fragcache::{Caches, FragmentCache};
    ///
    /// let caches = Caches::new(FragmentCache::in_memory());
    /// let caches = caches.with("pages", FragmentCache::in_memory())?;
    /// for name in ["pages", "default", "", "my pages"] {
    ///     assert!(caches.clone().with(name, FragmentCache::in_memory()).is_err());
    /// }
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn with(mut self, name: &str, cache: FragmentCache) -> Result<Self, Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        let shown: String = name.chars().take(40).collect();
        if !is_cache_name(name) {
            return refuse(format!(
                "a cache cannot be called {shown:?}; write 1 to {MAX_CACHE_NAME_BYTES} letters, digits, \
                 \"_\", \"-\" and \".\", such as \"pages\""
            ));
        }
        if self.get(name).is_some() {
            return refuse(format!("a cache called {shown:?} already exists; write another name"));
        }
        Arc::make_mut(&mut self.named).insert(name.into(), cache);
        Ok(self)
    }

    /// Returns the cache of that name.
    ///
    /// ```
    /// use fragcache::{Caches, FragmentCache};
    ///
    /// let caches = Caches::new(FragmentCache::in_memory());
    /// assert!(caches.get("default").is_some());
    /// assert!(caches.get("Default").is_none());
    /// ```
    pub fn get(&self, name: &str) -> Option<&FragmentCache> {
        if name == DEFAULT { Some(&self.default) } else { self.named.get(name) }
    }

    /// Returns the cache for blocks without `using=`.
    ///
    /// ```
    /// use fragcache::{Caches, FragmentCache};
    ///
    /// let cache = FragmentCache::in_memory();
    /// assert!(Caches::new(cache.clone()).default_cache().is_same(&cache));
    /// ```
    pub fn default_cache(&self) -> &FragmentCache {
        &self.default
    }

    /// Iterates over all caches with their names: the default first, the others in order of their
    /// names.
    ///
    /// ```
    /// use fragcache::{Caches, FragmentCache};
    ///
    /// let caches = Caches::new(FragmentCache::in_memory())
    ///     .with("rows", FragmentCache::in_memory())?
    ///     .with("pages", FragmentCache::in_memory())?;
    /// let names: Vec<&str> = caches.iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["default", "pages", "rows"]);
    ///
    /// for (_, cache) in caches.iter() {
    ///     cache.clear().eventually();
    /// }
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FragmentCache)> {
        let named = self.named.iter().map(|(name, cache)| (&**name, cache));
        std::iter::once((DEFAULT, &self.default)).chain(named)
    }

    /// Checks that every literal `using=` in a template's blocks names one of these caches. The
    /// engine extensions call this whenever they load a template. If the default cache's
    /// [policy](crate::Policy::bad_arguments) renders bad arguments uncached, nothing is refused
    /// here, and each render is counted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Using`] with the location of the first block that names none.
    ///
    /// ```
    /// use fragcache::syntax::{Syntax, rewrite};
    /// use fragcache::{Caches, ErrorKind, FragmentCache};
    ///
    /// let source = "{% cache 300, 'menu', using='pags' %}…{% endcache %}";
    /// let page = rewrite("page.html", source, &Syntax::minijinja())?;
    ///
    /// let caches = Caches::new(FragmentCache::in_memory());
    /// let caches = caches.with("pages", FragmentCache::in_memory())?;
    /// let error = caches.check(page.blocks()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Using);
    /// assert_eq!(
    ///     error.to_string(),
    ///     "`using` is the text \"pags\", which names no cache: write one of \"default\" and \
    ///      \"pages\", or add one of that name (in page.html:1:1)"
    /// );
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn check(&self, blocks: &[CacheBlock]) -> Result<(), Error> {
        if self.default.handle.policy().bad_arguments == ErrorPolicy::Uncached {
            return Ok(());
        }
        for block in blocks {
            let Some(name) = block.using() else { continue };
            self.choose(Scalar::Str(name))
                .map_err(|error| error.at(block.template(), block.line(), block.column()))?;
        }
        Ok(())
    }

    /// The cache that the value of `using` names.
    pub(crate) fn choose(&self, using: Scalar<'_>) -> Result<&FragmentCache, Error> {
        if let Scalar::Str(name) = using
            && let Some(cache) = self.get(name)
        {
            return Ok(cache);
        }
        Err(Error::new(
            ErrorKind::Using,
            format!(
                "`using` is {}, which names no cache: write {}, or add one of that name",
                using.describe(),
                self.listed()
            ),
        ))
    }

    /// The names to choose from, for an error message.
    fn listed(&self) -> String {
        let mut names: Vec<String> =
            self.iter().take(MOST_LISTED).map(|(name, _)| format!("{name:?}")).collect();
        let more = (1 + self.named.len()).saturating_sub(MOST_LISTED);
        if more > 0 {
            names.push(format!("{more} others"));
        }
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, names)) => format!("one of {} and {last}", names.join(", ")),
            None => String::new(),
        }
    }
}

impl From<FragmentCache> for Caches {
    fn from(default: FragmentCache) -> Self {
        Self::new(default)
    }
}

impl Caches {
    /// Opens a cache block for an engine extension, in the cache that the block names or in the
    /// default one; see [`FragmentCache::open`](crate::FragmentCache::open).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Using`](crate::ErrorKind::Using) with the block's place if `using=` names no
    /// cache and the default cache's [`Policy`](crate::Policy) makes that an error; and those of
    /// [`FragmentCache::open`](crate::FragmentCache::open).
    pub fn open<A: Arguments + ?Sized, R>(
        &self,
        site: &str,
        arguments: &A,
        rendering: &mut impl RenderContext,
        on_hit: impl Fn(&Body) -> R,
    ) -> Result<Opened<R>, Error> {
        let using = BlockHead::of(site).and_then(|head| head.from_end(BlockOption::Using));
        let cache = match using.and_then(|from_end| arguments.len().checked_sub(from_end)) {
            None => self.default_cache(),
            Some(index) => match self.choose(arguments.scalar(index)) {
                Ok(cache) => cache,
                // An error, or a render that the default cache counts.
                Err(error) => {
                    let cache = &self.default_cache().handle;
                    return refuse(cache, site, rendering, error, RefusalReason::Using);
                }
            },
        };
        cache.open(site, arguments, rendering, on_hit)
    }
}

/// `cache_prefetch(name, vary, using)` in a template: like [`FragmentCache::prefetch`](crate::FragmentCache::prefetch), for the
/// render with this `memo`, and for blocks with the same `using=` or none. Each of `keys` is a name
/// and its vary parts, as the prefetched block has them.
///
/// # Errors
///
/// [`ErrorKind::Key`] for a value that cannot be part of a key, and [`ErrorKind::Using`] for an
/// unknown cache if the default cache's [`Policy`](crate::Policy) makes that an error. Nothing is
/// read then.
pub fn prefetch<A: Arguments>(
    caches: &Caches,
    using: Option<Scalar<'_>>,
    memo: &RenderMemo,
    keys: impl IntoIterator<Item = A>,
) -> Result<(), Error> {
    let cache = match using.map_or(Ok(caches.default_cache()), |using| caches.choose(using)) {
        Ok(cache) => cache,
        // The blocks report it one by one.
        Err(_) if caches.default_cache().handle.policy().bad_arguments == ErrorPolicy::Uncached => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    memo.read_ahead(&cache.handle, keys)
}
