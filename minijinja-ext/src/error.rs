//! Conversion of fragcache errors to MiniJinja errors, and display of MiniJinja errors against the
//! source that the author wrote.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use fragcache::syntax::SourceMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind};

use crate::install::Installation;

/// Wraps a fragcache error in an engine error. The engine adds the template name and line.
pub(crate) fn to_engine(error: fragcache::Error, kind: ErrorKind) -> Error {
    Error::new(kind, error.message().to_owned()).with_source(error)
}

/// An error raised while a template loads. The engine adds no place here, so the text includes it.
pub(crate) fn refusal(error: impl Into<fragcache::Error>) -> Error {
    let error = error.into();
    Error::new(ErrorKind::SyntaxError, error.to_string()).with_source(error)
}

/// Returns the text of an error of this environment, shown against the author's source.
///
/// MiniJinja reports correct line numbers, but its columns, its quoted source and its debug
/// info ([`Environment::set_debug`]) refer to the rewritten text. Errors in templates
/// without cache blocks, and errors in templates that were not loaded through this crate,
/// keep the engine's text. Errors returned by this crate's own functions and loaders
/// already show the author's source, as their [`source`](std::error::Error::source).
///
/// ```
/// use fragcache::FragmentCache;
/// use minijinja::{Environment, context};
///
/// let mut env = Environment::new();
/// env.set_debug(true);
/// fragcache_minijinja::add_to_environment(&mut env, FragmentCache::in_memory())?;
/// fragcache_minijinja::add_template(&mut env, "page", "{% cache 9, 'x' %}{{ nope() }}{% endcache %}")?;
/// let error = env.get_template("page")?.render(context! {}).unwrap_err();
///
/// let shown = fragcache_minijinja::explain(&env, &error);
/// assert!(shown.contains("--> page:1:22"));
/// assert!(shown.contains("1 | {% cache 9, 'x' %}{{ nope() }}{% endcache %}"));
/// # Ok::<(), minijinja::Error>(())
/// ```
pub fn explain(env: &Environment<'_>, error: &Error) -> String {
    let installation = Installation::of(env);
    let explain_one = |error: &Error| {
        let authors = installation.as_deref().map(Authors::of);
        let excerpt = authors.and_then(|authors| authors.excerpt(error));
        excerpt.map_or_else(|| error.to_string(), |excerpt| format!("{error}\n{excerpt}"))
    };
    let mut out = explain_one(error);
    // The error of an included template is the source of the error at the include.
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<Error>() {
            out.push_str("\ncaused by: ");
            out.push_str(&explain_one(error));
        } else if let Some(excerpt) = cause.downcast_ref::<Excerpt>() {
            out.push_str(&format!("\n{excerpt}"));
        }
        source = cause.source();
    }
    out
}

/// Prefix of all names that the rewriter generates.
const OURS: &str = "__fragcache";

/// The engine's name for a template rendered from a string.
const STRING: &str = "<string>";

/// The authors' sources, by template name.
#[derive(Clone, Copy)]
pub(crate) struct Authors<'a> {
    pub(crate) installation: &'a Installation,
    /// Source of the template that is rendered from a string.
    pub(crate) string: Option<(&'a str, &'a SourceMap)>,
}

impl<'a> Authors<'a> {
    pub(crate) fn of(installation: &'a Installation) -> Self {
        Self { installation, string: None }
    }

    /// Replaces an engine error that shows rewritten source; returns any other error unchanged. The
    /// engine does not allow the source and variables in an error to be changed, so a new error is
    /// built: its source shows the author's text, followed by the original source.
    pub(crate) fn words(self, error: Error) -> Error {
        let shows_ours = |error: &Error| error.display_debug_info().to_string().contains(OURS);
        let shown = with_causes(&error).any(shows_ours);
        match shown {
            true => self.again(&Arc::new(error), 0),
            false => error,
        }
    }

