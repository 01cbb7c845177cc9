//! Loaders whose templates may hold cache blocks, with the engine's auto-reload kept.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use minijinja::{Environment, Error, TemplateSource};

use crate::install::Installation;
use crate::templates::{load, syntax_of};

/// A loader for [`Environment::set_loader`].
pub type Loader = Box<dyn Fn(&str) -> Result<Option<TemplateSource>, Error> + Send + Sync>;

/// Wraps a loader so that its templates may hold cache blocks. Set the result with
/// [`Environment::set_loader`].
///
/// Auto-reload keeps working: a template with cache blocks is checked by asking `inner` for its
/// source again, at each look-up that the environment's auto-reload makes. Where that is too slow,
/// use [`path_loader`], which looks at the file's date, or switch auto-reload off.
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
/// are errors of the load.
pub fn caching_loader<F, R>(inner: F, env: &Environment<'_>) -> Result<Loader, Error>
where
    F: Fn(&str) -> Result<Option<R>, Error> + Send + Sync + 'static,
    R: Into<TemplateSource>,
{
    let installation = Installation::require(env)?;
    let syntax = syntax_of(env);
    let inner = Arc::new(inner);
    Ok(Box::new(move |name: &str| {
        let Some(found) = inner(name)? else { return Ok(None) };
        let found: TemplateSource = found.into();
        let Cow::Owned(lowered) = load(&installation, &syntax, name, found.source())? else {
            // Without cache blocks it passes with the check that its loader gave it.
            return Ok(Some(found));
        };
        let (inner, name) = (Arc::clone(&inner), name.to_owned());
        let check = move || match inner(&name) {
            Ok(Some(now)) => now.into().source() == found.source(),
            _ => false,
        };
        Ok(Some(TemplateSource::new(lowered).with_uptodate_check(check)))
    }))
}

/// A loader of the files in a folder, as [`minijinja::path_loader`], whose templates may hold
/// cache blocks. Auto-reload looks at a file's date and length.
///
/// # Errors
///
/// If the environment has no cache yet.
pub fn path_loader(dir: impl AsRef<Path>, env: &Environment<'_>) -> Result<Loader, Error> {
    let installation = Installation::require(env)?;
    let syntax = syntax_of(env);
    let dir = dir.as_ref().to_path_buf();
    let inner = minijinja::path_loader(dir.clone());
    Ok(Box::new(move |name: &str| {
        // The inner loader refuses names that leave the folder; it is asked first. The date is
        // read before the source, so that a change in between is seen.
        let path = dir.join(name);
        let stamp = stamp(&path);
        let Some(found) = inner(name)? else { return Ok(None) };
        let Cow::Owned(lowered) = load(&installation, &syntax, name, found.source())? else {
            return Ok(Some(found));
        };
        let check = move || stamp.is_some() && self::stamp(&path) == stamp;
        Ok(Some(TemplateSource::new(lowered).with_uptodate_check(check)))
    }))
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
