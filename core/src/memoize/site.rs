//! The places of memoized functions in the source. Of two functions that share a name and a path,
//! the one called second is refused.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::form::Forms;

/// One function with the attribute `#[memoize]`, as a static beside its call.
///
/// Two functions of the same name in two blocks of one function have the same path. Within a
/// process, the one called first owns the name. The other runs uncached, with an event
/// ([`RefusalReason::SharedName`](crate::events::RefusalReason::SharedName)) and a warning that
/// names both places. Give one of them a `name = "…"`.
///
/// ```
/// use fragcache::memoize::{Function, CallSite};
/// use fragcache::FragmentCache;
///
/// const NAME: &str = "docs::price";
/// static FILM: CallSite = CallSite::new(NAME, "docs::price", 0, &|| ());
/// static BOOK: CallSite = CallSite::new(NAME, "docs::price", 0, &|| ());
///
/// let cache = FragmentCache::in_memory();
/// let call = Function::new(NAME).call();
/// assert_eq!(cache.memoize(&call.clone().site(&FILM, "docs::price"), || 1), 1);
/// assert_eq!(cache.memoize(&call.site(&BOOK, "docs::price"), || 2), 2);
/// ```
#[derive(Debug)]
pub struct CallSite {
    name: &'static str,
    expected: &'static str,
    source: u64,
    id: fn() -> TypeId,
    path: fn() -> &'static str,
    at: &'static Location<'static>,
    standing: OnceLock<Standing>,
    forms: Forms,
    is_told: AtomicBool,
}

/// What is known of a site after its first call.
#[derive(Debug)]
struct Standing {
    /// Distinguishes results of sites that may share a path; the same in every process of one
    /// build.
    apart: Option<u64>,
    /// The site that owns the name and the path; `None` if this one does.
    first: Option<&'static Location<'static>>,
}

/// The owner of a name and a path.
type Holder = (TypeId, &'static Location<'static>);
static HOLDERS: LazyLock<Mutex<HashMap<(&'static str, String), Holder>>> =
    LazyLock::new(Mutex::default);

impl CallSite {
    /// Creates the site of a function with this name in the cache. Must be called in the
    /// initializer of a static. `expected` is the path that the function has if it is not nested in
    /// another function, `source` the digest of its source, and `marker` a closure written in
    /// place.
    #[track_caller]
    pub const fn new<F: 'static>(
        name: &'static str,
        expected: &'static str,
        source: u64,
        _marker: &F,
    ) -> Self {
        Self {
            name,
            expected,
            source,
            id: TypeId::of::<F>,
            path: type_name::<F>,
            at: Location::caller(),
            standing: OnceLock::new(),
            forms: Forms::new(),
            is_told: AtomicBool::new(false),
        }
    }

    fn standing(&self) -> &Standing {
        self.standing.get_or_init(|| {
            let (id, path) = ((self.id)(), plain((self.path)()));
            let mut holders = HOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
            let (holder, at) = *holders.entry((self.name, path.clone())).or_insert((id, self.at));
            let is_settled = without_types(&path) == self.expected;
            Standing {
                apart: (!is_settled)
                    .then(|| xxh3_64(format!("{id:?}{:x}", self.source).as_bytes())),
                first: (holder != id).then_some(at),
            }
        })
    }

    /// The forms of the results at this site.
    pub(super) fn forms(&self) -> &Forms {
        &self.forms
    }

    /// The digest of the function at this site, compiled under `path`.
    pub(super) fn digest(&self, path: &str) -> u64 {
        match self.standing().apart {
            None => xxh3_64(path.as_bytes()),
            Some(apart) => {
                let mut digest = Xxh3::new();
                digest.update(path.as_bytes());
                digest.update(&apart.to_le_bytes());
                digest.digest()
            }
        }
    }

    /// Returns true if another function owns the name.
    pub(super) fn is_second(&self) -> bool {
        self.standing().first.is_some()
    }

    /// The warning that another function owns the name; `Some` only once.
    pub(super) fn warning(&self) -> Option<String> {
        let first = self.standing().first?;
        let is_told = self.is_told.swap(true, Ordering::Relaxed);
        (!is_told).then(|| {
            format!(
                "the memoized functions at {first} and {} are both called {:?}: the second runs \
                 uncached; write name = \"…\" in the attribute of one",
                self.at, self.name
            )
        })
    }
}

/// The path of the function around a static's closure.
fn plain(path: &str) -> String {
    let path = path.strip_suffix("::{{closure}}").unwrap_or(path);
    let path = path.rsplit_once("::").map_or(path, |(function, _)| function);
    path.replace("::{{closure}}", "")
}

/// A path without type arguments.
fn without_types(path: &str) -> String {
    let mut depth = 0_usize;
    let outside = |c: &char| {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    path.chars().filter(outside).collect()
}
