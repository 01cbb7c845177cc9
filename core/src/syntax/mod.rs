//! The rewriter: cache blocks in an author's template, lowered to what the engine already has.
//! Knows delimiters and lexical rules, and nothing of stores or renders.

use std::borrow::Cow;

pub(crate) mod site;

use crate::error::Error;

/// Whose template language a source is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// MiniJinja 3.
    MiniJinja,
    /// Tera 2.
    Tera,
}

/// The lexical rules of one engine as configured: its dialect, delimiters and whitespace switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    pub(crate) dialect: Dialect,
    pub(crate) block: (Cow<'static, str>, Cow<'static, str>),
    pub(crate) variable: (Cow<'static, str>, Cow<'static, str>),
    pub(crate) comment: (Cow<'static, str>, Cow<'static, str>),
    pub(crate) line_statement: Option<Cow<'static, str>>,
    pub(crate) line_comment: Option<Cow<'static, str>>,
}

/// A source after [`rewrite`]: what the engine parses, and what was found on the way.
#[derive(Debug, Clone)]
pub struct Rewritten<'s> {
    source: Cow<'s, str>,
}

/// Lowers every cache block of `source`.
///
/// # Errors
/// …
pub fn rewrite<'s>(
    template: &str,
    source: &'s str,
    syntax: &Syntax,
) -> Result<Rewritten<'s>, Error> {
    let _ = (template, syntax);
    Ok(Rewritten { source: Cow::Borrowed(source) })
}