    /// Rebuilds the error at `depth` among the [causes](with_causes) of `root`.
    fn again(self, root: &Arc<Error>, depth: usize) -> Error {
        let error = with_causes(root).nth(depth).unwrap_or(root);
        let (kind, text) = (error.kind(), error.to_string());
        let detail = text.strip_prefix(&kind.to_string()).unwrap_or(&text);
        let detail = detail.strip_prefix(':').unwrap_or(detail).trim_start().to_owned();
        let next = match error.source() {
            Some(cause) if cause.is::<Error>() => Next::Again(self.again(root, depth + 1)),
            Some(_) => Next::Kept(Arc::clone(root), depth),
            None => Next::None,
        };
        // For a template without cache blocks the engine shows the original text.
        let shown = || Some(error.display_debug_info().to_string());
        let shown = || shown().filter(|shown| !shown.is_empty() && !shown.contains(OURS));
        let again = Error::new(kind, detail);
        match (self.excerpt(error).or_else(shown), next) {
            (Some(text), next) => again.with_source(Excerpt { text, next }),
            (None, Next::Again(cause)) => again.with_source(cause),
            (None, next @ Next::Kept(..)) => {
                again.with_source(Excerpt { text: "in Rust code".to_owned(), next })
            }
            (None, Next::None) => again,
        }
    }

    /// The place of an error and the line of the author's source.
    fn excerpt(self, error: &Error) -> Option<String> {
        let (template, line) = error.name().zip(error.line())?;
        if let Some((source, map)) = self.string.filter(|_| template == STRING) {
            return Some(excerpt(error, template, line, source, map));
        }
        self.installation.with_known(|known| {
            let written = known.get(template).filter(|written| !written.blocks.is_empty())?;
            Some(excerpt(error, template, line, &written.source, &written.map))
        })
    }
}

/// Parses rewritten source with the engine on behalf of a loader. The engine's own syntax error
/// would show the rewritten text.
pub(crate) fn check(
    authors: Authors<'_>,
    syntax: &SyntaxConfig,
    name: &str,
    lowered: &str,
) -> Result<(), Error> {
    let mut engine = Environment::empty();
    engine.set_syntax(syntax.clone());
    engine.template_from_named_str(name, lowered).map(drop).map_err(|error| authors.words(error))
}

/// The error and its causes, up to the first cause that is not an engine error.
fn with_causes(error: &Error) -> impl Iterator<Item = &Error> {
    fn cause<'e>(error: &&'e Error) -> Option<&'e Error> {
        let error: &'e Error = error;
        error.source()?.downcast_ref()
    }
    std::iter::successors(Some(error), cause)
}

/// The author's text, as the source of a rebuilt error.
struct Excerpt {
    text: String,
    next: Next,
}

enum Next {
    None,
    Again(Error),
    /// The source of the error at this depth among the [causes](with_causes), if it is not an
    /// engine error.
    Kept(Arc<Error>, usize),
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        // Like a derived `Debug`, this includes the source.
        self.source().map_or(Ok(()), |source| write!(f, "\n{source:?}"))
    }
}

impl std::error::Error for Excerpt {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.next {
            Next::None => None,
            Next::Again(error) => Some(error),
            Next::Kept(root, depth) => with_causes(root).nth(*depth)?.source(),
        }
    }
}

fn excerpt(error: &Error, template: &str, line: usize, source: &str, map: &SourceMap) -> String {
    let range = error.range().map(|range| map.original_range(range));
    let (line, column) = match range.filter(|range| range.end <= source.len()) {
        Some(range) => {
            let before = &source[..floor_char_boundary(source, range.start)];
            let start = before.rfind('\n').map_or(0, |newline| newline + 1);
            (before.matches('\n').count() + 1, Some(before[start..].chars().count()))
        }
        None => (line, None),
    };
    let text = source.lines().nth(line - 1).unwrap_or_default();
    let padding = " ".repeat(line.to_string().len());
    let place = column.map_or_else(String::new, |column| format!(":{}", column + 1));
    let mut out = format!(" --> {template}:{line}{place}\n{padding} |\n{line} | {text}");
    if let Some(column) = column {
        let indent: String =
            text.chars().take(column).map(|c| if c == '\t' { c } else { ' ' }).collect();
        out.push_str(&format!("\n{padding} | {indent}^"));
    }
    out
}

fn floor_char_boundary(text: &str, mut offset: usize) -> usize {
    offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
