//! Our errors as MiniJinja's, and MiniJinja's errors against the author's source.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use fragcache::syntax::SourceMap;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind};

use crate::install::Installation;

/// Our error as the engine's, with ours as its source. The engine adds the place.
pub(crate) fn to_engine(error: fragcache::Error, kind: ErrorKind) -> Error {
    Error::new(kind, error.message().to_owned()).with_source(error)
}

/// A refusal while a template loads: nobody adds the place, so it is in the text.
pub(crate) fn refusal(error: fragcache::Error) -> Error {
    Error::new(ErrorKind::SyntaxError, error.to_string()).with_source(error)
}

/// The text of an error of this environment, shown against the source that the author wrote.
///
/// MiniJinja's own line numbers are the author's already; its columns and its quoted source speak
/// of the rewritten text, and so does its debug info ([`Environment::set_debug`]). Errors in templates
/// without cache blocks, or that did not come through this crate, keep the engine's text. Those of this
/// crate's own functions and loaders show the author's source already, as their
/// [`source`](std::error::Error::source).
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
    // An error in an included template is the source of the error that the include makes.
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

/// The start of all names that only the rewriter writes.
const OURS: &str = "__fragcache";

/// What the engine calls a template that is rendered from a string.
const STRING: &str = "<string>";

/// The sources that the authors wrote, by the names that the engine has.
#[derive(Clone, Copy)]
pub(crate) struct Authors<'a> {
    pub(crate) installation: &'a Installation,
    /// The template that is rendered from a string.
    pub(crate) string: Option<(&'a str, &'a SourceMap)>,
}

impl<'a> Authors<'a> {
    pub(crate) fn of(installation: &'a Installation) -> Self {
        Self { installation, string: None }
    }

    /// An error of the engine's, itself where it shows nothing rewritten. The engine keeps the rewritten
    /// source and its variables in an error for good: one that shows them is made again, with what the
    /// author wrote as its source, and after it what was the source before.
    pub(crate) fn words(self, error: Error) -> Error {
        let shows_ours = |error: &Error| error.display_debug_info().to_string().contains(OURS);
        let shown = with_causes(&error).any(shows_ours);
        match shown {
            true => self.again(&Arc::new(error), 0),
            false => error,
        }
    }

    /// Makes the error again that is so deep among the [causes](with_causes) of another.
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
        // Of a template without cache blocks the engine shows what was written.
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

    /// The place of an error, and the line of the author's source.
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

/// Has the engine read what was rewritten, for a loader: the engine's own error would show it.
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

/// An error with those of the engine's that are its causes, until one is another's.
fn with_causes(error: &Error) -> impl Iterator<Item = &Error> {
    fn cause<'e>(error: &&'e Error) -> Option<&'e Error> {
        let error: &'e Error = error;
        error.source()?.downcast_ref()
    }
    std::iter::successors(Some(error), cause)
}

/// What the author wrote, as the source of an error that was made again.
struct Excerpt {
    text: String,
    next: Next,
}

enum Next {
    None,
    Again(Error),
    /// Another's error: the source of the one that is so deep among these [causes](with_causes).
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
        // As what derives it shows its source.
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
