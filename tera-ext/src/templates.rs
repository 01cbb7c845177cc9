//! Templates on their way into a Tera: rewritten first, and remembered if they hold cache blocks.

use std::borrow::Cow;
use std::sync::Arc;

use fragcache::syntax::{self, CacheBlock, Dialect, Syntax};
use fragcache::{Error, ErrorKind};
use tera::{Tera, TeraResult};

use crate::error;
use crate::install::{Authored, Installation};

/// Adds a template whose source may hold cache blocks. In place of [`Tera::add_raw_template`],
/// and like it in all else.
///
/// # Errors
///
/// A [`tera::Error`]. Where a cache block is refused, or the Tera has no cache yet, a
/// [`fragcache::Error`] is its [`source`](std::error::Error::source). Where Tera itself refuses a
/// template with cache blocks, the message shows the author's source, and Tera's own error is the
/// source. Nothing is added then.
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
    let mut lowered = Vec::with_capacity(templates.len());
    let mut authored = Vec::with_capacity(templates.len());
    for (name, source) in &templates {
        let (name, source) = (name.as_ref(), source.as_ref());
        let page = syntax::rewrite(name, source, &syntax).map_err(error::into_tera)?;
        let blocks = page.blocks().to_vec();
        let kept = (!blocks.is_empty()).then(|| Authored { source: Arc::from(source), blocks });
        authored.push((name, kept));
        lowered.push((name, page.into_source()));
    }
    tera.add_raw_templates(lowered).map_err(|cause| {
        let author = |name: &str| {
            let batch = authored.iter().rev().find(|(added, _)| *added == name);
            match batch {
                Some((_, kept)) => kept.as_ref().map(|kept| Arc::clone(&kept.source)),
                None => installation.author_of(name),
            }
        };
        error::in_authors_words(cause, &syntax, author)
    })?;
    let mut loaded = installation.loaded();
    for (name, kept) in authored {
        match kept {
            Some(kept) => loaded.templates.insert(name.to_owned(), kept),
            None => loaded.templates.remove(name),
        };
    }
    Ok(())
}

/// Lowers the cache blocks of a source for a Tera with this [`syntax`](crate::syntax()), for
/// sources that reach Tera by another way: embedded at build time, or loaded by a framework.
///
/// `name` is the name that Tera will know the template by. A source without a cache block comes
/// back borrowed. The result renders in any Tera that went through
/// [`add_to_tera`](crate::add_to_tera).
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
/// A Tera and its clones share one list: of templates that they loaded under one name, the last
/// counts. Templates that were [rewritten](rewrite) and added to Tera directly are not listed.
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
    let present: std::collections::HashSet<&str> = tera.get_template_names().collect();
    let loaded = installation.loaded();
    let listed = loaded.templates.iter().filter(|(name, _)| present.contains(name.as_str()));
    Ok(listed.flat_map(|(_, authored)| authored.blocks.iter().cloned()).collect())
}

impl Installation {
    /// The source of a loaded template as its author wrote it, if it holds cache blocks.
    pub(crate) fn author_of(&self, name: &str) -> Option<Arc<str>> {
        self.loaded().templates.get(name).map(|authored| Arc::clone(&authored.source))
    }
}
