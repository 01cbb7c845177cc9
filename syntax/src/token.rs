//! Splits a tag into the tokens that the rewriter needs: words, strings, brackets, operators.
//! `scanner.rs` decides where a tag ends.

use std::ops::Range;

use crate::dialect::Rules;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or a number.
    Word,
    String,
    Open,
    Close,
    /// Anything else: an operator, a comma, a character that no engine knows.
    Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    pub(super) fn text<'s>(&self, source: &'s str) -> &'s str {
        &source[self.start..self.end]
    }
}

/// The token at `at`, which must be inside `source` and not on whitespace. `None` for an
/// unterminated string.
pub(super) fn token_at(source: &str, at: usize, rules: &'static Rules) -> Option<Token> {
    let rest = &source.as_bytes()[at..];
    let first = *rest.first()?;
    let (kind, len) = match first {
        b'"' | b'\'' => (TokenKind::String, string_len(rest, first)?),
        b'`' if rules.backtick_strings => (TokenKind::String, string_len(rest, first)?),
        b'(' | b'[' | b'{' => (TokenKind::Open, 1),
        b'?' if rules.optional_chaining && rest.get(1) == Some(&b'[') => (TokenKind::Open, 2),
        b')' | b']' | b'}' => (TokenKind::Close, 1),
        _ => match word_len(&source[at..], rules) {
            0 => (TokenKind::Operator, operator_len(&source[at..], rules)),
            len => (TokenKind::Word, len),
        },
    };
    Some(Token { kind, start: at, end: at + len })
}

/// All tokens of `range`, the content of a closed tag.
pub(super) fn tokens<'s>(
    source: &'s str,
    range: Range<usize>,
    rules: &'static Rules,
) -> impl Iterator<Item = Token> + 's {
    let mut at = range.start;
    let end = range.end;
    std::iter::from_fn(move || {
        at = skip_blank(source, at);
        if at >= end {
            return None;
        }
        let token = token_at(source, at, rules)?;
        at = token.end;
        Some(token)
    })
}

/// The tokens of a tag that start in `range`.
pub(super) fn within<'t>(list: &'t [Token], range: &Range<usize>) -> &'t [Token] {
    let first = list.partition_point(|token| token.start < range.start);
    let rest = &list[first..];
    &rest[..rest.partition_point(|token| token.start < range.end)]
}

/// The first offset at or after `at` that is not ASCII whitespace.
pub(super) fn skip_blank(source: &str, at: usize) -> usize {
    let rest = &source.as_bytes()[at..];
    at + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
}

fn string_len(rest: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        match *rest.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The bytes of ASCII names.
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        table[byte as usize] = byte == b'_' || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

fn word_len(rest: &str, rules: &'static Rules) -> usize {
    let in_name = |byte: u8| IN_NAME[usize::from(byte)];
    let len = rest.bytes().position(|byte| !in_name(byte)).unwrap_or(rest.len());
    match rest.as_bytes().get(len) {
        Some(next) if rules.unicode_names && !next.is_ascii() => {
            rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len())
        }
        _ => len,
    }
}

fn operator_len(rest: &str, rules: &'static Rules) -> usize {
    if rules.spread && rest.starts_with("...") {
        return 3;
    }
    match rest.as_bytes() {
        [b'/', b'/', ..] | [b'*', b'*', ..] | [b'=' | b'!' | b'>' | b'<', b'=', ..] => 2,
        [b'<', b'/', ..] if rules.components => 2,
        [b'?', b'.', ..] if rules.optional_chaining => 2,
        _ => rest.chars().next().map_or(1, char::len_utf8),
    }
}

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
