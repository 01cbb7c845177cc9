//! Reads template names in tags, and what MiniJinja's imports bind.

use std::ops::Range;

use crate::dialect::Rules;
use crate::token::string_value;
use crate::token::{Token, TokenKind, tokens};

/// The template names that string literals in `range` contain. A literal that is joined to
/// something else is only part of a name and is left out.
pub(super) fn names(source: &str, range: Range<usize>, rules: &'static Rules) -> Vec<String> {
    let list: Vec<Token> = tokens(source, range, rules).collect();
    let joins =
        |at: usize| list.get(at).is_some_and(|token| matches!(token.text(source), "~" | "+" | "%"));
    let literals = list.iter().enumerate().filter(|(at, token)| {
        token.kind == TokenKind::String && !joins(at.wrapping_sub(1)) && !joins(at + 1)
    });
    literals.filter_map(|(_, token)| string_value(source, &(token.start..token.end))).collect()
}

/// `import TEMPLATES as NAME`.
pub(super) struct Import {
    pub(super) templates: Vec<String>,
    pub(super) name: String,
}

/// Parses the part after the word `import`.
pub(super) fn import(source: &str, rest: Range<usize>, rules: &'static Rules) -> Option<Import> {
    let list: Vec<Token> = tokens(source, rest.clone(), rules).collect();
    let at = list.iter().rposition(|token| token.text(source) == "as")?;
    let name = list.get(at + 1)?.text(source).to_owned();
    let templates = names(source, rest.start..list[at].start, rules);
    Some(Import { templates, name })
}

/// Parses the part after the word `from`: the templates, and each name with the name that it is
/// bound to.
pub(super) fn members(
    source: &str,
    rest: Range<usize>,
    rules: &'static Rules,
) -> (Vec<String>, Vec<(String, String)>) {
    let list: Vec<Token> = tokens(source, rest.clone(), rules).collect();
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let Some(import) = (0..list.len()).find(|at| text(*at) == "import") else {
        return (Vec::new(), Vec::new());
    };
    let templates = names(source, rest.start..list[import].start, rules);
    let mut members = Vec::new();
    let mut at = import + 1;
    while at < list.len() {
        let name = text(at);
        let alias = if text(at + 1) == "as" { text(at + 2) } else { name };
        if list[at].kind == TokenKind::Word {
            members.push((name.to_owned(), alias.to_owned()));
        }
        at = (at..list.len()).find(|at| text(*at) == ",").map_or(list.len(), |comma| comma + 1);
    }
    (templates, members)
}

/// Whether a tag calls a possible macro, or uses a component. The arguments of a filter are not a
/// call.
pub(super) fn calls(source: &str, range: Range<usize>, rules: &'static Rules) -> bool {
    let list: Vec<Token> = tokens(source, range, rules).collect();
    let text = |at: usize| list.get(at).map_or("", |token| token.text(source));
    let calls_macro = |at: usize| {
        let is_content = text(at) == "caller" && text(at + 2) == ")";
        text(at + 1) == "("
            && !is_content
            && matches!(list[at].kind, TokenKind::Word | TokenKind::Close)
            && !matches!(at.checked_sub(1).map_or("", text), "|" | "is")
    };
    let uses_component = |at: usize| {
        text(at) == "<" && list.get(at + 1).is_some_and(|it| it.kind == TokenKind::Word)
    };
    (0..list.len())
        .any(|at| (rules.macros && calls_macro(at)) || (rules.components && uses_component(at)))
}

/// The variables among a cache tag's name and vary parts.
pub(super) fn variables(source: &str, rest: Range<usize>, rules: &'static Rules) -> Vec<String> {
    let list: Vec<Token> = tokens(source, rest, rules).collect();
    let mut depth = 0_usize;
    let parts = list.split(|token| {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.text(source) == ","
    });
    let alone = parts.skip(1).filter_map(|part| match part {
        [word] if word.kind == TokenKind::Word => Some(word.text(source).to_owned()),
        _ => None,
    });
    alone.collect()
}

/// Parses a dotted name, such as a component's.
pub(super) fn dotted(
    source: &str,
    list: &mut std::iter::Peekable<impl Iterator<Item = Token>>,
) -> Option<String> {
    let first = list.next_if(|token| token.kind == TokenKind::Word)?;
    let mut name = first.text(source).to_owned();
    while list.next_if(|token| token.text(source) == ".").is_some() {
        let Some(part) = list.next_if(|token| token.kind == TokenKind::Word) else { break };
        name.push('.');
        name.push_str(part.text(source));
    }
    Some(name)
}
