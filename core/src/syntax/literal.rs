//! The value of a string literal in a tag. Nothing else is ever evaluated here.

use std::ops::Range;

/// The value of the literal that fills `range`; `None` for any other expression, and for escapes
/// that are not plain ones.
pub(super) fn string_value(source: &str, range: &Range<usize>) -> Option<String> {
    let text = source.get(range.clone())?;
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(match chars.next()? {
                c @ ('"' | '\'' | '/' | '\\') => c,
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                _ => return None,
            }),
            // Two literals with something in between.
            c if c == quote => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
