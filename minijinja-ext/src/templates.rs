//! The ways a source reaches the engine: added, rendered from a string, or rewritten by itself.

use std::borrow::Cow;

use fragcache::syntax::{self, Syntax};
use minijinja::{Environment, Error, Value};

use crate::error::refusal;
use crate::install::Installation;

/// The lexical rules of an environment, for [`rewrite`].
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

/// Rewrites the cache blocks of a source into what MiniJinja understands, line for line. For
/// sources that reach the engine by another way than this crate's functions, such as templates
/// embedded at build time; the environment that renders them needs
/// [`add_to_environment`](crate::add_to_environment) all the same.
///
/// A source without a cache block comes back borrowed.
///
/// # Errors
///
/// For every cache block that is refused: the message names line and column and says what to
/// write instead.
pub fn rewrite<'s>(
    name: &str,
    source: &'s str,
    syntax: &Syntax,
) -> Result<Cow<'s, str>, fragcache::Error> {
    syntax::rewrite(name, source, syntax).map(syntax::Rewritten::into_source)
}

/// Rewrites a source for an environment and notes its blocks.
pub(crate) fn load<'s>(
    installation: &Installation,
    syntax: &Syntax,
    name: &str,
    source: &'s str,
) -> Result<Cow<'s, str>, Error> {
    let rewritten = syntax::rewrite(name, source, syntax).map_err(refusal)?;
    installation.note(name, source, &rewritten);
    Ok(rewritten.into_source())
}

/// Adds a template that may hold cache blocks, as [`Environment::add_template_owned`] does.
///
/// # Errors
///
/// The engine's for its own syntax, ours for refused cache blocks; an environment without a cache.
pub fn add_template<'source>(
    env: &mut Environment<'source>,
    name: impl Into<Cow<'source, str>>,
    source: impl Into<Cow<'source, str>>,
) -> Result<(), Error> {
    let installation = Installation::require(env)?;
    let (name, source) = (name.into(), source.into());
    let lowered = match source {
        Cow::Borrowed(source) => load(&installation, &syntax_of(env), &name, source)?,
        Cow::Owned(source) => {
            Cow::Owned(load(&installation, &syntax_of(env), &name, &source)?.into_owned())
        }
    };
    env.add_template_owned(name, lowered)
}

/// Renders a template from a string, as [`Environment::render_str`] does. Its unnamed cache blocks
/// are called after a digest of the source, so two sources never share them.
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
/// The engine's, and ours for refused cache blocks; an environment without a cache.
pub fn render_str(
    env: &Environment<'_>,
    source: &str,
    context: impl Into<Value>,
) -> Result<String, Error> {
    Installation::require(env)?;
    let name = syntax::name_of_string(source);
    let lowered = rewrite(&name, source, &syntax_of(env)).map_err(refusal)?;
    env.render_str(&lowered, context)
}
