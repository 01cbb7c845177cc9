//! Decides with a fast search which sources are read. The others go to the engine as they are.

use crate::delimiters::Syntax;
use crate::dialect::Rules;
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
    let rules = syntax.rules();
    let holds_all = |words: &&[&str]| words.iter().all(|word| holds(word));
    rules.hand_on.iter().any(holds_all) || (rules.components && uses_component(source, syntax))
}

/// Whether a tag may use a component, which looks like an HTML element.
fn uses_component(source: &str, syntax: &Syntax) -> bool {
    Scanner::new(source, syntax).any(|piece| {
        let is_tag = matches!(piece.kind, PieceKind::Variable | PieceKind::Block);
        is_tag && source[piece.inner].contains('<')
    })
}

/// Whether an iteration of a loop may pass values to the next: by a namespace, or by
/// `set_global`.
pub(super) fn loops_carry(source: &str, rules: &'static Rules) -> bool {
    let find = |word: &'static str| memchr::memmem::find_iter(source.as_bytes(), word.as_bytes());
    let sets_attribute = |at: usize| {
        let targets = source[at..].split(['=', '%', '|', '}']).next();
        targets.is_some_and(|targets| targets.contains('.'))
    };
    (rules.set_global && find("set_global").next().is_some())
        || (rules.namespaces && find("set").any(sets_attribute))
}

/// Whether blocks may be rendered elsewhere than where they stand, before an `extends` is read.
pub(super) fn may_move_blocks(source: &str, rules: &'static Rules) -> bool {
    let holds = |word: &str| memchr::memmem::find(source.as_bytes(), word.as_bytes()).is_some();
    rules.late_extends && (holds("self") || holds("extends"))
}
