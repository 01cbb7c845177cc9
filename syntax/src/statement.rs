//! Reads what a tag does, as far as pairing and the checks need it: it opens, closes, assigns or
//! leaves a loop. One table for both dialects; each tag is read by itself.

use std::ops::Range;

use crate::rules::Dialect;
use crate::scanner::Piece;
use crate::token::{Token, TokenKind, tokens};

/// A statement with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    For,
    If,
    With,
    Set,
    Autoescape,
    Filter,
    Block,
    Macro,
    Call,
    /// Tera's `{% component … %}`.
    Component,
    /// Tera's `{% <card> %}`.
    ComponentCall,
}

impl Opener {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::For => "for",
            Self::If => "if",
            Self::With => "with",
            Self::Set => "set",
            Self::Autoescape => "autoescape",
            Self::Filter => "filter",
            Self::Block => "block",
            Self::Macro => "macro",
            Self::Call => "call",
            Self::Component => "component",
            Self::ComponentCall => "<…>",
        }
    }

    pub(super) fn closing_word(self) -> &'static str {
        match self {
            Self::For => "endfor",
            Self::If => "endif",
            Self::With => "endwith",
            Self::Set => "endset",
            Self::Autoescape => "endautoescape",
            Self::Filter => "endfilter",
            Self::Block => "endblock",
            Self::Macro => "endmacro",
            Self::Call => "endcall",
            Self::Component => "endcomponent",
            Self::ComponentCall => "</…>",
        }
    }

    const ALL: [Self; 11] = [
        Self::For,
        Self::If,
        Self::With,
        Self::Set,
        Self::Autoescape,
        Self::Filter,
        Self::Block,
        Self::Macro,
        Self::Call,
        Self::Component,
        Self::ComponentCall,
    ];

    /// Whether the body is rendered by itself, so that a loop around it is not a loop for the
    /// content.
    pub(super) fn renders_by_itself(self) -> bool {
        matches!(
            self,
            Self::Block | Self::Macro | Self::Call | Self::Component | Self::ComponentCall
        )
    }

    /// Whether MiniJinja leaves the section open when `break` or `continue` leaves it: the output
    /// that follows is lost or escaped as in the section, or the render panics. Tera refuses such a
    /// template.
    pub(super) fn stays_open(self) -> bool {
        matches!(self, Self::Filter | Self::Set | Self::Autoescape | Self::With)
    }

    fn exists_in(self, dialect: Dialect) -> bool {
        match self {
            Self::With | Self::Autoescape | Self::Macro | Self::Call => {
                dialect == Dialect::MiniJinja
            }
            Self::Component | Self::ComponentCall => dialect == Dialect::Tera,
            _ => true,
        }
    }
}

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
    pub(super) fn read(source: &'s str, piece: &Piece, dialect: Dialect) -> Self {
        let Some(first) = tokens(source, piece.inner.clone(), dialect).next() else {
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
            "set" | "set_global" => match assigns_value(source, rest.clone(), dialect) {
                true => Role::Other,
                false => Role::Open(Opener::Set),
            },
            "<" if dialect == Dialect::Tera => {
                match source[piece.inner.clone()].trim_end().ends_with("/>") {
                    true => Role::Broken,
                    false => Role::Open(Opener::ComponentCall),
                }
            }
            "</" if dialect == Dialect::Tera => Role::Close(Opener::ComponentCall),
            _ => Opener::ALL
                .into_iter()
                .filter(|opener| opener.exists_in(dialect))
                .find_map(|opener| {
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
    pub(super) fn name(&self, source: &'s str, dialect: Dialect) -> Option<&'s str> {
        tokens(source, self.rest.clone(), dialect)
            .next()
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| token.text(source))
    }
}

/// Whether a `set` assigns with `=` instead of capturing a body.
fn assigns_value(source: &str, rest: Range<usize>, dialect: Dialect) -> bool {
    tokens(source, rest, dialect)
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
