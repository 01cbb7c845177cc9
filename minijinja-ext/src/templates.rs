//! The ways a source reaches the engine: added, rendered from a string, or only rewritten.

use std::borrow::Cow;
use std::sync::Arc;

use fragcache::syntax::{self, Rewritten, Sources, Syntax};
use minijinja::{Environment, Error, Value};

use crate::error::{Authors, refusal};
use crate::install::Installation;
use crate::known::{Origin, Template};

/// Returns the lexical rules of an environment, for [`rewrite`].
///
/// ```
/// let env = minijinja::Environment::new();
/// let source = "{% cache %}…{% endcache %}";
/// let lowered = fragcache_minijinja::rewrite("a", source, &fragcache_minijinja::syntax_of(&env))?;
/// assert_ne!(lowered, source);
/// # Ok::<(), fragcache::Error>(())
/// ```
pub fn syntax_of(env: &Environment<'_>) -> Syntax {
    let owned = |(start, end): (&str, &str)| (start.to_owned(), end.to_owned());
    let config = env.syntax();
    let (block_start, block_end) = owned(config.block_delimiters());
    let (variable_start, variable_end) = owned(config.variable_delimiters());
    let (comment_start, comment_end) = owned(config.comment_delimiters());
    Syntax::minijinja()
        .with_block_delimiters(block_start, block_end)
        .with_variable_delimiters(variable_start, variable_end)
        .with_comment_delimiters(comment_start, comment_end)
        .with_line_statement_prefix(config.line_statement_prefix().map(str::to_owned))
        .with_line_comment_prefix(config.line_comment_prefix().map(str::to_owned))
        .with_lstrip_blocks(config.lstrip_blocks())
}

/// Rewrites the cache blocks of a source into statements that MiniJinja understands,
/// line for line. Use it for sources that reach the engine without this crate's
/// functions, such as templates embedded at build time. The environment that renders
/// them still needs [`add_to_environment`](crate::add_to_environment).
///
/// A source without a cache block is returned borrowed. This function does not detect edits to a
/// partial or macro that a block uses; [`fragcache::syntax::rewrite_with`] does.
///
/// # Errors
///
/// Returns an error for a refused cache block. The message names the line and column and says what
/// to write instead.
pub fn rewrite<'s>(
    name: &str,
    source: &'s str,
    syntax: &Syntax,
) -> Result<Cow<'s, str>, fragcache::Error> {
    Ok(syntax::rewrite(name, source, syntax)?.into_source())
}

/// The settings that determine how an environment reads a source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    syntax: Syntax,
    trim_blocks: bool,
    keep_trailing_newline: bool,
}

impl Rules {
    fn of(env: &Environment<'_>) -> Self {
        Self {
            syntax: syntax_of(env),
            trim_blocks: env.syntax().trim_blocks(),
            keep_trailing_newline: env.syntax().keep_trailing_newline(),
        }
    }
}

/// Finds in an environment the templates that others use: the author's source where it is recorded,
/// otherwise the engine's.
struct InEnvironment<'e, 'source> {
    env: &'e Environment<'source>,
    installation: &'e Installation,
}

impl Sources for InEnvironment<'_, '_> {
    fn templates(&self, name: &str) -> Vec<Arc<str>> {
        let Ok(template) = self.env.get_template(name) else { return Vec::new() };
        let written = self.installation.with_known(|known| {
            let written = known.get(name).filter(|known| known.became(template.source()))?;
            Some(Arc::clone(&written.source))
        });
        vec![written.unwrap_or_else(|| template.source().into())]
    }
}

/// Refuses unknown cache names and reports warnings.
fn report_warnings(installation: &Installation, rewritten: &Rewritten<'_>) -> Result<(), Error> {
    let caches = installation.caches();
    caches.check(rewritten.blocks()).map_err(refusal)?;
    caches.default_cache().report_warnings(rewritten.warnings()).map_err(refusal)
}

/// Rewrites a source and records its blocks.
pub(crate) fn load<'s>(
    installation: &Installation,
    syntax: &Syntax,
    sources: &dyn Sources,
    name: &str,
    source: &'s str,
    origin: Origin,
) -> Result<Cow<'s, str>, Error> {
    let rewritten = syntax::rewrite_with(name, source, syntax, sources).map_err(refusal)?;
    installation.watch(source, syntax);
    report_warnings(installation, &rewritten)?;
    installation.note(name, Template::new(source.into(), &rewritten, origin));
    Ok(rewritten.into_source())
}

