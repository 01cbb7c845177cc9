//! Builds errors with their place in the author's file.

use crate::error::{Error, ErrorKind};

use crate::place::Places;

/// Builds errors about one template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    pub(super) template: &'a str,
    pub(super) source: &'a str,
}

impl Refusal<'_> {
    /// An error at `offset`.
    pub(super) fn at(&self, offset: usize, message: String) -> Error {
        let (line, column) = Places::new(self.source).of(offset);
        Error::new(ErrorKind::Syntax, message).at(self.template, line, column)
    }

    /// The line and column of `offset`, for use inside a message.
    pub(super) fn place(&self, offset: usize) -> String {
        let (line, column) = Places::new(self.source).of(offset);
        format!("line {line}, column {column}")
    }
}

/// Returns the first 40 characters of an author's text, on one line.
pub(super) fn excerpt(text: &str) -> String {
    let mut out: String =
        text.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(40).is_some() {
        out.push('…');
    }
    out
}
