//! How a refusal is put: the place in the author's file, and texts that several checks share.

use crate::error::{Error, ErrorKind};

use super::place::Places;

/// Makes errors that speak of one template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    pub(super) template: &'a str,
    pub(super) source: &'a str,
}

impl Refusal<'_> {
    /// An error about what stands at `offset`.
    pub(super) fn at(&self, offset: usize, message: String) -> Error {
        let (line, column) = Places::new(self.source).of(offset);
        Error::new(ErrorKind::Syntax, message).at(self.template, line, column)
    }

    /// The place of `offset`, for use inside a message.
    pub(super) fn place(&self, offset: usize) -> String {
        let (line, column) = Places::new(self.source).of(offset);
        format!("line {line}, column {column}")
    }
}