/// Adds a template that may contain cache blocks, like [`Environment::add_template_owned`].
///
/// Templates added earlier whose cache blocks use this one (include it, or call one of its
/// macros) are rewritten and added again. So the order of calls does not matter, and those
/// blocks miss after this template is edited. Used templates are found by the name as written
/// in the tag; a [path join callback](Environment::set_path_join_callback) is not called.
///
/// # Errors
///
/// Returns the engine's syntax errors, an error for a refused cache block, and an error if the
/// environment has no cache. An engine error that would show the rewritten source is rebuilt: its
/// text names the place, and its [`source`](std::error::Error::source) shows the author's line.
///
/// ```
/// use std::error::Error as _;
///
/// use fragcache::FragmentCache;
/// use minijinja::Environment;
///
/// let mut env = Environment::new();
/// fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory())?;
/// let source = "{% cache 60, 'a' %}{{ name | }}{% endcache %}";
/// let error = fragcache_minijinja::add_template(&mut env, "a", source).unwrap_err();
/// assert!(error.to_string().ends_with("(in a:1)"));
/// assert!(error.source().unwrap().to_string().contains(source));
/// # Ok::<(), minijinja::Error>(())
/// ```
pub fn add_template<'source>(
    env: &mut Environment<'source>,
    name: impl Into<Cow<'source, str>>,
    source: impl Into<Cow<'source, str>>,
) -> Result<(), Error> {
    let installation = Installation::require(env)?;
    let (name, source) = (name.into(), source.into());
    let rules = Arc::new(Rules::of(env));
    let sources = InEnvironment { env, installation: &installation };
    let origin = Origin::Added(Arc::clone(&rules));
    let lowered = match source {
        Cow::Borrowed(source) => {
            load(&installation, &rules.syntax, &sources, &name, source, origin)?
        }
        Cow::Owned(source) => {
            let lowered = load(&installation, &rules.syntax, &sources, &name, &source, origin)?;
            Cow::Owned(lowered.into_owned())
        }
    };
    let add = env.add_template_owned(name.clone(), lowered);
    add.map_err(|error| Authors::of(&installation).words(error))?;
    let followers = installation.with_known(|known| known.followers_of(&name));
    followers.iter().try_for_each(|follower| renew(env, &installation, &rules, follower))
}

/// Rewrites a template whose blocks use one that changed.
fn renew(
    env: &mut Environment<'_>,
    installation: &Installation,
    rules: &Arc<Rules>,
    name: &str,
) -> Result<(), Error> {
    let Ok(present) = env.get_template(name) else { return Ok(()) };
    let written = installation.with_known(|known| known.get(name).cloned());
    // A clone of the environment may have another template of this name.
    let Some(written) = written.filter(|written| written.became(present.source())) else {
        return Ok(());
    };
    match &written.origin {
        // The loader rewrites it at the next lookup.
        Origin::Loaded => env.remove_template(name),
        Origin::Added(under) if under == rules => {
            let sources = InEnvironment { env, installation };
            let rewritten = syntax::rewrite_with(name, &written.source, &rules.syntax, &sources);
            // A template that is refused now must not render in its earlier form.
            let rewritten = match rewritten {
                Ok(rewritten) => rewritten,
                Err(error) => {
                    installation.forget(name);
                    env.remove_template(name);
                    return Err(refusal(error));
                }
            };
            let again = Template::new(written.source.clone(), &rewritten, written.origin.clone());
            let changed = again.blocks != written.blocks;
            let lowered = rewritten.into_source().into_owned();
            installation.note(name, again);
            if changed {
                let add = env.add_template_owned(name.to_owned(), lowered);
                add.map_err(|error| Authors::of(installation).words(error))?;
            }
        }
        // Under other rules the same source is a different template.
        Origin::Added(_) => {}
    }
    Ok(())
}

/// Renders a template from a string, like [`Environment::render_str`]. Unnamed cache
/// blocks are named after a digest of the source, so two sources never share them.
///
/// ```
/// use fragcache::FragmentCache;
/// use minijinja::{Environment, context};
///
/// let mut env = Environment::new();
/// fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory())?;
/// let source = "{% cache %}{{ n }}{% endcache %}";
/// assert_eq!(fragcache_minijinja::render_str(&env, source, context!(n => 1))?, "1");
/// assert_eq!(fragcache_minijinja::render_str(&env, source, context!(n => 2))?, "1");
/// # Ok::<(), minijinja::Error>(())
/// ```
///
/// # Errors
///
/// Returns the engine's errors as [`add_template`] shows them, an error for a
/// refused cache block, and an error if the environment has no cache. In debug mode
/// a rebuilt error does not list variables.
pub fn render_str(
    env: &Environment<'_>,
    source: &str,
    context: impl Into<Value>,
) -> Result<String, Error> {
    let installation = Installation::require(env)?;
    let name = syntax::name_of_string(source);
    let (sources, syntax) = (InEnvironment { env, installation: &installation }, syntax_of(env));
    let lowered = syntax::rewrite_with(&name, source, &syntax, &sources).map_err(refusal)?;
    installation.watch(source, &syntax);
    report_warnings(&installation, &lowered)?;
    let authors = Authors { installation: &installation, string: Some((source, lowered.map())) };
    env.render_str(lowered.source(), context).map_err(|error| authors.words(error))
}
