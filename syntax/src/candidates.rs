//! Decides with a fast search which sources are read. The others go to the engine as they are.

use crate::rules::{Dialect, Syntax};
use crate::scanner::{PieceKind, Scanner};

/// Whether a template may have cache blocks, or pass values to those of other templates.
pub(super) fn is_candidate(source: &str, syntax: &Syntax) -> bool {
    let has_word = memchr::memmem::find(source.as_bytes(), b"cache").is_some();
    has_word || may_hand_on(source, syntax)
}

/// Whether a template without cache blocks may pass output to a cache block of another template,
/// judged by the words in its source.
fn may_hand_on(source: &str, syntax: &Syntax) -> bool {
    let holds = |word: &str| memchr::memmem::find(source.as_bytes(), word.as_bytes()).is_some();
    let any = |words: &[&str]| words.iter().any(|word| holds(word));
    match syntax.dialect() {
        Dialect::MiniJinja => any(&["import", "macro", "extends", "super", "self", "include"]),
        Dialect::Tera => {
            any(&["component", "include"])
                || (holds("extends") && holds("set"))
                || uses_component(source, syntax)
        }
    }
}

/// Tera: whether a tag may use a component, which looks like an HTML element.
fn uses_component(source: &str, syntax: &Syntax) -> bool {
    Scanner::new(source, syntax).any(|piece| {
        let is_tag = matches!(piece.kind, PieceKind::Variable | PieceKind::Block);
        is_tag && source[piece.inner].contains('<')
    })
}

/// Whether an iteration of a loop may pass values to the next: by a namespace, or by Tera's
/// `set_global`.
pub(super) fn loops_carry(source: &str, dialect: Dialect) -> bool {
    let find = |word: &'static str| memchr::memmem::find_iter(source.as_bytes(), word.as_bytes());
    match dialect {
        Dialect::Tera => find("set_global").next().is_some(),
        Dialect::MiniJinja => find("set").any(|at| {
            let targets = source[at..].split(['=', '%', '|', '}']).next();
            targets.is_some_and(|targets| targets.contains('.'))
        }),
    }
}

/// Whether blocks may be rendered elsewhere than where they stand, before an `extends` is read:
/// MiniJinja accepts one after them.
pub(super) fn may_move_blocks(source: &str, dialect: Dialect) -> bool {
    let holds = |word: &str| memchr::memmem::find(source.as_bytes(), word.as_bytes()).is_some();
    dialect == Dialect::MiniJinja && (holds("self") || holds("extends"))
}
