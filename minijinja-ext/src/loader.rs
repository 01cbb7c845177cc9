//! Loaders whose templates may hold cache blocks, with the engine's auto-reload kept.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use fragcache::syntax::Sources;
use minijinja::{Environment, Error, TemplateSource};

use crate::error::{self, Authors};
use crate::install::Installation;
use crate::known::Origin;
use crate::templates::{load, syntax_of};

/// A loader for [`Environment::set_loader`].
pub type Loader = Box<dyn Fn(&str) -> Result<Option<TemplateSource>, Error> + Send + Sync>;

/// Wraps a loader so that its templates may hold cache blocks. Set the result with
/// [`Environment::set_loader`].
///
/// Auto-reload keeps working: a template is checked by asking `inner` for its source again, and for
/// those of the templates that its cache blocks use, at each look-up that the environment's
/// auto-reload makes; a check that `inner` gave it is not asked. Where that is too slow, use
/// [`path_loader`], which looks at the files' dates, or switch auto-reload off.
///
/// The delimiters are those that the environment has now. If its syntax changes later, make the
/// loader again: with the old delimiters no cache block is found, and the engine reports an
/// unknown statement `cache`.
///
/// ```
/// use fragcache::FragmentCache;
/// use minijinja::{Environment, context};
///
/// let mut env = Environment::new();
/// fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory())?;
/// let loader = |name: &str| Ok((name == "a.txt").then(|| "{% cache %}hi{% endcache %}".to_owned()));
/// env.set_loader(fragcache_minijinja::caching_loader(loader, &env)?);
/// assert_eq!(env.get_template("a.txt")?.render(context! {})?, "hi");
/// # Ok::<(), minijinja::Error>(())
/// ```
///
/// # Errors
///
/// If the environment has no cache yet. The loader's own errors pass through; refused cache blocks
/// are errors of the load, and so are those of the engine's syntax in a template with cache blocks, as
/// [`add_template`](crate::add_template) shows them.
pub fn caching_loader<F, R>(inner: F, env: &Environment<'_>) -> Result<Loader, Error>
where
    F: Fn(&str) -> Result<Option<R>, Error> + Send + Sync + 'static,
    R: Into<TemplateSource>,
{
    let installation = Installation::require(env)?;
    let (syntax, engines) = (syntax_of(env), env.syntax().clone());
    let inner = Arc::new(move |name: &str| Ok(inner(name)?.map(Into::into)));
    Ok(Box::new(move |name: &str| {
        let Some(found) = inner(name)? else { return Ok(None) };
        let used = Used::new(&installation, |name| {
            let source = source_of(&*inner, name);
            (source.clone(), source)
        });
        let loaded = load(&installation, &syntax, &used, name, found.source(), Origin::Loaded)?;
        if let Cow::Owned(lowered) = &loaded {
            error::check(Authors::of(&installation), &engines, name, lowered)?;
        }
        // Also without cache blocks: a template that uses this one sees its edits, so the engine
        // has to see them too.
        let lowered = loaded.into_owned();
        let mut seen = vec![(name.to_owned(), Some(found.source().into()))];
        seen.extend(used.seen.into_inner());
        let inner = Arc::clone(&inner);
        let check = move || seen.iter().all(|(name, source)| source_of(&*inner, name) == *source);
        Ok(Some(TemplateSource::new(lowered).with_uptodate_check(check)))
    }))
}

/// A loader of the files in a folder, as [`minijinja::path_loader`], whose templates may hold
/// cache blocks. Auto-reload looks at the dates and lengths of the file and of those that its cache
/// blocks use.
///
/// # Errors
///
/// If the environment has no cache yet.
pub fn path_loader(dir: impl AsRef<Path>, env: &Environment<'_>) -> Result<Loader, Error> {
    let installation = Installation::require(env)?;
    let (syntax, engines) = (syntax_of(env), env.syntax().clone());
    let dir = dir.as_ref().to_path_buf();
    let inner = minijinja::path_loader(dir.clone());
    Ok(Box::new(move |name: &str| {
        // The date is read before the source, so that a change in between is seen.
        let before = stamp_of(&dir, name);
        let Some(found) = inner(name)? else { return Ok(None) };
        let used = Used::new(&installation, |name| {
            let before = stamp_of(&dir, name);
            (before, source_of(&inner, name))
        });
        let loaded = load(&installation, &syntax, &used, name, found.source(), Origin::Loaded)?;
        if let Cow::Owned(lowered) = &loaded {
            error::check(Authors::of(&installation), &engines, name, lowered)?;
        }
        let seen = used.seen.into_inner();
        let lowered = match loaded {
            // The engine's own check does.
            Cow::Borrowed(_) if seen.is_empty() => return Ok(Some(found)),
            lowered => lowered.into_owned(),
        };
        let (dir, name) = (dir.clone(), name.to_owned());
        let check = move || {
            before.is_some()
                && stamp_of(&dir, &name) == before
                && seen.iter().all(|(name, before)| stamp_of(&dir, name) == *before)
        };
        Ok(Some(TemplateSource::new(lowered).with_uptodate_check(check)))
    }))
}

/// What the blocks of one template use, as a loader finds it; with what tells later whether it is
/// still the same.
struct Used<'l, F, S> {
    installation: &'l Installation,
    find: F,
    seen: RefCell<Vec<(String, S)>>,
}

impl<'l, F: Fn(&str) -> (S, Option<Arc<str>>), S> Used<'l, F, S> {
    fn new(installation: &'l Installation, find: F) -> Self {
        Self { installation, find, seen: RefCell::default() }
    }
}

impl<F: Fn(&str) -> (S, Option<Arc<str>>), S> Sources for Used<'_, F, S> {
    fn templates(&self, name: &str) -> Vec<Arc<str>> {
        let (mark, found) = (self.find)(name);
        self.seen.borrow_mut().push((name.to_owned(), mark));
        // The environment prefers what was added, if it still has it.
        let added = self.installation.with_known(|known| {
            let added = known.get(name).filter(|known| known.origin != Origin::Loaded)?;
            Some(Arc::clone(&added.source))
        });
        added.into_iter().chain(found).collect()
    }
}

/// What a loader has under a name. Its errors are for the one who asks for the template itself.
fn source_of(
    inner: &impl Fn(&str) -> Result<Option<TemplateSource>, Error>,
    name: &str,
) -> Option<Arc<str>> {
    inner(name).ok().flatten().map(|found| found.source().into())
}

type Stamp = Option<(SystemTime, u64)>;

fn stamp_of(dir: &Path, name: &str) -> Stamp {
    let metadata = std::fs::metadata(path_of(dir, name)?).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The file of a name, for those that MiniJinja takes.
fn path_of(dir: &Path, name: &str) -> Option<PathBuf> {
    let refused = |part: &str| part.starts_with('.') || part.contains('\\');
    let mut parts = name.split('/');
    parts.try_fold(dir.to_path_buf(), |at, part| (!refused(part)).then(|| at.join(part)))
}
