//! Adds templates to a Tera: rewrites them first and records those with cache blocks.

use std::borrow::Cow;
use std::collections::HashSet;

use fragcache::syntax::{self, CacheBlock, Dialect, Rewritten, Syntax, Warning};
use fragcache::{Error, ErrorKind};
use tera::{Tera, TeraResult};

use crate::error::{self, Authors};
use crate::install::Installation;
use crate::loaded::Changes;

/// Adds a template whose source may contain cache blocks. Use it in place of
/// [`Tera::add_raw_template`]; in all other respects it works the same.
///
/// Templates loaded earlier whose cache blocks use this one (include it, or use one
/// of its components or parent blocks) are rewritten and added again with it, so
/// that their blocks miss after it is edited. Reload templates that were loaded this
/// way this way too, and not through Tera's own methods.
///
/// # Errors
///
/// Returns a [`tera::Error`]. If a cache block is refused, or the Tera has no cache,
/// its [`source`](std::error::Error::source) is a [`fragcache::Error`]. If Tera
/// itself refuses a template with cache blocks, the error is a message that shows
/// the author's source. Nothing is added on an error.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::Tera;
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// fragcache_tera::add_raw_template(&mut tera, "a.html", "{% cache 60 %}Hello{% endcache %}")?;
///
/// let error = fragcache_tera::add_raw_template(&mut tera, "b.html", "{% cache 60 %}").unwrap_err();
/// assert!(error.to_string().ends_with("(in b.html:1:1)"));
/// let source = std::error::Error::source(&error).unwrap();
/// let ours = source.downcast_ref::<fragcache::Error>().unwrap();
/// assert_eq!(ours.kind(), fragcache::ErrorKind::Syntax);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn add_raw_template(tera: &mut Tera, name: &str, source: &str) -> TeraResult<()> {
    add_raw_templates(tera, [(name, source)])
}

/// Adds several templates together, so that they may extend and include each other
/// in any order. Use it in place of [`Tera::add_raw_templates`].
///
/// # Errors
///
/// Returns the errors of [`add_raw_template`]. If one template is refused, none is added.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::{Context, Tera};
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// fragcache_tera::add_raw_templates(&mut tera, [
///     ("page", "{% extends 'base' %}{% block main %}{% cache 60 %}Hello{% endcache %}{% endblock %}"),
///     ("base", "<main>{% block main %}{% endblock %}</main>"),
/// ])?;
/// assert_eq!(fragcache_tera::render(&tera, "page", &Context::new())?, "<main>Hello</main>");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn add_raw_templates<I, N, C>(tera: &mut Tera, templates: I) -> TeraResult<()>
where
    I: IntoIterator<Item = (N, C)>,
    N: AsRef<str>,
    C: AsRef<str>,
{
    let (installation, syntax) = Installation::of(tera)?;
    let templates: Vec<(N, C)> = templates.into_iter().collect();
    let mut loaded = installation.loaded.clone();
    let mut changes = Changes::default();
    for (name, source) in &templates {
        loaded.take(name.as_ref(), source.as_ref(), &syntax, &mut changes);
    }
    let present: HashSet<&str> = tera.get_template_names().collect();
    loaded.retain(|name| changes.has(name) || present.contains(name));

    let mut lowered = Vec::with_capacity(templates.len());
    for (name, source) in &templates {
        let (name, source) = (name.as_ref(), source.as_ref());
        let page =
            syntax::rewrite_with(name, source, &syntax, &loaded).map_err(error::into_tera)?;
        report_warnings(&installation, &page).map_err(error::into_tera)?;
        loaded.note(name, &page);
        lowered.push((Cow::Borrowed(name), page.into_source()));
    }
    let reached = loaded.reached_by(&changes);
    for (name, source) in &reached {
        let page =
            syntax::rewrite_with(name, source, &syntax, &loaded).map_err(error::into_tera)?;
        if loaded.note(name, &page) {
            lowered.push((Cow::Borrowed(&**name), page.into_source()));
        }
    }
    let authors = Authors { syntax: &syntax, loaded: &loaded, string: None };
    tera.add_raw_templates(lowered).map_err(|cause| authors.words(cause))?;
    Installation { caches: installation.caches.clone(), loaded }.keep_in(tera);
    Ok(())
}

