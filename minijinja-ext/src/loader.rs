//! Loaders for templates with cache blocks. The engine's auto-reload keeps working.

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

/// Wraps a loader so that its templates may contain cache blocks. Set the result with
/// [`Environment::set_loader`].
///
/// Auto-reload keeps working. At each lookup that the environment's auto-reload makes, the
/// template is checked by loading its source from `inner` again, and the sources of the
/// templates that its cache blocks use. An up-to-date check that `inner` attached is not called.
/// If that is too slow, use [`path_loader`], which compares file dates, or disable auto-reload.
///
/// The loader uses the delimiters that the environment has now. If its syntax changes later, create
/// the loader again: with the old delimiters no cache block is found, and the engine reports an
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
/// Returns an error if the environment has no cache. The returned loader passes on the errors of
/// `inner`. Loading fails for refused cache blocks and for engine syntax errors in a template with
/// cache blocks; the latter are shown as by [`add_template`](crate::add_template).
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
        // Also without cache blocks: a template that uses this one is rewritten
        // after an edit, so the engine must detect the edit too.
        let lowered = loaded.into_owned();
        let mut seen = vec![(name.to_owned(), Some(found.source().into()))];
        seen.extend(used.seen.into_inner());
        let inner = Arc::clone(&inner);
        let check = move || seen.iter().all(|(name, source)| source_of(&*inner, name) == *source);
        Ok(Some(TemplateSource::new(lowered).with_uptodate_check(check)))
    }))
}

/// Creates a loader of the files in a folder, like [`minijinja::path_loader`], whose templates may
/// contain cache blocks. Auto-reload compares the date and length of the file and of the files that
/// its cache blocks use.
///
/// # Errors
///
/// Returns an error if the environment has no cache.
pub fn path_loader(dir: impl AsRef<Path>, env: &Environment<'_>) -> Result<Loader, Error> {
    let installation = Installation::require(env)?;
    let (syntax, engines) = (syntax_of(env), env.syntax().clone());
    let dir = dir.as_ref().to_path_buf();
    let inner = minijinja::path_loader(dir.clone());
    Ok(Box::new(move |name: &str| {
        // The stamp is read before the source, so that a change in between is detected.
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
            // The check that `minijinja::path_loader` attached is enough.
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

/// The templates that the blocks of one template use, as a loader finds them, each with a mark that
/// shows later whether it has changed.
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
        // The environment prefers an added template, if it still has it.
        let added = self.installation.with_known(|known| {
            let added = known.get(name).filter(|known| known.origin != Origin::Loaded)?;
            Some(Arc::clone(&added.source))
        });
        added.into_iter().chain(found).collect()
    }
}

/// The source that a loader returns for a name. An error counts as no source; it is
/// reported when the template itself is loaded.
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

/// The path of a template name, if MiniJinja accepts the name.
fn path_of(dir: &Path, name: &str) -> Option<PathBuf> {
    let refused = |part: &str| part.starts_with('.') || part.contains('\\');
    let mut parts = name.split('/');
    parts.try_fold(dir.to_path_buf(), |at, part| (!refused(part)).then(|| at.join(part)))
}
