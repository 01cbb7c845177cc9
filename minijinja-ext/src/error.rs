//! Our errors as MiniJinja's, and MiniJinja's errors against the author's source.

use std::error::Error as _;

use minijinja::{Environment, Error, ErrorKind};

use crate::install::Installation;
use crate::known::Template;

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
/// of the rewritten text. Errors in templates without cache blocks, or that did not come through
/// this crate, keep the engine's text. The engine notes columns in debug mode only
/// ([`Environment::set_debug`]).
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
    let mut out = explain_one(env, error);
    // An error in an included template is the source of the error that the include makes.
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<Error>() {
            out.push_str("\ncaused by: ");
            out.push_str(&explain_one(env, error));
        }
        source = cause.source();
    }
    out
}

fn explain_one(env: &Environment<'_>, error: &Error) -> String {
    let shown = error.name().zip(error.line()).and_then(|(template, line)| {
        Installation::of(env)?.with_known(|known| {
            let written = known.get(template).filter(|written| !written.blocks.is_empty())?;
            Some(show(error, template, line, written))
        })
    });
    shown.unwrap_or_else(|| error.to_string())
}

fn show(error: &Error, template: &str, line: usize, written: &Template) -> String {
    let source = &*written.source;
    let range = error.range().map(|range| written.map.original_range(range));
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
    let mut out = format!("{error}\n --> {template}:{line}{place}\n{padding} |\n{line} | {text}");
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
