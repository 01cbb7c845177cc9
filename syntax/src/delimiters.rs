//! The delimiters, as configured in the engine. `scanner.rs` finds the delimiters
//! in a source.

use std::borrow::Cow;

use crate::dialect::{Dialect, Rules};
use crate::error::{Error, ErrorKind};

type Text = Cow<'static, str>;

/// The lexical rules of one engine as configured: its dialect, and the delimiters of its tags.
///
/// [`rewrite`](crate::rewrite) checks the rules when it uses them; [`validate`](Self::validate)
/// checks them earlier.
///
/// ```
/// use fragcache_syntax::{Syntax, rewrite};
///
/// let syntax = Syntax::minijinja().with_block_delimiters("<%", "%>");
/// let page = rewrite("page.html", "<% cache 300 %>Hello<% endcache %>", &syntax)?;
/// assert_eq!(page.blocks().len(), 1);
/// # Ok::<(), fragcache_syntax::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    dialect: Dialect,
    block: (Text, Text),
    variable: (Text, Text),
    comment: (Text, Text),
    line_statement: Option<Text>,
    line_comment: Option<Text>,
    lstrip_blocks: bool,
}

impl Syntax {
    /// The rules of MiniJinja in its default configuration.
    ///
    /// ```
    /// let syntax = fragcache_syntax::Syntax::minijinja();
    /// assert_eq!(syntax.block_delimiters(), ("{%", "%}"));
    /// ```
    pub fn minijinja() -> Self {
        Self::new(Dialect::MiniJinja)
    }

    /// The rules of Tera in its default configuration.
    ///
    /// ```
    /// let syntax = fragcache_syntax::Syntax::tera();
    /// assert_eq!(syntax.variable_delimiters(), ("{{", "}}"));
    /// ```
    pub fn tera() -> Self {
        Self::new(Dialect::Tera)
    }

    fn new(dialect: Dialect) -> Self {
        let pair = |start, end| (Cow::Borrowed(start), Cow::Borrowed(end));
        Self {
            dialect,
            block: pair("{%", "%}"),
            variable: pair("{{", "}}"),
            comment: pair("{#", "#}"),
            line_statement: None,
            line_comment: None,
            lstrip_blocks: false,
        }
    }

    /// Sets the delimiters of statements.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// let syntax = Syntax::tera().with_block_delimiters("<%", "%>");
    /// assert_eq!(syntax.block_delimiters(), ("<%", "%>"));
    /// ```
    #[must_use]
    pub fn with_block_delimiters(mut self, start: impl Into<Text>, end: impl Into<Text>) -> Self {
        self.block = (start.into(), end.into());
        self
    }

    /// Sets the delimiters of printed expressions.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// let syntax = Syntax::minijinja().with_variable_delimiters("${", "}");
    /// assert_eq!(syntax.variable_delimiters(), ("${", "}"));
    /// ```
    #[must_use]
    pub fn with_variable_delimiters(
        mut self,
        start: impl Into<Text>,
        end: impl Into<Text>,
    ) -> Self {
        self.variable = (start.into(), end.into());
        self
    }

    /// Sets the delimiters of comments.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// let syntax = Syntax::tera().with_comment_delimiters("<#", "#>");
    /// assert_eq!(syntax.comment_delimiters(), ("<#", "#>"));
    /// ```
    #[must_use]
    pub fn with_comment_delimiters(mut self, start: impl Into<Text>, end: impl Into<Text>) -> Self {
        self.comment = (start.into(), end.into());
        self
    }

    /// Sets the prefix that makes a line a statement. `None` or `""` disables line statements.
    ///
    /// MiniJinja only: Tera has no line statements, and [`validate`](Self::validate) refuses them.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// let syntax = Syntax::minijinja().with_line_statement_prefix(Some("#"));
    /// assert_eq!(syntax.line_statement_prefix(), Some("#"));
    /// ```
    #[must_use]
    pub fn with_line_statement_prefix<T: Into<Text>>(mut self, prefix: Option<T>) -> Self {
        self.line_statement = prefix.map(Into::into).filter(|prefix| !prefix.is_empty());
        self
    }

    /// Sets the prefix that starts a comment to the end of its line. `None` or `""` disables such
    /// comments.
    ///
    /// MiniJinja only, like [`with_line_statement_prefix`](Self::with_line_statement_prefix).
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// let syntax = Syntax::minijinja().with_line_comment_prefix(Some("##"));
    /// assert_eq!(syntax.line_comment_prefix(), Some("##"));
    /// ```
    #[must_use]
    pub fn with_line_comment_prefix<T: Into<Text>>(mut self, prefix: Option<T>) -> Self {
        self.line_comment = prefix.map(Into::into).filter(|prefix| !prefix.is_empty());
        self
    }

