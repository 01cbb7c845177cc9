//! Our errors as MiniJinja's, and MiniJinja's errors against the author's source.

use std::fmt;

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

/// An engine's error, placed in the template as its author wrote it.
///
/// MiniJinja's own line numbers are the author's already. Its columns and its quoted source speak
/// of the rewritten text; this is the same error with both put right. `Display` shows the message
/// and the line with a marker under the place.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The engine's message.
    pub message: String,
    /// The template's name.
    pub template: String,
    /// One-based line.
    pub line: usize,
    /// One-based column in characters; `None` if the engine gave no range.
    pub column: Option<usize>,
    /// The author's line.
    pub text: String,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message)?;
        write!(f, "  --> {}:{}", self.template, self.line)?;
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        let number = self.line.to_string();
        write!(f, "\n{} |\n{number} | {}", " ".repeat(number.len()), self.text)?;
        if let Some(column) = self.column {
            let pad: String = self
                .text
                .chars()
                .take(column - 1)
                .map(|c| if c == '\t' { c } else { ' ' })
                .collect();
            write!(f, "\n{} | {pad}^", " ".repeat(number.len()))?;
        }
        Ok(())
    }
}

/// Shows an error of the engine against the author's source, for templates that hold cache blocks
/// and were loaded through this crate. `None` for other templates: there the engine's own report
/// is right.
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
/// let shown = fragcache_minijinja::explain(&env, &error).unwrap();
/// assert_eq!((shown.line, shown.column), (1, Some(22)));
/// assert_eq!(shown.text, "{% cache 9, 'x' %}{{ nope() }}{% endcache %}");
/// # Ok::<(), minijinja::Error>(())
/// ```
pub fn explain(env: &Environment<'_>, error: &Error) -> Option<Explained> {
    let template = error.name()?;
    let line = error.line()?;
    let installation = Installation::of(env)?;
    installation.with_loaded(template, |loaded| {
        let range = error.range().map(|range| loaded.map.original_range(range));
        let offset = range.filter(|range| range.end <= loaded.source.len()).map(|r| r.start);
        let (line, column) = match offset {
            Some(offset) => {
                let before = &loaded.source[..floor_char_boundary(&loaded.source, offset)];
                let start = before.rfind('\n').map_or(0, |newline| newline + 1);
                let line = before.matches('\n').count() + 1;
                (line, Some(before[start..].chars().count() + 1))
            }
            None => (line, None),
        };
        Explained {
            message: error.to_string(),
            template: template.to_owned(),
            line,
            column,
            text: loaded.source.lines().nth(line - 1).unwrap_or_default().to_owned(),
        }
    })
}

fn floor_char_boundary(text: &str, mut offset: usize) -> usize {
    offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
