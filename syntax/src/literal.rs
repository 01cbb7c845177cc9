//! Evaluates string literals in tags. No other expression is evaluated.

use std::ops::Range;

/// The value of the literal that fills `range`. `None` for any other expression, and for a literal
/// with other escapes than simple ones.
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
            // Two literals with other text between them.
            c if c == quote => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