    /// Sets whether the engine strips blanks before a block tag (`lstrip_blocks`).
    ///
    /// This affects one case only: a tag at the start of the line after a `cache` line statement.
    /// The rewriter needs none of MiniJinja's other whitespace settings.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// assert!(Syntax::minijinja().with_lstrip_blocks(true).lstrip_blocks());
    /// ```
    #[must_use]
    pub fn with_lstrip_blocks(mut self, yes: bool) -> Self {
        self.lstrip_blocks = yes;
        self
    }

    /// The dialect.
    ///
    /// ```
    /// # use fragcache_syntax::{Dialect, Syntax};
    /// assert_eq!(Syntax::minijinja().dialect(), Dialect::MiniJinja);
    /// ```
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The facts of the dialect.
    pub(crate) fn rules(&self) -> &'static Rules {
        self.dialect.rules()
    }

    /// The delimiters of statements.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// assert_eq!(Syntax::tera().block_delimiters(), ("{%", "%}"));
    /// ```
    pub fn block_delimiters(&self) -> (&str, &str) {
        (&self.block.0, &self.block.1)
    }

    /// The delimiters of printed expressions.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// assert_eq!(Syntax::tera().variable_delimiters(), ("{{", "}}"));
    /// ```
    pub fn variable_delimiters(&self) -> (&str, &str) {
        (&self.variable.0, &self.variable.1)
    }

    /// The delimiters of comments.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// assert_eq!(Syntax::tera().comment_delimiters(), ("{#", "#}"));
    /// ```
    pub fn comment_delimiters(&self) -> (&str, &str) {
        (&self.comment.0, &self.comment.1)
    }

    /// The prefix of line statements, if it is set.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// assert_eq!(Syntax::minijinja().line_statement_prefix(), None);
    /// ```
    pub fn line_statement_prefix(&self) -> Option<&str> {
        self.line_statement.as_deref()
    }

    /// The prefix of line comments, if it is set.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// assert_eq!(Syntax::minijinja().line_comment_prefix(), None);
    /// ```
    pub fn line_comment_prefix(&self) -> Option<&str> {
        self.line_comment.as_deref()
    }

    /// Whether the engine strips blanks before a block tag.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// assert!(!Syntax::minijinja().lstrip_blocks());
    /// ```
    pub fn lstrip_blocks(&self) -> bool {
        self.lstrip_blocks
    }

    /// Checks that the engine accepts these delimiters.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Config`] for an empty delimiter, for two kinds of tags that start
    /// alike, and in Tera for a delimiter that is not two bytes long and for line prefixes.
    ///
    /// ```
    /// # use fragcache_syntax::Syntax;
    /// assert!(Syntax::minijinja().validate().is_ok());
    /// let error = Syntax::tera().with_block_delimiters("<<%", "%>>").validate().unwrap_err();
    /// assert_eq!(error.kind(), fragcache_syntax::ErrorKind::Config);
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        let rules = self.rules();
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        let pairs =
            [("block", &self.block), ("variable", &self.variable), ("comment", &self.comment)];
        for (what, (start, end)) in pairs {
            for (side, marker) in [("start", start), ("end", end)] {
                if marker.is_empty() {
                    return refuse(format!("the {what} {side} delimiter is empty: give it a text"));
                }
                if let Some(len) = rules.delimiter_len.filter(|len| *len != marker.len()) {
                    return refuse(format!(
                        "the {what} {side} delimiter `{}` is {} bytes long: {} takes exactly {len}",
                        marker.escape_debug(),
                        marker.len(),
                        rules.engine,
                    ));
                }
            }
        }
        let has_line_prefix = self.line_statement.is_some() || self.line_comment.is_some();
        if !rules.line_prefixes && has_line_prefix {
            return refuse(format!(
                "{} has no line statements or line comments: leave their prefixes unset",
                rules.engine
            ));
        }
        let mut seen: Vec<(&str, &str)> = Vec::with_capacity(5);
        let lines =
            [("line statement", &self.line_statement), ("line comment", &self.line_comment)];
        let starts = pairs
            .into_iter()
            .map(|(what, pair)| (what, &*pair.0))
            .chain(lines.into_iter().filter_map(|(what, text)| Some((what, text.as_deref()?))));
        for (what, start) in starts {
            if let Some((other, _)) = seen.iter().find(|(_, text)| *text == start) {
                return refuse(format!(
                    "{other} and {what} both start with `{}`: make them differ",
                    start.escape_debug(),
                ));
            }
            seen.push((what, start));
        }
        Ok(())
    }

    /// Formats a tag with the author's delimiters, for messages.
    pub(super) fn tag(&self, content: &str) -> String {
        format!("{} {content} {}", self.block.0, self.block.1)
    }
}
