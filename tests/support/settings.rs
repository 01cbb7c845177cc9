//! A story's settings of its engine.

use serde::Deserialize;

/// Missing settings have the engine's defaults.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) block_start: Option<String>,
    pub(crate) block_end: Option<String>,
    pub(crate) variable_start: Option<String>,
    pub(crate) variable_end: Option<String>,
    pub(crate) comment_start: Option<String>,
    pub(crate) comment_end: Option<String>,
    pub(crate) line_statement_prefix: Option<String>,
    pub(crate) line_comment_prefix: Option<String>,
    pub(crate) trim_blocks: bool,
    pub(crate) lstrip_blocks: bool,
    pub(crate) keep_trailing_newline: bool,
    /// `lenient`, `chainable`, `semi_strict` or `strict`; MiniJinja.
    pub(crate) undefined: Option<String>,
    /// Whether a custom formatter is set: `.tex` templates escape `&` as `\&`, and in all others
    /// `none` prints nothing. MiniJinja.
    pub(crate) formatter: bool,
    /// An escape function that doubles `&`; Tera.
    pub(crate) escape_fn: bool,
    /// Suffixes of names that are escaped; Tera.
    pub(crate) autoescape_on: Option<Vec<String>>,
    /// Whether strings are rendered as HTML; Tera.
    pub(crate) strings_escape: bool,
}
