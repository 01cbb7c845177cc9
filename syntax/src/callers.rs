//! Detects MiniJinja sources that pass on the content of a `call` block as a value. The engine
//! extension handles such sources when they render.

use std::ops::Range;

use crate::delimiters::Syntax;
use crate::dialect::Rules;
use crate::scanner::{PieceKind, Scanner};
use crate::token::{Token, TokenKind, tokens};

/// Whether a MiniJinja source passes on the content of a `call` block as a value, instead of only
/// calling it or testing whether it exists.
///
/// ```
/// use fragcache_syntax::{Syntax, hands_on_caller};
///
/// let syntax = Syntax::minijinja();
/// assert!(hands_on_caller("{% macro m() %}{{ list(caller) }}{% endmacro %}", &syntax));
/// assert!(!hands_on_caller("{% macro m() %}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}", &syntax));
/// ```
pub fn hands_on_caller(source: &str, syntax: &Syntax) -> bool {
    if memchr::memmem::find(source.as_bytes(), b"caller").is_none() || syntax.validate().is_err() {
        return false;
    }
    Scanner::new(source, syntax).any(|piece| {
        let is_tag =
            matches!(piece.kind, PieceKind::Variable | PieceKind::Block | PieceKind::LineStatement);
        is_tag && piece.closed && passes_on(source, piece.inner, syntax.rules())
    })
}

fn passes_on(source: &str, tag: Range<usize>, rules: &'static Rules) -> bool {
    let list: Vec<Token> = tokens(source, tag, rules).collect();
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let is_test = matches!(text(0), "if" | "elif");
    let mut depth = 0_usize;
    list.iter().enumerate().any(|(at, token)| {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        let before = at.checked_sub(1).map_or("", text);
        let is_other = text(at) != "caller" || matches!(before, "." | "|" | "if");
        let is_used_up = matches!(text(at + 1), "(" | "=" | "is") || (is_test && depth == 0);
        token.kind == TokenKind::Word && !is_other && !is_used_up
    })
}
