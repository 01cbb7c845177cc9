//! Converts byte offsets to lines and columns: one-based, columns in characters.

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
