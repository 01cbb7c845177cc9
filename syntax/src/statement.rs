//! Reads what a tag does, as far as pairing and the checks need it: it opens, closes, assigns or
//! leaves a loop. One table for both dialects; each tag is read by itself.

use std::ops::Range;

use crate::dialect::Rules;
use crate::opener::Opener;
use crate::scanner::Piece;
use crate::token::{Token, TokenKind, tokens};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Cache,
    EndCache,
    Open(Opener),
    Close(Opener),
    /// `else` and `elif`.
    Else,
    Extends,
    /// `break` and `continue`.
    Leave,
    /// A tag that no engine accepts. The engine reports it and stops there.
    Broken,
    Other,
}

/// A tag with its first word read.
#[derive(Debug, Clone)]
pub(super) struct Statement<'s> {
    pub(super) role: Role,
    pub(super) word: &'s str,
    /// What follows the first word.
    pub(super) rest: Range<usize>,
}

impl<'s> Statement<'s> {
    pub(super) fn read(source: &'s str, piece: &Piece, rules: &'static Rules) -> Self {
        let Some(first) = tokens(source, piece.inner.clone(), rules).next() else {
            return Self { role: Role::Other, word: "", rest: piece.inner.clone() };
        };
        let word = first.text(source);
        let rest = first.end..piece.inner.end;
        let role = match word {
            "cache" => Role::Cache,
            "endcache" => Role::EndCache,
            "else" | "elif" => Role::Else,
            "extends" => Role::Extends,
            "break" | "continue" => Role::Leave,
            "set" | "set_global" => match assigns_value(source, rest.clone(), rules) {
                true => Role::Other,
                false => Role::Open(Opener::Set),
            },
            "<" if rules.components => {
                match source[piece.inner.clone()].trim_end().ends_with("/>") {
                    true => Role::Broken,
                    false => Role::Open(Opener::ComponentCall),
                }
            }
            "</" if rules.components => Role::Close(Opener::ComponentCall),
            _ => rules
                .openers
                .iter()
                .find_map(|&opener| {
                    if word == opener.word() {
                        Some(Role::Open(opener))
                    } else if word == opener.closing_word() {
                        Some(Role::Close(opener))
                    } else {
                        None
                    }
                })
                .unwrap_or(Role::Other),
        };
        Self { role, word, rest }
    }

    /// The first word after the keyword, such as the name of a variable or a block.
    pub(super) fn name(&self, source: &'s str, rules: &'static Rules) -> Option<&'s str> {
        tokens(source, self.rest.clone(), rules)
            .next()
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| token.text(source))
    }
}

/// Whether a `set` assigns with `=` instead of capturing a body.
fn assigns_value(source: &str, rest: Range<usize>, rules: &'static Rules) -> bool {
    tokens(source, rest, rules)
        .map(|token| token.text(source))
        .find(|text| matches!(*text, "=" | "|"))
        == Some("=")
}

/// The text that follows each use of the variable `name` in a tag.
pub(super) fn uses_of<'s>(
    source: &'s str,
    list: &[Token],
    name: &str,
) -> impl Iterator<Item = &'s str> {
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let is_use = move |at: &usize| {
        let is_name = list[*at].kind == TokenKind::Word && text(*at) == name;
        is_name && !matches!(at.checked_sub(1).map_or("", text), "." | "?.")
    };
    (0..list.len()).filter(is_use).map(move |at| text(at + 1))
}

/// The uses of Tera's loop attributes in a tag: the range of all of `loop.index`, and the
/// attribute.
pub(super) fn loop_attributes<'s>(
    source: &'s str,
    list: &[Token],
) -> impl Iterator<Item = (Range<usize>, &'s str)> {
    const KNOWN: [&str; 5] = ["index", "index0", "first", "last", "length"];
    let mut before = "";
    let mut list = list.iter().peekable();
    std::iter::from_fn(move || {
        loop {
            let token = list.next()?;
            let text = token.text(source);
            let is_loop =
                text == "loop" && token.kind == TokenKind::Word && !matches!(before, "." | "?.");
            before = text;
            if is_loop && list.next_if(|next| matches!(next.text(source), "." | "?.")).is_some() {
                let attribute = list.next_if(|next| KNOWN.contains(&next.text(source)))?;
                before = attribute.text(source);
                return Some((token.start..attribute.end, before));
            }
        }
    })
}
