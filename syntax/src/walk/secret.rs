//! Finds names in cached bodies that look like a visitor's secret. `warning.rs` builds the
//! warnings.

use std::ops::Range;

use super::nesting::{FrameKind, Walk};
use crate::arguments::Arguments;
use crate::dialect::Rules;
use crate::name::Name;
use crate::options::BlockOption;
use crate::outline::Secret;
use crate::token::{Token, TokenKind, tokens};

/// Secret words, anywhere in a name.
const WORDS: [&str; 3] = ["csrf", "xsrf", "nonce"];

/// Parts that make a name secret even in the middle of a word; in lower case.
const PARTS: [&str; 6] = [
    "csrf_token",
    "csrftoken",
    "xsrftoken",
    "csrfmiddlewaretoken",
    "authenticity_token",
    "authenticitytoken",
];

/// Records the secrets in `range`, an expression or statement.
pub(super) fn note(walk: &mut Walk<'_, '_>, range: Range<usize>) {
    if walk.caches == 0 {
        return;
    }
    for (at, name) in names(walk.source, range, walk.rules()) {
        let lacking = walk.stack.iter().find_map(|frame| match frame.kind {
            FrameKind::Cache(index) => {
                let block = walk.outline.blocks.get(index)?;
                block.secrets.binary_search(&name).is_err().then_some(index)
            }
            FrameKind::Native(_) => None,
        });
        if let Some(block) = lacking
            && walk.warned.insert((block, Name(name)))
        {
            walk.outline.secrets.push(Secret { at, name, block });
        }
    }
}

/// The secrets that a block varies on, sorted: those in its name, its vary parts and its version.
pub(super) fn varied_on<'s>(
    source: &'s str,
    arguments: &Arguments,
    rules: &'static Rules,
) -> Vec<&'s str> {
    let parts = arguments.positional.iter().skip(1).chain(arguments.value_of(BlockOption::Version));
    let names = parts.flat_map(|part| names(source, part.clone(), rules));
    let mut found: Vec<_> = names.map(|(_, name)| name).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The names of secrets in `range`, with their offsets.
fn names<'s>(source: &'s str, range: Range<usize>, rules: &'static Rules) -> Vec<(usize, &'s str)> {
    if !may_hold_one(&source.as_bytes()[range.clone()]) {
        return Vec::new();
    }
    let list: Vec<Token> = tokens(source, range, rules).collect();
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    // At the top level of these statements, `=` assigns a variable; elsewhere it sets a keyword
    // argument.
    let assigns = matches!(text(0), "set" | "set_global" | "with");
    let mut depth = 0_usize;
    let mut out = Vec::new();
    for (at, token) in list.iter().enumerate() {
        let name = match token.kind {
            TokenKind::Open => {
                depth += 1;
                continue;
            }
            TokenKind::Close => {
                depth = depth.saturating_sub(1);
                continue;
            }
            TokenKind::Operator => continue,
            TokenKind::Word => text(at),
            TokenKind::String => {
                let before = at.checked_sub(2).and_then(|before| list.get(before));
                let is_meant = match text(at.wrapping_sub(1)) {
                    "?[" => text(at + 1) == "]",
                    "[" => text(at + 1) == "]" && before.is_some_and(|it| is_value(it, source)),
                    "=" => {
                        let keyword = before.is_some_and(|it| it.kind == TokenKind::Word);
                        keyword && (depth > 0 || !assigns) && ends_value(list.get(at + 1), source)
                    }
                    _ => false,
                };
                let quoted = text(at);
                match quoted.get(1..quoted.len().saturating_sub(1)) {
                    Some(name) if is_meant && is_one_name(name) => name,
                    _ => continue,
                }
            }
        };
        if is_secret(name) {
            let quote = usize::from(token.kind == TokenKind::String);
            out.push((token.start + quote, name));
        }
    }
    out
}

/// A cheap scan that rules out most tags before they are split into tokens.
fn may_hold_one(text: &[u8]) -> bool {
    let ends = |at: usize, with: &[u8]| {
        at.checked_sub(with.len()).is_some_and(|start| text[start..at].eq_ignore_ascii_case(with))
    };
    text.iter().enumerate().any(|(at, byte)| match byte {
        b'f' | b'F' => ends(at, b"sr"),
        b'c' | b'C' => ends(at, b"non") || ends(at, b"authenti"),
        _ => false,
    })
}

/// Whether a `[` after `token` is a subscript and does not open a list.
fn is_value(token: &Token, source: &str) -> bool {
    const BEFORE_A_LIST: [&str; 12] = [
        "in", "not", "and", "or", "is", "if", "elif", "else", "include", "import", "extends",
        "from",
    ];
    match token.kind {
        TokenKind::Word => !BEFORE_A_LIST.contains(&token.text(source)),
        TokenKind::String | TokenKind::Close => true,
        TokenKind::Open | TokenKind::Operator => false,
    }
}

/// Whether the value of a keyword argument ends before `next`.
fn ends_value(next: Option<&Token>, source: &str) -> bool {
    next.is_none_or(|next| match next.kind {
        // The next attribute of a component.
        TokenKind::Word => true,
        _ => matches!(next.text(source), "," | ")" | "/" | ">"),
    })
}

fn is_one_name(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn is_secret(name: &str) -> bool {
    if !may_hold_one(name.as_bytes()) {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part))
        || name
            .split(['_', '-', '.'])
            .flat_map(camel_words)
            .any(|word| WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)))
}

/// Splits `cspNonce` and `CSPNonce` into words.
fn camel_words(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let starts_word = |at: usize| {
        let upper = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_uppercase);
        let lower = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_lowercase);
        upper(at) && (!upper(at - 1) || lower(at + 1))
    };
    let cuts: Vec<usize> = (1..bytes.len()).filter(|&at| starts_word(at)).collect();
    let starts = std::iter::once(0).chain(cuts.clone());
    let ends = cuts.into_iter().chain(std::iter::once(text.len()));
    starts.zip(ends).filter_map(|(start, end)| text.get(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_parts_distinguish_secrets_from_other_names() {
        for name in [
            "csrf",
            "CSRF",
            "csrf_token",
            "csrfToken",
            "csrftoken",
            "XSRF-TOKEN",
            "X-CSRF-Token",
            "CSRFToken",
            "mycsrf_token",
            "csrfmiddlewaretoken",
            "authenticity_token",
            "authenticityToken",
            "nonce",
            "csp_nonce",
            "cspNonce",
            "CSPNonce",
            "script.nonce",
            "wp_nonce_field",
            "éNonce",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "",
            "announce",
            "pronounce",
            "nonces",
            "nonces_table",
            "announceNonces",
            "token",
            "authenticity",
            "nonsense",
            "surf",
            "csr",
            "nonceless",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
