//! The scanner: lossless on any source, and cutting where the engines cut.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use proptest::prelude::*;

use super::generated::{configs, fragments};
use super::*;
use crate::scanner::{Piece, PieceKind, Scanner};

fn pieces(source: &str, syntax: &Syntax) -> Vec<Piece> {
    Scanner::new(source, syntax).collect()
}

fn assert_lossless(source: &str, syntax: &Syntax) {
    let mut at = 0;
    let list = pieces(source, syntax);
    for (index, piece) in list.iter().enumerate() {
        assert_eq!(piece.start, at, "{source:?}");
        assert!(piece.end > at && piece.inner.end <= piece.end && piece.inner.start >= at);
        assert!(source.get(piece.start..piece.end).is_some(), "{source:?}");
        assert!(source.get(piece.inner.clone()).is_some(), "{source:?}");
        assert!(piece.closed || index + 1 == list.len(), "{source:?}");
        at = piece.end;
    }
    assert_eq!(at, source.len());
}

/// Start and end of every tag as MiniJinja sees them, and whether it read the whole source.
fn tags_of_engine(source: &str, config: &SyntaxConfig) -> (Vec<(bool, usize, usize)>, bool) {
    let mut out = Vec::new();
    let mut open = None;
    for token in tokenize(source, false, config.clone()) {
        let Ok((token, span)) = token else { return (out, false) };
        match token {
            Token::BlockStart => open = Some((true, span.start_offset as usize)),
            Token::VariableStart => open = Some((false, span.start_offset as usize)),
            Token::BlockEnd | Token::VariableEnd => {
                let (block, start) = open.take().unwrap();
                out.push((block, start, span.end_offset as usize));
            }
            _ => {}
        }
    }
    (out, open.is_none())
}

fn assert_agrees_with_minijinja(source: &str, config: &SyntaxConfig) {
    let list = pieces(source, &syntax_of(config));
    let found: Vec<_> = list
        .iter()
        .filter(|piece| piece.closed)
        .filter_map(|piece| match piece.kind {
            PieceKind::Variable => Some((false, piece.start, piece.end)),
            PieceKind::Block | PieceKind::LineStatement => Some((true, piece.start, piece.end)),
            _ => None,
        })
        .collect();
    let (expected, complete) = tags_of_engine(source, config);
    if complete {
        assert_eq!(found, expected, "{source:?}");
        assert!(list.iter().all(|piece| piece.closed), "{source:?}");
    } else {
        // The engine stops at its first lexical error; both agree up to there.
        assert_eq!(found.get(..expected.len()), Some(&expected[..]), "{source:?}");
    }
}

#[test]
fn tags_end_where_minijinja_ends_them() {
    for config in configs() {
        for source in [
            "{{ {'a': {'b': 1}} }}{% if '%}' %}{% endif %}",
            "{{ '\\'}}' }}{{ \"}}\" -}} x {%- if a -%}{%+ endif +%}",
            "{% raw %}{{{% endraw -%} {%- raw -%} {% cache %} {%- endraw +%}{# {{ #}{#- -#}{#}#}",
            "{%-- raw %} {% x %} {%-- endraw %} {% y %}",
            "{% raw %} {%+- endraw %} {% x %} {%+ endraw %} {% y %}",
            "{{ a",
            "{% raw %}",
            "{# ",
            "{{ ) }} }} }}",
            "# if x\n  # for y in (1,\n 2)\n## c {{ x\n text # no\n\t#\n# endif",
            "{{%}}{{{#}}{%%}",
        ] {
            assert_lossless(source, &syntax_of(&config));
            assert_agrees_with_minijinja(source, &config);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn pieces_rebuild_any_source(source in any::<String>(), pieces in fragments()) {
        for source in [source, pieces] {
            assert_lossless(&source, &Syntax::tera());
            for config in configs() {
                assert_lossless(&source, &syntax_of(&config));
            }
        }
    }

    #[test]
    fn tags_lie_where_minijinja_sees_them(source in fragments()) {
        // The engine drops a final newline first, so the test does too.
        let source = source.trim_end_matches(['\n', '\r']);
        for config in configs() {
            assert_agrees_with_minijinja(source, &config);
        }
    }
}