/// Refuses unknown cache names and reports warnings.
pub(crate) fn report_warnings(
    installation: &Installation,
    page: &Rewritten<'_>,
) -> Result<(), Error> {
    installation.caches.check(page.blocks())?;
    installation.caches.default_cache().report_warnings(page.warnings())
}

/// Rewrites the cache blocks of a source for a Tera with this [`syntax_of`](crate::syntax_of). Use
/// it for sources that reach Tera another way: embedded at build time, or loaded by a framework.
///
/// `name` is the name that the template has in Tera. A source without a cache block
/// is returned borrowed. The result renders in any Tera that was set up with
/// [`add_to_tera`](crate::add_to_tera). This function does not detect edits to a
/// partial or component that a block uses; [`fragcache::syntax::rewrite_with`] does.
///
/// # Errors
///
/// Returns [`ErrorKind::Syntax`] with line and column for a cache block that is refused, and
/// [`ErrorKind::Config`] for rules that are not Tera's.
///
/// ```
/// use fragcache::FragmentCache;
/// use fragcache::syntax::Syntax;
/// use tera::{Context, Tera};
///
/// let source = "{% cache 60 %}Hello{% endcache %}";
/// let lowered = fragcache_tera::rewrite("a.html", source, &Syntax::tera())?;
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// tera.add_raw_template("a.html", &lowered)?;
/// assert_eq!(fragcache_tera::render(&tera, "a.html", &Context::new())?, "Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rewrite<'s>(name: &str, source: &'s str, syntax: &Syntax) -> Result<Cow<'s, str>, Error> {
    if syntax.dialect() != Dialect::Tera {
        return Err(Error::new(
            ErrorKind::Config,
            "these rules are not Tera's; start from Syntax::tera() or fragcache_tera::syntax_of",
        ));
    }
    Ok(syntax::rewrite(name, source, syntax)?.into_source())
}

/// Returns the cache blocks of all templates in this Tera that were loaded through
/// this crate, sorted by template and place.
///
/// Templates that were [rewritten](rewrite) and added to Tera directly are not listed.
///
/// # Errors
///
/// Returns an error for a Tera without a cache or with unknown delimiters.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::Tera;
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// fragcache_tera::add_raw_template(
///     &mut tera,
///     "a.html",
///     "\n{% cache 60, \"menu\", lang %}…{% endcache %}",
/// )?;
/// let blocks = fragcache_tera::cache_blocks(&tera)?;
/// assert_eq!((blocks[0].template(), blocks[0].line()), ("a.html", 2));
/// assert_eq!(blocks[0].name(), Some("menu"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn cache_blocks(tera: &Tera) -> TeraResult<Vec<CacheBlock>> {
    let (installation, _) = Installation::of(tera)?;
    let present: HashSet<&str> = tera.get_template_names().collect();
    let listed = installation.loaded.iter().filter(|(name, _)| present.contains(&***name));
    Ok(listed.flat_map(|(_, authored)| authored.blocks.iter().cloned()).collect())
}

/// Returns warnings about probable mistakes in the templates that [`cache_blocks`] lists, such as a
/// CSRF token in a cached body, sorted by template and place. Check them at program start or in a
/// test. The cache also reports them to its observer, and a
/// [policy](fragcache::Policy::warnings_are_errors) turns them into load errors.
///
/// # Errors
///
/// Returns an error for a Tera without a cache or with unknown delimiters.
///
/// ```
/// use fragcache::FragmentCache;
/// use tera::Tera;
///
/// let mut tera = Tera::new();
/// fragcache_tera::add_to_tera(&mut tera, FragmentCache::in_memory())?;
/// let form = "{% cache 60, \"form\" %}{{ csrf_token }}{% endcache %}";
/// fragcache_tera::add_raw_template(&mut tera, "form.html", form)?;
/// assert_eq!(fragcache_tera::warnings(&tera)?[0].name(), "csrf_token");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn warnings(tera: &Tera) -> TeraResult<Vec<Warning>> {
    let (installation, _) = Installation::of(tera)?;
    let present: HashSet<&str> = tera.get_template_names().collect();
    let listed = installation.loaded.iter().filter(|(name, _)| present.contains(&***name));
    Ok(listed.flat_map(|(_, authored)| authored.warnings.iter().cloned()).collect())
}
