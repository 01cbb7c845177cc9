//! Builds errors with their place in the author's file.

use crate::error::{Error, ErrorKind};

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

const BOM: char = '\u{feff}';

/// Walks through a source once, for increasing offsets.
#[derive(Debug)]
pub(super) struct Places<'s> {
    source: &'s str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'s> Places<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        // Editors do not show a byte order mark, so it takes no column.
        let at = if source.starts_with(BOM) { BOM.len_utf8() } else { 0 };
        Self { source, at, line: 1, column: 1 }
    }

    /// Line and column of `offset`, which must be a character boundary not before the previous
    /// offset.
    pub(super) fn of(&mut self, offset: usize) -> (u32, u32) {
        let mut passed = self.source.get(self.at..offset).unwrap_or_default();
        if let Some(newline) = memchr::memrchr(b'\n', passed.as_bytes()) {
            let lines = memchr::memchr_iter(b'\n', passed.as_bytes()).count();
            self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            self.column = 1;
            passed = &passed[newline + 1..];
        }
        let columns = u32::try_from(passed.chars().count()).unwrap_or(u32::MAX);
        self.column = self.column.saturating_add(columns);
        self.at = self.at.max(offset);
        (self.line, self.column)
    }
}
