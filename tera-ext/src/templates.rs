//! Templates on their way into a Tera: rewritten first, and remembered if they hold cache blocks.

use std::borrow::Cow;
use std::collections::HashSet;

use fragcache::syntax::{self, CacheBlock, Dialect, Rewritten, Syntax, Warning};
use fragcache::{Error, ErrorKind};
use tera::{Tera, TeraResult};

use crate::error::{self, Authors};
use crate::install::Installation;
use crate::loaded::Changes;

/// Adds a template whose source may hold cache blocks. In place of [`Tera::add_raw_template`],
/// and like it in all else.
///
/// Templates that were loaded before and whose cache blocks use this one (include it, or a
/// component or a parent's block of it) are rewritten and added again with it, so that their blocks
/// miss when it is edited. So load what was loaded this way again this way, and not by Tera's own.
///
/// # Errors
///
/// A [`tera::Error`]. Where a cache block is refused, or the Tera has no cache yet, a
/// [`fragcache::Error`] is its [`source`](std::error::Error::source). Where Tera itself refuses a
/// template with cache blocks, the error is a message that shows the author's source. Nothing is added
/// then.
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

/// Adds several templates at once, so that they may extend and include each other in any order. In
/// place of [`Tera::add_raw_templates`].
///
/// # Errors
///
/// As [`add_raw_template`]. If one template is refused, none is added.
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
    let (installation, syntax) = Installation::of(tera).map_err(error::into_tera)?;
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

/// Refuses caches that are not there, and tells of warnings.
pub(crate) fn report_warnings(
    installation: &Installation,
    page: &Rewritten<'_>,
) -> Result<(), Error> {
    installation.caches.check(page.blocks())?;
    installation.caches.default_cache().report_warnings(page.warnings())
}

/// Lowers the cache blocks of a source for a Tera with this [`syntax`](crate::syntax()), for
/// sources that reach Tera by another way: embedded at build time, or loaded by a framework.
///
/// `name` is the name that Tera will know the template by. A source without a cache block comes
/// back borrowed. The result renders in any Tera that went through
/// [`add_to_tera`](crate::add_to_tera). An edit to a partial or component that a block uses goes
/// unnoticed here; [`fragcache::syntax::rewrite_with`] notices it.
///
/// # Errors
///
/// [`ErrorKind::Syntax`] with line and column for a cache block that is refused;
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
            "these rules are not Tera's; start from Syntax::tera() or fragcache_tera::syntax",
        ));
    }
    Ok(syntax::rewrite(name, source, syntax)?.into_source())
}

/// The cache blocks of all templates that were loaded through this crate and are in this Tera, by
/// template and place.
///
/// Templates that were [rewritten](rewrite) and added to Tera directly are not listed.
///
/// # Errors
///
/// [`ErrorKind::Config`] for a Tera without a cache or with unknown delimiters.
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
pub fn cache_blocks(tera: &Tera) -> Result<Vec<CacheBlock>, Error> {
    let (installation, _) = Installation::of(tera)?;
    let present: HashSet<&str> = tera.get_template_names().collect();
    let listed = installation.loaded.iter().filter(|(name, _)| present.contains(&***name));
    Ok(listed.flat_map(|(_, authored)| authored.blocks.iter().cloned()).collect())
}

/// What is probably wrong with the templates that [`cache_blocks`] lists, such as a CSRF token in a
/// cached body: by template and place. Look at it when the program starts, or in a test. The
/// cache's observer is told too, and a [policy](fragcache::Policy::warnings_are_errors) makes them
/// errors of the load.
///
/// # Errors
///
/// [`ErrorKind::Config`] for a Tera without a cache or with unknown delimiters.
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
pub fn warnings(tera: &Tera) -> Result<Vec<Warning>, Error> {
    let (installation, _) = Installation::of(tera)?;
    let present: HashSet<&str> = tera.get_template_names().collect();
    let listed = installation.loaded.iter().filter(|(name, _)| present.contains(&***name));
    Ok(listed.flat_map(|(_, authored)| authored.warnings.iter().cloned()).collect())
}
